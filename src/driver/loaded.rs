//! Everything that the files say.

use std::path::PathBuf;

use thiserror::Error;

use super::Source;
use super::plan::{Plan, PlanError};
use crate::auth::UserTable;
use crate::config::model::{DaemonEntry, DriverConfig};
use crate::config::{self, ConfigError};

/// What a driver runs by.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) config: DriverConfig,
    pub(super) users: UserTable,
    pub(super) daemon: Option<DaemonEntry>,
    pub(super) plan: Plan,
    pub(super) warnings: Vec<String>,
}

/// Why files are not good to start with.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// An error, and the driver file where that much could be read.
pub(super) struct Unloaded {
    pub(super) cause: LoadError,
    pub(super) config: Option<DriverConfig>,
}

/// True where the files are good to start with.
pub(super) fn check(source: &Source) -> bool {
    match load(source) {
        Ok(_) => true,
        Err(unloaded) => {
            tracing::error!("the configuration has errors: {}", unloaded.cause);
            false
        }
    }
}

/// Reads everything.
pub(super) fn load(source: &Source) -> Result<Loaded, Box<Unloaded>> {
    rest(config::load_driver(&source.config), source)
}

/// Reads everything for a driver that runs: a key that is not usable is for
/// [`keep_key`](Loaded::keep_key) to look at.
pub(super) fn load_again(source: &Source) -> Result<Loaded, Box<Unloaded>> {
    rest(config::reload_driver(&source.config), source)
}

fn rest(
    loaded: Result<(DriverConfig, Vec<String>), ConfigError>,
    source: &Source,
) -> Result<Loaded, Box<Unloaded>> {
    let loaded = loaded.map_err(|error| {
        Box::new(Unloaded {
            cause: error.into(),
            config: None,
        })
    })?;
    let (config, mut warnings) = loaded;
    let rest = (|| {
        let users = match &config.path_users {
            Some(path) => {
                let (users, more) = config::load_users(path)?;
                warnings.extend(more);
                users
            }
            None => UserTable::default(),
        };
        let found = config::find_daemon(&config.bridge, &source.config, &source.guid)?;
        let (daemon, more) = found.map_or((None, Vec::new()), |(entry, more)| (Some(entry), more));
        warnings.extend(more);
        if let Some(entry) = &daemon {
            config::check_served(&config, entry)?;
        }
        let plan = Plan::new(&config.bridge, &config.mqtt, daemon.as_ref())?;
        Ok((users, daemon, plan))
    })();
    match rest {
        Ok((users, daemon, plan)) => Ok(Loaded {
            config,
            users,
            daemon,
            plan,
            warnings,
        }),
        Err(cause) => Err(Box::new(Unloaded {
            cause,
            config: Some(config),
        })),
    }
}

/// What counted before, for a start that has failed; but who may come in is as the files say now.
pub(super) fn as_before(old: Loaded, source: &Source) -> Loaded {
    match load(source) {
        Ok(mut new) => {
            new.keep_brokers(&old);
            new.keep_interfaces(&old);
            new.keep_what_takes_a_start(&old);
            new
        }
        Err(_) => old,
    }
}

impl Loaded {
    /// Brokers, and who carries events, as before.
    pub(super) fn keep_brokers(&mut self, old: &Self) {
        self.config.bridge = old.config.bridge.clone();
        self.config.outbox = old.config.outbox.clone();
        self.config.mqtt = old.config.mqtt.clone();
        self.daemon = old.daemon.clone();
        self.plan = old.plan.clone();
    }

    /// Addresses, and how people are protected there, as before.
    pub(super) fn keep_interfaces(&mut self, old: &Self) {
        self.config.interfaces = old.config.interfaces.clone();
        self.config.websocket = old.config.websocket.clone();
        self.config.tls = old.config.tls.clone();
        self.config.cipher = old.config.cipher.clone();
        self.config.encrypted_only = old.config.encrypted_only;
    }

    /// The key as before, where there was one and it is still asked for, and is not usable now:
    /// somebody is writing it. Where there was none, and one is required, all that is about
    /// addresses stays as before. Gives what is wrong with the key.
    pub(super) fn keep_key(&mut self, old: &Self) -> Vec<String> {
        let was = &old.config;
        let plain = self.config.interfaces.iter().any(|one| !one.secure);
        let required = self.config.encrypted_only && plain;
        let mut troubles = Vec::new();
        if (was.cipher.is_some() || required)
            && let Some(trouble) = self.config.key_trouble.take()
        {
            match &was.cipher {
                Some(cipher) => self.config.cipher = Some(cipher.clone()),
                None => self.keep_interfaces(old),
            }
            troubles.push(trouble);
        }
        if was.websocket.is_some()
            && let Some(trouble) = self.config.login_key_trouble.take()
        {
            self.config.websocket = was.websocket.clone();
            troubles.push(trouble);
        }
        let about = |warning: &String| troubles.iter().any(|trouble| warning.contains(trouble));
        self.warnings.retain(|warning| !about(warning));
        troubles.dedup();
        troubles
    }

    /// What cannot be changed without a start, as before.
    pub(super) fn keep_what_takes_a_start(&mut self, old: &Self) {
        let new = std::mem::replace(&mut self.config.logging, old.config.logging.clone());
        let kept = &mut self.config.logging;
        if let (Some(kept), Some(new)) = (&mut kept.file, &new.file) {
            kept.sink.level = new.sink.level;
        }
        if let (Some(kept), Some(new)) = (&mut kept.console, &new.console) {
            kept.level = new.level;
        }
        if let (Some(kept), Some(new)) = (&mut kept.journal, new.journal) {
            *kept = new;
        }
        self.config.abi = old.config.abi;
        if (self.plan.publish, self.plan.subscribe) != (old.plan.publish, old.plan.subscribe) {
            self.keep_brokers(old);
        }
    }
}

/// The files that a driver file stands for, whether or not they are there.
pub(super) fn files(config: &DriverConfig, source: &Source) -> Vec<PathBuf> {
    let own = !source.config.trim_start().starts_with('{');
    let own = own.then(|| PathBuf::from(&source.config));
    own.into_iter()
        .chain(config.path_users.clone())
        .chain(config.key_file.clone())
        .chain(config::daemon_files(&config.bridge))
        .collect()
}

//! A configuration that changes while the driver runs.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Source;
use super::bridges::{About, ChangeError};
use super::checks::{Checked, needs_a_start};
use super::engine::{Engine, Owned, connect};
use super::host::HostPort;
use super::interfaces::{Place, places};
use super::loaded::{Loaded, Unloaded, files, load_again};
use super::settings::{routing, standing_place};
use super::{people, watch};
use crate::auth::Service;
use crate::config::model::DriverConfig;
use crate::config::{self, Severity};
use crate::error::with_causes;
use crate::files::Seen;
use crate::hub::Uplink;
use crate::net::tls::server::Acceptor;
use crate::wire::link::reply::Capabilities;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is as the files say, or they are broken and changed nothing.
    Done,
    /// Something could not be opened; it is worth another try.
    Again,
    /// What has changed can only be had by starting anew.
    Restart,
}

impl Engine {
    /// Reads all files afresh, and applies what has changed to what runs. A broken file changes
    /// nothing. With `abort` it does not wait for names to be looked up.
    pub(super) fn reload(
        &self,
        source: &Source,
        host: &Arc<HostPort>,
        abort: &CancellationToken,
    ) -> Outcome {
        self.logged(|| {
            let mut owned = self.owned();
            let Some(owned) = &mut *owned else {
                return Outcome::Done;
            };
            let seen = Seen::now(&self.files.borrow());
            let loaded = load_again(source);
            watch::set(&self.files, files_of(&loaded, &owned.loaded, source));
            let loaded = loaded
                .map_err(|unloaded| with_causes(&unloaded.cause))
                .and_then(|new| match errors_of_daemon(&owned.loaded, &new) {
                    errors if errors.is_empty() => Ok(new),
                    errors => Err(errors),
                });
            match loaded {
                Ok(loaded) => self.apply(loaded, seen, host, owned, abort),
                Err(errors) => {
                    // It may pass by itself: a descriptor was missing, or a file that is named in
                    // one that cannot be read is still to come.
                    if owned.trouble != errors {
                        tracing::error!("a file has changed and has errors; all stays as it was:");
                        errors.lines().for_each(|line| tracing::error!("{line}"));
                        owned.trouble = errors;
                    }
                    Outcome::Again
                }
            }
        })
    }

    fn apply(
        &self,
        new: Loaded,
        seen: Seen,
        host: &Arc<HostPort>,
        owned: &mut Owned,
        abort: &CancellationToken,
    ) -> Outcome {
        if same(&owned.loaded, &new) && self.is_complete(&new, owned) {
            owned.trouble.clear();
            return Outcome::Done;
        }
        // Everything that can be seen to be wrong comes before the first change.
        let Checked {
            mut new,
            tls,
            mut held,
        } = self.check(new, owned);
        if !held.is_empty() && same(&owned.loaded, &new) && self.is_complete(&new, owned) {
            say_held(owned, &held);
            return Outcome::Again;
        }
        let old = &owned.loaded;
        for warning in new.warnings.iter().filter(|w| !old.warnings.contains(w)) {
            tracing::warn!("{warning}");
        }
        if let Some(why) = needs_a_start(old, &new) {
            tracing::warn!("configuration changed: {why}, so the driver starts anew");
            return Outcome::Restart;
        }
        let about = About::new(self.guid, self.layout, &new);
        owned
            .logger
            .set_levels(&new.config.logging, new.config.debug);
        // Before anything that takes its time: who is gone is gone at once.
        people::change(&self.servers, &new, capabilities(owned));
        // By now it is so.
        people::say_changes(&old.users, &new.users);
        self.hub.change(routing(&new.config));
        if new.plan.publish.host {
            connect(host, &self.hub, &new, self.layout);
        }
        let all = About::new(self.guid, self.layout, old) != about;
        let host = new
            .plan
            .publish
            .host
            .then(|| Arc::clone(host) as Arc<dyn Uplink>);
        let bridges = owned
            .bridges
            .change(&new.plan, &about, all, &self.hub, host, abort);
        match owned.runtime.block_on(bridges) {
            Ok(()) => {}
            Err(ChangeError::Refused(error)) => {
                held.push(with_causes(&error));
                new.keep_brokers(&owned.loaded);
            }
            Err(ChangeError::Stranded(error, waiting)) => {
                tracing::error!("a bridge cannot start: {}", with_causes(&error));
                owned.stranded.extend(waiting);
                return Outcome::Restart;
            }
        }
        let links = owned.links.change(&new.config, &self.hub, abort);
        if let Err(error) = owned.runtime.block_on(links) {
            held.push(with_causes(&error));
            new.config.links.clone_from(&owned.loaded.config.links);
        }
        let place = standing_place(&new.config);
        let standings = self.standings.change(place, &new.users, abort);
        if let Err(error) = owned.runtime.block_on(standings) {
            held.push(with_causes(&error));
        }
        let before = capabilities(owned);
        let reopened = self.reopen(&new, tls, owned, abort);
        if !reopened {
            owned.in_vain = Some(seen);
            new.keep_interfaces(&owned.loaded);
        }
        let services = owned.interfaces.services(&new.config);
        let discovery = owned.discovery.change(&new, services, &self.hub);
        if let Err(error) = owned.runtime.block_on(discovery) {
            held.push(with_causes(&error));
            new.config
                .discovery
                .clone_from(&owned.loaded.config.discovery);
        }
        let status = async {
            tokio::select! {
                changed = owned.status.change(&new.config) => changed,
                () = abort.cancelled() => Ok(()),
            }
        };
        if let Err(error) = owned.runtime.block_on(status) {
            held.push(with_causes(&error));
            new.config.status.clone_from(&owned.loaded.config.status);
        }
        say_held(owned, &held);
        if capabilities(owned) != before || !reopened {
            people::change(&self.servers, &new, capabilities(owned));
        }
        say_changes(&owned.loaded.config, &new.config);
        owned.loaded = new;
        if held.is_empty() && self.is_complete(&owned.loaded, owned) {
            Outcome::Done
        } else {
            Outcome::Again
        }
    }

    /// Opens and closes interfaces. Where clear text was allowed, or a key was another, no session
    /// of before goes on. False where one cannot be opened, and they are as before: nobody is cut
    /// off for another try until a file changes.
    fn reopen(
        &self,
        new: &Loaded,
        tls: Option<Arc<Acceptor>>,
        owned: &mut Owned,
        abort: &CancellationToken,
    ) -> bool {
        let (old, now) = (&owned.loaded.config, &new.config);
        let other_terms = old.cipher != now.cipher || old.encrypted_only != now.encrypted_only;
        let other_tls = old.tls != now.tls;
        let other_clear = old.encrypted_only != now.encrypted_only;
        let again = |place: &Place| {
            let other = match place.service {
                Service::Link => other_terms,
                // Its key is that of logins alone.
                Service::Websocket => other_clear,
            };
            other || other_tls && place.interface.secure
        };
        let (wanted, before) = (places(now), places(old));
        let tls_before = owned.interfaces.tls();
        let interfaces = &mut owned.interfaces;
        let missing = owned.runtime.block_on(async {
            let work = async {
                let missing = interfaces.change(&wanted, again, tls, &self.servers).await;
                // What of those cannot be opened any more is tried again.
                if !missing.is_empty() && wanted != before {
                    let change = interfaces.change(&before, again, tls_before, &self.servers);
                    drop(change.await);
                    return missing;
                }
                for error in missing {
                    tracing::error!("{error}");
                }
                Vec::new()
            };
            tokio::select! {
                missing = work => missing,
                () = abort.cancelled() => Vec::new(),
            }
        });
        if missing.is_empty() {
            return true;
        }
        for why in &missing {
            tracing::error!("the interfaces stay as they were until a file changes: {why}");
        }
        false
    }

    /// True where all interfaces are open, questions are answered and the status is shown where
    /// they are to be, and what waits for links is where it is to be.
    fn is_complete(&self, loaded: &Loaded, owned: &Owned) -> bool {
        owned.interfaces.are(&places(&loaded.config))
            && owned.discovery.is(loaded)
            && owned.status.is(&loaded.config)
            && owned.links.are_at(&loaded.config)
            && self.standings.are_at(&standing_place(&loaded.config))
    }
}

/// What is watched: that which counts, and that which would if it were good.
fn files_of(new: &Result<Loaded, Box<Unloaded>>, old: &Loaded, source: &Source) -> Vec<PathBuf> {
    let named = match new {
        Ok(new) => return files(&new.config, source),
        Err(unloaded) => unloaded.config.as_ref(),
    };
    let mut all = files(&old.config, source);
    for file in named
        .map(|config| files(config, source))
        .unwrap_or_default()
    {
        if !all.contains(&file) {
            all.push(file);
        }
    }
    all
}

/// What WCYD tells of the addresses that are open.
fn capabilities(owned: &Owned) -> Capabilities {
    owned.interfaces.capabilities()
}

/// Why there is no daemon's entry any more, where its file is broken or gone: at a start that means
/// that there is none, and here that somebody is writing it.
fn errors_of_daemon(old: &Loaded, new: &Loaded) -> String {
    let (Some(daemon), None) = (&old.daemon, &new.daemon) else {
        return String::new();
    };
    let report = config::check_json(&daemon.file);
    let errors = report
        .problems()
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(ToString::to_string);
    errors.collect::<Vec<_>>().join("\n")
}

/// What cannot be had, once for as long as that is so.
fn say_held(owned: &mut Owned, held: &[String]) {
    let trouble = held.join("\n");
    if trouble != owned.trouble {
        for line in trouble.lines() {
            tracing::error!(
                "a part of the changed configuration cannot be used, stays as it was and is \
                 tried again: {line}"
            );
        }
        owned.trouble = trouble;
    }
}

fn same(old: &Loaded, new: &Loaded) -> bool {
    old.config == new.config
        && old.users == new.users
        && old.daemon == new.daemon
        && old.plan == new.plan
}

/// One line for each part of the driver file that is another.
fn say_changes(old: &DriverConfig, new: &DriverConfig) {
    let parts = [
        ("limits", old.limits != new.limits),
        ("remotes", old.remotes != new.remotes),
        ("variables", old.variables != new.variables),
        (
            "filter",
            (old.filter_in, old.filter_out) != (new.filter_in, new.filter_out),
        ),
        (
            "receive-sent-events",
            old.receive_sent_events != new.receive_sent_events,
        ),
        ("interconnect", old.interconnect != new.interconnect),
        ("event-format", old.event_format != new.event_format),
        (
            "logging",
            old.logging != new.logging || old.debug != new.debug,
        ),
        (
            "encryption",
            old.cipher != new.cipher || old.encrypted_only != new.encrypted_only,
        ),
        ("tls", old.tls != new.tls),
        ("websocket", old.websocket != new.websocket),
        ("outbox", old.outbox != new.outbox),
        ("links", old.links != new.links),
        ("discovery", old.discovery != new.discovery),
        ("status", old.status != new.status),
        ("write", old.write != new.write),
    ];
    for (part, _) in parts.iter().filter(|(_, other)| *other) {
        tracing::info!("configuration changed: {part}");
    }
}

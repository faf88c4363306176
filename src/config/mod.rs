//! Configuration files: from JSON, every value with its place, to validated values.
//!
//! | module | what |
//! |---|---|
//! | [`model`] | the values |
//! | [`report`] | what is wrong, and where |
//! | [`edit`] | changes to a users file |
//! | [`key`] | the key file of the binary mode, and of websocket logins |
//! | [`interface`] | addresses to listen on |
//! | `node`, `object` | JSON with places; objects whose keys are taken one by one |
//! | `driver`, `mqtt`, `websocket`, `status`, `users`, `daemon` | the readers of each file |
//! | `ask`, `form` | what readers ask of values, for the schemas |
//! | [`schema`] | JSON schemas of the driver file and the users file, made of what is asked |
//! | `served` | what must not lie where pages are |

mod ask;
mod daemon;
mod discovery;
mod driver;
pub mod edit;
mod form;
pub mod interface;
pub mod key;
mod links;
pub mod model;
mod mqtt;
mod node;
mod object;
mod protection;
pub mod report;
pub mod schema;
mod served;
mod status;
mod users;
mod websocket;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use daemon::is_driver;
pub use report::{Problem, Report, Severity};

use crate::auth::UserTable;
use crate::event::Guid;
use crate::os;
use model::{BridgeConfig, DaemonEntry, DriverConfig, LogConfig};
use node::Node;

/// Files above this size are nobody's configuration.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A file that the driver does not start with. Its text has one line for each error.
#[derive(Clone, Debug)]
pub struct ConfigError {
    report: Box<Report>,
    logging: Option<Box<LogConfig>>,
}

impl ConfigError {
    fn new(report: Report) -> Self {
        Self {
            report: Box::new(report),
            logging: None,
        }
    }

    /// Where the driver file says that its log is, as far as it could be read.
    #[must_use]
    pub fn logging(&self) -> Option<&LogConfig> {
        self.logging.as_deref()
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .report
            .problems()
            .iter()
            .filter(|p| p.severity == Severity::Error);
        let lines: Vec<String> = errors.map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Reads a driver file, or the text of one, which begins with `{`. With it come the warnings.
///
/// # Errors
/// [`ConfigError`] has everything that keeps the driver from starting.
pub fn load_driver(config: &str) -> Result<(DriverConfig, Vec<String>), ConfigError> {
    load(config, false)
}

/// The same for a driver that runs: where a key that is required is not usable
/// [`key_trouble`](DriverConfig::key_trouble) says so, and it is no error.
///
/// # Errors
/// [`ConfigError`].
pub fn reload_driver(config: &str) -> Result<(DriverConfig, Vec<String>), ConfigError> {
    load(config, true)
}

fn load(config: &str, patient: bool) -> Result<(DriverConfig, Vec<String>), ConfigError> {
    if config.trim_start().starts_with('{') {
        return driver_of(Some(config), patient, inline());
    }
    let mut report = Report::new(Path::new(config));
    let source = read_file(Path::new(config), &mut report);
    driver_of(source.as_deref(), patient, report)
}

fn inline() -> Report {
    Report::new(Path::new("(configuration)"))
}

/// Reads the text of a driver file, whatever it begins with. Looks at no file, unlike
/// [`load_driver`].
///
/// # Errors
/// [`ConfigError`], as [`load_driver`].
pub fn parse_driver(source: &str) -> Result<(DriverConfig, Vec<String>), ConfigError> {
    driver_of(Some(source), false, inline())
}

fn driver_of(
    source: Option<&str>,
    patient: bool,
    mut report: Report,
) -> Result<(DriverConfig, Vec<String>), ConfigError> {
    let value = source
        .and_then(|source| Node::root(source, &mut report))
        .and_then(|root| driver::read(&root, patient, &mut report));
    match value {
        Some(value) if !report.has_errors() => Ok((value, report.warnings())),
        value => {
            let logging = value.map(|value| Box::new(value.logging));
            Err(ConfigError {
                logging,
                ..ConfigError::new(report)
            })
        }
    }
}

/// Reads a users file. With it come the warnings.
///
/// # Errors
/// [`ConfigError`].
pub fn load_users(path: &Path) -> Result<(UserTable, Vec<String>), ConfigError> {
    let mut report = Report::new(path);
    let source = read_file(path, &mut report);
    users_of(source.as_deref(), report)
}

/// Reads the text of a users file. Looks at no file, unlike [`load_users`].
///
/// # Errors
/// [`ConfigError`].
pub fn parse_users(source: &str) -> Result<(UserTable, Vec<String>), ConfigError> {
    users_of(Some(source), Report::new(Path::new("(users)")))
}

fn users_of(
    source: Option<&str>,
    mut report: Report,
) -> Result<(UserTable, Vec<String>), ConfigError> {
    let users = source
        .and_then(|source| Node::root(source, &mut report))
        .and_then(|root| users::read(&root, &mut report));
    match users {
        Some(users) if !report.has_errors() => Ok((users, report.warnings())),
        _ => Err(ConfigError::new(report)),
    }
}

/// Where a daemon's file may be, best first: where the bridge's configuration says, else where the
/// host's command line does.
#[must_use]
pub fn daemon_files(bridge: &BridgeConfig) -> Vec<PathBuf> {
    if let Some(file) = &bridge.vscpd_config {
        return vec![file.clone()];
    }
    let directory = std::env::current_dir().unwrap_or_default();
    daemon::locate(&os::command_line(), &directory)
}

/// Finds the daemon's entry for a driver with this path and GUID: in the file that the bridge's
/// configuration names, else in the one that the host's command line tells of.
///
/// # Errors
/// [`ConfigError`] where the entry has errors, or where the file that was named has no such entry.
pub fn find_daemon(
    bridge: &BridgeConfig,
    path_config: &str,
    guid: &Guid,
) -> Result<Option<(DaemonEntry, Vec<String>)>, ConfigError> {
    let named = bridge.vscpd_config.is_some();
    for file in daemon_files(bridge) {
        let mut report = Report::new(&file);
        let Some(source) = read_file(&file, &mut report) else {
            if named {
                return Err(ConfigError::new(report));
            }
            continue;
        };
        // Daemons up to 14 have XML.
        if source.trim_start().starts_with('<') && !named {
            continue;
        }
        let found = Node::root(&source, &mut report)
            .and_then(|root| daemon::entry(&root, path_config, guid, &mut report));
        if named && found.is_none() && !report.has_errors() {
            report.about_file(format!(
                "bridge.vscpd-config names this file, but it has no level2 entry with path-config \
                 {path_config} and guid {guid}"
            ));
        }
        if report.has_errors() && (named || found.is_some()) {
            return Err(ConfigError::new(report));
        }
        if let Some(entry) = found {
            return Ok(Some((entry, report.warnings())));
        }
    }
    Ok(None)
}

/// Looks whether the pages of a driver would show the daemon's file, or what the entry names.
///
/// # Errors
/// [`ConfigError`] where they would.
pub fn check_served(config: &DriverConfig, entry: &DaemonEntry) -> Result<(), ConfigError> {
    let mut report = Report::new(&entry.file);
    served::daemons(config, entry, &mut report);
    match report.has_errors() {
        true => Err(ConfigError::new(report)),
        false => Ok(()),
    }
}

/// Checks a driver file, a users file or a daemon's file, and the files that it names. Changes
/// nothing.
#[must_use]
pub fn check_file(path: &Path) -> Report {
    check(path, true)
}

/// Checks that a file is there and is JSON.
#[must_use]
pub fn check_json(path: &Path) -> Report {
    let mut report = Report::new(path);
    if let Some(source) = read_file(path, &mut report) {
        Node::root(&source, &mut report);
    }
    report
}

/// With `follow` the drivers' files that a daemon's file names as well, which may be itself.
fn check(path: &Path, follow: bool) -> Report {
    let mut report = Report::new(path);
    let Some(source) = read_file(path, &mut report) else {
        return report;
    };
    let Some(root) = Node::root(&source, &mut report) else {
        return report;
    };
    let mut quiet = Report::default();
    let keys: Vec<String> = root
        .members(&mut quiet)
        .unwrap_or_default()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let has = |key: &str| keys.iter().any(|known| known == key);
    if has("drivers") {
        let configs = daemon::path_configs(&root, &mut report);
        for (config, guid) in configs {
            if let Some(guid) = guid {
                daemon::entry(&root, &config, &guid, &mut report);
            }
            if follow && Path::new(&config).exists() {
                report.append(check(Path::new(&config), false));
            }
        }
    } else if has("users") && !has("interface") {
        users::read(&root, &mut report);
    } else if let Some(config) = driver::read(&root, false, &mut report)
        && let Some(users) = config.path_users
    {
        let mut of_users = Report::new(&users);
        let source = read_file(&users, &mut of_users);
        if let Some(root) = source.as_deref().and_then(|s| Node::root(s, &mut of_users)) {
            users::read(&root, &mut of_users);
        }
        report.append(of_users);
    }
    report
}

fn read_file(path: &Path, report: &mut Report) -> Option<String> {
    let mut bytes = Vec::new();
    let read =
        os::open_regular(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        report.about_file(format!("cannot be read: {error}"));
        return None;
    }
    if bytes.len() as u64 > MOST_BYTES {
        report.about_file(format!("is larger than {MOST_BYTES} bytes"));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            report.about_file(format!("is not UTF-8: byte {at} is out of place"));
            None
        }
    }
}

#[cfg(test)]
mod tests;

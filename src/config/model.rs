//! What a configuration says, validated: every value has its type, its unit and its default.
//!
//! The readers beside this module turn JSON into these; nothing below them looks at JSON again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::auth::Remotes;
use crate::event::text::TextForm;
use crate::event::{FilterPair, Guid};
pub use crate::wire::payload::{ReadFormat, WriteFormat};

/// The port of the tcp/ip link protocol (VSCP specification, "VSCP over TCP/IP").
pub const LINK_PORT: u16 = 9598;

/// A driver's own configuration file, the first argument of `VSCPOpen`.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Which layout `vscpEvent` has in the host (`abi`).
    pub abi: AbiChoice,
    /// Raises the log levels to debug (`debug`).
    pub debug: bool,
    /// The driver may save what changes at run time (`write`).
    pub write: bool,
    /// Where to listen (`interface`).
    pub interfaces: Vec<Interface>,
    /// The users file (`path-users`).
    pub path_users: Option<PathBuf>,
    /// Where anybody may connect from, before the user's own list (`remotes`).
    pub remotes: Remotes,
    /// Limits and deadlines.
    pub limits: Limits,
    /// False hides an event from the client that sent it (`receive-sent-events`).
    pub receive_sent_events: bool,
    /// True hands a client's event to the other clients at once (`interconnect`).
    pub interconnect: bool,
    /// How event lines carry the time (`event-format`).
    pub event_format: TextForm,
    /// What comes from the uplinks to the clients (`filter.in-filter`, `filter.in-mask`).
    pub filter_in: FilterPair,
    /// What goes from the clients to the uplinks (`filter.out-filter`, `filter.out-mask`).
    pub filter_out: FilterPair,
    /// Event texts for `SEND $name`, each valid (`variables`).
    pub variables: BTreeMap<String, String>,
    /// Logging (`logging`).
    pub logging: LogConfig,
    /// Who carries events to and from MQTT (`bridge`).
    pub bridge: BridgeConfig,
    /// Room for events on their way to a broker (`outbox`).
    pub outbox: OutboxConfig,
    /// The driver file's own `mqtt` section.
    pub mqtt: Option<MqttConfig>,
}

/// Limits and deadlines of the link server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at a time (`max-clients`).
    pub max_clients: usize,
    /// Events that wait for one client (`max-out-queue`).
    pub max_out_queue: usize,
    /// Events that wait for the host (`max-in-queue`).
    pub max_in_queue: usize,
    /// How long a client may take to read what is written to it (`response-timeout`).
    pub response_timeout: Duration,
    /// How long a client may take to log in (`login-timeout`).
    pub login_timeout: Duration,
    /// How long a client may be silent outside the receive loop (`idle-timeout`).
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_clients: 1024,
            max_out_queue: 32_000,
            max_in_queue: 32_000,
            response_timeout: Duration::from_secs(30),
            login_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(12 * 3600),
        }
    }
}

/// `abi`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbiChoice {
    /// Look at the host.
    #[default]
    Auto,
    /// The layout of vscpd up to 15.0.4.
    Classic,
    /// The layout of vscpd from 15.1.
    V2,
}

/// One address to listen on, from `tcp://host:port`, `host:port`, `port`, `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The host part as addresses: a name has been looked up by nobody yet.
    pub host: InterfaceHost,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// The text that it was read from.
    pub text: String,
}

/// The host part of an [`Interface`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceHost {
    /// A bare port: all IPv4 addresses.
    AllV4,
    /// `+port`: all addresses, both families.
    All,
    /// `localhost`: 127.0.0.1 and, where there is one, ::1.
    Localhost,
    /// An address.
    Address(IpAddr),
    /// A name to look up.
    Name(String),
}

/// `bridge`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Who publishes clients' events.
    pub publish: Owner,
    /// Who brings events to clients.
    pub subscribe: Owner,
    /// The daemon's configuration file (`vscpd-config`), instead of looking for it.
    pub vscpd_config: Option<PathBuf>,
}

/// Who carries events in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The driver where an `mqtt` section lists topics for that direction, else the host.
    #[default]
    Auto,
    /// The driver's own MQTT client.
    Driver,
    /// The host, through VSCPRead or VSCPWrite.
    Host,
    /// Both.
    Both,
    /// Nobody.
    Off,
}

/// `outbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxConfig {
    /// Events at the most.
    pub max_events: usize,
    /// Bytes of events at the most.
    pub max_bytes: usize,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            max_events: 100_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// `logging`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The log file; `None` where `file-enable-log` is false or no path is given.
    pub file: Option<LogFile>,
    /// The console; `None` where `console-enable-log` is false.
    pub console: Option<LogSink>,
}

/// One place to log to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSink {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// The spdlog pattern of a line.
    pub pattern: String,
}

/// A log file and its rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Level and pattern.
    pub sink: LogSink,
    /// Where.
    pub path: PathBuf,
    /// Bytes of one file, at least 1.
    pub max_size: u64,
    /// Rotated files that are kept.
    pub max_files: u16,
    /// False for a path that nobody configured: then the driver starts without it as well.
    pub required: bool,
}

/// A log level, most verbose first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Critical,
    Off,
}

/// An `mqtt` section, of the driver file or of the daemon's.
#[derive(Clone, Debug)]
pub struct MqttConfig {
    /// Where it stands, for messages: a file and a key path.
    pub place: String,
    /// True where the daemon reads the same section: its client exists beside ours.
    pub shared_with_daemon: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User, where one is given.
    pub user: Option<String>,
    /// Password; never logged.
    pub password: Option<Zeroizing<String>>,
    /// Client id, a template that may hold `{{rnd}}`; empty lets the driver make one.
    pub client_id: String,
    /// `bcleansession`.
    pub clean_session: bool,
    /// `keepalive`.
    pub keep_alive: Duration,
    /// `connection-timeout`.
    pub connect_timeout: Duration,
    /// `tcp-nodelay`.
    pub nodelay: bool,
    /// `reconnect`.
    pub reconnect: Reconnect,
    /// False counts what has no room instead of refusing it (`required`).
    pub required: bool,
    /// `will`.
    pub will: Option<Will>,
    /// `subscribe`.
    pub subscribe: Vec<Subscription>,
    /// `publish`.
    pub publish: Vec<Publication>,
    /// `generation`: which names and times payloads are written with.
    pub generation: GenerationChoice,
    /// `topic-compat: vscpd`: unknown variables of topics render empty instead of being refused.
    pub topic_compat: bool,
    /// `user-escapes`: further variables of topics.
    pub user_escapes: BTreeMap<String, String>,
}

/// The delay between two attempts to reach a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first delay.
    pub delay: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// True doubles the delay each time, false adds `delay` each time.
    pub exponential: bool,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(2),
            delay_max: Duration::from_secs(10),
            exponential: false,
        }
    }
}

/// `will`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic template.
    pub topic: String,
    /// Payload.
    pub payload: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Kept by the broker.
    pub retain: bool,
}

/// An entry of `subscribe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topic filter template.
    pub topic: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// How payloads are read.
    pub format: ReadFormat,
}

/// An entry of `publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Topic template.
    pub topic: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Kept by the broker.
    pub retain: bool,
    /// How payloads are written.
    pub format: WriteFormat,
}

/// `generation` as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GenerationChoice {
    /// As the layout of the host's events; v2 without a daemon.
    #[default]
    Auto,
    /// `vscpClass` and a time stamp in microseconds.
    Classic,
    /// `class` and nanoseconds.
    V2,
    /// Both sets of names in JSON, v2 elsewhere.
    Both,
}

/// A level II entry of the daemon's configuration, as far as the driver wants it.
#[derive(Clone, Debug)]
pub struct DaemonEntry {
    /// The file.
    pub file: PathBuf,
    /// The daemon's GUID; `None` where it is missing or all zeros.
    pub server_guid: Option<Guid>,
    /// The entry's `name`.
    pub name: String,
    /// The entry's `mqtt` section.
    pub mqtt: Option<MqttConfig>,
}

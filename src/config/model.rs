//! What a configuration says, validated: every value has its type, its unit and its default.
//!
//! The readers beside this module turn JSON into these; nothing below them looks at JSON again.

mod discovery;
mod link;
mod status;
mod websocket;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::auth::Remotes;
use crate::event::text::TextForm;
use crate::event::{FilterPair, Guid};
use crate::wire::binary::Cipher;
pub use crate::wire::payload::{ReadFormat, WriteFormat};
pub use discovery::{Askers, DiscoveryConfig};
pub use link::{LinkConfig, LinkDirection, LinkMode};
pub use status::{STATUS_PORT, StatusConfig};
pub use websocket::{WEBSOCKET_PORT, WebsocketConfig};

/// The port of the tcp/ip link protocol (VSCP specification, "VSCP over TCP/IP").
pub const LINK_PORT: u16 = 9598;

/// A driver's own configuration file, the first argument of `VSCPOpen`.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverConfig {
    /// Which layout `vscpEvent` has in the host (`abi`).
    pub abi: AbiChoice,
    /// Raises the log levels to debug (`debug`).
    pub debug: bool,
    /// The driver may save what changes at run time (`write`).
    pub write: bool,
    /// Where the link server listens (`interface`); empty where all interfaces there are
    /// websocket ones, and in a file of the C++ link driver.
    pub interfaces: Vec<Interface>,
    /// The websocket server (`websocket`).
    pub websocket: Option<WebsocketConfig>,
    /// The users file (`path-users`).
    pub path_users: Option<PathBuf>,
    /// TLS of the interfaces that speak it (`tls`).
    pub tls: Option<TlsServer>,
    /// The cipher of the binary mode (`encryption`, `key-file`).
    pub cipher: Option<Cipher>,
    /// Where its key is (`key-file`).
    pub key_file: Option<PathBuf>,
    /// Why there is no cipher, though the configuration asks for one.
    pub key_trouble: Option<String>,
    /// Why there is no websocket server, though the configuration asks for one and has a key file.
    pub login_key_trouble: Option<String>,
    /// In clear text nobody logs in (`require-encryption`).
    pub encrypted_only: bool,
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
    /// The driver file's own `mqtt` sections, one for each broker.
    pub mqtt: Vec<MqttConfig>,
    /// Links to other servers (`links`).
    pub links: Vec<LinkConfig>,
    /// How this server is found (`discovery`), where that is wanted.
    pub discovery: Option<DiscoveryConfig>,
    /// How it is watched (`status`), where that is wanted.
    pub status: Option<StatusConfig>,
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

impl Limits {
    /// How long a client may say nothing, before and after its login.
    #[must_use]
    pub fn silence(&self, logged_in: bool) -> Duration {
        match logged_in {
            true => self.idle_timeout,
            false => self.login_timeout,
        }
    }
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

/// `tls` of the link interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    /// A PEM file with the certificate, and the key where that has no file (`certificate`).
    pub certificate: PathBuf,
    /// A PEM file with the key (`key`).
    pub key: Option<PathBuf>,
    /// More certificates of the chain (`certificate-chain`).
    pub chain: Option<PathBuf>,
    /// Clients need a certificate (`verify-peer`).
    pub verify_peer: bool,
    /// The common name of a client's certificate logs in (`user-from-certificate`).
    pub user_from_certificate: bool,
    /// Who may vouch for clients (`ca-file`).
    pub ca_file: Option<PathBuf>,
    /// A folder of them (`ca-path`).
    pub ca_path: Option<PathBuf>,
    /// How many certificates may stand between a client's and a trusted one (`verify-depth`).
    pub verify_depth: usize,
    /// The oldest version (`protocol-version`).
    pub versions: TlsVersions,
    /// Names of suites (`cipher-list`); empty leaves the choice to the library.
    pub ciphers: Vec<String>,
}

/// One address to listen on, from `tcp://host:port`, `host:port`, `port`, `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The host part as addresses: a name has been looked up by nobody yet.
    pub host: InterfaceHost,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// TLS is spoken there.
    pub secure: bool,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxConfig {
    /// The folder where it lives; in memory alone without one (`path`).
    pub path: Option<PathBuf>,
    /// What was written is on the disk, not only with the system, before it counts (`sync`).
    pub sync: bool,
    /// Events at the most.
    pub max_events: usize,
    /// Bytes of events at the most.
    pub max_bytes: usize,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            path: None,
            sync: false,
            max_events: 100_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// `logging`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// The log file; `None` where `file-enable-log` is false or no path is given.
    pub file: Option<LogFile>,
    /// The console; `None` where `console-enable-log` is false.
    pub console: Option<LogSink>,
    /// The least severe level that the journal is told; `None` where `journal-enable-log` is false.
    pub journal: Option<LogLevel>,
}

/// One place to log to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSink {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// What a line looks like.
    pub format: LogFormat,
}

/// What a line of the log looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text by an spdlog pattern.
    Pattern(String),
    /// A JSON object.
    Json,
}

/// A log file and its rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Level and format.
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
#[derive(Clone, Debug, PartialEq)]
pub struct MqttConfig {
    /// Where it stands, for messages: a file and a key path.
    pub place: String,
    /// True where the daemon reads the same section: its client exists beside ours.
    pub shared_with_daemon: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `protocol-version`.
    pub version: MqttVersion,
    /// The address of this machine to connect from (`bind`).
    pub bind: Option<IpAddr>,
    /// TLS, where it is on.
    pub tls: Option<TlsClient>,
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
    /// Messages of QoS 1 and 2 that the broker may have under way to us (`receive-maximum`).
    pub receive_maximum: u16,
    /// Messages of QoS 1 and 2 that may be under way to the broker (`send-maximum`).
    pub send_maximum: Option<u16>,
    /// `reconnect`.
    pub reconnect: Reconnect,
    /// What MQTT 5 alone can do (`v5`).
    pub v5: V5Config,
    /// False counts what has no room instead of refusing it (`required`).
    pub required: bool,
    /// What the broker says when this client is gone (`will`).
    pub will: Option<Message>,
    /// What this client says when it is there (`birth`).
    pub birth: Option<Message>,
    /// The status document (`status`).
    pub status: Option<Status>,
    /// Which events of this broker's are taken (`filter`).
    pub filter: FilterPair,
    /// `subscribe`.
    pub subscribe: Vec<Subscription>,
    /// `publish`.
    pub publish: Vec<Publication>,
    /// `generation`: which names and times payloads are written with.
    pub generation: GenerationChoice,
    /// JSON of measurement events carries the value too (`bjsonmeasurementblock`).
    pub measurement_block: bool,
    /// `topic-compat: vscpd`: topics as the daemon makes them, its faults included.
    pub topic_compat: bool,
    /// False publishes to topics as they stand (`bescape-pub-topics`).
    pub escape_topics: bool,
    /// `user-escapes`: further variables of topics.
    pub user_escapes: BTreeMap<String, String>,
}

/// The delay between two attempts to reach a broker, or the far end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first delay.
    pub delay: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// True doubles the delay each time, false adds `delay` each time.
    pub exponential: bool,
    /// By how many parts of a hundred each delay is longer or shorter by chance (`jitter`).
    pub jitter: u8,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(2),
            delay_max: Duration::from_secs(10),
            exponential: false,
            jitter: 25,
        }
    }
}

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[default]
    V311,
    /// MQTT 5.
    V5,
}

/// `v5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct V5Config {
    /// Seconds that the broker keeps the session of a client that is gone (`session-expiry`).
    pub session_expiry: Option<u32>,
    /// Seconds that the broker keeps a message (`message-expiry`).
    pub message_expiry: Option<u32>,
    /// Sent with the connection and with each event (`user-properties`).
    pub user_properties: Vec<(String, String)>,
}

/// TLS to a server: what is trusted, and who this side is.
#[derive(Clone, PartialEq)]
pub struct TlsClient {
    /// Where it stands, for messages.
    pub place: String,
    /// Certificates that are trusted (`cafile`).
    pub ca_file: Option<PathBuf>,
    /// A folder of them (`capath`).
    pub ca_path: Option<PathBuf>,
    /// The system's are trusted too (`tls-use-os-certs`).
    pub os_certs: bool,
    /// This side's certificate (`certfile`).
    pub certificate: Option<PathBuf>,
    /// Its key (`keyfile`).
    pub key: Option<PathBuf>,
    /// What the key is encrypted with, or the path of a file that holds it (`pwkeyfile`).
    pub pass_phrase: Option<Zeroizing<String>>,
    /// The certificate must be the host's (`no-hostname-checking`, the other way round).
    pub check_host: bool,
    /// The certificate must be trusted (`cert-reqs`).
    pub check_certificate: bool,
    /// `version`.
    pub versions: TlsVersions,
    /// Names of suites (`ciphers`); empty leaves the choice to the library.
    pub ciphers: Vec<String>,
    /// Protocols to agree on (`tls-alpn`).
    pub alpn: Vec<String>,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2.
    #[default]
    From12,
    /// TLS 1.3.
    Only13,
}

/// A message about the driver itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic template.
    pub topic: String,
    /// Payload.
    pub payload: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Kept by the broker.
    pub retain: bool,
}

/// `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Topic template.
    pub topic: String,
    /// How often it is published.
    pub interval: Duration,
    /// 0, 1 or 2.
    pub qos: u8,
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
    /// `v5-options`.
    pub options: SubscribeOptions,
}

/// `v5-options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// What this client publishes does not come back (`NO_LOCAL`).
    pub no_local: bool,
    /// Messages that are handed on as they come keep their flag (`RETAIN_AS_PUBLISHED`).
    pub retain_as_published: bool,
    /// When the broker sends what it has kept.
    pub retained: Retained,
}

/// When a broker sends retained messages to a subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retained {
    /// At each subscription (`SEND_RETAIN_ALWAYS`).
    #[default]
    Always,
    /// Where it had none before (`SEND_RETAIN_NEW`).
    New,
    /// Not at all (`SEND_RETAIN_NEVER`).
    Never,
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
#[derive(Clone, Debug, PartialEq)]
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

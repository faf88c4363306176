//! Everything of a driver that runs: log, runtime, hub, link server, bridge. The only place that
//! knows the order of start and stop.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Dispatch;

use super::bridges::{About, Bridges};
use super::frailty::Frailty;
use super::host::HostPort;
use super::layout::{Layout, layout_of_host};
use super::plan::{self, Plan, PlanError};
use super::{Source, report, runtime};
use crate::auth::{RandomError, UserTable};
use crate::config::model::{
    AbiChoice, DaemonEntry, DriverConfig, GenerationChoice, Interface, InterfaceHost,
};
use crate::config::{self, ConfigError};
use crate::error::with_causes;
use crate::event::{Event, Guid};
use crate::hub::{Downlink, Hub, HubSettings};
use crate::link::{self, Context, Control, Settings};
use crate::log::{LogError, Logger};
use crate::mqtt::{Leftover, MqttError};
use crate::net::listener::{self, BindError};
use crate::net::tls::TlsError;
use crate::net::tls::server::Acceptor;
use crate::wire::binary::Strength;
use crate::wire::link::Terms;
use crate::wire::link::reply::Capabilities;
use crate::wire::payload::Style;

/// A running driver.
pub(super) struct Engine {
    layout: Layout,
    hub: Arc<Hub>,
    bridges: Bridges,
    /// True where VSCPWrite brings events to clients.
    host_feeds: bool,
    addresses: Vec<SocketAddr>,
    /// Ends listeners and sessions.
    serving: CancellationToken,
    sessions: TaskTracker,
    dispatch: Dispatch,
    owned: Mutex<Option<Owned>>,
}

/// What is taken apart at the end.
struct Owned {
    runtime: Runtime,
    logger: Logger,
}

/// Why a driver does not start.
#[derive(Debug, Error)]
enum Cause {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the log cannot be opened")]
    Log(#[from] LogError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    #[error("the bridge to MQTT cannot start")]
    Mqtt(#[from] MqttError),
    #[error("the link server cannot start")]
    Random(#[from] RandomError),
    #[error("it is being closed")]
    Closing,
    #[error("the runtime cannot start")]
    Runtime(#[from] std::io::Error),
}

/// A start that failed, and the log to say so in.
pub(super) struct StartError {
    cause: Box<Cause>,
    logger: Option<Logger>,
}

impl StartError {
    fn new(cause: Cause, logger: Option<Logger>) -> Self {
        Self {
            cause: Box::new(cause),
            logger,
        }
    }

    /// Says why: in the driver's log where it has one, else in the system's.
    pub(super) fn report(self) {
        let text = format!("the driver does not start: {}", with_causes(&*self.cause));
        match &self.logger {
            Some(logger) => tracing::dispatcher::with_default(&logger.dispatch(), || {
                text.lines().for_each(|line| tracing::error!("{line}"));
            }),
            None => text.lines().for_each(report),
        }
    }
}

/// Everything that the files say.
struct Loaded {
    config: DriverConfig,
    users: UserTable,
    daemon: Option<DaemonEntry>,
    plan: Plan,
    warnings: Vec<String>,
}

/// An error, and the driver file where that much could be read.
struct Unloaded {
    cause: Cause,
    config: Option<DriverConfig>,
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
fn load(source: &Source) -> Result<Loaded, Box<Unloaded>> {
    let loaded = config::load_driver(&source.config).map_err(|error| {
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

impl Engine {
    /// Starts everything, or nothing. `waiting` are events that an engine before this one could
    /// not hand over.
    pub(super) fn start(
        source: &Source,
        host: &Arc<HostPort>,
        control: mpsc::Sender<Control>,
        waiting: Vec<Leftover>,
        abort: &CancellationToken,
    ) -> Result<Self, StartError> {
        let loaded = load(source).map_err(|unloaded| {
            let Unloaded { cause, config } = *unloaded;
            let logger = match (&config, &cause) {
                (Some(config), _) => Logger::start(&config.logging, config.debug).ok(),
                (None, Cause::Config(error)) => error
                    .logging()
                    .and_then(|logging| Logger::start(logging, false).ok()),
                _ => None,
            };
            StartError::new(cause, logger)
        })?;
        let logger = Logger::start(&loaded.config.logging, loaded.config.debug)
            .map_err(|error| StartError::new(error.into(), None))?;
        let dispatch = logger.dispatch();
        let started = tracing::dispatcher::with_default(&dispatch, || {
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            let runtime = runtime::build(&dispatch)?;
            let parts =
                runtime.block_on(start_parts(source, host, control, &loaded, waiting, abort));
            match parts {
                Ok(parts) => Ok((runtime, parts)),
                Err(cause) => {
                    runtime.shutdown_timeout(Duration::from_secs(1));
                    Err(cause)
                }
            }
        });
        match started {
            Ok((runtime, parts)) => Ok(Self {
                layout: parts.layout,
                hub: parts.hub,
                bridges: parts.bridges,
                host_feeds: loaded.plan.subscribe.host,
                addresses: parts.addresses,
                serving: parts.serving,
                sessions: parts.sessions,
                dispatch,
                owned: Mutex::new(Some(Owned { runtime, logger })),
            }),
            Err(cause) => Err(StartError::new(cause, Some(logger))),
        }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Where clients are served.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Hands an event of the host's to the clients; false where somebody else brings them.
    pub(super) fn feed(&self, event: Event) -> bool {
        if self.host_feeds {
            tracing::dispatcher::with_default(&self.dispatch, || {
                if is_blank(&event) {
                    self.hub.malformed("host", &"an event of nothing but zeros");
                } else {
                    self.hub.deliver(event);
                }
            });
        }
        self.host_feeds
    }

    /// Ends listeners and sessions; the bridge goes on.
    pub(super) fn stop_serving(&self) {
        self.serving.cancel();
    }

    /// Ends everything, in five seconds at most with a drain of three. Gives the events that
    /// found no way out. `ignored` events of the host's were dropped, for the record.
    pub(super) fn stop(&self, drain: Duration, ignored: u64) -> Vec<Leftover> {
        let owned = self
            .owned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Owned { runtime, logger }) = owned else {
            return Vec::new();
        };
        let waiting = tracing::dispatcher::with_default(&self.dispatch, || {
            let waiting = runtime.block_on(self.stop_parts(drain));
            // Joins all threads; none of them blocks for long.
            runtime.shutdown_timeout(Duration::from_millis(300));
            self.say_farewell(&waiting, ignored);
            waiting
        });
        drop(logger);
        waiting
    }

    async fn stop_parts(&self, drain: Duration) -> Vec<Leftover> {
        const GRACE: Duration = Duration::from_millis(300);
        self.serving.cancel();
        self.sessions.close();
        let _ = tokio::time::timeout(GRACE, self.sessions.wait()).await;
        self.bridges.stop(drain).await
    }

    fn say_farewell(&self, waiting: &[Leftover], ignored: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let totals = self.hub.totals();
        for left in waiting {
            let (lost, kept) = (left.events.len(), left.on_disk);
            if lost > 0 {
                tracing::warn!("{lost} events had not reached the broker {}", left.place);
            }
            if kept > 0 {
                tracing::info!("{kept} events wait on disk for the broker {}", left.place);
            }
        }
        tracing::info!(
            submitted = totals.submitted.load(Relaxed),
            refused = totals.refused.load(Relaxed),
            delivered = totals.delivered.load(Relaxed),
            dropped = totals.dropped.load(Relaxed),
            malformed = totals.malformed.load(Relaxed),
            ignored,
            "stopped"
        );
    }
}

/// Daemons hand on an event of zeros where they could not read a message.
fn is_blank(event: &Event) -> bool {
    (event.class, event.vscp_type, event.head.classic()) == (0, 0, 0)
        && event.guid.is_zero()
        && event.data.is_empty()
}

/// What [`start_parts`] starts.
struct Started {
    layout: Layout,
    hub: Arc<Hub>,
    bridges: Bridges,
    addresses: Vec<SocketAddr>,
    serving: CancellationToken,
    sessions: TaskTracker,
}

async fn start_parts(
    source: &Source,
    host: &Arc<HostPort>,
    control: mpsc::Sender<Control>,
    loaded: &Loaded,
    waiting: Vec<Leftover>,
    abort: &CancellationToken,
) -> Result<Started, Cause> {
    let Loaded {
        config,
        plan,
        daemon,
        ..
    } = loaded;
    let layout = match config.abi {
        AbiChoice::Auto => layout_of_host(),
        AbiChoice::Classic => Layout::Classic,
        AbiChoice::V2 => Layout::V2,
    };
    let guid = settle_guid(source.guid);
    // Everything that can fail comes before anything that is seen from outside goes on for long.
    let mut listeners = Vec::new();
    for interface in &config.interfaces {
        // A name may take its time to be looked up, and a close must not wait for it.
        tokio::select! {
            bound = listener::bind(interface) => {
                listeners.extend(bound?.into_iter().map(|bound| (bound, interface.secure)));
            }
            () = abort.cancelled() => return Err(Cause::Closing),
        }
    }
    let acceptor = config.tls.clone().map(Acceptor::new).transpose()?;
    let acceptor = acceptor.map(Arc::new);
    let hub = Hub::new(HubSettings {
        guid,
        max_out_queue: config.limits.max_out_queue,
        receive_sent_events: config.receive_sent_events,
        interconnect: config.interconnect,
        filter_in: config.filter_in,
        filter_out: config.filter_out,
    });
    if plan.publish.host {
        let downlink: Arc<dyn Downlink> = Arc::clone(&hub) as _;
        host.connect(
            Arc::downgrade(&downlink) as Weak<dyn Downlink>,
            config.limits.max_in_queue,
            frailty(daemon.as_ref(), layout),
        );
        hub.add_uplink(Arc::clone(host) as _);
    }
    let about = About {
        guid,
        layout,
        daemon: daemon.as_ref(),
        outbox: &config.outbox,
    };
    let bridges = Bridges::start(plan, &about, &hub, waiting)?;
    let (serving, sessions) = (CancellationToken::new(), TaskTracker::new());
    let settings = settings(loaded, capabilities(&listeners));
    let context = Context::new(Arc::clone(&hub), control, settings)?;
    tell(loaded, layout, guid);
    let mut addresses = Vec::new();
    for (listener, secure) in listeners {
        let tls = acceptor.as_ref().filter(|_| secure).cloned();
        if let Ok(address) = listener.local_addr() {
            let how = if secure { " with TLS" } else { "" };
            tracing::info!("listening on {address}{how}");
            addresses.push(address);
        }
        let (sessions, serving) = (sessions.clone(), serving.clone());
        let accept = link::server::serve(
            listener,
            tls,
            Arc::clone(&context),
            sessions.clone(),
            serving,
        );
        sessions.spawn(accept);
    }
    Ok(Started {
        layout,
        hub,
        bridges,
        addresses,
        serving,
        sessions,
    })
}

/// What sessions go by.
fn settings(loaded: &Loaded, addresses: Capabilities) -> Settings {
    let config = &loaded.config;
    let cipher = config
        .cipher
        .as_ref()
        .map(|cipher| match cipher.strength() {
            Strength::Aes128 => Capabilities::AES128,
            Strength::Aes192 => Capabilities::AES192,
            Strength::Aes256 => Capabilities::AES256,
        });
    Settings {
        limits: config.limits.clone(),
        users: Arc::new(loaded.users.clone()),
        remotes: config.remotes.clone(),
        event_format: config.event_format,
        capabilities: addresses.with(cipher.unwrap_or_default()),
        terms: Arc::new(Terms {
            variables: config.variables.clone(),
            cipher: config.cipher.clone(),
            encrypted_only: config.encrypted_only,
        }),
    }
}

/// What the daemon cannot bear, where there is one that publishes.
fn frailty(daemon: Option<&DaemonEntry>, layout: Layout) -> Frailty {
    let Some((daemon, mqtt)) = daemon.and_then(|entry| Some((entry, entry.mqtt.as_ref()?))) else {
        return Frailty::default();
    };
    let style = Style {
        generation: plan::generation(GenerationChoice::Auto, layout, true),
        measurement_block: mqtt.measurement_block,
    };
    Frailty::of(daemon, style)
}

/// One line about what was started, and warnings about what is open to all.
fn tell(loaded: &Loaded, layout: Layout, guid: Guid) {
    let Loaded {
        config,
        plan,
        users,
        ..
    } = loaded;
    let carriers = |carriers: plan::Carriers| match (carriers.driver, carriers.host) {
        (true, true) => "driver and host",
        (true, false) => "driver",
        (false, true) => "host",
        (false, false) => "nobody",
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %guid,
        abi = ?layout,
        publish = carriers(plan.publish),
        subscribe = carriers(plan.subscribe),
        users = users.len(),
        "starting"
    );
    if users.is_empty() {
        tracing::warn!("path-users: there are no users, so nobody can log in");
    }
    if config.cipher.is_some() && !config.encrypted_only {
        tracing::warn!(
            "encryption: clients may use BINARY, and clear text as well; \
             require-encryption: true forbids that"
        );
    }
    let open = |address: &&Interface| {
        !matches!(&address.host, InterfaceHost::Localhost)
            && !matches!(&address.host, InterfaceHost::Address(a) if a.is_loopback())
    };
    let open = config
        .interfaces
        .iter()
        .filter(|one| !one.secure && !config.encrypted_only)
        .filter(open);
    for interface in open {
        tracing::warn!(
            interface = %interface.text,
            "passwords and events cross the network in clear text"
        );
    }
}

/// The GUID of a driver that was given none (VSCP specification, "GUID assigned to the
/// interface").
fn settle_guid(guid: Guid) -> Guid {
    if !guid.is_zero() {
        return guid;
    }
    crate::os::machine_guid().unwrap_or_else(|| {
        tracing::warn!("no GUID is configured and the machine has no address to make one from");
        guid
    })
}

fn capabilities(listeners: &[(TcpListener, bool)]) -> Capabilities {
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .filter_map(|(listener, _)| listener.local_addr().ok())
        .collect();
    let mut all = Capabilities::TCPIP.with(Capabilities::TWO_CONNECTIONS);
    if listeners.iter().any(|(_, secure)| *secure) {
        all = all.with(Capabilities::SSL);
    }
    // An unspecified IPv6 address listens for IPv4 as well.
    if addresses
        .iter()
        .any(|a| a.is_ipv4() || a.ip().is_unspecified())
    {
        all = all.with(Capabilities::IPV4);
    }
    if addresses.iter().any(SocketAddr::is_ipv6) {
        all = all.with(Capabilities::IPV6);
    }
    all
}

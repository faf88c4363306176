//! Everything of a driver that runs: log, runtime, hub, link server, bridge. The only place that
//! knows the order of start and stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Dispatch;

use super::bridges::{About, Bridges};
use super::discovery::{self, Discovery};
use super::document::document;
use super::failure::{Cause, StartError};
use super::frailty::Frailty;
use super::host::HostPort;
use super::interfaces::{self, Bound, Interfaces, Place, Servers, places};
use super::layout::{Layout, layout_of_host};
use super::links::{Links, Made, say_lost_here};
use super::loaded::{LoadError, Loaded, Unloaded, files, load};
use super::settings::{routing, rules, servers, standing_place};
use super::status::{self, Status};
use super::words::tell;
use super::{Source, plan, runtime};
use crate::config::model::{AbiChoice, DaemonEntry, GenerationChoice};
use crate::discovery::Port;
use crate::error::with_causes;
use crate::event::{Event, Guid};
use crate::files::Seen;
use crate::gate::Gate;
use crate::hub::{Downlink, Hub, Memory};
use crate::link::Control;
use crate::link::standing::{Standings, Waited};
use crate::log::Logger;
use crate::mqtt::Leftover;
use crate::net::tls::server::Acceptor;
use crate::remote::Unsent;
use crate::wire::payload::Style;

/// A running driver.
pub(super) struct Engine {
    pub(super) layout: Layout,
    pub(super) hub: Arc<Hub>,
    pub(super) servers: Servers,
    /// What waits for links of other drivers.
    pub(super) standings: Arc<Standings>,
    pub(super) guid: Guid,
    /// True where VSCPWrite brings events to clients.
    host_feeds: bool,
    /// Ends listeners and sessions.
    serving: CancellationToken,
    sessions: TaskTracker,
    /// The files that are watched.
    pub(super) files: watch::Sender<Vec<PathBuf>>,
    dispatch: Dispatch,
    owned: Mutex<Option<Owned>>,
}

/// What changes, and is taken apart at the end.
pub(super) struct Owned {
    pub(super) runtime: Runtime,
    pub(super) logger: Logger,
    pub(super) loaded: Loaded,
    pub(super) bridges: Bridges,
    pub(super) interfaces: Interfaces,
    pub(super) links: Links,
    pub(super) discovery: Discovery,
    pub(super) status: Status,
    /// A start that failed before this one.
    pub(super) failed: Option<Failed>,
    /// The files by which interfaces could not be opened.
    pub(super) in_vain: Option<Seen>,
    /// Events of brokers that were stopped and could not be started again.
    pub(super) stranded: Vec<Leftover>,
    /// What of a changed configuration cannot be had, as it was said last.
    pub(super) trouble: String,
}

/// A start that failed.
pub(super) struct Failed {
    /// By which files.
    pub(super) seen: Seen,
    pub(super) why: String,
    /// What did the handshakes before, whatever has become of its files.
    pub(super) tls: Option<Arc<Acceptor>>,
}

/// What is left of an engine.
#[derive(Default)]
pub(super) struct Stopped {
    /// What it ran by.
    pub(super) loaded: Option<Loaded>,
    /// What did the handshakes.
    pub(super) tls: Option<Arc<Acceptor>>,
    /// The files that it watched.
    pub(super) files: Vec<PathBuf>,
    /// Events that found no way out.
    pub(super) waiting: Waiting,
}

/// Events that found no way out.
#[derive(Clone, Default)]
pub(super) struct Waiting {
    /// To brokers.
    pub(super) brokers: Vec<Leftover>,
    /// To the far ends of links.
    pub(super) links: Vec<Unsent>,
    /// For links of other drivers.
    pub(super) standings: Vec<Waited>,
    /// How events are told from each other.
    pub(super) memory: Memory,
}

impl Engine {
    /// Starts everything, or nothing. `waiting` are events that an engine before this one could
    /// not hand over.
    pub(super) fn start(
        source: &Source,
        host: &Arc<HostPort>,
        control: mpsc::Sender<Control>,
        waiting: Waiting,
        abort: &CancellationToken,
    ) -> Result<Self, StartError> {
        let loaded = load(source).map_err(|unloaded| {
            let Unloaded { cause, config } = *unloaded;
            let logger = match (&config, &cause) {
                (Some(config), _) => Logger::start(&config.logging, config.debug).ok(),
                (None, LoadError::Config(error)) => error
                    .logging()
                    .and_then(|logging| Logger::start(logging, false).ok()),
                _ => None,
            };
            StartError::new(cause.into(), logger)
        })?;
        Self::begin(loaded, None, source, host, control, waiting, abort)
    }

    /// Starts by what was loaded before another start failed, with as many addresses as there are:
    /// the others are tried again, and the start is, when a file changes.
    pub(super) fn resume(
        loaded: Loaded,
        failed: Failed,
        source: &Source,
        host: &Arc<HostPort>,
        control: mpsc::Sender<Control>,
        waiting: Waiting,
        abort: &CancellationToken,
    ) -> Result<Self, StartError> {
        Self::begin(loaded, Some(failed), source, host, control, waiting, abort)
    }

    fn begin(
        loaded: Loaded,
        failed: Option<Failed>,
        source: &Source,
        host: &Arc<HostPort>,
        control: mpsc::Sender<Control>,
        waiting: Waiting,
        abort: &CancellationToken,
    ) -> Result<Self, StartError> {
        let logger = Logger::start(&loaded.config.logging, loaded.config.debug)
            .map_err(|error| StartError::new(error.into(), None))?;
        let dispatch = logger.dispatch();
        let started = tracing::dispatcher::with_default(&dispatch, || {
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            let runtime = runtime::build(&dispatch)?;
            let any = failed.is_some();
            if let Some(Failed { why, .. }) = &failed {
                tracing::error!(
                    "the driver goes on as before until a file changes, as it does not start by \
                     the changed configuration: {why}"
                );
            }
            let parts = runtime.block_on(async {
                let tls = match &failed {
                    Some(failed) => failed.tls.clone(),
                    None => interfaces::acceptor(loaded.config.tls.as_ref())?,
                };
                let bound = bind_all(&places(&loaded.config), any, abort).await?;
                let port = discovery::bind(&loaded.config, any)?;
                let watched = tokio::select! {
                    bound = status::bind(&loaded.config, any) => bound?,
                    () = abort.cancelled() => return Err(Cause::Closing),
                };
                start_parts(
                    source,
                    host,
                    &control,
                    &loaded,
                    (bound, tls, port, watched),
                    waiting,
                    abort,
                )
                .await
            });
            match parts {
                Ok(parts) => Ok((runtime, parts)),
                Err(cause) => {
                    runtime.shutdown_timeout(Duration::from_secs(1));
                    Err(cause)
                }
            }
        });
        let (runtime, parts) = match started {
            Ok(started) => started,
            Err(cause) => return Err(StartError::new(cause, Some(logger))),
        };
        let (files, watched) = watch::channel(files(&loaded.config, source));
        let context = runtime.enter();
        let watcher = super::watch::watch(watched, control, parts.serving.clone());
        drop(context);
        runtime.spawn(parts.sessions.track_future(watcher));
        Ok(Self {
            layout: parts.layout,
            hub: parts.hub,
            servers: parts.servers,
            standings: parts.standings,
            guid: parts.guid,
            host_feeds: loaded.plan.subscribe.host,
            serving: parts.serving,
            sessions: parts.sessions,
            files,
            dispatch,
            owned: Mutex::new(Some(Owned {
                runtime,
                logger,
                loaded,
                bridges: parts.bridges,
                interfaces: parts.interfaces,
                links: parts.links,
                discovery: parts.discovery,
                status: parts.status,
                failed,
                in_vain: None,
                stranded: Vec::new(),
                trouble: String::new(),
            })),
        })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Where clients are served.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let owned = self.owned();
        owned
            .as_ref()
            .map(|owned| owned.interfaces.addresses())
            .unwrap_or_default()
    }

    /// Where it is watched.
    pub(super) fn status_addresses(&self) -> Vec<SocketAddr> {
        let owned = self.owned();
        owned
            .as_ref()
            .map(|owned| owned.status.addresses())
            .unwrap_or_default()
    }

    /// What changes while it runs; `None` once it is being stopped.
    pub(super) fn owned(&self) -> MutexGuard<'_, Option<Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens inside goes to this driver's log.
    pub(super) fn logged<T>(&self, run: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, run)
    }

    /// Hands an event of the host's to the clients; false where somebody else brings them.
    pub(super) fn feed(&self, event: Event, host: &HostPort) -> bool {
        if self.host_feeds {
            self.logged(|| {
                if is_blank(&event) {
                    self.hub.malformed("host", &"an event of nothing but zeros");
                } else {
                    host.brought();
                    self.hub.deliver_from(event, host);
                }
            });
        }
        self.host_feeds
    }

    /// Ends listeners and sessions; the bridge goes on.
    pub(super) fn stop_serving(&self) {
        self.serving.cancel();
    }

    /// Ends everything, in five seconds at most with a drain of three. Gives what is left, the
    /// events that found no way out too. `ignored` events of the host's were dropped, for the record.
    pub(super) fn stop(&self, drain: Duration, ignored: u64) -> Stopped {
        let Some(owned) = self.owned().take() else {
            return Stopped::default();
        };
        let Owned {
            runtime,
            logger,
            loaded,
            bridges,
            interfaces,
            links,
            stranded: mut waiting,
            ..
        } = owned;
        let waiting = self.logged(|| {
            let (brokers, links) = runtime.block_on(self.stop_parts(bridges, links, drain));
            waiting.extend(brokers);
            // Whoever brings events has ended.
            let waiting = Waiting {
                brokers: waiting,
                links,
                standings: self.standings.close(),
                memory: self.hub.memory(),
            };
            // Joins all threads; none of them blocks for long.
            runtime.shutdown_timeout(Duration::from_millis(300));
            self.say_farewell(&waiting, ignored);
            waiting
        });
        drop(logger);
        Stopped {
            loaded: Some(loaded),
            tls: interfaces.tls(),
            files: self.files.borrow().clone(),
            waiting,
        }
    }

    async fn stop_parts(
        &self,
        bridges: Bridges,
        links: Links,
        drain: Duration,
    ) -> (Vec<Leftover>, Vec<Unsent>) {
        const GRACE: Duration = Duration::from_millis(300);
        self.serving.cancel();
        self.sessions.close();
        let _ = tokio::time::timeout(GRACE, self.sessions.wait()).await;
        // What a session takes that did not end in time would be in nobody's hands.
        self.hub.close();
        tokio::join!(bridges.stop(drain), links.stop(Instant::now() + drain))
    }

    fn say_farewell(&self, waiting: &Waiting, ignored: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let totals = self.hub.totals();
        for Unsent {
            name,
            left,
            on_disk,
            received,
            ..
        } in &waiting.links
        {
            let lost = left.as_ref().map_or(0, |left| left.len());
            if lost > 0 {
                tracing::warn!("{lost} events had not reached the far end of the link {name}");
            }
            if *on_disk > 0 {
                tracing::info!("{on_disk} events wait on disk for the far end of the link {name}");
            }
            say_lost_here(name, received.len());
        }
        for left in &waiting.brokers {
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
    guid: Guid,
    hub: Arc<Hub>,
    servers: Servers,
    standings: Arc<Standings>,
    bridges: Bridges,
    interfaces: Interfaces,
    links: Links,
    discovery: Discovery,
    status: Status,
    serving: CancellationToken,
    sessions: TaskTracker,
}

/// What is bound, and what secures it.
type Opened = (
    Vec<Bound>,
    Option<Arc<Acceptor>>,
    Option<Port>,
    Option<status::Bound>,
);

/// All addresses; with `any` as many as there are, but one at least.
async fn bind_all(
    places: &[Place],
    any: bool,
    abort: &CancellationToken,
) -> Result<Vec<Bound>, Cause> {
    let mut bound = Vec::new();
    let mut failed = None;
    for place in places {
        // A name may take its time to be looked up, and a close must not wait for it.
        let made = tokio::select! {
            made = interfaces::bind(place) => made,
            () = abort.cancelled() => return Err(Cause::Closing),
        };
        match made {
            Ok(made) => bound.push(made),
            Err(error) if any => {
                tracing::error!("{}", with_causes(&error));
                failed = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match failed {
        Some(error) if bound.is_empty() => Err(error.into()),
        _ => Ok(bound),
    }
}

/// Everything that can fail comes before anything that is seen from outside goes on for long.
async fn start_parts(
    source: &Source,
    host: &Arc<HostPort>,
    control: &mpsc::Sender<Control>,
    loaded: &Loaded,
    (bound, tls, port, watched): Opened,
    waiting: Waiting,
    abort: &CancellationToken,
) -> Result<Started, Cause> {
    let config = &loaded.config;
    let layout = match config.abi {
        AbiChoice::Auto => layout_of_host(),
        AbiChoice::Classic => Layout::Classic,
        AbiChoice::V2 => Layout::V2,
    };
    let guid = settle_guid(source.guid);
    let (serving, sessions) = (CancellationToken::new(), TaskTracker::new());
    let mut interfaces = Interfaces::new(tls, serving.clone(), sessions.clone());
    let hub = Hub::resume(guid, routing(config), waiting.memory);
    if loaded.plan.publish.host {
        connect(host, &hub, loaded, layout);
        hub.add_uplink(Arc::clone(host) as _);
    }
    if loaded.plan.subscribe.host && !loaded.plan.publish.host {
        hub.add_source(Arc::clone(host) as _);
    }
    let gate = Gate::new(Arc::clone(&hub), rules(loaded))?;
    let pages = crate::status::Context::new(Arc::clone(&gate), document(&hub));
    let standings = Standings::new(Arc::clone(&hub), standing_place(config), serving.clone());
    let elsewhere = standings.restore(&loaded.users, waiting.standings);
    let capabilities = Bound::capabilities(&bound);
    let servers = servers(
        gate,
        control.clone(),
        loaded,
        capabilities,
        Arc::clone(&standings),
    );
    // Last of all that can fail: whoever tries again has the events still.
    let about = About::new(guid, layout, loaded);
    let made = Made::make(config, &hub)?;
    let bridges = match Bridges::start(&loaded.plan, &about, &hub, waiting.brokers, abort).await {
        Ok(bridges) => bridges,
        Err(error) => {
            made.abandon();
            return Err(error.into());
        }
    };
    let links = made.run(waiting.links, abort).await;
    let fetched = async {
        for one in elsewhere {
            one.fetch().await;
        }
    };
    tokio::select! {
        () = fetched => {}
        () = abort.cancelled() => {}
    }
    tell(loaded, layout, guid);
    for bound in bound {
        interfaces.serve(bound, &servers);
    }
    let mut discovery = Discovery::new(serving.clone(), sessions.clone());
    if let Some(port) = port {
        discovery.start(port, loaded, interfaces.services(config), &hub);
    }
    let mut status = Status::new(pages, serving.clone(), sessions.clone());
    if let Some(watched) = watched {
        status.start(watched);
    }
    Ok(Started {
        layout,
        guid,
        hub,
        servers,
        standings,
        bridges,
        interfaces,
        links,
        discovery,
        status,
        serving,
        sessions,
    })
}

/// Lets the host have clients' events.
pub(super) fn connect(host: &Arc<HostPort>, hub: &Arc<Hub>, loaded: &Loaded, layout: Layout) {
    let downlink: Arc<dyn Downlink> = Arc::clone(hub) as _;
    host.connect(
        Arc::downgrade(&downlink) as Weak<dyn Downlink>,
        loaded.config.limits.max_in_queue,
        frailty(loaded.daemon.as_ref(), layout),
    );
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

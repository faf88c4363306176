//! One open driver: what VSCPOpen makes and VSCPClose ends.
//!
//! [`engine`] is everything that runs, and knows the order in which it starts and stops; [`plan`]
//! decides who carries events to and from MQTT; [`host`] is the queue behind VSCPRead; [`layout`]
//! tells which events the host has. [`watch`] notices that a file has changed, [`loaded`] is what
//! all of them say, and [`reload`] applies what is another:
//! [`checks`] looks at it, and [`people`] come first. [`discovery`] is how the driver is found,
//! [`status`] where it is watched, [`document`] what it says of itself.

mod bridges;
mod checks;
mod discovery;
mod document;
mod engine;
mod failure;
mod frailty;
mod host;
mod interfaces;
mod layout;
mod links;
mod loaded;
mod people;
mod plan;
mod reload;
mod runtime;
mod settings;
mod status;
mod watch;
mod words;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Guid};
use crate::files::Seen;
use crate::link::Control;
use engine::{Engine, Failed, Stopped, Waiting};
use failure::StartError;
use host::HostPort;
pub use host::ReadError;
pub use layout::{Layout, layout_of_host};
use reload::Outcome;

/// What VSCPOpen was called with.
#[derive(Clone)]
pub struct Source {
    /// The path of the configuration, or the configuration itself.
    pub config: String,
    /// The driver's GUID; all zeros lets the machine give one.
    pub guid: Guid,
}

/// How long VSCPClose waits for events to reach a broker.
const DRAIN: Duration = Duration::from_secs(3);

/// An open driver.
pub struct Driver {
    shared: Arc<Shared>,
    control: mpsc::Sender<Control>,
    controller: Mutex<Option<JoinHandle<()>>>,
}

/// What the host's threads and the driver's controller share.
struct Shared {
    source: Source,
    layout: Layout,
    host: Arc<HostPort>,
    /// `None` once the driver is closed, and while it starts again.
    engine: RwLock<Option<Arc<Engine>>>,
    /// Set first of all by VSCPClose. Whoever starts an engine holds it meanwhile.
    closing: Mutex<bool>,
    /// Cancelled before that, for whoever holds it.
    abort: CancellationToken,
    ignored: AtomicU64,
}

impl fmt::Debug for Source {
    /// Without the configuration, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("guid", &self.guid)
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Reads the configuration and starts. `None` where something is wrong, and then the reason
    /// is in the log, or, where there is none yet, in the system's.
    #[must_use]
    pub fn open(source: Source) -> Option<Self> {
        // A handful of messages at a time; whoever finds it full is told so.
        let (control, requests) = mpsc::channel(16);
        let host = HostPort::new(0);
        let abort = CancellationToken::new();
        let engine =
            match Engine::start(&source, &host, control.clone(), Waiting::default(), &abort) {
                Ok(engine) => engine,
                Err(error) => {
                    error.report();
                    return None;
                }
            };
        let shared = Arc::new(Shared {
            source,
            layout: engine.layout(),
            host,
            engine: RwLock::new(Some(Arc::new(engine))),
            closing: Mutex::new(false),
            abort,
            ignored: AtomicU64::new(0),
        });
        let controller = {
            let (shared, control) = (Arc::clone(&shared), control.clone());
            crate::os::with_signals_blocked(|| {
                std::thread::Builder::new()
                    .name("vscp-link-ctl".to_owned())
                    .spawn(move || shared.obey(requests, &control))
            })
        };
        match controller {
            Ok(controller) => Some(Self {
                shared,
                control,
                controller: Mutex::new(Some(controller)),
            }),
            Err(error) => {
                report(&format!("no thread for the driver: {error}"));
                shared.stop(Duration::ZERO);
                None
            }
        }
    }

    /// The layout of the host's events.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.shared.layout
    }

    /// Where clients are served, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shared
            .running()
            .map(|engine| engine.addresses())
            .unwrap_or_default()
    }

    /// Where the status is shown, with the ports that the system chose.
    #[must_use]
    pub fn status_addresses(&self) -> Vec<SocketAddr> {
        self.shared
            .running()
            .map(|engine| engine.status_addresses())
            .unwrap_or_default()
    }

    /// Waits at most `timeout` for the next event from a client.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, timeout: Duration) -> Result<Event, ReadError> {
        self.shared.host.read(timeout)
    }

    /// Hands an event of the host's to the clients, or drops it where somebody else brings them.
    pub fn write(&self, event: Event) {
        if !self
            .shared
            .running()
            .is_some_and(|engine| engine.feed(event, &self.shared.host))
        {
            self.shared.ignored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Stops serving, drains, and returns everything to the system. Later calls do nothing.
    pub fn close(&self) {
        self.shared.abort.cancel();
        *self.shared.closing() = true;
        self.shared.host.close();
        self.shared.stop(DRAIN);
        // Where the controller's queue is full it looks at `closing` all the same.
        let _ = self.control.try_send(Control::Shutdown);
        let controller = self
            .controller
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(controller) = controller {
            let _ = controller.join();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("source", &self.shared.source)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The controller's thread: does what SHUTDOWN and RESTART ask for.
    fn obey(&self, mut requests: mpsc::Receiver<Control>, control: &mpsc::Sender<Control>) {
        while let Some(request) = requests.blocking_recv() {
            if *self.closing() {
                return;
            }
            match request {
                Control::CheckRestart(answer) => {
                    let _ = answer.send(loaded::check(&self.source));
                }
                Control::Shutdown => {
                    if let Some(engine) = self.running() {
                        engine.stop_serving();
                    }
                }
                Control::Reload(answer) => {
                    let _ = answer.send(self.reload(control));
                }
                Control::Restart => self.restart(control),
            }
        }
    }

    /// Applies what has changed in the files; false where another try may help.
    fn reload(&self, control: &mpsc::Sender<Control>) -> bool {
        let outcome = {
            let closing = self.closing();
            match self.running() {
                Some(engine) if !*closing => engine.reload(&self.source, &self.host, &self.abort),
                _ => Outcome::Done,
            }
        };
        if outcome == Outcome::Restart {
            self.restart(control);
        }
        outcome != Outcome::Again
    }

    /// Everything anew, but for what waits: that goes along. Where it cannot start (an address is
    /// taken, perhaps) it goes on as before; where it cannot do that either it tries again until it
    /// can, or until the driver is closed.
    fn restart(&self, control: &mpsc::Sender<Control>) {
        const PAUSE: Duration = Duration::from_secs(5);
        let before = {
            let closing = self.closing();
            if *closing {
                return;
            }
            self.stop(Duration::ZERO)
        };
        loop {
            {
                let closing = self.closing();
                if *closing {
                    return;
                }
                if let Some(engine) = self.start_again(&before, control) {
                    *self.engine.write().unwrap_or_else(PoisonError::into_inner) =
                        Some(Arc::new(engine));
                    return;
                }
            }
            let again = Instant::now() + PAUSE;
            while Instant::now() < again && !*self.closing() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// By what the files say, or else by what they said.
    fn start_again(&self, before: &Stopped, control: &mpsc::Sender<Control>) -> Option<Engine> {
        let seen = Seen::now(&before.files);
        let (source, host, abort) = (&self.source, &self.host, &self.abort);
        let waiting = || before.waiting.clone();
        let error = match Engine::start(source, host, control.clone(), waiting(), abort) {
            Ok(engine) => return Some(engine),
            Err(error) => error,
        };
        let why = error.to_string();
        error.report();
        let failed = Failed {
            seen,
            why,
            tls: before.tls.clone(),
        };
        let loaded = loaded::as_before(before.loaded.clone()?, source);
        let resumed = Engine::resume(
            loaded,
            failed,
            source,
            host,
            control.clone(),
            waiting(),
            abort,
        );
        resumed.map_err(StartError::report).ok()
    }

    fn running(&self) -> Option<Arc<Engine>> {
        self.engine
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stops what runs; gives what another start needs.
    fn stop(&self, drain: Duration) -> Stopped {
        let engine = self
            .engine
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(engine) = engine else {
            return Stopped::default();
        };
        let ignored = self.ignored.swap(0, Ordering::Relaxed);
        engine.stop(drain, ignored)
    }

    fn closing(&self) -> MutexGuard<'_, bool> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says something that no log is there for yet.
pub fn report(message: &str) {
    crate::os::syslog(crate::os::Priority::Error, "vscpl2drv-link", message);
}

#[cfg(test)]
mod tests;

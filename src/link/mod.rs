//! The tcp/ip link server: the I/O shell around [`wire::link`](crate::wire::link).
//!
//! [`server`] accepts, [`connection`] moves bytes, [`perform`] does what a session asks for, and
//! [`login`] lets in whoever may come in.

mod audit;
mod connection;
mod input;
mod login;
mod perform;
mod seats;
pub mod server;
mod turns;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::auth::{RandomError, Remotes, Throttle, UserTable, Verifier};
use crate::config::model::Limits;
use crate::event::text::TextForm;
use crate::hub::Hub;
use crate::wire::binary::Iv;
use crate::wire::binary::replay::Seen;
use crate::wire::link::Terms;
use crate::wire::link::reply::Capabilities;
use seats::Seats;
use turns::Turns;

/// Clients beyond `max-clients` that are told so at a time; more are closed without a word.
const FAREWELLS: usize = 64;

/// What all sessions of a link server share.
#[derive(Debug)]
pub struct Context {
    /// The router.
    pub hub: Arc<Hub>,
    /// Where SHUTDOWN and RESTART go.
    pub control: mpsc::Sender<Control>,
    settings: RwLock<Arc<Settings>>,
    /// Counts the settings that there have been.
    version: AtomicU64,
    verifier: Arc<Verifier>,
    throttle: Mutex<Throttle>,
    /// Vectors of binary frames.
    seen: Mutex<Seen>,
    /// Passwords are checked a few at a time, so that the network threads keep their share.
    checks: Arc<Turns>,
    seats: Arc<Seats>,
    /// Held by whoever changes the users file.
    editing: Mutex<()>,
    /// Those who are told that there is no place for them, while they read it.
    farewells: Arc<Semaphore>,
}

/// What may change while sessions go on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits and deadlines.
    pub limits: Limits,
    /// The users.
    pub users: Arc<UserTable>,
    /// Where anybody may come from.
    pub remotes: Remotes,
    /// How event lines carry the time.
    pub event_format: TextForm,
    /// What WCYD tells.
    pub capabilities: Capabilities,
    /// The users file, where passwords that are stored as MD5 may be stored anew (`write`).
    pub upgrade: Option<PathBuf>,
    /// What sessions that begin from now on are made with.
    pub terms: Arc<Terms>,
}

/// What a session may ask of the driver as a whole.
#[derive(Debug)]
pub enum Control {
    /// Is the configuration, read afresh, one to start with?
    CheckRestart(oneshot::Sender<bool>),
    /// A file has changed: read all afresh and apply what can be; true where that was done.
    Reload(oneshot::Sender<bool>),
    /// Start again with the configuration read afresh.
    Restart,
    /// Stop serving.
    Shutdown,
}

impl Context {
    /// A context with nobody logged in.
    ///
    /// # Errors
    /// [`RandomError`] where the system gives no random numbers.
    pub fn new(
        hub: Arc<Hub>,
        control: mpsc::Sender<Control>,
        settings: Settings,
    ) -> Result<Arc<Self>, RandomError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            hub,
            control,
            seats: Seats::new(settings.limits.max_clients),
            settings: RwLock::new(Arc::new(settings)),
            version: AtomicU64::new(0),
            verifier: Arc::new(Verifier::new()?),
            throttle: Mutex::new(Throttle::new()),
            seen: Mutex::default(),
            checks: Turns::new(cores.div_ceil(2)),
            editing: Mutex::default(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
        }))
    }

    /// What holds now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this holds; sessions look at it before their next command.
    pub fn change(&self, settings: Settings) {
        let mut current = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.seats.set_most(settings.limits.max_clients);
        *current = Arc::new(settings);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for the vector of a frame that has not been here before.
    fn is_new(&self, iv: &Iv) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_new(iv)
    }
}

//! Who comes in: what all servers have in common, whatever their clients speak.
//!
//! A [`Visitor`] is somebody who has connected. A password, or a certificate, makes a channel of
//! the hub of it; guesses wait for their answers, crowds do not keep others out, and everything
//! that matters is one line of the log.

pub mod audit;
mod login;
mod seats;
mod turns;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

pub use login::{LoginError, Visitor};
pub use seats::{Seat, Seats};

use crate::auth::{RandomError, Remotes, Service, Throttle, UserTable, Verifier};
use crate::config::model::Limits;
use crate::hub::Hub;
use turns::Turns;

/// What all servers of a driver share.
#[derive(Debug)]
pub struct Gate {
    /// The router.
    pub hub: Arc<Hub>,
    rules: RwLock<Arc<Rules>>,
    /// Counts the rules that there have been.
    version: AtomicU64,
    /// Wakes those who wait for nothing else.
    changed: watch::Sender<()>,
    verifier: Arc<Verifier>,
    throttle: Mutex<Throttle>,
    /// Passwords are checked a few at a time, so that the network threads keep their share.
    checks: Arc<Turns>,
    /// Held by whoever changes the users file.
    editing: Mutex<()>,
    /// Of the link server, and of the websocket server.
    logins: [Logins; 2],
}

/// Logins that there have been.
#[derive(Debug, Default)]
pub struct Logins {
    /// Those that succeeded.
    pub good: AtomicU64,
    /// Those that did not.
    pub refused: AtomicU64,
}

/// Who may come in, and for how long they may say nothing; may change while sessions go on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Limits and deadlines.
    pub limits: Limits,
    /// The users.
    pub users: Arc<UserTable>,
    /// Where anybody may come from.
    pub remotes: Remotes,
    /// The users file, where passwords that are stored as MD5 may be stored anew (`write`).
    pub upgrade: Option<PathBuf>,
}

/// What a connection runs over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beneath {
    /// Clear text.
    Plain,
    /// TLS, and whom the client's certificate logs in.
    Tls(Option<String>),
}

impl Beneath {
    /// True where nobody can listen.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        *self != Self::Plain
    }
}

impl Gate {
    /// A gate that nobody has come through.
    ///
    /// # Errors
    /// [`RandomError`] where the system gives no random numbers.
    pub fn new(hub: Arc<Hub>, rules: Rules) -> Result<Arc<Self>, RandomError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            hub,
            rules: RwLock::new(Arc::new(rules)),
            version: AtomicU64::new(0),
            changed: watch::Sender::new(()),
            verifier: Arc::new(Verifier::new()?),
            throttle: Mutex::new(Throttle::new()),
            checks: Turns::new(cores.div_ceil(2)),
            editing: Mutex::default(),
            logins: Default::default(),
        }))
    }

    /// What holds now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whoever comes in from now on does so by these rules. Those who are here see them when that
    /// is [announced](Self::announce).
    pub fn set(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Sessions look at the rules, and at their server's own settings, at once or before their next
    /// command: what else changes has to change before.
    pub fn announce(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.changed.send_replace(());
    }

    /// Tells of each change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Another number after each change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The logins at a server.
    #[must_use]
    pub fn logins(&self, service: Service) -> &Logins {
        match service {
            Service::Link => &self.logins[0],
            Service::Websocket => &self.logins[1],
        }
    }

    /// A login that did not succeed.
    pub(crate) fn refused(
        &self,
        service: Service,
        peer: SocketAddr,
        user: &str,
        reason: &dyn fmt::Display,
    ) {
        let refused = &self.logins(service).refused;
        refused.fetch_add(1, Ordering::Relaxed);
        audit::refused(peer, user, reason);
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The tcp/ip link server: the I/O shell around [`wire::link`](crate::wire::link).
//!
//! [`server`] accepts, [`connection`] moves bytes, [`perform`] does what a session asks for.

mod connection;
mod perform;
pub mod server;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::auth::{RandomError, Remotes, Throttle, UserTable, Verifier};
use crate::config::model::Limits;
use crate::event::text::TextForm;
use crate::hub::Hub;
use crate::wire::link::reply::Capabilities;

/// What all sessions of a link server share.
#[derive(Debug)]
pub struct Context {
    /// The router.
    pub hub: Arc<Hub>,
    /// Limits and deadlines.
    pub limits: Limits,
    /// The users.
    pub users: Arc<UserTable>,
    /// Where anybody may come from.
    pub remotes: Remotes,
    /// Events of `SEND $name`.
    pub variables: Arc<BTreeMap<String, String>>,
    /// How event lines carry the time.
    pub event_format: TextForm,
    /// What WCYD tells.
    pub capabilities: Capabilities,
    /// Where SHUTDOWN and RESTART go.
    pub control: mpsc::Sender<Control>,
    verifier: Arc<Verifier>,
    throttle: Mutex<Throttle>,
    /// Passwords are checked a few at a time, so that the network threads keep their share.
    checks: Semaphore,
    clients: AtomicUsize,
}

/// What a session may ask of the driver as a whole.
#[derive(Debug)]
pub enum Control {
    /// Is the configuration, read afresh, one to start with?
    CheckRestart(oneshot::Sender<bool>),
    /// Start again with the configuration read afresh.
    Restart,
    /// Stop serving.
    Shutdown,
}

/// Everything that a [`Context`] is made of.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Parts {
    pub hub: Arc<Hub>,
    pub limits: Limits,
    pub users: Arc<UserTable>,
    pub remotes: Remotes,
    pub variables: BTreeMap<String, String>,
    pub event_format: TextForm,
    pub capabilities: Capabilities,
    pub control: mpsc::Sender<Control>,
}

impl Context {
    /// A context with nobody logged in.
    ///
    /// # Errors
    /// [`RandomError`] where the system gives no random numbers.
    pub fn new(parts: Parts) -> Result<Arc<Self>, RandomError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            hub: parts.hub,
            limits: parts.limits,
            users: parts.users,
            remotes: parts.remotes,
            variables: Arc::new(parts.variables),
            event_format: parts.event_format,
            capabilities: parts.capabilities,
            control: parts.control,
            verifier: Arc::new(Verifier::new()?),
            throttle: Mutex::new(Throttle::new()),
            checks: Semaphore::new(cores.div_ceil(2)),
            clients: AtomicUsize::new(0),
        }))
    }

    /// A place for one more client; `None` where all are taken.
    fn seat(self: &Arc<Self>) -> Option<Seat> {
        let most = self.limits.max_clients;
        let one_more = |taken| (taken < most).then_some(taken + 1);
        self.clients
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .ok()?;
        Some(Seat(Arc::clone(self)))
    }
}

/// A place among `max-clients`, given back when it is dropped.
#[derive(Debug)]
struct Seat(Arc<Context>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

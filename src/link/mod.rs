//! The tcp/ip link server: the I/O shell around [`wire::link`](crate::wire::link).
//!
//! [`server`] accepts, [`connection`] moves bytes, [`perform`] does what a session asks for.
//! [`standing`] is what waits for links of other drivers, and [`linked`] a session of such a link.

mod connection;
mod input;
mod linked;
mod perform;
pub mod server;
pub mod standing;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use crate::event::text::TextForm;
use crate::gate::{Gate, Seats};
use crate::net::accept::Farewells;
use crate::wire::binary::Mark;
use crate::wire::binary::replay::Seen;
use crate::wire::link::Terms;
use crate::wire::link::reply::Capabilities;
use standing::Standings;

/// What all sessions of a link server share.
#[derive(Debug)]
pub struct Context {
    /// Who may come in.
    pub gate: Arc<Gate>,
    /// Where SHUTDOWN and RESTART go.
    pub control: mpsc::Sender<Control>,
    settings: RwLock<Arc<Settings>>,
    /// Binary frames that have come, and that went out.
    seen: Mutex<Seen>,
    seats: Arc<Seats>,
    farewells: Farewells,
    /// What waits for links of other drivers.
    standings: Arc<Standings>,
}

/// What may change while sessions go on, beside the rules of the gate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How event lines carry the time.
    pub event_format: TextForm,
    /// What WCYD tells.
    pub capabilities: Capabilities,
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
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        control: mpsc::Sender<Control>,
        settings: Settings,
        standings: Arc<Standings>,
    ) -> Arc<Self> {
        Arc::new(Self {
            control,
            seats: Seats::new(gate.rules().limits.max_clients),
            gate,
            settings: RwLock::new(Arc::new(settings)),
            seen: Mutex::default(),
            farewells: Farewells::default(),
            standings,
        })
    }

    /// What holds now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this holds, and so many places there are; sessions look at it when the rules of
    /// the gate are announced next.
    pub fn change(&self, settings: Settings, max_clients: usize) {
        self.seats.set_most(max_clients);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Frames go out; those that come are none of them.
    fn sent(&self, marks: impl Iterator<Item = Mark>) {
        let mut marks = marks.peekable();
        if marks.peek().is_some() {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.sent(marks);
        }
    }

    /// True for a frame that has not been here before.
    fn is_new(&self, mark: &Mark, login: bool) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_new(mark, login)
    }
}

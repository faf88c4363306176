//! The websocket server: the I/O shell around [`wire::ws`](crate::wire::ws).
//!
//! [`server`] accepts, [`http`] answers requests, [`opening`] opens websockets, [`connection`] moves
//! messages and [`held`] their end, [`perform`] does what a session asks for. [`pages`] has the files,
//! [`marks`] the logins that count once.

mod connection;
#[cfg(test)]
mod fixture;
mod held;
mod http;
mod marks;
mod opening;
mod pages;
mod perform;
pub mod server;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use marks::Marks;
use pages::Readers;
use tokio_util::sync::CancellationToken;

use crate::event::FilterPair;
use crate::gate::{Gate, Seats};
use crate::net::accept::Farewells;
use crate::wire::ws::Dialect;
pub use crate::wire::ws::Terms;

/// What ends a client from outside.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// It is to go.
    end: CancellationToken,
    /// It is to go because the server stops, and not because somebody else gets its place.
    stop: CancellationToken,
}

/// What all sessions of a websocket server share.
#[derive(Debug)]
pub struct Context {
    /// Who may come in.
    pub gate: Arc<Gate>,
    settings: RwLock<Arc<Settings>>,
    seats: Arc<Seats>,
    farewells: Farewells,
    marks: Arc<Marks>,
    readers: Readers,
}

/// What may change while sessions go on, beside the rules of the gate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The path of ws1, where it is spoken.
    pub ws1: Option<String>,
    /// The path of ws2.
    pub ws2: Option<String>,
    /// The folder whose files are served.
    pub web_root: Option<PathBuf>,
    /// The origins whose pages may connect; all where there is none.
    pub origins: Vec<String>,
    /// Clients at a time.
    pub max_clients: usize,
    /// Which events of websocket clients go any further.
    pub filter: FilterPair,
    /// In clear text nobody logs in.
    pub encrypted_only: bool,
    /// What sessions that begin from now on are made with.
    pub terms: Arc<Terms>,
}

impl Settings {
    /// What is spoken at a path.
    fn dialect(&self, path: &str) -> Option<Dialect> {
        let is = |known: &Option<String>| known.as_deref() == Some(path);
        match () {
            () if is(&self.ws1) => Some(Dialect::Ws1),
            () if is(&self.ws2) => Some(Dialect::Ws2),
            () => None,
        }
    }
}

impl Context {
    /// A context with nobody connected.
    #[must_use]
    pub fn new(gate: Arc<Gate>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            gate,
            seats: Seats::new(settings.max_clients),
            settings: RwLock::new(Arc::new(settings)),
            farewells: Farewells::default(),
            marks: Arc::default(),
            readers: Readers::default(),
        })
    }

    /// What holds now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this holds; sessions look at it when the rules of the gate are announced next.
    pub fn change(&self, settings: Settings) {
        self.seats.set_most(settings.max_clients);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}

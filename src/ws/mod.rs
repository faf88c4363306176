//! The websocket server: the I/O shell around [`wire::ws`](crate::wire::ws).
//!
//! [`server`] accepts, [`http`] answers requests and opens websockets, [`connection`] moves
//! messages, [`perform`] does what a session asks for. [`pages`] has the files.

mod connection;
mod http;
mod pages;
mod perform;
pub mod server;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::event::FilterPair;
use crate::gate::{Gate, Seats};
use crate::net::accept::Farewells;
pub use crate::wire::ws::Terms;
use crate::wire::ws::{Dialect, Sid};

/// What all sessions of a websocket server share.
#[derive(Debug)]
pub struct Context {
    /// Who may come in.
    pub gate: Arc<Gate>,
    settings: RwLock<Arc<Settings>>,
    seats: Arc<Seats>,
    farewells: Farewells,
    used: Mutex<Used>,
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
            used: Mutex::default(),
        })
    }

    /// What holds now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this holds; sessions look at it when the rules of the gate change next.
    pub fn change(&self, settings: Settings) {
        self.seats.set_most(settings.max_clients);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// The mark of a login, if it is free: nobody else has any of it, or has logged in with it.
    fn claim(self: &Arc<Self>, mark: [Sid; 2]) -> Option<Claim> {
        let mut used = self.used();
        let taken = |of: &HashSet<Sid>| mark.iter().any(|block| of.contains(block));
        if taken(&used.known) || taken(&used.claimed) {
            return None;
        }
        used.claimed.extend(mark);
        drop(used);
        Some(Claim {
            context: Arc::clone(self),
            mark,
        })
    }

    /// A login was right: its mark is good for no other.
    fn remember(&self, mark: [Sid; 2]) {
        let mut used = self.used();
        if used.known.contains(&mark[0]) {
            return;
        }
        if used.order.len() == Used::MOST
            && let Some(oldest) = used.order.pop_front()
        {
            for block in &oldest {
                used.known.remove(block);
            }
        }
        used.known.extend(mark);
        used.order.push_back(mark);
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The marks of logins: where a login may bring a vector of its own, whoever has seen one could send
/// it again on another connection.
#[derive(Debug, Default)]
struct Used {
    /// Of logins that were right. Who does not know the key makes none, and none forgotten.
    known: HashSet<Sid>,
    order: VecDeque<[Sid; 2]>,
    /// Of logins that are being checked.
    claimed: HashSet<Sid>,
}

impl Used {
    /// Logins that are remembered; with each further one the oldest is forgotten.
    const MOST: usize = 65_536;
}

/// The mark of a login that is being checked.
struct Claim {
    context: Arc<Context>,
    mark: [Sid; 2],
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut used = self.context.used();
        for block in &self.mark {
            used.claimed.remove(block);
        }
    }
}

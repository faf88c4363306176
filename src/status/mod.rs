//! Being watched: pages over HTTP that tell how the driver is, for programs and people.
//!
//! They are read alone, and nobody logs in: where others than this machine can connect, the
//! configuration says who. What they cost is bounded, whoever asks.

mod metrics;
mod pages;
pub mod server;
mod text;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::auth::Remotes;
use crate::gate::Gate;
use crate::net::accept::Farewells;
use crate::os::now;

/// What the status document says now.
pub type Document = Box<dyn Fn() -> Map<String, Value> + Send + Sync>;

/// Connections at a time. Each is a descriptor and some buffers, for some seconds.
const MOST: usize = 32;

/// What the pages are made of.
pub struct Context {
    gate: Arc<Gate>,
    document: Document,
    /// When the driver started, in nanoseconds since 1970.
    started: u64,
    allow: RwLock<Remotes>,
    places: Arc<Semaphore>,
    farewells: Farewells,
}

impl Context {
    /// Pages that everybody who can connect may read.
    #[must_use]
    pub fn new(gate: Arc<Gate>, document: Document) -> Arc<Self> {
        Arc::new(Self {
            gate,
            document,
            started: now(),
            allow: RwLock::default(),
            places: Arc::new(Semaphore::new(MOST)),
            farewells: Farewells::default(),
        })
    }

    /// From now on these may look.
    pub fn allow(&self, networks: Remotes) {
        *self.allow.write().unwrap_or_else(PoisonError::into_inner) = networks;
    }

    /// True where no list says who may look.
    fn is_for_this_machine(&self) -> bool {
        let allow = self.allow.read().unwrap_or_else(PoisonError::into_inner);
        allow.is_empty()
    }

    fn allows(&self, address: IpAddr) -> bool {
        let allow = self.allow.read().unwrap_or_else(PoisonError::into_inner);
        allow.allows(address)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

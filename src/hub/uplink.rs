//! Where clients' events go.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::{Latency, SharedEvent};
use crate::event::Event;

/// A way out for clients' events: a broker's outbox, or the host that calls VSCPRead.
///
/// Two steps, so that an event is taken by all uplinks or by none: [`reserve`](Self::reserve)
/// keeps room in each, then [`commit`](Self::commit) fills it, or [`release`](Self::release)
/// gives it back. None of them waits.
pub trait Uplink: Send + Sync + fmt::Debug {
    /// For people: `host`, or `broker.example:1883`.
    fn name(&self) -> &str;

    /// False for an uplink that counts what it has no room for; its reservation never fails.
    fn required(&self) -> bool {
        true
    }

    /// False for an event that the other side cannot bear: it is refused as it is.
    fn bears(&self, _event: &Event) -> bool {
        true
    }

    /// True where room is kept for this event; then exactly one `commit` or `release` follows.
    fn reserve(&self, event: &SharedEvent) -> bool;

    /// Takes an event that room was kept for.
    fn commit(&self, event: Arc<SharedEvent>);

    /// Gives back the room kept for an event.
    fn release(&self, event: &SharedEvent);

    /// Where an event is safe only after a while, waits until all that were committed are; the
    /// answer is false where that fails. `None` where an event is safe at once.
    fn secured(&self) -> Option<Pin<Box<dyn Future<Output = bool> + Send>>> {
        None
    }

    /// Where its other side is on the network, as far as that is known.
    fn at(&self) -> Option<SocketAddr> {
        None
    }

    /// How long events took from a client to its other side, where that is known.
    fn latency(&self) -> Option<Latency> {
        None
    }

    /// How it is.
    fn status(&self) -> UplinkStatus;
}

/// The state of an uplink, for TEST, INFO and the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UplinkStatus {
    /// True where events can leave now.
    pub up: bool,
    /// Events that wait.
    pub waiting: usize,
    /// Events that the other side has.
    pub delivered: u64,
    /// Events refused or dropped because there was no room.
    pub refused: u64,
    /// Events that can never leave: too large, or refused by the other side.
    pub rejected: u64,
    /// Events that it brought.
    pub received: u64,
    /// Connections that there have been.
    pub connections: u64,
    /// Those that could not be made, and those that broke.
    pub failures: u64,
    /// The last trouble, empty when there was none.
    pub trouble: String,
}

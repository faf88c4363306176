//! Links to other servers, as the hub reports of them.

use std::fmt;

/// How a link is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// What it is called.
    pub name: String,
    /// `host:port` of the far end.
    pub place: String,
    /// True where everything that it carries can go now; of one that connects only when there is
    /// something to do, whether that went well last.
    pub up: bool,
    /// Events that wait for the far end.
    pub waiting: usize,
    /// Events that the far end took.
    pub sent: u64,
    /// Events of the far end's that were taken.
    pub received: u64,
    /// Events that were sent once more, because no answer came: the far end may have them twice.
    pub resent: u64,
    /// Events that the far end, or an uplink here, will never take.
    pub rejected: u64,
    /// Events of this driver that came back and were dropped.
    pub suppressed: u64,
    /// Events that the link's filter kept back.
    pub filtered: u64,
    /// Lines that are no events.
    pub malformed: u64,
    /// Events dropped because `max-out-queue` was reached.
    pub dropped: u64,
    /// Connections that there have been.
    pub connections: u64,
    /// The last trouble, empty when there was none.
    pub trouble: String,
}

/// A link to another server that has a channel here.
pub trait Attached: Send + Sync + fmt::Debug {
    /// How it is.
    fn status(&self) -> LinkStatus;
}

//! Where uplinks' events come in.

use std::fmt;

use super::{SharedEvent, Uplink};
use crate::event::Event;

/// The hub, as an uplink sees it. None of its methods waits.
pub trait Downlink: Send + Sync + fmt::Debug {
    /// Hands an event to the clients.
    fn deliver(&self, event: Event);

    /// The same for an event that this uplink brings: whoever asks there which servers there are is
    /// answered by it.
    fn deliver_from(&self, event: Event, uplink: &dyn Uplink);

    /// One copy of this event is about to leave towards a place that it will come back from. To
    /// be called before it leaves, once for each copy; with `again` where this copy has left before,
    /// which lets an expectation that stands last longer.
    fn expect_echo(&self, event: &SharedEvent, again: bool);

    /// An event came that the uplink's own filter keeps back.
    fn filtered(&self);

    /// Something came that is no event; `source` is a topic, for instance.
    fn malformed(&self, source: &str, why: &dyn fmt::Display);
}

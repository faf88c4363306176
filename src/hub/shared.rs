//! An event that many queues share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::json::Generation;
use crate::event::text::{self, TextForm};
use crate::event::{Event, Tag};
use crate::wire::ws::{self, Dialect};

/// An event on its way, with the text of each kind of client made once for all of them.
#[derive(Debug)]
pub struct SharedEvent {
    event: Event,
    origin: Option<u16>,
    tag: Option<Tag>,
    line: OnceLock<Bytes>,
    messages: [OnceLock<Bytes>; 2],
}

impl SharedEvent {
    /// An event that came in by the channel `origin`, or from an uplink.
    #[must_use]
    pub fn new(event: Event, origin: Option<u16>) -> Arc<Self> {
        Self::tagged(event, origin, None)
    }

    /// The same with the tag that it goes by between drivers.
    #[must_use]
    pub fn tagged(event: Event, origin: Option<u16>, tag: Option<Tag>) -> Arc<Self> {
        Arc::new(Self {
            event,
            origin,
            tag,
            line: OnceLock::new(),
            messages: Default::default(),
        })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The id of the client channel that it came in by.
    #[must_use]
    pub fn origin(&self) -> Option<u16> {
        self.origin
    }

    /// What it goes by between drivers.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        self.tag
    }

    /// Bytes of memory that it stands for in a bounded queue.
    #[must_use]
    pub fn weight(&self) -> usize {
        const HEADER: usize = size_of::<SharedEvent>();
        HEADER + self.event.data.len()
    }

    /// The comma form with CR LF. The form is the driver's own, the same at each call.
    #[must_use]
    pub fn line(&self, form: TextForm) -> Bytes {
        let make = || {
            let mut out = Vec::with_capacity(96 + 5 * self.event.data.len());
            text::write(&self.event, form, &mut out);
            out.extend_from_slice(b"\r\n");
            Bytes::from(out)
        };
        self.line.get_or_init(make).clone()
    }

    /// The message that brings it to websocket clients. The names are the driver's own, the same
    /// at each call.
    #[must_use]
    pub fn message(&self, dialect: Dialect, generation: Generation) -> Bytes {
        let make = || {
            let mut out = Vec::with_capacity(256 + 5 * self.event.data.len());
            ws::write_event(dialect, &self.event, generation, &mut out);
            Bytes::from(out)
        };
        let at = match dialect {
            Dialect::Ws1 => 0,
            Dialect::Ws2 => 1,
        };
        self.messages[at].get_or_init(make).clone()
    }
}

//! An event that many queues share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::Event;
use crate::event::text::{self, TextForm};

/// An event on its way, with its text line made once for all clients.
#[derive(Debug)]
pub struct SharedEvent {
    event: Event,
    origin: Option<u16>,
    line: OnceLock<Bytes>,
}

impl SharedEvent {
    /// An event that came in by the channel `origin`, or from an uplink.
    #[must_use]
    pub fn new(event: Event, origin: Option<u16>) -> Arc<Self> {
        Arc::new(Self {
            event,
            origin,
            line: OnceLock::new(),
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
}

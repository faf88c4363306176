//! An event that many queues share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Origin;
use crate::event::json::Generation;
use crate::event::text::{self, TextForm};
use crate::event::{Event, Tag};
use crate::wire::ws::{self, Dialect};

/// An event on its way, with the text of each kind of client made once for all of them.
///
/// Each text is kept in the form that was asked for first: while a configuration holds there is no
/// other one. Where it changes, what still waits is made in its form for each client.
#[derive(Debug)]
pub struct SharedEvent {
    event: Event,
    origin: Option<Origin>,
    tag: Option<Tag>,
    /// When it came in, by [`clock`](super::clock); 0 where that is not known.
    entered: u64,
    line: Text<TextForm>,
    messages: [Text<Generation>; 2],
}

/// A text that is made once, and the form that it has.
type Text<F> = OnceLock<(F, Bytes)>;

impl SharedEvent {
    /// An event that came in by a channel, or from an uplink.
    #[must_use]
    pub fn new(event: Event, origin: Option<Origin>) -> Arc<Self> {
        Self::tagged(event, origin, None)
    }

    /// The same with the tag that it goes by between drivers.
    #[must_use]
    pub fn tagged(event: Event, origin: Option<Origin>, tag: Option<Tag>) -> Arc<Self> {
        Self::made(event, origin, tag, 0)
    }

    /// The same for one that comes in now, at this time of [`clock`](super::clock).
    pub(super) fn entering(
        event: Event,
        origin: Option<Origin>,
        tag: Tag,
        entered: u64,
    ) -> Arc<Self> {
        Self::made(event, origin, Some(tag), entered)
    }

    fn made(event: Event, origin: Option<Origin>, tag: Option<Tag>, entered: u64) -> Arc<Self> {
        Arc::new(Self {
            event,
            origin,
            tag,
            entered,
            line: OnceLock::new(),
            messages: Default::default(),
        })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The client channel that it came in by.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// What it goes by between drivers.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        self.tag
    }

    /// How long it has been here at this time of [`clock`](super::clock), in nanoseconds. `None` for
    /// one of a time before this driver's.
    #[must_use]
    pub fn age(&self, now: u64) -> Option<u64> {
        (self.entered > 0).then(|| now.saturating_sub(self.entered))
    }

    /// Bytes of memory that it stands for in a bounded queue.
    #[must_use]
    pub fn weight(&self) -> usize {
        const HEADER: usize = size_of::<SharedEvent>();
        HEADER + self.event.data.len()
    }

    /// The comma form with CR LF.
    #[must_use]
    pub fn line(&self, form: TextForm) -> Bytes {
        text_of(&self.line, form, || {
            let mut out = Vec::with_capacity(96 + 5 * self.event.data.len());
            text::write(&self.event, form, &mut out);
            out.extend_from_slice(b"\r\n");
            out
        })
    }

    /// The message that brings it to websocket clients; `generation` has the names of ws2.
    #[must_use]
    pub fn message(&self, dialect: Dialect, generation: Generation) -> Bytes {
        let (at, form) = match dialect {
            // It is the same with all names.
            Dialect::Ws1 => (0, Generation::Classic),
            Dialect::Ws2 => (1, generation),
        };
        text_of(&self.messages[at], form, || {
            let mut out = Vec::with_capacity(256 + 5 * self.event.data.len());
            ws::write_event(dialect, &self.event, generation, &mut out);
            out
        })
    }
}

/// The text in this form: the one that is kept, where it has it.
fn text_of<F: Copy + PartialEq>(kept: &Text<F>, form: F, make: impl Fn() -> Vec<u8>) -> Bytes {
    match kept.get_or_init(|| (form, Bytes::from(make()))) {
        (found, text) if *found == form => text.clone(),
        _ => Bytes::from(make()),
    }
}

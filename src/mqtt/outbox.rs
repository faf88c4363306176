//! Events on their way to a broker: waiting, in flight, acknowledged. Pure.
//!
//! An event leaves the outbox when the broker has all of its copies. When the connection breaks,
//! what is in flight goes back to the front, in order. Room is bounded in events and in bytes,
//! and kept before it is filled, so that several uplinks can agree.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::model::OutboxConfig;
use crate::hub::SharedEvent;

/// A bounded queue of events with a window of those in flight.
#[derive(Debug)]
pub(super) struct Outbox {
    most: Room,
    /// Kept for events that are not here yet.
    reserved: Room,
    /// What the events that are here take.
    held: Room,
    waiting: VecDeque<Entry>,
    flight: VecDeque<Flight>,
    /// The serial number of the first event in flight.
    first: u64,
    window: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    events: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    event: Arc<SharedEvent>,
    /// It has been in flight before.
    again: bool,
}

#[derive(Debug)]
struct Flight {
    entry: Entry,
    /// Copies that are not acknowledged; `None` until they are written.
    open: Option<usize>,
}

/// An event that has been put in flight.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) serial: u64,
    pub(super) event: Arc<SharedEvent>,
    pub(super) again: bool,
}

impl Outbox {
    /// `window` is how many events may be in flight.
    pub(super) fn new(most: OutboxConfig, window: usize) -> Self {
        Self {
            most: Room {
                events: most.max_events,
                bytes: most.max_bytes,
            },
            reserved: Room::default(),
            held: Room::default(),
            waiting: VecDeque::new(),
            flight: VecDeque::new(),
            first: 0,
            window,
        }
    }

    /// Keeps room for an event; false where there is none.
    pub(super) fn reserve(&mut self, event: &SharedEvent) -> bool {
        let events = self.held.events + self.reserved.events + 1;
        let bytes = self.held.bytes + self.reserved.bytes + event.weight();
        let room = events <= self.most.events && bytes <= self.most.bytes;
        if room {
            self.reserved.events += 1;
            self.reserved.bytes += event.weight();
        }
        room
    }

    /// Gives back room that was kept.
    pub(super) fn release(&mut self, event: &SharedEvent) {
        self.reserved.events = self.reserved.events.saturating_sub(1);
        self.reserved.bytes = self.reserved.bytes.saturating_sub(event.weight());
    }

    /// Takes an event that room was kept for; true where nothing waited before.
    pub(super) fn commit(&mut self, event: Arc<SharedEvent>) -> bool {
        self.release(&event);
        self.hold(&event);
        self.waiting.push_back(Entry {
            event,
            again: false,
        });
        self.waiting.len() == 1
    }

    /// Takes events of an outbox before this one, over its bounds if need be.
    pub(super) fn put_back(&mut self, events: Vec<Arc<SharedEvent>>) {
        for event in events {
            self.hold(&event);
            self.waiting.push_back(Entry { event, again: true });
        }
    }

    fn hold(&mut self, event: &SharedEvent) {
        self.held.events += 1;
        self.held.bytes += event.weight();
    }

    /// Puts the next event in flight, as the window allows.
    pub(super) fn take(&mut self) -> Option<Taken> {
        if self.flight.len() >= self.window {
            return None;
        }
        let entry = self.waiting.pop_front()?;
        let taken = Taken {
            serial: self.first + self.flight.len() as u64,
            event: Arc::clone(&entry.event),
            again: entry.again,
        };
        self.flight.push_back(Flight { entry, open: None });
        Some(taken)
    }

    /// True where another event could be put in flight at once.
    pub(super) fn can_take(&self) -> bool {
        self.flight.len() < self.window && !self.waiting.is_empty()
    }

    /// The copies of an event have been handed to the socket; so many await acknowledgement.
    pub(super) fn written(&mut self, serial: u64, open: usize) {
        if let Some(flight) = self.in_flight(serial) {
            flight.open = Some(open);
        }
    }

    /// The broker has a copy.
    pub(super) fn acknowledged(&mut self, serial: u64) {
        if let Some(Flight {
            open: Some(open), ..
        }) = self.in_flight(serial)
        {
            *open = open.saturating_sub(1);
        }
    }

    fn in_flight(&mut self, serial: u64) -> Option<&mut Flight> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        self.flight.get_mut(at)
    }

    /// Lets go of the events at the front that the broker has; gives how many they were.
    pub(super) fn settle(&mut self) -> usize {
        let mut count = 0;
        while let Some(Flight { open: Some(0), .. }) = self.flight.front() {
            if let Some(Flight { entry, .. }) = self.flight.pop_front() {
                self.held.events = self.held.events.saturating_sub(1);
                self.held.bytes = self.held.bytes.saturating_sub(entry.event.weight());
            }
            self.first += 1;
            count += 1;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 4096 {
            self.waiting.shrink_to(64);
        }
        count
    }

    /// The connection broke: what the broker may not have goes back to the front, in order.
    pub(super) fn lost(&mut self) {
        self.settle();
        self.first += self.flight.len() as u64;
        while let Some(Flight { entry, .. }) = self.flight.pop_back() {
            self.waiting.push_front(Entry {
                again: true,
                ..entry
            });
        }
    }

    /// Everything that the broker may not have, taken out in order.
    pub(super) fn take_all(&mut self) -> Vec<Arc<SharedEvent>> {
        self.lost();
        self.held = Room::default();
        self.waiting.drain(..).map(|entry| entry.event).collect()
    }

    /// Events that are here.
    pub(super) fn len(&self) -> usize {
        self.held.events
    }
}

#[cfg(test)]
mod tests;

//! Events on their way to a broker: waiting, in flight, acknowledged. Pure.
//!
//! An event leaves the outbox when the broker has all of its copies, one for each topic that it is
//! published to. When the broker has forgotten what was in flight, those events go back to the
//! front, in order, and each copy that the broker has already is not sent again. Room is bounded in
//! events and in bytes, and kept before it is filled, so that several uplinks can agree.

use std::collections::VecDeque;
use std::sync::Arc;

use super::session::Copy;
use crate::hub::{SharedEvent, Tally};

/// A bounded queue of events with a window of those in flight.
#[derive(Debug)]
pub(super) struct Outbox {
    most: Room,
    /// Kept for events that are not here yet.
    reserved: Room,
    /// What the events that are here take.
    held: Room,
    waiting: VecDeque<Entry>,
    flight: VecDeque<Entry>,
    /// The serial number of the first event in flight.
    first: u64,
    window: usize,
    /// A bit for each topic.
    all: u64,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// An event, and what has become of it.
#[derive(Debug)]
struct Entry {
    event: Arc<SharedEvent>,
    /// Its number on the disk, where it is there.
    number: Option<u64>,
    /// A bit for each copy that the broker has, or that nobody can have.
    done: u64,
    /// It has been in flight before.
    again: bool,
    /// A copy of it could not be published.
    rejected: bool,
}

/// An event in flight, looked at.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) event: Arc<SharedEvent>,
    pub(super) again: bool,
    done: u64,
}

impl Flying {
    /// True where a copy needs no publishing any more.
    pub(super) fn has(&self, outlet: u8) -> bool {
        self.done & (1 << outlet) != 0
    }
}

/// Events that left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    /// Their numbers on the disk.
    pub(super) numbers: Vec<u64>,
    /// How long those took that were delivered.
    pub(super) latency: Tally,
}

impl Outbox {
    /// `window` is how many events may be in flight, `outlets` how many copies each has, 64 at most.
    pub(super) fn new(most: Room, window: usize, outlets: usize) -> Self {
        Self {
            most,
            reserved: Room::default(),
            held: Room::default(),
            waiting: VecDeque::new(),
            flight: VecDeque::new(),
            first: 0,
            window,
            all: u64::MAX
                .checked_shr(64 - outlets.min(64) as u32)
                .unwrap_or(0),
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
    pub(super) fn commit(&mut self, event: Arc<SharedEvent>, number: Option<u64>) -> bool {
        self.release(&event);
        self.put_back(event, number);
        self.waiting.len() == 1
    }

    /// Takes an event over the bounds if need be: one of an outbox before this one.
    pub(super) fn put_back(&mut self, event: Arc<SharedEvent>, number: Option<u64>) {
        self.held.events += 1;
        self.held.bytes += event.weight();
        self.waiting.push_back(Entry {
            event,
            number,
            done: 0,
            again: false,
            rejected: false,
        });
    }

    /// Puts the next event in flight, as the window allows.
    pub(super) fn take(&mut self) -> bool {
        if !self.can_take() {
            return false;
        }
        self.flight.extend(self.waiting.pop_front());
        true
    }

    /// From now on no more than so many events are in flight.
    pub(super) fn narrow(&mut self, window: usize) {
        self.window = self.window.min(window);
    }

    /// Events in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.flight.len()
    }

    /// True where another event could be put in flight at once.
    pub(super) fn can_take(&self) -> bool {
        self.flight.len() < self.window && !self.waiting.is_empty()
    }

    /// The serial number of the first event in flight.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The serial number that the next event in flight will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.flight.len() as u64
    }

    /// An event in flight.
    pub(super) fn flying(&self, serial: u64) -> Option<Flying> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        let entry = self.flight.get(at)?;
        Some(Flying {
            event: Arc::clone(&entry.event),
            again: entry.again,
            done: entry.done,
        })
    }

    /// The broker has a copy, or, where it is rejected, will never have it.
    pub(super) fn done(&mut self, copy: Copy, rejected: bool) {
        let at = copy.serial.checked_sub(self.first);
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.flight.get_mut(at)) {
            entry.done |= 1 << copy.outlet;
            entry.rejected |= rejected;
        }
    }

    /// True where there are events to let go of.
    pub(super) fn can_settle(&self) -> bool {
        let first = self.flight.front();
        first.is_some_and(|entry| entry.done & self.all == self.all)
    }

    /// Lets go of the events at the front that are done with, at this time of the hub's clock.
    pub(super) fn settle(&mut self, now: u64) -> Settled {
        let mut settled = Settled::default();
        while self.can_settle()
            && let Some(entry) = self.flight.pop_front()
        {
            self.held.events = self.held.events.saturating_sub(1);
            self.held.bytes = self.held.bytes.saturating_sub(entry.event.weight());
            if entry.rejected {
                settled.rejected += 1;
            } else {
                settled.delivered += 1;
                let age = entry.event.age(now);
                age.into_iter().for_each(|age| settled.latency.add(age));
            }
            settled.numbers.extend(entry.number);
            self.first += 1;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 4096 {
            self.waiting.shrink_to(64);
        }
        settled
    }

    /// The broker has forgotten what was in flight: it goes back to the front, in order.
    pub(super) fn lost(&mut self) {
        self.first += self.flight.len() as u64;
        while let Some(entry) = self.flight.pop_back() {
            self.waiting.push_front(Entry {
                again: true,
                ..entry
            });
        }
    }

    /// Everything that is here, taken out in order.
    pub(super) fn take_all(&mut self) -> Vec<Arc<SharedEvent>> {
        self.lost();
        self.held = Room::default();
        self.waiting.drain(..).map(|entry| entry.event).collect()
    }

    /// True where half of the room is free: what was full is no longer.
    pub(super) fn is_roomy(&self) -> bool {
        self.held.events <= self.most.events / 2 && self.held.bytes <= self.most.bytes / 2
    }

    /// What is here.
    pub(super) fn held(&self) -> Room {
        self.held
    }
}

#[cfg(test)]
mod tests;

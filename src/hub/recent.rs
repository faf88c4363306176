//! What is remembered of the events of the last seconds, each by what nobody on the way rewrites.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::event::Event;

/// Something for each event that was there lately; equal ones, of one moment, are one.
#[derive(Debug, Default)]
pub(super) struct Recent<T> {
    hasher: RandomState,
    pub(super) known: HashMap<u64, Kept<T>>,
    /// Keys, and until when they matter.
    pub(super) order: VecDeque<(u64, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Kept<T> {
    pub(super) what: T,
    /// Entries of the order that are about it.
    entries: u32,
}

impl<T: Default> Recent<T> {
    /// How long a copy may take, in nanoseconds.
    pub(super) const PATIENCE: u64 = 10_000_000_000;
    /// Looks that are remembered; the oldest are forgotten first.
    pub(super) const MOST: usize = 200_000;

    /// What is known of an event, from now on for a while.
    pub(super) fn of(&mut self, event: &Event, now: u64) -> &mut T {
        self.forget(now);
        let key = self.hasher.hash_one((
            event.class,
            event.vscp_type,
            event.guid,
            event.head.priority(),
            &*event.data,
            event.time.seconds(),
            event.time.micros(),
        ));
        self.order
            .push_back((key, now.saturating_add(Self::PATIENCE)));
        let kept = self.known.entry(key).or_default();
        kept.entries += 1;
        &mut kept.what
    }

    fn forget(&mut self, now: u64) {
        while let Some(&(key, until)) = self.order.front() {
            if until > now && self.order.len() < Self::MOST {
                return;
            }
            self.order.pop_front();
            if let Some(kept) = self.known.get_mut(&key) {
                kept.entries -= 1;
                if kept.entries == 0 {
                    self.known.remove(&key);
                }
            }
        }
    }
}

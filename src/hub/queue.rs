//! The events that wait for one client: bounded, and when it is full the newest is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::SharedEvent;

/// A bounded queue with one reader. Pushing never waits.
#[derive(Debug)]
pub struct Queue {
    events: Mutex<VecDeque<Arc<SharedEvent>>>,
    most: AtomicUsize,
    /// Events that wait elsewhere, and take of the same room.
    besides: OnceLock<Arc<AtomicUsize>>,
    arrived: Notify,
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            events: Mutex::default(),
            most: AtomicUsize::new(most),
            besides: OnceLock::new(),
            arrived: Notify::new(),
        }
    }

    /// Another bound; what waits already stays.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// From now on events that wait elsewhere, as many as this says, take of the same room. Only
    /// the first one counts.
    pub fn share_room(&self, besides: Arc<AtomicUsize>) {
        let _ = self.besides.set(besides);
    }

    /// False where there was no room, and the event is dropped.
    pub(super) fn push(&self, event: Arc<SharedEvent>) -> bool {
        let mut events = self.lock();
        let besides = self.besides.get().map_or(0, |n| n.load(Ordering::Relaxed));
        if events.len() + besides >= self.most.load(Ordering::Relaxed) {
            return false;
        }
        events.push_back(event);
        let was_empty = events.len() == 1;
        drop(events);
        if was_empty {
            // A reader takes all there is before it waits again.
            self.arrived.notify_one();
        }
        true
    }

    /// Moves at most `count` events to the end of `out`. Where room is [shared](Self::share_room)
    /// they go on taking of it: they are added to what waits elsewhere in the same moment.
    pub fn take(&self, count: usize, out: &mut Vec<Arc<SharedEvent>>) {
        let mut events = self.lock();
        let count = count.min(events.len());
        out.extend(events.drain(..count));
        if let Some(besides) = self.besides.get() {
            besides.fetch_add(count, Ordering::Relaxed);
        }
        if events.is_empty() && events.capacity() > 1024 {
            events.shrink_to(16);
        }
    }

    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops what waits and is not wanted any more.
    pub(super) fn retain(&self, wanted: impl Fn(&SharedEvent) -> bool) {
        self.lock().retain(|event| wanted(event));
    }

    /// Drops what waits.
    pub fn clear(&self) {
        *self.lock() = VecDeque::new();
    }

    /// Returns once events wait.
    pub async fn arrived(&self) {
        while self.is_empty() {
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<SharedEvent>>> {
        // Every change is one call: there is no half-done state behind a poisoned lock.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Guid;
    use crate::event::text::{Defaults, parse};

    #[test]
    fn what_waits_elsewhere_takes_of_the_same_room() {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        let event = parse("0,20,3,,,,::1,1", &defaults).unwrap();
        let event = SharedEvent::new(event, None);
        let push = |queue: &Queue| queue.push(Arc::clone(&event));
        let queue = Queue::new(3);
        let besides = Arc::new(AtomicUsize::new(2));
        queue.share_room(Arc::clone(&besides));
        assert!(push(&queue) && !push(&queue));
        besides.store(0, Ordering::Relaxed);
        assert!(push(&queue) && push(&queue) && !push(&queue));
        queue.set_most(4);
        assert!(push(&queue) && !push(&queue));
        // Nor is there room between the taking and the counting.
        let mut taken = Vec::new();
        queue.take(9, &mut taken);
        assert_eq!((taken.len(), besides.load(Ordering::Relaxed)), (4, 4));
        assert!(!push(&queue));
        besides.store(0, Ordering::Relaxed);
        assert!(push(&queue));
    }
}

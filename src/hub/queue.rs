//! The events that wait for one client: bounded, and when it is full the newest is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::SharedEvent;

/// A bounded queue with one reader. Pushing never waits.
#[derive(Debug)]
pub struct Queue {
    events: Mutex<VecDeque<Arc<SharedEvent>>>,
    most: AtomicUsize,
    arrived: Notify,
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            events: Mutex::default(),
            most: AtomicUsize::new(most),
            arrived: Notify::new(),
        }
    }

    /// Another bound; what waits already stays.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// False where there was no room, and the event is dropped.
    pub(super) fn push(&self, event: Arc<SharedEvent>) -> bool {
        let mut events = self.lock();
        if events.len() >= self.most.load(Ordering::Relaxed) {
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

    /// Moves at most `count` events to the end of `out`.
    pub fn take(&self, count: usize, out: &mut Vec<Arc<SharedEvent>>) {
        let mut events = self.lock();
        let count = count.min(events.len());
        out.extend(events.drain(..count));
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

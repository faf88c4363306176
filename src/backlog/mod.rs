//! Events that wait until somebody has them, in memory or on the disk too.
//!
//! | module | what |
//! |---|---|
//! | [`spool`] | events, and a few notes, in a folder |
//! | `moving` | a backlog that comes to another folder while it is used |
//!
//! A [`Backlog`] numbers the events that wait for one other side, keeps them until it says that it
//! has them, and remembers how far it has heard that side: so that after a break each of the two
//! goes on where the other one is. It takes what comes in the queue of a channel, and both share
//! the bound of that queue.

mod moving;
pub mod spool;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::hub::{Queue, SharedEvent};
use spool::{Kept, KeptEvent, LAST_WRITE, Spool, SpoolError};

/// The note with the number of the queue.
const QUEUE: &str = "queue";
/// The note with what was heard.
const HEARD: &str = "heard";
/// The note that says whose it is.
const WHO: &str = "who";
/// The note that the other side has asked for what waits.
const WANTED: &str = "wanted";
/// Events that are numbered before others have their turn.
const BATCH: usize = 256;

/// What waits for one other side.
#[derive(Debug)]
pub struct Backlog {
    state: Mutex<State>,
    changed: Notify,
    /// How many wait.
    held: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct State {
    /// What tells this queue from one that was forgotten.
    queue: u64,
    /// The last number given.
    last: u64,
    events: VecDeque<Numbered>,
    heard: Option<Heard>,
    /// What of it was noted.
    noted: Option<Heard>,
    /// The other side has asked for them.
    wanted: bool,
    /// Where they are, besides.
    spool: Option<Arc<Spool>>,
}

impl State {
    /// Gives an event the next number.
    fn put(&mut self, event: Arc<SharedEvent>) {
        let number = match &self.spool {
            // Under the lock, so that numbers are in the order of the events.
            Some(spool) => spool.put(event.event(), event.tag()),
            None => self.last + 1,
        };
        self.last = number;
        self.events.push_back(Numbered { number, event });
    }
}

/// An event and its number in the queue. Numbers grow, and there may be gaps.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// From 1.
    pub number: u64,
    /// The event.
    pub event: Arc<SharedEvent>,
}

/// What is left of a backlog that was in memory, for the one that goes on.
#[derive(Clone, Debug)]
pub struct Left {
    queue: u64,
    last: u64,
    events: VecDeque<Numbered>,
    heard: Option<Heard>,
    wanted: bool,
}

impl Left {
    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True where none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// How far the other side was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    queue: u64,
    last: u64,
}

impl Heard {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(*bytes.first_chunk()?));
        Some(Self {
            queue: number(bytes)?,
            last: number(bytes.get(8..)?)?,
        })
    }

    fn write(self) -> Vec<u8> {
        let mut note = self.queue.to_be_bytes().to_vec();
        note.extend(self.last.to_be_bytes());
        note
    }
}

impl Backlog {
    /// One in memory, with a random number for its queue.
    #[must_use]
    pub fn in_memory(queue: u64) -> Self {
        Self {
            state: Mutex::new(State {
                queue,
                last: 0,
                events: VecDeque::new(),
                heard: None,
                noted: None,
                wanted: false,
                spool: None,
            }),
            changed: Notify::new(),
            held: Arc::default(),
        }
    }

    /// One on the disk, with what is there of the last time: then its queue is the one of that
    /// time, and `queue` the number of a new one. `who` is kept with it.
    ///
    /// # Errors
    /// [`SpoolError`] names the file.
    pub fn on_disk(folder: &Path, sync: bool, who: &str, queue: u64) -> Result<Self, SpoolError> {
        let (spool, kept) = Spool::open(folder, sync)?;
        let Kept {
            events,
            notes,
            last,
        } = kept;
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(*bytes.first_chunk()?));
        let queue = match notes.get(QUEUE).and_then(|bytes| number(bytes)) {
            Some(known) => known,
            None => {
                spool.note(QUEUE, queue.to_be_bytes().to_vec());
                queue
            }
        };
        spool.note(WHO, who.as_bytes().to_vec());
        let heard = notes.get(HEARD).and_then(|bytes| Heard::read(bytes));
        let numbered = |kept: KeptEvent| Numbered {
            number: kept.number,
            event: SharedEvent::tagged(kept.event, None, kept.tag),
        };
        let events: VecDeque<Numbered> = events.into_iter().map(numbered).collect();
        Ok(Self {
            held: Arc::new(AtomicUsize::new(events.len())),
            state: Mutex::new(State {
                queue,
                last,
                events,
                heard,
                noted: heard,
                wanted: notes.contains_key(WANTED),
                spool: Some(Arc::new(spool)),
            }),
            changed: Notify::new(),
        })
    }

    /// Whose a folder is, by what was kept with it, and how many events wait there.
    ///
    /// # Errors
    /// [`SpoolError`] where it cannot be read.
    pub fn whose(folder: &Path) -> Result<(String, usize), SpoolError> {
        let (_, kept) = Spool::open(folder, false)?;
        let who = kept.notes.get(WHO).cloned().unwrap_or_default();
        Ok((
            String::from_utf8(who).unwrap_or_default(),
            kept.events.len(),
        ))
    }

    /// Numbers what comes in a queue, for ever: whether or not the other side is there.
    pub async fn follow(&self, queue: &Queue) -> Infallible {
        queue.share_room(Arc::clone(&self.held));
        loop {
            queue.arrived().await;
            self.take_from(queue);
            tokio::task::yield_now().await;
        }
    }

    /// Numbers all that is in a queue, into which nothing comes any more.
    pub fn take_rest(&self, queue: &Queue) {
        while !queue.is_empty() {
            self.take_from(queue);
        }
    }

    fn take_from(&self, queue: &Queue) {
        let mut events = Vec::new();
        // Under the lock: nobody counts again before all of them are there.
        let mut state = self.state();
        queue.take(BATCH, &mut events);
        events.into_iter().for_each(|event| state.put(event));
        self.counted(state);
    }

    /// Takes an event, over the bound of the queue if need be.
    pub fn put(&self, event: Arc<SharedEvent>) {
        let mut state = self.state();
        state.put(event);
        self.counted(state);
    }

    /// There are others than before.
    fn counted(&self, state: MutexGuard<'_, State>) {
        self.count(&state);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().events.len()
    }

    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What tells this queue from one that was forgotten.
    #[must_use]
    pub fn queue(&self) -> u64 {
        self.state().queue
    }

    /// The last number that was given.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.state().last
    }

    /// The number of the first event that waits.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.state().events.front().map(|one| one.number)
    }

    /// At most `count` of the events behind this number.
    #[must_use]
    pub fn after(&self, number: u64, count: usize) -> Vec<Numbered> {
        let state = self.state();
        let start = state.events.partition_point(|one| one.number <= number);
        state
            .events
            .iter()
            .skip(start)
            .take(count)
            .cloned()
            .collect()
    }

    /// Events up to this number.
    #[must_use]
    pub fn up_to(&self, number: u64) -> usize {
        self.state()
            .events
            .partition_point(|one| one.number <= number)
    }

    /// Returns once there is an event behind this number.
    pub async fn arrived_after(&self, number: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on nothing that is put goes unnoticed.
            changed.as_mut().enable();
            if self
                .state()
                .events
                .back()
                .is_some_and(|one| one.number > number)
            {
                return;
            }
            changed.await;
        }
    }

    /// The other side has all up to this number; gives how many these were.
    pub fn acknowledge(&self, number: u64) -> usize {
        let mut state = self.state();
        let end = state.events.partition_point(|one| one.number <= number);
        let gone: Vec<u64> = state.events.drain(..end).map(|one| one.number).collect();
        if state.events.is_empty() && state.events.capacity() > 4096 {
            state.events.shrink_to(64);
        }
        self.count(&state);
        if gone.is_empty() {
            return 0;
        }
        let count = gone.len();
        if let Some(spool) = &state.spool {
            spool.remove(gone);
        }
        drop(state);
        self.changed.notify_waiters();
        count
    }

    /// The other side has asked for what waits, now or before.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.state().wanted
    }

    /// The other side asks for what waits.
    pub fn want(&self) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.wanted, true);
        if let Some(spool) = state.spool.as_ref().filter(|_| !before) {
            spool.note(WANTED, Vec::new());
        }
    }

    /// How far that queue of the other side was heard; 0 for another one.
    #[must_use]
    pub fn heard(&self, queue: u64) -> u64 {
        let heard = self.state().heard;
        heard
            .filter(|heard| heard.queue == queue)
            .map_or(0, |heard| heard.last)
    }

    /// The queue of the other side that was heard last, and how far.
    #[must_use]
    pub fn heard_last(&self) -> (u64, u64) {
        self.state()
            .heard
            .map_or((0, 0), |heard| (heard.queue, heard.last))
    }

    /// An event of that queue was taken.
    pub fn hear(&self, queue: u64, last: u64) {
        self.state().heard = Some(Heard { queue, last });
    }

    /// What was heard is on the disk soon. To be called when what was taken is safe itself.
    pub fn note_heard(&self) {
        let mut state = self.state();
        state.noted = state.heard;
        if let (Some(spool), Some(heard)) = (&state.spool, state.heard) {
            spool.note(HEARD, heard.write());
        }
    }

    /// Waits until all that was put is on the disk, where there is one; false where it cannot be.
    pub fn secured(&self) -> impl Future<Output = bool> + Send + use<> {
        let secured = self.spool().map(|spool| spool.secured());
        async move {
            match secured {
                Some(secured) => secured.await,
                None => true,
            }
        }
    }

    /// True where it is on the disk.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        self.spool().is_some()
    }

    fn spool(&self) -> Option<Arc<Spool>> {
        self.state().spool.clone()
    }

    /// Writes what is left, and how far the other side was heard, and lets go of the disk. What
    /// was taken from there has to be as safe by now as it gets.
    pub fn close(&self) {
        self.close_until(Instant::now() + LAST_WRITE);
    }

    /// Lets the disk write what is left, before [`close_until`](Self::close_until) waits for it.
    pub fn begin_close(&self) {
        self.note_heard();
        if let Some(spool) = self.spool() {
            spool.begin_close();
        }
    }

    /// [`close`](Self::close) until a moment that several share.
    pub fn close_until(&self, deadline: Instant) {
        self.begin_close();
        if let Some(spool) = self.spool() {
            spool.close_until(deadline);
        }
    }

    /// Everything that waits, taken out in order; on the disk it stays.
    #[must_use]
    pub fn take_all(&self) -> Left {
        let mut state = self.state();
        let events = std::mem::take(&mut state.events);
        self.count(&state);
        Left {
            queue: state.queue,
            last: state.last,
            events,
            heard: state.heard,
            wanted: state.wanted,
        }
    }

    /// Goes on where another one was left: in memory with its numbers, so that the other side
    /// knows what it has. On the disk, or where something waits already, behind that.
    pub fn put_back(&self, left: Left) {
        let mut state = self.state();
        if state.spool.is_some() || state.last > 0 {
            drop(state);
            self.inherit(left.wanted, left.heard);
            left.events.into_iter().for_each(|one| self.put(one.event));
            return;
        }
        *state = State {
            queue: left.queue,
            last: left.last,
            events: left.events,
            heard: left.heard,
            noted: left.heard,
            wanted: left.wanted,
            spool: None,
        };
        self.count(&state);
        drop(state);
        self.changed.notify_waiters();
    }

    fn count(&self, state: &State) {
        self.held.store(state.events.len(), Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole: there is no half-done state behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

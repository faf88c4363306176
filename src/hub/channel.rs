//! A client channel: what the hub knows of one logged-in client, or of the far end of a link.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

use super::SharedEvent;
use super::queue::Queue;
use crate::auth::{Name, Rights, Service, User};
use crate::event::{Event, FilterPair, Guid};
use crate::wire::link::reply::LastError;

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client that came to one of the servers.
    Client(Service),
    /// A link to another server.
    Link,
    /// What waits for a link of another server's, whether or not it is here.
    Standing,
}

/// One attachment of a client to the hub.
#[derive(Debug)]
pub struct Channel {
    id: u16,
    serial: u64,
    user: RwLock<Arc<User>>,
    /// Counts the users that there have been.
    changes: AtomicU64,
    kind: Kind,
    /// Channels to one far end have the same number here; 0 is a channel alone.
    group: AtomicU64,
    /// Nothing is put into the queue: the client is served from another channel.
    deaf: AtomicBool,
    peer: RwLock<Arc<str>>,
    started: u64,
    guid: RwLock<Guid>,
    filter: RwLock<FilterPair>,
    queue: Queue,
    counters: Counters,
    overflowing: AtomicBool,
    last_error: Mutex<LastError>,
    ended: CancellationToken,
}

/// What went through a channel; received is from the client.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that were dropped because the queue was full.
    pub overruns: AtomicU64,
    /// Data bytes of events from the client.
    pub received_bytes: AtomicU64,
    /// Events from the client.
    pub received: AtomicU64,
    /// Data bytes of events to the client.
    pub transmitted_bytes: AtomicU64,
    /// Events to the client.
    pub transmitted: AtomicU64,
}

/// Error codes of the driver's C interface that INFO reports.
pub(super) mod code {
    pub(in crate::hub) const FIFO_FULL: u32 = 9;
    pub(in crate::hub) const TRANSMIT_FULL: u32 = 21;
    pub(in crate::hub) const PARAMETER: u32 = 34;
}

/// By which channel an event came in, while it is here and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its id, which another channel may have by now.
    pub id: u16,
    /// What no other channel has.
    serial: u64,
    /// The group that it was in.
    group: u64,
}

impl Origin {
    /// Of an event of ours that is for somebody beyond an uplink.
    pub(super) const NOBODY: Self = Self {
        id: 0,
        serial: 0,
        group: 0,
    };

    /// Of a channel that there is not.
    #[cfg(test)]
    pub(crate) fn of(id: u16) -> Self {
        Self {
            id,
            serial: u64::MAX - u64::from(id),
            group: 0,
        }
    }

    /// True where it was in the group of this channel.
    pub(super) fn is_beside(&self, channel: &Channel) -> bool {
        self.group != 0 && self.group == channel.group()
    }

    /// The link that it is of, or itself.
    pub(super) fn way(&self) -> u64 {
        match self.group {
            0 => self.serial,
            group => group,
        }
    }
}

impl Channel {
    pub(super) fn new(id: u16, guid: Guid, kind: Kind, who: super::Client, most: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id,
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            filter: RwLock::new(who.user.filter),
            user: RwLock::new(who.user),
            changes: AtomicU64::new(0),
            kind,
            group: AtomicU64::new(0),
            deaf: AtomicBool::new(false),
            peer: RwLock::new(who.peer.into()),
            started: who.now,
            guid: RwLock::new(guid),
            queue: Queue::new(most),
            counters: Counters::default(),
            overflowing: AtomicBool::new(false),
            last_error: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    /// The channel's id, which is the obid of events that come in by it.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// What events that come in by it have.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            id: self.id,
            serial: self.serial,
            group: self.group(),
        }
    }

    /// True where an event came in by this channel.
    pub(super) fn is(&self, origin: Origin) -> bool {
        self.serial == origin.serial
    }

    /// True where it came in by this channel, or by another one of its link.
    pub(super) fn is_of(&self, origin: Origin) -> bool {
        self.is(origin) || origin.is_beside(self)
    }

    /// Who is logged in.
    #[must_use]
    pub fn user(&self) -> Arc<User> {
        Arc::clone(&self.user.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The user is another from now on, with other rights. What waits and may not be received any
    /// more is dropped; another filter counts where the client has not
    /// set its own, or may not have one any more.
    pub fn set_user(&self, user: Arc<User>) {
        // While it is locked nothing is put into the queue.
        let mut current = self.user.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, &user) {
            let mut filter = self.filter.write().unwrap_or_else(PoisonError::into_inner);
            let own = *filter != current.filter && user.rights.contains(Rights::SETFILTER);
            if !own {
                *filter = user.filter;
            }
            drop(filter);
            self.queue.retain(|event| user.may_receive(event.event()));
        }
        *current = user;
        drop(current);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Another number after each [`set_user`](Self::set_user).
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes it into the group of a link, by what the link is called here: what came in by one of
    /// its channels leaves by none of them, nor by those of the same link after a RESTART.
    pub fn join(&self, link: &str) {
        let mut hasher = DefaultHasher::new();
        link.hash(&mut hasher);
        // No group is 0.
        self.group.store(hasher.finish() | 1, Ordering::Relaxed);
    }

    pub(super) fn group(&self) -> u64 {
        self.group.load(Ordering::Relaxed)
    }

    /// Address of the client, or of the far end.
    #[must_use]
    pub fn peer(&self) -> Arc<str> {
        Arc::clone(&self.peer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The far end of its link is somewhere else.
    pub fn set_peer(&self, peer: String) {
        *self.peer.write().unwrap_or_else(PoisonError::into_inner) = peer.into();
    }

    /// When the client logged in, in nanoseconds since 1970.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started
    }

    /// The channel's GUID.
    #[must_use]
    pub fn guid(&self) -> Guid {
        *self.guid.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the channel's GUID.
    pub fn set_guid(&self, guid: Guid) {
        *self.guid.write().unwrap_or_else(PoisonError::into_inner) = guid;
    }

    /// Nothing waits for the client here any more, and nothing will.
    pub fn stop_listening(&self) {
        self.deaf.store(true, Ordering::Relaxed);
        self.queue.clear();
    }

    /// It is served from here after all.
    pub fn listen(&self) {
        self.deaf.store(false, Ordering::Relaxed);
    }

    /// The filter for events to the client.
    #[must_use]
    pub fn filter(&self) -> FilterPair {
        *self.filter.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the filter for events to the client.
    pub fn set_filter(&self, filter: FilterPair) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
    }

    /// The events that wait for the client.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What went through.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Cancelled when somebody wants the client gone.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// The last error.
    pub fn last_error(&self) -> MutexGuard<'_, LastError> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a mistake of the client.
    pub fn mistake(&self, text: String) {
        *self.last_error() = LastError {
            code: code::PARAMETER,
            subcode: 0,
            text,
        };
    }

    /// Counts events that have been written to the client.
    pub fn transmitted(&self, events: &[Arc<SharedEvent>]) {
        let bytes = events
            .iter()
            .map(|event| event.event().data.len() as u64)
            .sum();
        self.counters
            .transmitted
            .fetch_add(events.len() as u64, Ordering::Relaxed);
        self.counters
            .transmitted_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn received(&self, event: &Event) {
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        self.counters
            .received_bytes
            .fetch_add(event.data.len() as u64, Ordering::Relaxed);
    }

    /// True where the client wants this event, and may have it.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        // In the order of set_user.
        let user = self.user.read().unwrap_or_else(PoisonError::into_inner);
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        filter.passes(event) && user.may_receive(event)
    }

    /// Puts an event into the queue; false where it was dropped.
    pub(super) fn offer(&self, event: &Arc<SharedEvent>) -> bool {
        if self.deaf.load(Ordering::Relaxed) {
            return true;
        }
        let user = self.user.read().unwrap_or_else(PoisonError::into_inner);
        if !user.may_receive(event.event()) {
            // It was wanted a moment ago.
            return true;
        }
        let pushed = self.queue.push(Arc::clone(event));
        drop(user);
        if pushed {
            if self.overflowing.load(Ordering::Relaxed) {
                self.overflowing.store(false, Ordering::Relaxed);
            }
            return true;
        }
        let overruns = self.counters.overruns.fetch_add(1, Ordering::Relaxed) + 1;
        *self.last_error() = LastError {
            code: code::FIFO_FULL,
            subcode: overruns,
            text: "events dropped: the client reads too slowly".to_owned(),
        };
        if !self.overflowing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                channel = self.id,
                client = %self.peer(),
                user = %Name(&self.user().name),
                overruns,
                "the queue of a client is full, events to it are dropped"
            );
        }
        false
    }
}

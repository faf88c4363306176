//! What of a link goes on when its configuration is another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::LinkError;
use super::intake::Intake;
use crate::auth::{AllowedEvents, Credential, Privilege, Remotes, Rights, User};
use crate::backlog::Backlog;
use crate::config::model::LinkConfig;
use crate::event::{Event, FilterPair};
use crate::hub::{Channel, Client, Hub, Kind};
use crate::os::now;

/// Its channel at the hub, what waits in either direction, and what is known of what was sent. No
/// event misses a link that changes: its channel stays where it is.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) channel: Arc<Channel>,
    /// Events that were taken from the channel's queue and that the far end may not have.
    pub(super) backlog: Backlog,
    /// The far end gives its events numbers, and takes ours by theirs; as far as is known.
    numbers: AtomicBool,
    /// Up to this one they may have been sent.
    pub(super) doubtful: AtomicU64,
    pub(super) counters: Counters,
    /// Events of the far end's that found no room yet, in order.
    inbox: Mutex<VecDeque<Event>>,
    intake: Mutex<Intake>,
    born: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) ours: AtomicU64,
    pub(super) filtered: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) connections: AtomicU64,
}

impl Store {
    /// Attaches a link to the hub.
    pub(super) fn new(
        config: &LinkConfig,
        hub: &Arc<Hub>,
        backlog: Backlog,
    ) -> Result<Self, LinkError> {
        let client = Client {
            user: Arc::new(user_of(config)),
            kind: Kind::Link,
            peer: peer_of(config),
            now: now(),
        };
        let channel = hub
            .attach_with(client, config.max_out_queue)
            .map_err(|error| LinkError::Attach(config.name.clone(), error))?;
        channel.join(&channel.user().name);
        hub.has_plain_link(true);
        Ok(Self {
            channel,
            backlog,
            numbers: AtomicBool::new(false),
            doubtful: AtomicU64::new(0),
            counters: Counters::default(),
            inbox: Mutex::default(),
            intake: Mutex::new(Intake::new(hub.guid(), config.filter_in)),
            born: Instant::now(),
        })
    }

    /// From now on it is the one of a link of the same name, of another configuration.
    pub(super) fn change(&self, old: &LinkConfig, new: &LinkConfig, hub: &Hub) {
        self.channel.set_user(Arc::new(user_of(new)));
        self.channel.queue().set_most(new.max_out_queue);
        self.numbers(false, hub);
        if place_of(old) == place_of(new) {
            self.intake().set_filter(new.filter_in);
            return;
        }
        self.channel.set_peer(peer_of(new));
        // Of what was sent to the one far end nothing comes back from the other.
        *self.intake() = Intake::new(hub.guid(), new.filter_in);
        self.doubtful.store(0, Ordering::Relaxed);
        hub.unlearn(self.channel.id());
    }

    /// Whether the far end numbers events.
    pub(super) fn numbers(&self, numbers: bool, hub: &Hub) {
        if self.numbers.swap(numbers, Ordering::Relaxed) != numbers {
            hub.has_plain_link(!numbers);
        }
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn intake(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// `host:port` of the far end.
pub(super) fn place_of(config: &LinkConfig) -> String {
    match config.host.contains(':') {
        true => format!("[{}]:{}", config.host, config.port),
        false => format!("{}:{}", config.host, config.port),
    }
}

fn peer_of(config: &LinkConfig) -> String {
    format!("{} {}", config.name, place_of(config))
}

/// A link may do what its direction says. Nobody logs in by that name: it has a colon, which ends
/// a name where it is checked, and no password gives that credential.
fn user_of(config: &LinkConfig) -> User {
    let rights = match config.direction.outward {
        true => Rights::ADMIN,
        false => Rights::SEND_EVENT,
    };
    User {
        name: format!("link:{}", config.name),
        credential: Credential::nobody(),
        full_name: String::new(),
        note: String::new(),
        rights,
        privilege: Privilege::HIGHEST,
        remotes: Remotes::default(),
        allowed: AllowedEvents::default(),
        max_sessions: None,
        filter: match config.direction.outward {
            true => config.filter_out,
            false => FilterPair::default(),
        },
    }
}

//! The router between client channels and uplinks.
//!
//! Two one-way valves keep loops and doubles out: a client's event goes to uplinks (and to other
//! clients only by way of an uplink, or with `interconnect`), an uplink's event goes to clients
//! and never to an uplink. Nothing here waits: queues are bounded, and what has no room is
//! refused (towards uplinks) or dropped and counted (towards clients).

mod attached;
mod channel;
mod down;
mod echo;
mod health;
mod latency;
mod queue;
mod recent;
mod responder;
mod routes;
mod shared;
mod sink;
mod tags;
mod traffic;
mod twins;
mod up;
mod uplink;
mod ways;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use thiserror::Error;

pub use attached::{Attached, LinkStatus};
pub use channel::{Channel, Counters, Kind, Origin};
pub use echo::{Echo, Echoes};
pub use latency::{BOUNDS, Histogram, Latency, Tally, clock};
pub use queue::Queue;
pub use responder::{Asker, Responder, ResponderStatus};
pub use shared::SharedEvent;
pub use sink::Downlink;
pub use traffic::Traffic;
pub use uplink::{Uplink, UplinkStatus};

use routes::Routes;
use tags::Tags;
use twins::Twins;
use ways::Ways;

use crate::auth::{Service, User, random};
use crate::event::{Event, FilterPair, Guid, Tag};

/// How a hub routes; it may change while it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Events that may wait for one client of the link server.
    pub max_out_queue: usize,
    /// Events that may wait for one websocket client.
    pub max_websocket_queue: usize,
    /// False hides an event from the client that sent it.
    pub receive_sent_events: bool,
    /// True hands a client's event to the other clients at once.
    pub interconnect: bool,
    /// What comes from uplinks to clients.
    pub filter_in: FilterPair,
    /// What goes from clients to uplinks.
    pub filter_out: FilterPair,
}

impl Routing {
    /// Links have their own bounds.
    fn queue_of(&self, kind: Kind) -> Option<usize> {
        match kind {
            Kind::Client(Service::Link) | Kind::Standing => Some(self.max_out_queue),
            Kind::Client(Service::Websocket) => Some(self.max_websocket_queue),
            Kind::Link => None,
        }
    }
}

/// How a hub that is closed tells events from each other, for the one that goes on: what comes back
/// to it, or comes again, is known.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    origin: Option<u64>,
    tagged: u64,
    tags: Tags,
}

/// Who attaches.
#[derive(Debug)]
pub struct Client {
    /// The user that logged in; of a link, what it may do.
    pub user: Arc<User>,
    /// What for.
    pub kind: Kind,
    /// The address that it came from.
    pub peer: String,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SubmitError {
    /// An uplink's other side cannot bear it.
    #[error("the event cannot be handed on")]
    Unbearable,
    /// An uplink, or the channel that the event is addressed to, has no room.
    #[error("no room for the event")]
    Full,
}

/// What became of an event that has a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All uplinks have it.
    Taken,
    /// It was here before, or comes from here.
    Known,
}

/// Why nobody can attach.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AttachError {
    /// No id is left for another channel.
    #[error("all 65535 channel ids are taken")]
    NoChannel,
    /// The user has as many sessions as are allowed.
    #[error("the user has {0} sessions, which is max-sessions")]
    Sessions(u16),
}

/// What went through the hub.
#[derive(Debug, Default)]
pub struct Totals {
    /// Events that clients sent and uplinks took.
    pub submitted: AtomicU64,
    /// Events of clients that found no room.
    pub refused: AtomicU64,
    /// Events that a filter kept back, in either direction.
    pub filtered: AtomicU64,
    /// Events that uplinks brought.
    pub delivered: AtomicU64,
    /// Copies dropped because a client's queue was full.
    pub dropped: AtomicU64,
    /// Messages of uplinks that are no events.
    pub malformed: AtomicU64,
    /// Events of other servers that were here before, or come from here.
    pub suppressed: AtomicU64,
}

/// The router. One per driver.
#[derive(Debug)]
pub struct Hub {
    /// The driver's; channels get theirs from it.
    guid: Guid,
    routing: RwLock<Routing>,
    channels: RwLock<Arc<Vec<Arc<Channel>>>>,
    uplinks: RwLock<Arc<Vec<Arc<dyn Uplink>>>>,
    links: RwLock<Vec<Arc<dyn Attached>>>,
    responder: RwLock<Option<Arc<dyn Responder>>>,
    echoes: Mutex<Echoes>,
    /// What events of this driver have in their tags.
    origin: u64,
    /// Tags that were given.
    tagged: AtomicU64,
    tags: Mutex<Tags>,
    /// There are links, or there have been.
    linked: AtomicBool,
    /// Links of this driver without tags, or not known to have any yet.
    plain_links: AtomicUsize,
    /// One of another driver has been here.
    plain_session: AtomicBool,
    ways: Mutex<Ways>,
    twins: Mutex<Twins>,
    routes: RwLock<Routes>,
    /// Uplinks that only bring.
    sources: RwLock<Vec<Arc<dyn Uplink>>>,
    totals: Totals,
    /// What went through channels that are gone, by their kinds.
    gone: Mutex<[Traffic; 4]>,
    /// How long events took to clients of each service.
    deliveries: [Histogram; 2],
    /// Nothing is taken any more.
    closed: AtomicBool,
}

impl Hub {
    /// A hub with no channel and no uplink.
    #[must_use]
    pub fn new(guid: Guid, routing: Routing) -> Arc<Self> {
        Self::resume(guid, routing, Memory::default())
    }

    /// One that goes on where another one was closed.
    #[must_use]
    pub fn resume(guid: Guid, routing: Routing, memory: Memory) -> Arc<Self> {
        // Without random numbers nobody logs in either: a link alone would be left.
        let new = || random().map_or(1, u64::from_ne_bytes);
        let origin = memory.origin.unwrap_or_else(new);
        Arc::new(Self {
            guid,
            routing: RwLock::new(routing),
            channels: RwLock::default(),
            uplinks: RwLock::default(),
            links: RwLock::default(),
            responder: RwLock::default(),
            echoes: Mutex::default(),
            origin,
            tagged: AtomicU64::new(memory.tagged),
            tags: Mutex::new(memory.tags),
            linked: AtomicBool::new(false),
            plain_links: AtomicUsize::new(0),
            plain_session: AtomicBool::new(false),
            ways: Mutex::default(),
            twins: Mutex::default(),
            routes: RwLock::default(),
            sources: RwLock::default(),
            totals: Totals::default(),
            gone: Mutex::default(),
            deliveries: Default::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// What went through.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// From now on it routes like this.
    pub fn change(&self, routing: Routing) {
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = routing;
        for channel in self.channels().iter() {
            if let Some(most) = routing.queue_of(channel.kind()) {
                channel.queue().set_most(most);
            }
        }
    }

    /// From now on no event of a channel's is taken. When this returns, none is on its way into any
    /// uplink.
    pub fn close(&self) {
        let _none_on_its_way = self.uplinks.write().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Relaxed);
    }

    /// What the next one shall know. It is closed.
    pub fn memory(&self) -> Memory {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        Memory {
            origin: Some(self.origin),
            tagged: self.tagged.load(Ordering::Relaxed),
            tags: tags.clone(),
        }
    }

    fn routing(&self) -> Routing {
        *self.routing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a way out.
    pub fn add_uplink(&self, uplink: Arc<dyn Uplink>) {
        let mut uplinks = self.uplinks.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut uplinks).push(uplink);
    }

    /// From now on these are the ways out. When this returns, no event is on its way into any of
    /// the others.
    pub fn set_uplinks(&self, uplinks: Vec<Arc<dyn Uplink>>) {
        *self.uplinks.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(uplinks);
    }

    /// The ways out.
    #[must_use]
    pub fn uplinks(&self) -> Arc<Vec<Arc<dyn Uplink>>> {
        Arc::clone(&self.uplinks.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// There is a link, in the place of the one of its name.
    pub fn add_link(&self, link: Arc<dyn Attached>) {
        let name = link.status().name;
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        match links.iter_mut().find(|one| one.status().name == name) {
            Some(before) => *before = link,
            None => links.push(link),
        }
    }

    /// The link of this name is gone.
    pub fn remove_link(&self, name: &str) {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.status().name != name);
    }

    /// How the links are.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        links.iter().map(|link| link.status()).collect()
    }

    /// The channels, in the order of their ids.
    #[must_use]
    pub fn channels(&self) -> Arc<Vec<Arc<Channel>>> {
        Arc::clone(&self.channels.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The driver's GUID.
    #[must_use]
    pub fn guid(&self) -> Guid {
        self.guid
    }

    /// Makes a channel with the lowest free id, from 1.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach(&self, client: Client) -> Result<Arc<Channel>, AttachError> {
        let most = self.routing().queue_of(client.kind).unwrap_or(0);
        self.attach_with(client, most)
    }

    /// The same with a queue for so many events.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach_with(&self, client: Client, most: usize) -> Result<Arc<Channel>, AttachError> {
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(most) = client.user.max_sessions
            && client.kind != Kind::Standing
        {
            let of_the_user = |channel: &&Arc<Channel>| {
                channel.user().name == client.user.name && channel.kind() != Kind::Standing
            };
            if channels.iter().filter(of_the_user).count() >= usize::from(most) {
                return Err(AttachError::Sessions(most));
            }
        }
        // The list is in the order of ids: the first gap is where id and place part.
        let at = channels
            .iter()
            .zip(1_u16..)
            .position(|(channel, id)| channel.id() != id)
            .unwrap_or(channels.len());
        let id = u16::try_from(at + 1).map_err(|_| AttachError::NoChannel)?;
        let guid = self.guid.channel(id);
        let kind = client.kind;
        if matches!(kind, Kind::Link | Kind::Standing) {
            self.linked.store(true, Ordering::Relaxed);
        }
        let channel = Arc::new(Channel::new(id, guid, kind, client, most));
        Arc::make_mut(&mut channels).insert(at, Arc::clone(&channel));
        Ok(channel)
    }

    /// Takes a channel away; what waits for it goes with it.
    pub fn detach(&self, id: u16) {
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        for channel in channels.iter().filter(|channel| channel.id() == id) {
            gone[channel.kind().index()].add(channel);
        }
        drop(gone);
        Arc::make_mut(&mut channels).retain(|channel| channel.id() != id);
        drop(channels);
        self.unlearn(id);
    }

    /// What is beyond that channel is not known any more.
    pub fn unlearn(&self, id: u16) {
        self.routes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(id);
    }

    /// Events for this interface go to that channel alone from now on: it is beyond a link.
    pub fn learn(&self, interface: &Guid, channel: &Channel) {
        let known = |routes: &Routes| routes.of(interface).is_some();
        if !known(&self.routes.read().unwrap_or_else(PoisonError::into_inner)) {
            self.routes
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .learn(interface, channel.id());
        }
    }

    /// The far end of a link uses a broker that this driver uses too.
    pub fn shares_a_broker(&self) {
        self.twins().share();
    }

    /// A client is a link without tags: events that come by it are looked at more closely, and
    /// those that may come back.
    pub fn has_plain_session(&self) {
        self.plain_session.store(true, Ordering::Relaxed);
        self.linked.store(true, Ordering::Relaxed);
    }

    /// The same for a link of this driver's: there is one more, or one less.
    pub fn has_plain_link(&self, one: bool) {
        match one {
            true => self.plain_links.fetch_add(1, Ordering::Relaxed),
            false => self.plain_links.fetch_sub(1, Ordering::Relaxed),
        };
    }

    fn has_plain(&self) -> bool {
        self.plain_session.load(Ordering::Relaxed) || self.plain_links.load(Ordering::Relaxed) > 0
    }

    /// An event that came by a link without a tag, and was found to come from here.
    pub fn suppressed(&self) {
        self.totals.suppressed.fetch_add(1, Ordering::Relaxed);
    }

    /// A tag for an event that has none.
    #[must_use]
    pub fn new_tag(&self) -> Tag {
        Tag {
            origin: self.origin,
            number: self.tagged.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    /// To the one channel that the event is addressed to.
    fn hand_over(&self, target: &Channel, event: &Arc<SharedEvent>) -> bool {
        if !target.wants(event.event()) {
            return true;
        }
        target.offer(event)
    }

    /// The channel that has the interface that an event is for, or the link that it is beyond; but
    /// what comes from there does not go back, and what a link does not carry goes elsewhere.
    fn owner_of(&self, event: &Event, sender: Option<Origin>) -> Option<Arc<Channel>> {
        let interface = event.interface()?;
        let channels = self.channels();
        let own = channels
            .iter()
            .find(|channel| channel.guid().same_interface(&interface));
        if own.is_some() {
            return own.cloned();
        }
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let beyond = self.with_id(routes.of(&interface)?)?;
        let back = sender.is_some_and(|sender| beyond.is_of(sender));
        (!back && beyond.wants(event)).then_some(beyond)
    }

    fn with_id(&self, id: u16) -> Option<Arc<Channel>> {
        let channels = self.channels();
        let at = channels.binary_search_by_key(&id, |channel| channel.id());
        at.ok().map(|at| Arc::clone(&channels[at]))
    }

    fn fan_out(&self, event: &Arc<SharedEvent>, to: impl Fn(&Channel) -> bool) {
        for channel in self.channels().iter() {
            if to(channel) && channel.wants(event.event()) && !channel.offer(event) {
                self.totals.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn twins(&self) -> MutexGuard<'_, Twins> {
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What counts by which ways events came, where that matters.
    fn ways(&self) -> Option<MutexGuard<'_, Ways>> {
        self.has_plain()
            .then(|| self.ways.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn echoes(&self) -> MutexGuard<'_, Echoes> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! A link as the driver sees it.

use std::collections::VecDeque;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::LinkError;
use super::connection::Terms;
use super::intake::Verdict;
use super::store::{Store, place_of};
use super::worker::Worker;
use crate::auth::random;
use crate::backlog::spool::{Spool, SpoolError};
use crate::backlog::{Backlog, Left, Numbered};
use crate::config::model::LinkConfig;
use crate::event::text::TextForm;
use crate::event::{Event, Tag};
use crate::hub::{Arrival, Attached, Channel, Hub, LinkStatus, SharedEvent, SubmitError};
use crate::net::stream::Route;
use crate::net::tls::client;

/// A link to another server.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    hub: Arc<Hub>,
    /// Of the links of this name, one after another.
    store: Arc<Store>,
    state: Mutex<State>,
}

/// A connection of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It sends.
    Out,
    /// It receives.
    In,
}

#[derive(Debug, Default)]
struct State {
    out: bool,
    inward: bool,
    /// Why there is no connection, as it was said last; per side.
    trouble: [String; 2],
    /// It was said that the user may not number events.
    plain: bool,
    /// Reasons why events were refused, to say each once.
    reasons: Vec<String>,
}

/// Events that a link could not hand over.
#[derive(Clone, Debug)]
pub struct Unsent {
    /// What the link is called.
    pub name: String,
    /// Where they are not on the disk, the events, and how far each side has heard the other.
    pub left: Option<Left>,
    /// How many wait on the disk.
    pub on_disk: usize,
    /// Where.
    pub folder: Option<PathBuf>,
    /// Events of the far end's that found no room.
    pub received: VecDeque<Event>,
}

/// Where links keep what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The folder.
    pub folder: PathBuf,
    /// What is written is on the disk, not only with the system.
    pub sync: bool,
}

impl Disk {
    /// A folder for each link: names have nothing in them that a folder cannot have.
    fn folder_of(&self, config: &LinkConfig) -> PathBuf {
        self.folder.join(config.name.replace(':', "="))
    }
}

impl Link {
    /// Makes a link, and the task that works for it until `stop`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn start(
        config: &LinkConfig,
        hub: &Arc<Hub>,
        form: TextForm,
        disk: Option<&Disk>,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>), LinkError> {
        let terms = Self::terms(config)?;
        let queue = u64::from_ne_bytes(random()?);
        let backlog = match disk {
            Some(disk) => {
                let folder = disk.folder_of(config);
                Backlog::on_disk(&folder, disk.sync, &config.name, queue)?
            }
            None => Backlog::in_memory(queue),
        };
        if !backlog.is_empty() {
            tracing::info!(
                link = config.name,
                events = backlog.len(),
                "events of the last time wait for the far end"
            );
        }
        let store = Store::new(config, hub, backlog)?;
        let link = Arc::new(Self {
            config: config.clone(),
            hub: Arc::clone(hub),
            store: Arc::new(store),
            state: Mutex::default(),
        });
        hub.add_link(Arc::clone(&link) as _);
        let worker = Worker::new(Arc::clone(&link), terms, form);
        Ok((link, worker.run(stop)))
    }

    /// Makes the one that can [succeed](Self::succeed) this one, of another configuration.
    ///
    /// # Errors
    /// [`LinkError`]: then nothing has happened.
    pub fn heir(
        &self,
        config: &LinkConfig,
        form: TextForm,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>), LinkError> {
        let terms = Self::terms(config)?;
        let link = Arc::new(Self {
            config: config.clone(),
            hub: Arc::clone(&self.hub),
            store: Arc::clone(&self.store),
            state: Mutex::default(),
        });
        let worker = Worker::new(Arc::clone(&link), terms, form);
        Ok((link, worker.run(stop)))
    }

    /// Goes on in the place of the one that it is the heir of, whose task has ended. What has come
    /// meanwhile waits in the channel that both have.
    pub fn succeed(self: &Arc<Self>, before: &Self) {
        self.store.change(&before.config, &self.config, &self.hub);
        self.hub.add_link(Arc::clone(self) as _);
    }

    /// Whether such a link can be made, as far as that can be seen beforehand.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn check(config: &LinkConfig) -> Result<(), LinkError> {
        Self::terms(config).map(drop)
    }

    fn terms(config: &LinkConfig) -> Result<Terms, LinkError> {
        Ok(Terms {
            route: Route {
                host: config.host.clone(),
                port: config.port,
                bind: None,
                tls: config.tls.as_ref().map(client::config).transpose()?,
                nodelay: true,
            },
            user: config.user.clone(),
            password: config.password.clone(),
            cipher: config.cipher.clone(),
            patience: config.response_timeout,
        })
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Its channel at the hub.
    pub(super) fn channel(&self) -> &Arc<Channel> {
        &self.store.channel
    }

    /// Events that wait for the far end.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.store.backlog.len() + self.store.channel.queue().len()
    }

    /// What it is called at a far end of this kind: another driver may have a link of this name.
    pub(super) fn far_name(&self) -> String {
        let guid = self.hub.guid();
        let digits: String = guid.bytes().iter().map(|b| format!("{b:02X}")).collect();
        format!("{}-{digits}", self.config.name)
    }

    /// What waits, numbered.
    pub(super) fn backlog(&self) -> &Backlog {
        &self.store.backlog
    }

    /// The router.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Returns when the far end has everything, at the latest at the deadline.
    pub async fn drain(&self, deadline: Instant) {
        const LOOK: Duration = Duration::from_millis(20);
        // What waits since the link went the other way as well goes nowhere now.
        let sends = self.config.direction.outward;
        while sends && self.waiting() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets the disk write what is left, before [`take_waiting`](Self::take_waiting) waits for it.
    /// Its task has ended.
    pub fn begin_close(&self) {
        self.hub.detach(self.store.channel.id());
        self.hub.remove_link(&self.config.name);
        // It is none any more.
        self.numbers(true);
        self.store.backlog.take_rest(self.store.channel.queue());
        self.store.backlog.begin_close();
    }

    /// Ends it: what the far end may not have.
    #[must_use]
    pub fn take_waiting(&self, deadline: Instant) -> Unsent {
        let left = self.store.backlog.take_all();
        let in_memory = !self.store.backlog.is_on_disk();
        if !in_memory {
            self.store.backlog.close_until(deadline);
        }
        Unsent {
            name: self.config.name.clone(),
            on_disk: if in_memory { 0 } else { left.len() },
            left: in_memory.then_some(left),
            folder: self.folder(),
            received: std::mem::take(&mut *self.store.inbox()),
        }
    }

    /// True where what waits is kept there.
    #[must_use]
    pub fn is_at(&self, disk: Option<&Disk>) -> bool {
        let place = disk.map(|disk| (disk.folder_of(&self.config), disk.sync));
        self.store.backlog.place() == place
    }

    /// Where what waits is kept.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.store.backlog.place().map(|(folder, _)| folder)
    }

    /// From now on what waits is kept there, or in memory alone; it goes along.
    ///
    /// # Errors
    /// [`SpoolError`]: where it is not [there](Self::is_at), nothing has happened; else what was
    /// in the folder before is still there too.
    pub async fn move_to(&self, disk: Option<&Disk>) -> Result<(), SpoolError> {
        let backlog = &self.store.backlog;
        let before = backlog.place();
        let folder = disk.map(|disk| disk.folder_of(&self.config));
        let place = disk.zip(folder.as_deref());
        let place = place.map(|(disk, folder)| (folder, disk.sync));
        let events = backlog.move_to(place, &self.config.name).await?;
        if let Some((before, _)) = before.filter(|(before, _)| Some(before) != folder.as_ref()) {
            self.say_moved(events, &before);
        }
        Ok(())
    }

    /// Whether what waits can be kept there, as far as that can be seen beforehand.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn check_disk(config: &LinkConfig, disk: &Disk) -> Result<(), LinkError> {
        Ok(Spool::check(&disk.folder_of(config))?)
    }

    /// Takes what waits in another folder.
    ///
    /// # Errors
    /// [`SpoolError`]: it is still there.
    pub async fn take_over(&self, folder: &Path) -> Result<(), SpoolError> {
        let here = self.store.backlog.place();
        if here.is_some_and(|(here, _)| here == folder) {
            return Ok(());
        }
        let events = self.store.backlog.take_over(folder).await?;
        self.say_moved(events, folder);
        Ok(())
    }

    fn say_moved(&self, events: usize, folder: &Path) {
        let (link, folder) = (&self.config.name, folder.display());
        tracing::info!(link, events, "what waited in {folder} goes along");
    }

    /// Goes on where a link before this one was left.
    pub fn put_back(&self, unsent: Unsent) {
        let Unsent { left, received, .. } = unsent;
        if let Some(left) = left {
            self.store.backlog.put_back(left);
        }
        self.store.inbox().extend(received);
    }

    /// Takes an event of the far end's, which waits where there is no room for it now.
    pub(super) fn take(&self, event: Event) {
        let verdict = self.store.intake().judge(&event, self.store.age());
        match verdict {
            Verdict::Ours => {
                self.store.counters.ours.fetch_add(1, Ordering::Relaxed);
                self.hub.suppressed();
            }
            Verdict::Filtered => {
                self.store.counters.filtered.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Theirs => {
                let mut inbox = self.store.inbox();
                // In order: whoever comes behind one that waits waits too.
                if !inbox.is_empty() || !self.submit(&event) {
                    inbox.push_back(event);
                }
            }
        }
    }

    /// Hands on what found no room, as far as there is some now.
    pub(super) fn put(&self) {
        let mut inbox = self.store.inbox();
        while let Some(event) = inbox.front() {
            if !self.submit(event) {
                return;
            }
            inbox.pop_front();
        }
        inbox.shrink_to(64);
    }

    /// Events that have found no room yet.
    pub(super) fn found_no_room(&self) -> usize {
        self.store.inbox().len()
    }

    /// True where more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.found_no_room() < self.config.max_in_queue
    }

    /// Hands an event of the far end's on, as the first time or once more.
    fn submit(&self, event: &Event) -> bool {
        let event = self.own(event);
        let arrived = self.hub.arrive_plain(self.channel(), &event, self.beyond());
        self.settle(arrived)
    }

    /// An event of a far end of this kind: false where there is no room for it now.
    pub(super) fn take_numbered(&self, tag: Tag, event: &Event) -> bool {
        let counters = &self.store.counters;
        if self.store.intake().comes_from_here(&event.guid) {
            counters.ours.fetch_add(1, Ordering::Relaxed);
            self.hub.suppressed();
            return true;
        }
        if !self.config.filter_in.passes(event) {
            counters.filtered.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let event = self.own(event);
        let arrived = self.hub.arrive(self.channel(), &event, tag, self.beyond());
        self.settle(arrived)
    }

    /// False where there was no room.
    fn settle(&self, arrived: Result<Arrival, SubmitError>) -> bool {
        let counters = &self.store.counters;
        let counter = match arrived {
            Ok(Arrival::Taken) => &counters.received,
            Ok(Arrival::Known) => &counters.ours,
            Err(SubmitError::Full) => return false,
            Err(SubmitError::Unbearable) => &counters.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Where events come from is beyond this link, if anything can be sent there.
    fn beyond(&self) -> Option<&Channel> {
        let outward = self.config.direction.outward;
        outward.then_some(&*self.store.channel)
    }

    /// As it comes in by this link.
    fn own(&self, event: &Event) -> Event {
        Event {
            obid: u32::from(self.store.channel.id()),
            ..event.clone()
        }
    }

    pub(super) fn malformed(&self, why: &dyn std::fmt::Display) {
        self.store
            .counters
            .malformed
            .fetch_add(1, Ordering::Relaxed);
        tracing::debug!(link = self.config.name, "not an event, dropped: {why}");
    }

    /// An event is about to leave.
    pub(super) fn sending(&self, one: &Numbered) {
        let again = self.store.doubtful.fetch_max(one.number, Ordering::Relaxed) >= one.number;
        if again {
            self.store.counters.resent.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.store.age();
        self.store.intake().sending(&one.event, again, now);
    }

    /// An event is about to leave for a far end that takes each once.
    pub(super) fn sending_numbered(&self, number: u64) {
        if self.store.doubtful.fetch_max(number, Ordering::Relaxed) >= number {
            self.store.counters.resent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The far end has an event.
    pub(super) fn sent(&self, event: &Arc<SharedEvent>) {
        self.store.counters.sent.fetch_add(1, Ordering::Relaxed);
        self.store.channel.transmitted(std::slice::from_ref(event));
    }

    /// The far end will never have an event. Said once for each reason, of a few.
    pub(super) fn refused(&self, why: &str) {
        const MOST: usize = 16;
        self.store.counters.rejected.fetch_add(1, Ordering::Relaxed);
        let reasons = &mut self.state().reasons;
        if reasons.len() < MOST && !reasons.iter().any(|known| known == why) {
            reasons.push(why.to_owned());
            tracing::warn!(
                link = self.config.name,
                "the far end refuses an event, which is dropped: {why}"
            );
        }
    }

    /// A connection stands and is logged in.
    pub(super) fn connected(&self) {
        self.store
            .counters
            .connections
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Events can go; true where they could not before.
    pub(super) fn goes(&self, side: Side) -> bool {
        let mut state = self.state();
        let (up, trouble) = state.side(side);
        let news = !std::mem::replace(up, true);
        trouble.clear();
        news
    }

    /// Notes why there is no connection; true where it is another reason than the last one.
    pub(super) fn disconnected(&self, side: Side, trouble: String) -> bool {
        let mut state = self.state();
        let (up, known) = state.side(side);
        let news = std::mem::take(up) || *known != trouble;
        *known = trouble;
        news
    }

    /// The connection that sends has this channel at the far end.
    pub(super) fn introduced(&self, id: Option<u32>, guid: Option<crate::event::Guid>) {
        let now = self.store.age();
        if self.store.intake().connected(id, guid, now) {
            tracing::warn!(
                link = self.config.name,
                "the far end has the GUID of this driver: give each its own, or events that go \
                 in a circle are not known by it"
            );
        }
    }

    /// Whether the far end numbers events.
    pub(super) fn numbers(&self, numbers: bool) {
        self.store.numbers(numbers, &self.hub);
    }

    /// The far end is of this kind, and will not have this link's user number its events. Said
    /// once.
    pub(super) fn may_not_number(&self) {
        if !std::mem::replace(&mut self.state().plain, true) {
            tracing::warn!(
                link = self.config.name,
                user = self.config.user,
                "the far end gives the user no right \"link\": events go as to any other server, and \
                 some may be lost or come twice"
            );
        }
    }

    /// True where that was so.
    pub(super) fn may_not(&self) -> bool {
        self.state().plain
    }

    /// There is this interface at the far end.
    pub(super) fn interface(&self, guid: &crate::event::Guid) {
        if !self.store.intake().comes_from_here(guid) {
            self.hub.learn(guid, &self.store.channel);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attached for Link {
    fn status(&self) -> LinkStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.store.counters;
        let state = self.state();
        let direction = self.config.direction;
        LinkStatus {
            name: self.config.name.clone(),
            place: place_of(&self.config),
            up: (state.out || !direction.outward) && (state.inward || !direction.inward),
            waiting: self.waiting(),
            sent: count(&counters.sent),
            received: count(&counters.received),
            resent: count(&counters.resent),
            rejected: count(&counters.rejected),
            suppressed: count(&counters.ours),
            filtered: count(&counters.filtered),
            malformed: count(&counters.malformed),
            dropped: count(&self.store.channel.counters().overruns),
            connections: count(&counters.connections),
            trouble: state
                .trouble
                .iter()
                .find(|trouble| !trouble.is_empty())
                .cloned()
                .unwrap_or_default(),
        }
    }
}

impl State {
    fn side(&mut self, side: Side) -> (&mut bool, &mut String) {
        let [out, inward] = &mut self.trouble;
        match side {
            Side::Out => (&mut self.out, out),
            Side::In => (&mut self.inward, inward),
        }
    }
}

//! A link as the driver sees it.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::LinkError;
use super::connection::Terms;
use super::intake::{Intake, Verdict};
use super::worker::Worker;
use crate::auth::{AllowedEvents, Credential, Privilege, Remotes, Rights, User, random};
use crate::backlog::{Backlog, Left, Numbered};
use crate::config::model::LinkConfig;
use crate::event::text::TextForm;
use crate::event::{Event, FilterPair, Tag};
use crate::hub::{
    Arrival, Attached, Channel, Client, Hub, Kind, LinkStatus, SharedEvent, SubmitError,
};
use crate::net::stream::Route;
use crate::net::tls::client;
use crate::os::now;

/// A link to another server.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    hub: Arc<Hub>,
    channel: Arc<Channel>,
    /// Events that were taken from the channel's queue and that the far end may not have.
    backlog: Backlog,
    /// The far end gives its events numbers, and takes ours by theirs; as far as is known.
    numbers: AtomicBool,
    /// Up to this one they may have been sent.
    doubtful: AtomicU64,
    /// Events of the far end's that found no room yet, in order.
    inbox: Mutex<VecDeque<Event>>,
    intake: Mutex<Intake>,
    state: Mutex<State>,
    counters: Counters,
    born: Instant,
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

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    resent: AtomicU64,
    rejected: AtomicU64,
    ours: AtomicU64,
    filtered: AtomicU64,
    malformed: AtomicU64,
    connections: AtomicU64,
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
        let client = Client {
            user: Arc::new(user_of(config)),
            kind: Kind::Link,
            peer: format!("{} {}", config.name, place_of(config)),
            now: now(),
        };
        let channel = hub
            .attach_with(client, config.max_out_queue)
            .map_err(|error| LinkError::Attach(config.name.clone(), error))?;
        channel.join(&channel.user().name);
        let link = Arc::new(Self {
            config: config.clone(),
            hub: Arc::clone(hub),
            channel,
            backlog,
            numbers: AtomicBool::new(false),
            doubtful: AtomicU64::new(0),
            inbox: Mutex::default(),
            intake: Mutex::new(Intake::new(hub.guid(), config.filter_in)),
            state: Mutex::default(),
            counters: Counters::default(),
            born: Instant::now(),
        });
        hub.has_plain_link(true);
        hub.add_link(Arc::clone(&link) as _);
        let worker = Worker::new(Arc::clone(&link), terms, form);
        Ok((link, worker.run(stop)))
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
        &self.channel
    }

    /// Events that wait for the far end.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.backlog.len() + self.channel.queue().len()
    }

    /// What it is called at a far end of this kind: another driver may have a link of this name.
    pub(super) fn far_name(&self) -> String {
        let guid = self.hub.guid();
        let digits: String = guid.bytes().iter().map(|b| format!("{b:02X}")).collect();
        format!("{}-{digits}", self.config.name)
    }

    /// What waits, numbered.
    pub(super) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// The router.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Returns when the far end has everything, at the latest at the deadline.
    pub async fn drain(&self, deadline: Instant) {
        const LOOK: Duration = Duration::from_millis(20);
        while self.waiting() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets the disk write what is left, before [`take_waiting`](Self::take_waiting) waits for it.
    /// Its task has ended.
    pub fn begin_close(&self) {
        self.hub.detach(self.channel.id());
        self.hub.remove_link(&self.config.name);
        // It is none any more.
        self.numbers(true);
        let lost = std::mem::take(&mut *self.inbox()).len();
        if lost > 0 {
            tracing::warn!(
                link = self.config.name,
                "{lost} events from the far end had found no room"
            );
        }
        self.backlog.take_rest(self.channel.queue());
        self.backlog.begin_close();
    }

    /// Ends it: what the far end may not have.
    #[must_use]
    pub fn take_waiting(&self, deadline: Instant) -> Unsent {
        let left = self.backlog.take_all();
        let name = self.config.name.clone();
        if self.backlog.is_on_disk() {
            self.backlog.close_until(deadline);
            let on_disk = left.len();
            return Unsent {
                name,
                left: None,
                on_disk,
            };
        }
        Unsent {
            name,
            left: Some(left),
            on_disk: 0,
        }
    }

    /// Goes on where a link before this one was left.
    pub fn put_back(&self, left: Left) {
        self.backlog.put_back(left);
    }

    /// Takes an event of the far end's, which waits where there is no room for it now.
    pub(super) fn take(&self, event: Event) {
        let mut inbox = self.inbox();
        // In order: whoever comes behind one that waits waits too.
        if !inbox.is_empty() || !self.take_in(&event) {
            inbox.push_back(event);
        }
    }

    /// Hands on what found no room, as far as there is some now.
    pub(super) fn put(&self) {
        let mut inbox = self.inbox();
        while let Some(event) = inbox.front() {
            if !self.take_in(event) {
                return;
            }
            inbox.pop_front();
        }
        inbox.shrink_to(64);
    }

    /// Events that have found no room yet.
    pub(super) fn found_no_room(&self) -> usize {
        self.inbox().len()
    }

    /// True where more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.found_no_room() < self.config.max_in_queue
    }

    /// A line that is an event of the far end's: false where there is no room for it now.
    fn take_in(&self, event: &Event) -> bool {
        let verdict = self.intake().judge(event, self.age());
        match verdict {
            Verdict::Ours => {
                self.counters.ours.fetch_add(1, Ordering::Relaxed);
                self.hub.suppressed();
                true
            }
            Verdict::Filtered => {
                self.counters.filtered.fetch_add(1, Ordering::Relaxed);
                true
            }
            Verdict::Theirs => self.submit(event),
        }
    }

    /// Hands an event of the far end's on, as the first time or once more.
    fn submit(&self, event: &Event) -> bool {
        self.settle(
            event,
            self.hub.arrive_plain(&self.channel, &self.own(event)),
        )
    }

    /// An event of a far end of this kind: false where there is no room for it now.
    pub(super) fn take_numbered(&self, tag: Tag, event: &Event) -> bool {
        if self.intake().comes_from_here(&event.guid) {
            self.counters.ours.fetch_add(1, Ordering::Relaxed);
            self.hub.suppressed();
            return true;
        }
        if !self.config.filter_in.passes(event) {
            self.counters.filtered.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let arrived = self.hub.arrive(&self.channel, &self.own(event), tag);
        self.settle(event, arrived)
    }

    /// False where there was no room.
    fn settle(&self, event: &Event, arrived: Result<Arrival, SubmitError>) -> bool {
        let counter = match arrived {
            Ok(Arrival::Taken) => {
                self.learn(event);
                &self.counters.received
            }
            Ok(Arrival::Known) => &self.counters.ours,
            Err(SubmitError::Full) => return false,
            Err(SubmitError::Unbearable) => &self.counters.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Where an event comes from is beyond this link: one that is new here, and did not come by
    /// another way before.
    fn learn(&self, event: &Event) {
        if self.config.direction.outward {
            self.hub.learn(&event.guid, &self.channel);
        }
    }

    /// As it comes in by this link.
    fn own(&self, event: &Event) -> Event {
        Event {
            obid: u32::from(self.channel.id()),
            ..event.clone()
        }
    }

    pub(super) fn malformed(&self, why: &dyn std::fmt::Display) {
        self.counters.malformed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(link = self.config.name, "not an event, dropped: {why}");
    }

    /// An event is about to leave.
    pub(super) fn sending(&self, one: &Numbered) {
        let again = self.doubtful.fetch_max(one.number, Ordering::Relaxed) >= one.number;
        if again {
            self.counters.resent.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.age();
        self.intake().sending(&one.event, again, now);
    }

    /// An event is about to leave for a far end that takes each once.
    pub(super) fn sending_numbered(&self, number: u64) {
        if self.doubtful.fetch_max(number, Ordering::Relaxed) >= number {
            self.counters.resent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The far end has an event.
    pub(super) fn sent(&self, event: &Arc<SharedEvent>) {
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        self.channel.transmitted(std::slice::from_ref(event));
    }

    /// The far end will never have an event. Said once for each reason, of a few.
    pub(super) fn refused(&self, why: &str) {
        const MOST: usize = 16;
        self.counters.rejected.fetch_add(1, Ordering::Relaxed);
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
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
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
        let now = self.age();
        if self.intake().connected(id, guid, now) {
            tracing::warn!(
                link = self.config.name,
                "the far end has the GUID of this driver: give each its own, or events that go \
                 in a circle are not known by it"
            );
        }
    }

    /// Whether the far end numbers events.
    pub(super) fn numbers(&self, numbers: bool) {
        if self.numbers.swap(numbers, Ordering::Relaxed) != numbers {
            self.hub.has_plain_link(!numbers);
        }
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
        if !self.intake().comes_from_here(guid) {
            self.hub.learn(guid, &self.channel);
        }
    }

    fn inbox(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn intake(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Attached for Link {
    fn status(&self) -> LinkStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
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
            dropped: count(&self.channel.counters().overruns),
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

fn place_of(config: &LinkConfig) -> String {
    match config.host.contains(':') {
        true => format!("[{}]:{}", config.host, config.port),
        false => format!("{}:{}", config.host, config.port),
    }
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

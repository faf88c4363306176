//! The bridge as the hub sees it.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::outbox::{Outbox, Room};
use super::plan::{BridgeNames, Directions, MqttError, Plan};
use super::status::Report;
use super::worker::Worker;
use crate::backlog::spool::{Kept, KeptEvent, Spool, SpoolError};
use crate::config::model::{MqttConfig, OutboxConfig};
use crate::event::json::Generation;
use crate::hub::{Downlink, Histogram, Latency, SharedEvent, Uplink, UplinkStatus, clock};

/// The way to a broker, for clients' events, and from it, for messages.
pub struct MqttBridge {
    place: String,
    required: bool,
    outbox: Mutex<Outbox>,
    spool: Option<Spool>,
    /// Where that is.
    folder: Option<PathBuf>,
    /// Something waits that did not before.
    pub(super) work: Notify,
    /// Nothing waits any more.
    settled: Notify,
    link: Mutex<Link>,
    delivered: AtomicU64,
    refused: AtomicU64,
    rejected: AtomicU64,
    received: AtomicU64,
    latency: Histogram,
    full: AtomicBool,
    /// Reasons why something could not be published, to say each once.
    reasons: Mutex<Vec<String>>,
}

/// What is known of the connection.
#[derive(Default)]
struct Link {
    up: bool,
    /// Where the broker is, or was last.
    at: Option<SocketAddr>,
    trouble: String,
    connections: u64,
    failures: u64,
}

/// What a bridge is made from.
pub struct BridgeParts {
    /// What is known of the driver and its host.
    pub names: BridgeNames,
    /// Which directions it carries.
    pub directions: Directions,
    /// Room, and the folder.
    pub outbox: OutboxConfig,
    /// Names and times of payloads.
    pub generation: Generation,
    /// Where messages go.
    pub downlink: Arc<dyn Downlink>,
    /// What the status document says of the driver.
    pub report: Report,
    /// Ends the task.
    pub stop: CancellationToken,
}

/// Events that have found no way out.
#[derive(Clone, Debug, Default)]
pub struct Leftover {
    /// The broker that they were for, `host:port`.
    pub place: String,
    /// In order; none where they are on the disk.
    pub events: Vec<Arc<SharedEvent>>,
    /// How many wait on the disk.
    pub on_disk: usize,
    /// Where that is.
    pub folder: Option<PathBuf>,
}

impl MqttBridge {
    /// Whether a bridge can be made of this, as far as that can be seen beforehand.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn check(config: &MqttConfig, parts: BridgeParts) -> Result<(), MqttError> {
        let mut plan = Plan::new(config, &parts.names, parts.directions, parts.generation)?;
        plan.status(config, parts.report)?;
        if let Some(folder) = Self::folder_of(config, &parts.outbox, parts.directions) {
            Spool::check(&folder)?;
        }
        Ok(())
    }

    /// Where the outbox of such a bridge is on the disk: a folder for each broker.
    #[must_use]
    pub fn folder_of(
        config: &MqttConfig,
        outbox: &OutboxConfig,
        directions: Directions,
    ) -> Option<PathBuf> {
        let path = outbox.path.as_ref().filter(|_| directions.publish)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        Some(path.join(place_of(config).replace(|c| !plain(c), "_")))
    }

    /// Makes a bridge, and the task that works for it until it is stopped.
    ///
    /// # Errors
    /// [`MqttError`] names the key of what cannot be used.
    pub fn start(
        config: &MqttConfig,
        parts: BridgeParts,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>), MqttError> {
        let BridgeParts {
            names,
            directions,
            outbox: limits,
            generation,
            downlink,
            report,
            stop,
        } = parts;
        let mut plan = Plan::new(config, &names, directions, generation)?;
        let status = plan.status(config, report)?;
        let room = Room {
            events: limits.max_events,
            bytes: limits.max_bytes,
        };
        let mut outbox = Outbox::new(room, plan.window(), plan.outlets.len());
        let place = place_of(config);
        let folder = Self::folder_of(config, &limits, directions);
        let spool = folder
            .as_deref()
            .map(|folder| open(folder, limits.sync, &place, &mut outbox))
            .transpose()?;
        let bridge = Arc::new(Self {
            place,
            required: config.required,
            outbox: Mutex::new(outbox),
            spool,
            folder,
            work: Notify::new(),
            settled: Notify::new(),
            link: Mutex::default(),
            delivered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            received: AtomicU64::new(0),
            latency: Histogram::default(),
            full: AtomicBool::new(false),
            reasons: Mutex::default(),
        });
        let own = Arc::clone(&bridge);
        let worker = Worker::new(own, plan, config.reconnect, downlink, status, stop);
        Ok((bridge, worker.run()))
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Where what waits is on the disk too.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Takes events of a bridge before this one, over the bounds if need be.
    pub fn put_back(&self, events: &[Arc<SharedEvent>]) {
        for event in events {
            let number = self.keep(event);
            self.outbox().put_back(Arc::clone(event), number);
        }
        self.work.notify_one();
    }

    /// Takes what waits in another folder, which is empty afterwards; gives how many these were.
    ///
    /// # Errors
    /// [`SpoolError`] where the other folder, or this one's own disk, cannot be used. Then they
    /// are still there.
    pub async fn take_over(&self, folder: &Path) -> Result<usize, SpoolError> {
        let (old, kept) = Spool::open(folder, true)?;
        let (numbers, events): (Vec<u64>, Vec<_>) = shared(kept).unzip();
        self.put_back(&events);
        if let Some(spool) = &self.spool
            && !spool.secured().await
        {
            return Err(SpoolError::Unwritten);
        }
        old.remove(numbers);
        old.close();
        Ok(events.len())
    }

    /// Returns when the broker has everything, at the latest at the deadline.
    pub async fn drain(&self, deadline: Instant) {
        self.settled_until(deadline, |outbox| outbox.held().events == 0)
            .await;
    }

    /// From now on no more than so many events are on their way at once.
    pub fn narrow(&self, window: usize) {
        self.outbox().narrow(window);
    }

    /// Returns when what is in flight is acknowledged, at the latest at the deadline.
    pub async fn land(&self, deadline: Instant) {
        self.settled_until(deadline, |outbox| outbox.in_flight() == 0)
            .await;
    }

    /// Returns when it is so, at the latest at the deadline.
    async fn settled_until(&self, deadline: Instant, is_so: impl Fn(&Outbox) -> bool) {
        let so = async {
            loop {
                let settled = self.settled.notified();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if is_so(&self.outbox()) {
                    return;
                }
                settled.await;
            }
        };
        // What is left is for the caller to count.
        let _ = tokio::time::timeout_at(deadline.into(), so).await;
    }

    /// Lets the disk write what is left, before [`take_waiting`](Self::take_waiting) waits for it.
    pub fn begin_close(&self) {
        if let Some(spool) = &self.spool {
            spool.begin_close();
        }
    }

    /// Ends the outbox once the task has ended: what the broker may not have is given back, or
    /// stays on the disk.
    #[must_use]
    pub fn take_waiting(&self) -> Leftover {
        let mut events = self.outbox().take_all();
        let mut on_disk = 0;
        if let Some(spool) = &self.spool {
            spool.close();
            on_disk = events.len();
            events.clear();
        }
        Leftover {
            place: self.place.clone(),
            events,
            on_disk,
            folder: self.folder.clone(),
        }
    }

    /// Works on the outbox.
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // Every change is one call: there is no half-done state behind a poisoned lock.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what the broker has.
    pub(super) fn settle(&self) {
        let (settled, roomy) = {
            let mut outbox = self.outbox();
            if !outbox.can_settle() {
                return;
            }
            (outbox.settle(clock()), outbox.is_roomy())
        };
        self.latency.add(&settled.latency);
        if let Some(spool) = &self.spool {
            spool.remove(settled.numbers);
        }
        self.delivered
            .fetch_add(settled.delivered, Ordering::Relaxed);
        self.rejected.fetch_add(settled.rejected, Ordering::Relaxed);
        if roomy && self.full.swap(false, Ordering::Relaxed) {
            let refused = self.refused.load(Ordering::Relaxed);
            tracing::info!(uplink = %self.place, refused, "the outbox has room again");
        }
        self.settled.notify_waiters();
    }

    /// The address that the broker was reached at.
    pub(super) fn reached(&self, at: SocketAddr) {
        self.link().at = Some(at);
    }

    pub(super) fn connected(&self) {
        let mut link = self.link();
        link.up = true;
        link.connections += 1;
    }

    /// It has brought an event.
    pub(super) fn brought(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a trouble; true where it is another than the last one.
    pub(super) fn disconnected(&self, trouble: String) -> bool {
        let mut link = self.link();
        let news = link.up || link.trouble != trouble;
        link.up = false;
        link.failures += 1;
        link.trouble = trouble;
        news
    }

    /// A copy cannot be published. Said once for each reason, of a few.
    pub(super) fn rejected(&self, topic: &str, why: &str) {
        const MOST: usize = 16;
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < MOST && !reasons.iter().any(|known| known == why) {
            reasons.push(why.to_owned());
            tracing::warn!(uplink = %self.place, topic, "an event cannot be published: {why}");
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_room(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                uplink = %self.place,
                "the outbox is full: {}",
                if self.required { "SEND is refused" } else { "events are dropped" }
            );
        }
    }

    /// Puts an event on the disk, where there is one.
    fn keep(&self, event: &SharedEvent) -> Option<u64> {
        let spool = self.spool.as_ref()?;
        Some(spool.put(event.event(), event.tag()))
    }

    fn has_disk(&self) -> bool {
        !self.spool.as_ref().is_some_and(Spool::failing)
    }
}

fn place_of(config: &MqttConfig) -> String {
    format!("{}:{}", config.host, config.port)
}

fn open(folder: &Path, sync: bool, place: &str, outbox: &mut Outbox) -> Result<Spool, MqttError> {
    let (spool, kept) = Spool::open(folder, sync)?;
    if !kept.events.is_empty() {
        tracing::info!(
            uplink = place,
            events = kept.events.len(),
            "events of the last time are in the outbox"
        );
    }
    for (number, event) in shared(kept) {
        outbox.put_back(event, Some(number));
    }
    Ok(spool)
}

/// Events of the last time, which no channel of this time has sent.
fn shared(kept: Kept) -> impl Iterator<Item = (u64, Arc<SharedEvent>)> {
    let share = |kept: KeptEvent| {
        let KeptEvent { number, event, tag } = kept;
        (number, SharedEvent::tagged(event, None, tag))
    };
    kept.events.into_iter().map(share)
}

impl Uplink for MqttBridge {
    fn name(&self) -> &str {
        &self.place
    }

    fn required(&self) -> bool {
        self.required
    }

    fn reserve(&self, event: &SharedEvent) -> bool {
        // One that may drop events does so when it takes them.
        let room = !self.required || self.has_disk() && self.outbox().reserve(event);
        if !room {
            self.no_room();
        }
        room
    }

    fn commit(&self, event: Arc<SharedEvent>) {
        let mut outbox = self.outbox();
        let kept = self.required || self.has_disk() && outbox.reserve(&event);
        if !kept {
            drop(outbox);
            return self.no_room();
        }
        // Under the lock, so that numbers are in the order of the events.
        let number = self.keep(&event);
        if outbox.commit(event, number) {
            self.work.notify_one();
        }
    }

    fn release(&self, event: &SharedEvent) {
        if self.required {
            self.outbox().release(event);
        }
    }

    fn secured(&self) -> Option<Pin<Box<dyn Future<Output = bool> + Send>>> {
        let spool = self.spool.as_ref().filter(|_| self.required)?;
        Some(Box::pin(spool.secured()))
    }

    fn at(&self) -> Option<SocketAddr> {
        self.link().at
    }

    fn latency(&self) -> Option<Latency> {
        Some(self.latency.snapshot())
    }

    fn status(&self) -> UplinkStatus {
        let waiting = self.outbox().held().events;
        let link = self.link();
        UplinkStatus {
            up: link.up,
            waiting,
            delivered: self.delivered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            connections: link.connections,
            failures: link.failures,
            trouble: link.trouble.clone(),
        }
    }
}

impl fmt::Debug for BridgeParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeParts")
            .field("names", &self.names)
            .field("directions", &self.directions)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MqttBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttBridge")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

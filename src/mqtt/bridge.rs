//! The bridge as the hub sees it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::outbox::Outbox;
use super::plan::{BridgeNames, Directions, MqttError, Plan};
use super::worker::Worker;
use crate::config::model::{MqttConfig, OutboxConfig};
use crate::event::json::Generation;
use crate::hub::{Downlink, SharedEvent, Uplink, UplinkStatus};

/// The way to a broker, for clients' events, and from it, for messages.
pub struct MqttBridge {
    name: String,
    required: bool,
    outbox: Mutex<Outbox>,
    /// Something waits that did not before.
    pub(super) work: Notify,
    /// Nothing waits any more.
    emptied: Notify,
    link: Mutex<Link>,
    delivered: AtomicU64,
    refused: AtomicU64,
    full: AtomicBool,
}

/// What is known of the connection.
#[derive(Default)]
struct Link {
    up: bool,
    trouble: String,
}

impl MqttBridge {
    /// Makes a bridge, and the task that works for it until `stop`.
    ///
    /// # Errors
    /// [`MqttError`] names the key of a template that cannot be used.
    pub fn start(
        config: &MqttConfig,
        names: BridgeNames,
        directions: Directions,
        outbox: OutboxConfig,
        generation: Generation,
        downlink: Arc<dyn Downlink>,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>), MqttError> {
        let plan = Plan::new(config, names, directions, generation)?;
        let bridge = Arc::new(Self {
            name: format!("mqtt {}:{}", config.host, config.port),
            required: config.required,
            outbox: Mutex::new(Outbox::new(outbox, plan.window())),
            work: Notify::new(),
            emptied: Notify::new(),
            link: Mutex::default(),
            delivered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            full: AtomicBool::new(false),
        });
        let worker = Worker::new(Arc::clone(&bridge), plan, config.reconnect, downlink, stop);
        Ok((bridge, worker.run()))
    }

    /// Takes events of a bridge before this one, over the bounds if need be.
    pub fn put_back(&self, events: Vec<Arc<SharedEvent>>) {
        self.outbox().put_back(events);
        self.work.notify_one();
    }

    /// Returns when the broker has everything, at the latest at the deadline.
    pub async fn drain(&self, deadline: Instant) {
        let empty = async {
            loop {
                let emptied = self.emptied.notified();
                if self.outbox().len() == 0 {
                    return;
                }
                emptied.await;
            }
        };
        // What is left is for the caller to count.
        let _ = tokio::time::timeout_at(deadline.into(), empty).await;
    }

    /// Takes out what the broker may not have, in order, once the task has ended.
    #[must_use]
    pub fn take_waiting(&self) -> Vec<Arc<SharedEvent>> {
        self.outbox().take_all()
    }

    /// Works on the outbox.
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // Every change is one call: there is no half-done state behind a poisoned lock.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what the broker has.
    pub(super) fn settle(&self) {
        let (count, left) = {
            let mut outbox = self.outbox();
            (outbox.settle(), outbox.len())
        };
        if count == 0 {
            return;
        }
        self.delivered.fetch_add(count as u64, Ordering::Relaxed);
        if self.full.load(Ordering::Relaxed) {
            self.full.store(false, Ordering::Relaxed);
        }
        if left == 0 {
            self.emptied.notify_waiters();
        }
    }

    pub(super) fn connected(&self) {
        self.link().up = true;
    }

    /// Notes a trouble; true where it is another than the last one.
    pub(super) fn disconnected(&self, trouble: String) -> bool {
        let mut link = self.link();
        let news = link.up || link.trouble != trouble;
        *link = Link { up: false, trouble };
        news
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_room(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                uplink = %self.name,
                "the outbox is full: {}",
                if self.required { "SEND is refused" } else { "events are dropped" }
            );
        }
    }
}

impl Uplink for MqttBridge {
    fn name(&self) -> &str {
        &self.name
    }

    fn required(&self) -> bool {
        self.required
    }

    fn reserve(&self, event: &SharedEvent) -> bool {
        // One that may drop events does so when it takes them.
        let room = !self.required || self.outbox().reserve(event);
        if !room {
            self.no_room();
        }
        room
    }

    fn commit(&self, event: Arc<SharedEvent>) {
        let mut outbox = self.outbox();
        if !self.required && !outbox.reserve(&event) {
            drop(outbox);
            return self.no_room();
        }
        if outbox.commit(event) {
            self.work.notify_one();
        }
    }

    fn release(&self, event: &SharedEvent) {
        if self.required {
            self.outbox().release(event);
        }
    }

    fn status(&self) -> UplinkStatus {
        let waiting = self.outbox().len();
        let link = self.link();
        UplinkStatus {
            up: link.up,
            waiting,
            delivered: self.delivered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            trouble: link.trouble.clone(),
        }
    }
}

impl fmt::Debug for MqttBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttBridge")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

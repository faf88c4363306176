//! The status document: what this driver is and how it is, as JSON that the broker keeps.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::bridge::MqttBridge;
use super::codec::Letter;
use crate::hub::Uplink;

/// What the rest of the driver has to say: members of the document.
pub type Report = Arc<dyn Fn() -> Map<String, Value> + Send + Sync>;

/// Makes status documents for one topic.
pub(super) struct Status {
    topic: String,
    qos: u8,
    interval: Duration,
    guid: String,
    /// Tells this driver from another one with the same GUID.
    instance: String,
    born: Instant,
    report: Report,
    warned: AtomicBool,
}

impl Status {
    pub(super) fn new(
        topic: String,
        qos: u8,
        interval: Duration,
        guid: String,
        report: Report,
    ) -> Self {
        let mut random = [0; 8];
        // Without random numbers two drivers with one GUID are not told apart.
        let _ = getrandom::fill(&mut random);
        Self {
            topic,
            qos,
            interval,
            guid,
            instance: format!("{:016x}", u64::from_be_bytes(random)),
            born: Instant::now(),
            report,
            warned: AtomicBool::new(false),
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    fn letter(&self, document: &Value) -> Letter {
        Letter {
            topic: self.topic.clone(),
            payload: document.to_string().into_bytes(),
            qos: self.qos,
            retain: true,
        }
    }

    /// What the broker says when this driver is gone.
    pub(super) fn offline(&self) -> Letter {
        self.letter(&json!({
            "state": "offline",
            "version": env!("CARGO_PKG_VERSION"),
            "guid": self.guid,
            "instance": self.instance,
        }))
    }

    /// How things are now.
    pub(super) fn online(&self, bridge: &MqttBridge) -> Letter {
        let mut document = (self.report)();
        let outbox = bridge.status();
        let mut member = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        member("state", "online".into());
        member("version", env!("CARGO_PKG_VERSION").into());
        member("guid", self.guid.clone().into());
        member("instance", self.instance.clone().into());
        member("uptime", self.born.elapsed().as_secs().into());
        member(
            "outbox",
            json!({
                "waiting": outbox.waiting,
                "delivered": outbox.delivered,
                "refused": outbox.refused,
                "rejected": outbox.rejected,
            }),
        );
        self.letter(&Value::Object(document))
    }

    pub(super) fn is_about(&self, topic: &str) -> bool {
        self.topic == topic
    }

    /// A document that somebody published on this driver's topic.
    pub(super) fn look_at(&self, payload: &[u8]) {
        let Ok(document) = serde_json::from_slice::<Value>(payload) else {
            return;
        };
        let foreign = document["instance"]
            .as_str()
            .is_some_and(|other| other != self.instance);
        // The last words of the driver before this one are not worth a warning.
        let online = document["state"] == "online";
        let young = self.born.elapsed() < self.interval.min(Duration::from_secs(5));
        if foreign && online && !young && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                topic = %self.topic,
                guid = %self.guid,
                "another driver with this GUID is on this broker; give each its own"
            );
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

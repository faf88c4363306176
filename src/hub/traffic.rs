//! What went through channels, those that are gone too.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Channel, Hub, Kind, Latency, SharedEvent, Tally, clock};
use crate::auth::Service;

/// Channels of one kind, and what went through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Those that are there.
    pub channels: usize,
    /// Events that wait for them.
    pub waiting: usize,
    /// Events that were taken from them, and from those that are gone.
    pub received: u64,
    /// Events that were written to them, and to those that are gone.
    pub transmitted: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, channel: &Channel) {
        let counters = channel.counters();
        self.received += counters.received.load(Ordering::Relaxed);
        self.transmitted += counters.transmitted.load(Ordering::Relaxed);
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Client(Service::Link),
        Self::Client(Service::Websocket),
        Self::Link,
        Self::Standing,
    ];

    /// What those are called who are watched.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client(Service::Link) => "link",
            Self::Client(Service::Websocket) => "websocket",
            Self::Link => "outgoing",
            Self::Standing => "standing",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Client(Service::Link) => 0,
            Self::Client(Service::Websocket) => 1,
            Self::Link => 2,
            Self::Standing => 3,
        }
    }
}

impl Hub {
    /// What went through the channels of each kind; a sum never becomes less.
    #[must_use]
    pub fn traffic(&self) -> [(Kind, Traffic); 4] {
        // Held while it is summed up: nobody is counted as here and as gone.
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = *self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        for channel in channels.iter() {
            let traffic = &mut all[channel.kind().index()];
            traffic.add(channel);
            traffic.channels += 1;
            traffic.waiting += channel.queue().len();
        }
        drop(channels);
        Kind::ALL.map(|kind| (kind, all[kind.index()]))
    }

    /// These events have been written to a client that receives.
    pub fn written(&self, channel: &Channel, events: &[Arc<SharedEvent>]) {
        channel.transmitted(events);
        let Kind::Client(service) = channel.kind() else {
            return;
        };
        let (mut tally, now) = (Tally::default(), clock());
        events
            .iter()
            .filter_map(|event| event.age(now))
            .for_each(|age| tally.add(age));
        self.deliveries[Kind::Client(service).index()].add(&tally);
    }

    /// How long events took to the clients of a service that receive, those that are gone too.
    #[must_use]
    pub fn delivery_latency(&self, service: Service) -> Latency {
        self.deliveries[Kind::Client(service).index()].snapshot()
    }
}

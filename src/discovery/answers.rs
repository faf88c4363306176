//! Who is answered, and with what.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::limit::Limiter;
use crate::config::model::Askers;
use crate::event::{Event, Guid, frame};
use crate::hub::{Asker, Responder, ResponderStatus};
use crate::os::{interfaces, now};
use crate::wire::discovery::{GROUP, Heard, PORT, Response, Service, hear};

/// Answers to one question: link and websocket, each with TLS and without. So what is sent is never
/// much more than what came.
const MOST: usize = 4;

/// What this server says of itself, and to whom.
#[derive(Debug)]
pub struct Answers {
    guid: Guid,
    allow: Askers,
    services: RwLock<Arc<Vec<Service>>>,
    /// For datagrams, and for events: the former cannot use up what the latter have.
    datagrams: Mutex<Limiter<Ipv4Addr>>,
    events: Mutex<Limiter<String>>,
    counters: Counters,
    /// Nothing is served any more.
    stop: CancellationToken,
    born: Instant,
}

#[derive(Debug, Default)]
struct Counters {
    probes: AtomicU64,
    responses: AtomicU64,
    refused: AtomicU64,
    limited: AtomicU64,
    malformed: AtomicU64,
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl Answers {
    /// Answers of the driver with this GUID, until `stop`.
    #[must_use]
    pub fn new(
        guid: Guid,
        allow: Askers,
        services: Vec<Service>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            guid,
            allow,
            services: RwLock::new(Arc::new(services)),
            datagrams: Mutex::default(),
            events: Mutex::default(),
            counters: Counters::default(),
            stop,
            born: Instant::now(),
        })
    }

    /// From now on these are there.
    pub fn set_services(&self, services: Vec<Service>) {
        let mut current = self
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(services);
    }

    pub(super) fn services(&self) -> Arc<Vec<Service>> {
        Arc::clone(&self.services.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn guid(&self) -> Guid {
        self.guid
    }

    /// The frames to answer a datagram with, to where it came from.
    pub(super) fn datagram(
        &self,
        bytes: &[u8],
        from: SocketAddrV4,
        heard: Ipv4Addr,
    ) -> Vec<Vec<u8>> {
        let generation = match hear(bytes) {
            Ok(Heard::Probe(generation)) => generation,
            Ok(Heard::Other) => return Vec::new(),
            Err(error) => {
                count(&self.counters.malformed, 1);
                tracing::debug!(client = %from, "a datagram is no frame: {error}");
                return Vec::new();
            }
        };
        count(&self.counters.probes, 1);
        let ip = *from.ip();
        let somebody = !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast();
        if !somebody || from.port() == 0 || !self.allow.allow(ip.into()) {
            self.refuse(&from);
            return Vec::new();
        }
        if !admits(&self.datagrams, ip, self.born) {
            count(&self.counters.limited, 1);
            return Vec::new();
        }
        let found = self.responses(Some(heard));
        tracing::debug!(client = %from, %heard, answers = found.len(), "asked for servers");
        let write = |response: Response| {
            let mut out = Vec::new();
            frame::write(&response.event(self.guid, now()), generation, &mut out);
            out
        };
        found.into_iter().map(write).collect()
    }

    fn refuse(&self, asker: &dyn std::fmt::Display) {
        count(&self.counters.refused, 1);
        tracing::debug!(client = %asker, "asked for servers, and is not in discovery.allow");
    }

    /// What is said to somebody who was heard at this address of the machine; where nobody knows,
    /// the addresses that there are.
    fn responses(&self, heard: Option<Ipv4Addr>) -> Vec<Response> {
        if self.stop.is_cancelled() {
            return Vec::new();
        }
        let services = self.services();
        let machine = match heard {
            Some(address) => address,
            None => machine(),
        };
        let responses = services.iter().filter_map(|service| match heard {
            Some(heard) => service.response_at(heard),
            None => service.response(machine),
        });
        let responses: Vec<_> = responses.take(MOST).collect();
        count(&self.counters.responses, responses.len());
        responses
    }
}

impl Responder for Answers {
    fn answers(&self, asker: Asker<'_>) -> Vec<Event> {
        count(&self.counters.probes, 1);
        let client = |peer: &str| {
            let peer: Option<SocketAddr> = peer.parse().ok();
            peer.map(|peer| peer.ip().to_canonical())
        };
        let (name, allowed, heard) = match asker {
            Asker::Client(peer) => match client(peer) {
                Some(ip) => (ip.to_string(), self.allow.allow(ip), heard_from(ip)),
                None => (peer.to_owned(), false, None),
            },
            Asker::Link => ("links".to_owned(), self.allow.links, None),
            Asker::Uplink("host") => ("host".to_owned(), self.allow.host, None),
            Asker::Uplink(broker) => (broker.to_owned(), self.allow.mqtt, None),
        };
        if !allowed {
            self.refuse(&name);
            return Vec::new();
        }
        if !admits(&self.events, name, self.born) {
            count(&self.counters.limited, 1);
            return Vec::new();
        }
        let mut responses = self.responses(heard);
        if responses.is_empty() {
            // Nothing is where it seems to have come in, and yet it did.
            responses = self.responses(None);
        }
        let event = |response: Response| response.event(self.guid, now());
        responses.into_iter().map(event).collect()
    }

    fn status(&self) -> ResponderStatus {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        ResponderStatus {
            probes: number(&counters.probes),
            responses: number(&counters.responses),
            refused: number(&counters.refused),
            limited: number(&counters.limited),
            malformed: number(&counters.malformed),
        }
    }
}

fn admits<K: Eq + std::hash::Hash>(limiter: &Mutex<Limiter<K>>, asker: K, born: Instant) -> bool {
    let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
    limiter.admits(asker, born.elapsed().as_secs())
}

/// The address of this machine that hears the one with that address.
fn heard_from(other: IpAddr) -> Option<Ipv4Addr> {
    match other {
        IpAddr::V4(other) => local_address(SocketAddrV4::new(other, PORT)),
        // Responses have no room for theirs.
        IpAddr::V6(_) => None,
    }
}

/// The address of this machine that others find it by, as far as it can tell.
fn machine() -> Ipv4Addr {
    let route = local_address(SocketAddrV4::new(GROUP, PORT));
    let first = || {
        let mut found = interfaces().into_iter().filter(|one| !one.loopback);
        found.find_map(|one| one.ipv4.first().copied())
    };
    route.or_else(first).unwrap_or(Ipv4Addr::LOCALHOST)
}

/// The address that something sent there would come from. Nothing is sent.
fn local_address(to: SocketAddrV4) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(to).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

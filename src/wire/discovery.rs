//! Finding servers (VSCP specification, "High end server/service probe", "High end server/service
//! response", "High end server/service capabilities", "VSCP Multicast").
//!
//! | event | what |
//! |---|---|
//! | 0, 27 | a probe: who asks which servers there are; its data says nothing that matters |
//! | 0, 28 | a response, one for each service: capabilities (2), IPv4 address (4), port (2) |
//! | 20, 9 and 1026, 2 | a heartbeat: zeros; a name |
//! | 1024, 20 | an announcement: capabilities (8), GUID (16), address (16), name (64), ports |
//!
//! They are frames of their own in datagrams, without the zero byte that MQTT payloads begin with,
//! or events like any other. All numbers have their most significant byte first.

use std::net::Ipv4Addr;

use crate::event::frame::{self, FrameError};
use crate::event::json::Generation;
use crate::event::text::Defaults;
use crate::event::{Data, Event, EventTime, Guid, Head};
use crate::wire::link::reply::Capabilities;

/// Where servers are asked all at once, and announce themselves.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 23, 158);
/// The port of it.
pub const PORT: u16 = 9598;

const PROBE: u16 = 27;
const RESPONSE: u16 = 28;
/// Class and type of each event of an announcement.
const NODE_HEARTBEAT: (u16, u16) = (20, 9);
const HEARTBEAT: (u16, u16) = (1026, 2);
const CAPABILITIES: (u16, u16) = (Event::CLASS2_PROTOCOL, 20);
/// Bytes of a name.
const NAME: usize = 64;
/// Ports of an announcement.
const PORTS: usize = 64;
/// What is set in the number of a service whose port speaks TLS.
const ENCRYPTED: u8 = 0x80;

/// What each of the low sixteen bits of the capabilities stands for, the lowest first.
const WORDS: [&str; 16] = [
    "AES-128",
    "AES-192",
    "AES-256",
    "many clients",
    "TLS",
    "IPv4",
    "IPv6",
    "bit 7",
    "multicast",
    "REST",
    "websocket",
    "web",
    "raw ethernet",
    "announces",
    "UDP",
    "link",
];

/// True for a probe.
#[must_use]
pub fn is_probe(event: &Event) -> bool {
    event.class == Event::CLASS1_PROTOCOL && event.vscp_type == PROBE
}

/// What is in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A probe, in a frame of this type: an answer has the same.
    Probe(Generation),
    /// Another event.
    Other,
}

/// Reads a datagram: a frame of either type, with a zero byte before it or without.
///
/// # Errors
/// [`FrameError`] for what is none, and for one that is encrypted.
pub fn hear(bytes: &[u8]) -> Result<Heard, FrameError> {
    let (frame, event) = read(bytes)?;
    Ok(match frame.first() {
        _ if !is_probe(&event) => Heard::Other,
        Some(first) if first >> 4 == 0 => Heard::Probe(Generation::Classic),
        _ => Heard::Probe(Generation::V2),
    })
}

/// The frame of a datagram, and its event.
///
/// # Errors
/// As [`hear`].
pub fn read(bytes: &[u8]) -> Result<(&[u8], Event), FrameError> {
    // Nothing that is filled in is looked at.
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    frame::read(bytes, &defaults)
        .map(|event| (bytes, event))
        .or_else(|error| match bytes.strip_prefix(&[0]) {
            // A frame of type 0 begins with a zero byte itself.
            Some(rest) => frame::read(rest, &defaults)
                .map(|event| (rest, event))
                .map_err(|_| error),
            None => Err(error),
        })
}

/// A probe of somebody at this address.
#[must_use]
pub fn probe(address: Ipv4Addr, guid: Guid, now: u64) -> Event {
    // The zero stands for a tcp/ip device.
    let mut data = vec![0];
    data.extend(address.octets());
    make((Event::CLASS1_PROTOCOL, PROBE), guid, now, data)
}

/// What a server says of one of its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Response {
    /// Where it is.
    pub address: Ipv4Addr,
    /// On which port.
    pub port: u16,
    /// The low sixteen bits of [`Capabilities`].
    pub capabilities: u16,
}

impl Response {
    /// The event that says it.
    #[must_use]
    pub fn event(&self, guid: Guid, now: u64) -> Event {
        let mut data = Vec::with_capacity(8);
        data.extend(self.capabilities.to_be_bytes());
        data.extend(self.address.octets());
        data.extend(self.port.to_be_bytes());
        make((Event::CLASS1_PROTOCOL, RESPONSE), guid, now, data)
    }

    /// What an event says that came from this address; `None` where it is no response.
    ///
    /// Some daemons write the address with its bytes the other way round. The order of the
    /// specification counts, unless the other one makes more sense.
    #[must_use]
    pub fn read(event: &Event, from: Ipv4Addr) -> Option<Self> {
        if (event.class, event.vscp_type) != (Event::CLASS1_PROTOCOL, RESPONSE) {
            return None;
        }
        let [high, low, a, b, c, d, port_high, port_low] = *event.data else {
            return None;
        };
        let (address, reversed) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(d, c, b, a));
        let near = |address: &Ipv4Addr| address.is_private() || address.is_loopback();
        let turned = address != from && (reversed == from || !near(&address) && near(&reversed));
        Some(Self {
            address: if turned { reversed } else { address },
            port: u16::from_be_bytes([port_high, port_low]),
            capabilities: u16::from_be_bytes([high, low]),
        })
    }

    /// The capabilities in words, what is served there first.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        let set = |bit: &usize| self.capabilities & (1 << bit) != 0;
        (0..16).rev().filter(set).map(|bit| WORDS[bit]).collect()
    }
}

/// A service, and where it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is and can, of the low sixteen bits.
    pub capabilities: Capabilities,
    /// Its port.
    pub port: u16,
    /// The addresses that it listens at; the unspecified one stands for all.
    pub at: Vec<Ipv4Addr>,
}

impl Service {
    /// What is said of it to somebody who was heard at this address; `None` where it is not to be
    /// found there.
    #[must_use]
    pub fn response_at(&self, heard: Ipv4Addr) -> Option<Response> {
        let here = |at: &Ipv4Addr| *at == heard || at.is_unspecified();
        self.at.iter().any(here).then(|| self.response_with(heard))
    }

    /// What is said of it where nobody knows how somebody asked: the address that it listens at,
    /// and the machine's where that is all of them. `None` where it has none.
    #[must_use]
    pub fn response(&self, machine: Ipv4Addr) -> Option<Response> {
        let all = self.at.iter().any(Ipv4Addr::is_unspecified);
        let far = self.at.iter().find(|at| !at.is_loopback());
        let address = match all {
            true => Some(machine),
            false => far.or_else(|| self.at.first()).copied(),
        };
        address.map(|address| self.response_with(address))
    }

    fn response_with(&self, address: Ipv4Addr) -> Response {
        Response {
            address,
            port: self.port,
            // There are no others.
            capabilities: self.capabilities.bits() as u16,
        }
    }

    /// Bit number and port, where the port is not the usual one or speaks TLS.
    fn unusual(&self) -> Option<[u8; 3]> {
        let bits = self.capabilities;
        let (number, usual) = match bits.contains(Capabilities::WEBSOCKET) {
            true => (10, 8884),
            false => (15, PORT),
        };
        let secure = bits.contains(Capabilities::SSL);
        let [high, low] = self.port.to_be_bytes();
        let number = if secure { number | ENCRYPTED } else { number };
        (secure || self.port != usual).then_some([number, high, low])
    }
}

/// The events that announce a server on the network where it has this address; none where none of
/// the services is to be found there.
#[must_use]
pub fn announcement(
    services: &[Service],
    address: Ipv4Addr,
    name: &str,
    guid: Guid,
    now: u64,
) -> Vec<Event> {
    let here: Vec<&Service> = services
        .iter()
        .filter(|service| service.response_at(address).is_some())
        .collect();
    if here.is_empty() {
        return Vec::new();
    }
    let all = here.iter().fold(Capabilities::ANNOUNCES, |all, service| {
        all.with(service.capabilities)
    });
    let name = padded(name);
    let mut data = Vec::with_capacity(104 + 3 * here.len());
    data.extend(all.bits().to_be_bytes());
    data.extend(guid.bytes());
    data.extend(address.octets());
    data.extend([0; 12]);
    data.extend(name);
    let ports = here.iter().filter_map(|service| service.unusual());
    data.extend(ports.take(PORTS).flatten());
    vec![
        make(NODE_HEARTBEAT, guid, now, vec![0; 3]),
        make(HEARTBEAT, guid, now, name.to_vec()),
        make(CAPABILITIES, guid, now, data),
    ]
}

/// A name with zeros behind it, one at least; cut between characters.
fn padded(name: &str) -> [u8; NAME] {
    let mut out = [0; NAME];
    let fits = |end: &usize| name.is_char_boundary(*end);
    let end = (0..=name.len().min(NAME - 1)).rev().find(fits);
    let name = &name.as_bytes()[..end.unwrap_or(0)];
    out[..name.len()].copy_from_slice(name);
    out
}

fn make((class, vscp_type): (u16, u16), guid: Guid, now: u64, data: Vec<u8>) -> Event {
    Event {
        head: Head::default(),
        class,
        vscp_type,
        obid: 0,
        guid,
        time: EventTime::Unix { nanos: now },
        // All of them are shorter than the longest.
        data: Data::try_from(data).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;

//! What a configuration says about finding this server.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use crate::auth::Remotes;

/// `discovery`, where it is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Where probes come to (`interface`); port 0 lets the system choose.
    pub interface: SocketAddrV4,
    /// The multicast group that they come to as well (`group`).
    pub group: Ipv4Addr,
    /// The server announces itself there (`announce`).
    pub announce: bool,
    /// Who is answered (`allow`).
    pub allow: Askers,
}

/// Who is answered when they ask which servers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Askers {
    /// The networks, those of clients too.
    pub networks: Remotes,
    /// The host, by what it hands to VSCPWrite (`host`).
    pub host: bool,
    /// Brokers (`mqtt`).
    pub mqtt: bool,
    /// The far ends of links (`links`).
    pub links: bool,
}

impl Askers {
    /// True where a host with this address is answered.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        self.networks.allows(address)
    }
}

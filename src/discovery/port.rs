//! The sockets that questions come to, and the group that they are members of.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::os::{self, Datagram, interfaces};

/// An address that cannot be listened at.
#[derive(Debug, Error)]
#[error("discovery.interface: cannot listen on udp://{address}")]
pub struct PortError {
    /// The address.
    pub address: SocketAddrV4,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Where questions come to.
#[derive(Debug)]
pub struct Port {
    address: SocketAddrV4,
    group: Ipv4Addr,
    /// What comes to the address, and what is sent.
    socket: UdpSocket,
    /// What comes to the group, where the address is one of several: a socket that is bound to one
    /// hears nothing else.
    members: Option<UdpSocket>,
    /// Where it was heard last that it is no member.
    outside: BTreeSet<Ipv4Addr>,
}

impl Port {
    /// Listens at an address of this machine, or at all of them, and in the group. Others may have
    /// the same port. Called in the context of a runtime.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn bind(address: SocketAddrV4, group: Ipv4Addr) -> Result<Self, PortError> {
        let failed = |address| move |source| PortError { address, source };
        let socket = open(address).map_err(failed(address))?;
        let port = match socket.local_addr() {
            Ok(bound) => bound.port(),
            Err(error) => return Err(failed(address)(error)),
        };
        let members = match address.ip().is_unspecified() || os::HEARS_GROUPS {
            true => None,
            false => {
                let group = SocketAddrV4::new(group, port);
                Some(open(group).map_err(failed(group))?)
            }
        };
        let mut made = Self {
            address: SocketAddrV4::new(*address.ip(), port),
            group,
            socket,
            members,
            outside: BTreeSet::new(),
        };
        made.join();
        Ok(made)
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// The group, with its port.
    #[must_use]
    pub fn group(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.group, self.address.port())
    }

    /// The addresses of this machine that it hears by.
    pub(super) fn addresses(&self) -> Vec<Ipv4Addr> {
        if !self.address.ip().is_unspecified() {
            return vec![*self.address.ip()];
        }
        let all = interfaces().into_iter().flat_map(|one| one.ipv4);
        all.collect()
    }

    /// Makes it a member of the group on every interface, those that have come since too. One that
    /// knows no groups is no trouble.
    pub(super) fn join(&mut self) {
        let socket = SockRef::from(self.members.as_ref().unwrap_or(&self.socket));
        let mut outside = BTreeSet::new();
        for address in self.addresses() {
            match socket.join_multicast_v4(&self.group, &address) {
                Ok(()) => tracing::debug!("a member of {} at {address}", self.group),
                // It is one already.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    if !self.outside.contains(&address) {
                        tracing::debug!("no member of {} at {address}: {error}", self.group);
                    }
                    outside.insert(address);
                }
            }
        }
        self.outside = outside;
    }

    /// Waits for a datagram.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        loop {
            let to_group = async {
                match &self.members {
                    Some(socket) => socket.readable().await.map(|()| socket),
                    None => pending().await,
                }
            };
            let socket = tokio::select! {
                ready = self.socket.readable() => ready.map(|()| &self.socket),
                ready = to_group => ready,
            }?;
            let take = || os::receive(&SockRef::from(socket), buffer);
            match socket.try_io(Interest::READABLE, take) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(datagram) if !self.address.ip().is_unspecified() => {
                    let heard = *self.address.ip();
                    return Ok(Datagram { heard, ..datagram });
                }
                received => return received,
            }
        }
    }

    /// Sends a datagram from an address of this machine, or drops it where there is no way.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddrV4, from: Ipv4Addr) {
        // It takes what there is room for at once, and does not wait.
        if let Err(error) = os::send(&SockRef::from(&self.socket), bytes, to, from) {
            tracing::debug!("a datagram from {from} to {to} is dropped: {error}");
        }
    }
}

fn open(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    os::only_own_groups(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    os::note_addresses(&socket)?;
    UdpSocket::from_std(socket.into())
}

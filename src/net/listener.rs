//! Binding the addresses of the configuration.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;

use super::lookup;
use crate::config::model::{Interface, InterfaceHost};
use crate::os::own_port;

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {interface} ({address})")]
pub struct BindError {
    /// As it is configured.
    pub interface: String,
    /// The address, or the name that has none.
    pub address: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// How long the name of an interface may take to be looked up; a host waits meanwhile.
const LOOKUP: Duration = Duration::from_secs(3);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Binds all addresses of an interface; all of them, or none.
///
/// # Errors
/// [`BindError`] names the address.
pub async fn bind(interface: &Interface) -> Result<Vec<TcpListener>, BindError> {
    let failed = |address: String| {
        let interface = interface.text.clone();
        move |source| BindError {
            interface,
            address,
            source,
        }
    };
    let port = interface.port;
    match &interface.host {
        InterfaceHost::AllV4 => one((Ipv4Addr::UNSPECIFIED, port).into(), true, failed),
        InterfaceHost::All => one((Ipv6Addr::UNSPECIFIED, port).into(), false, failed),
        InterfaceHost::Address(address) => {
            // As ever, [::] takes IPv4 too.
            let only_v6 = *address != IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            one((*address, port).into(), only_v6, failed)
        }
        InterfaceHost::Localhost => {
            let mut bound = one((Ipv4Addr::LOCALHOST, port).into(), true, failed)?;
            let port = bound[0].local_addr().map_or(port, |address| address.port());
            // Not every machine has IPv6.
            bound.extend(open((Ipv6Addr::LOCALHOST, port).into(), true));
            Ok(bound)
        }
        InterfaceHost::Name(name) => {
            let addresses = lookup::addresses(name, port, LOOKUP).await;
            let mut bound = Vec::new();
            for address in addresses.map_err(failed(name.clone()))? {
                bound.append(&mut one(address, true, failed)?);
            }
            Ok(bound)
        }
    }
}

fn one<F: FnOnce(io::Error) -> BindError>(
    address: SocketAddr,
    only_v6: bool,
    failed: impl Fn(String) -> F,
) -> Result<Vec<TcpListener>, BindError> {
    open(address, only_v6)
        .map(|listener| vec![listener])
        .map_err(failed(address.to_string()))
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    own_port(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

//! The network, as Windows knows it.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ptr::null;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};
use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses,
    IF_TYPE_SOFTWARE_LOOPBACK, IP_ADAPTER_ADDRESSES_LH,
};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_UNSPEC, SOCKADDR_IN, SOCKET_ADDRESS, WSAEMSGSIZE,
};

use crate::os::{Datagram, NetInterface};

/// Windows asks so often, from Vista on, and most of them do not let themselves be told otherwise.
const QUESTIONS: u32 = 10;

/// A socket that is bound to an address of this machine hears what comes to its groups; one cannot
/// be bound to a group.
pub const HEARS_GROUPS: bool = true;

/// Before a port is bound: nobody else can have it who does not run as the same user, and whoever
/// had it before is no hindrance.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)] // as where something is to be said
pub fn own_port(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Lets the system ask whether somebody who has been silent for so long is still there, again after
/// each pause, and break the connection where nobody has answered in the time of so many.
///
/// # Errors
/// What the system says.
pub fn ask_silent(
    socket: &Socket,
    after: Duration,
    pause: Duration,
    questions: u32,
) -> io::Result<()> {
    let settings = TcpKeepalive::new()
        .with_time(after)
        .with_interval(pause * questions / QUESTIONS);
    socket.set_tcp_keepalive(&settings)
}

/// Of groups that others here are members of nothing is heard, as ever.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)] // as where something is to be said
pub fn only_own_groups(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// The network interfaces of this machine, in the order of the system; none where it does not
/// tell.
#[must_use]
pub fn interfaces() -> Vec<NetInterface> {
    /// Aligned as entries are.
    type Block = [u64; 128];
    let flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER;
    let mut list: Vec<Block> = vec![[0; 128]; 16];
    // Interfaces may come between two calls.
    for _ in 0..4 {
        let mut size = size_of_val(&list[..]) as u32;
        let first = list.as_mut_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
        // SAFETY: there is as much room as is said.
        let code =
            unsafe { GetAdaptersAddresses(AF_UNSPEC.into(), flags, null(), first, &raw mut size) };
        match code {
            // SAFETY: the list that the system has written, which lives until this returns.
            NO_ERROR => return unsafe { listed(first) },
            ERROR_BUFFER_OVERFLOW => {
                list.resize(size as usize / size_of::<Block>() + 1, [0; 128]);
            }
            _ => break,
        }
    }
    Vec::new()
}

/// # Safety
/// `next` is null or the first entry of a list as the system writes it.
unsafe fn listed(mut next: *const IP_ADAPTER_ADDRESSES_LH) -> Vec<NetInterface> {
    let mut found = Vec::new();
    // SAFETY: each pointer is null or leads to an entry.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.Next;
        let [a, b, c, d, e, f, ..] = entry.PhysicalAddress;
        let mac = [a, b, c, d, e, f];
        let mut interface = NetInterface {
            // SAFETY: a text of the entry's.
            name: unsafe { text(entry.FriendlyName) },
            mac: (entry.PhysicalAddressLength == 6 && mac != [0; 6]).then_some(mac),
            ipv4: Vec::new(),
            loopback: entry.IfType == IF_TYPE_SOFTWARE_LOOPBACK,
        };
        let mut address = entry.FirstUnicastAddress.cast_const();
        // SAFETY: as above.
        while let Some(one) = unsafe { address.as_ref() } {
            address = one.Next;
            // SAFETY: an address of the entry's.
            interface.ipv4.extend(unsafe { ipv4(&one.Address) });
        }
        found.push(interface);
    }
    found
}

/// # Safety
/// `text` is null or ends with a zero.
unsafe fn text(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    let mut length = 0;
    // SAFETY: the caller promises a zero.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: up to there it was read already.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
}

/// # Safety
/// It is an address as the system gives them.
unsafe fn ipv4(address: &SOCKET_ADDRESS) -> Option<Ipv4Addr> {
    if address.lpSockaddr.is_null() {
        return None;
    }
    // SAFETY: the family tells which address it is; each is read where it lies, aligned or not.
    unsafe {
        if address.lpSockaddr.read_unaligned().sa_family != AF_INET {
            return None;
        }
        let address = address.lpSockaddr.cast::<SOCKADDR_IN>().read_unaligned();
        Some(Ipv4Addr::from(u32::from_be(address.sin_addr.S_un.S_addr)))
    }
}

/// Which address of this machine a datagram came to is not told: [`receive`] takes the one by
/// which its sender is reached.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)] // as where something is to be said
pub fn note_addresses(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Takes the next datagram from a UDP socket of IPv4. One that has no room is dropped.
///
/// # Errors
/// What the system says.
pub fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Datagram> {
    // SAFETY: bytes that are something are bytes that may be anything, and only such that are
    // something are written to them.
    let room = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
    loop {
        match socket.recv_from(room) {
            Ok((length, from)) => {
                let Some(from) = from.as_socket_ipv4() else {
                    continue;
                };
                let heard = reached_by(from).unwrap_or(Ipv4Addr::UNSPECIFIED);
                return Ok(Datagram {
                    length,
                    from,
                    heard,
                });
            }
            Err(error) if error.raw_os_error() == Some(WSAEMSGSIZE) => {}
            // Somebody whom something was sent to is not there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error),
        }
    }
}

/// The address of this machine that somebody sees. Nothing is sent.
fn reached_by(somebody: SocketAddrV4) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(somebody).ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    }
}

/// Sends a datagram; a multicast leaves by the interface of this address of the machine, others
/// by the address that the system chooses.
///
/// # Errors
/// What the system says.
pub fn send(socket: &Socket, bytes: &[u8], to: SocketAddrV4, from: Ipv4Addr) -> io::Result<()> {
    if to.ip().is_multicast() {
        socket.set_multicast_if_v4(&from)?;
    }
    socket.send_to(bytes, &to.into()).map(drop)
}

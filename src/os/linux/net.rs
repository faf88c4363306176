//! The network, as Linux knows it.

use std::ffi::CStr;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

use crate::os::{Datagram, NetInterface};

/// A socket that is bound to an address of this machine hears what comes to its groups.
pub const HEARS_GROUPS: bool = false;

/// Before a port is bound: nobody else shall have it, and whoever had it before is no hindrance.
///
/// # Errors
/// What the system says.
pub fn own_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Lets the system ask whether somebody who has been silent for so long is still there, again after
/// each pause, and break the connection where so many questions have no answer.
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
        .with_interval(pause)
        .with_retries(questions);
    socket.set_tcp_keepalive(&settings)
}

/// Of groups that others here are members of nothing is heard.
///
/// # Errors
/// What the system says.
pub fn only_own_groups(socket: &Socket) -> io::Result<()> {
    socket.set_multicast_all_v4(false)
}

/// The network interfaces of this machine, in the order of the system; none where it does not
/// tell.
#[must_use]
pub fn interfaces() -> Vec<NetInterface> {
    let mut found: Vec<NetInterface> = Vec::new();
    let mut first = std::ptr::null_mut();
    // SAFETY: there is room for the answer.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return found;
    }
    let mut next = first;
    while !next.is_null() {
        // SAFETY: an entry of the list, which lives until it is freed below.
        let entry = unsafe { &*next };
        next = entry.ifa_next;
        // SAFETY: a C string of the entry's.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy();
        let at = found
            .iter()
            .position(|known| known.name == name)
            .unwrap_or_else(|| {
                found.push(NetInterface {
                    name: name.into_owned(),
                    ..NetInterface::default()
                });
                found.len() - 1
            });
        let interface = &mut found[at];
        interface.loopback = entry.ifa_flags & libc::IFF_LOOPBACK as u32 != 0;
        if entry.ifa_addr.is_null() {
            continue;
        }
        // SAFETY: the family tells which address it is; each is read where it lies, aligned or not.
        unsafe {
            match i32::from((*entry.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    let address = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                    interface.ipv4.push(address);
                }
                libc::AF_PACKET => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_ll>().read_unaligned();
                    let [a, b, c, d, e, f, ..] = address.sll_addr;
                    let mac = [a, b, c, d, e, f];
                    interface.mac = (address.sll_halen == 6 && mac != [0; 6]).then_some(mac);
                }
                _ => {}
            }
        }
    }
    // SAFETY: the list that getifaddrs gave.
    unsafe { libc::freeifaddrs(first) };
    found
}

/// Room for a control message, aligned as the system wants it.
type Control = [u64; 8];

/// From now on [`receive`] learns who heard a datagram.
///
/// # Errors
/// What the system says.
pub fn note_addresses(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes the next datagram from a UDP socket of IPv4, after [`note_addresses`].
///
/// # Errors
/// What the system says.
pub fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = Control::default();
    // SAFETY: all of these are numbers, and pointers that may be null.
    let (mut from, mut message): (libc::sockaddr_in, libc::msghdr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of_val(&from) as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: everything that the message names lives until the call returns.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let address = |raw: libc::in_addr| Ipv4Addr::from(u32::from_be(raw.s_addr));
    let mut heard = Ipv4Addr::UNSPECIFIED;
    // SAFETY: the control messages are as the system has written them, and read where they lie.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const message);
        while !next.is_null() {
            if ((*next).cmsg_level, (*next).cmsg_type) == (libc::IPPROTO_IP, libc::IP_PKTINFO) {
                let info = libc::CMSG_DATA(next).cast::<libc::in_pktinfo>();
                heard = address(info.read_unaligned().ipi_spec_dst);
            }
            next = libc::CMSG_NXTHDR(&raw const message, next);
        }
    }
    Ok(Datagram {
        length,
        from: SocketAddrV4::new(address(from.sin_addr), u16::from_be(from.sin_port)),
        heard,
    })
}

/// Sends a datagram from this address of the machine; a multicast leaves by its interface.
///
/// # Errors
/// What the system says.
pub fn send(socket: &Socket, bytes: &[u8], to: SocketAddrV4, from: Ipv4Addr) -> io::Result<()> {
    let raw = |address: Ipv4Addr| libc::in_addr {
        s_addr: u32::from(address).to_be(),
    };
    let mut control = Control::default();
    // SAFETY: all of these are numbers, and pointers that may be null.
    let (mut name, mut info, mut message): (libc::sockaddr_in, libc::in_pktinfo, libc::msghdr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
    name.sin_family = libc::AF_INET as libc::sa_family_t;
    name.sin_port = to.port().to_be();
    name.sin_addr = raw(*to.ip());
    info.ipi_spec_dst = raw(from);
    let mut part = libc::iovec {
        // It is only read from.
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = size_of_val(&name) as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: there is room for one control message, and everything that the message names lives
    // until the call returns.
    let sent = unsafe {
        let size = size_of_val(&info) as libc::c_uint;
        message.msg_controllen = libc::CMSG_SPACE(size) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::IPPROTO_IP;
        (*header).cmsg_type = libc::IP_PKTINFO;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(header)
            .cast::<libc::in_pktinfo>()
            .write_unaligned(info);
        libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    fn a_datagram_has_two_ends() {
        use std::net::UdpSocket;

        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        let patience = Duration::from_secs(10);
        server.set_read_timeout(Some(patience)).unwrap();
        let port = server.local_addr().unwrap().port();
        note_addresses(&SockRef::from(&server)).unwrap();
        for here in [[127, 0, 0, 1], [127, 0, 0, 7]].map(Ipv4Addr::from) {
            let client = UdpSocket::bind("127.0.0.3:0").unwrap();
            client.set_read_timeout(Some(patience)).unwrap();
            // Such a socket takes answers from there alone.
            client.connect((here, port)).unwrap();
            client.send(b"who is there").unwrap();
            let mut buffer = [0; 3];
            let datagram = receive(&SockRef::from(&server), &mut buffer).unwrap();
            assert_eq!((datagram.length, &buffer), (3, b"who"));
            assert_eq!(datagram.heard, here);
            assert_eq!(
                std::net::SocketAddr::V4(datagram.from),
                client.local_addr().unwrap()
            );
            send(
                &SockRef::from(&server),
                b"me",
                datagram.from,
                datagram.heard,
            )
            .unwrap();
            assert_eq!(
                (client.recv(&mut buffer).unwrap(), &buffer[..2]),
                (2, &b"me"[..])
            );
        }
        server.set_nonblocking(true).unwrap();
        let error = receive(&SockRef::from(&server), &mut [0; 3]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
        assert!(
            send(
                &SockRef::from(&server),
                b"me",
                to,
                Ipv4Addr::new(203, 0, 113, 5)
            )
            .is_err()
        );
    }
}

//! What only the operating system can tell or do.
// Signal masks, network interfaces and where a datagram was heard have no safe interface in std.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use crate::event::Guid;

/// How grave a message to the system's log is (syslog(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// An error.
    Error = 3,
    /// A warning.
    Warning = 4,
    /// Something to know.
    Info = 6,
}

/// Runs `make` with all signals blocked in this thread: threads that it starts block them for
/// ever. Signals are the host's.
pub fn with_signals_blocked<R>(make: impl FnOnce() -> R) -> R {
    struct Restore(libc::sigset_t);

    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask is the one that was in force before.
            unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
            };
        }
    }

    // SAFETY: both sets are made whole by the calls before they are used.
    let _restore = unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        Restore(before)
    };
    make()
}

/// A network interface of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetInterface {
    /// `eth0`.
    pub name: String,
    /// Its Ethernet address; `None` where it has none but zeros.
    pub mac: Option<[u8; 6]>,
    /// Its IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// True for `lo`.
    pub loopback: bool,
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
                #[cfg(target_os = "linux")]
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

/// The GUID of this machine by the Ethernet address of `eth0`, else of the first interface by
/// name that has one, else by the first IPv4 address (VSCP specification, "GUID assigned to the
/// interface").
#[must_use]
pub fn machine_guid() -> Option<Guid> {
    guid_of(interfaces())
}

fn guid_of(mut interfaces: Vec<NetInterface>) -> Option<Guid> {
    interfaces.retain(|interface| !interface.loopback);
    interfaces.sort_by(|a, b| (a.name != "eth0", &a.name).cmp(&(b.name != "eth0", &b.name)));
    let by_mac = interfaces
        .iter()
        .find_map(|interface| interface.mac)
        .map(Guid::from_mac);
    by_mac.or_else(|| {
        let address = interfaces
            .iter()
            .find_map(|interface| interface.ipv4.first())?;
        Some(Guid::from_ipv4(address.octets()))
    })
}

/// The time, in nanoseconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What tells this machine from all others, over restarts.
#[must_use]
pub fn machine_id() -> Option<String> {
    let text = fs::read_to_string("/etc/machine-id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// What this machine is called; nothing where it has no name.
#[must_use]
pub fn machine_name() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

/// A datagram that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes; those that had no room are gone.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddrV4,
    /// The address of this machine that it came to; of a broadcast or a multicast, that of the
    /// interface that heard it.
    pub heard: Ipv4Addr,
}

/// Room for a control message, aligned as the system wants it.
type Control = [u64; 8];

/// From now on [`receive`] learns who heard a datagram.
///
/// # Errors
/// What the system says.
pub fn note_addresses(socket: BorrowedFd<'_>) -> io::Result<()> {
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
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Datagram> {
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
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    to: SocketAddrV4,
    from: Ipv4Addr,
) -> io::Result<()> {
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

/// The kernel's number of this thread.
#[must_use]
pub fn thread_id() -> u64 {
    #[cfg(target_os = "linux")]
    // SAFETY: takes nothing and cannot fail.
    return u64::try_from(unsafe { libc::gettid() }).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    0
}

/// The number of a group, where there is one of that name.
#[must_use]
pub fn group(name: &CStr) -> Option<u32> {
    // Groups with many members have long lines.
    const MOST: usize = 1 << 20;
    let mut buffer = vec![0; 1 << 12];
    loop {
        // SAFETY: numbers, and pointers that may be null.
        let mut found: libc::group = unsafe { std::mem::zeroed() };
        let mut result = std::ptr::null_mut();
        // SAFETY: everything that is named lives until the call returns, and the length is right.
        let code = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut found,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut result,
            )
        };
        if code != libc::ERANGE || buffer.len() >= MOST {
            return (!result.is_null()).then_some(found.gr_gid);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

/// True where this process may give files to others.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Says something to the system's log, as far as there is one. Nothing is kept open in the
/// process, and nothing waits.
pub fn syslog(priority: Priority, ident: &str, message: &str) {
    #[cfg(unix)]
    if let Ok(socket) = std::os::unix::net::UnixDatagram::unbound() {
        const DAEMON: u8 = 3 << 3;
        const MOST: usize = 2000;
        let clean: String = message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MOST)
            .collect();
        let line = format!(
            "<{}>{ident}[{}]: {clean}",
            DAEMON | priority as u8,
            std::process::id()
        );
        // Where nobody listens there is nobody left to tell.
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to(line.as_bytes(), "/dev/log");
    }
}

/// Whether a file can be written to, and made where it is not there yet, with its folder. Leaves
/// everything as it was.
///
/// # Errors
/// What the system says.
pub fn can_append(file: &Path) -> io::Result<()> {
    if file.exists() {
        // A pipe that nobody reads is an error, and no wait.
        return OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(file)
            .map(drop);
    }
    if file.is_symlink() {
        // Its target would be made somewhere else.
        return Ok(());
    }
    let is_there = |folder: &&Path| *folder == Path::new("") || folder.exists();
    let mut missing = Vec::new();
    for folder in file
        .ancestors()
        .skip(1)
        .take_while(|folder| !is_there(folder))
    {
        missing.push(folder);
    }
    let mut made = Vec::new();
    let mut tried = Ok(());
    for folder in missing.iter().rev() {
        tried = fs::create_dir(folder);
        if tried.is_err() {
            break;
        }
        made.push(folder);
    }
    let tried = tried.and_then(|()| {
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(file)?;
        fs::remove_file(file)
    });
    for folder in made.iter().rev() {
        // Somebody else may have put something there meanwhile.
        let _ = fs::remove_dir(folder);
    }
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(can_append(&path).is_err());
    }

    fn blocked(signal: i32) -> bool {
        // SAFETY: the set is made whole by the call.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
            libc::sigismember(&raw const set, signal) == 1
        }
    }

    #[test]
    fn signals_are_blocked_inside_and_in_threads_and_not_after() {
        let before = blocked(libc::SIGTERM);
        with_signals_blocked(|| {
            assert!(blocked(libc::SIGTERM) && blocked(libc::SIGPIPE));
            assert!(
                std::thread::spawn(|| blocked(libc::SIGPIPE))
                    .join()
                    .unwrap()
            );
        });
        assert_eq!(blocked(libc::SIGTERM), before);
        let unwound = std::panic::catch_unwind(|| with_signals_blocked(|| panic!("of a test")));
        assert!(unwound.is_err());
        assert_eq!(blocked(libc::SIGTERM), before);
    }

    #[test]
    fn a_datagram_has_two_ends() {
        use std::net::UdpSocket;
        use std::os::fd::AsFd;

        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        let patience = std::time::Duration::from_secs(10);
        server.set_read_timeout(Some(patience)).unwrap();
        let port = server.local_addr().unwrap().port();
        note_addresses(server.as_fd()).unwrap();
        for here in [[127, 0, 0, 1], [127, 0, 0, 7]].map(Ipv4Addr::from) {
            let client = UdpSocket::bind("127.0.0.3:0").unwrap();
            client.set_read_timeout(Some(patience)).unwrap();
            // Such a socket takes answers from there alone.
            client.connect((here, port)).unwrap();
            client.send(b"who is there").unwrap();
            let mut buffer = [0; 3];
            let datagram = receive(server.as_fd(), &mut buffer).unwrap();
            assert_eq!((datagram.length, &buffer), (3, b"who"));
            assert_eq!(datagram.heard, here);
            assert_eq!(
                std::net::SocketAddr::V4(datagram.from),
                client.local_addr().unwrap()
            );
            send(server.as_fd(), b"me", datagram.from, datagram.heard).unwrap();
            assert_eq!(
                (client.recv(&mut buffer).unwrap(), &buffer[..2]),
                (2, &b"me"[..])
            );
        }
        server.set_nonblocking(true).unwrap();
        let error = receive(server.as_fd(), &mut [0; 3]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
        assert!(send(server.as_fd(), b"me", to, Ipv4Addr::new(203, 0, 113, 5)).is_err());
    }

    #[test]
    fn every_machine_has_a_loopback() {
        let lo = interfaces()
            .into_iter()
            .find(|interface| interface.loopback)
            .unwrap();
        assert_eq!(lo.mac, None);
        assert!(lo.ipv4.contains(&Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn the_guid_of_a_machine() {
        let interface = |name: &str, mac, ipv4: &[Ipv4Addr], loopback| NetInterface {
            name: name.to_owned(),
            mac,
            ipv4: ipv4.to_vec(),
            loopback,
        };
        let lo = interface("lo", None, &[Ipv4Addr::LOCALHOST], true);
        let tun = interface("tun0", None, &[Ipv4Addr::new(192, 168, 1, 8)], false);
        let wlan = interface("awlan0", Some([1, 2, 3, 4, 5, 6]), &[], false);
        let eth = interface("eth0", Some([9, 8, 7, 6, 5, 4]), &[], false);
        let text = |list: &[&NetInterface]| {
            guid_of(list.iter().map(|&i| i.clone()).collect()).map(|guid| guid.to_string())
        };
        assert_eq!(text(&[&lo]), None);
        assert_eq!(
            text(&[&lo, &tun]).unwrap(),
            "FF:FF:FF:FF:FF:FF:FF:FD:C0:A8:01:08:00:00:00:00"
        );
        assert_eq!(
            text(&[&lo, &tun, &wlan]).unwrap(),
            "FF:FF:FF:FF:FF:FF:FF:FE:01:02:03:04:00:00:00:00"
        );
        assert_eq!(
            text(&[&wlan, &eth, &lo]).unwrap(),
            "FF:FF:FF:FF:FF:FF:FF:FE:09:08:07:06:00:00:00:00"
        );
    }

    #[test]
    fn groups_have_numbers() {
        assert_eq!(group(c"root"), Some(0));
        assert_eq!(group(c"no such group"), None);
    }

    #[test]
    fn the_system_log_is_no_matter() {
        syslog(
            Priority::Info,
            "vscpl2drv-link",
            "a line of a test\nand no second one",
        );
    }

    #[test]
    fn what_is_tried_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let there = place.path().join("there");
        fs::write(&there, "kept").unwrap();
        can_append(&there).unwrap();
        can_append(&place.path().join("a/b/c")).unwrap();
        can_append(&place.path().join("d")).unwrap();
        can_append(&there.join("below/a/file")).unwrap_err();
        can_append(Path::new("/proc/nowhere/x")).unwrap_err();
        can_append(place.path()).unwrap_err();
        assert_eq!(fs::read_to_string(&there).unwrap(), "kept");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}

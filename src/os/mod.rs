//! What only the operating system can tell or do: one interface, and what stands behind it on
//! Linux and on Windows. No other module knows which of the two it is.
//!
//! | on each | what |
//! |---|---|
//! | `mod` | the process, its threads, the system's log, what the machine is called |
//! | `files` | how files look, who can read them, how one takes the place of another |
//! | `journal` | systemd's, as a place for the log |
//! | `net` | network interfaces, datagrams, options of sockets |
//! | `notices` | what the system tells of folders |
// Much of it has no safe interface in std.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::SystemTime;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(windows)]
use windows as system;

pub use system::files::{
    Lock, MAKE_KEY, PRIVATELY, Stamp, create_own_folder, exposure, keep_access, let_group_read,
    open_own, open_regular, replace, stamp, try_lock,
};
pub use system::journal::Journal;
pub use system::net::{
    HEARS_GROUPS, ask_silent, interfaces, note_addresses, only_own_groups, own_port, receive, send,
};
pub use system::notices::Notices;
pub use system::{
    command_line, daemon_files, file_name, group, is_plain_name, is_root, libraries, log_file,
    machine_id, machine_name, program, stay_loaded, syslog, thread_id, with_signals_blocked,
};

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

/// What for a file is opened that is not for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It must not be there yet.
    New,
    /// To write behind what is there.
    Append,
    /// To read and to change what is there.
    Change,
}

/// Who may read a file that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Whoever makes it.
    Owner,
    /// Their group too, where the system has such a one.
    Group,
}

/// Who can read a file beside its owner and those who can read everything, in the system's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure(String);

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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

/// Whether a file can be written to, and made where it is not there yet, with its folder. Leaves
/// everything as it was.
///
/// # Errors
/// What the system says.
pub fn can_append(file: &Path) -> io::Result<()> {
    if file.exists() {
        // A pipe that nobody reads is an error, and no wait.
        return system::files::without_wait(OpenOptions::new().append(true))
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

/// What is no regular file is nothing to read.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is no regular file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! What the driver wants of the operating system, the same from each: `tests/windows` runs this
//! there too.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;
use tempfile::TempDir;
use vscpl2drv_link::os::{self, Opening, Readers};

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_file_that_is_another_looks_otherwise() {
    let place = TempDir::new().unwrap();
    let [file, other] = ["file", "other"].map(|name| place.path().join(name));
    assert_eq!(os::stamp(&file), None);
    fs::write(&file, "one").unwrap();
    let first = os::stamp(&file).unwrap();
    assert_eq!(os::stamp(&file).unwrap(), first);
    fs::write(&file, "three").unwrap();
    let longer = os::stamp(&file).unwrap();
    assert_ne!(longer, first);
    // As long, and as old.
    fs::write(&other, "seven").unwrap();
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    let changed = fs::File::options().write(true).open(&other).unwrap();
    changed.set_modified(written).unwrap();
    drop(changed);
    os::replace(&other, &file).unwrap();
    assert_ne!(os::stamp(&file).unwrap(), longer);
    assert_eq!(fs::read_to_string(&file).unwrap(), "seven");
    assert_eq!(names(place.path()), ["file"]);
    assert!(os::stamp(place.path()).is_some());
}

#[test]
fn what_is_for_few_is_read_by_few() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("a").join("b");
    os::create_own_folder(&folder, false).unwrap_err();
    os::create_own_folder(&folder, true).unwrap();
    os::create_own_folder(&folder, true).unwrap();
    os::create_own_folder(&folder, false).unwrap_err();
    for how in [Opening::New, Opening::Append, Opening::Change] {
        let path = folder.join(format!("{how:?}"));
        let mut made = os::open_own(&path, how, Readers::Owner).unwrap();
        made.write_all(b"a line\n").unwrap();
        assert_eq!(os::exposure(&made).unwrap(), None);
        drop(made);
        // What is there stays there.
        let again = os::open_own(&path, how, Readers::Group);
        assert_eq!(again.is_err(), how == Opening::New, "{again:?}");
        let mut text = String::new();
        let mut read = os::open_regular(&path).unwrap();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a line\n");
        assert_eq!(os::exposure(&read).unwrap(), None);
    }
    os::open_regular(&folder).unwrap_err();
    os::open_regular(&folder.join("none")).unwrap_err();
}

#[test]
fn one_file_takes_the_place_of_another() {
    let place = TempDir::new().unwrap();
    let [new, file] = ["new", "file"].map(|name| place.path().join(name));
    for text in ["the first", "the second"] {
        let old = fs::metadata(&file);
        let mut made = os::open_own(&new, Opening::New, Readers::Owner).unwrap();
        made.write_all(text.as_bytes()).unwrap();
        if let Ok(old) = old {
            os::keep_access(&made, &old).unwrap();
        }
        drop(made);
        // Somebody reads it meanwhile.
        let reader = os::open_regular(&file);
        os::replace(&new, &file).unwrap();
        drop(reader);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(names(place.path()), ["file"]);
    }
    os::replace(&new, &file).unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), "the second");
}

#[test]
fn names_are_those_of_files() {
    for name in [
        "index.html",
        "com.html",
        "console",
        "COM10",
        "nul-1.txt",
        "lpt",
    ] {
        assert!(os::is_plain_name(name), "{name}");
    }
    for name in [
        "con",
        "NUL.txt",
        "Com1",
        "lpt9.html",
        "aux .x",
        "COM¹",
        "a.",
        "a:b",
        "A~1",
    ] {
        assert_eq!(os::is_plain_name(name), cfg!(not(windows)), "{name}");
    }
    let name = os::file_name(&Path::new("x").join("VscpD.x"));
    assert_eq!(name, if cfg!(windows) { "vscpd.x" } else { "VscpD.x" });
}

#[test]
fn a_lock_is_one_mans() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("users.json");
    for _ in 0..3 {
        let lock = os::try_lock(&file).unwrap();
        assert!(os::try_lock(&file).is_none());
        lock.sync();
        drop(lock);
    }
    assert!(names(place.path()).is_empty());
}

#[test]
fn a_log_that_is_open_can_be_renamed() {
    let place = TempDir::new().unwrap();
    let [log, old] = ["log", "log.1"].map(|name| place.path().join(name));
    let mut first = os::open_own(&log, Opening::Append, Readers::Group).unwrap();
    first.write_all(b"before\n").unwrap();
    fs::rename(&log, &old).unwrap();
    let mut second = os::open_own(&log, Opening::Append, Readers::Group).unwrap();
    second.write_all(b"after\n").unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "before\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), "after\n");
}

#[test]
fn a_machine_is_known() {
    let loopback = os::interfaces().into_iter().find(|one| one.loopback);
    let loopback = loopback.unwrap();
    assert!(loopback.ipv4.contains(&Ipv4Addr::LOCALHOST));
    assert_eq!(loopback.mac, None);
    assert!(os::machine_name().is_some());
    assert!(os::log_file().is_absolute());
    assert!(
        os::daemon_files("vscpd")
            .iter()
            .all(|file| file.is_absolute())
    );
    assert_eq!(os::daemon_files("cc").len(), 0);
}

#[test]
fn a_process_knows_itself() {
    let words = os::command_line();
    assert_eq!(words, std::env::args().collect::<Vec<_>>());
    let own = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let told = fs::metadata(os::program().unwrap()).unwrap();
    assert_eq!(told.len(), own.len());
    assert!(os::libraries().iter().any(|file| file.exists()));
    let here = os::thread_id();
    let there = std::thread::spawn(os::thread_id).join().unwrap();
    assert_ne!(here, there);
    os::stay_loaded();
    assert_eq!(os::with_signals_blocked(|| 7), 7);
}

#[test]
fn a_datagram_is_answered() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let server = SockRef::from(&server);
    os::note_addresses(&server).unwrap();
    os::only_own_groups(&server).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let patience = Duration::from_secs(20);
    client.set_read_timeout(Some(patience)).unwrap();
    server.set_read_timeout(Some(patience)).unwrap();
    client.send_to(b"who is there", address).unwrap();
    let mut buffer = [0; 100];
    let datagram = os::receive(&server, &mut buffer).unwrap();
    assert_eq!(&buffer[..datagram.length], b"who is there");
    assert_eq!(datagram.heard, Ipv4Addr::LOCALHOST);
    assert_eq!(SocketAddr::V4(datagram.from), client.local_addr().unwrap());
    os::send(&server, b"me", datagram.from, datagram.heard).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 2);
}

#[test]
fn names_that_are_those_of_other_files() {
    for (name, plain) in [
        ("index.html", true),
        ("a b.txt", true),
        ("a.txt:secret", false),
        ("C:", false),
        ("HIDDEN~1", false),
        ("a.txt.", false),
        ("a.txt ", false),
    ] {
        // Elsewhere they are names like others.
        assert_eq!(os::is_plain_name(name), plain || !cfg!(windows), "{name}");
    }
}

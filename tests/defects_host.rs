//! Defects of older drivers that a host would meet: crashes, leaks, what a process shares.
//! `docs/compatibility.md` says which test shows what.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid};

mod support;

use support::client::Client;
use support::dialogue;
use support::host::{Host, Layout, compile};
use support::mosquitto::free_port;
use support::tools::{library, need, run, wait_until};

/// A compiled host, a place for its files, and an address to listen on.
struct Place {
    folder: TempDir,
    program: PathBuf,
    address: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            program: compile(Layout::Classic, folder.path()),
            folder,
            address: ([127, 0, 0, 1], free_port()).into(),
        }
    }

    fn config(&self, more: &str) -> String {
        format!(
            "{{\"interface\": \"tcp://{}\", \"abi\": \"classic\", \"path-users\": {:?}, {more} \
              \"logging\": {{\"file-path\": {:?}}}}}",
            self.address,
            dialogue::users(),
            self.folder.path().join("log"),
        )
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// What the process prints on both ways, and how it ends, when nobody asks it anything.
fn printed(program: &PathBuf, config: &str) -> (String, String, Option<i32>) {
    let output = Command::new(program)
        .args(["serve".as_ref(), library().as_os_str(), config.as_ref()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

/// Ends the connection with a reset.
fn reset(client: Client) {
    let stream = client.writer();
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop((client, stream));
}

fn event(line: &str) -> Event {
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    parse(line, &defaults).unwrap()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_nanos()).unwrap()
}

#[test]
fn a_wrong_configuration_is_refused_and_the_host_lives() {
    let place = Place::new();
    let file = place.folder.path().join("link.json");
    let nowhere = "{\"logging\": {\"file-path\": \"/proc/nowhere/x\"}}";
    for text in [
        "",
        "5",
        "null",
        "[]",
        "[{\"interface\": \"0\"}]",
        "{\"interface\": 5}",
        "{\"interface\": {}}",
        "{\"interface\": \"0\", \"debug\": \"yes\"}",
        "{\"interface\": \"0\", \"max-out-queue\": \"many\"}",
        "{\"interface\": \"0\", \"max-out-queue\": -1}",
        "{\"interface\": \"0\", \"path-users\": \"/nowhere\"}",
        "{\"interface\": \"0\", \"logging\": {\"file-max-size\": 0}}",
        "{\"interface\": \"0\", \"logging\": 5}",
        nowhere,
    ] {
        std::fs::write(&file, text).unwrap();
        let (out, _, code) = printed(&place.program, file.to_str().unwrap());
        assert_eq!((out.as_str(), code), ("refused\n", Some(1)), "{text}");
    }
}

#[test]
fn nothing_is_printed_on_what_belongs_to_the_host() {
    let place = Place::new();
    let (out, errors, code) = printed(&place.program, &place.config("\"debug\": true,"));
    assert_eq!(
        (out.as_str(), errors.as_str()),
        ("ready\nall is well\n", "")
    );
    assert_eq!(code, Some(0));
    assert!(place.log().contains("users"), "{}", place.log());
}

#[test]
fn closing_while_other_threads_read_and_write() {
    let place = Place::new();
    // Each listens on the address that the one before has let go of.
    let config = place.config("\"max-out-queue\": 10,");
    let words =
        |count: &str| ["race", library().to_str().unwrap(), &config, count].map(ToOwned::to_owned);
    run(Command::new(&place.program).args(words("50")));
    let mut valgrind = Command::new(need("valgrind"));
    valgrind.args(["--quiet", "--error-exitcode=9"]);
    run(valgrind.arg(&place.program).args(words("3")));
}

#[test]
fn clients_that_leave_at_once_leave_nothing_behind() {
    let place = Place::new();
    let mut host = Host::start(&place.program, &place.config(""));
    drop(Client::log_in(place.address));
    wait_until("the first client is gone", || {
        place.log().contains("logged out")
    });
    let (descriptors, threads) = (host.descriptors(), host.ask("threads"));
    for n in 0..300 {
        let stream = std::net::TcpStream::connect(place.address).unwrap();
        if n % 2 == 0 {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
    // Clients are accepted in turn: after this one no other is left to come.
    let mut client = Client::log_in(place.address);
    assert_eq!(client.must("chid")[0], "1", "no place is taken");
    drop(client);
    wait_until("all are gone", || host.descriptors() <= descriptors);
    assert_eq!(host.ask("threads"), threads);
    let _still_here = Client::log_in(place.address);
    let closed = host.ask("close");
    let seconds: f64 = closed.strip_prefix("closed 0 ").unwrap().parse().unwrap();
    assert!(seconds < 5.0, "{seconds}");
    host.end();
}

#[test]
fn a_client_that_vanishes_while_it_is_written_to_gives_its_descriptor_back() {
    let place = Place::new();
    let mut host = Host::start(&place.program, &place.config(""));
    drop(Client::log_in(place.address));
    wait_until("the first client is gone", || {
        place.log().contains("logged out")
    });
    let before = host.descriptors();
    for n in 0..40 {
        let mut client = Client::log_in(place.address);
        client.must("rcvloop");
        for _ in 0..20 {
            assert_eq!(host.ask("write 0 20 3 0 1004724001 0 500"), "code 0");
        }
        match n % 2 {
            0 => reset(client),
            _ => drop(client),
        }
        for _ in 0..20 {
            assert_eq!(host.ask("write 0 20 3 0 1004724001 0 500"), "code 0");
        }
    }
    wait_until("the descriptors are back", || host.descriptors() <= before);
    host.end();
}

#[test]
fn when_no_descriptor_is_left_it_waits_and_goes_on() {
    let place = Place::new();
    let mut host = Host::start_with_descriptors(&place.program, &place.config(""), 40);
    let before = host.descriptors();
    let mut inside = Client::log_in(place.address);
    let crowd: Vec<_> = (0..60)
        .filter_map(|_| std::net::TcpStream::connect(place.address).ok())
        .collect();
    wait_until("none is left", || {
        place.log().contains("cannot accept a client")
    });
    inside.must("noop");
    drop(crowd);
    Client::log_in(place.address).must("noop");
    drop(inside);
    wait_until("the descriptors are back", || host.descriptors() <= before);
    assert_eq!(host.ask("write 0 20 3 0 1004724001 0 5"), "code 0");
    host.end();
}

#[test]
fn what_clients_send_leaves_nothing_in_the_heap() {
    let place = Place::new();
    let mut command = Command::new(&place.program);
    let exact = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
    command.env("GLIBC_TUNABLES", exact);
    let mut host = Host::start_as(command, &place.config(""));
    let mut client = Client::log_in(place.address);
    let line = format!("send 0,20,3,,,,-,{}", vec!["9"; 400].join(","));
    let mut pass = |host: &mut Host, count| {
        for _ in 0..count {
            client.must(&line);
            host.read();
        }
        let heap = host.ask("heap");
        heap.strip_prefix("heap ")
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    let before = pass(&mut host, 500);
    let after = pass(&mut host, 3000);
    // The data alone would be 1.2 MB. What is remembered for ten seconds, to know an event that
    // comes back, is some forty bytes of each.
    assert!(after < before + 400_000, "{before} bytes, then {after}");
    host.end();
}

#[test]
fn receive_loops_in_which_nothing_happens_sleep() {
    let place = Place::new();
    let host = Host::start(&place.program, &place.config(""));
    let mut clients: Vec<Client> = (0..20).map(|_| Client::log_in(place.address)).collect();
    for client in &mut clients {
        client.must("rcvloop");
    }
    // A span of time is what is measured here.
    let before = host.switches();
    thread::sleep(Duration::from_secs(3));
    let switches = host.switches() - before;
    // A hundred times a second each would be 6000.
    assert!(switches < 1500, "{switches} in three seconds");
    host.end();
}

#[test]
fn times_are_those_of_the_clock_in_every_zone() {
    for zone in ["UTC0", "XST-05:45", "XWT+09"] {
        let place = Place::new();
        let mut command = Command::new(&place.program);
        command.env("TZ", zone);
        let mut host = Host::start_as(command, &place.config(""));
        let before = now();
        let mut client = Client::log_in(place.address);
        client.must("send 0,20,3,,,,-,1");
        client.must("send 0,20,3,,2001-11-02T18:00:01Z,7,-,1");
        let rows = client.must("interface list");
        let after = now();
        let sent = event(&host.read()).time.nanos();
        // The host's struct has microseconds.
        assert!(
            (before / 1000..=after / 1000).contains(&(sent / 1000)),
            "{zone}: {before} {sent} {after}"
        );
        let dated = event(&host.read());
        assert_eq!(dated.time.seconds(), 1_004_724_001, "{zone}");
        let started = rows[0].rsplit_once("Started at ").unwrap().1;
        let started = event(&format!("0,20,3,,{started},0,-")).time.nanos();
        let second = 1_000_000_000;
        assert!(
            (before / second..=after / second).contains(&(started / second)),
            "{zone}: {}",
            rows[0]
        );
        host.end();
    }
}

#[test]
fn no_two_session_ids_are_alike_not_even_of_two_hosts_in_one_second() {
    let places = [Place::new(), Place::new()];
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..3 {
        let hosts: Vec<Host> = places
            .iter()
            .map(|place| Host::start(&place.program, &place.config("")))
            .collect();
        for place in &places {
            let mut client = Client::connect(place.address);
            for _ in 0..50 {
                let answer = client.must("challenge token").remove(0);
                let sid = answer.strip_prefix("+OK - ").unwrap().to_owned();
                let digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
                assert!(sid.len() == 32 && sid.chars().all(digit), "{sid}");
                assert!(seen.insert(sid), "round {round}: twice the same");
            }
        }
        hosts.into_iter().for_each(Host::end);
    }
}

//! Defects of older drivers that a client would meet. `docs/compatibility.md` says which test shows
//! what.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid};

mod support;

use support::client::Client;
use support::dialogue;
use support::tools::PATIENCE;

/// A driver, and the place of its files.
struct Bench {
    driver: Driver,
    place: TempDir,
}

impl Bench {
    /// With the users of the dialogues.
    fn open() -> Self {
        let users = fs::read_to_string(dialogue::users()).unwrap();
        Self::try_open("tcp://127.0.0.1:0", &users).expect("the driver opens")
    }

    /// With these users, and `secret` as the password of each.
    fn with_users(interface: &str, users: &[(&str, &str)]) -> Option<Self> {
        let user = |(name, members): &(&str, &str)| {
            let password = Credential::derive(name, "secret").unwrap().to_string();
            format!("{{\"name\": {name:?}, \"password\": {password:?}{members}}}")
        };
        let users: Vec<String> = users.iter().map(user).collect();
        Self::try_open(interface, &format!("{{\"users\": [{}]}}", users.join(", ")))
    }

    fn try_open(interface: &str, users: &str) -> Option<Self> {
        let place = TempDir::new().unwrap();
        let (file, log) = (place.path().join("users.json"), place.path().join("log"));
        fs::write(&file, users).unwrap();
        let config = format!(
            "{{\"interface\": {interface:?}, \"abi\": \"v2\", \"path-users\": {file:?}, \
              \"response-timeout\": 3600000, \
              \"logging\": {{\"file-path\": {log:?}}}}}"
        );
        let guid = Guid::from([7; 16]);
        let driver = Driver::open(Source { config, guid })?;
        Some(Self { driver, place })
    }

    fn address(&self) -> SocketAddr {
        self.driver.addresses()[0]
    }

    fn write(&self, line: &str) {
        self.driver.write(event(line));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap()
    }
}

fn event(line: &str) -> Event {
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    parse(line, &defaults).unwrap()
}

/// A client of this user, or the answer to PASS.
fn log_in(address: SocketAddr, user: &str) -> Result<Client, String> {
    let mut client = Client::connect(address);
    client.must(&format!("user {user}"));
    match client.ask("pass secret").remove(0) {
        answer if answer.starts_with("+OK") => Ok(client),
        answer => Err(answer),
    }
}

#[test]
fn commands_are_all_answered_before_the_end_of_a_client_that_says_no_more() {
    let bench = Bench::open();
    let mut stream = Client::log_in(bench.address()).writer();
    let commands = "noop\r\nsend 0,20,3,,,,-,7\r\nchid\r\n".repeat(500);
    stream.write_all(commands.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let expected = "+OK - Success.\r\n+OK - Success.\r\n1\r\n+OK - Success.\r\n".repeat(500);
    assert!(text == expected, "{} bytes: {text:.200}", text.len());
    for _ in 0..500 {
        assert_eq!(*bench.driver.read(PATIENCE).unwrap().data, [7]);
    }
    bench.driver.close();
}

#[test]
fn one_that_asks_for_the_list_and_does_not_read_stops_nobody() {
    let bench = Bench::open();
    let stuck = Client::log_in(bench.address());
    let mut writer = stuck.writer();
    writer
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let chunk = "interface list\r\n".repeat(1000);
    // Until neither side takes any more.
    while writer.write_all(chunk.as_bytes()).is_ok() {}
    let mut other = Client::log_in(bench.address());
    // It would be ended after `response-timeout`, an hour here. The others do not wait for that.
    for n in 0..200 {
        bench.write(&format!("0,20,{n},,,,-"));
        other.must("interface list");
        let line = other.must("retr").remove(0);
        assert!(line.starts_with(&format!("0,20,{n},")), "{line}");
    }
    drop(stuck);
    bench.driver.close();
}

#[test]
fn a_filter_is_never_seen_half_changed() {
    let bench = Bench::open();
    let mut client = Client::log_in(bench.address());
    let (zeros, ones) = (["00"; 16].join(":"), ["FF"; 16].join(":"));
    client.must(&format!("sflt 0,0,0,{zeros}"));
    client.must(&format!("smsk 0,0,0,{ones}"));
    // Half of each: it passes neither filter, only a mixture of both.
    let mixed = [["FF"; 8].join(":"), ["00"; 8].join(":")].join(":");
    let lines: Vec<String> = [[&zeros, &ones], [&ones, &zeros]]
        .iter()
        .map(|[first, last]| format!("sflt 0,0,0,{first}\r\ncdta\r\nsflt 0,0,0,{last}\r\n"))
        .collect();
    let mixed = event(&format!("0,20,3,,,,{mixed}"));
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for n in 0..10_000 {
                client.send(lines[n % 2].as_bytes());
                for _ in 0..3 {
                    assert!(client.reply().last().unwrap().starts_with("+OK"));
                }
            }
        });
        while !changing.is_finished() {
            bench.driver.write(mixed.clone());
        }
        changing.join().unwrap();
    });
    assert_eq!(client.must("cdta")[0], "0");
    bench.driver.close();
}

#[test]
fn empty_entries_of_a_users_lists_lock_nobody_out() {
    let users = [
        ("empty", ", \"remotes\": [\"\"], \"events\": [\"\"]"),
        ("blank", ", \"remotes\": \",\", \"allow-events\": \" , \""),
        (
            "some",
            ", \"remotes\": [\"\", \"+127.0.0.1\"], \"allow-events\": [\"\", \"20:3\"]",
        ),
        ("admin", ", \"rights\": \"admin\""),
    ];
    let bench = Bench::with_users("tcp://127.0.0.1:0", &users).unwrap();
    for _ in 0..2 {
        for (name, _) in users {
            let mut client = log_in(bench.address(), name).expect(name);
            client.must("send 0,20,3,,,,-,1");
            let other = client.ask("send 0,21,3,,,,-,1").remove(0);
            assert_eq!(other.starts_with("+OK"), name != "some", "{name}: {other}");
        }
    }
    bench.driver.close();
}

#[test]
fn users_have_the_rights_that_are_written_whichever_way() {
    let users = [
        (
            "list",
            ", \"rights\": [\"send-events\", \"receive-events\"]",
        ),
        ("commas", ", \"rights\": \"send-events,receive-events\""),
        ("slashes", ", \"rights\": \"send-events/receive-events\""),
        ("number", ", \"rights\": 1114112"),
    ];
    let bench = Bench::with_users("tcp://127.0.0.1:0", &users).unwrap();
    for (name, _) in users {
        let mut client = log_in(bench.address(), name).expect(name);
        client.must("send 0,20,3,,,,-,1");
        bench.write("0,20,3,,,,-");
        assert_eq!(client.must("retr").len(), 2, "{name}");
        assert!(client.ask("sgid -")[0].starts_with("-OK"), "{name}");
    }
    bench.driver.close();
}

#[test]
fn lists_of_events_count_under_both_names_and_for_every_class() {
    let users = [
        ("events", ", \"events\": \"20:3\""),
        ("allow", ", \"allow-events\": [\"20:3\"]"),
        ("type", ", \"events\": [\"*:3\"]"),
    ];
    let bench = Bench::with_users("tcp://127.0.0.1:0", &users).unwrap();
    for (name, _) in users {
        let mut client = log_in(bench.address(), name).expect(name);
        client.must("send 0,20,3,,,,-,1");
        assert!(
            client.ask("send 0,20,4,,,,-,1")[0].starts_with("-OK"),
            "{name}"
        );
        let answer = client.ask("send 0,30,3,,,,-,1").remove(0);
        assert_eq!(
            answer.starts_with("+OK"),
            name == "type",
            "{name}: {answer}"
        );
    }
    bench.driver.close();
}

#[test]
fn lists_of_hosts_hold_for_both_families() {
    let users = [
        ("anywhere", ""),
        ("elsewhere", ", \"remotes\": [\"+10.1.2.3\"]"),
        ("unmasked", ", \"remotes\": [\"+127.9.9.9/8\"]"),
        ("nobody", ", \"remotes\": [\"-0.0.0.0/0\"]"),
        ("no-loop", ", \"remotes\": [\"-127.0.0.0/8\"]"),
        ("six", ", \"remotes\": [\"+127.0.0.1\", \"+fe80::/64\"]"),
    ];
    let bench = Bench::with_users("tcp://[::]:0", &users).unwrap();
    let port = bench.address().port();
    // As an IPv4 client is seen by a socket of both families, and as one of IPv6.
    for from in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(from.parse().unwrap(), port);
        for (name, _) in users {
            let expected = matches!(name, "anywhere" | "unmasked" | "six");
            assert_eq!(
                log_in(address, name).is_ok(),
                expected,
                "{name} from {from}"
            );
        }
    }
    bench.driver.close();
    for bad in [
        "\"remotes\": [\"+nonsense\"]",
        "\"remotes\": [\"192.168.1.300\"]",
        "\"events\": [\"10\"]",
    ] {
        let users = [("bad", &*format!(", {bad}"))];
        assert!(
            Bench::with_users("tcp://127.0.0.1:0", &users).is_none(),
            "{bad}"
        );
    }
}

#[test]
fn closing_one_driver_leaves_the_other_and_its_log() {
    let (one, two) = (Bench::open(), Bench::open());
    Client::log_in(one.address()).must("noop");
    one.driver.close();
    let mine = one.log();
    Client::log_in(two.address()).must("noop");
    two.driver.close();
    assert_eq!(two.log().matches("logged in").count(), 1, "{}", two.log());
    assert_eq!(one.log(), mine, "nothing of the other's");
    assert_eq!(mine.matches("logged in").count(), 1, "{mine}");
}

#[test]
fn what_a_web_page_lets_a_browser_send_is_no_session() {
    let bench = Bench::open();
    for first in [
        "POST / HTTP/1.1",
        "GET /user HTTP/1.0",
        "OPTIONS * HTTP/1.1 ",
    ] {
        let mut page = Client::connect(bench.address());
        let body = "Host: x\r\n\r\nuser admin\r\npass secret\r\nsend 0,20,3,,,,-\r\n";
        page.send(format!("{first}\r\n{body}").as_bytes());
        assert_eq!(page.reply(), ["-OK - Unknown command"]);
        assert_eq!(page.line(), None, "{first}");
    }
    assert!(bench.driver.read(Duration::ZERO).is_err());
    // Nothing else ends a session.
    let mut client = Client::connect(bench.address());
    for line in ["HTTP/1.1", "GET /", "GET / HTTP/2", "help HTTP/1.1"] {
        client.ask(line);
    }
    client.logged_in("admin").must("noop");
    let Bench { driver, place } = bench;
    driver.close();
    let log = fs::read_to_string(place.path().join("log")).unwrap();
    assert_eq!(log.matches("logged in").count(), 1, "{log}");
    let refused = "command=HTTP reason=Unknown command";
    assert_eq!(log.matches(refused).count(), 3, "{log}");
}

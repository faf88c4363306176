//! How soon a changed file counts, and that what it says counts at once for those who are here.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // in tests a panic is the way to fail

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use vscpl2drv_link::wire::binary::Strength;

mod support;

use support::binary::{Binary, key_file};
use support::client::Client;
use support::mosquitto::free_port;
use support::reload::{Bench, PLAIN, log_in, mqtt};
use support::tools::{PATIENCE, wait_until};

/// A change is to be noticed within two seconds (`driver::watch` counts them); this is for a
/// machine that does something else as well.
const SOON: Duration = Duration::from_secs(10);

/// From the moment that another file takes the name to the line that says so.
fn measure(bench: &Bench, name: &str, text: &str, words: &str) {
    let before = bench.log().matches(words).count();
    fs::write(bench.path("new"), text).unwrap();
    let start = Instant::now();
    fs::rename(bench.path("new"), bench.path(name)).unwrap();
    bench.wait_for_times(words, before + 1);
    let took = start.elapsed();
    println!("{name}: {words:?} after {took:?}");
    assert!(took < SOON, "{name}: {took:?}");
}

#[test]
fn a_changed_file_counts_within_two_seconds() {
    let broker = free_port();
    let members = |most: usize| {
        format!(
            "{PLAIN}, \"max-clients\": {most}, \
             \"bridge\": {{\"vscpd-config\": \"PLACE/vscpd.json\"}}"
        )
    };
    let entry = |bench: &Bench, topic: &str| {
        format!(
            "{{\"drivers\": {{\"level2\": [{{\"path-config\": {:?}, \"guid\": \"::1\", \
              \"mqtt\": {}}}]}}}}",
            bench.file(),
            mqtt(broker, topic)
        )
    };
    let bench = Bench::start(PLAIN);
    let mut admin = Client::log_in(bench.addresses()[0]);
    fs::write(bench.path("vscpd.json"), entry(&bench, "first")).unwrap();
    bench.edit(&members(10));
    bench.wait_for("so the driver starts anew");
    wait_until("it is there again", || {
        let address = bench.addresses().first().copied();
        address.is_some_and(support::bench::answers)
    });
    assert_eq!(admin.line(), None);
    let mut admin = Client::log_in(bench.addresses()[0]);
    let users = fs::read_to_string(bench.path("users.json")).unwrap();
    for round in 0..3 {
        let privilege = format!("\"name\": \"low\", \"fullname\": \"{round}\"");
        let users = users.replace("\"name\": \"low\"", &privilege);
        let users = users.replace("\"privilege\": 4", &format!("\"privilege\": {round}"));
        let changed = "configuration changed: user user=low";
        measure(&bench, "users.json", &users, changed);
        let link = bench.text(&members(20 + round));
        measure(&bench, "link.json", &link, "configuration changed: limits");
        let daemon = entry(&bench, &format!("topic{round}"));
        let changed = format!("configuration changed: the broker 127.0.0.1:{broker}");
        measure(&bench, "vscpd.json", &daemon, &changed);
    }
    admin.must("noop");
    bench.driver().close();
}

#[test]
fn the_level_of_the_log_file_changes_while_it_is_open() {
    let with = |level: &str| {
        format!(
            "{PLAIN}, \"logging\": {{\"file-path\": \"LOG\", \"file-pattern\": \"%l %v\", \
             \"file-log-level\": \"{level}\"}}"
        )
    };
    let bench = Bench::start(&with("info"));
    let address = bench.addresses()[0];
    let mut admin = Client::log_in(address);
    drop(Client::log_in(address));
    bench.wait_for("info logged out");
    assert!(!bench.log().contains("debug "), "{}", bench.log());

    bench.edit(&with("debug"));
    bench.wait_for("configuration changed: logging");
    drop(Client::log_in(address));
    bench.wait_for("debug the session ended");

    // The next level keeps the line to itself that says so; a wrong password is a warning.
    bench.edit(&with("warn"));
    wait_until("logins are not written any more", || {
        let before = bench.log();
        drop(Client::log_in(address));
        assert!(log_in(address, "admin", "wrong").is_none());
        bench.wait_for_times(
            "warning login refused",
            before.matches("login refused").count() + 1,
        );
        let count = |text: &str| text.matches("info logged in").count();
        count(&before) == count(&bench.log())
    });

    bench.edit(&with("info"));
    bench.wait_for_times("configuration changed: logging", 2);
    let before = bench.log().matches("info logged out").count();
    drop(Client::log_in(address));
    bench.wait_for_times("info logged out", before + 1);
    // It is the same driver, and the same session.
    admin.must("noop");
    assert_eq!(bench.log().matches("info starting").count(), 1);
    bench.driver().close();
}

/// Each of them, one after the other, for sessions that were there before.
#[test]
fn what_a_session_goes_by_changes_while_it_is_there() {
    const ON: &str = "0,20,3,,2020-02-20T20:20:20Z,1,::1";
    let key = TempDir::new().unwrap();
    let mut members = format!(
        "{PLAIN}, \"encryption\": \"aes128\", \"key-file\": {:?}, \
         \"response-timeout\": 600000, \"login-timeout\": 36000, \
         \"bridge\": {{\"publish\": \"host\", \"subscribe\": \"host\"}}",
        key_file(key.path())
    );
    let bench = Bench::start(&members);
    let address = bench.addresses()[0];
    let change = |members: &str, part: &str| {
        let part = format!("configuration changed: {part}");
        let before = bench.log().matches(&part).count();
        bench.edit(members);
        bench.wait_for_times(&part, before + 1);
    };
    let (mut one, mut other) = (Client::log_in(address), Client::log_in(address));
    let mut stranger = Client::connect(address);
    let mut frames = Binary::log_in(address, Strength::Aes128);
    let host_has = |data: u8| {
        let event = bench.driver().read(PATIENCE).unwrap();
        assert_eq!(*event.data, [data]);
    };

    // The host says what it hears, as a broker would.
    let echo = |data: u8| {
        let event = bench.driver().read(PATIENCE).unwrap();
        assert_eq!(*event.data, [data]);
        bench.driver().write(event);
    };
    one.must(&format!("send {ON},1"));
    echo(1);
    assert_eq!((&*one.ask("cdta")[0], &*other.ask("cdta")[0]), ("1", "1"));
    members.push_str(", \"receive-sent-events\": false");
    change(&members, "receive-sent-events");
    one.must(&format!("send {ON},2"));
    echo(2);
    assert_eq!((&*one.ask("cdta")[0], &*other.ask("cdta")[0]), ("1", "2"));
    members.push_str(", \"interconnect\": true");
    change(&members, "interconnect");
    one.must(&format!("send {ON},3"));
    host_has(3);
    assert_eq!((&*one.ask("cdta")[0], &*other.ask("cdta")[0]), ("1", "3"));

    let event = other.must("retr 1")[0].clone();
    assert!(event.contains(",2020-02-20T20:20:20Z,1,"), "{event}");
    members.push_str(", \"event-format\": \"ns\"");
    change(&members, "event-format");
    let event = other.must("retr 1")[0].clone();
    assert!(event.contains(",1582230020000001000,"), "{event}");

    let filter = "{\"out-filter\": \"0,20,0,-\", \"out-mask\": \"0,65535,0,-\"}";
    members.push_str(&format!(", \"filter\": {filter}"));
    change(&members, "filter");
    one.must("send 0,10,6,,,,-,4");
    one.must(&format!("send {ON},5"));
    host_has(5);

    members.push_str(", \"max-in-queue\": 1");
    change(&members, "limits");
    one.must(&format!("send {ON},6"));
    assert_eq!(one.ask(&format!("send {ON},7")), ["-OK - Buffer Full"]);
    host_has(6);
    one.must(&format!("send {ON},8"));
    host_has(8);

    // A frame that begins from then on has less time.
    members = members.replace("600000", "1000");
    change(&members, "limits");
    frames.send(&[0x01]);
    assert_eq!(frames.frame(), None);
    bench.wait_for("frame refused");
    // Who came long ago and has not logged in, and who says nothing.
    assert_eq!(stranger.ask("noop"), ["+OK - Success."]);
    members = members.replace("36000", "1");
    change(&members, "limits");
    assert_eq!(stranger.line(), None);
    one.must("noop");
    members.push_str(", \"idle-timeout\": 1");
    change(&members, "limits");
    assert_eq!((one.line(), other.line()), (None, None));
    assert_eq!(bench.log().matches("info starting").count(), 1);
    bench.driver().close();
}

/// A client that takes little at a time.
struct Slow(BufReader<TcpStream>);

impl Slow {
    fn log_in(address: SocketAddr, user: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.until_status().1, "+OK - Success.");
        client.say(&format!("user {user}"));
        client.until_status();
        client.say("pass secret");
        assert_eq!(client.until_status().1, "+OK - Success.");
        client
    }

    fn say(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
    }

    /// Waits until something is on its way.
    fn peek(&self) {
        assert_eq!(self.0.get_ref().peek(&mut [0]).unwrap(), 1);
    }

    /// Events up to a status line that says something.
    fn until_status(&mut self) -> (Vec<String>, String) {
        let mut events = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the end");
            let line = line.trim_end();
            if line.starts_with("+OK - ") || line.starts_with("-OK - ") {
                return (events, line.to_owned());
            }
            if line != "+OK" {
                events.push(line.to_owned());
            }
        }
    }
}

#[test]
fn who_loses_the_right_to_receive_gets_nothing_of_what_waits() {
    const EVENTS: usize = 6000;
    const NO_RIGHT: &str = "-OK - User does not have rights to perform this operation.";
    let bench = Bench::start(&format!("{PLAIN}, \"response-timeout\": 60000"));
    let address = bench.addresses()[0];
    let mut looping = Slow::log_in(address, "reader");
    looping.say("rcvloop");
    looping.until_status();
    let mut retrieving = Slow::log_in(address, "reader");
    let mut waiting = log_in(address, "reader", "secret").unwrap();
    let mut admin = Client::log_in(address);

    // More than fits between the driver and those who do not read.
    let data = vec!["255"; 510].join(",");
    for n in 0..EVENTS {
        bench.write(&format!("0,20,3,,,,::1,{},{},{data}", n >> 8, n & 255));
    }
    assert_eq!(waiting.ask("cdta")[0], EVENTS.to_string());
    retrieving.say("retr -1");
    retrieving.peek();
    looping.peek();

    let users = fs::read_to_string(bench.path("users.json")).unwrap();
    let less = users.replace(
        "\"rights\": \"receive-events\"",
        "\"rights\": \"send-events\"",
    );
    assert_ne!(users, less);
    bench.replace("users.json", &less);
    wait_until("the right is gone", || waiting.ask("cdta")[0] == "0");
    assert_eq!(waiting.ask("retr 1"), [NO_RIGHT]);
    // Others get what comes now.
    bench.write("0,30,3,,,,::1,1");
    wait_until("it is there", || {
        admin.ask("cdta")[0] == (EVENTS + 1).to_string()
    });

    looping.say("noop");
    looping.say("noop");
    let (mut events, status) = looping.until_status();
    assert_eq!(status, "+OK - Success.");
    events.extend(looping.until_status().0);
    println!("{} were on their way to the receive loop", events.len());
    assert!(events.len() < EVENTS && !events.is_empty());
    assert!(events.iter().all(|event| event.starts_with("0,20,")));
    looping.say("rcvloop");
    assert_eq!(looping.until_status(), (Vec::new(), NO_RIGHT.to_owned()));

    let (events, status) = retrieving.until_status();
    println!("{} were on their way as an answer", events.len());
    assert!(events.len() < EVENTS && !events.is_empty());
    assert_eq!(status, "-OK - No event(s) available");

    // Nor is it there when the right comes back.
    bench.replace("users.json", &users);
    wait_until("the right is back", || waiting.ask("retr 1")[0] != NO_RIGHT);
    assert_eq!(waiting.ask("retr 1"), ["-OK - No event(s) available"]);
    bench.write("0,20,3,,,,::1,9");
    let event = &waiting.must("retr 1")[0];
    assert!(event.ends_with(",0x09"), "{event}");
    bench.driver().close();
}

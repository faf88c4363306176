//! Links between drivers of this kind, each with a broker of its own: nothing is lost, and nothing
//! comes twice.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

mod support;

use support::bench::{self, persist};
use support::binary::key_file;
use support::client::Client;
use support::linked::{Seen, Server, send};
use support::mosquitto::{Mosquitto, Proxy, Subscriber};
use support::tools::wait_until;

#[test]
fn a_hundred_thousand_each_way_through_twenty_resets() {
    through_twenty_resets(100_000, "");
}

#[test]
fn twenty_thousand_each_way_through_twenty_resets_in_the_binary_mode() {
    let place = TempDir::new().unwrap();
    through_twenty_resets(20_000, &encryption(&place));
}

/// Members of a server's configuration, and of a link's to it.
fn encryption(place: &TempDir) -> String {
    let key = key_file(place.path());
    format!("\"encryption\": \"aes256\", \"key-file\": {key:?},")
}

/// The same members for a link.
fn more(members: &str) -> String {
    match members.trim_end_matches(',') {
        "" => String::new(),
        members => format!(", {members}"),
    }
}

/// `members` are of both ends: of the server, and of the link to it.
fn through_twenty_resets(count: usize, members: &str) {
    let (near_broker, far_broker) = (Mosquitto::start(), Mosquitto::start());
    let subscribers = [&near_broker, &far_broker].map(|one| Subscriber::start(one.port(), "ev", 1));
    let mut far = Server::start(2, far_broker.port(), &[], members);
    let proxy = Proxy::start(far.port());
    let links = [("far", proxy.port(), &*more(members))];
    let mut near = Server::start(1, near_broker.port(), &links, "");
    near.is_linked();
    let senders = [send(&near, count), send(&far, count)];
    let mut cuts = 0;
    while cuts < 20 {
        thread::sleep(Duration::from_millis(100));
        // Both connections, each with its two ends.
        if proxy.connections() >= 4 {
            proxy.cut();
            cuts += 1;
        }
    }
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    for subscriber in &subscribers {
        let mut seen = Seen::default();
        seen.collect(subscriber, 2 * count);
        seen.each_once();
    }
    // No frame was taken for another one.
    assert!(
        !near.log().contains("the binary mode failed"),
        "{}",
        near.log()
    );
    assert!(!far.log().contains("frame refused"), "{}", far.log());
    let lost = near.log().matches("next attempt in").count();
    assert!(lost >= 20, "{lost}");
    near.close();
    far.close();
}

#[test]
fn the_far_driver_is_closed_and_opened_again() {
    far_driver_is_closed_and_opened_again(100_000, "");
}

#[test]
fn the_far_driver_is_closed_and_opened_again_in_the_binary_mode() {
    let place = TempDir::new().unwrap();
    far_driver_is_closed_and_opened_again(20_000, &encryption(&place));
}

fn far_driver_is_closed_and_opened_again(count: usize, members: &str) {
    let (near_broker, far_broker) = (Mosquitto::start(), Mosquitto::start());
    let subscribers = [&near_broker, &far_broker].map(|one| Subscriber::start(one.port(), "ev", 1));
    let disk = "\"outbox\": {\"path\": \"PLACE/outbox\"},";
    let mut far = Server::start(2, far_broker.port(), &[], &format!("{disk}{members}"));
    let port = far.port();
    let links = [("far", port, &*more(members))];
    let mut near = Server::start(1, near_broker.port(), &links, disk);
    near.is_linked();
    let sender = send(&near, count);
    let mut sent = 0;
    for round in 1..=4 {
        assert_eq!(
            persist(far.address(), sent..round * count / 4, |_| ()),
            None
        );
        sent = round * count / 4;
        far.close();
        far.open(&format!("127.0.0.1:{port}"));
    }
    sender.join().unwrap();
    for subscriber in &subscribers {
        let mut seen = Seen::default();
        seen.collect(subscriber, 2 * count);
        seen.each_once();
    }
    near.close();
    far.close();
}

/// What comes while a driver is closed waits at the other one, and what waits at the closed one
/// leaves when it is there again.
#[test]
fn the_near_driver_is_closed_and_opened_again() {
    let (near_broker, far_broker) = (Mosquitto::start(), Mosquitto::start());
    let subscribers = [&near_broker, &far_broker].map(|one| Subscriber::start(one.port(), "ev", 1));
    let disk = "\"outbox\": {\"path\": \"PLACE/outbox\"},";
    let mut far = Server::start(2, far_broker.port(), &[], disk);
    let port = far.port();
    let mut near = Server::start(1, near_broker.port(), &[("far", port, "")], disk);
    near.is_linked();
    near.close();
    // What waits for a link has come back from the broker first.
    let mut watcher = Client::log_in(far.address());
    watcher.must("rcvloop");
    assert_eq!(persist(far.address(), 0..1000, |_| ()), None);
    (0..1000).for_each(|_| drop(watcher.event()));
    // Both are away for a while.
    far.close();
    near.open("127.0.0.1:0");
    assert_eq!(persist(near.address(), 0..1000, |_| ()), None);
    wait_until("all of it waits for the far end", || {
        near.status().contains("1000 events wait, 0 sent")
    });
    near.close();
    near.open("127.0.0.1:0");
    far.open(&format!("127.0.0.1:{port}"));
    for subscriber in &subscribers {
        let mut seen = Seen::default();
        seen.collect(subscriber, 2000);
        seen.each_once();
    }
    near.close();
    far.close();
}

/// Each has a link to the other, both in both directions.
#[test]
fn what_waits_for_a_link_goes_with_its_user() {
    let broker = Mosquitto::start();
    let disk = "\"outbox\": {\"path\": \"PLACE/outbox\"},";
    let mut far = Server::start(2, broker.port(), &[], disk);
    let mut client = Client::log_in(far.address());
    assert_eq!(client.must("xlink 1 near 00000000000000ab 5")[1], "4");
    let folder = |far: &Server| -> Vec<PathBuf> {
        let here = far.place.path().join("outbox/links-here");
        let entries = fs::read_dir(here).unwrap().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    assert_eq!(folder(&far).len(), 1);
    let event = "0,20,3,,,,::7,1";
    for (command, answer) in [
        ("xsend 5 00000000000000cd.1", "+OK"),
        ("xsend 5 00000000000000cd.1", "+OK"),
        ("xsend 4 00000000000000cd.9", "+OK"),
        ("xsend 6 00000000000000cd.1", "+OK"),
        ("xsend 7 nonsense", "-OK"),
        ("xsend x 00000000000000cd.2", "-OK"),
    ] {
        let reply = client.ask(&format!("{command} {event}"));
        assert!(reply[0].starts_with(answer), "{command}: {reply:?}");
    }
    for bad in [
        "xlink",
        "xlink 2 near ab 1",
        "xlink 1 a/b ab 1",
        "xlink 1 near xy 1",
        "xlink 1 near ab",
        "xrcv 1 near",
        "xack x",
        "xack 5",
        "xlink 1 near ab 1 more words",
    ] {
        assert!(client.ask(bad)[0].starts_with("-OK"), "{bad}");
    }
    // It goes on where it was, in another session, of another start.
    drop(client);
    far.close();
    far.open("127.0.0.1:0");
    let mut client = Client::log_in(far.address());
    assert_eq!(client.must("xlink 1 near 00000000000000ab 1")[1], "6");
    assert_eq!(client.must("xlink 1 near 00000000000000ac 1")[1], "0");
    let queue = client.must("xrcv 1 near 0 0").remove(0);
    assert_eq!(queue.len(), 16);
    let mut sender = Client::log_in(far.address());
    sender.must("send 0,20,3,,,,-,1");
    let line = client.event();
    assert!(line.contains(",20,3,"), "{line}");
    let number: u64 = line.split(' ').next().unwrap().parse().unwrap();
    // Not acknowledged, so the next session has it again, and this one ends.
    let mut other = Client::log_in(far.address());
    assert_eq!(other.must(&format!("xrcv 1 near {queue} 0"))[0], queue);
    assert_eq!(other.event(), line);
    while let Some(line) = client.line() {
        assert_eq!(line, "+OK", "the first session ends");
    }
    other.must(&format!("xack {number}"));
    drop(other);
    let mut third = Client::log_in(far.address());
    third.must(&format!("xrcv 1 near {queue} {number}"));
    assert_eq!(third.line().as_deref(), Some("+OK"), "nothing waits");
    // A user has eight; the ninth takes the place of one that is away, and its events are gone.
    for n in 0..8 {
        Client::log_in(far.address()).must(&format!("xlink 1 other{n} ab 1"));
    }
    wait_until("one was forgotten", || folder(&far).len() == 8);
    third.must("noop");
    // Another thread writes the log.
    wait_until("it is said", || {
        far.log()
            .contains("what waits for a link is dropped: the user has too many")
    });
    far.close();
}

/// What waits is neither lost nor doubled, though there is no disk.
#[test]
fn restarts_in_mid_stream() {
    const COUNT: usize = 20_000;
    let brokers = [Mosquitto::start(), Mosquitto::start()];
    let subscribers = [&brokers[0], &brokers[1]].map(|one| Subscriber::start(one.port(), "ev", 1));
    let mut far = Server::start(2, brokers[1].port(), &[], "");
    let port = far.port();
    far.close();
    far.open(&format!("127.0.0.1:{port}"));
    let mut near = Server::start(1, brokers[0].port(), &[("far", port, "")], "");
    near.is_linked();
    let mut beside = Client::log_in(near.address());
    beside.must("rcvloop");
    let sender = send(&near, COUNT);
    let mut sent = 0;
    for round in 1..=3 {
        // What waits for a link has come back from the broker first.
        let mut watcher = Client::log_in(far.address());
        watcher.must("rcvloop");
        assert_eq!(persist(far.address(), sent..round * 1000, |_| ()), None);
        while sent < round * 1000 {
            // Events of the link come as well.
            sent += usize::from(watcher.event().contains(":88:88:02:"));
        }
        let before = far.log().matches("starting version").count();
        Client::log_in(far.address()).must("restart");
        wait_until("it has started again", || {
            far.log().matches("starting version").count() > before
        });
        far.is_reached();
    }
    sender.join().unwrap();
    // And the other end, once nothing is on its way from its broker to the link.
    let mut here = 0;
    while here < COUNT {
        here += usize::from(beside.event().contains(":88:88:01:"));
    }
    Client::log_in(near.address()).must("restart");
    for subscriber in &subscribers {
        let mut seen = Seen::default();
        seen.collect(subscriber, COUNT + 3000);
        seen.each_once();
    }
    near.close();
    far.close();
}

#[test]
fn what_waits_for_a_link_is_bounded() {
    let broker = Mosquitto::start();
    let mut far = Server::start(2, broker.port(), &[], "");
    let config = far.config.replace("1000000", "100");
    far.close();
    far.config = config;
    far.open("127.0.0.1:0");
    let mut link = Client::log_in(far.address());
    let queue = link.must("xrcv 1 near 0 0").remove(0);
    drop(link);
    let mut watcher = Client::log_in(far.address());
    watcher.must("rcvloop");
    // Fewer at a time than its queue takes, so that it has them all.
    for round in 0..6 {
        assert_eq!(
            persist(far.address(), round * 50..(round + 1) * 50, |_| ()),
            None
        );
        (0..50).for_each(|_| drop(watcher.event()));
    }
    let mut link = Client::log_in(far.address());
    link.must(&format!("xrcv 1 near {queue} 0"));
    let mut numbers = Vec::new();
    while let Some(line) = link.line().filter(|line| line != "+OK") {
        numbers.push(bench::number(&line));
    }
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    far.close();
}

/// A link that only sends is here as well.
#[test]
fn a_link_that_only_sends_is_not_forgotten() {
    let broker = Mosquitto::start();
    let mut far = Server::start(2, broker.port(), &[], "");
    let mut sender = Client::log_in(far.address());
    assert_eq!(sender.must("xlink 1 sender ab 1")[1], "0");
    sender.must("xsend 1 00000000000000cd.1 0,20,3,,,,::7,1");
    for n in 0..9 {
        Client::log_in(far.address()).must(&format!("xlink 1 other{n} ab 1"));
    }
    let mut again = Client::log_in(far.address());
    assert_eq!(again.must("xlink 1 sender ab 1")[1], "1");
    far.close();
}

#[test]
fn what_waits_for_a_link_goes_with_a_user_who_is_removed_meanwhile() {
    let broker = Mosquitto::start();
    let disk = "\"outbox\": {\"path\": \"PLACE/outbox\"},";
    let mut far = Server::start(2, broker.port(), &[], disk);
    let users = far.place.path().join("users.json");
    let all = fs::read_to_string(support::dialogue::users()).unwrap();
    fs::write(
        &users,
        all.replace("\"name\": \"admin\"", "\"name\": \"other\""),
    )
    .unwrap();
    Client::log_in(far.address()).must("xlink 1 near ab 1");
    let here = far.place.path().join("outbox/links-here");
    assert_eq!(fs::read_dir(&here).unwrap().count(), 1);
    far.close();
    let path = format!("{:?}", support::dialogue::users());
    far.config = far.config.replace(&path, &format!("{users:?}"));
    far.open_only("127.0.0.1:0");
    assert!(
        far.log()
            .contains("what waits for a link is dropped: its user is gone")
    );
    assert_eq!(fs::read_dir(&here).unwrap().count(), 0);
    far.close();
}

/// Nothing waits for a link that never asks for it; once it has asked, all does.
#[test]
fn nothing_waits_for_a_link_that_only_sends() {
    let broker = Mosquitto::start();
    let mut far = Server::start(2, broker.port(), &[], "");
    let port = far.port();
    far.close();
    far.open(&format!("127.0.0.1:{port}"));
    let mut link = Client::log_in(far.address());
    link.must("xlink 1 near ab 1");
    let mut watcher = Client::log_in(far.address());
    watcher.must("rcvloop");
    let pass = |far: &Server, watcher: &mut Client, range: std::ops::Range<usize>| {
        let count = range.len();
        assert_eq!(persist(far.address(), range, |_| ()), None);
        (0..count).for_each(|_| drop(watcher.event()));
    };
    pass(&far, &mut watcher, 0..10);
    let queue = link.must("xrcv 1 near 0 0").remove(0);
    drop(link);
    pass(&far, &mut watcher, 10..20);
    // What it has asked for goes on waiting.
    let before = far.log().matches("starting version").count();
    Client::log_in(far.address()).must("restart");
    wait_until("it has started again", || {
        far.log().matches("starting version").count() > before
    });
    far.is_reached();
    let mut watcher = Client::log_in(far.address());
    watcher.must("rcvloop");
    pass(&far, &mut watcher, 20..30);
    let mut link = Client::log_in(far.address());
    assert_eq!(link.must(&format!("xrcv 1 near {queue} 0"))[0], queue);
    for n in 10..30 {
        assert_eq!(bench::number(&link.event()), n);
    }
    assert_eq!(link.line().as_deref(), Some("+OK"));
    far.close();
}

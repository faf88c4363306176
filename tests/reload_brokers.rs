//! Brokers, and what waits for them, when the configuration changes while the driver runs.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;

use tempfile::TempDir;

mod support;

use support::client::Client;
use support::mosquitto::{Mosquitto, Subscriber};
use support::reload::{Bench, PLAIN, mqtt};
use support::tools::wait_until;

#[test]
fn topics_change_and_one_broker_is_connected_anew_alone() {
    let (one, two) = (Mosquitto::start(), Mosquitto::start());
    let members = |topic: &str| {
        format!(
            "{PLAIN}, \"mqtt\": [{}, {}]",
            mqtt(one.port(), topic),
            mqtt(two.port(), "other")
        )
    };
    let all = Subscriber::start(one.port(), "#", 1);
    let bench = Bench::start(&members("old"));
    let mut client = Client::log_in(bench.addresses()[0]);
    support::bench::wait_for_broker(&mut client);
    client.must("send 0,20,3,,,,-,1");
    assert_eq!(all.message().0, "old");
    bench.edit(&members("new"));
    bench.wait_for(&format!(
        "configuration changed: the broker 127.0.0.1:{}",
        one.port()
    ));
    // Until the new one has taken over there is no room; the session goes on.
    wait_until("an event is taken", || {
        client.ask("send 0,20,3,,,,-,2") == ["+OK - Success."]
    });
    assert_eq!(all.message().0, "new");
    let connected = format!("uplink=127.0.0.1:{}", two.port());
    let times = bench
        .log()
        .lines()
        .filter(|line| line.contains("connected") && line.contains(&connected))
        .count();
    assert_eq!(times, 1, "{}", bench.log());
    client.must("noop");
    bench.driver().close();
}

#[test]
fn what_waits_for_a_broker_that_changes_goes_along() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let port = broker.port();
    let bench = Bench::start(&format!("{PLAIN}, \"mqtt\": {}", mqtt(port, "old")));
    let mut client = Client::log_in(bench.addresses()[0]);
    for n in 1..=50 {
        client.must(&format!("send 0,20,3,,,,-,{n}"));
    }
    bench.edit(&format!("{PLAIN}, \"mqtt\": {}", mqtt(port, "new")));
    bench.wait_for("configuration changed: the broker");
    wait_until("an event is taken", || {
        client.ask("send 0,20,3,,,,-,51") == ["+OK - Success."]
    });
    broker.go();
    let new = Subscriber::start(port, "new", 1);
    let found: Vec<String> = (1..=51).map(|_| new.message().1).collect();
    for (n, payload) in (1..).zip(&found) {
        assert!(payload.ends_with(&format!(",0x{n:02X}")), "{found:?}");
    }
    bench.driver().close();
}

#[test]
fn what_waits_for_a_broker_that_moves_goes_along() {
    let mut old = Mosquitto::start();
    old.stop();
    let new = Mosquitto::start();
    // Another one, which starts anew as well, has nothing waiting.
    let other = Mosquitto::start();
    let members = |port, bytes| {
        format!(
            "{PLAIN}, \"outbox\": {{\"max-bytes\": {bytes}}}, \"mqtt\": [{}, {{\"host\": \"127.0.0.1\", \
              \"port\": {}, \"subscribe\": [{{\"topic\": \"b\"}}]}}]",
            mqtt(port, "a"),
            other.port()
        )
    };
    let bench = Bench::start(&members(old.port(), 100_000));
    let mut client = Client::log_in(bench.addresses()[0]);
    for n in 1..=5 {
        client.must(&format!("send 0,20,3,,,,-,{n}"));
    }
    let subscriber = Subscriber::start(new.port(), "a", 1);
    bench.edit(&members(new.port(), 200_000));
    for n in 1..=5 {
        let (_, payload) = subscriber.message();
        assert!(payload.ends_with(&format!(",0x{n:02X}")), "{payload}");
    }
    bench.driver().close();
}

#[test]
fn what_waits_stays_where_the_new_outbox_cannot_be() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let port = broker.port();
    let members = |outbox: &str| {
        format!(
            "{PLAIN}, \"outbox\": {{{outbox}}}, \"mqtt\": {}",
            mqtt(port, "a")
        )
    };
    let other = Bench::start(&members("\"path\": \"PLACE/box\""));
    let taken = format!("\"path\": {:?}", other.path("box"));
    let bench = Bench::start(&members(""));
    let mut client = Client::log_in(bench.addresses()[0]);
    for n in 1..=3 {
        client.must(&format!("send 0,20,3,,,,-,{n}"));
    }
    // A folder that cannot be made, and one that another driver has.
    bench.edit(&members("\"path\": \"/proc/nowhere\""));
    bench.wait_for("/proc/nowhere");
    client.must("send 0,20,3,,,,-,4");
    bench.edit(&members(&taken));
    bench.wait_for("in use by another driver");
    client.must("send 0,20,3,,,,-,5");
    assert!(!bench.log().contains("starts anew"), "{}", bench.log());
    broker.go();
    let all = Subscriber::start(port, "a", 1);
    let found: Vec<String> = (1..=5).map(|_| all.message().1).collect();
    for (n, payload) in (1..).zip(&found) {
        assert!(payload.ends_with(&format!(",0x{n:02X}")), "{found:?}");
    }
    // Once the other has let go of it, it is this one's.
    other.driver().close();
    bench.wait_for("configuration changed: the broker");
    wait_until("an event is taken", || {
        client.ask("send 0,20,3,,,,-,6") == ["+OK - Success."]
    });
    assert!(all.message().1.ends_with(",0x06"));
    bench.driver().close();
}

#[test]
fn a_driver_that_cannot_start_at_all_does_as_soon_as_it_can() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let port = broker.port();
    let members = |topic: &str| {
        let outbox = "\"outbox\": {\"path\": \"PLACE/box\"}";
        format!("{PLAIN}, {outbox}, \"mqtt\": {}", mqtt(port, topic))
    };
    let other = Bench::start(&members("a"));
    let mut client = Client::log_in(other.addresses()[0]);
    for n in 1..=3 {
        client.must(&format!("send 0,20,3,,,,-,{n}"));
    }
    // Its folder comes to lie where the folder of this one was: nothing shows that beforehand.
    let bench = Bench::start(&members("old"));
    fs::rename(bench.path("box"), bench.path("away")).unwrap();
    fs::rename(other.path("box"), bench.path("box")).unwrap();
    bench.edit(&members("new"));
    bench.wait_for("a bridge cannot start");
    bench.wait_for_times("in use by another driver", 3);
    other.driver().close();
    wait_until("it is there again", || {
        let mut addresses = bench.addresses().into_iter();
        addresses.any(support::bench::answers)
    });
    broker.go();
    let all = Subscriber::start(port, "new", 1);
    let found: Vec<String> = (1..=3).map(|_| all.message().1).collect();
    for (n, payload) in (1..).zip(&found) {
        assert!(payload.ends_with(&format!(",0x{n:02X}")), "{found:?}");
    }
    bench.driver().close();
}

#[test]
fn what_waits_on_the_disk_goes_along_to_another_folder() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let port = broker.port();
    let members = |outbox: &str| {
        format!(
            "{PLAIN}, \"outbox\": {{{outbox}}}, \"mqtt\": {}",
            mqtt(port, "a")
        )
    };
    let bench = Bench::start(&members("\"path\": \"PLACE/one\""));
    let mut client = Client::log_in(bench.addresses()[0]);
    let mut send = |n: usize| {
        wait_until("an event is taken", || {
            client.ask(&format!("send 0,20,3,,,,-,{n}")) == ["+OK - Success."]
        });
    };
    (1..=5).for_each(&mut send);
    bench.edit(&members("\"path\": \"PLACE/two\""));
    bench.wait_for("what waited in");
    (6..=7).for_each(&mut send);
    // And to none.
    bench.edit(&members(""));
    bench.wait_for_times("what waited in", 2);
    send(8);
    broker.go();
    let all = Subscriber::start(port, "a", 1);
    let found: Vec<String> = (1..=8).map(|_| all.message().1).collect();
    for (n, payload) in (1..).zip(&found) {
        assert!(payload.ends_with(&format!(",0x{n:02X}")), "{found:?}");
    }
    // Nothing is left where it was.
    bench.edit(&members("\"path\": \"PLACE/one\""));
    bench.wait_for_times("configuration changed: the broker", 3);
    send(9);
    assert!(all.message().1.ends_with(",0x09"));
    bench.driver().close();
    assert!(
        !bench.log().contains("events of the last time"),
        "{}",
        bench.log()
    );
}

#[test]
fn the_daemons_entry_is_watched_too() {
    let broker = Mosquitto::start();
    let place = TempDir::new().unwrap();
    let daemon = place.path().join("vscpd.json");
    let bench = Bench::start(PLAIN);
    let entry = |topic: &str| {
        format!(
            "{{\"drivers\": {{\"level2\": [{{\"name\": \"link\", \"path-config\": {:?}, \
              \"guid\": \"FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01\", \"mqtt\": {}}}]}}}}",
            bench.file(),
            mqtt(broker.port(), topic)
        )
    };
    fs::write(&daemon, entry("first")).unwrap();
    let second = entry("second");
    // From no daemon to one that is named: events are carried by another client, so it starts anew.
    bench.edit(&format!(
        "{PLAIN}, \"bridge\": {{\"vscpd-config\": {daemon:?}, \"publish\": \"driver\"}}"
    ));
    bench.wait_for("so the driver starts anew");
    wait_until("it is there again", || {
        bench
            .addresses()
            .first()
            .is_some_and(|address| support::bench::answers(*address))
    });
    let mut client = Client::log_in(bench.addresses()[0]);
    support::bench::wait_for_broker(&mut client);
    let subscriber = Subscriber::start(broker.port(), "second", 1);
    fs::write(&daemon, second).unwrap();
    bench.wait_for("configuration changed: the broker");
    wait_until("an event is taken", || {
        client.ask("send 0,20,3,,,,-,7") == ["+OK - Success."]
    });
    assert!(subscriber.message().1.ends_with(",0x07"));
    bench.driver().close();
}

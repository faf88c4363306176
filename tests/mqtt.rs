//! The driver between link clients and a real mosquitto, loaded through its C interface.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

mod support;

use support::bench::{flood, number, open, wait_for_broker};
use support::client::Client;
use support::mosquitto::{Mosquitto, Proxy, Subscriber, free_port, publish};
use support::tools::{PATIENCE, wait_until};

const TREE: &str = "\"publish\": [{\"topic\": \"vscp/{{guid}}/{{class}}/{{type}}/{{nodeid}}\", \
                    \"qos\": 1}], \"subscribe\": [{\"topic\": \"to/clients/#\", \"qos\": 1}]";

#[test]
fn an_event_goes_to_its_topic_and_a_message_to_two_clients() {
    let broker = Mosquitto::start();
    let mut bench = open(broker.port(), "", TREE);
    let subscriber = Subscriber::start(broker.port(), "vscp/#", 1);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    client.must("send 0,20,3,,2001-11-02T18:00:01Z,817923,-,0,1,35");
    let (topic, payload) = subscriber.message();
    let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:01:00:00";
    assert_eq!(topic, format!("vscp/{guid}/20/3/0"));
    // mosquitto_sub prints the payload's first line on the line that is read here.
    assert_eq!(payload, "{");
    let mut two = [Client::log_in(bench.address), Client::log_in(bench.address)];
    for client in &mut two {
        client.must("rcvloop");
    }
    publish(
        broker.port(),
        "to/clients/one",
        "{\"head\": 96, \"class\": 10, \"type\": 6, \"guid\": \"::1\", \"data\": [1, 2], \
          \"timestamp_ns\": \"0x0df17f2809aa8db8\"}",
    );
    publish(broker.port(), "to/clients/two", "not an event");
    publish(broker.port(), "to/clients/two", "{\"class\": 99999}");
    publish(
        broker.port(),
        "to/clients/two",
        "96,20,4,0,2001-11-02T18:00:01Z,5,::2,7",
    );
    publish(
        broker.port(),
        "to/clients/two",
        "{\"vscpHead\": 0, \"vscpClass\": 20, \"vscpType\": 5, \"vscpGuid\": \"::3\", \
          \"vscpDateTime\": \"2001-11-02T18:00:01Z\", \"vscpTimeStamp\": 9, \"vscpData\": []}",
    );
    for client in &mut two {
        let guid = "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF";
        let date = "2001-11-02T18:00:01Z";
        assert_eq!(
            client.event(),
            format!("96,10,6,0,{date},817923,{guid}:01,0x01,0x02")
        );
        assert_eq!(client.event(), format!("96,20,4,0,{date},5,{guid}:02,0x07"));
        assert_eq!(client.event(), format!("0,20,5,0,{date},9,{guid}:03"));
    }
    assert_eq!(
        bench.host.ask("read 50"),
        "code 32",
        "the driver does the MQTT"
    );
    assert_eq!(
        bench.host.ask("write 0 20 3 0 1004724001 0 1"),
        "code 0",
        "taken, and dropped"
    );
    assert_eq!(client.ask("cdta")[0], "3");
    bench.host.end();
}

#[test]
fn sent_events_come_back_or_not() {
    let broker = Mosquitto::start();
    let same = "\"publish\": [{\"topic\": \"meet\", \"qos\": 1}, {\"topic\": \"away\"}], \
                \"subscribe\": [{\"topic\": \"meet\", \"qos\": 1}]";
    for shown in [true, false] {
        let members = format!("\"receive-sent-events\": {shown},");
        let bench = open(broker.port(), &members, same);
        let mut sender = Client::log_in(bench.address);
        let mut other = Client::log_in(bench.address);
        wait_for_broker(&mut sender);
        other.must("rcvloop");
        for n in [1, 1, 2] {
            // An obid of the client's own makes no difference.
            sender.must(&format!("send 0,20,3,77,,,-,{n}"));
        }
        for n in [1, 1, 2] {
            let event = other.event();
            assert!(event.starts_with("0,20,3,1,") && event.ends_with(&format!(",0x0{n}")));
        }
        assert_eq!(sender.ask("cdta")[0], if shown { "3" } else { "0" });
        bench.host.end();
    }
}

const NUMBERED: &str =
    "\"publish\": [{\"topic\": \"numbered\", \"qos\": 1, \"format\": \"string\"}]";
const MANY: usize = 100_000;

#[test]
fn a_hundred_thousand_pipelined_events_arrive_once_and_in_order() {
    let broker = Mosquitto::start();
    let bench = open(broker.port(), "", NUMBERED);
    let subscriber = Subscriber::start(broker.port(), "numbered", 1);
    let sender = flood(bench.address, MANY);
    for n in 0..MANY {
        assert_eq!(
            number(&subscriber.message().1),
            n,
            "in order, none lost, none twice"
        );
    }
    sender.join().unwrap();
    bench.host.end();
}

#[test]
fn nothing_is_lost_while_the_broker_goes_and_connections_break() {
    let mut broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let bench = open(proxy.port(), "", NUMBERED);
    let subscriber = Subscriber::start(broker.port(), "numbered", 1);
    let sender = flood(bench.address, MANY);
    let mut seen = HashSet::new();
    let mut last_new = None;
    let mut breaks = 0;
    while seen.len() < MANY {
        let n = number(&subscriber.message().1);
        if seen.insert(n) {
            // What is new comes in the order in which it was sent.
            assert!(
                last_new.is_none_or(|last| n > last),
                "{n} after {last_new:?}"
            );
            last_new = Some(n);
        } else {
            assert!(breaks > 0, "{n} twice without a break");
        }
        match seen.len() {
            10_000 | 70_000 if breaks % 2 == 0 => {
                assert!(proxy.cut() > 0, "there was a connection to cut");
                breaks += 1;
            }
            40_000 if breaks == 1 => {
                broker.stop();
                broker.go();
                breaks += 1;
            }
            _ => {}
        }
    }
    assert_eq!(breaks, 3);
    sender.join().unwrap();
    bench.host.end();
}

#[test]
fn starts_without_a_broker_and_delivers_when_it_comes() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let members = "\"outbox\": {\"max-events\": 5},";
    let bench = open(broker.port(), members, NUMBERED);
    let mut client = Client::log_in(bench.address);
    for n in 0..5 {
        client.must(&format!("send 0,20,3,,,,-,0,0,{n}"));
    }
    assert_eq!(client.ask("send 0,20,3,,,,-,0,0,5"), ["-OK - Buffer Full"]);
    assert!(
        client.ask("info")[0].starts_with("1,21,"),
        "an uplink is down"
    );
    assert_eq!(
        client.ask("test").last().unwrap(),
        "-OK - Server Internal error."
    );
    broker.go();
    let subscriber = Subscriber::start(broker.port(), "numbered", 1);
    wait_for_broker(&mut client);
    client.must("send 0,20,3,,,,-,0,0,6");
    let mut found = Vec::new();
    // Those of the time before may have arrived before the subscriber did.
    while found.last() != Some(&6) {
        found.push(number(&subscriber.message().1));
    }
    let expected: Vec<usize> = vec![0, 1, 2, 3, 4, 6];
    assert!(expected.ends_with(&found), "{found:?}");
    bench.host.end();
}

#[test]
fn closing_drains_and_does_not_wait_for_a_broker_that_is_gone() {
    let mut broker = Mosquitto::start();
    let mut bench = open(broker.port(), "", NUMBERED);
    let subscriber = Subscriber::start(broker.port(), "numbered", 1);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    for n in 0..100 {
        client.must(&format!("send 0,20,3,,,,-,0,0,{n}"));
    }
    let closed = |answer: String| -> f64 {
        answer
            .strip_prefix("closed 0 ")
            .expect("it closes")
            .parse()
            .unwrap()
    };
    assert!(closed(bench.host.ask("close")) < 5.0);
    for n in 0..100 {
        assert_eq!(number(&subscriber.message().1), n);
    }
    let mut bench = open(broker.port(), "", NUMBERED);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    broker.stop();
    client.must("send 0,20,3,,,,-,0,0,1");
    assert!(closed(bench.host.ask("close")) < 5.0);
    assert_eq!(bench.host.ask("threads"), "threads 1");
}

#[test]
fn every_qos_and_several_topics_both_ways() {
    let broker = Mosquitto::start();
    let topics = "\"publish\": [{\"topic\": \"q/0\", \"format\": \"string\"}, \
        {\"topic\": \"q/1\", \"qos\": 1, \"format\": \"string\"}, \
        {\"topic\": \"q/2\", \"qos\": 2, \"format\": \"string\", \"retain\": true}], \
        \"generation\": \"classic\", \"clientid\": \"me-{{rnd}}\", \
        \"subscribe\": [{\"topic\": \"to/0\"}, {\"topic\": \"to/1\", \"qos\": 1}, \
        {\"topic\": \"to/2\", \"qos\": 2, \"format\": \"json\"}]";
    let bench = open(broker.port(), "", topics);
    let subscriber = Subscriber::start(broker.port(), "q/#", 2);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    client.must("send 0x60,20,3,,2001-11-02T18:00:01Z,817923,::1,7");
    let mut found: Vec<(String, String)> = (0..3).map(|_| subscriber.message()).collect();
    // QoS 2 takes another turn.
    found.sort();
    let line = "96,20,3,1,2001-11-02T18:00:01Z,817923,\
                FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01,0x07";
    let expected = ["q/0", "q/1", "q/2"].map(|topic| (topic.to_owned(), line.to_owned()));
    assert_eq!(found, expected);
    client.must("rcvloop");
    for (n, topic) in ["to/0", "to/1", "to/2"].iter().enumerate() {
        publish(
            broker.port(),
            topic,
            &format!("{{\"class\": 20, \"type\": {n}}}"),
        );
        assert!(client.event().starts_with(&format!("0,20,{n},0,")));
    }
    // The comma form is not what this topic reads.
    publish(broker.port(), "to/2", "0,20,9,0,,,-");
    publish(broker.port(), "to/1", "0,20,8,0,,,-");
    assert!(client.event().starts_with("0,20,8,0,"));
    bench.host.end();
    // Whoever comes later finds what was retained.
    let late = Subscriber::start(broker.port(), "q/2", 1);
    assert_eq!(late.message().1, line);
}

#[test]
fn the_broker_says_so_when_the_host_is_killed_and_not_when_it_closes() {
    let broker = Mosquitto::start();
    let will = "\"will\": {\"topic\": \"state/{{ifguid[15]}}\", \"payload\": \"down\", \
                \"qos\": 1, \"retain\": false}, \"publish\": [{\"topic\": \"state/event\", \
                \"qos\": 1, \"format\": \"string\"}]";
    let subscriber = Subscriber::start(broker.port(), "state/#", 1);
    let bench = open(broker.port(), "", will);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    client.must("send 0,20,3,,,,-");
    assert_eq!(subscriber.message().0, "state/event");
    bench.host.end();
    let bench = open(broker.port(), "", will);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    client.must("send 0,20,3,,,,-");
    assert_eq!(
        subscriber.message().0,
        "state/event",
        "an orderly end has no will"
    );
    bench.host.kill();
    assert_eq!(
        subscriber.message(),
        ("state/1".to_owned(), "down".to_owned())
    );
}

#[test]
fn a_login_that_the_broker_refuses_is_told_and_the_driver_goes_on() {
    let broker = Mosquitto::with_login("vscp", "br0ker");
    let login =
        |password: &str| format!("\"user\": \"vscp\", \"password\": \"{password}\", {NUMBERED}");
    let bench = open(broker.port(), "", &login("wrong"));
    let mut client = Client::log_in(bench.address);
    wait_until("the refusal is known", || {
        client
            .ask("test")
            .iter()
            .any(|line| line.contains("not authorised"))
    });
    client.must("send 0,20,3,,,,-,1,2,3");
    let counters = bench.counters(broker.port());
    assert_eq!((counters.waiting, counters.delivered), (1, 0));
    bench.host.end();
    let bench = open(broker.port(), "", &login("br0ker"));
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    bench.host.end();
}

#[test]
fn an_optional_broker_drops_and_counts() {
    let members = "\"outbox\": {\"max-events\": 3},";
    let optional = format!("\"required\": false, {NUMBERED}");
    let bench = open(free_port(), members, &optional);
    let mut client = Client::log_in(bench.address);
    for _ in 0..10 {
        client.must("send 0,20,3,,,,-,0,0,1");
    }
    bench.host.end();
}

#[test]
fn a_small_window_does_not_stall_what_is_never_acknowledged() {
    const COUNT: usize = 2000;
    let broker = Mosquitto::start();
    // So many topics that few events are in flight, and no ping that would wake the driver.
    let topics: Vec<String> = (0..20)
        .map(|n| format!("{{\"topic\": \"many/{n}\", \"format\": \"string\"}}"))
        .collect();
    let section = format!("\"keepalive\": 0, \"publish\": [{}]", topics.join(", "));
    let bench = open(broker.port(), "", &section);
    let subscriber = Subscriber::start(broker.port(), "many/19", 0);
    let mut client = Client::log_in(bench.address);
    wait_for_broker(&mut client);
    let found = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&found);
    thread::spawn(move || {
        for _ in 0..COUNT {
            subscriber.message();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    flood(bench.address, COUNT).join().unwrap();
    wait_until("all have arrived", || found.load(Ordering::SeqCst) == COUNT);
    bench.host.end();
}

#[test]
fn a_release_of_an_earlier_connection_is_confirmed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        // CONNACK with a session, and PUBREL 5 of a message that this connection never saw.
        stream.write_all(&[0x20, 2, 1, 0, 0x62, 2, 0, 5]).unwrap();
        let mut seen = Vec::new();
        while !seen.windows(4).any(|bytes| bytes == [0x70, 2, 0, 5]) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the driver left: {seen:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
    });
    let section = "\"clientid\": \"kept\", \"bcleansession\": false, \
                   \"subscribe\": [{\"topic\": \"to/#\", \"qos\": 2}]";
    let bench = open(port, "", section);
    broker.join().unwrap();
    bench.host.end();
}

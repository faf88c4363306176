//! The bridge against a broker that forgets, acknowledges in any order, refuses and sends nonsense.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    ConnectReturnCode, Packet, PubAck, PubComp, PubRec, PubRel, SubAck, SubscribeReasonCode,
};

mod support;

use support::bench::{bytes_of, flood, number, open};
use support::client::Client;
use support::scripted::{Scripted, Wire};
use support::tools::wait_until;

/// Random numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a broker has been given.
#[derive(Default)]
struct Seen {
    /// How often each numbered event came.
    events: BTreeMap<usize, usize>,
    /// In the order in which each came first.
    order: Vec<usize>,
}

impl Seen {
    fn take(&mut self, payload: &[u8]) {
        let n = number(std::str::from_utf8(payload).unwrap());
        let count = self.events.entry(n).or_default();
        *count += 1;
        if *count == 1 {
            self.order.push(n);
        }
    }
}

fn section(qos: u8, clean: bool) -> String {
    format!(
        "\"clientid\": \"driver\", \"bcleansession\": {clean}, \
         \"publish\": [{{\"topic\": \"numbered\", \"qos\": {qos}, \"format\": \"string\"}}]"
    )
}

/// Acknowledges what waits, in any order.
fn answer(wire: &mut Wire, waiting: &mut Vec<Packet>, dice: &mut Dice) {
    while !waiting.is_empty() {
        let at = dice.throw(waiting.len() as u64) as usize;
        let packet = waiting.swap_remove(at);
        wire.send(&packet);
    }
}

/// A broker that keeps its session or forgets it, answers in any order, and resets the connection
/// now and then. Each event is delivered as MQTT asks a broker to: QoS 2 by its identifier.
fn unreliable(qos: u8, keeps: bool, seed: u64) -> (Scripted, Arc<Mutex<Seen>>) {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let mut dice = Dice(seed);
    let mut unreleased: HashSet<u16> = HashSet::new();
    let broker = Scripted::start(move |connection, mut wire| {
        if !keeps {
            unreleased.clear();
        }
        wire.welcome(keeps && connection > 0);
        // The first connections break soon, later ones go on and on.
        let life = if connection < 10 {
            20 + dice.throw(400)
        } else {
            u64::MAX
        };
        let mut waiting = Vec::new();
        for _ in 0..life {
            let Some(packet) = wire.read() else { return };
            match packet {
                Packet::Publish(publish) => {
                    assert_eq!(publish.qos as u8, qos);
                    if qos == 2 {
                        // Taken once for each identifier, until it is released.
                        if unreleased.insert(publish.pkid) {
                            ours.lock().unwrap().take(&publish.payload);
                        } else {
                            assert!(publish.dup, "identifier {} is in use", publish.pkid);
                        }
                        waiting.push(Packet::PubRec(PubRec::new(publish.pkid)));
                    } else {
                        ours.lock().unwrap().take(&publish.payload);
                        waiting.push(Packet::PubAck(PubAck::new(publish.pkid)));
                    }
                }
                Packet::PubRel(release) => {
                    unreleased.remove(&release.pkid);
                    waiting.push(Packet::PubComp(PubComp::new(release.pkid)));
                }
                Packet::PingReq => waiting.push(Packet::PingResp),
                Packet::Disconnect => return,
                other => panic!("{other:?}"),
            }
            if waiting.len() > 10 || dice.throw(4) == 0 {
                answer(&mut wire, &mut waiting, &mut dice);
            }
        }
        wire.reset();
    });
    (broker, seen)
}

fn through_an_unreliable_broker(qos: u8, keeps: bool, seed: u64) {
    const COUNT: usize = 5000;
    let (broker, seen) = unreliable(qos, keeps, seed);
    let bench = open(broker.port(), "", &section(qos, !keeps));
    flood(bench.address, COUNT).join().unwrap();
    // The last ones come without anything that would make the broker answer.
    let mut more = COUNT;
    let mut client = Client::log_in(bench.address);
    wait_until("all have come", || {
        client.must(&format!("send 0,20,3,,,,-,{}", bytes_of(more)));
        more += 1;
        seen.lock().unwrap().events.range(..COUNT).count() == COUNT
    });
    assert!(broker.connections() > 8);
    let seen = seen.lock().unwrap();
    assert!(
        seen.order.windows(2).all(|pair| pair[0] < pair[1]),
        "what is new comes in order"
    );
    if qos == 2 && keeps {
        let twice: Vec<_> = seen
            .events
            .iter()
            .filter(|(_, count)| **count > 1)
            .collect();
        assert!(twice.is_empty(), "QoS 2 delivers once: {twice:?}");
    }
    drop(seen);
    bench.host.end();
}

#[test]
fn qos_1_through_a_broker_that_keeps_its_sessions() {
    through_an_unreliable_broker(1, true, 1);
}

#[test]
fn qos_1_through_a_broker_that_forgets_its_sessions() {
    through_an_unreliable_broker(1, false, 2);
}

#[test]
fn qos_2_delivers_once_through_a_broker_that_keeps_its_sessions() {
    through_an_unreliable_broker(2, true, 3);
}

#[test]
fn qos_2_loses_nothing_through_a_broker_that_forgets_its_sessions() {
    through_an_unreliable_broker(2, false, 4);
}

/// Answers everything at once, for ever, and gives the payloads that come.
fn serve(wire: &mut Wire, mut publish: impl FnMut(&str, &[u8])) {
    while let Some(packet) = wire.read() {
        match packet {
            Packet::Publish(message) => {
                publish(&message.topic, &message.payload);
                match message.qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => wire.send(&Packet::PubAck(PubAck::new(message.pkid))),
                    QoS::ExactlyOnce => wire.send(&Packet::PubRec(PubRec::new(message.pkid))),
                }
            }
            Packet::PubRel(release) => wire.send(&Packet::PubComp(PubComp::new(release.pkid))),
            Packet::PingReq => wire.send(&Packet::PingResp),
            Packet::Subscribe(subscribe) => {
                let codes = subscribe
                    .filters
                    .iter()
                    .map(|filter| SubscribeReasonCode::Success(filter.qos))
                    .collect();
                wire.send(&Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
            }
            _ => {}
        }
    }
}

#[test]
fn a_broker_that_refuses_and_then_does_not() {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let broker = Scripted::start(move |connection, mut wire| match connection {
        0 => wire.refuse(ConnectReturnCode::BadUserNamePassword),
        1 => wire.refuse(ConnectReturnCode::ServiceUnavailable),
        2 => wire.raw(b"\x20\x02\x00\x09"),
        3 => wire.reset(),
        4 => wire.send(&Packet::PingResp),
        _ => {
            wire.welcome(false);
            serve(&mut wire, |_, payload| ours.lock().unwrap().take(payload));
        }
    });
    let bench = open(broker.port(), "", &section(1, true));
    flood(bench.address, 100).join().unwrap();
    wait_until("all have come", || seen.lock().unwrap().order.len() == 100);
    let log = bench.log();
    for said in ["wrong user or password", "the service is not available"] {
        assert!(log.contains(said), "{said} in {log}");
    }
    bench.host.end();
}

#[test]
fn nonsense_ends_a_connection_and_nothing_else() {
    let nonsense: [&[u8]; 7] = [
        b"\x00\x00",
        b"\xF0\xFF\xFF\xFF\xFF\xFF",
        b"\x10\x00",
        b"\x30\x05\x00\x09abc",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x90\x80\x80\x80\x01",
        b"\x36\x04\x00\x01a\x00",
    ];
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let broker = Scripted::start(move |connection, mut wire| {
        wire.welcome(false);
        if let Some(bytes) = nonsense.get(connection) {
            wire.raw(bytes);
            // Half a packet is no reason to leave: the end is.
            wire.raw(&[0xFF; 4]);
            thread::sleep(Duration::from_millis(50));
            return;
        }
        serve(&mut wire, |_, payload| ours.lock().unwrap().take(payload));
    });
    let bench = open(broker.port(), "", &section(1, true));
    flood(bench.address, 1000).join().unwrap();
    wait_until("all have come", || seen.lock().unwrap().order.len() == 1000);
    assert_eq!(broker.connections(), 8);
    bench.host.end();
}

#[test]
fn answers_to_questions_that_nobody_asked() {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let broker = Scripted::start(move |_, mut wire| {
        wire.welcome(false);
        for identifier in [1, 7, 1000, 65535] {
            wire.send(&Packet::PubAck(PubAck::new(identifier)));
            wire.send(&Packet::PubRec(PubRec::new(identifier)));
            wire.send(&Packet::PubComp(PubComp::new(identifier)));
            wire.send(&Packet::PubRel(PubRel::new(identifier)));
        }
        wire.send(&Packet::PingResp);
        serve(&mut wire, |_, payload| ours.lock().unwrap().take(payload));
    });
    let bench = open(broker.port(), "", &section(1, true));
    flood(bench.address, 3000).join().unwrap();
    wait_until("all have come", || seen.lock().unwrap().order.len() == 3000);
    assert_eq!(broker.connections(), 1, "none of it ends the connection");
    bench.host.end();
}

/// A message of a megabyte would come again for ever if it were not acknowledged.
#[test]
fn a_message_that_is_far_too_long_is_acknowledged_and_dropped() {
    let acknowledged: Arc<Mutex<Vec<u16>>> = Arc::default();
    let ours = Arc::clone(&acknowledged);
    let broker = Scripted::start(move |_, mut wire| {
        wire.welcome(false);
        let Some(Packet::Subscribe(_)) = wire.read() else {
            panic!("it subscribes")
        };
        wire.publish("to/x", &vec![b','; 1_000_000], QoS::AtLeastOnce, 1);
        wire.publish("to/x", &vec![b'<'; 20_000], QoS::AtLeastOnce, 2);
        wire.publish("to/x", b"0,20,3,0,,,::1,7", QoS::AtLeastOnce, 3);
        while let Some(packet) = wire.read() {
            if let Packet::PubAck(ack) = packet {
                ours.lock().unwrap().push(ack.pkid);
            }
        }
    });
    let subscribe = "\"subscribe\": [{\"topic\": \"to/#\", \"qos\": 1}]";
    let bench = open(broker.port(), "", subscribe);
    let mut client = Client::log_in(bench.address);
    // It may have come before the client did.
    wait_until("all are acknowledged", || {
        acknowledged.lock().unwrap()[..] == [1, 2, 3]
    });
    client.must("noop");
    assert_eq!(broker.connections(), 1);
    bench.host.end();
}

/// Identifiers of an earlier driver are released before they are used again.
#[test]
fn a_session_of_an_earlier_driver_is_released() {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let released: Arc<Mutex<HashSet<u16>>> = Arc::default();
    let (ours, theirs) = (Arc::clone(&seen), Arc::clone(&released));
    let broker = Scripted::start(move |connection, mut wire| {
        wire.welcome(true);
        if connection == 0 {
            // The first attempt to release them is lost.
            return wire.reset();
        }
        // Of these the earlier driver never heard that they had come.
        let mut held: HashMap<u16, ()> = (1..=50).map(|identifier| (identifier, ())).collect();
        while let Some(packet) = wire.read() {
            match packet {
                Packet::PubRel(release) => {
                    held.remove(&release.pkid);
                    theirs.lock().unwrap().insert(release.pkid);
                    wire.send(&Packet::PubComp(PubComp::new(release.pkid)));
                }
                Packet::Publish(publish) => {
                    // As brokers do: a known identifier is a duplicate.
                    if held.insert(publish.pkid, ()).is_none() {
                        ours.lock().unwrap().take(&publish.payload);
                    }
                    wire.send(&Packet::PubRec(PubRec::new(publish.pkid)));
                }
                _ => {}
            }
        }
    });
    let bench = open(broker.port(), "", &section(2, false));
    flood(bench.address, 200).join().unwrap();
    wait_until("all have come", || seen.lock().unwrap().order.len() == 200);
    assert!(released.lock().unwrap().len() >= 50);
    bench.host.end();
}

/// A broker that reads nothing for a while holds nobody up for longer, and loses nothing.
#[test]
fn a_broker_that_stalls() {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let broker = Scripted::start(move |connection, mut wire| {
        if connection == 0 {
            // Accepts, and then neither reads nor writes.
            wire.welcome(false);
            thread::sleep(Duration::from_secs(4));
            return;
        }
        wire.welcome(false);
        serve(&mut wire, |_, payload| ours.lock().unwrap().take(payload));
    });
    let keep_alive = format!("\"keepalive\": 2, {}", section(1, true));
    let bench = open(broker.port(), "", &keep_alive);
    flood(bench.address, 20_000).join().unwrap();
    // Other clients are served meanwhile.
    Client::log_in(bench.address).must("noop");
    wait_until("all have come", || {
        seen.lock().unwrap().events.len() == 20_000
    });
    bench.host.end();
}

/// What is on its way when the driver closes is acknowledged, so that it does not go there once more
/// when the driver is opened again.
#[test]
fn closing_leaves_nothing_in_doubt() {
    const COUNT: usize = 5000;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let slow = Arc::new(AtomicBool::new(true));
    let slowly = Arc::clone(&slow);
    let broker = Scripted::start(move |_, mut wire| {
        wire.welcome(false);
        serve(&mut wire, |_, payload| {
            ours.lock().unwrap().take(payload);
            if slowly.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(2));
            }
        });
    });
    let place = tempfile::TempDir::new().unwrap();
    let disk = format!("\"outbox\": {{\"path\": {:?}}},", place.path());
    let mut bench = open(broker.port(), &disk, &section(1, true));
    flood(bench.address, COUNT).join().unwrap();
    assert!(bench.host.ask("close").starts_with("closed 0"));
    let before = seen.lock().unwrap().order.len();
    assert!(before > 0 && before < COUNT, "{before}");
    slow.store(false, Ordering::SeqCst);
    bench.kill_and_start();
    wait_until("all have come", || {
        seen.lock().unwrap().events.len() == COUNT
    });
    let seen = seen.lock().unwrap();
    let twice: Vec<_> = seen
        .events
        .iter()
        .filter(|(_, times)| **times > 1)
        .collect();
    assert!(twice.is_empty(), "{}: {:?}", twice.len(), twice.first());
    bench.host.end();
}

/// One event, two topics: what the broker has of it is not sent again.
#[test]
fn a_copy_that_the_broker_has_is_not_sent_again() {
    let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let ours = Arc::clone(&counts);
    let broker = Scripted::start(move |connection, mut wire| {
        wire.welcome(false);
        if connection > 0 {
            return serve(&mut wire, |topic, _| {
                *ours
                    .lock()
                    .unwrap()
                    .entry(format!("{topic} again"))
                    .or_default() += 1;
            });
        }
        let mut acknowledged = 0;
        while acknowledged < 100 {
            let Some(Packet::Publish(publish)) = wire.read() else {
                continue;
            };
            *ours
                .lock()
                .unwrap()
                .entry(publish.topic.clone())
                .or_default() += 1;
            if publish.topic == "a" {
                wire.send(&Packet::PubAck(PubAck::new(publish.pkid)));
                acknowledged += 1;
            }
        }
        // The driver has read the answers before the connection breaks.
        thread::sleep(Duration::from_millis(300));
        wire.reset();
    });
    let topics = "\"publish\": [{\"topic\": \"a\", \"qos\": 1, \"format\": \"string\"}, \
                  {\"topic\": \"b\", \"qos\": 1, \"format\": \"string\"}]";
    let bench = open(broker.port(), "", topics);
    flood(bench.address, 100).join().unwrap();
    wait_until("all copies have come", || {
        counts.lock().unwrap().get("b again").copied() == Some(100)
    });
    let counts = counts.lock().unwrap();
    assert_eq!((counts["a"], counts.get("a again")), (100, None));
    bench.host.end();
}

/// What is done behind an event that is not must not be mistaken for what is still to be sent.
#[test]
fn the_first_event_is_acknowledged_last_and_after_a_break() {
    const COUNT: usize = 3000;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let ours = Arc::clone(&seen);
    let broker = Scripted::start(move |connection, mut wire| {
        wire.welcome(connection > 0);
        if connection > 0 {
            return serve(&mut wire, |_, payload| ours.lock().unwrap().take(payload));
        }
        let mut acknowledged = 0;
        while acknowledged < 450 {
            let Some(Packet::Publish(publish)) = wire.read() else {
                continue;
            };
            let mut seen = ours.lock().unwrap();
            seen.take(&publish.payload);
            if seen.order.len() > 1 {
                wire.send(&Packet::PubAck(PubAck::new(publish.pkid)));
                acknowledged += 1;
            }
        }
        thread::sleep(Duration::from_millis(300));
        wire.reset();
    });
    let bench = open(broker.port(), "", &section(1, false));
    flood(bench.address, COUNT).join().unwrap();
    wait_until("all have come", || {
        seen.lock().unwrap().order.len() == COUNT
    });
    let seen = seen.lock().unwrap();
    let twice = seen.events.values().filter(|&&count| count > 1).count();
    assert!(
        twice < 100,
        "what was acknowledged is not sent again: {twice}"
    );
    drop(seen);
    bench.host.end();
}

/// A birth that finds no identifier is said later, and a goodbye does without one.
#[test]
fn birth_and_goodbye_with_a_window_that_is_full() {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let ours = Arc::clone(&said);
    let broker = Scripted::start(move |connection, mut wire| {
        wire.welcome(connection > 0);
        let mut first = true;
        while let Some(packet) = wire.read() {
            match packet {
                Packet::Publish(publish) if publish.topic == "here" => {
                    ours.lock()
                        .unwrap()
                        .push(String::from_utf8(publish.payload.to_vec()).unwrap());
                    // Never acknowledged.
                }
                // At first nothing is acknowledged; later a little.
                Packet::Publish(publish) if connection > 0 && first => {
                    first = false;
                    thread::sleep(Duration::from_millis(300));
                    wire.send(&Packet::PubAck(PubAck::new(publish.pkid)));
                }
                Packet::Publish(publish)
                    if connection == 0
                        && number(std::str::from_utf8(&publish.payload).unwrap()) == 499 =>
                {
                    return wire.reset();
                }
                Packet::Disconnect => {
                    ours.lock().unwrap().push("goodbye".to_owned());
                    return;
                }
                _ => {}
            }
        }
    });
    let topics: Vec<String> = (0..2)
        .map(|n| format!("{{\"topic\": \"t/{n}\", \"qos\": 1, \"format\": \"string\"}}"))
        .collect();
    let section = format!(
        "\"clientid\": \"driver\", \"bcleansession\": false, \"publish\": [{}], \
         \"birth\": {{\"topic\": \"here\", \"payload\": \"up\"}}, \
         \"will\": {{\"topic\": \"here\", \"payload\": \"down\"}}",
        topics.join(", ")
    );
    let mut bench = open(broker.port(), "", &section);
    flood(bench.address, 1000).join().unwrap();
    wait_until("the birth is said again", || {
        said.lock()
            .unwrap()
            .iter()
            .filter(|word| *word == "up")
            .count()
            == 2
    });
    assert!(bench.host.ask("close").starts_with("closed 0"));
    wait_until("the goodbye is said", || said.lock().unwrap().len() == 4);
    assert_eq!(said.lock().unwrap()[2..], ["down", "goodbye"]);
    bench.host.end();
}

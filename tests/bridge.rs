//! What the bridge says of itself, what MQTT 5 adds, and several brokers and drivers.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::HashSet;
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

mod support;

use support::bench::{Bench, bytes_of, number, open, open_with, persist};
use support::client::Client;
use support::mosquitto::{Mosquitto, Subscriber, free_port, publish};
use support::tools::{need, wait_until};

const STRING: &str = "\"publish\": [{\"topic\": \"numbered\", \"qos\": 1, \"format\": \"string\"}]";

fn json(hex: &str) -> Value {
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn the_status_document() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::with(broker.port(), "s/#", 1, "got %t %x", &[]);
    let section =
        format!("\"status\": {{\"topic\": \"s/{{{{ifguid[15]}}}}\", \"interval\": 1}}, {STRING}");
    let bench = open(broker.port(), "", &section);
    let mut client = bench.client();
    client.must("send 0,20,3,,,,-,1");
    let mut documents = Vec::new();
    loop {
        let (topic, payload) = subscriber.message();
        assert_eq!(topic, "s/1");
        let document = json(&payload);
        documents.push(document.clone());
        if document["outbox"]["delivered"] == 1 {
            break;
        }
    }
    let last = documents.last().unwrap();
    assert_eq!(last["state"], "online");
    assert_eq!(last["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        last["guid"],
        "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01"
    );
    assert_eq!(
        (&last["clients"], &last["events"]["submitted"]),
        (&1.into(), &1.into())
    );
    assert!(last["uptime"].is_u64() && last["instance"].is_string());
    // The broker keeps it for whoever comes later.
    let late = Subscriber::with(broker.port(), "s/1", 1, "got %r %x", &["-i", "late"]);
    let (retained, payload) = late.message();
    assert_eq!(
        (retained.as_str(), &json(&payload)["state"]),
        ("1", &"online".into())
    );
    bench.host.end();
    let offline = |subscriber: &Subscriber| loop {
        let document = json(&subscriber.message().1);
        if document["state"] == "offline" {
            return document["instance"].clone();
        }
    };
    let first = offline(&subscriber);
    assert_eq!(first, last["instance"]);
    // And where the host is killed, the broker says it.
    let bench = open(broker.port(), "", &section);
    bench.client();
    bench.host.kill();
    assert_ne!(offline(&subscriber), first);
}

#[test]
fn two_drivers_with_one_guid_are_found_out() {
    let broker = Mosquitto::start();
    let section = |id: &str| {
        format!(
            "\"clientid\": \"{id}\", \"status\": {{\"topic\": \"s\", \"interval\": 1}}, {STRING}"
        )
    };
    let benches = [
        open(broker.port(), "", &section("a")),
        open(broker.port(), "", &section("b")),
    ];
    wait_until("one of them says so", || {
        benches
            .iter()
            .any(|bench| bench.log().contains("another driver with this GUID"))
    });
    for bench in benches {
        bench.host.end();
    }
    // With one client id they throw each other out.
    let same = || open(broker.port(), "", STRING);
    let benches = [same(), same()];
    wait_until("one of them says so", || {
        benches
            .iter()
            .any(|bench| bench.log().contains("another client with this client id"))
    });
    for bench in benches {
        bench.host.end();
    }
}

#[test]
fn birth_and_will() {
    let broker = Mosquitto::start();
    let section = format!(
        "\"will\": {{\"topic\": \"here\", \"payload\": \"gone\", \"qos\": 1, \"retain\": true}}, \
         \"birth\": {{\"topic\": \"here\", \"payload\": \"there\", \"qos\": 1}}, {STRING}"
    );
    let subscriber = Subscriber::start(broker.port(), "here", 1);
    for kill in [false, true] {
        let bench = open(broker.port(), "", &section);
        assert_eq!(subscriber.message().1, "there");
        if kill {
            bench.host.kill();
        } else {
            bench.host.end();
        }
        assert_eq!(subscriber.message().1, "gone");
    }
    let late = Subscriber::with(broker.port(), "here", 1, "got %r %p", &["-i", "late"]);
    assert_eq!(late.message(), ("1".to_owned(), "gone".to_owned()));
}

#[test]
fn what_mqtt_5_adds() {
    let broker = Mosquitto::start();
    let section = "\"mqtt-options\": {\"protocol-version\": 500, \"send-maximum\": 3}, \
        \"clientid\": \"five\", \"bcleansession\": false, \
        \"v5\": {\"message-expiry\": 60, \"user-properties\": {\"site\": \"home\"}}, \
        \"publish\": [{\"topic\": \"five\", \"qos\": 2, \"format\": \"string\"}, \
                      {\"topic\": \"one\", \"qos\": 1, \"format\": \"string\"}], \
        \"subscribe\": [{\"topic\": \"five\", \"qos\": 1, \"v5-options\": \"NO_LOCAL\"}, \
                        {\"topic\": \"kept\", \"v5-options\": [\"SEND_RETAIN_NEVER\"]}]";
    let subscriber = Subscriber::with(
        broker.port(),
        "five",
        1,
        "got %P;%E %p",
        // What the broker may have under way is more than it takes unless told.
        &[
            "-V",
            "5",
            "-x",
            "60",
            "-D",
            "connect",
            "receive-maximum",
            "1000",
        ],
    );
    let kept = Command::new(need("mosquitto_pub"))
        .args([
            "-p",
            &broker.port().to_string(),
            "-r",
            "-q",
            "1",
            "-t",
            "kept",
            "-m",
            "0,20,9,0,,,-",
        ])
        .status();
    assert!(kept.unwrap().success());
    let bench = open(broker.port(), "", section);
    let mut client = bench.client();
    client.must("rcvloop");
    for n in 0..500 {
        client.must(&format!("send 0,20,3,,,,-,{}", bytes_of(n)));
    }
    for n in 0..500 {
        let (properties, payload) = subscriber.message();
        assert!(properties.starts_with("site:home;"), "{properties}");
        let expiry: u32 = properties.rsplit(';').next().unwrap().parse().unwrap();
        assert!((1..=60).contains(&expiry));
        assert_eq!(number(&payload), n);
    }
    // Neither what the driver sent itself came back, nor what the broker had kept.
    publish(broker.port(), "five", "0,20,4,0,,,-");
    assert!(client.event().starts_with("0,20,4,"));
    bench.host.end();
}

#[test]
fn only_what_the_filter_lets_through() {
    let broker = Mosquitto::start();
    let section = "\"filter\": {\"class-filter\": 20, \"class-mask\": 65535}, \
                   \"subscribe\": [{\"topic\": \"to\", \"qos\": 1}]";
    let bench = open(broker.port(), "", section);
    let mut client = bench.client();
    wait_until("the subscription stands", || {
        bench.log().contains("connected")
    });
    client.must("rcvloop");
    for class in [10, 20, 30] {
        publish(broker.port(), "to", &format!("0,{class},7,0,,,-"));
    }
    publish(broker.port(), "to", "0,20,8,0,,,-");
    // A retained or late message does not matter here: they come in order.
    let event = client.event();
    assert!(
        event.starts_with("0,20,7,") || event.starts_with("0,20,8,"),
        "{event}"
    );
    bench.host.end();
}

fn two_brokers(a: &Mosquitto, b: &Mosquitto, required: bool) -> String {
    let section = |broker: &Mosquitto, required: bool| {
        format!(
            "{{\"host\": \"127.0.0.1\", \"port\": {}, \"required\": {required}, {STRING}, \
              \"subscribe\": [{{\"topic\": \"to\", \"qos\": 1}}]}}",
            broker.port()
        )
    };
    format!("[{}, {}]", section(a, true), section(b, required))
}

#[test]
fn several_brokers_do_not_wait_for_each_other() {
    let (one, other) = (Mosquitto::start(), Mosquitto::start());
    let bench = open_with(
        "\"outbox\": {\"max-events\": 3000},",
        &two_brokers(&one, &other, false),
    );
    let first = Subscriber::start(one.port(), "numbered", 1);
    let second = Subscriber::start(other.port(), "numbered", 1);
    let mut client = bench.client();
    client.must("send 0,20,3,,,,-,0,0,0");
    assert_eq!(number(&first.message().1), 0);
    assert_eq!(number(&second.message().1), 0);
    // What comes from one goes to clients, and not to the other.
    client.must("rcvloop");
    for broker in [&one, &other] {
        publish(broker.port(), "to", "0,20,5,0,,,-");
        assert!(client.event().starts_with("0,20,5,"));
    }
    client.must("quitloop");
    other.freeze(true);
    // More than the outbox of the one that stands still holds.
    let address = bench.address;
    let sender = thread::spawn(move || persist(address, 0..10_000, |_| ()));
    let mut seen = HashSet::new();
    while seen.len() < 10_000 {
        assert!(seen.insert(number(&first.message().1)), "once each");
    }
    assert_eq!(sender.join().unwrap(), None);
    other.freeze(false);
    wait_until("it catches up", || {
        bench.counters(other.port()).waiting == 0
    });
    client.must("send 0,20,3,,,,-,1,2,3");
    let mut found = 1;
    while number(&second.message().1) != 0x0001_0203 {
        found += 1;
    }
    assert!(
        (3000..10_000).contains(&found),
        "what had no room was dropped: {found}"
    );
    assert_eq!(number(&first.message().1), 0x0001_0203);
    bench.host.end();
}

#[test]
fn a_broker_that_is_required_is_waited_for() {
    let (one, mut other) = (Mosquitto::start(), Mosquitto::start());
    other.stop();
    let bench = open_with(
        "\"outbox\": {\"max-events\": 100},",
        &two_brokers(&one, &other, true),
    );
    let first = Subscriber::start(one.port(), "numbered", 1);
    let mut client = Client::log_in(bench.address);
    for n in 0..100 {
        client.must(&format!("send 0,20,3,,,,-,{}", bytes_of(n)));
    }
    assert_eq!(client.ask("send 0,20,3,,,,-,9,9,9"), ["-OK - Buffer Full"]);
    for n in 0..100 {
        assert_eq!(number(&first.message().1), n);
    }
    wait_until("it is said", || bench.log().contains("the outbox is full"));
    assert_eq!(
        bench.log().matches("the outbox is full").count(),
        1,
        "said once"
    );
    other.go();
    let second = Subscriber::start(other.port(), "numbered", 1);
    wait_until("there is room again", || {
        client.ask("send 0,20,3,,,,-,9,9,9") == ["+OK - Success."]
    });
    while number(&second.message().1) != 0x0009_0909 {}
    assert_eq!(
        number(&first.message().1),
        0x0009_0909,
        "and what was refused never came"
    );
    bench.host.end();
}

/// Each driver publishes to its own topics and listens to all.
const SITE: &str = "\"publish\": [{\"topic\": \"site/{{ifguid[14]}}\", \"qos\": 1, \"format\": \"string\"}], \
                    \"subscribe\": [{\"topic\": \"site/#\", \"qos\": 1}]";

fn site(port: u16, id: &str, members: &str) -> Bench {
    let section = format!("\"clientid\": \"{id}\", {SITE}");
    open(port, members, &section)
}

/// Two balanced drivers behind one address, as a site would have them.
struct Balancer {
    process: Child,
    port: u16,
    _place: TempDir,
}

impl Balancer {
    fn start(servers: &[u16]) -> Self {
        let place = TempDir::new().unwrap();
        let port = free_port();
        let lines: String = servers
            .iter()
            .map(|port| format!("  server s{port} 127.0.0.1:{port} check inter 200ms\n"))
            .collect();
        let config = format!(
            "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  \
             timeout server 60s\nlisten link\n  bind 127.0.0.1:{port}\n  balance roundrobin\n  \
             option redispatch\n{lines}"
        );
        let file = place.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = Command::new(need("haproxy"))
            .arg("-f")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("haproxy listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            process,
            port,
            _place: place,
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn two_drivers_on_one_broker_act_as_one() {
    let broker = Mosquitto::start();
    let benches = [
        site(broker.port(), "one", ""),
        site(broker.port(), "two", ""),
    ];
    let mut clients: Vec<Client> = benches
        .iter()
        .flat_map(|bench| [bench.client(), bench.client()])
        .collect();
    for client in &mut clients {
        client.must("rcvloop");
    }
    for (n, sender) in (0..4).zip([0, 2, 1, 3]) {
        clients[sender].send(format!("send 0,20,3,,,,::{n},{}\r\n", bytes_of(n)).as_bytes());
        for (at, client) in clients.iter_mut().enumerate() {
            // The sender has its answer besides.
            let event = loop {
                let line = client.event();
                if line.starts_with("0,20,3,") {
                    break line;
                }
                assert!(at == sender && line.starts_with("+OK"), "{line}");
            };
            assert_eq!(number(&event), n, "each once, in order");
        }
    }
    for bench in benches {
        bench.host.end();
    }
}

#[test]
fn behind_haproxy_one_is_killed_and_nothing_is_lost() {
    const COUNT: usize = 30_000;
    let broker = Mosquitto::start();
    let places = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut benches: Vec<Bench> = places
        .iter()
        .zip(["one", "two"])
        .map(|(place, id)| {
            let members = format!(
                "\"outbox\": {{\"path\": {:?}, \"max-events\": 2000}},",
                place.path()
            );
            site(broker.port(), id, &members)
        })
        .collect();
    let ports: Vec<u16> = benches.iter().map(|bench| bench.address.port()).collect();
    let balancer = Balancer::start(&ports);
    let subscriber = Subscriber::start(broker.port(), "site/#", 1);
    let address = ([127, 0, 0, 1], balancer.port).into();
    // Three clients that go on at another connection, with what was not answered, when theirs breaks.
    let senders: Vec<_> = (0..3)
        .map(|n| {
            thread::spawn(move || {
                let mut taken: Vec<usize> = Vec::new();
                let mut from = n * COUNT;
                let end = from + COUNT;
                let mut breaks = 0;
                while let Some(next) = persist(address, from..end, |some| taken.extend(some)) {
                    breaks += 1;
                    from = next;
                    thread::sleep(Duration::from_millis(100));
                }
                (taken, breaks)
            })
        })
        .collect();
    let mut seen = HashSet::new();
    while seen.len() < COUNT / 2 {
        seen.insert(number(&subscriber.message().1));
    }
    benches[0].kill_and_start();
    let mut taken: Vec<usize> = Vec::new();
    let mut breaks = 0;
    let reader = thread::spawn(move || {
        let mut seen = seen;
        // What was answered is in; the last one of all ends it.
        loop {
            let n = number(&subscriber.message().1);
            if n == 0x00FF_FFFF {
                return seen;
            }
            seen.insert(n);
        }
    });
    for sender in senders {
        let (some, broken) = sender.join().unwrap();
        taken.extend(some);
        breaks += broken;
    }
    assert!(
        breaks > 0,
        "somebody was connected to the one that was killed"
    );
    for bench in &benches {
        wait_until("the outbox is empty", || {
            bench.counters(broker.port()).waiting == 0
        });
    }
    benches[1].client().must("send 0,20,3,,,,-,255,255,255");
    let seen = reader.join().unwrap();
    let lost: Vec<_> = taken.iter().filter(|n| !seen.contains(n)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost: {lost:?}",
        lost.len(),
        taken.len()
    );
    for bench in benches {
        bench.host.end();
    }
}

//! What Prometheus is told agrees with what was sent and received, as its own parser reads it, and
//! with the status document.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::SocketAddr;
use std::time::Duration;

use vscpl2drv_link::wire::ws::Dialect;

mod support;

use support::client::Client;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::tools::wait_until;
use support::watched::{Metrics, ask, status};
use support::websocket::{self, Server};

const EVENT: &str = "0,20,3,,,,00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:01,0,1";

struct Watched {
    server: Server,
    broker: Mosquitto,
}

impl Watched {
    /// A driver that publishes to `out` and hears `in`, of one broker.
    fn start(more: &str) -> Self {
        let broker = Mosquitto::start();
        let port = broker.port();
        let server = Server::start(
            "",
            &format!(
                "\"status\": {{\"interface\": \"127.0.0.1:0\"}}, {more} \"mqtt\": {{\"host\": \
                 \"127.0.0.1\", \"port\": {port}, \"reconnect\": {{\"delay\": 1}}, \"publish\": \
                 [{{\"topic\": \"out\", \"qos\": 1, \"format\": \"string\"}}], \"subscribe\": \
                 [{{\"topic\": \"in\", \"qos\": 1, \"format\": \"string\"}}]}},"
            ),
        );
        let watched = Self { server, broker };
        watched.is_up();
        watched
    }

    fn is_up(&self) {
        wait_until("the broker is there", || {
            ask(self.address(), "GET /healthz").status == 200
        });
    }

    fn address(&self) -> SocketAddr {
        self.server.driver.status_addresses()[0]
    }

    fn metrics(&self) -> Metrics {
        Metrics::get(self.address())
    }

    /// A sample of the broker's.
    fn of_broker(&self, name: &str) -> String {
        format!("{name}{{uplink=127.0.0.1:{}}}", self.broker.port())
    }

    /// Waits until a sample has this value.
    fn becomes(&self, sample: &str, value: f64) {
        wait_until(&format!("{sample} is {value}"), || {
            self.metrics().value(sample) == value
        });
    }

    /// The host publishes so many events to `in`.
    fn brings(&self, count: usize) {
        for _ in 0..count {
            publish(self.broker.port(), "in", EVENT);
        }
    }

    fn link(&self) -> Client {
        Client::log_in(self.server.link())
    }
}

#[test]
fn what_was_sent_and_received_is_what_is_told() {
    const SENT: usize = 300;
    const BROUGHT: usize = 20;
    let mut all = Watched::start("\"max-out-queue\": 15,");
    let subscriber = Subscriber::start(all.broker.port(), "out", 1);
    let mut sender = all.link();
    let mut receiver = all.link();
    receiver.must("rcvloop");
    let mut page = websocket::Client::open(all.server.address(), Dialect::Ws2, "admin");
    for _ in 0..SENT {
        sender.must(&format!("send {EVENT}"));
    }
    for _ in 0..SENT {
        assert_eq!(subscriber.message().0, "out");
    }
    all.becomes(&all.of_broker("uplink_sent_events_total"), SENT as f64);
    for _ in 0..BROUGHT {
        all.brings(1);
        receiver.event();
        page.event();
    }
    publish(all.broker.port(), "in", "nonsense");
    for password in ["wrong", "also wrong"] {
        let mut guest = Client::connect(all.server.link());
        guest.must("user admin");
        guest.ask(&format!("pass {password}"));
    }
    let mut guest = websocket::Client::connect(all.server.address(), Dialect::Ws1);
    assert!(!guest.try_log_in("admin", "wrong"));
    all.becomes("dropped_events_total{reason=malformed}", 1.0);
    all.becomes("client_sent_events_total{kind=websocket}", BROUGHT as f64);
    all.becomes("client_sent_events_total{kind=link}", BROUGHT as f64);

    let metrics = all.metrics();
    let (sent, brought) = (SENT as f64, BROUGHT as f64);
    for (sample, value) in [
        (
            &*format!("build_info{{version={}}}", env!("CARGO_PKG_VERSION")),
            1.0,
        ),
        ("clients{kind=link}", 2.0),
        ("clients{kind=websocket}", 1.0),
        ("clients{kind=outgoing}", 0.0),
        ("clients{kind=standing}", 0.0),
        ("client_received_events_total{kind=link}", sent),
        ("client_received_events_total{kind=websocket}", 0.0),
        // The sender does not look: 15 wait, and the others found no room.
        ("client_waiting_events{kind=link}", 15.0),
        ("client_waiting_events{kind=websocket}", 0.0),
        ("dropped_events_total{reason=queue_full}", 5.0),
        ("dropped_events_total{reason=refused}", 0.0),
        ("dropped_events_total{reason=filtered}", 0.0),
        ("dropped_events_total{reason=duplicate}", 0.0),
        ("logins_total{kind=link}", 2.0),
        ("logins_total{kind=websocket}", 1.0),
        ("login_failures_total{kind=link}", 2.0),
        ("login_failures_total{kind=websocket}", 1.0),
        (&all.of_broker("uplink_up"), 1.0),
        (&all.of_broker("uplink_waiting_events"), 0.0),
        (&all.of_broker("uplink_received_events_total"), brought),
        (&all.of_broker("uplink_reconnects_total"), 0.0),
        (&all.of_broker("uplink_connection_failures_total"), 0.0),
        (&all.of_broker("publish_latency_seconds_count"), sent),
        ("delivery_latency_seconds_count{kind=link}", brought),
        ("delivery_latency_seconds_count{kind=websocket}", brought),
    ] {
        assert_eq!(metrics.value(sample), value, "{sample}");
    }
    agrees(&all, &metrics);

    // What those did who are gone stays.
    sender.must("quit");
    drop(page);
    all.becomes("clients{kind=websocket}", 0.0);
    all.becomes("clients{kind=link}", 1.0);
    let metrics = all.metrics();
    assert_eq!(
        metrics.value("client_received_events_total{kind=link}"),
        sent
    );
    assert_eq!(
        metrics.value("client_sent_events_total{kind=websocket}"),
        brought
    );
    assert_eq!(metrics.value("client_waiting_events{kind=link}"), 0.0);

    // A broker that is away for a while.
    all.broker.stop();
    all.becomes(&all.of_broker("uplink_up"), 0.0);
    let mut sender = all.link();
    for _ in 0..7 {
        sender.must(&format!("send {EVENT}"));
    }
    all.becomes(&all.of_broker("uplink_waiting_events"), 7.0);
    all.broker.go();
    all.becomes(&all.of_broker("uplink_waiting_events"), 0.0);
    all.becomes(&all.of_broker("uplink_sent_events_total"), sent + 7.0);
    let metrics = all.metrics();
    assert_eq!(
        metrics.value(&all.of_broker("uplink_reconnects_total")),
        1.0
    );
    assert!(metrics.value(&all.of_broker("uplink_connection_failures_total")) >= 1.0);
    let started = metrics.value("start_time_seconds");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert!((now.as_secs_f64() - 3600.0..=now.as_secs_f64()).contains(&started));
}

/// The document says the same.
fn agrees(all: &Watched, metrics: &Metrics) {
    let document = status(all.address());
    for kind in ["link", "websocket", "outgoing", "standing"] {
        for (member, name) in [
            ("clients", "clients"),
            ("waiting", "client_waiting_events"),
            ("received", "client_received_events_total"),
            ("sent", "client_sent_events_total"),
        ] {
            let said = document["kinds"][kind][member].as_f64().unwrap();
            assert_eq!(said, metrics.value(&format!("{name}{{kind={kind}}}")));
        }
    }
    let uplink = &document["uplinks"][0];
    for (member, name) in [
        ("waiting", "uplink_waiting_events"),
        ("delivered", "uplink_sent_events_total"),
        ("received", "uplink_received_events_total"),
        ("reconnects", "uplink_reconnects_total"),
    ] {
        let said = uplink[member].as_f64().unwrap();
        assert_eq!(said, metrics.value(&all.of_broker(name)), "{member}");
    }
    let events = &document["events"];
    for (member, reason) in [
        ("refused", "refused"),
        ("filtered", "filtered"),
        ("dropped", "queue_full"),
        ("malformed", "malformed"),
        ("suppressed", "duplicate"),
    ] {
        let said = events[member].as_f64().unwrap();
        let name = format!("dropped_events_total{{reason={reason}}}");
        assert_eq!(said, metrics.value(&name), "{member}");
    }
}

#[test]
fn names_and_kinds_are_those_of_prometheus() {
    let all = Watched::start("");
    let metrics = all.metrics();
    assert!(metrics.kinds.len() >= 20, "{:?}", metrics.kinds);
    let text = ask(all.address(), "GET /metrics");
    let readme = std::fs::read_to_string(support::tools::root().join("README.md")).unwrap();
    for (family, kind) in &metrics.kinds {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(family.chars().all(plain), "{family}");
        assert!(family.starts_with("vscp_link_"), "{family}");
        // The parser leaves the end of a counter's name out.
        let name = match kind.as_str() {
            "counter" => format!("{family}_total"),
            "gauge" => family.clone(),
            "histogram" => {
                assert!(family.ends_with("_seconds"), "{family}");
                family.clone()
            }
            kind => panic!("{family} is a {kind}"),
        };
        let head = format!("# TYPE {name} {kind}\n");
        assert_eq!(text.text().matches(&head).count(), 1, "{name}");
        let told = readme.contains(&format!("`{name}`"));
        assert!(told, "{name} is not in the README");
    }
    assert_eq!(ask(all.address(), "HEAD /metrics").status, 200);
    assert_eq!(ask(all.address(), "POST /metrics").status, 405);
}

#[test]
fn a_broker_that_only_brings_is_watched_too() {
    let (broker, mut other) = (Mosquitto::start(), Mosquitto::start());
    let section = |port: u16, way: &str| {
        format!(
            "{{\"host\": \"127.0.0.1\", \"port\": {port}, \
              \"{way}\": [{{\"topic\": \"x\", \"format\": \"string\"}}]}}"
        )
    };
    let server = Server::start(
        "",
        &format!(
            "\"status\": {{\"interface\": \"127.0.0.1:0\"}}, \"mqtt\": [{}, {}],",
            section(broker.port(), "publish"),
            section(other.port(), "subscribe"),
        ),
    );
    let address = server.driver.status_addresses()[0];
    wait_until("all are there", || {
        ask(address, "GET /healthz").status == 200
    });
    publish(other.port(), "x", EVENT);
    let (out, into) = (
        format!("127.0.0.1:{}", broker.port()),
        format!("127.0.0.1:{}", other.port()),
    );
    let mut client = Client::log_in(server.link());
    client.must(&format!("send {EVENT}"));
    let value = |name: &str, uplink: &str| {
        Metrics::get(address).value(&format!("{name}{{uplink={uplink}}}"))
    };
    wait_until("it has come", || {
        value("uplink_received_events_total", &into) == 1.0
    });
    wait_until("it has left", || {
        value("uplink_sent_events_total", &out) == 1.0
    });
    assert_eq!(value("uplink_received_events_total", &out), 0.0);
    assert_eq!(value("uplink_sent_events_total", &into), 0.0);
    other.stop();
    wait_until("it is noticed", || {
        ask(address, "GET /healthz").status == 503
    });
    let response = ask(address, "GET /healthz");
    assert!(response.text().starts_with(&format!("{into} is down: ")));
    server.driver.close();
}

#[test]
fn how_long_events_take_is_measured_from_end_to_end() {
    const PAUSE: Duration = Duration::from_millis(700);
    let all = Watched::start("");
    let mut sender = all.link();
    let sum = || {
        all.metrics()
            .value(&all.of_broker("publish_latency_seconds_sum"))
    };
    let of_bucket = |bound: &str| {
        let port = all.broker.port();
        let sample =
            format!("publish_latency_seconds_bucket{{le={bound},uplink=127.0.0.1:{port}}}");
        all.metrics().value(&sample)
    };
    let count = all.of_broker("publish_latency_seconds_count");
    sender.must(&format!("send {EVENT}"));
    all.becomes(&count, 1.0);
    let before = sum();
    // The broker acknowledges late.
    all.broker.freeze(true);
    sender.must(&format!("send {EVENT}"));
    std::thread::sleep(PAUSE);
    all.broker.freeze(false);
    all.becomes(&count, 2.0);
    let late = sum() - before;
    assert!(late >= PAUSE.as_secs_f64(), "{late}");
    assert!(late < 60.0, "{late}");
    assert_eq!(of_bucket("+Inf"), 2.0);
    assert!(of_bucket("0.5") < 2.0, "it was late");
    // A client that looks late.
    let mut receiver = all.link();
    all.brings(1);
    all.becomes("client_waiting_events{kind=link}", 2.0);
    std::thread::sleep(PAUSE);
    receiver.must("rcvloop");
    receiver.event();
    all.becomes("delivery_latency_seconds_count{kind=link}", 1.0);
    let metrics = all.metrics();
    let late = metrics.value("delivery_latency_seconds_sum{kind=link}");
    assert!(late >= PAUSE.as_secs_f64() && late < 60.0, "{late}");
    assert_eq!(
        metrics.value("delivery_latency_seconds_bucket{kind=link,le=0.5}"),
        0.0
    );
    // Who fetches events, and a while after they came, says nothing about the way of events.
    sender.must("retr 1");
    all.becomes("client_sent_events_total{kind=link}", 2.0);
    let metrics = all.metrics();
    assert_eq!(
        metrics.value("delivery_latency_seconds_count{kind=link}"),
        1.0
    );
    assert!(metrics.names().all(|name| name.starts_with("vscp_link_")));
}

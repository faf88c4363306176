//! How many events a second go through the driver, beside what the broker does without it. Run it
//! with `cargo bench`; it takes a minute or two, and needs mosquitto. `cargo bench websockets` does
//! the part without a broker alone, `cargo bench broker` the other one.
//!
//! Everything runs on one machine: mosquitto, the driver, a client that writes as fast as it can,
//! and a subscriber that does nothing but count bytes.
//!
//! It fails where a thousand websocket clients do not get a thousand events a second each.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for developers

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish, Subscribe};
use vscpl2drv_link::driver::{Driver, Source};

#[path = "../tests/support/mod.rs"]
mod support;

use support::abuse::need_descriptors;
use support::client::Client;
use support::crowd::{Crowd, event, paced};
use support::dialogue;
use support::mosquitto::{Mosquitto, free_port};
use support::tools::PATIENCE;
use support::websocket::Server;

const COUNT: usize = 500_000;
/// Events a second to each of a thousand websocket clients.
const RATE: usize = 1000;
const EVENT: &str = "{\n\"head\": 352,\n\"obid\": 7,\n\"datetime\": \"2001-11-02T18:00:01Z\",\n\
    \"timestamp_ns\": \"0x0df17f2809aa8db8\",\n\"class\": 20,\n\"type\": 3,\n\
    \"guid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\",\n\"data\": [0,1,35,4,5,6,7,8],\n\"note\": \"\"\n}";

fn main() -> ExitCode {
    // Cargo has words of its own, which begin with dashes.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| part == only);
    if !wanted("broker") && !wanted("websockets") {
        println!("the parts are broker and websockets");
        return ExitCode::FAILURE;
    }
    if wanted("broker") {
        through_a_broker();
    }
    if wanted("websockets") && !to_a_crowd() {
        println!("    too slow: {RATE} events/s to each were to be reached");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn through_a_broker() {
    println!("{COUNT} events each, {} bytes of JSON", EVENT.len());
    let broker = Mosquitto::plain();
    let bare = rate("mosquitto, publisher to subscriber, QoS 0", || {
        to_subscriber(broker.port())
    });
    let (driver, address) = open(broker.port(), "");
    let through = rate("mosquitto to one RCVLOOP client", || {
        to_client(broker.port(), address)
    });
    println!("    {:.2} of what a bare subscriber gets", through / bare);
    driver.close();
    for format in ["json", "string", "binary"] {
        for qos in [0, 1] {
            let topic = format!(
                "\"publish\": [{{\"topic\": \"out\", \"qos\": {qos}, \"format\": \"{format}\"}}]"
            );
            let (driver, address) = open(broker.port(), &topic);
            rate(
                &format!("pipelined SEND to a subscriber, {format}, QoS {qos}"),
                || from_client(broker.port(), address),
            );
            driver.close();
        }
    }
    let place = tempfile::tempdir().unwrap();
    let members = format!("\"outbox\": {{\"path\": {:?}}},", place.path());
    let topic = "\"publish\": [{\"topic\": \"out\", \"qos\": 1, \"format\": \"string\"}]";
    let (driver, address) = open_with(broker.port(), &members, topic);
    rate("the same with outbox.path, string, QoS 1", || {
        from_client(broker.port(), address)
    });
    driver.close();
}

/// From the host to websocket clients, half of them ws1 and half ws2: as fast as they can, then at
/// the rate that they have to bear. True where they bear it.
fn to_a_crowd() -> bool {
    const CLIENTS: usize = 1000;
    const EVENTS: usize = 10 * RATE;
    need_descriptors(2 * CLIENTS + 500);
    let server = Server::start("", "");
    let (took, ()) = Crowd::open(server.address(), CLIENTS).count(EVENTS, 2 * PATIENCE, || {
        for number in 0..EVENTS {
            server.write(&event(number));
        }
    });
    let most = EVENTS as f64 / took.as_secs_f64();
    println!("host to {CLIENTS} websocket clients, none missed {most:>17.0} events/s to each");
    let crowd = Crowd::open(server.address(), CLIENTS);
    let (_, (wrote, last)) = crowd.count(EVENTS, 2 * PATIENCE, || {
        paced(EVENTS, RATE, |number| server.write(&event(number)))
    });
    let lag = last.elapsed();
    let rate = EVENTS as f64 / wrote.as_secs_f64();
    println!("the same at a steady rate {rate:>33.0} events/s to each");
    println!(
        "    all had the last {:.1} ms after it",
        lag.as_secs_f64() * 1000.0
    );
    server.driver.close();
    // Whoever gets fewer than are written falls behind, by more each second.
    most >= RATE as f64 && wrote + lag < Duration::from_secs(11)
}

/// Events a second, of the best of three runs.
fn rate(what: &str, run: impl Fn() -> Duration) -> f64 {
    let best = (0..3).map(|_| run()).min().unwrap();
    let rate = COUNT as f64 / best.as_secs_f64();
    println!("{what:56} {:>9.0} events/s", rate);
    rate
}

fn open(port: u16, mqtt: &str) -> (Driver, SocketAddr) {
    open_with(port, "", mqtt)
}

fn open_with(port: u16, members: &str, mqtt: &str) -> (Driver, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mqtt = if mqtt.is_empty() {
        "\"subscribe\": [{\"topic\": \"in\"}]"
    } else {
        mqtt
    };
    let config = format!(
        "{{\"interface\": \"tcp://{address}\", \"abi\": \"v2\", \"path-users\": {:?}, {members} \
          \"max-out-queue\": 10000000, \"logging\": {{\"file-enable-log\": false}}, \
          \"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {port}, {mqtt}}}}}",
        dialogue::users(),
    );
    let source = Source {
        config,
        guid: "::1".parse().unwrap(),
    };
    let driver = Driver::open(source).unwrap();
    support::bench::wait_for_broker(&mut Client::log_in(address));
    thread::sleep(Duration::from_millis(200));
    (driver, address)
}

/// A connection to the broker, subscribed to a topic or not.
fn connect(port: u16, topic: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut out = BytesMut::new();
    let id = topic.unwrap_or("publisher");
    let mut connect = Connect::new(id);
    connect.keep_alive = 0;
    Packet::Connect(connect)
        .write(&mut out, usize::MAX)
        .unwrap();
    if let Some(topic) = topic {
        let mut subscribe = Subscribe::new(topic, QoS::AtMostOnce);
        subscribe.pkid = 1;
        Packet::Subscribe(subscribe)
            .write(&mut out, usize::MAX)
            .unwrap();
    }
    stream.write_all(&out).unwrap();
    // CONNACK, and SUBACK.
    let mut answer = vec![0; if topic.is_some() { 9 } else { 4 }];
    stream.read_exact(&mut answer).unwrap();
    stream
}

/// Publishes them all at QoS 0, in a thread of its own.
fn publish(port: u16, topic: &'static str) -> thread::JoinHandle<()> {
    let mut stream = connect(port, None);
    thread::spawn(move || {
        let mut one = BytesMut::new();
        let publish = Publish::new(topic, QoS::AtMostOnce, EVENT);
        Packet::Publish(publish)
            .write(&mut one, usize::MAX)
            .unwrap();
        let many = one.repeat(1000);
        for _ in 0..COUNT / 1000 {
            stream.write_all(&many).unwrap();
        }
    })
}

/// Reads so many bytes.
fn read(stream: &mut TcpStream, mut bytes: usize) {
    let mut buffer = vec![0; 256 * 1024];
    while bytes > 0 {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it ends too soon");
        bytes = bytes.saturating_sub(count);
    }
}

fn to_subscriber(port: u16) -> Duration {
    let mut one = BytesMut::new();
    let packet = Packet::Publish(Publish::new("bare", QoS::AtMostOnce, EVENT));
    packet.write(&mut one, usize::MAX).unwrap();
    let mut subscriber = connect(port, Some("bare"));
    let start = Instant::now();
    let publisher = publish(port, "bare");
    read(&mut subscriber, COUNT * one.len());
    publisher.join().unwrap();
    start.elapsed()
}

fn to_client(port: u16, address: SocketAddr) -> Duration {
    let mut client = Client::log_in(address);
    client.must("rcvloop");
    let mut stream = client.writer();
    let start = Instant::now();
    let publisher = publish(port, "in");
    let mut lines = 0;
    let mut buffer = vec![0; 256 * 1024];
    while lines < COUNT {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it ends too soon");
        // A sign of life is a line as well: one in many.
        lines += buffer[..count]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
    }
    publisher.join().unwrap();
    start.elapsed()
}

fn from_client(port: u16, address: SocketAddr) -> Duration {
    let mut subscriber = connect(port, Some("out"));
    let start = Instant::now();
    let sender = thread::spawn(move || support::bench::persist(address, 0..COUNT, |_| ()));
    let mut bytes = BytesMut::new();
    let mut found = 0;
    let mut buffer = vec![0; 256 * 1024];
    while found < COUNT {
        let count = subscriber.read(&mut buffer).unwrap();
        assert!(count > 0, "it ends too soon");
        bytes.extend_from_slice(&buffer[..count]);
        // Whole packets are counted, and not looked at.
        while bytes.len() > 2 {
            let (header, length) = match bytes[1] & 0x80 {
                0 => (2, usize::from(bytes[1])),
                _ => (3, usize::from(bytes[1] & 0x7F) | usize::from(bytes[2]) << 7),
            };
            if bytes.len() < header + length {
                break;
            }
            found += usize::from(bytes[0] >> 4 == 3);
            let _ = bytes.split_to(header + length);
        }
    }
    assert_eq!(sender.join().unwrap(), None);
    start.elapsed()
}

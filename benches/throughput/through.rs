//! Through the broker, in both directions, and through the driver alone.

use std::net::SocketAddr;
use std::thread;

use vscpl2drv_link::event::text::parse;

use crate::broker::{self, EVENT};
use crate::client::{blast, count_lines, open, open_with, receiver};
use crate::support::mosquitto::Mosquitto;
use crate::support::websocket::DEFAULTS;
use crate::{COUNT, beside, rate, timed};

/// Everything finds room: what is measured is how it leaves.
const ROOM: &str = "\"max-events\": 10000000, \"max-bytes\": 8589934592";
/// An event as a host has it.
const HOSTED: &str =
    "352,20,3,7,,,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0,1,35,4,5,6,7,8";
const FROM: &str = "\"subscribe\": [{\"topic\": \"in\"}]";

/// Both directions, and those without the driver beside them.
pub(crate) fn broker() -> bool {
    println!("{COUNT} events each, {} bytes of JSON", EVENT.len());
    let mosquitto = Mosquitto::plain();
    let port = mosquitto.port();
    let bare = rate("bare publisher to bare subscriber, QoS 0", COUNT, || {
        let mut subscriber = broker::connect(port, Some("bare"));
        timed(|| {
            let publisher = broker::publish(port, "bare", COUNT);
            broker::count_json(&mut subscriber, COUNT);
            publisher.join().unwrap();
        })
    });
    let acknowledged = rate(
        "bare publisher to bare subscriber, QoS 1 and 0",
        COUNT,
        || {
            let mut subscriber = broker::connect(port, Some("bare"));
            timed(|| {
                let reading = thread::spawn(move || broker::count_json(&mut subscriber, COUNT));
                broker::publish_acknowledged(port, "bare", COUNT);
                reading.join().unwrap();
            })
        },
    );
    from_the_broker(port, bare);
    let members = format!("\"outbox\": {{{ROOM}}},");
    for format in ["json", "string", "binary"] {
        for qos in [0, 1] {
            let through = to_the_broker(port, &members, format, qos, "");
            if (format, qos) == ("json", 0) {
                beside(through, bare, "0.7");
            }
            if qos == 1 {
                beside(through, acknowledged, "60000 events/s");
            }
        }
    }
    let place = tempfile::tempdir().unwrap();
    let members = format!("\"outbox\": {{{ROOM}, \"path\": {:?}}},", place.path());
    to_the_broker(port, &members, "string", 1, " with outbox.path");
    accepted(port);
    true
}

/// From a publisher to clients.
fn from_the_broker(port: u16, bare: f64) {
    let (driver, address) = open(port, "", FROM);
    for clients in [1, 10] {
        let through = to_clients("publisher", address, clients, || {
            broker::publish(port, "in", COUNT).join().unwrap();
        });
        if clients == 1 {
            beside(through, bare, "0.9");
        }
    }
    driver.close();
}

/// From the host to clients, without a broker.
pub(crate) fn link() -> bool {
    let (driver, address) = open_with("");
    let event = parse(HOSTED, &DEFAULTS).unwrap();
    for clients in [1, 10] {
        to_clients("host", address, clients, || {
            for _ in 0..COUNT {
                driver.write(event.clone());
            }
        });
    }
    driver.close();
    true
}

/// What `send` sends, to so many clients in the receive loop.
fn to_clients(from: &str, address: SocketAddr, clients: usize, send: impl Fn() + Sync) -> f64 {
    let what = format!("{from} to {clients} RCVLOOP clients, to all together");
    rate(&what, clients * COUNT, || {
        let mut streams: Vec<_> = (0..clients).map(|_| receiver(address)).collect();
        timed(|| {
            thread::scope(|scope| {
                scope.spawn(&send);
                for stream in &mut streams {
                    scope.spawn(|| count_lines(stream, COUNT));
                }
            });
        })
    })
}

/// From a client to a subscriber.
fn to_the_broker(port: u16, members: &str, format: &str, qos: u8, more: &str) -> f64 {
    let topic = format!(
        "\"publish\": [{{\"topic\": \"out/{{{{type}}}}\", \"qos\": {qos}, \"format\": \"{format}\"}}]"
    );
    let (driver, address) = open(port, members, &topic);
    let rate = rate(
        &format!("pipelined SEND to a subscriber, {format}, QoS {qos}{more}"),
        COUNT,
        || {
            // What comes last is behind all others, in the order that they were sent.
            let mut subscriber = broker::connect(port, Some("out/#"));
            timed(|| {
                let reading =
                    thread::spawn(move || broker::count_until(&mut subscriber, "out/3", "out/9"));
                blast(address, COUNT).join().unwrap();
                let mut last = crate::support::client::Client::log_in(address);
                last.must("send 0,20,9,,,,-");
                assert_eq!(reading.join().unwrap(), COUNT, "the broker dropped some");
            })
        },
    );
    driver.close();
    rate
}

/// From a client to the driver, which passes them on to the broker as it can.
fn accepted(port: u16) {
    let members = format!("\"outbox\": {{{ROOM}}},");
    let topic = "\"publish\": [{\"topic\": \"out\", \"format\": \"string\"}]";
    let (driver, address) = open(port, &members, topic);
    rate("pipelined SEND until all were answered +OK", COUNT, || {
        timed(|| blast(address, COUNT).join().unwrap())
    });
    driver.close();
}

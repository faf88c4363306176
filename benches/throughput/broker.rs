//! Publishers and subscribers that do nothing but that, and cost as little as can be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};

use bytes::BytesMut;
use memchr::memmem;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish, Subscribe};

/// An event as most drivers publish it.
pub(crate) const EVENT: &str = "{\n\"head\": 352,\n\"obid\": 7,\n\"datetime\": \"2001-11-02T18:00:01Z\",\n\
    \"timestamp_ns\": \"0x0df17f2809aa8db8\",\n\"class\": 20,\n\"type\": 3,\n\
    \"guid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\",\n\"data\": [0,1,35,4,5,6,7,8],\n\"note\": \"\"\n}";

/// A connection to the broker, subscribed to a topic or not.
pub(crate) fn connect(port: u16, topic: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
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

/// A publication at QoS 0.
pub(crate) fn packet(topic: &str, payload: &str) -> BytesMut {
    let mut one = BytesMut::new();
    let publish = Publish::new(topic, QoS::AtMostOnce, payload);
    Packet::Publish(publish)
        .write(&mut one, usize::MAX)
        .unwrap();
    one
}

/// Publishes so many at QoS 0, in a thread of its own.
pub(crate) fn publish(port: u16, topic: &str, count: usize) -> JoinHandle<()> {
    let mut stream = connect(port, None);
    let many = packet(topic, EVENT).repeat(100);
    thread::spawn(move || {
        for _ in 0..count / 100 {
            stream.write_all(&many).unwrap();
        }
    })
}

/// Publishes so many at QoS 1, with so many under way as the driver has; returns when the broker
/// has acknowledged all.
pub(crate) fn publish_acknowledged(port: u16, topic: &str, count: usize) {
    const BATCH: usize = 100;
    const WINDOW: usize = 1000;
    let mut stream = connect(port, None);
    let mut answers = stream.try_clone().unwrap();
    let packets = (1..=WINDOW).map(|id| {
        let mut one = BytesMut::new();
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, EVENT);
        publish.pkid = id as u16;
        Packet::Publish(publish)
            .write(&mut one, usize::MAX)
            .unwrap();
        one
    });
    let batches: Vec<Vec<u8>> = packets
        .collect::<Vec<_>>()
        .chunks(BATCH)
        .map(|packets| packets.concat())
        .collect();
    let (mut sent, mut acknowledged) = (0, 0);
    let mut buffer = vec![0; 4 * WINDOW];
    let mut rest = 0;
    while acknowledged < count {
        while sent < count && sent - acknowledged <= WINDOW - BATCH {
            let batch = &batches[sent / BATCH % batches.len()];
            stream.write_all(batch).unwrap();
            sent += BATCH;
        }
        let read = answers.read(&mut buffer).unwrap();
        assert!(read > 0, "it ends too soon");
        // Each is four bytes.
        rest += read;
        acknowledged += rest / 4;
        rest %= 4;
    }
}

/// Reads until so many payloads have come, by their end: an event's last byte is the last of its
/// packet, and what begins a packet is no such byte.
pub(crate) fn count_json(stream: &mut TcpStream, mut left: usize) {
    let mut buffer = vec![0; 256 * 1024];
    while left > 0 {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it ends too soon");
        let ends = memchr::memchr_iter(b'}', &buffer[..count]).count();
        left = left.checked_sub(ends).expect("no more than were sent");
    }
}

/// How many publications have a topic; reads until one has the other, which is as long.
pub(crate) fn count_until(stream: &mut TcpStream, topic: &str, last: &str) -> usize {
    let [topic, last] = [topic, last].map(memmem::Finder::new);
    let mut buffer = vec![0; 256 * 1024];
    let (mut found, mut kept) = (0, 0);
    loop {
        let count = stream.read(&mut buffer[kept..]).unwrap();
        assert!(count > 0, "it ends too soon");
        let filled = kept + count;
        found += topic.find_iter(&buffer[..filled]).count();
        if last.find(&buffer[..filled]).is_some() {
            return found;
        }
        // It may come in two pieces.
        kept = filled.min(topic.needle().len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
}

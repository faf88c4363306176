use std::net::TcpStream;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubComp, PubRec, PubRel, Publish,
    Subscribe, SubscribeReasonCode, Unsubscribe,
};
use rumqttc::mqttbytes::{Error, Protocol, QoS};
use tokio::runtime::Runtime;

use super::*;

/// A broker with a runtime of its own.
struct Ground {
    runtime: Runtime,
    broker: Broker,
}

impl Ground {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let broker = Broker::start(runtime.handle(), ([127, 0, 0, 1], 0).into()).unwrap();
        Self { runtime, broker }
    }

    /// A socket, and nothing said yet.
    fn socket(&self) -> Peer {
        let stream = TcpStream::connect(self.broker.local_addr()).unwrap();
        // Only so that a test that fails ends.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Peer {
            stream,
            input: BytesMut::new(),
        }
    }

    /// A client that is let in.
    fn client(&self, hello: Connect) -> Peer {
        let mut peer = self.socket();
        peer.send(&Packet::Connect(hello));
        assert_eq!(peer.code(), ConnectReturnCode::Success);
        peer
    }

    fn named(&self, id: &str) -> Peer {
        self.client(Connect::new(id))
    }
}

struct Peer {
    stream: TcpStream,
    input: BytesMut,
}

impl Peer {
    fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.write(&mut out, usize::MAX).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// `None` where the broker has closed the connection.
    fn next(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.input, usize::MAX) {
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error}"),
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn code(&mut self) -> ConnectReturnCode {
        match self.next() {
            Some(Packet::ConnAck(ack)) => ack.code,
            other => panic!("{other:?}"),
        }
    }

    fn message(&mut self) -> Publish {
        match self.next() {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) -> SubscribeReasonCode {
        self.send(&Packet::Subscribe(Subscribe {
            pkid: 7,
            ..Subscribe::new(filter, qos)
        }));
        match self.next() {
            Some(Packet::SubAck(ack)) => ack.return_codes[0],
            other => panic!("{other:?}"),
        }
    }

    fn publish(&mut self, topic: &str, qos: QoS, id: u16, payload: &str) {
        let mut publish = Publish::new(topic, qos, payload);
        publish.pkid = id;
        self.send(&Packet::Publish(publish));
    }

    /// After it, everything sent before has been handled.
    fn ping(&mut self) {
        self.send(&Packet::PingReq);
        assert_eq!(self.next(), Some(Packet::PingResp));
    }
}

fn hello_with_will(id: &str) -> Connect {
    Connect {
        last_will: Some(LastWill::new("will", "gone", QoS::AtLeastOnce, true)),
        ..Connect::new(id)
    }
}

#[test]
fn messages_of_every_qos_arrive() {
    let ground = Ground::new();
    let mut subscriber = ground.named("subscriber");
    let granted = subscriber.subscribe("a/+", QoS::ExactlyOnce);
    assert_eq!(granted, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    let mut publisher = ground.named("publisher");
    publisher.publish("a/0", QoS::AtMostOnce, 0, "zero");
    publisher.publish("a/1", QoS::AtLeastOnce, 5, "one");
    assert_eq!(publisher.next(), Some(Packet::PubAck(PubAck::new(5))));

    let zero = subscriber.message();
    assert_eq!(
        (&*zero.topic, zero.qos, &*zero.payload),
        ("a/0", QoS::AtMostOnce, &b"zero"[..])
    );
    let one = subscriber.message();
    assert_eq!((&*one.topic, one.qos), ("a/1", QoS::AtLeastOnce));
    assert_ne!(one.pkid, 0);
}

#[test]
fn qos_2_is_handed_on_once() {
    let ground = Ground::new();
    let mut client = ground.named("client");
    client.subscribe("a", QoS::AtMostOnce);
    for _ in 0..2 {
        client.publish("a", QoS::ExactlyOnce, 9, "x");
    }
    client.send(&Packet::PubRel(PubRel::new(9)));
    client.publish("a", QoS::AtMostOnce, 0, "last");
    let (mut messages, mut answers) = (Vec::new(), Vec::new());
    while messages.last().is_none_or(|payload| payload != "last") || answers.len() < 3 {
        match client.next().unwrap() {
            Packet::Publish(publish) => messages.push(publish.payload),
            answer => answers.push(answer),
        }
    }
    assert_eq!(messages, ["x", "last"]);
    assert_eq!(
        answers,
        [
            Packet::PubRec(PubRec::new(9)),
            Packet::PubRec(PubRec::new(9)),
            Packet::PubComp(PubComp::new(9)),
        ]
    );
}

#[test]
fn no_more_than_a_window_is_sent_without_acknowledgement() {
    let ground = Ground::new();
    let mut slow = ground.named("slow");
    slow.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = ground.named("publisher");
    for n in 0..100 {
        publisher.publish("a", QoS::AtLeastOnce, 1, &n.to_string());
        publisher.next();
    }
    let first: Vec<_> = (0..64).map(|_| slow.message().pkid).collect();
    // The answer overtakes what the window holds back.
    slow.ping();
    for id in first {
        slow.send(&Packet::PubAck(PubAck::new(id)));
    }
    for n in 64..100 {
        assert_eq!(&*slow.message().payload, n.to_string().as_bytes());
    }
}

#[test]
fn retained_messages_and_unsubscribing() {
    let ground = Ground::new();
    let mut client = ground.named("client");
    let mut publish = Publish::new("state/x", QoS::AtMostOnce, "on");
    publish.retain = true;
    client.send(&Packet::Publish(publish));
    client.subscribe("state/#", QoS::AtMostOnce);
    let got = client.message();
    assert!(got.retain && &*got.payload == b"on");

    client.send(&Packet::Unsubscribe(Unsubscribe {
        pkid: 3,
        ..Unsubscribe::new("state/#")
    }));
    assert!(matches!(client.next(), Some(Packet::UnsubAck(ack)) if ack.pkid == 3));
    client.publish("state/x", QoS::AtMostOnce, 0, "off");
    client.ping();
}

#[test]
fn bad_filters_are_refused_and_bad_topics_end_the_session() {
    let ground = Ground::new();
    let mut client = ground.named("client");
    assert_eq!(
        client.subscribe("a/#/b", QoS::AtMostOnce),
        SubscribeReasonCode::Failure
    );
    client.publish("a/+", QoS::AtMostOnce, 0, "");
    assert_eq!(client.next(), None);
}

#[test]
fn a_will_is_for_those_who_leave_without_a_word() {
    let ground = Ground::new();
    let mut watcher = ground.named("watcher");
    watcher.subscribe("will", QoS::AtMostOnce);

    let mut polite = ground.client(hello_with_will("polite"));
    polite.send(&Packet::Disconnect);
    assert_eq!(polite.next(), None);
    watcher.ping();

    drop(ground.client(hello_with_will("rude")));
    assert_eq!(&*watcher.message().payload, b"gone");

    let silent = ground.client(Connect {
        keep_alive: 1,
        ..hello_with_will("silent")
    });
    assert_eq!(&*watcher.message().payload, b"gone");
    drop(silent);
}

#[test]
fn a_client_id_is_taken_over() {
    let ground = Ground::new();
    let mut old = ground.named("same");
    let mut new = ground.named("same");
    assert_eq!(old.next(), None);
    new.ping();
}

#[test]
fn clients_that_are_not_let_in() {
    let ground = Ground::new();
    let refused = [
        (
            Connect {
                protocol: Protocol::V5,
                ..Connect::new("five")
            },
            ConnectReturnCode::RefusedProtocolVersion,
        ),
        (
            Connect {
                clean_session: false,
                ..Connect::new("")
            },
            ConnectReturnCode::BadClientId,
        ),
    ];
    for (hello, code) in refused {
        let mut peer = ground.socket();
        peer.send(&Packet::Connect(hello));
        assert_eq!(peer.code(), code);
        assert_eq!(peer.next(), None);
    }
    // Two without a name are two.
    let mut one = ground.named("");
    let mut two = ground.named("");
    one.ping();
    two.ping();
}

#[test]
fn rubbish_ends_the_connection() {
    let ground = Ground::new();
    for rubbish in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: somebody who is in the wrong place\r\n\r\n"[..],
        b"\xF0\x00",
        // A packet of 256 MiB.
        b"\x10\xFF\xFF\xFF\x7F",
        b"\x10\xFF\xFF\xFF\xFF\xFF",
        b"\xC0\x00",
    ] {
        let mut peer = ground.socket();
        peer.stream.write_all(rubbish).unwrap();
        assert_eq!(peer.next(), None, "{rubbish:?}");
    }
    let mut twice = ground.named("twice");
    twice.send(&Packet::Connect(Connect::new("twice")));
    assert_eq!(twice.next(), None);
}

#[test]
fn stopping_closes_the_connections_and_the_port() {
    let ground = Ground::new();
    let address = ground.broker.local_addr();
    let mut client = ground.named("client");
    let _silent = ground.socket();
    ground.runtime.block_on(ground.broker.stop());
    assert_eq!(client.next(), None);
    assert!(TcpStream::connect(address).is_err());
}

use proptest::prelude::*;

use super::*;

fn options(version: MqttVersion) -> Options {
    Options {
        version,
        client_id: "me".to_owned(),
        login: Some(("vscp".to_owned(), "secret".to_owned().into())),
        clean_session: false,
        keep_alive: Duration::from_secs(30),
        receive_maximum: 20,
        send_maximum: None,
        v5: V5Config {
            session_expiry: None,
            message_expiry: Some(60),
            user_properties: vec![("site".to_owned(), "home".to_owned())],
        },
        will: None,
    }
}

fn codec(version: MqttVersion) -> Codec {
    Codec::new(&options(version))
}

const BOTH: [MqttVersion; 2] = [MqttVersion::V311, MqttVersion::V5];

/// A message as a broker would send it: without the properties of the driver's own.
fn message(version: MqttVersion, size: usize, qos: u8, out: &mut BytesMut) {
    let plain = Codec {
        properties: None,
        ..codec(version)
    };
    let publish = Publish {
        topic: "a/b",
        payload: vec![7; size],
        qos,
        retain: false,
        again: false,
        identifier: if qos == 0 { 0 } else { 5 },
    };
    plain.publish(publish, out).unwrap();
}

#[test]
fn the_first_bytes_of_a_connection() {
    let mut out = BytesMut::new();
    codec(MqttVersion::V311)
        .connect(&options(MqttVersion::V311), &mut out)
        .unwrap();
    assert_eq!(
        &out[..],
        b"\x10\x1C\x00\x04MQTT\x04\xC0\x00\x1E\x00\x02me\x00\x04vscp\x00\x06secret"
    );
    let mut out = BytesMut::new();
    codec(MqttVersion::V5)
        .connect(&options(MqttVersion::V5), &mut out)
        .unwrap();
    assert_eq!(&out[2..10], b"\x00\x04MQTT\x05\xC0");
    // Session expiry: never, for a session that is to be kept.
    assert!(out.windows(5).any(|w| w == b"\x11\xFF\xFF\xFF\xFF"));
    assert!(
        out.windows(3).any(|w| w == b"\x21\x00\x14"),
        "receive maximum"
    );
    assert!(
        out.windows(13)
            .any(|w| w == b"\x26\x00\x04site\x00\x04home")
    );
}

#[test]
fn messages_in_pieces() {
    for version in BOTH {
        let mut all = BytesMut::new();
        for size in [0, 1, 200, 20_000] {
            message(version, size, 1, &mut all);
        }
        let mut codec = codec(version);
        let mut buffer = BytesMut::new();
        let mut sizes = Vec::new();
        for piece in all.chunks(7) {
            buffer.extend_from_slice(piece);
            while let Some(packet) = codec.read(&mut buffer).unwrap() {
                let Packet::Message(message) = packet else {
                    panic!("{packet:?}");
                };
                assert_eq!((message.topic.as_str(), message.identifier), ("a/b", 5));
                sizes.push(message.payload.unwrap().len());
            }
        }
        assert_eq!(sizes, [0, 1, 200, 20_000]);
        assert!(buffer.is_empty());
    }
}

#[test]
fn a_message_that_is_far_too_long_is_passed_over() {
    for version in BOTH {
        for qos in [0, 1, 2] {
            let mut all = BytesMut::new();
            message(version, 1_000_000, qos, &mut all);
            message(version, 3, 1, &mut all);
            let mut codec = codec(version);
            let mut buffer = BytesMut::new();
            let mut found = Vec::new();
            for piece in all.chunks(1000) {
                buffer.extend_from_slice(piece);
                assert!(buffer.len() < 10_000, "nothing is kept of it");
                while let Some(packet) = codec.read(&mut buffer).unwrap() {
                    let Packet::Message(message) = packet else {
                        panic!("{packet:?}");
                    };
                    found.push((message.payload.is_some(), message.qos, message.identifier));
                }
            }
            let identifier = if qos == 0 { 0 } else { 5 };
            assert_eq!(found, [(false, qos, identifier), (true, 1, 5)]);
        }
    }
}

/// The README's number.
#[test]
fn a_message_may_have_256_kib() {
    for version in BOTH {
        let mut small = BytesMut::new();
        message(version, 200_000, 1, &mut small);
        let around = small.len() - 200_000;
        for longer in [0, 1] {
            let size = 256 * 1024 - around + longer;
            let mut buffer = BytesMut::new();
            message(version, size, 1, &mut buffer);
            assert_eq!(buffer.len(), 256 * 1024 + longer);
            match codec(version).read(&mut buffer).unwrap() {
                Some(Packet::Message(message)) => assert_eq!(
                    message.payload.map(|bytes| bytes.len()),
                    (longer == 0).then_some(size)
                ),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_no_broker_sends_is_an_error() {
    for version in BOTH {
        for bytes in [
            &b"\x10\x00"[..],
            b"\x30\xFF\xFF\xFF\xFF",
            b"\x40\xFF\xFF\xFF\x7F",
            b"\x30\x02\x00\x09",
            b"\x32\x05\x00\x01a\x00\x00",
            b"\x00\x00",
            b"\xF0\x01\x00",
            b"\xC0\x00",
        ] {
            let mut buffer = BytesMut::from(bytes);
            let read = codec(version).read(&mut buffer);
            assert!(read.is_err(), "{version:?} {bytes:?}: {read:?}");
        }
    }
    let mut end = BytesMut::from(&b"\xE0\x00"[..]);
    let farewell = codec(MqttVersion::V5).read(&mut end).unwrap();
    assert!(matches!(farewell, Some(Packet::Farewell(_))));
}

#[test]
fn the_broker_says_how_long_a_packet_may_be() {
    for version in BOTH {
        let mut codec = codec(version);
        codec.most = 100;
        let mut out = BytesMut::from(&b"before"[..]);
        let publish = Publish {
            topic: "a",
            payload: vec![0; 200],
            qos: 0,
            retain: false,
            again: false,
            identifier: 0,
        };
        let error = codec.publish(publish, &mut out).unwrap_err();
        assert!(matches!(error, CodecError::Outgoing { most: 100, .. }));
        assert_eq!(&out[..], b"before");
    }
}

#[test]
fn reasons_are_words() {
    assert_eq!(
        reason(&v5::PubAckReason::QuotaExceeded, Some("10 a day")),
        "quota exceeded (10 a day)"
    );
    assert_eq!(
        reason(&v5::DisconnectReasonCode::SessionTakenOver, None),
        "session taken over"
    );
}

proptest! {
    /// A broker may send anything: it is read, waited for or refused, and never a panic.
    #[test]
    fn never_panics(
        five in any::<bool>(),
        first in any::<u8>(),
        rest in prop::collection::vec(any::<u8>(), 0..64),
        whole in any::<bool>(),
    ) {
        let mut codec = codec(BOTH[usize::from(five)]);
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&[first]);
        if whole {
            bytes.extend_from_slice(&[rest.len() as u8]);
        }
        bytes.extend_from_slice(&rest);
        while let Ok(Some(_)) = codec.read(&mut bytes) {}
    }
}

//! Packets of MQTT 5 that came.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5;

use super::{CodecError, Message, Packet, Welcome, reason};

pub(super) fn packet(packet: v5::Packet) -> Result<Packet, CodecError> {
    Ok(match packet {
        v5::Packet::ConnAck(ack) => {
            let properties = ack.properties;
            let p = properties.as_ref();
            Packet::Welcome(Welcome {
                refused: match ack.code {
                    v5::ConnectReturnCode::Success => None,
                    v5::ConnectReturnCode::BadUserNamePassword => {
                        Some("wrong user or password".to_owned())
                    }
                    v5::ConnectReturnCode::NotAuthorized => Some("not authorised".to_owned()),
                    code => Some(reason(&code, p.and_then(|p| p.reason_string.as_deref()))),
                },
                session_present: ack.session_present,
                // Where it says nothing it takes them all (MQTT 5, section 3.2.2.3.3).
                receive_maximum: Some(p.and_then(|p| p.receive_max).unwrap_or(u16::MAX)),
                max_packet: p.and_then(|p| p.max_packet_size),
                max_qos: p.and_then(|p| p.max_qos),
                retain_available: p.and_then(|p| p.retain_available) != Some(0),
                keep_alive: p
                    .and_then(|p| p.server_keep_alive)
                    .map(|seconds| Duration::from_secs(seconds.into())),
            })
        }
        v5::Packet::Publish(publish) => Packet::Message(Message {
            topic: String::from_utf8(publish.topic.into())
                .map_err(|_| CodecError::Malformed("a topic that is not UTF-8".to_owned()))?,
            payload: Some(publish.payload),
            qos: publish.qos as u8,
            identifier: publish.pkid,
        }),
        v5::Packet::PubAck(ack) => {
            use v5::PubAckReason as R;
            let taken = matches!(ack.reason, R::Success | R::NoMatchingSubscribers);
            let text = ack.properties.and_then(|p| p.reason_string);
            let refused = (!taken).then(|| reason(&ack.reason, text.as_deref()));
            Packet::Acknowledged(ack.pkid, refused)
        }
        v5::Packet::PubRec(ack) => {
            use v5::PubRecReason as R;
            let taken = matches!(ack.reason, R::Success | R::NoMatchingSubscribers);
            let text = ack.properties.and_then(|p| p.reason_string);
            let refused = (!taken).then(|| reason(&ack.reason, text.as_deref()));
            Packet::Received(ack.pkid, refused)
        }
        v5::Packet::PubRel(ack) => Packet::Release(ack.pkid),
        v5::Packet::PubComp(ack) => Packet::Complete(ack.pkid),
        v5::Packet::SubAck(ack) => Packet::Subscribed(
            ack.return_codes
                .iter()
                .map(|code| match code {
                    v5::SubscribeReasonCode::Success(_) => None,
                    code => Some(reason(code, None)),
                })
                .collect(),
        ),
        v5::Packet::PingResp(_) => Packet::Alive,
        v5::Packet::Disconnect(farewell) => {
            let text = farewell.properties.as_ref();
            let text = text.and_then(|p| p.reason_string.as_deref());
            Packet::Farewell(reason(&farewell.reason_code, text))
        }
        _ => return Err(CodecError::Unexpected),
    })
}

pub(super) fn qos(level: u8) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

//! Packets of MQTT 3.1.1 that came.

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4;

use super::{CodecError, Message, Packet, Welcome};

pub(super) fn packet(packet: v4::Packet) -> Result<Packet, CodecError> {
    Ok(match packet {
        v4::Packet::ConnAck(ack) => Packet::Welcome(Welcome {
            refused: match ack.code {
                v4::ConnectReturnCode::Success => None,
                v4::ConnectReturnCode::RefusedProtocolVersion => {
                    Some("MQTT 3.1.1 is not spoken there")
                }
                v4::ConnectReturnCode::BadClientId => Some("the client id is not allowed"),
                v4::ConnectReturnCode::ServiceUnavailable => Some("the service is not available"),
                v4::ConnectReturnCode::BadUserNamePassword => Some("wrong user or password"),
                v4::ConnectReturnCode::NotAuthorized => Some("not authorised"),
            }
            .map(str::to_owned),
            session_present: ack.session_present,
            retain_available: true,
            ..Welcome::default()
        }),
        v4::Packet::Publish(publish) => Packet::Message(Message {
            topic: publish.topic,
            payload: Some(publish.payload),
            qos: publish.qos as u8,
            identifier: publish.pkid,
        }),
        v4::Packet::PubAck(ack) => Packet::Acknowledged(ack.pkid, None),
        v4::Packet::PubRec(ack) => Packet::Received(ack.pkid, None),
        v4::Packet::PubRel(ack) => Packet::Release(ack.pkid),
        v4::Packet::PubComp(ack) => Packet::Complete(ack.pkid),
        v4::Packet::SubAck(ack) => Packet::Subscribed(
            ack.return_codes
                .iter()
                .map(|code| match code {
                    v4::SubscribeReasonCode::Success(_) => None,
                    v4::SubscribeReasonCode::Failure => Some("refused".to_owned()),
                })
                .collect(),
        ),
        v4::Packet::PingResp => Packet::Alive,
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

//! MQTT packets, of 3.1.1 and of 5, to and from bytes. Only here and below is rumqttc named.
//!
//! rumqttc's codecs do the work. Its client is not used: what is to be sent is kept in the outbox
//! and nowhere else, and its event loop flushes for each packet and loses what it queues when the
//! broker has no session.

mod from_v4;
mod from_v5;

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::model::{MqttVersion, Retained, SubscribeOptions, V5Config};

/// Bytes of a packet that is read. An event takes a few thousand.
pub(super) const MOST_BYTES: usize = 256 * 1024;
/// Bytes of a packet that is written.
const MOST_WRITTEN: usize = 16 * 1024 * 1024;

/// Who connects, and how.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) version: MqttVersion,
    pub(super) client_id: String,
    pub(super) login: Option<(String, Zeroizing<String>)>,
    pub(super) clean_session: bool,
    pub(super) keep_alive: Duration,
    pub(super) receive_maximum: u16,
    pub(super) send_maximum: Option<u16>,
    pub(super) v5: V5Config,
    pub(super) will: Option<Letter>,
}

/// A message that is not an event: a will, a birth, a status.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

/// What is to be published.
pub(super) struct Publish<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// It has been sent before.
    pub(super) again: bool,
    /// 0 for QoS 0.
    pub(super) identifier: u16,
}

/// What is to be subscribed to.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) filter: String,
    pub(super) qos: u8,
    pub(super) options: SubscribeOptions,
}

/// A packet that came.
#[derive(Debug)]
pub(super) enum Packet {
    Welcome(Welcome),
    Message(Message),
    /// PUBACK. With a reason where the broker did not take it.
    Acknowledged(u16, Option<String>),
    /// PUBREC. With a reason where the broker did not take it.
    Received(u16, Option<String>),
    /// PUBREL.
    Release(u16),
    /// PUBCOMP.
    Complete(u16),
    /// SUBACK: for each filter, why it does not stand.
    Subscribed(Vec<Option<String>>),
    /// PINGRESP.
    Alive,
    /// DISCONNECT, of MQTT 5.
    Farewell(String),
}

/// CONNACK.
#[derive(Debug, Default)]
pub(super) struct Welcome {
    pub(super) refused: Option<String>,
    pub(super) session_present: bool,
    /// What the broker allows to be under way.
    pub(super) receive_maximum: Option<u16>,
    pub(super) max_packet: Option<u32>,
    pub(super) max_qos: Option<u8>,
    pub(super) retain_available: bool,
    pub(super) keep_alive: Option<Duration>,
}

/// PUBLISH.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    /// `None` where it was too long to be looked at.
    pub(super) payload: Option<Bytes>,
    pub(super) qos: u8,
    pub(super) identifier: u16,
}

/// Bytes that are no packet, or a packet that cannot be bytes.
#[derive(Debug, Error)]
pub(super) enum CodecError {
    #[error("a packet of {0} bytes")]
    TooLong(usize),
    #[error("a malformed packet: {0}")]
    Malformed(String),
    #[error("a packet that a broker does not send")]
    Unexpected,
    /// The broker takes no packet of this size.
    #[error("{size} bytes, and the broker takes {most}")]
    Outgoing { size: usize, most: usize },
}

/// Reads and writes the packets of one version.
#[derive(Debug)]
pub(super) struct Codec {
    version: MqttVersion,
    /// The longest packet that the broker takes.
    pub(super) most: usize,
    /// Sent with each publish of MQTT 5.
    properties: Option<v5::PublishProperties>,
    /// Bytes of a packet that are still to be passed over.
    skip: usize,
}

impl Codec {
    pub(super) fn new(options: &Options) -> Self {
        let v5 = &options.v5;
        let needed = v5.message_expiry.is_some() || !v5.user_properties.is_empty();
        Self {
            version: options.version,
            most: MOST_WRITTEN,
            properties: needed.then(|| v5::PublishProperties {
                payload_format_indicator: None,
                message_expiry_interval: v5.message_expiry,
                topic_alias: None,
                response_topic: None,
                correlation_data: None,
                user_properties: v5.user_properties.clone(),
                subscription_identifiers: Vec::new(),
                content_type: None,
            }),
            skip: 0,
        }
    }

    fn put(
        &self,
        v4: impl FnOnce() -> v4::Packet,
        v5: impl FnOnce() -> v5::Packet,
        out: &mut BytesMut,
    ) -> Result<(), CodecError> {
        let before = out.len();
        let (size, written) = match self.version {
            MqttVersion::V311 => {
                let packet = v4();
                (packet.size(), packet.write(out, self.most).map_err(drop))
            }
            MqttVersion::V5 => {
                let packet = v5();
                let most = u32::try_from(self.most).ok();
                (packet.size(), packet.write(out, most).map_err(drop))
            }
        };
        written.map(drop).map_err(|()| {
            out.truncate(before);
            let most = self.most;
            CodecError::Outgoing { size, most }
        })
    }

    pub(super) fn connect(&self, options: &Options, out: &mut BytesMut) -> Result<(), CodecError> {
        let keep_alive = u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX);
        let client_id = || options.client_id.clone();
        self.put(
            || {
                v4::Packet::Connect(v4::Connect {
                    protocol: rumqttc::mqttbytes::Protocol::V4,
                    keep_alive,
                    client_id: client_id(),
                    clean_session: options.clean_session,
                    last_will: options.will.as_ref().map(|will| v4::LastWill {
                        topic: will.topic.clone(),
                        message: Bytes::from(will.payload.clone()),
                        qos: from_v4::qos(will.qos),
                        retain: will.retain,
                    }),
                    login: options
                        .login
                        .as_ref()
                        .map(|(user, password)| v4::Login::new(user.as_str(), password.as_str())),
                })
            },
            || {
                let v5 = &options.v5;
                // A session that is to be kept, for how long nobody said.
                let forever = (!options.clean_session).then_some(u32::MAX);
                let connect = v5::Connect {
                    keep_alive,
                    client_id: client_id(),
                    clean_start: options.clean_session,
                    properties: Some(v5::ConnectProperties {
                        session_expiry_interval: v5.session_expiry.or(forever),
                        receive_maximum: Some(options.receive_maximum),
                        max_packet_size: Some(MOST_BYTES as u32),
                        topic_alias_max: None,
                        request_response_info: None,
                        request_problem_info: None,
                        user_properties: v5.user_properties.clone(),
                        authentication_method: None,
                        authentication_data: None,
                    }),
                };
                let will = options.will.as_ref().map(|will| v5::LastWill {
                    topic: Bytes::from(will.topic.clone()),
                    message: Bytes::from(will.payload.clone()),
                    qos: from_v5::qos(will.qos),
                    retain: will.retain,
                    properties: None,
                });
                let login = options
                    .login
                    .as_ref()
                    .map(|(user, password)| v5::Login::new(user.as_str(), password.as_str()));
                v5::Packet::Connect(connect, will, login)
            },
            out,
        )
    }

    pub(super) fn subscribe(
        &self,
        identifier: u16,
        filters: &[Filter],
        out: &mut BytesMut,
    ) -> Result<(), CodecError> {
        self.put(
            || {
                v4::Packet::Subscribe(v4::Subscribe {
                    pkid: identifier,
                    filters: filters
                        .iter()
                        .map(|f| v4::SubscribeFilter::new(f.filter.clone(), from_v4::qos(f.qos)))
                        .collect(),
                })
            },
            || {
                v5::Packet::Subscribe(v5::Subscribe {
                    pkid: identifier,
                    filters: filters
                        .iter()
                        .map(|f| v5::Filter {
                            path: f.filter.clone(),
                            qos: from_v5::qos(f.qos),
                            nolocal: f.options.no_local,
                            preserve_retain: f.options.retain_as_published,
                            retain_forward_rule: match f.options.retained {
                                Retained::Always => v5::RetainForwardRule::OnEverySubscribe,
                                Retained::New => v5::RetainForwardRule::OnNewSubscribe,
                                Retained::Never => v5::RetainForwardRule::Never,
                            },
                        })
                        .collect(),
                    properties: None,
                })
            },
            out,
        )
    }

    pub(super) fn publish(
        &self,
        Publish {
            topic,
            payload,
            qos,
            retain,
            again,
            identifier,
        }: Publish<'_>,
        out: &mut BytesMut,
    ) -> Result<(), CodecError> {
        let before = out.len();
        let payload = Bytes::from(payload);
        // The packet types differ, and are too large to make both.
        let (size, written) = match self.version {
            MqttVersion::V311 => {
                let packet = v4::Publish {
                    dup: again,
                    qos: from_v4::qos(qos),
                    retain,
                    topic: topic.to_owned(),
                    pkid: identifier,
                    payload,
                };
                (packet.size(), packet.write(out).map_err(drop))
            }
            MqttVersion::V5 => {
                let packet = v5::Publish {
                    dup: again,
                    qos: from_v5::qos(qos),
                    retain,
                    topic: Bytes::copy_from_slice(topic.as_bytes()),
                    pkid: identifier,
                    payload,
                    properties: self.properties.clone(),
                };
                (packet.size(), packet.write(out).map_err(drop))
            }
        };
        let most = self.most;
        if written.is_err() || size > most {
            out.truncate(before);
            return Err(CodecError::Outgoing { size, most });
        }
        Ok(())
    }

    /// PUBACK.
    pub(super) fn acknowledge(
        &self,
        identifier: u16,
        out: &mut BytesMut,
    ) -> Result<(), CodecError> {
        self.put(
            || v4::Packet::PubAck(v4::PubAck::new(identifier)),
            || v5::Packet::PubAck(v5::PubAck::new(identifier, None)),
            out,
        )
    }

    /// PUBREC.
    pub(super) fn received(&self, identifier: u16, out: &mut BytesMut) -> Result<(), CodecError> {
        self.put(
            || v4::Packet::PubRec(v4::PubRec::new(identifier)),
            || v5::Packet::PubRec(v5::PubRec::new(identifier, None)),
            out,
        )
    }

    /// PUBREL.
    pub(super) fn release(&self, identifier: u16, out: &mut BytesMut) -> Result<(), CodecError> {
        self.put(
            || v4::Packet::PubRel(v4::PubRel::new(identifier)),
            || v5::Packet::PubRel(v5::PubRel::new(identifier, None)),
            out,
        )
    }

    /// PUBCOMP.
    pub(super) fn complete(&self, identifier: u16, out: &mut BytesMut) -> Result<(), CodecError> {
        self.put(
            || v4::Packet::PubComp(v4::PubComp::new(identifier)),
            || v5::Packet::PubComp(v5::PubComp::new(identifier, None)),
            out,
        )
    }

    pub(super) fn ping(&self, out: &mut BytesMut) {
        // The same in both versions (MQTT 5, section 3.12).
        out.extend_from_slice(&[0xC0, 0]);
    }

    pub(super) fn disconnect(&self, out: &mut BytesMut) {
        // Without a reason it is a normal one (MQTT 5, section 3.14.2.1).
        out.extend_from_slice(&[0xE0, 0]);
    }

    /// Takes the next packet out of the bytes that came; `None` until it is whole.
    pub(super) fn read(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, CodecError> {
        if self.skip > 0 {
            let part = self.skip.min(bytes.len());
            bytes.advance(part);
            self.skip -= part;
            if self.skip > 0 {
                return Ok(None);
            }
        }
        let Some((header, length)) = fixed_header(bytes)? else {
            return Ok(None);
        };
        let size = header + length;
        if size > MOST_BYTES {
            return self.pass_over(bytes, header, size);
        }
        if bytes.len() < size {
            bytes.reserve(size - bytes.len());
            return Ok(None);
        }
        let mut packet = bytes.split_to(size);
        if packet[0] >> 4 == 14 && length < 2 {
            // Without properties; rumqttc asks for them.
            let why = match packet.get(2) {
                Some(0x8E) => "session taken over".to_owned(),
                Some(code) => format!("reason {code:#04x}"),
                None => "for no reason".to_owned(),
            };
            return Ok(Some(Packet::Farewell(why)));
        }
        match self.version {
            MqttVersion::V311 => match v4::Packet::read(&mut packet, MOST_BYTES) {
                Ok(packet) => from_v4::packet(packet).map(Some),
                Err(error) => Err(CodecError::Malformed(error.to_string())),
            },
            MqttVersion::V5 => match v5::Packet::read(&mut packet, None) {
                Ok(packet) => from_v5::packet(packet).map(Some),
                Err(error) => Err(CodecError::Malformed(error.to_string())),
            },
        }
    }

    /// A message too long to be an event: it is answered all the same, else the broker would send
    /// it for ever. Any other packet of that size is an error.
    fn pass_over(
        &mut self,
        bytes: &mut BytesMut,
        header: usize,
        size: usize,
    ) -> Result<Option<Packet>, CodecError> {
        if bytes[0] >> 4 != 3 {
            return Err(CodecError::TooLong(size));
        }
        let qos = (bytes[0] >> 1) & 3;
        let Some(&[high, low]) = bytes.get(header..header + 2) else {
            return Ok(None);
        };
        let end = header + 2 + usize::from(u16::from_be_bytes([high, low]));
        let Some(&[high, low]) = bytes.get(end..end + 2) else {
            return Ok(None);
        };
        let identifier = u16::from_be_bytes([high, low]);
        let topic = String::from_utf8_lossy(&bytes[header + 2..end]).into_owned();
        if end + 2 > size {
            return Err(CodecError::Malformed(
                "a topic longer than its packet".to_owned(),
            ));
        }
        let part = size.min(bytes.len());
        bytes.advance(part);
        self.skip = size - part;
        Ok(Some(Packet::Message(Message {
            topic,
            payload: None,
            qos,
            identifier: if qos == 0 { 0 } else { identifier },
        })))
    }
}

/// How long header and rest of a packet are.
fn fixed_header(bytes: &[u8]) -> Result<Option<(usize, usize)>, CodecError> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((at + 2, length)));
        }
    }
    if bytes.len() >= 5 {
        return Err(CodecError::Malformed("a length without an end".to_owned()));
    }
    Ok(None)
}

/// `not authorized`, from the name of the code; with the broker's own words where it has any.
fn reason(code: &dyn std::fmt::Debug, text: Option<&str>) -> String {
    let mut words = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    match text {
        Some(text) => format!("{words} ({})", crate::event::number::clip(text)),
        None => words,
    }
}

#[cfg(test)]
mod tests;

//! A broker's side of a measurement: connections that publish and subscribe, MQTT 3.1.1.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Login, Packet, Publish, Subscribe};
use rumqttc::mqttbytes::{QoS, qos};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid};
use vscpl2drv_link::os::now;
use vscpl2drv_link::wire::payload::{self, Style, WriteFormat};
use zeroize::Zeroizing;

use super::input::{Input, TooLong};
use super::template::{Template, blank};
use super::wire::{BenchError, Place, Wire, say};
use crate::client::ClientError;

/// First bytes of packets, without their flags.
pub(super) const PUBLISH: u8 = 0x30;
pub(super) const PUBACK: u8 = 0x40;
const CONNACK: u8 = 0x20;
const SUBACK: u8 = 0x90;
/// Bytes that are read at once before there are events.
const SIZE: usize = 1024;

/// What goes wrong with a broker.
#[derive(Debug, Error)]
pub(super) enum BrokerError {
    /// Nobody is there, or the connection breaks.
    #[error(transparent)]
    Connection(ClientError),
    /// It lets nobody in.
    #[error("it refuses the connection: {0}")]
    Refused(&'static str),
    /// It does not let us subscribe.
    #[error("it refuses the subscription to {0}")]
    Subscription(String),
    /// It speaks something else.
    #[error("it does not speak MQTT 3.1.1")]
    Strange,
    /// It acknowledges what it has not got.
    #[error("it sent more acknowledgements than it got events")]
    TooMany,
    /// It has closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It said nothing.
    #[error("it said nothing for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl From<TooLong> for BrokerError {
    fn from(_: TooLong) -> Self {
        Self::Strange
    }
}

/// A broker, and who logs in there.
pub(super) struct Broker {
    pub(super) place: Place,
    pub(super) login: Option<(String, Zeroizing<String>)>,
    pub(super) qos: u8,
}

/// A connection to a broker.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) input: Input,
    timeout: Duration,
}

impl Broker {
    /// With the place of the broker before it.
    pub(super) fn error(&self, error: BrokerError) -> BenchError {
        BenchError::Broker(self.place.address.to_string(), Box::new(error))
    }

    /// Connects. `name` is the end of the client id.
    ///
    /// # Errors
    /// Where the broker is not there, or lets nobody in.
    pub(super) async fn connect(&self, name: &str) -> Result<Session, BenchError> {
        self.try_connect(name).await.map_err(|e| self.error(e))
    }

    async fn try_connect(&self, name: &str) -> Result<Session, BrokerError> {
        let wire = self.place.connect().await;
        let mut session = Session {
            wire: wire.map_err(BrokerError::Connection)?,
            input: Input::new(SIZE),
            timeout: self.place.timeout,
        };
        let mut connect = Connect::new(format!("vscp-link-bench-{name}"));
        // Nothing is asked whether it lives: a run ends by itself.
        connect.keep_alive = 0;
        connect.login = self.login.as_ref().map(|(username, password)| Login {
            username: username.clone(),
            password: password.to_string(),
        });
        session.send(&Packet::Connect(connect)).await?;
        match session.expect(CONNACK).await?[..] {
            [_, 0] => Ok(session),
            [_, code] => Err(BrokerError::Refused(match code {
                1 => "it does not know MQTT 3.1.1",
                2 => "it does not take the client id",
                3 => "it is not available",
                4 => "wrong user or password",
                _ => "this user may not connect",
            })),
            _ => Err(BrokerError::Strange),
        }
    }

    /// Connects and subscribes.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and where the topic is refused.
    pub(super) async fn subscribe(&self, name: &str, topic: &str) -> Result<Session, BenchError> {
        let mut session = self.connect(name).await?;
        let subscribed = self.try_subscribe(&mut session, topic).await;
        subscribed.map_err(|error| self.error(error))?;
        Ok(session)
    }

    async fn try_subscribe(&self, session: &mut Session, topic: &str) -> Result<(), BrokerError> {
        let mut subscribe = Subscribe::new(topic, self.qos());
        subscribe.pkid = 1;
        session.send(&Packet::Subscribe(subscribe)).await?;
        match session.expect(SUBACK).await?[..] {
            [_, _, granted] if granted <= 2 => Ok(()),
            [_, _, _] => Err(BrokerError::Subscription(topic.to_owned())),
            _ => Err(BrokerError::Strange),
        }
    }

    fn qos(&self) -> QoS {
        qos(self.qos).unwrap_or(QoS::AtMostOnce)
    }

    /// The publishing of an event of a run.
    pub(super) fn template(
        &self,
        topic: &str,
        run: u32,
        format: WriteFormat,
        kind: (u16, u16),
    ) -> Option<Template> {
        let mut body = Vec::new();
        payload::write(&event(run, kind), format, Style::default(), &mut body);
        let mut publish = Publish::new(topic, self.qos(), body);
        publish.pkid = u16::from(self.qos > 0);
        let mut bytes = BytesMut::new();
        Packet::Publish(publish)
            .write(&mut bytes, usize::MAX)
            .ok()?;
        let template = Template::from_bytes(bytes.to_vec(), run)?;
        if self.qos == 0 {
            return Some(template);
        }
        // Behind the first byte, those of the length, and the topic with its own length.
        let length = bytes[1..].iter().take_while(|&&byte| byte > 0x7F).count() + 1;
        Some(template.with_identifier(1 + length + 2 + topic.len()))
    }
}

/// An event that is nobody else's.
fn event(run: u32, (class, vscp_type): (u16, u16)) -> Event {
    let [a, b, c, d] = run.to_be_bytes();
    let guid = format!("FF:FF:FF:FF:FF:FF:FF:FE:00:00:00:00:{a:02X}:{b:02X}:{c:02X}:{d:02X}");
    let data: Vec<String> = blank().iter().map(u8::to_string).collect();
    let line = format!("0,{class},{vscp_type},,,,{guid},{}", data.join(","));
    let defaults = Defaults {
        now: now(),
        obid: 0,
        guid: Guid::ZERO,
    };
    parse(&line, &defaults).expect("this is an event")
}

impl Session {
    async fn send(&mut self, packet: &Packet) -> Result<(), BrokerError> {
        let mut bytes = BytesMut::new();
        let written = packet.write(&mut bytes, usize::MAX);
        written.map_err(|_| BrokerError::Strange)?;
        let said = say(&mut self.wire, &bytes, self.timeout).await;
        said.map_err(BrokerError::Connection)
    }

    /// The next packet, which must be one of these; what is kept under the topic comes too.
    async fn expect(&mut self, wanted: u8) -> Result<Vec<u8>, BrokerError> {
        let patience = self.timeout;
        let packet = async {
            loop {
                while let Some((first, body)) = self.input.packet()? {
                    match first & 0xF0 {
                        PUBLISH => {}
                        found if found == wanted => return Ok(body.to_vec()),
                        _ => return Err(BrokerError::Strange),
                    }
                }
                match self.wire.read(self.input.room()?).await? {
                    0 => return Err(BrokerError::Closed),
                    count => self.input.filled(count),
                }
            }
        };
        let found = timeout(patience, packet).await;
        found.unwrap_or(Err(BrokerError::Silent(patience)))
    }
}

/// What a PUBLISH carries: its payload and, where it wants an answer, its identifier.
pub(super) fn message(first: u8, body: &[u8]) -> Option<(&[u8], Option<[u8; 2]>)> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*length))..)?;
    if first & 0x06 == 0 {
        return Some((rest, None));
    }
    let (identifier, payload) = rest.split_first_chunk::<2>()?;
    Some((payload, Some(*identifier)))
}

#[cfg(test)]
mod tests {
    use rumqttc::mqttbytes::v4::Packet;

    use super::super::mark::{Mark, Payloads};
    use super::*;
    use crate::address::Address;

    fn broker(qos: u8) -> Broker {
        let address: Address = "127.0.0.1:1".parse().unwrap();
        Broker {
            place: Place::new(&address, None, Duration::from_secs(1)).unwrap(),
            login: None,
            qos,
        }
    }

    #[test]
    fn what_is_published_is_what_subscribers_find() {
        for (qos, format) in [
            (0, WriteFormat::Json),
            (0, WriteFormat::Text),
            (1, WriteFormat::Json),
            (1, WriteFormat::Text),
        ] {
            let template = broker(qos).template("a/b", 77, format, (510, 3)).unwrap();
            let mut bytes = Vec::new();
            template.put(0x0102_0304, &mut bytes);
            let packet = Packet::read(&mut BytesMut::from(&bytes[..]), 10_000).unwrap();
            let Packet::Publish(publish) = packet else {
                panic!("{packet:?}");
            };
            assert_eq!((&*publish.topic, publish.qos as u8), ("a/b", qos));
            let read = payload::read(&publish.payload, format_of(format), &defaults()).unwrap();
            assert_eq!((read.class, read.vscp_type), (510, 3));
            assert_eq!(read.data[..], [0, 0, 0, 77, 1, 2, 3, 4]);

            let mut input = Input::new(8192);
            input.room().unwrap()[..bytes.len()].copy_from_slice(&bytes);
            input.filled(bytes.len());
            let (first, body) = input.packet().unwrap().unwrap();
            let (found, identifier) = message(first, body).unwrap();
            let expected = (qos > 0).then(|| publish.pkid.to_be_bytes());
            assert_eq!((found, identifier), (&publish.payload[..], expected));
            let mark = Mark {
                run: 77,
                sequence: 0x0102_0304,
            };
            assert_eq!(Payloads::default().mark(found), Some(mark));
        }
    }

    fn format_of(format: WriteFormat) -> payload::ReadFormat {
        match format {
            WriteFormat::Json => payload::ReadFormat::Json,
            _ => payload::ReadFormat::Text,
        }
    }

    fn defaults() -> Defaults {
        Defaults {
            now: 0,
            obid: 0,
            guid: Guid::ZERO,
        }
    }

    #[test]
    fn packets_that_are_too_short_are_none() {
        for (first, body) in [
            (0x30, &b""[..]),
            (0x30, b"\x00"),
            (0x30, b"\x00\x03ab"),
            (0x32, b"\x00\x01a\x00"),
        ] {
            assert_eq!(message(first, body), None);
        }
        assert_eq!(message(0x30, b"\x00\x01a"), Some((&b""[..], None)));
    }
}

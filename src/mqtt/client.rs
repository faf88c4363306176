//! One connection to a broker. The only place that names rumqttc.
//!
//! rumqttc connects, frames packets and keeps track of packet identifiers. Its event loop is not
//! used beyond the connection: it would flush for each packet, and it loses what it queues when
//! the broker has no session. What is to be sent is kept in the outbox, and nowhere else.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{
    ConnectReturnCode, ConnectionError, Disconnect, Event, EventLoop, LastWill, MqttOptions,
    Packet, PingReq, PubComp, Publish, QoS, Request, StateError, Subscribe, SubscribeFilter,
    SubscribeReasonCode,
};
use thiserror::Error;

/// Packet identifiers in use. Events in flight, with all their copies, must stay below.
pub(super) const IDENTIFIERS: u16 = 1000;
/// Bytes of a packet, in either direction.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Who connects, and how.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) client_id: String,
    pub(super) login: Option<(String, zeroize::Zeroizing<String>)>,
    pub(super) clean_session: bool,
    pub(super) keep_alive: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) nodelay: bool,
    pub(super) will: Option<Will>,
}

/// What the broker says when this client is gone.
#[derive(Clone, Debug)]
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

/// Why there is no connection, or none any more.
#[derive(Debug, Error)]
pub(super) enum ClientError {
    #[error("the broker refused the connection: {0}")]
    Refused(&'static str),
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    State(String),
    #[error("the connection is closed")]
    Closed,
}

/// Something that came.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The broker has the publish with this identifier.
    Acknowledged(u16),
    /// A message on a topic that was subscribed to.
    Message {
        topic: String,
        payload: bytes::Bytes,
    },
    /// The broker's answer to a subscription: for each filter, whether it stands.
    Subscribed(Vec<bool>),
}

/// A connection that stands.
pub(super) struct Client {
    event_loop: EventLoop,
}

impl Client {
    /// Connects to an address; true where the broker has kept a session.
    pub(super) async fn connect(
        address: SocketAddr,
        options: &Options,
    ) -> Result<(Self, bool), ClientError> {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let mut mqtt = MqttOptions::new(&options.client_id, host, address.port());
        mqtt.set_clean_session(options.clean_session);
        mqtt.set_keep_alive(options.keep_alive);
        mqtt.set_max_packet_size(MOST_BYTES, MOST_BYTES);
        mqtt.set_inflight(IDENTIFIERS);
        if let Some((user, password)) = &options.login {
            mqtt.set_credentials(user, password.as_str());
        }
        if let Some(will) = &options.will {
            let message = will.payload.as_bytes();
            mqtt.set_last_will(LastWill::new(
                &will.topic,
                message,
                qos(will.qos),
                will.retain,
            ));
        }
        let mut event_loop = EventLoop::new(mqtt, 1);
        event_loop.network_options.set_tcp_nodelay(options.nodelay);
        let connecting = tokio::time::timeout(options.connect_timeout, event_loop.poll());
        match connecting.await {
            Err(_) => Err(ClientError::Timeout),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(Event::Incoming(Packet::ConnAck(ack)))) => {
                Ok((Self { event_loop }, ack.session_present))
            }
            Ok(Ok(_)) => Err(ClientError::Closed),
        }
    }

    /// Subscribes to filters, each with a QoS.
    pub(super) async fn subscribe(&mut self, filters: &[(String, u8)]) -> Result<(), ClientError> {
        let filters = filters
            .iter()
            .map(|(f, level)| SubscribeFilter::new(f.clone(), qos(*level)));
        self.write(Request::Subscribe(Subscribe::new_many(filters)))
            .await
            .map(drop)
    }

    /// Writes a publish, without flushing it; gives its identifier where it will be acknowledged.
    pub(super) async fn publish(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        level: u8,
        retain: bool,
    ) -> Result<Option<u16>, ClientError> {
        let mut publish = Publish::new(topic, qos(level), payload);
        publish.retain = retain;
        match self.write(Request::Publish(publish)).await? {
            0 => Ok(None),
            identifier => Ok(Some(identifier)),
        }
    }

    /// Asks whether the broker is still there.
    pub(super) async fn ping(&mut self) -> Result<(), ClientError> {
        self.write(Request::PingReq(PingReq)).await.map(drop)
    }

    /// Says goodbye, so that no will is published.
    pub(super) async fn disconnect(&mut self) -> Result<(), ClientError> {
        self.write(Request::Disconnect(Disconnect)).await?;
        self.flush().await
    }

    async fn write(&mut self, request: Request) -> Result<u16, ClientError> {
        let network = self
            .event_loop
            .network
            .as_mut()
            .ok_or(ClientError::Closed)?;
        let outgoing = self.event_loop.state.handle_outgoing_packet(request)?;
        // Notes of rumqttc's to its own event loop.
        self.event_loop.state.events.clear();
        // Held back means that an identifier is in use, which the outbox's window rules out.
        let packet =
            outgoing.ok_or_else(|| ClientError::State("identifiers collide".to_owned()))?;
        let identifier = match &packet {
            Packet::Publish(publish) => publish.pkid,
            _ => 0,
        };
        network.write(packet).await?;
        Ok(identifier)
    }

    /// Sends what has been written.
    pub(super) async fn flush(&mut self) -> Result<(), ClientError> {
        let network = self
            .event_loop
            .network
            .as_mut()
            .ok_or(ClientError::Closed)?;
        Ok(network.flush().await?)
    }

    /// Waits for a packet. May be dropped at any time without losing one.
    pub(super) async fn next(&mut self) -> Result<Incoming, ClientError> {
        let network = self
            .event_loop
            .network
            .as_mut()
            .ok_or(ClientError::Closed)?;
        Ok(Incoming(network.read().await?))
    }

    /// A packet that is there already.
    pub(super) async fn ready(&mut self) -> Result<Option<Incoming>, ClientError> {
        tokio::select! {
            biased;
            packet = self.next() => packet.map(Some),
            () = std::future::ready(()) => Ok(None),
        }
    }

    /// Takes note of a packet and writes, without flushing, what MQTT answers to it.
    pub(super) async fn accept(
        &mut self,
        Incoming(packet): Incoming,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), ClientError> {
        let state = &mut self.event_loop.state;
        let released = match &packet {
            Packet::PubRel(release) => Some(release.pkid),
            _ => None,
        };
        let answer = match (state.handle_incoming_packet(packet), released) {
            // Of a message that an earlier connection took: the broker goes on releasing it until
            // that is confirmed (MQTT 3.1.1, section 4.3.3).
            (Err(StateError::Unsolicited(_)), Some(identifier)) => {
                state.events.clear();
                Some(Packet::PubComp(PubComp::new(identifier)))
            }
            (answer, _) => answer?,
        };
        for event in state.events.drain(..) {
            let Event::Incoming(packet) = event else {
                continue;
            };
            arrivals.extend(match packet {
                Packet::PubAck(ack) => Some(Arrival::Acknowledged(ack.pkid)),
                Packet::PubComp(ack) => Some(Arrival::Acknowledged(ack.pkid)),
                Packet::Publish(Publish { topic, payload, .. }) => {
                    Some(Arrival::Message { topic, payload })
                }
                Packet::SubAck(ack) => Some(Arrival::Subscribed(
                    ack.return_codes
                        .iter()
                        .map(|code| matches!(code, SubscribeReasonCode::Success(_)))
                        .collect(),
                )),
                _ => None,
            });
        }
        if let Some(answer) = answer {
            let network = self
                .event_loop
                .network
                .as_mut()
                .ok_or(ClientError::Closed)?;
            network.write(answer).await?;
        }
        Ok(())
    }
}

/// A packet that nobody has taken note of yet.
pub(super) struct Incoming(Packet);

fn qos(level: u8) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl From<StateError> for ClientError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::ConnectionAborted => Self::Closed,
            StateError::AwaitPingResp => Self::Timeout,
            error => Self::State(error.to_string()),
        }
    }
}

impl From<ConnectionError> for ClientError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Self::Timeout,
            ConnectionError::ConnectionRefused(code) => Self::Refused(match code {
                ConnectReturnCode::BadUserNamePassword => "wrong user or password",
                ConnectReturnCode::NotAuthorized => "not authorised",
                ConnectReturnCode::BadClientId => "the client id is not allowed",
                ConnectReturnCode::ServiceUnavailable => "the service is not available",
                ConnectReturnCode::RefusedProtocolVersion => "MQTT 3.1.1 is not spoken there",
                ConnectReturnCode::Success => "for no reason",
            }),
            ConnectionError::MqttState(error) => error.into(),
            error => Self::Connect(error.to_string()),
        }
    }
}

//! One connection to the broker.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubComp, PubRec, Publish,
    SubAck, Subscribe, SubscribeReasonCode, UnsubAck,
};
use rumqttc::mqttbytes::{Error, Protocol, QoS};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Shared;
use super::queue::Message;
use super::router::Attached;
use super::topic;

/// Bytes of a packet.
const PACKET_MAX: usize = 1024 * 1024;
/// Bytes of room that a read has at least.
const READ_SIZE: usize = 8 * 1024;
/// How long a client may take to say who it is.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a client may take to read what is written to it.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Messages with QoS 1 that a client has not acknowledged; no more are sent until it has.
const WINDOW: usize = 64;
/// Messages with QoS 2 that a client has published and not released.
const UNRELEASED_MAX: usize = 1024;
/// Stands for no deadline at all, where a client wants no keep-alive.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a connection ends without DISCONNECT.
#[derive(Debug, Error)]
enum End {
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    #[error("the client closed the connection")]
    Closed,
    #[error("a packet cannot be read")]
    Packet(Error),
    #[error("a packet that must not come here")]
    Protocol,
    #[error("the client was silent, or did not read, for too long")]
    Late,
    #[error("the client id was taken over, or the broker stops")]
    Stopped,
    #[error("the client was refused")]
    Refused,
}

/// Serves a client until it goes, one way or the other.
pub(super) async fn run(stream: TcpStream, shared: Arc<Shared>) {
    let mut wire = Wire {
        stream,
        input: BytesMut::new(),
        output: BytesMut::new(),
    };
    let stop = shared.stop.clone();
    let hello = tokio::select! {
        hello = timeout(CONNECT_TIME, connect(&mut wire)) => hello,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(hello)) = hello else {
        return;
    };
    let Some(attached) = shared.router().attach(&hello.client_id, stop.child_token()) else {
        let _ = wire.connack(ConnectReturnCode::ServiceUnavailable).await;
        return;
    };
    let mut session = Session {
        id: hello.client_id,
        wire,
        attached,
        will: hello.last_will,
        unacknowledged: HashSet::new(),
        unreleased: HashSet::new(),
        last_id: 0,
        shared,
    };
    // Why it ends is of no interest: the session's drop does what is to be done.
    let _ = session.serve(patience(hello.keep_alive)).await;
}

/// One and a half times what the client has promised (section 3.1.2.10).
fn patience(keep_alive: u16) -> Duration {
    match keep_alive {
        0 => FOREVER,
        seconds => Duration::from_secs(u64::from(seconds)) * 3 / 2,
    }
}

/// The first packet, answered only where the answer is no.
async fn connect(wire: &mut Wire) -> Result<Connect, End> {
    let mut hello = match wire.read().await {
        Ok(Packet::Connect(hello)) => hello,
        Ok(_) => return Err(End::Protocol),
        Err(End::Packet(Error::InvalidProtocolLevel(_))) => {
            return wire.refuse(ConnectReturnCode::RefusedProtocolVersion).await;
        }
        Err(end) => return Err(end),
    };
    if hello.protocol != Protocol::V4 {
        return wire.refuse(ConnectReturnCode::RefusedProtocolVersion).await;
    }
    if hello.client_id.is_empty() {
        if !hello.clean_session {
            return wire.refuse(ConnectReturnCode::BadClientId).await;
        }
        // An address has one connection at a time. No client's own id has a NUL in it.
        hello.client_id = format!("\0{}", wire.stream.peer_addr()?);
    }
    Ok(hello)
}

struct Session {
    id: String,
    wire: Wire,
    attached: Attached,
    will: Option<LastWill>,
    /// Ids of QoS 1 messages to the client.
    unacknowledged: HashSet<u16>,
    /// Ids of QoS 2 messages from the client.
    unreleased: HashSet<u16>,
    last_id: u16,
    shared: Arc<Shared>,
}

impl Session {
    /// `Ok` after DISCONNECT.
    async fn serve(&mut self, patience: Duration) -> Result<(), End> {
        self.wire.connack(ConnectReturnCode::Success).await?;
        let mut deadline = Instant::now() + patience;
        loop {
            let window_open = self.unacknowledged.len() < WINDOW;
            tokio::select! {
                packet = self.wire.read() => {
                    deadline = Instant::now() + patience;
                    if !self.handle(packet?)? {
                        return Ok(());
                    }
                }
                Some(message) = self.attached.inbox.next(), if window_open => self.deliver(message)?,
                () = self.attached.stop.cancelled() => return Err(End::Stopped),
                () = tokio::time::sleep_until(deadline) => return Err(End::Late),
            }
            tokio::select! {
                flushed = self.wire.flush() => flushed?,
                () = self.attached.stop.cancelled() => return Err(End::Stopped),
            }
        }
    }

    /// False after DISCONNECT.
    fn handle(&mut self, packet: Packet) -> Result<bool, End> {
        match packet {
            Packet::Publish(publish) => self.publish(publish)?,
            Packet::PubRel(release) => {
                self.unreleased.remove(&release.pkid);
                self.wire
                    .put(&Packet::PubComp(PubComp::new(release.pkid)))?;
            }
            Packet::PubAck(ack) => {
                self.unacknowledged.remove(&ack.pkid);
            }
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe)?,
            Packet::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.topics {
                    self.shared
                        .router()
                        .unsubscribe(&self.id, self.attached.session, filter);
                }
                self.wire
                    .put(&Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid)))?;
            }
            Packet::PingReq => self.wire.put(&Packet::PingResp)?,
            Packet::Disconnect => {
                self.will = None;
                return Ok(false);
            }
            _ => return Err(End::Protocol),
        }
        Ok(true)
    }

    fn publish(&mut self, publish: Publish) -> Result<(), End> {
        if !topic::is_name(&publish.topic) {
            return Err(End::Protocol);
        }
        let (id, qos) = (publish.pkid, publish.qos);
        let new = qos != QoS::ExactlyOnce || self.unreleased.insert(id);
        if self.unreleased.len() > UNRELEASED_MAX {
            return Err(End::Protocol);
        }
        if new {
            self.shared.router().publish(&Message {
                topic: publish.topic,
                payload: publish.payload,
                qos,
                retain: publish.retain,
            });
        }
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.wire.put(&Packet::PubAck(PubAck::new(id))),
            QoS::ExactlyOnce => self.wire.put(&Packet::PubRec(PubRec::new(id))),
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), End> {
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for filter in &subscribe.filters {
            let granted = self.shared.router().subscribe(
                &self.id,
                self.attached.session,
                &filter.path,
                filter.qos,
            );
            codes.push(match granted {
                Some(qos) => SubscribeReasonCode::Success(qos),
                None => SubscribeReasonCode::Failure,
            });
        }
        self.wire
            .put(&Packet::SubAck(SubAck::new(subscribe.pkid, codes)))
    }

    fn deliver(&mut self, message: Message) -> Result<(), End> {
        let mut publish = Publish::from_bytes(message.topic, message.qos, message.payload);
        publish.retain = message.retain;
        if message.qos != QoS::AtMostOnce {
            publish.pkid = self.next_id();
            self.unacknowledged.insert(publish.pkid);
        }
        self.wire.put(&Packet::Publish(publish))
    }

    /// An id that is not in use; there is one, for the window is smaller than the ids are many.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if self.last_id != 0 && !self.unacknowledged.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// Whatever ends a session, a panic included, the router forgets it, and the will is published.
impl Drop for Session {
    fn drop(&mut self) {
        let mut router = self.shared.router();
        router.detach(&self.id, self.attached.session);
        if let Some(will) = self.will.take()
            && topic::is_name(&will.topic)
        {
            router.publish(&Message {
                topic: will.topic,
                payload: will.message,
                qos: will.qos,
                retain: will.retain,
            });
        }
    }
}

/// A socket that packets come from and go to.
struct Wire {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
}

impl Wire {
    /// The next packet. May be dropped while it waits: nothing is lost.
    async fn read(&mut self) -> Result<Packet, End> {
        loop {
            match Packet::read(&mut self.input, PACKET_MAX) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(End::Packet(error)),
            }
            self.input.reserve(READ_SIZE);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(End::Closed);
            }
        }
    }

    fn put(&mut self, packet: &Packet) -> Result<(), End> {
        packet
            .write(&mut self.output, usize::MAX)
            .map(drop)
            .map_err(End::Packet)
    }

    async fn flush(&mut self) -> Result<(), End> {
        let written = timeout(WRITE_TIME, self.stream.write_all_buf(&mut self.output)).await;
        Ok(written.map_err(|_| End::Late)??)
    }

    async fn connack(&mut self, code: ConnectReturnCode) -> Result<(), End> {
        self.put(&Packet::ConnAck(ConnAck::new(code, false)))?;
        self.flush().await
    }

    async fn refuse(&mut self, code: ConnectReturnCode) -> Result<Connect, End> {
        self.connack(code).await?;
        Err(End::Refused)
    }
}

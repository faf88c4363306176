//! The task that connects to the broker, for ever, and moves events both ways while it can.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::bridge::MqttBridge;
use super::codec::{Letter, Message, Packet, Publish, Welcome};
use super::connection::{Connection, ConnectionError};
use super::outbox::Flying;
use super::plan::Plan;
use super::pulse::Pulse;
use super::session::{Content, Copy, MOST, Outcome, Session, Stage};
use super::status::Status;
use crate::config::model::{MqttVersion, Reconnect};
use crate::event::Guid;
use crate::event::text::Defaults;
use crate::hub::Downlink;
use crate::net::lookup;
use crate::os::now;
use crate::wire::payload;
use crate::wire::topic::check_topic;

/// Packets that are written before the socket is flushed and looked at.
const BATCH: usize = 256;
/// Bytes that are put down before the socket is flushed.
const BATCH_BYTES: usize = 256 * 1024;
/// How long the broker may take to read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the broker's name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(300);
/// The identifier of subscriptions, which no message has.
const SUBSCRIBE: u16 = MOST + 1;
/// Connections that end at once before somebody else is suspected to use the same client id.
const SUSPICIOUS: u32 = 3;
/// A connection of this age has not ended at once.
const GROWN_UP: Duration = Duration::from_secs(10);

/// Works for one bridge.
pub(super) struct Worker {
    bridge: Arc<MqttBridge>,
    plan: Plan,
    backoff: Backoff,
    downlink: Arc<dyn Downlink>,
    status: Option<Status>,
    stop: CancellationToken,
    session: Session,
    /// The next copy to publish.
    next: Copy,
    /// Before this one, a copy may be in flight already.
    doubtful: u64,
    /// Copies that have been put down and not flushed, and are done when they are.
    unflushed: Vec<Copy>,
    /// A session of an earlier driver may be at the broker.
    fresh: bool,
    /// Connections in a row that ended at once.
    short_lived: u32,
}

/// Why the work on a connection ended.
enum End {
    Stopped,
    Lost(ConnectionError),
}

impl<E: Into<ConnectionError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Lost(error.into())
    }
}

impl Worker {
    pub(super) fn new(
        bridge: Arc<MqttBridge>,
        plan: Plan,
        reconnect: Reconnect,
        downlink: Arc<dyn Downlink>,
        status: Option<Status>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            bridge,
            plan,
            backoff: Backoff::new(reconnect),
            downlink,
            status,
            stop,
            session: Session::new(),
            next: Copy {
                serial: 0,
                outlet: 0,
            },
            doubtful: 0,
            unflushed: Vec::new(),
            fresh: true,
            short_lived: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = self.connect() => connected,
            };
            let trouble = match connected {
                Ok((connection, welcome)) => {
                    let since = Instant::now();
                    match self.serve(connection, welcome).await {
                        End::Stopped => return,
                        End::Lost(error) => {
                            self.suspect(since, &error);
                            format!("connection lost: {error}")
                        }
                    }
                }
                Err(trouble) => trouble,
            };
            let pause = self.backoff.pause(chance());
            if self.bridge.disconnected(trouble.clone()) {
                let pause = pause.as_secs_f32();
                tracing::warn!(uplink = %self.bridge.place(), "{trouble}; next attempt in {pause:.1} s");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A broker throws a client out when another one comes with its id.
    fn suspect(&mut self, since: Instant, error: &ConnectionError) {
        let closed = matches!(
            error,
            ConnectionError::Closed | ConnectionError::Farewell(_) | ConnectionError::Io(_)
        );
        if !closed || since.elapsed() > GROWN_UP {
            self.short_lived = 0;
            return;
        }
        self.short_lived += 1;
        if self.short_lived == SUSPICIOUS {
            tracing::warn!(
                uplink = %self.bridge.place(),
                client = %self.plan.options.client_id,
                "the broker closes each connection at once: is there another client with this \
                 client id? Two drivers with one GUID on one machine have the same, unless clientid is set"
            );
        }
    }

    async fn connect(&self) -> Result<(Connection, Welcome), String> {
        let Plan { route, options, .. } = &self.plan;
        let addresses = lookup::addresses(&route.host, route.port, LOOKUP)
            .await
            .map_err(|error| error.to_string())?;
        let mut trouble = String::new();
        for address in addresses {
            match Connection::open(address, route, options).await {
                Ok((connection, welcome)) => {
                    tracing::info!(
                        uplink = %self.bridge.place(),
                        client = %options.client_id,
                        session = if welcome.session_present { "kept" } else { "new" },
                        tls = route.tls.is_some(),
                        "connected"
                    );
                    return Ok((connection, welcome));
                }
                Err(error) => trouble = format!("cannot connect to {address}: {error}"),
            }
        }
        Err(trouble)
    }

    /// Works on one connection until it breaks, or until it is told to stop.
    async fn serve(&mut self, mut connection: Connection, welcome: Welcome) -> End {
        let keep_alive = welcome.keep_alive.unwrap_or(self.plan.options.keep_alive);
        let mut pulse = Pulse::new(keep_alive);
        let stop = self.stop.clone();
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopped,
            end = self.exchange(&mut connection, welcome, &mut pulse) => match end {
                Ok(never) => match never {},
                Err(end) => end,
            },
        };
        if matches!(end, End::Stopped) {
            // A broker that does not listen will find out by itself.
            let _ = tokio::time::timeout(GOODBYE, self.goodbye(&mut connection)).await;
        }
        end
    }

    /// Takes back what the birth said: a broker publishes no will after a disconnect in order.
    async fn goodbye(&mut self, connection: &mut Connection) -> Result<(), ConnectionError> {
        // What was being written when the stop came goes first.
        connection.flush().await?;
        let farewell = match &self.status {
            Some(status) => Some(status.offline()),
            None => self.plan.farewell(),
        };
        if let Some(letter) = farewell {
            self.post(connection, &letter)?;
        }
        connection.disconnect();
        connection.finish().await
    }

    async fn exchange(
        &mut self,
        connection: &mut Connection,
        welcome: Welcome,
        pulse: &mut Pulse,
    ) -> Result<std::convert::Infallible, End> {
        self.take_up(connection, &welcome)?;
        if !self.plan.filters.is_empty() {
            connection.subscribe(SUBSCRIBE, &self.plan.filters)?;
        }
        if let Some(birth) = &self.plan.birth.clone() {
            self.post(connection, birth)?;
        }
        in_time(connection.flush()).await?;
        self.bridge.connected();
        let mut report = Instant::now();
        loop {
            if let Some(status) = &self.status
                && Instant::now() >= report
            {
                let letter = status.online(&self.bridge);
                report = Instant::now() + status.interval();
                self.post(connection, &letter)?;
            }
            self.send(connection)?;
            in_time(connection.flush()).await?;
            for copy in self.unflushed.drain(..) {
                // A copy of QoS 0 has done what it can once it is in the socket.
                self.bridge.outbox().done(copy, false);
            }
            self.bridge.settle();
            let mut received = 0;
            while received < BATCH && connection.unwritten() < BATCH_BYTES {
                let Some(packet) = connection.ready().await? else {
                    break;
                };
                pulse.heard = true;
                self.accept(connection, packet)?;
                received += 1;
            }
            if pulse.beat()? {
                connection.ping();
            } else if received == 0 && connection.unwritten() == 0 && !self.could_send() {
                let has_status = self.status.is_some();
                tokio::select! {
                    biased;
                    packet = connection.next() => {
                        pulse.heard = true;
                        self.accept(connection, packet?)?;
                    }
                    () = self.bridge.work.notified() => {}
                    () = pulse.due() => {}
                    () = tokio::time::sleep_until(report), if has_status => {}
                }
            }
            self.bridge.settle();
            // Other tasks of this thread have their turn, however much there is to do.
            tokio::task::yield_now().await;
        }
    }

    /// Goes on where the session stands, or begins anew where the broker has none.
    fn take_up(
        &mut self,
        connection: &mut Connection,
        welcome: &Welcome,
    ) -> Result<(), ConnectionError> {
        // As documented, it is of MQTT 5; a small number would slow QoS 1 down for nothing.
        let send = self.plan.options.send_maximum;
        let both = send.filter(|_| self.plan.options.version == MqttVersion::V5);
        self.session.limit(both, send, welcome.receive_maximum);
        self.plan
            .limit(welcome.max_qos.unwrap_or(2), welcome.retain_available);
        // Of these nobody knows whether the broker has them.
        self.unflushed.clear();
        if welcome.session_present && !self.fresh {
            for (identifier, content, stage) in self.session.in_flight() {
                match (stage, content) {
                    (Stage::Released, _) => connection.release(identifier)?,
                    (_, Content::Copy(copy)) => self.publish_again(connection, copy, identifier)?,
                    (_, Content::Letter) => self.session.give_back(identifier),
                }
            }
        } else {
            if welcome.session_present && self.plan.has_qos(2) {
                // The broker may hold messages of QoS 2 of an earlier driver, whose identifiers it
                // would take for sent already. To release them is to have them published.
                for identifier in 1..=MOST {
                    connection.release(identifier)?;
                }
            }
            self.session.forget();
            self.bridge.outbox().lost();
        }
        self.fresh = false;
        let outbox = self.bridge.outbox();
        self.next = Copy {
            serial: outbox.first(),
            outlet: 0,
        };
        self.doubtful = outbox.end();
        Ok(())
    }

    fn publish_again(
        &mut self,
        connection: &mut Connection,
        copy: Copy,
        identifier: u16,
    ) -> Result<(), ConnectionError> {
        let Some(flying) = self.bridge.outbox().flying(copy.serial) else {
            self.session.give_back(identifier);
            return Ok(());
        };
        self.publish(connection, &flying, copy, Some(identifier))
    }

    /// True where a copy waits that may be published.
    fn could_send(&self) -> bool {
        let outbox = self.bridge.outbox();
        let there = outbox.flying(self.next.serial).is_some() || outbox.can_take();
        let qos = self.plan.qos(self.next.outlet);
        let free = || qos == 0 || self.session.has_room(qos);
        there && free()
    }

    /// Puts down copies of events, as windows and the batch allow.
    fn send(&mut self, connection: &mut Connection) -> Result<(), ConnectionError> {
        let outlets = self.plan.outlets.len();
        for _ in 0..BATCH {
            let flying = {
                let mut outbox = self.bridge.outbox();
                match outbox.flying(self.next.serial) {
                    Some(flying) => flying,
                    None if outbox.take() => match outbox.flying(self.next.serial) {
                        Some(flying) => flying,
                        None => return Ok(()),
                    },
                    None => return Ok(()),
                }
            };
            while usize::from(self.next.outlet) < outlets {
                let copy = self.next;
                let sent = flying.has(copy.outlet)
                    || (copy.serial < self.doubtful && self.session.holds(copy));
                if !sent {
                    let qos = self.plan.qos(copy.outlet);
                    if qos > 0 && !self.session.has_room(qos) {
                        return Ok(());
                    }
                    self.publish(connection, &flying, copy, None)?;
                }
                self.next.outlet += 1;
            }
            self.next = Copy {
                serial: self.next.serial + 1,
                outlet: 0,
            };
            if connection.unwritten() >= BATCH_BYTES {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Puts one copy down, with a new identifier or with the one that it had.
    fn publish(
        &mut self,
        connection: &mut Connection,
        flying: &Flying,
        copy: Copy,
        held: Option<u16>,
    ) -> Result<(), ConnectionError> {
        let qos = self.plan.qos(copy.outlet);
        let (topic, payload, retain) = self.plan.render(copy.outlet, flying.event.event());
        let refused = check_topic(&topic).err().map(|error| error.to_string());
        let identifier = match (&refused, held, qos) {
            (Some(_), _, _) | (None, None, 0) => 0,
            (None, Some(held), _) => held,
            (None, None, _) => match self.session.take(Content::Copy(copy), qos) {
                Some(identifier) => identifier,
                None => return Ok(()),
            },
        };
        let refused = refused.or_else(|| {
            let publish = Publish {
                topic: &topic,
                payload,
                qos,
                retain,
                again: held.is_some(),
                identifier,
            };
            let put = connection.publish(publish);
            put.err().map(|error| error.to_string())
        });
        if let Some(why) = refused {
            if identifier != 0 {
                self.session.give_back(identifier);
            }
            self.bridge.rejected(&topic, &why);
            self.bridge.outbox().done(copy, true);
            return Ok(());
        }
        if self.plan.comes_back(&topic) {
            let again = flying.again || held.is_some();
            self.downlink.expect_echo(&flying.event, again);
        }
        if qos == 0 {
            self.unflushed.push(copy);
        }
        Ok(())
    }

    /// A message that is not an event. One that finds no identifier is left out: another will come.
    fn post(
        &mut self,
        connection: &mut Connection,
        letter: &Letter,
    ) -> Result<(), ConnectionError> {
        let qos = letter.qos.min(self.plan.max_qos());
        let identifier = match qos {
            0 => 0,
            _ => match self.session.take(Content::Letter, qos) {
                Some(identifier) => identifier,
                None => return Ok(()),
            },
        };
        connection.publish(Publish {
            topic: &letter.topic,
            payload: letter.payload.clone(),
            qos,
            retain: letter.retain,
            again: false,
            identifier,
        })?;
        Ok(())
    }

    /// Takes note of a packet and puts down what MQTT answers to it.
    fn accept(
        &mut self,
        connection: &mut Connection,
        packet: Packet,
    ) -> Result<(), ConnectionError> {
        let outcome = match packet {
            Packet::Acknowledged(identifier, refused) => {
                (self.session.acknowledged(identifier), refused, identifier)
            }
            Packet::Received(identifier, refused) => {
                let outcome = self.session.received(identifier, refused.is_some());
                if outcome == Outcome::Unknown && refused.is_none() {
                    // Of an earlier connection: it goes on until it is released.
                    connection.release(identifier)?;
                }
                (outcome, refused, identifier)
            }
            Packet::Complete(identifier) => (self.session.complete(identifier), None, identifier),
            Packet::Release(identifier) => {
                self.session.released(identifier);
                return Ok(connection.complete(identifier)?);
            }
            Packet::Message(message) => return self.message(connection, message),
            Packet::Subscribed(answers) => {
                self.subscribed(&answers);
                return Ok(());
            }
            Packet::Alive => {
                self.backoff.reset();
                return Ok(());
            }
            Packet::Farewell(why) => return Err(ConnectionError::Farewell(why)),
            Packet::Welcome(_) => return Err(super::codec::CodecError::Unexpected.into()),
        };
        match outcome {
            (Outcome::Done(content), refused, _) => {
                // Now the broker does more than to accept and to throw out.
                self.backoff.reset();
                if let Some(why) = &refused {
                    self.bridge.rejected("", why);
                }
                if let Content::Copy(copy) = content {
                    self.bridge.outbox().done(copy, refused.is_some());
                }
            }
            (Outcome::Release, _, identifier) => connection.release(identifier)?,
            (Outcome::Unknown, ..) => {}
        }
        Ok(())
    }

    fn subscribed(&mut self, answers: &[Option<String>]) {
        self.backoff.reset();
        for (filter, answer) in self.plan.filters.iter().zip(answers) {
            if let Some(why) = answer {
                tracing::error!(topic = %filter.filter, "the broker refused a subscription: {why}");
            }
        }
    }

    fn message(
        &mut self,
        connection: &mut Connection,
        message: Message,
    ) -> Result<(), ConnectionError> {
        let new = match message.qos {
            0 => true,
            1 => {
                connection.acknowledge(message.identifier)?;
                true
            }
            _ => {
                connection.received(message.identifier)?;
                self.session.comes(message.identifier)
            }
        };
        if new {
            self.deliver(&message);
        }
        Ok(())
    }

    /// Hands the event of a message to the clients; one that is none is counted.
    fn deliver(&self, message: &Message) {
        let topic = &message.topic;
        if let Some(status) = &self.status
            && status.is_about(topic)
        {
            status.look_at(message.payload.as_deref().unwrap_or_default());
            return;
        }
        let Some(bytes) = &message.payload else {
            return self.downlink.malformed(topic, &"far too long");
        };
        if bytes.is_empty() {
            // That is how retained messages are taken back.
            return;
        }
        let defaults = Defaults {
            now: now(),
            obid: 0,
            guid: Guid::ZERO,
        };
        match payload::read(bytes, self.plan.read_format(topic), &defaults) {
            Ok(event) if self.plan.filter.passes(&event) => self.downlink.deliver(event),
            Ok(_) => self.bridge.filtered(),
            Err(error) => self.downlink.malformed(topic, &error),
        }
    }
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, ConnectionError>>,
) -> Result<T, ConnectionError> {
    match tokio::time::timeout(WRITE_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => Err(ConnectionError::Timeout),
    }
}

/// Where there are no random numbers, pauses are as they are.
fn chance() -> u8 {
    let mut byte = [127];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

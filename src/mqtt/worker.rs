//! The task that connects to the broker, for ever, and moves events both ways while it can.

mod incoming;
mod outgoing;
mod resume;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bridge::MqttBridge;
use super::codec::{Letter, Welcome};
use super::connection::{Connection, ConnectionError};
use super::plan::Plan;
use super::pulse::Pulse;
use super::session::{Copy, MOST, Session};
use super::status::Status;
use crate::config::model::Reconnect;
use crate::hub::Downlink;
use crate::net::backoff::Backoff;
use crate::net::lookup;

/// Packets that are written before the socket is flushed and looked at.
const BATCH: usize = 256;
/// Bytes that are put down before the socket is flushed.
const BATCH_BYTES: usize = 256 * 1024;
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
    /// What is still to be said at the beginning.
    birth: Option<Letter>,
    /// When the next status document is due.
    report: Instant,
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
            next: Copy::first_of(0),
            doubtful: 0,
            unflushed: Vec::new(),
            fresh: true,
            birth: None,
            report: Instant::now(),
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
            let pause = self.backoff.pause();
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
        let Plan {
            route,
            connect_timeout,
            options,
            ..
        } = &self.plan;
        let addresses = lookup::addresses(&route.host, route.port, LOOKUP)
            .await
            .map_err(|error| error.to_string())?;
        let mut trouble = String::new();
        for address in addresses {
            match Connection::open(address, route, *connect_timeout, options).await {
                Ok((connection, welcome)) => {
                    self.bridge.reached(address);
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
        if let Some(mut letter) = farewell {
            // There is no time for more than one answer, and none to wait for an identifier.
            letter.qos = u8::from(letter.qos > 0 && self.session.has_room(1));
            self.post(connection, &letter);
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
        self.birth = self.plan.birth.clone();
        self.report = Instant::now();
        connection.flush().await?;
        self.bridge.connected();
        loop {
            self.tell(connection);
            self.send(connection)?;
            connection.flush().await?;
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
                let (report, has_status) = (self.report, self.status.is_some());
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
}

//! The task that connects to the broker, for ever, and moves events both ways while it can.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::bridge::MqttBridge;
use super::client::{Arrival, Client, ClientError, IDENTIFIERS};
use super::plan::Plan;
use crate::config::model::Reconnect;
use crate::event::text::Defaults;
use crate::event::{Event, Guid};
use crate::hub::{Downlink, SharedEvent};
use crate::net::lookup;
use crate::os::now;
use crate::wire::payload;
use crate::wire::topic::{check_topic, matches};

/// Events that are written before the socket is flushed and looked at.
const BATCH: usize = 128;
/// How long the broker may take to read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the broker's name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(300);

/// Works for one bridge.
pub(super) struct Worker {
    bridge: Arc<MqttBridge>,
    plan: Plan,
    backoff: Backoff,
    downlink: Arc<dyn Downlink>,
    stop: CancellationToken,
    /// By packet identifier: the serial number of the event that it is a copy of.
    serials: Vec<Option<u64>>,
    arrivals: Vec<Arrival>,
    /// Serial numbers of events that have been written and not flushed.
    unflushed: Vec<u64>,
}

/// Why the work on a connection ended.
enum End {
    Stopped,
    Lost(ClientError),
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Lost(error)
    }
}

impl Worker {
    pub(super) fn new(
        bridge: Arc<MqttBridge>,
        plan: Plan,
        reconnect: Reconnect,
        downlink: Arc<dyn Downlink>,
        stop: CancellationToken,
    ) -> Self {
        let serials = vec![None; usize::from(IDENTIFIERS) + 1];
        let backoff = Backoff::new(reconnect);
        Self {
            bridge,
            plan,
            backoff,
            downlink,
            stop,
            serials,
            arrivals: Vec::new(),
            unflushed: Vec::new(),
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
                Ok(client) => match self.serve(client).await {
                    End::Stopped => return,
                    End::Lost(error) => format!("connection lost: {error}"),
                },
                Err(trouble) => trouble,
            };
            self.bridge.outbox().lost();
            let pause = self.backoff.pause(chance());
            if self.bridge.disconnected(trouble.clone()) {
                let pause = pause.as_secs_f32();
                tracing::warn!(uplink = %self.place(), "{trouble}; next attempt in {pause:.1} s");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn place(&self) -> String {
        format!("mqtt {}:{}", self.plan.host, self.plan.port)
    }

    async fn connect(&self) -> Result<Client, String> {
        let Plan {
            host,
            port,
            options,
            ..
        } = &self.plan;
        let addresses = lookup::addresses(host, *port, LOOKUP)
            .await
            .map_err(|error| error.to_string())?;
        let mut trouble = String::new();
        for address in addresses {
            match Client::connect(address, options).await {
                Ok((client, kept)) => {
                    tracing::info!(
                        uplink = %self.place(),
                        client = %options.client_id,
                        session = if kept { "kept" } else { "new" },
                        "connected"
                    );
                    return Ok(client);
                }
                Err(error) => trouble = format!("cannot connect to {address}: {error}"),
            }
        }
        Err(trouble)
    }

    /// Works on one connection until it breaks, or until it is told to stop.
    async fn serve(&mut self, mut client: Client) -> End {
        self.serials.fill(None);
        self.unflushed.clear();
        let keep_alive = self.plan.options.keep_alive;
        // Twice as often as the broker asks for; a ping that is not answered by the next one
        // tells that it is gone. Without keep-alive nothing does.
        let every = if keep_alive.is_zero() {
            Duration::from_secs(86_400)
        } else {
            keep_alive / 2
        };
        let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopped,
            end = self.exchange(&mut client, &mut ping) => match end {
                Ok(never) => match never {},
                Err(end) => end,
            },
        };
        if matches!(end, End::Stopped) {
            // A broker that does not listen will find out by itself.
            let _ = tokio::time::timeout(GOODBYE, client.disconnect()).await;
        }
        end
    }

    async fn exchange(
        &mut self,
        client: &mut Client,
        ping: &mut Interval,
    ) -> Result<std::convert::Infallible, End> {
        let filters: Vec<(String, u8)> = self
            .plan
            .subscriptions
            .iter()
            .map(|inlet| (inlet.filter.clone(), inlet.qos))
            .collect();
        if !filters.is_empty() {
            client.subscribe(&filters).await?;
            client.flush().await?;
        }
        self.backoff.reset();
        self.bridge.connected();
        loop {
            in_time(self.send(client)).await?;
            in_time(client.flush()).await?;
            for serial in self.unflushed.drain(..) {
                self.bridge.outbox().acknowledged(serial);
            }
            // A copy of QoS 0 has done what it can once it is in the socket.
            self.bridge.settle();
            let mut received = 0;
            while received < BATCH {
                let Some(packet) = client.ready().await? else {
                    break;
                };
                in_time(client.accept(packet, &mut self.arrivals)).await?;
                received += 1;
            }
            if received == 0 && !self.bridge.outbox().can_take() {
                tokio::select! {
                    biased;
                    packet = client.next() => {
                        in_time(client.accept(packet?, &mut self.arrivals)).await?;
                    }
                    () = self.bridge.work.notified() => {}
                    _ = ping.tick() => in_time(client.ping()).await?,
                }
            }
            self.arrived();
            // Other tasks of this thread have their turn, however much there is to do.
            tokio::task::yield_now().await;
        }
    }

    /// Writes a batch of events, as the window allows.
    async fn send(&mut self, client: &mut Client) -> Result<(), ClientError> {
        for _ in 0..BATCH {
            let Some(taken) = self.bridge.outbox().take() else {
                break;
            };
            let mut open = 0;
            for at in 0..self.plan.publications.len() {
                let outlet = &self.plan.publications[at];
                let (topic, payload) = self.plan.render(outlet, taken.event.event());
                if let Err(error) = check_topic(&topic) {
                    self.downlink.malformed(&topic, &error);
                    continue;
                }
                if !taken.again {
                    self.expect_echo(&topic, &taken.event);
                }
                let (qos, retain) = (outlet.qos, outlet.retain);
                if let Some(identifier) = client.publish(&topic, payload, qos, retain).await? {
                    self.serials[usize::from(identifier)] = Some(taken.serial);
                    open += 1;
                }
            }
            // One more until it is in the socket.
            self.bridge.outbox().written(taken.serial, open + 1);
            self.unflushed.push(taken.serial);
        }
        Ok(())
    }

    /// One copy comes back for each publish to a topic that is subscribed to.
    fn expect_echo(&self, topic: &str, event: &SharedEvent) {
        if self
            .plan
            .subscriptions
            .iter()
            .any(|inlet| matches(&inlet.filter, topic))
        {
            self.downlink.expect_echo(event);
        }
    }

    fn arrived(&mut self) {
        for arrival in self.arrivals.drain(..) {
            match arrival {
                Arrival::Acknowledged(identifier) => {
                    let serial = self.serials.get_mut(usize::from(identifier));
                    if let Some(serial) = serial.and_then(Option::take) {
                        self.bridge.outbox().acknowledged(serial);
                    }
                }
                Arrival::Message { topic, payload } => {
                    if let Some(event) = read(&self.plan, &*self.downlink, &topic, &payload) {
                        self.downlink.deliver(event);
                    }
                }
                Arrival::Subscribed(stand) => {
                    for (inlet, stands) in self.plan.subscriptions.iter().zip(stand) {
                        if !stands {
                            tracing::error!(topic = %inlet.filter, "the broker refused a subscription");
                        }
                    }
                }
            }
        }
        self.bridge.settle();
    }
}

/// The event of a message; `None`, counted, where it is none.
fn read(plan: &Plan, downlink: &dyn Downlink, topic: &str, bytes: &[u8]) -> Option<Event> {
    if bytes.is_empty() {
        // That is how retained messages are taken back.
        return None;
    }
    let inlet = plan
        .subscriptions
        .iter()
        .find(|inlet| matches(&inlet.filter, topic));
    let format = inlet.map(|inlet| inlet.format).unwrap_or_default();
    let defaults = Defaults {
        now: now(),
        obid: 0,
        guid: Guid::ZERO,
    };
    match payload::read(bytes, format, &defaults) {
        Ok(event) => Some(event),
        Err(error) => {
            downlink.malformed(topic, &error);
            None
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    match tokio::time::timeout(WRITE_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => Err(ClientError::Timeout),
    }
}

/// Where there are no random numbers, pauses are as they are.
fn chance() -> u8 {
    let mut byte = [127];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

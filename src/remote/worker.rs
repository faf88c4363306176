//! The task of a link, by its mode.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RemoteError;
use super::connection::{Connection, Terms};
use super::link::{Link, Side};
use super::receiver::AGAIN;
use super::{courier, numbered, receiver};
use crate::config::model::LinkMode;
use crate::event::text::TextForm;
use crate::net::backoff::Backoff;

/// How often a far end that is visited is asked what it is: a link that only sends has more to do
/// with its events.
const ASK_EACH: Duration = Duration::from_secs(60);

/// What visits have found out about the far end.
#[derive(Clone, Copy)]
struct Known {
    since: Instant,
    /// It numbers events.
    numbers: bool,
}

/// Works for one link.
pub(super) struct Worker {
    link: Arc<Link>,
    terms: Terms,
    form: TextForm,
}

impl Worker {
    pub(super) fn new(link: Arc<Link>, terms: Terms, form: TextForm) -> Self {
        Self { link, terms, form }
    }

    /// Works until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let direction = self.link.config().direction;
        let work = async {
            match self.link.config().mode {
                LinkMode::Persistent => {
                    let send = async {
                        if direction.outward {
                            self.keep_sending().await;
                        }
                    };
                    let receive = async {
                        if direction.inward {
                            self.keep_receiving().await;
                        }
                    };
                    tokio::join!(send, receive);
                }
                LinkMode::Poll(interval) => self.visit_each(interval).await,
                LinkMode::OnDemand => self.visit_for_each().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
            // What a link before this one left, also where this one does not receive.
            never = self.hand_on() => match never {},
            // Whether or not there is a connection.
            never = self.link.backlog().follow(self.link.channel().queue()) => match never {},
        }
    }

    /// Hands on what waits for room from the start.
    async fn hand_on(&self) -> Infallible {
        self.link.put();
        while self.link.found_no_room() > 0 {
            tokio::time::sleep(AGAIN).await;
            self.link.put();
        }
        std::future::pending().await
    }

    /// One connection that sends, for ever.
    async fn keep_sending(&self) {
        let mut backoff = self.backoff();
        loop {
            let lost = match self.open(Side::Out).await {
                Ok(mut connection) => {
                    backoff.reset();
                    let session = async {
                        courier::introduce(&self.link, &mut connection).await?;
                        match numbered::begin(&self.link, &mut connection).await? {
                            Some(last) => numbered::carry(&self.link, &mut connection, last).await,
                            None => courier::carry(&self.link, &mut connection, self.form).await,
                        }
                    };
                    match session.await {
                        Ok(never) => match never {},
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.wait(Side::Out, &lost, &mut backoff).await;
        }
    }

    /// One connection that receives, for ever.
    async fn keep_receiving(&self) {
        let mut backoff = self.backoff();
        loop {
            let lost = match self.open(Side::In).await {
                Ok(mut connection) => {
                    backoff.reset();
                    let session = async {
                        // Else the connection that sends has done so.
                        if !self.link.config().direction.outward {
                            courier::introduce(&self.link, &mut connection).await?;
                        }
                        receiver::receive(&self.link, &mut connection).await
                    };
                    match session.await {
                        Ok(never) => match never {},
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.wait(Side::In, &lost, &mut backoff).await;
        }
    }

    /// A visit each interval.
    async fn visit_each(&self, interval: Duration) {
        let mut backoff = self.backoff();
        let mut known = None;
        loop {
            match self.visit(&mut known).await {
                Ok(()) => {
                    backoff.reset();
                    self.pause(interval).await;
                }
                Err(error) => self.wait(Side::Out, &error, &mut backoff).await,
            }
        }
    }

    /// A visit whenever an event waits.
    async fn visit_for_each(&self) {
        let mut backoff = self.backoff();
        let mut known = None;
        loop {
            self.link.backlog().arrived_after(0).await;
            match self.visit(&mut known).await {
                Ok(()) => backoff.reset(),
                Err(error) => self.wait(Side::Out, &error, &mut backoff).await,
            }
        }
    }

    /// Connects, sends what waits, fetches what is there where that is wanted, and leaves.
    async fn visit(&self, known: &mut Option<Known>) -> Result<(), RemoteError> {
        let direction = self.link.config().direction;
        let fetches = direction.inward && self.link.config().mode != LinkMode::OnDemand;
        let mut connection = self.open(Side::Out).await?;
        let fresh = known.filter(|known| known.since.elapsed() < ASK_EACH);
        if fetches {
            courier::introduce(&self.link, &mut connection).await?;
            receiver::set_filter(&self.link, &mut connection).await?;
        } else if fresh.is_none() {
            courier::learn_interfaces(&self.link, &mut connection).await?;
        }
        // One of this kind is to know that this is a link, whatever it lets us do.
        let of_this_kind = self.link.may_not();
        let mut numbers = of_this_kind || fresh.is_none_or(|known| known.numbers);
        if direction.outward {
            numbers = self.deliver(&mut connection, numbers).await?;
        }
        if fetches {
            numbers = numbers && numbered::fetch(&self.link, &mut connection).await?;
            if !numbers {
                receiver::retrieve(&self.link, &mut connection).await?;
            }
        }
        *known = Some(Known {
            since: fresh.map_or_else(Instant::now, |known| known.since),
            numbers,
        });
        // One visit stands for both ways.
        self.link.goes(Side::In);
        connection.quit().await;
        Ok(())
    }

    /// Sends what waits now; what comes meanwhile is for the next visit. `numbers`: the far end may
    /// know them. True where it does.
    async fn deliver(
        &self,
        connection: &mut Connection,
        numbers: bool,
    ) -> Result<bool, RemoteError> {
        let backlog = self.link.backlog();
        let until = backlog.last();
        let last = match numbers {
            true => numbered::begin(&self.link, connection).await?,
            false => None,
        };
        if let Some(last) = last {
            numbered::deliver(&self.link, connection, last, Some(until)).await?;
            return Ok(true);
        }
        let due = || backlog.first().is_some_and(|first| first <= until);
        while due() && courier::send_next(&self.link, connection, self.form).await? {}
        Ok(false)
    }

    async fn open(&self, side: Side) -> Result<Connection, RemoteError> {
        let connection = Connection::open(&self.terms).await?;
        self.link.connected();
        if self.link.goes(side) {
            tracing::info!(
                link = self.link.config().name,
                host = %self.terms.route.host,
                port = self.terms.route.port,
                tls = self.terms.route.tls.is_some(),
                "connected to {}",
                match side {
                    Side::Out => "send",
                    Side::In => "receive",
                }
            );
        }
        Ok(connection)
    }

    async fn wait(&self, side: Side, lost: &RemoteError, backoff: &mut Backoff) {
        let pause = backoff.pause();
        if self.link.disconnected(side, lost.to_string()) {
            tracing::warn!(
                link = self.link.config().name,
                "{lost}; next attempt in {:.1} s",
                pause.as_secs_f32()
            );
        }
        self.pause(pause).await;
    }

    /// Sleeps; what found no room is handed on as soon as there is.
    async fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.link.put();
            let next = match self.link.found_no_room() {
                0 => end,
                _ => end.min(Instant::now() + AGAIN),
            };
            tokio::time::sleep_until(next).await;
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.link.config().reconnect)
    }
}

//! A session that is one end of a link between two drivers of this kind: it sends events that have
//! numbers, or is sent those that wait.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::standing::{Standing, StandingError, Standings};
use crate::backlog::Numbered;
use crate::error::with_causes;
use crate::event::{Event, Tag};
use crate::hub::{Arrival, Channel, Hub, SubmitError};
use crate::wire::link::reply::{self, Status};
use crate::wire::link::{Session, numbered};

/// Events that may be on their way to a link, not acknowledged yet.
const WINDOW: usize = 1024;
/// Events that are written at a time.
const BATCH: usize = 256;

/// What a session is to its link.
#[derive(Debug, Default)]
pub(super) struct Linked {
    sends: Option<Sends>,
    receives: Option<Receives>,
    /// It is a link that may not number its events: it sends and receives as any client does.
    plain: bool,
}

/// It sends.
#[derive(Debug)]
struct Sends {
    standing: Arc<Standing>,
    /// The queue that its numbers are of.
    queue: u64,
    /// An event was not taken: those behind it are not either, until it says where it begins.
    stalled: bool,
    /// Something was heard that is not noted.
    heard: bool,
    /// Cancelled when another session of the link sends.
    token: CancellationToken,
}

/// It is sent what waits.
#[derive(Debug)]
struct Receives {
    standing: Arc<Standing>,
    /// The number of the last event that was looked at.
    cursor: u64,
    /// The number of the last one that was written: what was not is acknowledged by nobody.
    said: u64,
    token: CancellationToken,
}

impl Linked {
    /// XLINK or XRCV of a user that may not: what it sends may have been here.
    pub(super) fn begin_plain(&mut self, hub: &Hub, channel: &Channel, name: &str) {
        // As many as there are sessions, and apart from those of links that may.
        channel.join(&format!("plain\0{}\0{name}", channel.user().name));
        hub.has_plain_session();
        self.plain = true;
    }

    /// SEND: an event of a link that may not number them is a client's else.
    pub(super) fn submit(
        &self,
        hub: &Hub,
        channel: &Channel,
        event: Event,
    ) -> Result<(), SubmitError> {
        match self.plain {
            true => hub.arrive_plain(channel, &event, None).map(drop),
            false => hub.submit(channel, event),
        }
    }

    /// XLINK: gives the number of the last event that was heard.
    pub(super) fn begin(
        &mut self,
        standings: &Arc<Standings>,
        channel: &Channel,
        name: &str,
        queue: u64,
        first: u64,
    ) -> Result<u64, Status> {
        self.stop_sending();
        let standing = open(standings, channel, name)?;
        let token = standing.send();
        // What it has let go of will not come any more.
        let last = standing.backlog().heard(queue).max(first.saturating_sub(1));
        standing.backlog().hear(queue, last);
        standing.join(channel);
        self.sends = Some(Sends {
            standing,
            queue,
            stalled: false,
            heard: false,
            token,
        });
        Ok(last)
    }

    /// XSEND: an event is taken once, and none out of turn.
    pub(super) fn take(
        &mut self,
        hub: &Hub,
        channel: &Channel,
        event: numbered::Numbered,
    ) -> Result<(), Status> {
        let sends = self.sends.as_mut().ok_or(reply::PARAMETER)?;
        if sends.stalled {
            return Err(reply::BUFFER_FULL);
        }
        let _one_at_a_time = sends.standing.taking();
        if sends.token.is_cancelled() {
            return Err(reply::BUFFER_FULL);
        }
        let backlog = sends.standing.backlog();
        let numbered::Numbered { number, tag, event } = event;
        if number <= backlog.heard(sends.queue) {
            return Ok(());
        }
        let beyond = Some(&**sends.standing.channel());
        let taken = match hub.arrive(channel, &event, tag, beyond) {
            Ok(Arrival::Taken | Arrival::Known) => Ok(()),
            Err(SubmitError::Full) => {
                sends.stalled = true;
                return Err(reply::BUFFER_FULL);
            }
            Err(SubmitError::Unbearable) => Err(reply::PARAMETER),
        };
        backlog.hear(sends.queue, number);
        sends.heard = true;
        taken
    }

    /// What was taken is safe.
    pub(super) fn note(&mut self) {
        if let Some(sends) = &mut self.sends
            && std::mem::take(&mut sends.heard)
        {
            sends.standing.backlog().note_heard();
        }
    }

    /// XRCV: gives the queue that there is.
    pub(super) fn listen(
        &mut self,
        standings: &Arc<Standings>,
        channel: &Channel,
        name: &str,
        queue: u64,
        last: u64,
    ) -> Result<u64, Status> {
        self.leave();
        let standing = open(standings, channel, name)?;
        let token = standing.arrive();
        standing.join(channel);
        standing.channel().set_filter(channel.filter());
        standing.want();
        channel.stop_listening();
        let known = standing.backlog().queue();
        let mut cursor = 0;
        if queue == known {
            // More than was ever given is not true.
            cursor = last.min(standing.backlog().last());
            standing.backlog().acknowledge(cursor);
        }
        self.receives = Some(Receives {
            standing,
            cursor,
            said: cursor,
            token,
        });
        Ok(known)
    }

    /// XACK.
    pub(super) fn acknowledge(&self, number: u64) -> Result<(), Status> {
        let receives = self.receives.as_ref().ok_or(reply::PARAMETER)?;
        let backlog = receives.standing.backlog();
        backlog.acknowledge(number.min(receives.cursor));
        Ok(())
    }

    /// True where the session is sent what waits for a link.
    pub(super) fn receives(&self) -> bool {
        self.receives.is_some()
    }

    /// Appends the events that come next, in the session's mode; gives them.
    pub(super) fn write(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Vec<Numbered> {
        let Some(receives) = &mut self.receives else {
            return Vec::new();
        };
        let Receives {
            standing,
            cursor,
            said,
            ..
        } = receives;
        let backlog = standing.backlog();
        let under_way = backlog.up_to(*said);
        let mut events = backlog.after(*cursor, BATCH.min(WINDOW.saturating_sub(under_way)));
        if let Some(last) = events.last() {
            *cursor = last.number;
        }
        // Rights and filter may be others than when they came.
        events.retain(|one| standing.channel().wants(one.event.event()));
        for Numbered { number, event } in &events {
            let tag = event.tag().unwrap_or(UNKNOWN);
            session.say_linked(*number, tag, event.event(), out);
            *said = *number;
        }
        if backlog.up_to(*said) == 0 {
            // Nobody will acknowledge them.
            backlog.acknowledge(*cursor);
        }
        events
    }

    /// Returns when there is something to write; never where nothing is waited for.
    pub(super) fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        let receives = self.receives.as_ref();
        let waits = receives.map(|one| (Arc::clone(&one.standing), one.cursor, one.said));
        async move {
            let Some((standing, cursor, said)) = waits else {
                return std::future::pending().await;
            };
            let backlog = standing.backlog();
            // An acknowledgement is a command, which is looked at anyway.
            if backlog.up_to(said) >= WINDOW {
                return std::future::pending().await;
            }
            backlog.arrived_after(cursor).await;
        }
    }

    /// Returns when another session has come for the link; never where there is none.
    pub(super) fn superseded(&self) -> impl Future<Output = ()> + Send + use<> {
        let token = self.receives.as_ref().map(|one| one.token.clone());
        async move {
            match token {
                Some(token) => token.cancelled().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The session ends.
    pub(super) fn leave(&mut self) {
        if let Some(receives) = self.receives.take() {
            receives.standing.leave(&receives.token);
        }
    }

    fn stop_sending(&mut self) {
        if let Some(sends) = self.sends.take() {
            sends.standing.leave(&sends.token);
        }
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.leave();
        self.stop_sending();
    }
}

/// Of an event that came without one; nobody gives it out.
const UNKNOWN: Tag = Tag {
    origin: 0,
    number: 0,
};

fn open(
    standings: &Arc<Standings>,
    channel: &Channel,
    name: &str,
) -> Result<Arc<Standing>, Status> {
    standings.open(&channel.user(), name).map_err(|error| {
        if matches!(error, StandingError::Full) {
            tracing::warn!(user = %channel.user().name, link = name, "a link is refused: {error}");
            return reply::TOO_MANY;
        }
        tracing::error!(
            user = %channel.user().name,
            link = name,
            "what waits for the link cannot be kept: {}",
            with_causes(&error)
        );
        reply::INTERNAL
    })
}

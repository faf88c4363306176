//! Events from the far end: as they come, or asked for where it knows no receive loop.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::RemoteError;
use super::connection::Connection;
use super::link::Link;
use super::numbered;
use crate::event::text::{Defaults, parse};
use crate::event::{Event, FilterPair, Guid};
use crate::os::now;

/// A far end in the receive loop says something every two seconds.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// When to try again what found no room.
const AGAIN: Duration = Duration::from_millis(100);
/// How often a far end without a receive loop is asked.
const POLL: Duration = Duration::from_secs(1);
/// Events that are asked for at a time.
const RETRIEVE: u16 = 64;
/// Lines that are looked at before others have their turn.
const BATCH: usize = 256;

/// Events that found no room yet, in order.
pub(super) type Inbox = VecDeque<Event>;

/// Takes what comes for as long as the connection stands.
pub(super) async fn receive(
    link: &Link,
    connection: &mut Connection,
    inbox: &mut Inbox,
) -> Result<Infallible, RemoteError> {
    set_filter(link, connection).await?;
    if link.config().cipher.is_none()
        && let Some(queue) = numbered::listen(link, connection).await?
    {
        return numbered::receive(link, connection, queue).await;
    }
    let reply = connection.ask(&["RCVLOOP"]).await?;
    if !reply.ok {
        tracing::info!(
            link = link.config().name,
            "the far end has no receive loop ({}), so it is asked for events",
            reply.status
        );
        loop {
            retrieve(link, connection, inbox).await?;
            sleep(POLL).await;
        }
    }
    let mut silent = Instant::now() + SILENCE;
    loop {
        let room = inbox.len() < link.config().max_in_queue;
        tokio::select! {
            // A far end that we do not listen to is not silent.
            line = timeout_at(silent, connection.line(SILENCE)), if room => {
                let line = line.unwrap_or(Err(RemoteError::Silent(SILENCE)))?;
                take(link, &line, inbox)?;
                let mut more = BATCH;
                while more > 0
                    && inbox.len() < link.config().max_in_queue
                    && let Some(line) = connection.ready()?
                {
                    take(link, &line, inbox)?;
                    more -= 1;
                }
                tokio::task::yield_now().await;
            }
            () = sleep(AGAIN), if !inbox.is_empty() => put(link, inbox),
        }
        if room {
            silent = Instant::now() + SILENCE;
        }
    }
}

/// Fetches all that is there.
pub(super) async fn retrieve(
    link: &Link,
    connection: &mut Connection,
    inbox: &mut Inbox,
) -> Result<(), RemoteError> {
    loop {
        put(link, inbox);
        if inbox.len() >= link.config().max_in_queue {
            // It waits at the far end as well as here.
            return Ok(());
        }
        let count = RETRIEVE.to_string();
        let reply = connection.ask(&["RETR", &count]).await?;
        for line in &reply.lines {
            take(link, line, inbox)?;
        }
        if !reply.ok || reply.lines.len() < usize::from(RETRIEVE) {
            return Ok(());
        }
    }
}

/// Tells the far end what is wanted, where not all is. One that does not let us is listened to in
/// full, and what is not wanted is dropped here.
pub(super) async fn set_filter(
    link: &Link,
    connection: &mut Connection,
) -> Result<(), RemoteError> {
    let FilterPair { filter, mask } = link.config().filter_in;
    if link.config().filter_in == FilterPair::default() {
        return Ok(());
    }
    for (command, one) in [("SFLT", filter), ("SMSK", mask)] {
        connection.ask(&[command, &one.to_string()]).await?;
    }
    Ok(())
}

/// A line that the far end sent in its receive loop, or in answer to RETR.
fn take(link: &Link, line: &str, inbox: &mut Inbox) -> Result<(), RemoteError> {
    if line.starts_with("+OK") || line.trim().is_empty() {
        return Ok(());
    }
    if line.starts_with("-OK") {
        return Err(RemoteError::Refused(
            "RCVLOOP",
            line.chars().take(200).collect(),
        ));
    }
    let defaults = Defaults {
        now: now(),
        obid: 0,
        guid: Guid::ZERO,
    };
    match parse(line, &defaults) {
        // In order: whoever comes behind one that waits waits too.
        Ok(event) if !inbox.is_empty() => inbox.push_back(event),
        Ok(event) => {
            if !link.take_in(&event) {
                inbox.push_back(event);
            }
        }
        Err(error) => link.malformed(&error),
    }
    Ok(())
}

/// Hands on what waits, as far as there is room.
fn put(link: &Link, inbox: &mut Inbox) {
    while let Some(event) = inbox.front() {
        if !link.take_in(event) {
            return;
        }
        inbox.pop_front();
    }
    inbox.shrink_to(64);
}

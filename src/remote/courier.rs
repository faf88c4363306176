//! Events to the far end, one by one: each waits for the answer to the one before it, since not all
//! servers understand commands that are sent ahead.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::Instant;

use super::RemoteError;
use super::connection::Connection;
use super::link::Link;
use crate::event::text::{self, TextForm};
use crate::event::{Event, Guid};

/// How often a far end that nothing is sent to is asked whether it is there.
pub(super) const ALIVE: Duration = Duration::from_secs(5);
/// The pauses while the far end has no room.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Interfaces of the far end that are looked at.
const INTERFACES: usize = 1024;
/// And where each has to be asked for by itself.
const ONE_BY_ONE: u16 = 64;
/// What a server says that has no room for an event.
const FULL: &str = "-OK - Buffer Full";

/// Asks the far end who we are there, and which interfaces it has.
pub(super) async fn introduce(link: &Link, connection: &mut Connection) -> Result<(), RemoteError> {
    let id = connection.ask(&["CHID"]).await?;
    let id = last(id.ok, &id.lines).and_then(|line| line.parse().ok());
    let guid = connection.ask(&["GGID"]).await?;
    let guid: Option<Guid> = last(guid.ok, &guid.lines).and_then(|line| line.parse().ok());
    link.introduced(id, guid);
    if link.config().direction.outward {
        learn_interfaces(link, connection).await?;
    }
    Ok(())
}

/// Asks the far end which interfaces it has, where it tells us: events for nodes behind them are
/// this link's to carry.
pub(super) async fn learn_interfaces(
    link: &Link,
    connection: &mut Connection,
) -> Result<(), RemoteError> {
    if !connection.is_binary() {
        let list = connection.ask(&["INTERFACE", "LIST"]).await?;
        for row in list.lines.iter().filter(|_| list.ok).take(INTERFACES) {
            learn_row(link, row);
        }
        return Ok(());
    }
    // In frames they come one by one.
    let count = connection.ask(&["INTERFACE"]).await?;
    let count = last(count.ok, &count.lines).and_then(|line| line.parse().ok());
    for at in 0..count.unwrap_or(0).min(ONE_BY_ONE) {
        let row = connection.ask(&["INTERFACE", &at.to_string()]).await?;
        match last(row.ok, &row.lines) {
            Some(row) => learn_row(link, row),
            // Somebody has gone meanwhile.
            None => break,
        }
    }
    Ok(())
}

/// `id,type,GUID,name`.
fn learn_row(link: &Link, row: &str) {
    if let Some(Ok(guid)) = row.split(',').nth(2).map(|text| text.trim().parse()) {
        link.interface(&guid);
    }
}

fn last(ok: bool, lines: &[String]) -> Option<&str> {
    lines.last().filter(|_| ok).map(|line| line.trim())
}

/// Sends what waits, and what comes, for as long as the connection stands.
pub(super) async fn carry(
    link: &Link,
    connection: &mut Connection,
    form: TextForm,
) -> Result<Infallible, RemoteError> {
    loop {
        while send_next(link, connection, form).await? {}
        tokio::select! {
            () = link.backlog().arrived_after(0) => {}
            // Nothing was asked: whatever it is, it is nothing for us. But the end is noticed.
            line = connection.line_until(Instant::now() + ALIVE) => {
                if line?.is_none() {
                    connection.ask(&["NOOP"]).await?;
                }
            }
        }
    }
}

/// Sends the next event that waits; false where there is none.
pub(super) async fn send_next(
    link: &Link,
    connection: &mut Connection,
    form: TextForm,
) -> Result<bool, RemoteError> {
    let Some(next) = link.backlog().after(0, 1).pop() else {
        return Ok(false);
    };
    let line = line_of(next.event.event(), form);
    link.sending(&next);
    let mut pause = FIRST_PAUSE;
    loop {
        let reply = connection.ask(&["SEND", &line]).await?;
        if reply.ok {
            link.sent(&next.event);
        } else if is_full(&reply.status) {
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
            continue;
        } else {
            link.refused(&reply.status);
        }
        link.backlog().acknowledge(next.number);
        return Ok(true);
    }
}

/// True for what a server says that has no room for an event.
pub(super) fn is_full(status: &str) -> bool {
    status.starts_with(FULL)
}

/// An event for the far end, which is to give it the id of our channel there.
fn line_of(event: &Event, form: TextForm) -> String {
    let event = Event {
        obid: 0,
        ..event.clone()
    };
    let mut line = Vec::with_capacity(128 + 5 * event.data.len());
    text::write(&event, form, &mut line);
    String::from_utf8_lossy(&line).into_owned()
}

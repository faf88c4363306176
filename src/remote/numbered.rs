//! A link to a driver of this kind: events have numbers, each end says how far it has heard the
//! other, and what was not acknowledged is sent again and not taken twice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RemoteError;
use super::connection::{Connection, Reply, printable};
use super::courier::{ALIVE, FIRST_PAUSE, LONGEST_PAUSE, is_full};
use super::link::Link;
use super::receiver::SILENCE;
use crate::event::Guid;
use crate::event::text::Defaults;
use crate::net::place;
use crate::os::now;
use crate::wire::link::LINK_VERSION;
use crate::wire::link::numbered::{self, Numbered};

/// Events that may be on their way, not answered yet.
const WINDOW: usize = 512;
/// Events that are put down before they are written.
const BATCH: usize = 128;
/// Events after which the far end is told how far it was heard.
const ACKNOWLEDGE: u64 = 64;
/// And after so long at the latest.
const SOON: Duration = Duration::from_millis(50);
/// Events that may wait for room here.
const MOST_WAITING: usize = 4096;
/// What a driver of this kind says to a user that may not, in text and in frames.
const NO_RIGHT: [&str; 2] = ["-OK - User does not have rights", "-OK - not allowed"];
/// A visit ends when so long, beside the time of an answer, nothing has come.
const QUIET: Duration = Duration::from_millis(200);
/// And when what has come had so long no room, or waits for a copy that does not come.
const HELD: Duration = Duration::from_secs(1);
/// When to try again what found no room.
const AGAIN: Duration = Duration::from_millis(50);

/// Asks the far end how far it has heard this link; `None` where it is of another kind.
pub(super) async fn begin(
    link: &Link,
    connection: &mut Connection,
) -> Result<Option<u64>, RemoteError> {
    let backlog = link.backlog();
    let (queue, first) = (backlog.queue(), backlog.first().unwrap_or(1));
    let (queue, first) = (format!("{queue:016x}"), first.to_string());
    let uplinks = link.hub().uplinks();
    let ours = place::marks(uplinks.iter().filter_map(|uplink| uplink.at()));
    let brokers = ours.join(",");
    let name = &link.far_name();
    let words = ["XLINK", LINK_VERSION, name, &queue, &first, &brokers];
    let reply = connection.ask(&words).await?;
    is_one(link, &reply);
    if reply.ok
        && reply
            .lines
            .first()
            .is_some_and(|theirs| place::meet(&ours, theirs))
    {
        link.hub().shares_a_broker();
    }
    let last = reply.lines.last().filter(|_| reply.ok);
    let last: Option<u64> = last.and_then(|line| line.trim().parse().ok());
    // More than was ever given is not true.
    Ok(last.map(|last| last.min(backlog.last())))
}

/// Notes whether the far end numbers events, by its answer to XLINK or XRCV.
fn is_one(link: &Link, reply: &Reply) {
    let refused = |why: &&str| reply.status.starts_with(why);
    link.numbers(reply.ok && !reply.lines.is_empty());
    if !reply.ok && NO_RIGHT.iter().any(refused) {
        link.may_not_number();
    }
}

/// Sends what waits, and what comes, many at a time. The far end has all up to `last`.
pub(super) async fn carry(
    link: &Link,
    connection: &mut Connection,
    mut last: u64,
) -> Result<Infallible, RemoteError> {
    loop {
        deliver(link, connection, last, None).await?;
        last = link.backlog().last();
    }
}

/// The same for what waits up to one event, and no longer than until the far end has that.
pub(super) async fn deliver(
    link: &Link,
    connection: &mut Connection,
    mut last: u64,
    until: Option<u64>,
) -> Result<(), RemoteError> {
    let mut pause = FIRST_PAUSE;
    loop {
        link.backlog().acknowledge(last);
        if send(link, connection, last, until, &mut pause).await? {
            return Ok(());
        }
        // It had no room for one, and takes none behind it until it is asked where to go on.
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
        last = begin(link, connection)
            .await?
            .ok_or_else(|| RemoteError::Refused("XLINK", "once, and not again".to_owned()))?;
    }
}

/// Sends from one event on; ends with false where the far end has no room, and with true where it
/// has what was to be sent.
async fn send(
    link: &Link,
    connection: &mut Connection,
    last: u64,
    until: Option<u64>,
    pause: &mut Duration,
) -> Result<bool, RemoteError> {
    let mut cursor = last;
    let mut under_way: VecDeque<Option<crate::backlog::Numbered>> = VecDeque::new();
    let mut full = false;
    // When the far end has to have answered something.
    let mut due = None;
    loop {
        if full && under_way.is_empty() {
            return Ok(false);
        }
        if !full && under_way.len() < WINDOW {
            let due =
                |one: &crate::backlog::Numbered| until.is_none_or(|until| one.number <= until);
            let next = link.backlog().after(cursor, BATCH);
            for one in next.into_iter().take_while(due) {
                let tag = one.event.tag().unwrap_or_else(|| link.hub().new_tag());
                connection.put_event(one.number, tag, one.event.event())?;
                link.sending_numbered(one.number);
                cursor = one.number;
                under_way.push_back(Some(one));
            }
        }
        if under_way.is_empty() && until.is_some() {
            return Ok(true);
        }
        if under_way.is_empty() {
            due = None;
        } else {
            due.get_or_insert_with(|| Instant::now() + connection.patience());
        }
        let silent = due.unwrap_or_else(|| Instant::now() + ALIVE);
        let room = !full && under_way.len() < WINDOW;
        let said = tokio::select! {
            biased;
            said = connection.line_until(silent) => said,
            () = link.backlog().arrived_after(cursor), if room && until.is_none() => continue,
        };
        let said = match said? {
            Some(said) => said,
            None if under_way.is_empty() => {
                connection.put(&["NOOP"])?;
                under_way.push_back(None);
                continue;
            }
            None => return Err(RemoteError::Silent(connection.patience())),
        };
        let ok = said.starts_with("+OK");
        if !ok && !said.starts_with("-OK") {
            // It belongs to no answer.
            continue;
        }
        due = None;
        match under_way.pop_front() {
            Some(Some(one)) if ok && !full => {
                *pause = FIRST_PAUSE;
                link.sent(&one.event);
                link.backlog().acknowledge(one.number);
            }
            Some(Some(_)) if is_full(&said) => full = true,
            // What comes behind one that had no room.
            Some(Some(_)) if full => {}
            Some(Some(one)) => {
                link.refused(&printable(&said));
                link.backlog().acknowledge(one.number);
            }
            Some(None) | None => {}
        }
    }
}

/// Asks the far end for what waits there for this link; `None` where it is of another kind.
pub(super) async fn listen(
    link: &Link,
    connection: &mut Connection,
) -> Result<Option<u64>, RemoteError> {
    // That it was heard is said when it is safe.
    if !link.hub().secured().await {
        return Err(RemoteError::Unsafe);
    }
    let (queue, last) = link.backlog().heard_last();
    let (queue, last) = (format!("{queue:016x}"), last.to_string());
    let words = ["XRCV", LINK_VERSION, &link.far_name(), &queue, &last];
    let reply = connection.ask(&words).await?;
    is_one(link, &reply);
    let queue = reply.lines.last().filter(|_| reply.ok);
    Ok(queue.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()))
}

/// Takes what comes, each once, for as long as the connection stands.
pub(super) async fn receive(
    link: &Link,
    connection: &mut Connection,
    queue: u64,
) -> Result<Infallible, RemoteError> {
    loop {
        take(link, connection, queue, None).await?;
    }
}

/// Takes what waits, each once, where there is such a queue; what had no room waits on. False where
/// the far end is of another kind.
pub(super) async fn fetch(link: &Link, connection: &mut Connection) -> Result<bool, RemoteError> {
    let asked = Instant::now();
    let Some(queue) = listen(link, connection).await? else {
        return Ok(false);
    };
    let quiet = QUIET + 2 * asked.elapsed();
    take(link, connection, queue, Some(quiet)).await?;
    Ok(true)
}

/// Until for a time nothing has come.
async fn take(
    link: &Link,
    connection: &mut Connection,
    queue: u64,
    quiet: Option<Duration>,
) -> Result<(), RemoteError> {
    // No more than the far end's window, as it waits for us to say that we have them.
    let mut inbox: VecDeque<Numbered> = VecDeque::new();
    let mut taken = link.backlog().heard(queue);
    let mut told = taken;
    let mut tell_at: Option<Instant> = None;
    let mut silent = Instant::now() + SILENCE;
    let mut news = Instant::now();
    loop {
        let held = if inbox.is_empty() {
            Duration::ZERO
        } else {
            HELD
        };
        let ends = quiet.map(|quiet| news + quiet.max(held));
        let mut done = false;
        // More than its window a far end has no reason to send.
        let most = MOST_WAITING.min(link.config().max_in_queue);
        let room = inbox.len() < most;
        tokio::select! {
            line = connection.line_until(silent), if room => {
                let line = line?.ok_or(RemoteError::Silent(SILENCE))?;
                silent = Instant::now() + SILENCE;
                let before = inbox.len();
                hear(link, &line, &mut inbox)?;
                while inbox.len() < most
                    && let Some(line) = connection.ready()?
                {
                    hear(link, &line, &mut inbox)?;
                }
                if inbox.len() > before {
                    news = Instant::now();
                }
            }
            () = moment(tell_at) => {}
            () = moment(ends) => done = true,
            () = sleep(AGAIN), if !inbox.is_empty() => {}
        }
        if !room {
            // A far end that we do not listen to is not silent.
            silent = Instant::now() + SILENCE;
        }
        while let Some(Numbered { number, tag, event }) = inbox.front() {
            let number = *number;
            if number > taken {
                if !link.take_numbered(*tag, event) {
                    break;
                }
                taken = number;
                link.backlog().hear(queue, taken);
                news = Instant::now();
            }
            inbox.pop_front();
        }
        if taken > told && tell_at.is_none() {
            tell_at = Some(Instant::now() + SOON);
        }
        let now = done || tell_at.is_some_and(|at| at <= Instant::now());
        if taken > told && (taken - told >= ACKNOWLEDGE || now) {
            if link.hub().secured().await {
                link.backlog().note_heard();
                connection.put(&["XACK", &taken.to_string()])?;
                told = taken;
                tell_at = None;
            } else if done {
                // It comes again.
                return Err(RemoteError::Unsafe);
            } else {
                tell_at = Some(Instant::now() + SOON);
            }
        }
        if done && told == taken {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// Returns at a time; never without one.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A line of the far end's: an event, or that it lives.
fn hear(link: &Link, line: &str, inbox: &mut VecDeque<Numbered>) -> Result<(), RemoteError> {
    if line.starts_with("+OK") || line.is_empty() {
        return Ok(());
    }
    if line.starts_with("-OK") {
        return Err(RemoteError::Refused("XRCV", printable(line)));
    }
    let defaults = Defaults {
        now: now(),
        obid: 0,
        guid: Guid::ZERO,
    };
    match numbered::read(line, &defaults) {
        Ok(event) => inbox.push_back(event),
        Err(error) => link.malformed(&error),
    }
    Ok(())
}

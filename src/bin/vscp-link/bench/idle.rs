//! Clients that log in and stay: what each of them costs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ground::Ground;
use super::process::Usage;
use super::progress::{Progress, Step};
use super::report::Clients;
use super::wire::{BenchError, Link};
use crate::client::ClientError;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);
/// What has just come settles for so long before the share of a core is measured.
const SETTLE: Duration = Duration::from_millis(500);
/// Bytes that are read at once, and not looked at.
const CHUNK: usize = 256;

/// What came of it.
pub(super) struct Outcome {
    pub(super) clients: Clients,
    pub(super) ended: &'static str,
    pub(super) trouble: Option<BenchError>,
    /// The process when all clients were there, and at the end.
    pub(super) usage: Option<(Usage, Usage)>,
}

/// Opens the clients, and looks what they take for so long.
pub(super) async fn run(
    ground: &Rc<Ground>,
    wanted: u32,
    rcvloop: bool,
    duration: Duration,
    pid: Option<u32>,
    progress: &mut Progress,
) -> Outcome {
    let (open, closed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    // Why one of them is not in the receive loop.
    let outside = Rc::new(RefCell::new(None));
    let mut clients = JoinSet::new();
    let each = |link: Link, _| {
        let (open, closed) = (Rc::clone(&open), Rc::clone(&closed));
        let outside = Rc::clone(&outside);
        open.set(open.get() + 1);
        clients.spawn_local(async move {
            match stay(link, rcvloop).await {
                Ok(()) => closed.set(closed.get() + 1),
                Err(error) => drop(outside.borrow_mut().get_or_insert(error)),
            }
        });
    };
    let opened = ground.links(wanted as usize, each, progress).await;
    let mut trouble = opened.err();
    let mut usage = None;
    if trouble.is_none() && !ground.interrupt.is_cancelled() {
        sleep(SETTLE.min(duration)).await;
        let before = Usage::look(pid);
        let start = Instant::now();
        // When all have gone there is nothing to wait for.
        while start.elapsed() < duration
            && closed.get() < open.get()
            && outside.borrow().is_none()
            && !ground.interrupt.is_cancelled()
        {
            progress.show(Step {
                what: "clients",
                done: u64::from(open.get()),
                of: Some(u64::from(wanted)),
                time: start.elapsed().as_secs_f64() / duration.as_secs_f64(),
            });
            tokio::select! {
                () = sleep(LOOK) => {}
                () = ground.interrupt.cancelled() => {}
            }
        }
        let after = Usage::look(pid);
        usage = before.zip(after);
    }
    progress.clear();
    trouble = trouble.or_else(|| outside.take().map(BenchError::from));
    let ended = match () {
        () if ground.interrupt.is_cancelled() => "interrupted",
        () if trouble.is_some() => "trouble",
        () => "seconds",
    };
    Outcome {
        clients: Clients {
            wanted,
            open: open.get(),
            closed: closed.get(),
        },
        ended,
        trouble,
        usage,
    }
}

/// Until the server ends it.
///
/// # Errors
/// Where the client does not get into the receive loop, though the connection stands.
async fn stay(mut link: Link, rcvloop: bool) -> Result<(), ClientError> {
    if rcvloop {
        match link.demand("RCVLOOP").await {
            Err(ClientError::Closed | ClientError::Io(_)) => return Ok(()),
            entered => entered?,
        }
    }
    let mut chunk = [0; CHUNK];
    while link
        .wire
        .read(&mut chunk)
        .await
        .is_ok_and(|count| count > 0)
    {}
    Ok(())
}

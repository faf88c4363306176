//! Links to other servers: this driver as a client of theirs.
//!
//! A link is a channel of the hub, as any client's session is: it has an id, a filter and a bounded
//! queue, what comes from the far end goes to the uplinks, and what comes from the uplinks goes to
//! the far end. It keeps its own events from coming back.
//!
//! | module | what |
//! |---|---|
//! | `link` | a link as the driver sees it: what it takes and gives, how it is |
//! | `store` | what of a link goes on when its configuration is another: its channel, what waits |
//! | `connection` | one connection: bytes to lines, commands and their answers, logins |
//! | `intake` | what comes from the far end: is it ours, is it wanted? |
//! | `worker` | the task of a link, by its mode |
//! | `courier` | events to the far end, one by one |
//! | `receiver` | events from the far end, as they come or asked for |
//! | `numbered` | both, to and from a driver of this kind: numbered, so that none is lost or comes twice |

mod connection;
mod courier;
mod intake;
mod link;
mod numbered;
mod receiver;
mod store;
mod worker;

use std::io;
use std::time::Duration;

use thiserror::Error;

pub use link::{Disk, Link, Unsent};

use crate::auth::RandomError;
use crate::backlog::spool::SpoolError;
use crate::hub::AttachError;
use crate::net::stream::StreamError;
use crate::net::tls::TlsError;
use crate::wire::link::frames::FrameError;

/// A link that cannot be made.
#[derive(Debug, Error)]
pub enum LinkError {
    /// A certificate, a key or a suite.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no channel for it.
    #[error("there is no room for the link {0}")]
    Attach(String, #[source] AttachError),
    /// Its folder cannot be used.
    #[error("outbox.path")]
    Spool(#[from] SpoolError),
    /// No number for its queue.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why there is no connection to the far end, or none any more.
#[derive(Debug, Error)]
enum RemoteError {
    #[error("the name cannot be looked up: {0}")]
    Lookup(#[source] io::Error),
    #[error("no connection: {0}")]
    Connect(#[source] StreamError),
    #[error("no connection within {} s", .0.as_secs_f32())]
    Unreachable(Duration),
    #[error("the far end has no room: {0}")]
    Unwelcome(String),
    #[error("the login was refused: {0}")]
    Login(String),
    #[error("{0} was refused: {1}")]
    Refused(&'static str, String),
    #[error("the far end said nothing for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("what came from the far end could not be written to the disk")]
    Unsafe,
    #[error("the far end closed the connection")]
    Closed,
    #[error("the far end sent more than {0} {1} without an end")]
    TooLong(usize, &'static str),
    #[error("the binary mode failed: {0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

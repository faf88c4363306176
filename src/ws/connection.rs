//! One websocket: messages in, messages out, deadlines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::Ends;
use super::held::Held;
use super::perform::{Next, Performer, sid};
use crate::auth::RandomError;
use crate::gate::audit::{self, Refusals};
use crate::hub::{Channel, SharedEvent};
use crate::net::accept::{LINGER, linger};
use crate::net::presence::Presence;
use crate::os::now;
use crate::wire::ws::{Dialect, Request, Session};

/// Bytes of a message from a client: an event has some three thousand.
const MOST_MESSAGE: usize = 32 * 1024;
/// Bytes of messages that are read while a login is checked.
const MOST_WAITING: usize = 8 * 1024;
/// Bytes that are read and written at a time.
const READ: usize = 4 * 1024;
const WRITE: usize = 16 * 1024;
/// Bytes of one message to a client, and what may be before it.
const MOST_WRITE: usize = 256 * 1024;
/// Messages that are answered before the answers are written.
const BATCH: usize = 64;
/// Events that are taken from the queue at a time.
const EVENTS: usize = 256;
/// A client that was silent for so long is asked whether it is there.
const ASK: Duration = Duration::from_secs(60);

/// How long the last word may take when the server stops: whoever stops it waits for that.
const LAST_WORD: Duration = Duration::from_millis(200);

/// Serves one client until it leaves or breaks a limit. `ahead` was read from it already.
pub(super) async fn run<S>(
    stream: S,
    ahead: Bytes,
    dialect: Dialect,
    performer: Performer,
    ends: Ends,
) where
    S: AsyncRead + AsyncWrite + Presence + Sync + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(WRITE)
        .max_write_buffer_size(MOST_WRITE)
        .max_message_size(Some(MOST_MESSAGE))
        .max_frame_size(Some(MOST_MESSAGE));
    let Ok(sid) = sid() else {
        return tracing::error!("{RANDOM}");
    };
    let now = Instant::now();
    let stream = Held::new(stream, ahead);
    let mut connection = Connection {
        socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
        dialect,
        session: Session::new(dialect, Arc::clone(&performer.settings().terms), sid),
        refusals: Refusals::default(),
        waiting: VecDeque::new(),
        out: Vec::new(),
        events: Vec::new(),
        since: now,
        heard: now,
        asked: false,
        changes: performer.changes(),
        performer,
    };
    connection.begin();
    let end = tokio::select! {
        biased;
        () = ends.end.cancelled() => match ends.stop.is_cancelled() {
            true => End::Stopped,
            false => End::Displaced,
        },
        end = connection.dialogue() => match end {
            Ok(never) => match never {},
            Err(end) => end,
        },
    };
    let (peer, user) = (connection.performer.peer(), connection.performer.user());
    connection.refusals.sum_up(peer, &user);
    match &end {
        End::Bad(error) => {
            tracing::info!(client = %peer, user = %audit::Name(&user), reason = %error, "websocket message refused");
        }
        end => tracing::debug!(client = %peer, "the websocket ended: {}", end.reason()),
    }
    let stopped = matches!(end, End::Stopped);
    tokio::select! {
        () = ends.end.cancelled(), if !stopped => {}
        () = connection.take_leave(end) => {}
    }
}

const RANDOM: &str = "the system gave no random numbers";

/// Why a websocket ended.
enum End {
    Gone,
    Slow,
    Silent,
    Ended,
    Unsafe,
    Guessing,
    Displaced,
    Stopped,
    Random,
    Binary,
    Bad(Box<Error>),
}

impl End {
    fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "the client left",
            Self::Slow => "the client did not read for too long",
            Self::Silent => "the client was silent for too long",
            Self::Ended => "it was ended from elsewhere",
            Self::Unsafe => "its events could not be written to the disk",
            Self::Guessing => "too many wrong logins",
            Self::Displaced => "the place was needed",
            Self::Stopped => "the server stops",
            Self::Random => RANDOM,
            Self::Binary => "it sent a binary message",
            Self::Bad(_) => "it broke the rules of websockets",
        }
    }

    /// What the client is told at the end (RFC 6455, section 7.4.1), where it can be.
    fn close(&self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::Gone | Self::Slow | Self::Displaced => return None,
            Self::Stopped => (CloseCode::Away, "the server stops"),
            Self::Silent => (CloseCode::Policy, "silent for too long"),
            Self::Ended => (CloseCode::Policy, "the session was ended"),
            Self::Guessing => (CloseCode::Policy, "too many wrong logins"),
            Self::Unsafe | Self::Random => (CloseCode::Error, ""),
            Self::Binary => (CloseCode::Unsupported, "text is spoken here"),
            Self::Bad(error) => match **error {
                Error::Capacity(_) => (CloseCode::Size, "the message is too long"),
                Error::Utf8(_) => (CloseCode::Invalid, "the message is not UTF-8"),
                Error::Protocol(_) => (CloseCode::Protocol, ""),
                _ => return None,
            },
        })
    }
}

impl From<RandomError> for End {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            // Without a word, or with one, and there was still something to say.
            Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
            ) => Self::Gone,
            error @ (Error::Capacity(_) | Error::Utf8(_) | Error::Protocol(_)) => {
                Self::Bad(Box::new(error))
            }
            _ => Self::Gone,
        }
    }
}

struct Connection<S> {
    /// The end of what comes is held back while answers are not handed over.
    socket: WebSocketStream<Held<S>>,
    dialect: Dialect,
    session: Session,
    refusals: Refusals,
    performer: Performer,
    /// Messages that came while a login was checked.
    waiting: VecDeque<Message>,
    /// Answers that are to be written.
    out: Vec<String>,
    events: Vec<Arc<SharedEvent>>,
    /// When the client said something last; before its login, when it came.
    since: Instant,
    /// When something came last, and whether the client was asked for a sign since.
    heard: Instant,
    asked: bool,
    /// Other rules: a wait may have become shorter.
    changes: watch::Receiver<()>,
}

impl<S: AsyncRead + AsyncWrite + Presence + Sync + Unpin> Connection<S> {
    /// Logs in whom the client's certificate names: its session counts from the first message on.
    fn begin(&mut self) {
        self.performer.log_in_by_certificate(&mut self.session);
    }

    async fn dialogue(&mut self) -> Result<std::convert::Infallible, End> {
        let mut greeting = String::new();
        self.session.greet(&mut greeting);
        self.out.push(greeting);
        loop {
            self.flush().await?;
            self.pass_on().await?;
            self.wait().await?;
            self.answer().await?;
        }
    }

    /// Says the last words, in time.
    async fn take_leave(&mut self, end: End) {
        if matches!(end, End::Gone | End::Bad(_) | End::Binary | End::Silent) {
            // What was asked before is answered, as far as somebody still listens.
            let _ = tokio::time::timeout(LINGER, self.flush()).await;
        }
        // Who comes back at once finds the session gone. The place among `max-clients` is free when
        // the connection is: that is what bounds descriptors.
        self.performer.leave();
        self.socket.get_mut().hold(false);
        let Some((code, reason)) = end.close() else {
            return;
        };
        let farewell = async {
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::from_static(reason),
            };
            self.socket.close(Some(frame)).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            // What was not read would turn the close into a reset.
            linger(self.socket.get_mut()).await?;
            Ok::<_, Error>(())
        };
        let patience = match end {
            End::Stopped => LAST_WORD,
            _ => LINGER,
        };
        let _ = tokio::time::timeout(patience, farewell).await;
    }

    /// Answers what waits and what has come with it.
    async fn answer(&mut self) -> Result<(), End> {
        for _ in 0..BATCH {
            if !self.performer.refresh(&mut self.session) {
                return Err(End::Ended);
            }
            if !self.session.logged_in() && Instant::now() >= self.deadline() {
                return Err(End::Silent);
            }
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => match self.socket.next().now_or_never() {
                    Some(Some(message)) => message?,
                    Some(None) => return Err(End::Gone),
                    None => break,
                },
            };
            self.heard = Instant::now();
            self.asked = false;
            let was_in = self.session.logged_in();
            // Signs of life are no words.
            let words = message.is_text();
            self.take(message).await?;
            if words && self.session.logged_in() || was_in && !self.session.logged_in() {
                self.since = Instant::now();
            }
            if self.performer.is_safe() {
                // Before the next message, which may be the last: nothing is written after that.
                self.feed().await?;
            } else {
                // Answers that have to wait for the disk wait together, and the last message waits
                // for them.
                self.socket.get_mut().hold(!self.out.is_empty());
            }
        }
        Ok(())
    }

    /// Until when the client has to say something, or be logged in, by the limits of now.
    fn deadline(&self) -> Instant {
        let limits = &self.performer.rules().limits;
        self.since + limits.silence(self.session.logged_in())
    }

    async fn take(&mut self, message: Message) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(End::Binary),
            // Pings and closes are answered with the next flush.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                return Ok(());
            }
        };
        let (mut out, mut next) = (String::new(), Next::GoOn);
        let request = self.session.handle(&text, now(), &mut out);
        if let Some((command, code)) = self.session.take_refused() {
            let (peer, user) = (self.performer.peer(), self.performer.user());
            self.refusals.note(peer, &user, command, code.text());
        }
        if let Some(request) = request {
            let login = matches!(request, Request::Login { .. } | Request::NoLogin(_));
            if login && !self.performer.is_safe() {
                // It takes its time, and the client may leave meanwhile.
                self.flush().await?;
            }
            let (session, socket) = (&mut self.session, &mut self.socket);
            next = tokio::select! {
                biased;
                next = self.performer.perform(request, session, &mut out) => next?,
                end = left(socket, &mut self.waiting) => return Err(end),
            };
        }
        if !out.is_empty() {
            self.out.push(out);
        }
        match next {
            Next::GoOn => Ok(()),
            Next::Leave => Err(End::Displaced),
            Next::Close => {
                self.flush().await?;
                Err(End::Guessing)
            }
        }
    }

    /// Writes the events that wait for an open session, a bounded number at a time.
    async fn pass_on(&mut self) -> Result<(), End> {
        if !self.session.is_open() {
            return Ok(());
        }
        let Some(channel) = self.performer.channel().cloned() else {
            return Ok(());
        };
        channel.queue().take(EVENTS, &mut self.events);
        if self.events.is_empty() {
            return Ok(());
        }
        let generation = self.performer.settings().terms.generation;
        let patience = self.performer.rules().limits.response_timeout;
        let (socket, events, dialect) = (&mut self.socket, &self.events, self.dialect);
        let written = async {
            for event in events {
                let message = event.message(dialect, generation);
                // It is made of numbers and names of ours.
                let text = Utf8Bytes::try_from(message).unwrap_or_default();
                socket.feed(Message::Text(text)).await?;
            }
            socket.flush().await
        };
        within(patience, Some(&channel), written).await?;
        self.performer.gate().hub.written(&channel, &self.events);
        self.events.clear();
        Ok(())
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), End> {
        if !self.waiting.is_empty() {
            return Ok(());
        }
        let open = self.session.is_open();
        let channel = self.performer.channel().cloned();
        let ended = ended(channel.as_deref());
        let arrived = async {
            match &channel {
                Some(channel) if open => channel.queue().arrived().await,
                _ => std::future::pending().await,
            }
        };
        let (deadline, limits) = (self.deadline(), &self.performer.rules().limits);
        let sign = match self.asked {
            false => self.heard + ASK,
            true => self.heard + ASK + limits.response_timeout,
        };
        tokio::select! {
            biased;
            () = ended => return Err(End::Ended),
            // Before the messages: they may come without a pause.
            () = tokio::time::sleep_until(deadline), if !open => return Err(End::Silent),
            message = self.socket.next() => match message {
                Some(message) => self.waiting.push_back(message?),
                None => return Err(End::Gone),
            },
            () = arrived => {}
            Ok(()) = self.changes.changed() => {}
            () = tokio::time::sleep_until(sign) => {
                if self.asked {
                    return Err(End::Silent);
                }
                self.asked = true;
                self.socket.feed(Message::Ping(Default::default())).await?;
            }
        }
        Ok(())
    }

    /// Writes what is to be written, all of it, in time.
    async fn flush(&mut self) -> Result<(), End> {
        if !self.performer.secured().await {
            // Answers that say otherwise are not sent: the client has to ask again.
            return Err(End::Unsafe);
        }
        self.feed().await?;
        let patience = patience(&self.performer, &self.session, self.deadline());
        let socket = &mut self.socket;
        let written = async { socket.flush().await };
        within(patience, self.performer.channel(), written).await
    }

    /// Hands over what is to be written; a part of it may be written by that.
    async fn feed(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let patience = patience(&self.performer, &self.session, self.deadline());
        let (socket, out) = (&mut self.socket, &mut self.out);
        let written = async {
            for answer in out.drain(..) {
                socket.feed(Message::from(answer)).await?;
            }
            socket.get_mut().hold(false);
            Ok(())
        };
        within(patience, self.performer.channel(), written).await
    }
}

/// How long the client may take to read.
fn patience(performer: &Performer, session: &Session, deadline: Instant) -> Duration {
    let patience = performer.rules().limits.response_timeout;
    match session.logged_in() {
        true => patience,
        // What can be written at once is written after the deadline too.
        false => patience.min(deadline.saturating_duration_since(Instant::now())),
    }
}

/// Writes, unless the client does not read or somebody wants it gone.
async fn within(
    patience: Duration,
    channel: Option<&Arc<Channel>>,
    written: impl Future<Output = Result<(), Error>>,
) -> Result<(), End> {
    tokio::select! {
        biased;
        written = tokio::time::timeout(patience, written) => match written {
            Ok(written) => Ok(written?),
            Err(_) => {
                if let Some(channel) = channel {
                    tracing::warn!(
                        client = &*channel.peer(),
                        "a client did not read for {patience:?} and is disconnected"
                    );
                }
                Err(End::Slow)
            }
        },
        () = ended(channel.map(Arc::as_ref)) => Err(End::Ended),
    }
}

/// Returns when the client leaves. What it says meanwhile is kept, with what waits already as much
/// as is answered at once.
async fn left<S: AsyncRead + AsyncWrite + Presence + Unpin>(
    socket: &mut WebSocketStream<S>,
    waiting: &mut VecDeque<Message>,
) -> End {
    let mut bytes = waiting.iter().map(Message::len).sum::<usize>();
    while waiting.len() < BATCH && bytes < MOST_WAITING {
        match socket.next().await {
            Some(Ok(message)) => {
                bytes += message.len();
                waiting.push_back(message);
            }
            Some(Err(error)) => return error.into(),
            None => return End::Gone,
        }
    }
    // The rest is left where it is, and whoever leaves has left all the same.
    socket.get_ref().left().await;
    End::Gone
}

/// Returns when somebody wants the client gone; never before its login.
async fn ended(channel: Option<&Channel>) {
    match channel {
        Some(channel) => channel.ended().cancelled().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

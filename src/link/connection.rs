//! One client's connection: bytes in, bytes out, deadlines.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::perform::{Next, Performer};
use super::{Context, Control};
use crate::hub::{Channel, SharedEvent};
use crate::os::now;
use crate::wire::line::LineReader;
use crate::wire::link::{Session, reply};

/// Answers to pipelined commands, and events, are written together up to about this size.
const BATCH: usize = 32 * 1024;
/// Events that are taken from the queue at a time.
const EVENTS: usize = 256;
/// How often the receive loop says that the line is alive (VSCP specification, "RCVLOOP").
const ALIVE_EVERY: Duration = Duration::from_secs(2);

/// How long the last words may take.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Serves one client until it leaves, breaks a limit, or `stop`.
pub(super) async fn run<S>(
    stream: S,
    peer: SocketAddr,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        stream,
        lines: LineReader::default(),
        out: reply::greeting().into_bytes(),
        events: Vec::new(),
        session: Session::new(Arc::clone(&context.variables)),
        performer: Performer::new(Arc::clone(&context), peer),
        alive: tokio::time::interval(ALIVE_EVERY),
        deadline: Instant::now() + context.limits.login_timeout,
        context,
    };
    connection
        .alive
        .set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = tokio::select! {
        () = stop.cancelled() => End::Stopped,
        end = connection.serve() => end,
    };
    tracing::debug!(client = %peer, "the session ended: {}", end.reason());
    if matches!(end, End::Quit) {
        let stream = &mut connection.stream;
        let rest = linger(stream);
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tokio::time::timeout(LINGER, rest) => {}
        }
    }
}

/// Closes so that the last words arrive: bytes that were not read would turn the close into a
/// reset, which loses them.
pub(super) async fn linger<S>(stream: &mut S) -> io::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await
}

/// Why a session ended.
enum End {
    Quit,
    Gone,
    Slow,
    Silent,
    Ended,
    Unsafe,
    Stopped,
}

impl End {
    fn reason(&self) -> &'static str {
        match self {
            Self::Quit => "the session was closed in order",
            Self::Gone => "the client left",
            Self::Slow => "the client did not read for too long",
            Self::Silent => "the client was silent for too long",
            Self::Ended => "it was ended by INTERFACE CLOSE",
            Self::Unsafe => "its events could not be written to the disk",
            Self::Stopped => "the driver stopped serving",
        }
    }
}

struct Connection<S> {
    stream: S,
    lines: LineReader,
    out: Vec<u8>,
    events: Vec<Arc<SharedEvent>>,
    session: Session,
    performer: Performer,
    alive: Interval,
    deadline: Instant,
    context: Arc<Context>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn serve(&mut self) -> End {
        match self.dialogue().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn dialogue(&mut self) -> Result<std::convert::Infallible, End> {
        self.flush().await?;
        loop {
            self.answer().await?;
            // Answers are a write of their own: clients look for events after them only.
            self.flush().await?;
            self.pass_on().await?;
            self.wait().await?;
        }
    }

    /// Answers every whole line that has come.
    async fn answer(&mut self) -> Result<(), End> {
        let was_looping = self.session.looping();
        while let Some(line) = self.lines.next_line(self.session.line_cap()) {
            let Some(request) = self.session.handle(line, now(), &mut self.out) else {
                continue;
            };
            match self
                .performer
                .perform(request, &mut self.session, &mut self.out)
                .await
            {
                Next::GoOn => {}
                Next::More => {
                    while self.performer.more(&mut self.out) {
                        self.flush().await?;
                    }
                }
                Next::Close => {
                    self.flush().await?;
                    return Err(End::Quit);
                }
                Next::Tell(control) => {
                    self.flush().await?;
                    self.tell(control).await;
                }
            }
            if self.out.len() >= BATCH {
                self.flush().await?;
            }
        }
        if self.session.looping() && !was_looping {
            self.alive.reset();
        }
        if self.session.logged_in() {
            self.deadline = Instant::now() + self.context.limits.idle_timeout;
        }
        Ok(())
    }

    async fn tell(&self, control: Control) {
        // Where nobody listens any more, the driver is stopping already.
        let _ = self.context.control.send(control).await;
    }

    /// In the receive loop, writes the events that wait, a bounded number at a time.
    async fn pass_on(&mut self) -> Result<(), End> {
        let Some(channel) = self.performer.channel() else {
            return Ok(());
        };
        if !self.session.looping() {
            return Ok(());
        }
        channel.queue().take(EVENTS, &mut self.events);
        for event in &self.events {
            self.out
                .extend_from_slice(&event.line(self.context.event_format));
        }
        if !self.events.is_empty() {
            let channel = Arc::clone(channel);
            self.flush().await?;
            channel.transmitted(&self.events);
            self.events.clear();
        }
        Ok(())
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), End> {
        let looping = self.session.looping();
        let channel = self.performer.channel().cloned();
        let ended = ended(channel.clone());
        let arrived = async {
            match &channel {
                Some(channel) if looping => channel.queue().arrived().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ended => return Err(End::Ended),
            read = self.stream.read_buf(self.lines.room()) => match read {
                Ok(0) | Err(_) => return Err(End::Gone),
                Ok(count) => self.lines.filled(count),
            },
            () = arrived => {}
            _ = self.alive.tick(), if looping => self.out.extend_from_slice(reply::ALIVE.as_bytes()),
            () = tokio::time::sleep_until(self.deadline), if !looping => return Err(End::Silent),
        }
        Ok(())
    }

    /// Writes what is to be written, all of it, before the deadline.
    async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        if !self.performer.secured().await {
            // Answers that say otherwise are not sent: the client has to ask again.
            return Err(End::Unsafe);
        }
        let patience = self.context.limits.response_timeout;
        let ended = ended(self.performer.channel().cloned());
        let written = tokio::select! {
            biased;
            written = tokio::time::timeout(patience, self.stream.write_all(&self.out)) => written,
            () = ended => return Err(End::Ended),
        };
        self.out.clear();
        self.out.shrink_to(2 * BATCH);
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                tracing::warn!(
                    client = %self.performer.peer(),
                    "a client did not read for {patience:?} and is disconnected"
                );
                Err(End::Slow)
            }
        }
    }
}

/// Returns when somebody wants the client gone; never before its login.
async fn ended(channel: Option<Arc<Channel>>) {
    match channel {
        Some(channel) => channel.ended().cancelled().await,
        None => std::future::pending().await,
    }
}

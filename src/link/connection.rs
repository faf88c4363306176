//! One client's connection: bytes in, bytes out, deadlines.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::perform::{Next, Performer};
use super::{Context, Control};
use crate::gate::audit::{self, Refusals};
use crate::gate::{Beneath, Seat};
use crate::hub::{Channel, SharedEvent};
use crate::net::accept::{LINGER, linger};
use crate::net::presence::{Left, Presence};
use crate::os::now;
use crate::wire::binary::BadFrame;
use crate::wire::link::{LINE_BEFORE_LOGIN, Request, Session, reply, session};

/// Answers to pipelined commands, and events, are written together up to about this size.
const BATCH: usize = 32 * 1024;
/// Events that are taken from the queue at a time.
const EVENTS: usize = 256;
/// How often the receive loop says that the line is alive (VSCP specification, "RCVLOOP").
const ALIVE_EVERY: Duration = Duration::from_secs(2);

/// How long the answer to a login is worked on for somebody who says nothing more: long enough
/// for a check and the wait after it, where there is no crowd.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Serves one client until it leaves, breaks a limit, or `stop`.
pub(super) async fn run<S>(
    stream: S,
    peer: SocketAddr,
    beneath: Beneath,
    context: Arc<Context>,
    stop: CancellationToken,
    seat: Option<Seat>,
) where
    S: AsyncRead + AsyncWrite + Presence + Unpin,
{
    let terms = Arc::clone(&context.settings().terms);
    let changes = context.gate.changes();
    let mut connection = Connection {
        stream,
        input: Input::default(),
        out: reply::greeting().into_bytes(),
        events: Vec::new(),
        session: Session::new(terms, beneath.is_secure()),
        refusals: Refusals::default(),
        performer: Performer::new(Arc::clone(&context), peer, seat),
        alive: tokio::time::interval(ALIVE_EVERY),
        since: Instant::now(),
        spoke: false,
        begun: None,
        changes,
        context,
    };
    if let Beneath::Tls(Some(name)) = &beneath {
        connection
            .performer
            .log_in_as(name, &mut connection.session);
    }
    connection
        .alive
        .set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = tokio::select! {
        () = stop.cancelled() => End::Stopped,
        end = connection.serve() => end,
    };
    let user = connection.performer.user();
    match &end {
        End::Bad(bad) => audit::frame_refused(peer, &user, bad),
        End::Unfinished => audit::frame_refused(peer, &user, &end.reason()),
        end => tracing::debug!(client = %peer, "the session ended: {}", end.reason()),
    }
    // The place among `max-clients` is free when the connection is: that is what bounds descriptors.
    connection.leave();
    if matches!(end, End::Quit) {
        let stream = &mut connection.stream;
        let rest = linger(stream);
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tokio::time::timeout(LINGER, rest) => {}
        }
    }
}

/// Why a session ended.
enum End {
    Quit,
    Gone,
    Slow,
    Silent,
    Ended,
    Unsafe,
    Unfinished,
    Random,
    Bad(BadFrame),
    Stopped,
}

impl End {
    fn reason(&self) -> &'static str {
        match self {
            Self::Quit => "the session was closed in order",
            Self::Gone => "the client left",
            Self::Slow => "the client did not read for too long",
            Self::Silent => "the client was silent for too long",
            Self::Ended => "it was ended from elsewhere",
            Self::Unsafe => "its events could not be written to the disk",
            Self::Unfinished => "the rest of it did not come within response-timeout",
            Self::Random => "the system gave no random numbers",
            Self::Bad(_) => "it sent a frame that is none",
            Self::Stopped => "the driver stopped serving, or needed the place",
        }
    }
}

struct Connection<S> {
    stream: S,
    input: Input,
    out: Vec<u8>,
    events: Vec<Arc<SharedEvent>>,
    session: Session,
    refusals: Refusals,
    performer: Performer,
    alive: Interval,
    /// When the client said something last; before its login, when it came.
    since: Instant,
    /// It has said something since that was looked at.
    spoke: bool,
    /// Until when the rest of a frame has to be here.
    begun: Option<Instant>,
    /// Other rules: a wait may have become shorter.
    changes: watch::Receiver<()>,
    context: Arc<Context>,
}

impl<S: AsyncRead + AsyncWrite + Presence + Unpin> Connection<S> {
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

    /// Answers every whole line, or frame, that has come.
    async fn answer(&mut self) -> Result<(), End> {
        let was_looping = self.session.looping();
        loop {
            if !self.performer.refresh(&mut self.session) {
                return Err(End::Ended);
            }
            // Whoever has answered: there may be thousands of lines, each with a long answer.
            if self.out.len() >= BATCH {
                self.flush().await?;
            }
            // Lines that came together count as well: their answers may be read slowly.
            if !self.session.logged_in() && Instant::now() >= self.deadline() {
                return Err(End::Silent);
            }
            let Some(request) = self.next_request()? else {
                break;
            };
            if let Some((command, status)) = self.session.take_refused() {
                let (peer, user) = (self.performer.peer(), self.performer.user());
                self.refusals.note(peer, &user, command, status.text());
            }
            if let Some(request) = request {
                self.perform(request).await?;
            }
            if self.session.broken() {
                return Err(End::Random);
            }
        }
        if self.session.looping() && !was_looping {
            self.alive.reset();
        }
        if std::mem::take(&mut self.spoke) && self.session.logged_in() {
            self.since = Instant::now();
        }
        let limits = &self.performer.rules().limits;
        self.begun = match self.session.binary() {
            Some(_) if self.input.ahead() > 0 => self
                .begun
                .or_else(|| Some(Instant::now() + limits.response_timeout)),
            _ => None,
        };
        Ok(())
    }

    /// Until when the client has to say something, or be logged in, by the limits of now.
    fn deadline(&self) -> Instant {
        let limits = &self.performer.rules().limits;
        self.since + limits.silence(self.session.logged_in())
    }

    /// Takes the next line or frame; `Some(None)` where it is answered already.
    fn next_request(&mut self) -> Result<Option<Option<Request>>, End> {
        let (session, out) = (&mut self.session, &mut self.out);
        let Some(cipher) = session.binary() else {
            let Some(line) = self.input.line(session.line_cap()) else {
                return Ok(None);
            };
            let request = session.handle(line, now(), out);
            self.input.set_binary(session.binary().is_some());
            return Ok(Some(request));
        };
        let Some((frame, mark)) = self.input.frame(cipher).map_err(End::Bad)? else {
            return Ok(None);
        };
        if !self.context.is_new(&mark, session::is_login(&frame)) {
            return Err(End::Bad(BadFrame::Replayed));
        }
        self.begun = None;
        let request = session.handle_frame(frame, now(), out).map_err(End::Bad)?;
        self.input.set_binary(session.binary().is_some());
        Ok(Some(request))
    }

    async fn perform(&mut self, request: Request) -> Result<(), End> {
        let waits = matches!(request, Request::Login { .. });
        let (session, out) = (&mut self.session, &mut self.out);
        let next = tokio::select! {
            biased;
            next = self.performer.perform(request, session, out) => next,
            () = broken(&mut self.stream, &mut self.input), if waits => return Err(End::Gone),
        };
        match next {
            Next::GoOn => {}
            Next::More => {
                while self.performer.more(&mut self.session, &mut self.out) {
                    self.flush().await?;
                    // It may take long, and the client may lose its rights meanwhile.
                    if !self.performer.refresh(&mut self.session) {
                        return Err(End::Ended);
                    }
                }
            }
            Next::Close => {
                // Who reads the answer and comes back at once finds the session gone.
                self.leave();
                self.flush().await?;
                return Err(End::Quit);
            }
            Next::Tell(control) => {
                self.flush().await?;
                self.tell(control).await;
            }
        }
        Ok(())
    }

    /// Logs out; a second time there is nobody any more.
    fn leave(&mut self) {
        let refusals = std::mem::take(&mut self.refusals);
        refusals.sum_up(self.performer.peer(), &self.performer.user());
        self.performer.log_out();
    }

    async fn tell(&self, control: Control) {
        // Where nobody listens any more, the driver is stopping already.
        let _ = self.context.control.send(control).await;
    }

    /// In the receive loop, writes the events that wait, a bounded number at a time.
    async fn pass_on(&mut self) -> Result<(), End> {
        if self.receives_link() {
            return self.pass_on_linked().await;
        }
        let Some(channel) = self.performer.channel() else {
            return Ok(());
        };
        if !self.session.looping() {
            return Ok(());
        }
        channel.queue().take(EVENTS, &mut self.events);
        let form = self.performer.settings().event_format;
        for event in &self.events {
            match self.session.binary() {
                None => self.out.extend_from_slice(&event.line(form)),
                Some(_) => self.session.say_event(event.event(), false, &mut self.out),
            }
        }
        if !self.events.is_empty() {
            let channel = Arc::clone(channel);
            self.flush().await?;
            self.context.gate.hub.written(&channel, &self.events);
            self.events.clear();
        }
        Ok(())
    }

    /// True where what waits for a link is written.
    fn receives_link(&mut self) -> bool {
        self.performer.linked().receives() && self.session.receives_link()
    }

    /// The same to a link of another driver's.
    async fn pass_on_linked(&mut self) -> Result<(), End> {
        let (session, out) = (&mut self.session, &mut self.out);
        let events = self.performer.linked().write(session, out);
        if let Some(channel) = self.performer.channel().filter(|_| !events.is_empty()) {
            let channel = Arc::clone(channel);
            self.flush().await?;
            let events: Vec<_> = events.into_iter().map(|one| one.event).collect();
            channel.transmitted(&events);
        }
        Ok(())
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), End> {
        let looping = self.session.looping();
        let receives = self.receives_link();
        let deadline = self.deadline();
        let settles = self.input.settles_at();
        let channel = self.performer.channel().cloned();
        let ended = ended(channel.clone());
        let linked = self.performer.linked();
        let (superseded, waiting) = (linked.superseded(), linked.arrived());
        let arrived = async {
            match &channel {
                _ if receives => waiting.await,
                Some(channel) if looping => channel.queue().arrived().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ended => return Err(End::Ended),
            () = superseded => return Err(End::Ended),
            // Before the bytes: they may come without a pause.
            () = tokio::time::sleep_until(deadline), if !looping => return Err(End::Silent),
            () = expired(self.begun) => return Err(End::Unfinished),
            read = self.stream.read_buf(self.input.room()) => match read {
                Ok(0) | Err(_) => return Err(End::Gone),
                Ok(count) => {
                    self.spoke = true;
                    self.input.filled(count);
                }
            },
            () = expired(settles) => self.input.settle(),
            () = arrived => {}
            Ok(()) = self.changes.changed() => {}
            _ = self.alive.tick(), if looping => self.session.say_alive(&mut self.out),
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
        // Before anybody can send them back.
        self.context.sent(self.session.take_marks());
        let mut patience = self.performer.rules().limits.response_timeout;
        if !self.session.logged_in() {
            // What can be written at once is written after the deadline too.
            patience = patience.min(self.deadline().saturating_duration_since(Instant::now()));
        }
        let ended = ended(self.performer.channel().cloned());
        let written = tokio::select! {
            biased;
            written = tokio::time::timeout(patience, write(&mut self.stream, &self.out)) => written,
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

/// Writes all of it. TLS may keep the end to itself until it is asked for it.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Returns at a deadline, where there is one.
async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Returns when the connection breaks, or some time after its other side has ended it: that may be
/// somebody who has said the last word and waits for the answer, or somebody who has left. What
/// comes meanwhile is kept, as much as a line may be.
async fn broken<S: AsyncRead + Presence + Unpin>(stream: &mut S, input: &mut Input) {
    while input.ahead() < LINE_BEFORE_LOGIN {
        match stream.read_buf(input.room()).await {
            Ok(0) => return tokio::time::sleep(LAST_WORD).await,
            Ok(count) => input.filled(count),
            Err(_) => return,
        }
    }
    // The rest is left where it is, and whoever leaves has left all the same.
    if stream.left().await == Left::Ended {
        tokio::time::sleep(LAST_WORD).await;
    }
}

/// Returns when somebody wants the client gone; never before its login.
async fn ended(channel: Option<Arc<Channel>>) {
    match channel {
        Some(channel) => channel.ended().cancelled().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn who_leaves_during_a_check_has_left_however_much_it_has_said() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for resets in [true, false] {
            let near = TcpStream::connect(listener.local_addr().unwrap());
            let (near, far) = tokio::join!(near, listener.accept());
            let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
            let mut input = Input::default();
            near.write_all(&[b'\n'; 4 * LINE_BEFORE_LOGIN])
                .await
                .unwrap();
            let stays = Duration::from_millis(300);
            let stays = tokio::time::timeout(stays, broken(&mut far, &mut input)).await;
            assert!(stays.is_err());
            assert!(input.ahead() >= LINE_BEFORE_LOGIN);
            let start = Instant::now();
            if resets {
                let socket = socket2::SockRef::from(&near);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(near);
            let left = broken(&mut far, &mut input);
            let left = tokio::time::timeout(Duration::from_secs(30), left).await;
            assert!(left.is_ok(), "{resets}");
            // Somebody may have said the last word and wait for the answer.
            assert!(resets || start.elapsed() >= LAST_WORD);
        }
    }
}

//! What a session asks for, done: logins, events, queues, and what is known of the driver.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::linked::Linked;
use super::{Context, Control, Settings};
use crate::auth::Service;
use crate::event::EventTime;
use crate::gate::audit;
use crate::gate::{LoginError, Rules, Seat, Visitor};
use crate::hub::{Channel, Kind, SharedEvent, SubmitError};
use crate::net::place;
use crate::os::now;
use crate::wire::link::reply::{self, InterfaceKind, InterfaceRow};
use crate::wire::link::{Answer, Identity, Request, Session, Statistics, Which};

/// A reply of RETR that is longer than this is written in parts.
const PART: usize = 256 * 1024;

/// What is to be done after a request.
pub(super) enum Next {
    /// The next line.
    GoOn,
    /// Write, then call [`Performer::more`] until it has no more.
    More,
    /// Write and close.
    Close,
    /// Write, then tell the driver.
    Tell(Control),
}

/// Does what one client's session asks for.
pub(super) struct Performer {
    context: Arc<Context>,
    visitor: Visitor,
    /// What holds for this session now.
    rules: Arc<Rules>,
    settings: Arc<Settings>,
    version: u64,
    /// What [`Channel::changes`] was when the session got its user.
    changes: u64,
    /// Events of a RETR that are not printed yet, and whether all that were asked for came, or
    /// any at all.
    retrieved: Vec<Arc<SharedEvent>>,
    complete: bool,
    some: bool,
    /// Events were taken that may not be safe yet.
    unsecured: bool,
    /// What it is to a link of another driver's.
    linked: Linked,
}

impl Performer {
    pub(super) fn new(context: Arc<Context>, peer: SocketAddr, seat: Option<Seat>) -> Self {
        let gate = Arc::clone(&context.gate);
        Self {
            version: gate.version(),
            changes: 0,
            rules: gate.rules(),
            settings: context.settings(),
            context,
            visitor: Visitor::new(gate, Service::Link, peer, seat),
            retrieved: Vec::new(),
            complete: true,
            some: false,
            unsecured: false,
            linked: Linked::default(),
        }
    }

    /// Waits until what was answered with `+OK` is as safe as that says; false where it cannot be.
    pub(super) async fn secured(&mut self) -> bool {
        if !std::mem::take(&mut self.unsecured) {
            return true;
        }
        let secured = self.context.gate.hub.secured().await;
        if secured {
            self.linked.note();
        }
        secured
    }

    /// Limits and users that hold for this session now.
    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// What else holds for it.
    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Takes over rules, settings and rights that have changed meanwhile; false where the client
    /// is to go.
    pub(super) fn refresh(&mut self, session: &mut Session) -> bool {
        let version = self.context.gate.version();
        if version != self.version {
            self.version = version;
            self.rules = self.context.gate.rules();
            self.settings = self.context.settings();
        }
        let Some(channel) = self.visitor.channel() else {
            return true;
        };
        let changes = channel.changes();
        if changes != self.changes {
            self.changes = changes;
            let user = channel.user();
            // What was taken for an answer that is not written yet waits like the rest.
            let taken = self.retrieved.len();
            self.retrieved
                .retain(|event| user.may_receive(event.event()));
            self.complete &= self.retrieved.len() == taken;
            session.set_user(user);
        }
        !channel.ended().is_cancelled()
    }

    /// Leaves the channel, before the connection ends.
    pub(super) fn log_out(&mut self) {
        self.linked.leave();
        self.visitor.log_out();
    }

    pub(super) fn channel(&self) -> Option<&Arc<Channel>> {
        self.visitor.channel()
    }

    /// What the client is to a link of another driver's.
    pub(super) fn linked(&mut self) -> &mut Linked {
        &mut self.linked
    }

    /// Who is logged in, or nothing.
    pub(super) fn user(&self) -> String {
        self.visitor.user()
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.visitor.peer()
    }

    /// Logs in whoever the client's certificate names, where that is a user.
    pub(super) fn log_in_as(&mut self, name: &str, session: &mut Session) {
        if let Some(channel) = self.visitor.log_in_as(name) {
            session.log_in(identity(&channel));
        }
    }

    /// Does one thing and appends the answer to `out`.
    pub(super) async fn perform(
        &mut self,
        request: Request,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        let request = match request {
            Request::Close => return Next::Close,
            Request::Login { users, passwords } => {
                let (answer, next) = match self.visitor.log_in(users, passwords).await {
                    Ok(channel) => {
                        session.log_in(identity(&channel));
                        (reply::SUCCESS, Next::GoOn)
                    }
                    Err(LoginError::Displaced) => return Next::Close,
                    Err(LoginError::Full(_)) => (reply::TOO_MANY, Next::Close),
                    Err(_) => (reply::BAD_LOGIN, Next::Close),
                };
                session.say(answer, out);
                return next;
            }
            Request::Challenge => {
                session.say(challenge(), out);
                return Next::GoOn;
            }
            Request::Capabilities => {
                session.say(Answer::Capabilities(self.settings.capabilities), out);
                return Next::GoOn;
            }
            Request::Restart => return self.restart(session, out).await,
            Request::Shutdown => {
                let user = self.user();
                tracing::warn!(client = %self.peer(), user = %audit::Name(&user), "SHUTDOWN: the driver stops serving");
                session.say(reply::SUCCESS, out);
                return Next::Tell(Control::Shutdown);
            }
            request => request,
        };
        match self.visitor.channel() {
            Some(channel) => {
                let channel = Arc::clone(channel);
                self.with_channel(&channel, request, session, out)
            }
            // A session makes no such request before its login.
            None => {
                session.say(reply::NEED_LOGIN, out);
                Next::GoOn
            }
        }
    }

    fn with_channel(
        &mut self,
        channel: &Arc<Channel>,
        request: Request,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        match request {
            Request::Submit(event) => {
                let hub = &self.context.gate.hub;
                match self.linked.submit(hub, channel, event) {
                    Ok(()) => {
                        self.unsecured = true;
                        session.say(reply::SUCCESS, out);
                    }
                    Err(SubmitError::Full) => session.say(reply::BUFFER_FULL, out),
                    Err(SubmitError::Unbearable) => session.say(reply::PARAMETER, out),
                }
            }
            Request::Retrieve(count) => return self.retrieve(channel, count, session, out),
            Request::Count => session.say(Answer::Count(channel.queue().len()), out),
            Request::Clear => channel.queue().clear(),
            Request::Stat => {
                let counters = channel.counters();
                let statistics = Statistics {
                    overruns: counters.overruns.load(Ordering::Relaxed),
                    received_bytes: counters.received_bytes.load(Ordering::Relaxed),
                    received: counters.received.load(Ordering::Relaxed),
                    transmitted_bytes: counters.transmitted_bytes.load(Ordering::Relaxed),
                    transmitted: counters.transmitted.load(Ordering::Relaxed),
                };
                session.say(Answer::Statistics(statistics), out);
            }
            Request::Info => {
                let down = self
                    .context
                    .gate
                    .hub
                    .uplinks()
                    .iter()
                    .any(|uplink| !uplink.status().up);
                let (status, error) = (u32::from(down), channel.last_error().clone());
                session.say(Answer::Info { status, error }, out);
            }
            Request::SetGuid(guid) => channel.set_guid(guid),
            Request::SetFilter(filter) => channel.set_filter(filter),
            Request::Mistake(text) => channel.mistake(text),
            Request::Interfaces => session.say(self.interfaces(), out),
            Request::CloseInterface(which) => return self.close(channel, which, session, out),
            Request::Link {
                name,
                queue,
                first,
                brokers,
            } => {
                let hub = &self.context.gate.hub;
                let ours = place::marks(hub.uplinks().iter().filter_map(|uplink| uplink.at()));
                if place::meet(&ours, &brokers) {
                    hub.shares_a_broker();
                }
                let standings = &self.context.standings;
                let begun = self.linked.begin(standings, channel, &name, queue, first);
                match begun {
                    Ok(last) => {
                        // That it was heard is said when it is safe.
                        self.unsecured = true;
                        let brokers = ours.join(",");
                        session.say(Answer::Linked { last, brokers }, out);
                    }
                    Err(status) => session.say(status, out),
                }
            }
            Request::PlainLink { name } => {
                let hub = &self.context.gate.hub;
                self.linked.begin_plain(hub, channel, &name);
            }
            Request::LinkEvent(event) => {
                let hub = &self.context.gate.hub;
                let taken = self.linked.take(hub, channel, event);
                self.unsecured = true;
                session.say(taken.err().unwrap_or(reply::SUCCESS), out);
            }
            Request::LinkReceive { name, queue, last } => {
                let standings = &self.context.standings;
                let listens = self.linked.listen(standings, channel, &name, queue, last);
                match listens {
                    Ok(queue) => {
                        session.receive_link();
                        session.say(Answer::Queue(queue), out);
                    }
                    Err(status) => session.say(status, out),
                }
            }
            Request::LinkAcknowledge(number) => {
                let done = self.linked.acknowledge(number);
                session.say(done.err().unwrap_or(reply::SUCCESS), out);
            }
            Request::Test => session.say(self.test(channel), out),
            // Done before a channel is asked for.
            Request::Close
            | Request::Login { .. }
            | Request::Challenge
            | Request::Capabilities
            | Request::Restart
            | Request::Shutdown => {}
        }
        Next::GoOn
    }

    /// INTERFACE CLOSE.
    fn close(
        &self,
        channel: &Channel,
        which: Which,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        let channels = self.context.gate.hub.channels();
        let found = match which {
            Which::Guid(guid) => channels
                .iter()
                .find(|channel| channel.guid().same_interface(&guid)),
            Which::Index(at) => channels.get(at),
        };
        let Some(found) = found else {
            session.say(reply::NO_INTERFACE, out);
            return Next::GoOn;
        };
        if !matches!(found.kind(), Kind::Client(_)) {
            // Links are ended by configurations and users files.
            session.say(reply::NOT_SUPPORTED, out);
            return Next::GoOn;
        }
        session.say(reply::SUCCESS, out);
        if found.id() == channel.id() {
            return Next::Close;
        }
        tracing::info!(
            client = %self.peer(),
            user = %audit::Name(&self.user()),
            ended = %found.peer(),
            "INTERFACE CLOSE"
        );
        found.ended().cancel();
        Next::GoOn
    }

    fn retrieve(
        &mut self,
        channel: &Channel,
        count: Option<usize>,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        channel
            .queue()
            .take(count.unwrap_or(usize::MAX), &mut self.retrieved);
        channel.transmitted(&self.retrieved);
        self.complete = match count {
            Some(count) => self.retrieved.len() == count,
            None => !self.retrieved.is_empty(),
        };
        self.some = !self.retrieved.is_empty();
        self.retrieved.reverse();
        if self.more(session, out) {
            Next::More
        } else {
            Next::GoOn
        }
    }

    /// Prints the next part of a RETR; true where another follows.
    pub(super) fn more(&mut self, session: &mut Session, out: &mut Vec<u8>) -> bool {
        let form = self.settings.event_format;
        while let Some(event) = self.retrieved.pop() {
            match session.binary() {
                None => out.extend_from_slice(&event.line(form)),
                Some(_) => session.say_event(event.event(), true, out),
            }
            if out.len() >= PART && !self.retrieved.is_empty() {
                return true;
            }
        }
        self.retrieved.shrink_to(64);
        match (session.binary().is_some(), self.complete, self.some) {
            // Each of them was a reply.
            (true, true, _) => {}
            // There are no more, and that is no error in the binary mode.
            (true, false, true) | (false, true, _) => session.say(reply::SUCCESS, out),
            (_, false, _) => session.say(reply::NO_EVENT, out),
        }
        false
    }

    fn interfaces(&self) -> Answer {
        let mut rows = Vec::new();
        for channel in self.context.gate.hub.channels().iter() {
            let mut started = Vec::new();
            EventTime::Unix {
                nanos: channel.started(),
            }
            .write_date(&mut started);
            rows.push(InterfaceRow {
                id: channel.id(),
                guid: channel.guid(),
                kind: kind(channel.kind()),
                peer: channel.peer().to_string(),
                // Clients take the last nineteen characters of the row: there is no Z.
                started: String::from_utf8_lossy(&started)
                    .trim_end_matches('Z')
                    .to_owned(),
            });
        }
        Answer::Interfaces(rows)
    }

    /// TEST: is the hub whole, are the uplinks up, does the clock tell a time?
    fn test(&self, channel: &Channel) -> Answer {
        let hub = &self.context.gate.hub;
        let mut report = String::new();
        let mut well = true;
        let mut check = |name: &str, good: bool, detail: String| {
            well &= good;
            let verdict = if good { "passed" } else { "failed" };
            let detail: String = detail
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let _ = write!(report, "{name}: {verdict}, {detail}\r\n");
        };
        let channels = hub.channels();
        let known = channels.iter().any(|one| one.id() == channel.id());
        check("hub", known, format!("{} channels", channels.len()));
        for uplink in hub.uplinks().iter() {
            let status = uplink.status();
            let mut detail = format!(
                "{} events wait, {} delivered, {} refused, {} rejected",
                status.waiting, status.delivered, status.refused, status.rejected
            );
            if !status.trouble.is_empty() {
                let _ = write!(detail, ", last trouble: {}", status.trouble);
            }
            check(&format!("uplink {}", uplink.name()), status.up, detail);
        }
        for link in hub.links() {
            let mut detail = format!(
                "{} events wait, {} sent, {} received, {} suppressed, {} rejected, {} dropped",
                link.waiting,
                link.sent,
                link.received,
                link.suppressed,
                link.rejected,
                link.dropped
            );
            if !link.trouble.is_empty() {
                let _ = write!(detail, ", last trouble: {}", link.trouble);
            }
            check(&format!("link {}", link.name), link.up, detail);
        }
        let time = now();
        let mut date = Vec::new();
        EventTime::Unix { nanos: time }.write_date(&mut date);
        // Before 2024 this program did not exist.
        let sane = time > 1_704_067_200_000_000_000;
        check("clock", sane, String::from_utf8_lossy(&date).into_owned());
        Answer::Tested { report, well }
    }

    async fn restart(&self, session: &mut Session, out: &mut Vec<u8>) -> Next {
        let (answer, answered) = oneshot::channel();
        let asked = self
            .context
            .control
            .send(Control::CheckRestart(answer))
            .await;
        let user = self.user();
        if asked.is_ok() && answered.await == Ok(true) {
            tracing::warn!(client = %self.peer(), user = %audit::Name(&user), "RESTART: the driver starts again");
            session.say(reply::SUCCESS, out);
            return Next::Tell(Control::Restart);
        }
        tracing::error!(client = %self.peer(), user = %audit::Name(&user), "RESTART refused: the configuration has errors");
        session.say(reply::INTERNAL, out);
        Next::GoOn
    }
}

/// What a channel is, as the specification counts.
fn kind(kind: Kind) -> InterfaceKind {
    match kind {
        Kind::Client(Service::Link) | Kind::Standing => InterfaceKind::TcpIp,
        Kind::Client(Service::Websocket) => InterfaceKind::Websocket,
        Kind::Link => InterfaceKind::Driver,
    }
}

/// What a session has to know of its channel.
fn identity(channel: &Channel) -> Identity {
    Identity {
        user: channel.user(),
        channel: channel.id(),
        guid: channel.guid(),
    }
}

/// A fresh session id: 128 random bits.
fn challenge() -> Answer {
    let mut sid = [0; 16];
    match getrandom::fill(&mut sid) {
        Ok(()) => Answer::Sid(sid),
        Err(_) => reply::NO_SID.into(),
    }
}

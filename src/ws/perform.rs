//! What a session asks for, done: logins, events, the queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::marks::Mark;
use super::{Context, Settings};
use crate::auth::{RandomError, Service};

use crate::gate::{Beneath, Gate, LoginError, Rules, Seat, Visitor};
use crate::hub::{Channel, SubmitError};
use crate::wire::ws::{Code, Identity, Request, Session, Sid};

/// Wrong logins of one connection.
const MOST_WRONG: u32 = 3;

/// What is to be done after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next message.
    GoOn,
    /// Write the answer and close.
    Close,
    /// Close: somebody else has the place.
    Leave,
}

/// Does what one client's session asks for.
#[derive(Debug)]
pub(super) struct Performer {
    context: Arc<Context>,
    visitor: Visitor,
    beneath: Beneath,
    rules: Arc<Rules>,
    settings: Arc<Settings>,
    version: u64,
    /// What [`Channel::changes`] was when the session got its user.
    changes: u64,
    wrong: u32,
    /// Events were taken that may not be safe yet.
    unsecured: bool,
}

impl Performer {
    /// For a client that nobody has logged in yet.
    pub(super) fn new(
        context: Arc<Context>,
        peer: SocketAddr,
        seat: Seat,
        beneath: Beneath,
    ) -> Self {
        let gate = Arc::clone(&context.gate);
        Self {
            version: gate.version(),
            rules: gate.rules(),
            settings: context.settings(),
            context,
            visitor: Visitor::new(gate, Service::Websocket, peer, Some(seat)),
            beneath,
            changes: 0,
            wrong: 0,
            unsecured: false,
        }
    }

    /// Limits and users that hold for this session now.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What else holds for it.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn channel(&self) -> Option<&Arc<Channel>> {
        self.visitor.channel()
    }

    pub(super) fn user(&self) -> String {
        self.visitor.user()
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.context.gate
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.visitor.peer()
    }

    /// Tells of each change of the rules.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.context.gate.changes()
    }

    /// Takes over rules, settings and rights that have changed meanwhile; false where the client
    /// is to go.
    pub(super) fn refresh(&mut self, session: &mut Session) -> bool {
        let version = self.context.gate.version();
        if version != self.version {
            self.version = version;
            self.rules = self.context.gate.rules();
            self.settings = self.context.settings();
            session.set_terms(Arc::clone(&self.settings.terms));
        }
        let Some(channel) = self.visitor.channel() else {
            return true;
        };
        let changes = channel.changes();
        if changes != self.changes {
            self.changes = changes;
            session.set_user(channel.user());
        }
        !channel.ended().is_cancelled()
    }

    /// Waits until what was granted is as safe as that says; false where it cannot be.
    pub(super) async fn secured(&mut self) -> bool {
        !std::mem::take(&mut self.unsecured) || self.context.gate.hub.secured().await
    }

    /// Leaves the channel, before the connection ends.
    pub(super) fn leave(&mut self) {
        self.visitor.log_out();
    }

    /// Logs in whoever the client's certificate names, where that is a user.
    pub(super) fn log_in_by_certificate(&mut self, session: &mut Session) {
        if let Beneath::Tls(Some(name)) = &self.beneath
            && let Some(channel) = self.visitor.log_in_as(name)
        {
            self.welcome(&channel, session);
        }
    }

    /// Does one thing and appends the answer to `out`.
    pub(super) async fn perform(
        &mut self,
        request: Request,
        session: &mut Session,
        out: &mut String,
    ) -> Result<Next, RandomError> {
        let request = match request {
            Request::Login {
                user,
                password,
                mark,
            } => {
                let own = mark[0] == session.sid();
                let entered = self.log_in(user, password, mark, own).await;
                return self.entered(entered, session, out);
            }
            Request::NoLogin(code) => {
                let reason = "it is not encrypted for this session";
                self.visitor.refuse(reason).await;
                return self.refused(code, session, out);
            }
            request => request,
        };
        let Some(channel) = self.visitor.channel() else {
            // A session makes no such request before its login.
            session.refuse(Code::NotAuthorised, out);
            return Ok(Next::GoOn);
        };
        match request {
            Request::Open | Request::Close => {}
            Request::Login { .. } | Request::NoLogin(_) => {}
            Request::Clear => channel.queue().clear(),
            Request::SetFilter(pair) => channel.set_filter(pair),
            Request::Submit(event) if !self.settings.filter.passes(&event) => {
                let filtered = &self.context.gate.hub.totals().filtered;
                filtered.fetch_add(1, Ordering::Relaxed);
            }
            Request::Submit(event) => match self.context.gate.hub.submit(channel, event) {
                Ok(()) => self.unsecured = true,
                Err(error) => {
                    let code = match error {
                        SubmitError::Full => Code::TransmitFull,
                        SubmitError::Unbearable => Code::Parse,
                    };
                    session.refuse(code, out);
                    return Ok(Next::GoOn);
                }
            },
        }
        session.grant(out);
        Ok(Next::GoOn)
    }

    async fn log_in(
        &mut self,
        user: String,
        password: zeroize::Zeroizing<String>,
        mark: Mark,
        own: bool,
    ) -> Result<Arc<Channel>, Option<LoginError>> {
        let refuse = |peer, reason: &str| {
            let gate = &self.context.gate;
            gate.refused(Service::Websocket, peer, &user, &reason);
            Err(None)
        };
        if self.settings.encrypted_only && !self.beneath.is_secure() {
            self.visitor.log_out();
            return refuse(
                self.peer(),
                "clear text is not allowed here (require-encryption)",
            );
        }
        let Some(claim) = self.context.marks.claim(mark, own) else {
            self.visitor.log_out();
            let reason = "the vector or the first block of this login was there before";
            return refuse(self.peer(), reason);
        };
        let entered = self.visitor.log_in(vec![user], vec![password]).await;
        if !matches!(entered, Err(LoginError::Refused(_) | LoginError::Broken)) {
            claim.remember();
        }
        entered.map_err(Some)
    }

    /// True where answers may be written: nothing that they promise still has to be made safe.
    pub(super) fn is_safe(&mut self) -> bool {
        if self.unsecured {
            let uplinks = self.context.gate.hub.uplinks();
            self.unsecured = uplinks.iter().any(|uplink| uplink.secured().is_some());
        }
        !self.unsecured
    }

    /// The session is that of the channel's user from now on.
    fn welcome(&mut self, channel: &Channel, session: &mut Session) {
        self.changes = channel.changes();
        let user = channel.user();
        let users = &self.context.gate.rules().users;
        let userid = users.iter().position(|known| known.name == user.name);
        session.log_in(Identity {
            userid: userid.unwrap_or_default(),
            user,
            channel: channel.id(),
            guid: channel.guid(),
        });
    }

    fn entered(
        &mut self,
        entered: Result<Arc<Channel>, Option<LoginError>>,
        session: &mut Session,
        out: &mut String,
    ) -> Result<Next, RandomError> {
        match entered {
            Ok(channel) => {
                self.welcome(&channel, session);
                session.grant(out);
                Ok(Next::GoOn)
            }
            Err(Some(LoginError::Displaced)) => Ok(Next::Leave),
            Err(Some(LoginError::Full(_))) => {
                // The password was right.
                session.log_out(sid()?);
                session.refuse(Code::General, out);
                Ok(Next::GoOn)
            }
            Err(_) => self.refused(Code::NotAuthorised, session, out),
        }
    }

    /// The login was wrong: nobody stays logged in who is told that, and the next one needs another
    /// session id.
    fn refused(
        &mut self,
        code: Code,
        session: &mut Session,
        out: &mut String,
    ) -> Result<Next, RandomError> {
        session.log_out(sid()?);
        session.refuse(code, out);
        self.wrong += 1;
        Ok(match self.wrong < MOST_WRONG {
            true => Next::GoOn,
            false => Next::Close,
        })
    }
}

/// A fresh session id: 128 random bits.
///
/// # Errors
/// Where the system gives none.
pub(super) fn sid() -> Result<Sid, RandomError> {
    crate::auth::random()
}

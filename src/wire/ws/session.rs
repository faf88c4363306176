//! One client's dialogue. A message goes in; an answer comes out, or a [`Request`] for what only
//! the rest of the driver can do.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::answer::{self, Answer};
use super::command::{self, Command, Entry, Needs};
use super::message::{Arguments, EventForm, Message};
use super::{Code, Dialect, Request, Sid, auth, ws1, ws2};
use crate::auth::{Refusal, Rights, User};
use crate::event::json::Generation;
use crate::event::text::Defaults;
use crate::event::{FilterPair, Guid};

/// What all sessions of a server have in common.
pub struct Terms {
    /// What names and passwords are encrypted with.
    pub key: Zeroizing<[u8; 16]>,
    /// In ws2 AUTH may use another vector than the session id. Whoever sees such a message can
    /// send it again.
    pub foreign_iv: bool,
    /// The names of events in ws2.
    pub generation: Generation,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("foreign_iv", &self.foreign_iv)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Who is logged in, and the channel that this made.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: Arc<User>,
    /// The user's place among all, by name, from 0.
    pub userid: usize,
    /// The channel's id.
    pub channel: u16,
    /// The channel's GUID.
    pub guid: Guid,
}

/// The state of one client's dialogue.
#[derive(Debug)]
pub struct Session {
    dialect: Dialect,
    terms: Arc<Terms>,
    sid: Sid,
    identity: Option<Identity>,
    filter: FilterPair,
    open: bool,
    pending: Option<Pending>,
    refused: Option<(&'static str, Code)>,
}

/// A request that has no answer yet.
#[derive(Debug)]
struct Pending {
    /// The word that the answer has.
    word: String,
    then: Then,
}

/// What comes of a request that is granted.
#[derive(Clone, Copy, Debug)]
enum Then {
    LoggedIn,
    Opened,
    Closed,
    Filtered(FilterPair),
    Nothing,
}

impl Session {
    /// A session that nobody has logged in to.
    #[must_use]
    pub fn new(dialect: Dialect, terms: Arc<Terms>, sid: Sid) -> Self {
        Self {
            dialect,
            terms,
            sid,
            identity: None,
            filter: FilterPair::default(),
            open: false,
            pending: None,
            refused: None,
        }
    }

    /// Appends the first message, which tells the session id.
    pub fn greet(&self, out: &mut String) {
        answer::greet(self.dialect, &self.sid, out);
    }

    /// True after a login.
    #[must_use]
    pub fn logged_in(&self) -> bool {
        self.identity.is_some()
    }

    /// True where events are written as they come, rather than kept.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The login was right: this is the client's channel, which is not open yet.
    pub fn log_in(&mut self, identity: Identity) {
        self.filter = identity.user.filter;
        self.identity = Some(identity);
        self.open = false;
    }

    /// The login was wrong: nobody is logged in, whoever was before, and the client needs another
    /// session id for the next try.
    pub fn log_out(&mut self, sid: Sid) {
        self.forget();
        self.sid = sid;
    }

    fn forget(&mut self) {
        self.identity = None;
        self.filter = FilterPair::default();
        self.open = false;
    }

    /// Whoever is logged in has other rights from now on.
    pub fn set_user(&mut self, user: Arc<User>) {
        if let Some(identity) = &mut self.identity {
            // As the channel has it.
            let own =
                self.filter != identity.user.filter && user.rights.contains(Rights::SETFILTER);
            if !own {
                self.filter = user.filter;
            }
            identity.user = user;
        }
    }

    /// From now on these are the terms, for the next login and all after it.
    pub fn set_terms(&mut self, terms: Arc<Terms>) {
        self.terms = terms;
    }

    /// The session id.
    #[must_use]
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// The command or event that the last message asked for and that this client may not use, and
    /// what it was told.
    pub fn take_refused(&mut self) -> Option<(&'static str, Code)> {
        self.refused.take()
    }

    /// Takes one message. Appends the answer to `out`, or returns what has to be done first; then
    /// [`grant`](Self::grant) or [`refuse`](Self::refuse) appends it. Messages that ask for nothing
    /// have neither: those that are empty, answers, and variables of ws2. `now` is nanoseconds
    /// since 1970.
    pub fn handle(&mut self, message: &str, now: u64, out: &mut String) -> Option<Request> {
        self.pending = None;
        self.refused = None;
        let message = match self.dialect {
            Dialect::Ws1 => ws1::read(message),
            Dialect::Ws2 => ws2::read(message),
        };
        let (word, asked) = match message {
            Message::Silent => return None,
            Message::Bad(word, code) => (word, Err(code)),
            Message::Command(entry, word, arguments) => {
                let asked = self.command(entry, &arguments);
                (word, asked)
            }
            Message::Event(form) => (command::EVENT.to_owned(), self.event(form, now)),
        };
        match asked {
            Ok(Asked::Answer(answer)) => {
                answer::positive(self.dialect, &word, answer, out);
                None
            }
            Ok(Asked::Request(request, then)) => {
                self.pending = Some(Pending { word, then });
                Some(request)
            }
            Err(code) => {
                answer::negative(self.dialect, &word, code, out);
                None
            }
        }
    }

    /// Appends the positive answer to the request; to a login after [`log_in`](Self::log_in).
    pub fn grant(&mut self, out: &mut String) {
        let Some(Pending { word, then }) = self.pending.take() else {
            return;
        };
        let mut answer = Answer::Done;
        match (then, &self.identity) {
            (Then::LoggedIn, Some(identity)) => {
                answer = Answer::User(&identity.user, identity.userid);
            }
            (Then::LoggedIn, None) => {
                return answer::negative(self.dialect, &word, Code::General, out);
            }
            // Nothing is open to nobody.
            (Then::Opened, identity) => self.open = identity.is_some(),
            (Then::Closed, _) => self.open = false,
            (Then::Filtered(pair), _) => self.filter = pair,
            (Then::Nothing, _) => {}
        }
        answer::positive(self.dialect, &word, answer, out);
    }

    /// Appends the negative answer to the request; to a login after [`log_out`](Self::log_out).
    pub fn refuse(&mut self, code: Code, out: &mut String) {
        let Some(Pending { word, then }) = self.pending.take() else {
            return;
        };
        if let Then::LoggedIn = then {
            // Whatever was done before: nobody stays logged in who is told the opposite.
            self.forget();
        }
        answer::negative(self.dialect, &word, code, out);
    }

    fn command(&mut self, entry: &'static Entry, arguments: &Arguments<'_>) -> Result<Asked, Code> {
        // An AUTH of that kind is a wrong login.
        if matches!(arguments, Arguments::Unreadable) && entry.command != Command::Auth {
            return Err(Code::Parse);
        }
        if let Some(needs) = &entry.needs {
            self.admit(entry.name(), needs)?;
        }
        Ok(match entry.command {
            Command::Noop => Asked::Answer(Answer::Done),
            Command::Challenge => Asked::Answer(Answer::Sid(self.sid)),
            Command::Version => Asked::Answer(Answer::Version),
            Command::Copyright => Asked::Answer(Answer::Copyright),
            Command::Auth => Asked::Request(self.auth(arguments), Then::LoggedIn),
            Command::Open => Asked::Request(Request::Open, Then::Opened),
            // There is no channel yet that could be closed.
            Command::Close if self.identity.is_none() => Asked::Answer(Answer::Done),
            Command::Close => Asked::Request(Request::Close, Then::Closed),
            Command::Clear => Asked::Request(Request::Clear, Then::Nothing),
            Command::SetFilter => {
                let pair = arguments.filter(self.filter)?;
                Asked::Request(Request::SetFilter(pair), Then::Filtered(pair))
            }
        })
    }

    /// Who may do what; takes note where somebody may not.
    fn admit(&mut self, name: &'static str, needs: &Needs) -> Result<(), Code> {
        let verdict = match &self.identity {
            None => Err(Code::NotAuthorised),
            Some(Identity { user, .. }) => {
                let right = needs.right.is_none_or(|right| user.rights.contains(right));
                let allowed = right && user.privilege.level() >= needs.privilege;
                allowed.then_some(()).ok_or(Code::NoRight)
            }
        };
        verdict.map_err(|code| self.refusal(name, code))
    }

    /// Takes note of a refusal.
    fn refusal(&mut self, name: &'static str, code: Code) -> Code {
        self.refused = Some((name, code));
        code
    }

    fn auth(&self, arguments: &Arguments<'_>) -> Request {
        let credentials = match arguments.credentials() {
            Ok(credentials) => credentials,
            Err(code) => return Request::NoLogin(code),
        };
        if credentials.iv != self.sid {
            match self.dialect {
                Dialect::Ws1 => return Request::NoLogin(Code::Syntax),
                Dialect::Ws2 if self.terms.foreign_iv => {}
                Dialect::Ws2 => return Request::NoLogin(Code::NotAuthorised),
            }
        }
        // What makes no sense is a wrong login like any other: as slow, and in the log.
        let first = credentials
            .cipher
            .first_chunk()
            .copied()
            .unwrap_or_default();
        let (user, password) =
            auth::open(&self.terms.key, &credentials.iv, &credentials.cipher).unwrap_or_default();
        Request::Login {
            user,
            password,
            mark: [credentials.iv, first],
        }
    }

    fn event(&mut self, form: EventForm<'_>, now: u64) -> Result<Asked, Code> {
        self.admit(command::EVENT, &command::EVENT_NEEDS)?;
        let Some(identity) = &self.identity else {
            return Err(Code::NotAuthorised);
        };
        let obid = u32::from(identity.channel);
        let defaults = Defaults {
            now,
            obid,
            guid: identity.guid,
        };
        let mut event = form.read(&defaults).ok_or(Code::Parse)?;
        event.obid = obid;
        match identity.user.may_send(&event) {
            Ok(priority) => {
                event.head = event.head.with_priority(priority);
                Ok(Asked::Request(Request::Submit(event), Then::Nothing))
            }
            Err(refusal) => {
                let code = match (self.dialect, refusal) {
                    (Dialect::Ws2, _) | (_, Refusal::Send) => Code::NoRight,
                    _ => Code::EventRefused,
                };
                Err(self.refusal(command::EVENT, code))
            }
        }
    }
}

/// What a message comes to, where it is all right.
enum Asked {
    Answer(Answer<'static>),
    Request(Request, Then),
}

#[cfg(test)]
pub(super) mod tests;

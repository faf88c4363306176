//! One client's dialogue. A line or a frame goes in; a reply comes out, or a [`Request`] for what
//! only the rest of the driver can do.

mod binary;
mod linked;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use zeroize::Zeroizing;

use self::binary::Asked;
pub use self::binary::is_login;
pub use self::linked::{LINK_NAME_MAX, LINK_VERSION};
use super::answer::Answer;
use super::command::{self, COMMANDS, Command, Entry};
use super::history::History;
use super::reply::{self, Status};
use super::request::{Request, Which};
use crate::auth::{Refusal, Rights, User};
use crate::error::with_causes;
use crate::event::text::{self, Defaults};
use crate::event::{Event, Filter, FilterPair, Guid};
use crate::wire::binary::{Cipher, Mark};
use crate::wire::line::{self, Line};

/// Bytes of a line before the login.
pub const LINE_BEFORE_LOGIN: usize = 8 * 1024;
/// Bytes of a line after the login.
pub const LINE_AFTER_LOGIN: usize = 64 * 1024;
/// User names and passwords (VSCP specification: 64 characters; more are no harm).
const MOST_NAME: usize = 256;

/// What all sessions of a server have in common.
#[derive(Debug, Default)]
pub struct Terms {
    /// The events of `SEND $name`.
    pub variables: BTreeMap<String, String>,
    /// The cipher of the binary mode; without one it is not offered.
    pub cipher: Option<Cipher>,
    /// In clear text nobody logs in (`require-encryption`).
    pub encrypted_only: bool,
}

/// Who is logged in, and the channel that this made.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: Arc<User>,
    /// The channel's id.
    pub channel: u16,
    /// The channel's GUID.
    pub guid: Guid,
}

/// The state of one client's dialogue.
#[derive(Debug)]
pub struct Session {
    terms: Arc<Terms>,
    /// What is beneath encrypts already.
    secure: bool,
    /// In the binary mode: what is being answered.
    asked: Option<Asked>,
    names: Vec<String>,
    identity: Option<Identity>,
    filter: FilterPair,
    looping: bool,
    /// What comes is what waits for a link.
    link_receives: bool,
    history: History,
    broken: bool,
    /// Of the frames that were written, for whoever keeps them apart from those that come.
    marks: Vec<Mark>,
    refused: Option<(&'static str, Status)>,
}

impl Session {
    /// A session that nobody has logged in to. `secure` is one over TLS.
    #[must_use]
    pub fn new(terms: Arc<Terms>, secure: bool) -> Self {
        Self {
            terms,
            secure,
            asked: None,
            names: Vec::new(),
            identity: None,
            filter: FilterPair::default(),
            looping: false,
            link_receives: false,
            history: History::default(),
            broken: false,
            marks: Vec::new(),
            refused: None,
        }
    }

    /// The cipher, in the binary mode: what comes next is a frame.
    #[must_use]
    pub fn binary(&self) -> Option<&Cipher> {
        self.asked.and(self.terms.cipher.as_ref())
    }

    /// True where an answer could not be written, and the session cannot go on.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.broken
    }

    /// The marks of the frames that were written since this was asked last.
    pub fn take_marks(&mut self) -> impl Iterator<Item = Mark> + '_ {
        self.marks.drain(..)
    }

    /// The command that the last line or frame asked for and that this client may not use, and
    /// what it was told.
    pub fn take_refused(&mut self) -> Option<(&'static str, Status)> {
        self.refused.take()
    }

    /// Appends an answer to what was asked last.
    pub fn say(&mut self, answer: impl Into<Answer>, out: &mut Vec<u8>) {
        let answer = answer.into();
        match self.asked {
            None => answer.write_text(out),
            Some(asked) => self.say_frame(asked, &answer, out),
        }
    }

    /// Bytes that a line may have now.
    #[must_use]
    pub fn line_cap(&self) -> usize {
        if self.identity.is_some() {
            LINE_AFTER_LOGIN
        } else {
            LINE_BEFORE_LOGIN
        }
    }

    /// True in the receive loop.
    #[must_use]
    pub fn looping(&self) -> bool {
        self.looping
    }

    /// True after a login.
    #[must_use]
    pub fn logged_in(&self) -> bool {
        self.identity.is_some()
    }

    /// The login was right: this is the client's channel.
    pub fn log_in(&mut self, identity: Identity) {
        self.filter = identity.user.filter;
        self.identity = Some(identity);
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

    /// Takes one line. Appends the reply to `out`, or returns what has to be done first.
    /// `now` is nanoseconds since 1970.
    pub fn handle(&mut self, line: Line<'_>, now: u64, out: &mut Vec<u8>) -> Option<Request> {
        let text = match line {
            Line::Text(bytes) => line::clean(bytes),
            Line::TooLong => None,
        };
        let Some(text) = text else {
            self.say(reply::PARAMETER, out);
            return None;
        };
        match &*text {
            "" => None,
            repeat if repeat.starts_with('+') => self.repeat(repeat, now, out),
            line => {
                let found = command::parse(line);
                if found.is_none() && is_http(line) {
                    // What follows is not a client's either.
                    self.refused = Some((HTTP, reply::UNKNOWN));
                    self.say(reply::UNKNOWN, out);
                    return Some(Request::Close);
                }
                self.history
                    .keep(found.map(|(entry, _)| entry.command), line);
                self.run(found, now, out)
            }
        }
    }

    /// `+`, `+n` and `++`. What is repeated is printed first.
    fn repeat(&mut self, text: &str, now: u64, out: &mut Vec<u8>) -> Option<Request> {
        if text == "++" {
            for (back, line) in self.history.iter().enumerate() {
                say(out, &format!("{back} - {}\r\n", harmless(line)));
            }
            self.say(reply::SUCCESS, out);
            return None;
        }
        let back = match text[1..].trim() {
            "" => Some(0),
            digits => digits.parse::<usize>().ok(),
        };
        let Some(line) = back
            .and_then(|back| self.history.get(back))
            .map(str::to_owned)
        else {
            self.say(reply::PARAMETER, out);
            return None;
        };
        say(out, &format!("{}\r\n", harmless(&line)));
        self.run(command::parse(&line), now, out)
    }

    fn run(
        &mut self,
        found: Option<(&'static Entry, &str)>,
        now: u64,
        out: &mut Vec<u8>,
    ) -> Option<Request> {
        let Some((entry, arguments)) = found else {
            self.say(reply::UNKNOWN, out);
            return None;
        };
        if let Err(refusal) = self.admit(entry) {
            self.say(refusal, out);
            return self.plain_link(entry.command, arguments);
        }
        match entry.command {
            Command::Help => {
                help(arguments, out);
                self.say(reply::SUCCESS, out);
                None
            }
            Command::Binary if self.terms.cipher.is_none() => {
                self.say(reply::NO_BINARY, out);
                None
            }
            Command::Binary => {
                self.say(reply::BINARY, out);
                self.asked = Some(Asked::Command {
                    code: 0,
                    part: None,
                });
                None
            }
            Command::User => {
                self.user(vec![arguments.to_owned()], out);
                None
            }
            Command::Pass => self.pass(vec![Zeroizing::new(arguments.to_owned())], out),
            Command::Send => self.send(arguments, now, out),
            Command::Retrieve => self.retrieve(arguments, out),
            Command::SetGuid => self.set_guid(arguments, out),
            Command::SetFilter => self.set_filter(arguments, out, |pair| &mut pair.filter),
            Command::SetMask => self.set_filter(arguments, out, |pair| &mut pair.mask),
            Command::Interface => self.interface(arguments, out),
            Command::Link | Command::LinkSend | Command::LinkReceive | Command::LinkAcknowledge => {
                self.linked(entry.command, arguments, now, out)
            }
            command => self.simple(command, out),
        }
    }

    /// The commands without arguments, the same in both modes.
    fn simple(&mut self, command: Command, out: &mut Vec<u8>) -> Option<Request> {
        let answer: Answer = match (command, &self.identity) {
            (Command::Challenge, _) => return Some(Request::Challenge),
            (Command::CheckData, _) => return Some(Request::Count),
            (Command::Stat, _) => return Some(Request::Stat),
            (Command::Info, _) => return Some(Request::Info),
            (Command::WhatCanYouDo, _) => return Some(Request::Capabilities),
            (Command::Test, _) => return Some(Request::Test),
            (Command::Shutdown, _) => return Some(Request::Shutdown),
            (Command::Restart, _) => return Some(Request::Restart),
            (Command::Quit, _) => {
                self.say(reply::CLOSED, out);
                return Some(Request::Close);
            }
            (Command::Clear, _) => {
                self.say(reply::CLEARED, out);
                return Some(Request::Clear);
            }
            (Command::ReceiveLoop, _) => {
                self.looping = true;
                reply::LOOP_ENTERED.into()
            }
            (Command::QuitLoop, _) => {
                self.looping = false;
                reply::LOOP_LEFT.into()
            }
            (Command::GetGuid, Some(identity)) => Answer::Guid(identity.guid),
            (Command::ChannelId, Some(identity)) => Answer::Channel(identity.channel),
            (Command::Version, _) => Answer::Version,
            (Command::Noop, _) => reply::SUCCESS.into(),
            // Those with arguments are not asked for here.
            _ => reply::NOT_SUPPORTED.into(),
        };
        self.say(answer, out);
        None
    }

    /// Whether the client may use a command; takes note where not.
    fn admit(&mut self, entry: &'static Entry) -> Result<(), Status> {
        let verdict = self.may_use(entry);
        if let Err(status) = verdict {
            self.refused = Some((entry.names[0], status));
        }
        verdict
    }

    /// Every rule about who may use a command.
    fn may_use(&self, entry: &Entry) -> Result<(), Status> {
        let in_the_clear = self.asked.is_none() && !self.secure;
        let tells_secrets = matches!(entry.command, Command::User | Command::Pass);
        if in_the_clear && self.terms.encrypted_only && (entry.privilege > 0 || tells_secrets) {
            return Err(reply::NEED_ENCRYPTION);
        }
        if entry.privilege == 0 {
            return Ok(());
        }
        let Some(Identity { user, .. }) = &self.identity else {
            return Err(reply::NEED_LOGIN);
        };
        if entry
            .right
            .is_some_and(|right| !user.rights.contains(right))
        {
            return Err(reply::NO_RIGHT);
        }
        if user.privilege.level() < entry.privilege {
            return Err(reply::LOW_PRIVILEGE);
        }
        Ok(())
    }

    /// USER: the name, in all ways to read it.
    fn user(&mut self, names: Vec<String>, out: &mut Vec<u8>) {
        if self.identity.is_some() {
            return self.say(reply::SUCCESS, out);
        }
        let fits = |name: &String| !name.is_empty() && name.len() <= MOST_NAME;
        if !names.first().is_some_and(fits) {
            return self.say(reply::PARAMETER, out);
        }
        self.names = names;
        self.say(reply::USER_OK, out);
    }

    /// PASS, likewise.
    fn pass(&mut self, passwords: Vec<Zeroizing<String>>, out: &mut Vec<u8>) -> Option<Request> {
        if self.identity.is_some() {
            self.say(reply::SUCCESS, out);
            return None;
        }
        let users = std::mem::take(&mut self.names);
        if users.is_empty() {
            self.say(reply::NEED_USER, out);
            return None;
        }
        let fits = |text: &Zeroizing<String>| !text.is_empty() && text.len() <= MOST_NAME;
        if !passwords.first().is_some_and(fits) {
            self.say(reply::PARAMETER, out);
            return Some(Request::Close);
        }
        Some(Request::Login { users, passwords })
    }

    fn send(&mut self, arguments: &str, now: u64, out: &mut Vec<u8>) -> Option<Request> {
        let identity = self.identity.as_ref()?;
        let line = match arguments.strip_prefix('$') {
            None => arguments,
            Some(name) => match self.terms.variables.get(name.trim()) {
                Some(line) => line,
                None => {
                    self.say(reply::NO_VARIABLE, out);
                    return Some(Request::Mistake("no such variable".to_owned()));
                }
            },
        };
        let defaults = Defaults {
            now,
            obid: u32::from(identity.channel),
            guid: identity.guid,
        };
        match text::parse(line, &defaults) {
            Ok(event) => self.pass_on(event, out),
            Err(error) => {
                self.say(reply::PARAMETER, out);
                Some(Request::Mistake(with_causes(&error)))
            }
        }
    }

    /// An event that the user may send, with the priority that the user may send it with.
    fn pass_on(&mut self, mut event: Event, out: &mut Vec<u8>) -> Option<Request> {
        match self.identity.as_ref()?.user.may_send(&event) {
            Ok(priority) => {
                event.head = event.head.with_priority(priority);
                Some(Request::Submit(event))
            }
            Err(refusal) => {
                let status = match refusal {
                    Refusal::NotListed => reply::EVENT_REFUSED,
                    _ => reply::NO_RIGHT,
                };
                self.refused = Some((command::of_event().names[0], status));
                self.say(status, out);
                Some(Request::Mistake(refusal.to_string()))
            }
        }
    }

    fn retrieve(&mut self, arguments: &str, out: &mut Vec<u8>) -> Option<Request> {
        if self.looping {
            // All events are on their way already.
            self.say(reply::SUCCESS, out);
            return None;
        }
        match arguments {
            "" | "0" => Some(Request::Retrieve(Some(1))),
            "-1" => Some(Request::Retrieve(None)),
            count => match crate::event::number::parse(count, u64::MAX) {
                Ok(count) => Some(Request::Retrieve(Some(
                    usize::try_from(count).unwrap_or(usize::MAX),
                ))),
                Err(error) => {
                    self.say(reply::PARAMETER, out);
                    Some(Request::Mistake(error.to_string()))
                }
            },
        }
    }

    fn set_guid(&mut self, arguments: &str, out: &mut Vec<u8>) -> Option<Request> {
        // An empty argument has always meant all zeros.
        let guid = if arguments.is_empty() {
            Ok(Guid::ZERO)
        } else {
            arguments.parse()
        };
        match guid {
            Ok(guid) => self.take_guid(guid, out),
            Err(error) => {
                self.say(reply::PARAMETER, out);
                Some(Request::Mistake(error.to_string()))
            }
        }
    }

    fn take_guid(&mut self, guid: Guid, out: &mut Vec<u8>) -> Option<Request> {
        self.identity.as_mut()?.guid = guid;
        self.say(reply::SUCCESS, out);
        Some(Request::SetGuid(guid))
    }

    fn set_filter(
        &mut self,
        arguments: &str,
        out: &mut Vec<u8>,
        half: impl FnOnce(&mut FilterPair) -> &mut Filter,
    ) -> Option<Request> {
        match Filter::whole(arguments) {
            Ok(filter) => {
                let mut pair = self.filter;
                *half(&mut pair) = filter;
                self.take_filter(pair, out)
            }
            Err(error) => {
                self.say(reply::PARAMETER, out);
                Some(Request::Mistake(with_causes(&error)))
            }
        }
    }

    fn take_filter(&mut self, pair: FilterPair, out: &mut Vec<u8>) -> Option<Request> {
        self.filter = pair;
        self.say(reply::SUCCESS, out);
        Some(Request::SetFilter(pair))
    }

    fn interface(&mut self, arguments: &str, out: &mut Vec<u8>) -> Option<Request> {
        let mut words = arguments.splitn(2, [' ', '\t']);
        if !words
            .next()
            .unwrap_or_default()
            .eq_ignore_ascii_case("close")
        {
            return Some(Request::Interfaces);
        }
        match words.next().unwrap_or_default().trim().parse() {
            Ok(guid) => Some(Request::CloseInterface(Which::Guid(guid))),
            Err(error) => {
                self.say(reply::PARAMETER, out);
                Some(Request::Mistake(error.to_string()))
            }
        }
    }
}

/// The name of a request of HTTP in the log.
const HTTP: &str = "HTTP";

/// True for the first line of a request of HTTP: a web page lets a browser send one anywhere, with
/// lines that the page has chosen behind it.
fn is_http(line: &str) -> bool {
    line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0")
}

/// HELP, for all commands or for one.
fn help(topic: &str, out: &mut Vec<u8>) {
    let mut text = String::new();
    if topic.is_empty() {
        text.push_str("Commands of the VSCP tcp/ip link protocol. HELP command tells more.\r\n");
        let _ = write!(text, "{}\r\n", command::REPEAT_HELP);
        for entry in COMMANDS {
            let _ = write!(text, "{} - {}\r\n", entry.names.join(", "), entry.help);
        }
    } else if topic.starts_with('+') {
        let _ = write!(text, "{}\r\n", command::REPEAT_HELP);
    } else if let Some(entry) = command::find(topic) {
        let usage = format!("{} {}", entry.names[0], entry.arguments);
        let _ = write!(text, "{}\r\n{}\r\n", usage.trim_end(), entry.help);
        if entry.names.len() > 1 {
            let _ = write!(text, "Also: {}.\r\n", entry.names[1..].join(", "));
        }
        let _ = match entry.privilege {
            0 => write!(text, "Needs no login.\r\n"),
            level => write!(text, "Needs a login with privilege {level} or more.\r\n"),
        };
    } else {
        let _ = write!(
            text,
            "The command '{}' is not available\r\n",
            harmless(topic)
        );
    }
    say(out, &text.replace("+OK", "OK"));
}

/// A line of the client's, printed back: clients must not take it for a status line.
fn harmless(line: &str) -> String {
    const STATUSES: [&str; 3] = ["+OK", "-OK", "+ERR"];
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        out.push(if c.is_control() { ' ' } else { c });
        // Another sign may stand before the one that goes.
        while let Some(status) = STATUSES.iter().find(|status| out.ends_with(**status)) {
            out.remove(out.len() - status.len());
        }
    }
    out
}

fn say(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;

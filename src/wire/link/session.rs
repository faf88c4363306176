//! One client's dialogue. A line goes in; a reply comes out, or a [`Request`] for what only the
//! rest of the driver can do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::command::{self, COMMANDS, Command, Entry};
use super::history::History;
use super::reply;
use crate::auth::{Refusal, User};
use crate::error::with_causes;
use crate::event::text::{self, Defaults};
use crate::event::{Event, Filter, FilterPair, Guid};
use crate::wire::line::{self, Line};

/// Bytes of a line before the login.
pub const LINE_BEFORE_LOGIN: usize = 8 * 1024;
/// Bytes of a line after the login.
pub const LINE_AFTER_LOGIN: usize = 64 * 1024;
/// User names and passwords (VSCP specification: 64 characters; more are no harm).
const MOST_NAME: usize = 256;

/// What a session asks the rest of the driver to do. Where a reply is due it is for whoever does
/// it to say; the others have been answered.
#[derive(Debug)]
pub enum Request {
    /// Check a login, answer, and close when it is wrong.
    Login {
        /// User name.
        user: String,
        /// Password.
        password: Zeroizing<String>,
    },
    /// Answer with a random session id.
    Challenge,
    /// Take an event, and answer.
    Submit(Event),
    /// Print so many events and answer; `None` is all that wait.
    Retrieve(Option<usize>),
    /// Print how many events wait, and answer.
    Count,
    /// Drop what waits (answered).
    Clear,
    /// Print the statistics, and answer.
    Stat,
    /// Print the state, and answer.
    Info,
    /// The channel has another GUID (answered).
    SetGuid(Guid),
    /// The channel has another filter or mask (answered).
    SetFilter(FilterPair),
    /// Print the capabilities, and answer.
    Capabilities,
    /// Print the channels, and answer.
    Interfaces,
    /// End the channel with this GUID, and answer.
    CloseInterface(Guid),
    /// Test the driver, and answer.
    Test,
    /// Stop serving, and answer.
    Shutdown,
    /// Start afresh, and answer.
    Restart,
    /// A mistake of the client (answered): the text is for INFO.
    Mistake(String),
    /// Write what is to be written, and close (answered).
    Close,
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
    variables: Arc<BTreeMap<String, String>>,
    name: Option<String>,
    identity: Option<Identity>,
    filter: FilterPair,
    looping: bool,
    history: History,
}

impl Session {
    /// A session that nobody has logged in to. `variables` are the events of `SEND $name`.
    #[must_use]
    pub fn new(variables: Arc<BTreeMap<String, String>>) -> Self {
        Self {
            variables,
            name: None,
            identity: None,
            filter: FilterPair::default(),
            looping: false,
            history: History::default(),
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

    /// Takes one line. Appends the reply to `out`, or returns what has to be done first.
    /// `now` is nanoseconds since 1970.
    pub fn handle(&mut self, line: Line<'_>, now: u64, out: &mut Vec<u8>) -> Option<Request> {
        let text = match line {
            Line::Text(bytes) => line::clean(bytes),
            Line::TooLong => None,
        };
        let Some(text) = text else {
            say(out, reply::PARAMETER);
            return None;
        };
        match &*text {
            "" => None,
            repeat if repeat.starts_with('+') => self.repeat(repeat, now, out),
            line => {
                let found = command::parse(line);
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
            say(out, reply::SUCCESS);
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
            say(out, reply::PARAMETER);
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
            say(out, reply::UNKNOWN);
            return None;
        };
        if let Err(refusal) = self.admit(entry) {
            say(out, refusal);
            return None;
        }
        match entry.command {
            Command::Noop => say(out, reply::SUCCESS),
            Command::Help => help(arguments, out),
            Command::Version => {
                say(out, &reply::version());
                say(out, "\r\n");
                say(out, reply::SUCCESS);
            }
            Command::Binary => say(out, reply::NO_BINARY),
            Command::User => self.user(arguments, out),
            Command::Pass => return self.pass(arguments, out),
            Command::Quit => {
                say(out, reply::CLOSED);
                return Some(Request::Close);
            }
            Command::Send => return self.send(arguments, now, out),
            Command::Retrieve => return self.retrieve(arguments, out),
            Command::ReceiveLoop => {
                self.looping = true;
                say(out, reply::LOOP_ENTERED);
            }
            Command::QuitLoop => {
                self.looping = false;
                say(out, reply::LOOP_LEFT);
            }
            Command::Clear => {
                say(out, reply::CLEARED);
                return Some(Request::Clear);
            }
            Command::GetGuid => {
                if let Some(identity) = &self.identity {
                    say(out, &format!("{}\r\n{}", identity.guid, reply::SUCCESS));
                }
            }
            Command::ChannelId => {
                if let Some(identity) = &self.identity {
                    say(out, &format!("{}\r\n{}", identity.channel, reply::SUCCESS));
                }
            }
            Command::SetGuid => return self.set_guid(arguments, out),
            Command::SetFilter => return self.set_filter(arguments, out, |pair| &mut pair.filter),
            Command::SetMask => return self.set_filter(arguments, out, |pair| &mut pair.mask),
            Command::Interface => return self.interface(arguments, out),
            Command::Challenge => return Some(Request::Challenge),
            Command::CheckData => return Some(Request::Count),
            Command::Stat => return Some(Request::Stat),
            Command::Info => return Some(Request::Info),
            Command::WhatCanYouDo => return Some(Request::Capabilities),
            Command::Test => return Some(Request::Test),
            Command::Shutdown => return Some(Request::Shutdown),
            Command::Restart => return Some(Request::Restart),
        }
        None
    }

    /// Every rule about who may use a command.
    fn admit(&self, entry: &Entry) -> Result<(), &'static str> {
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

    fn user(&mut self, name: &str, out: &mut Vec<u8>) {
        if self.identity.is_some() {
            return say(out, reply::SUCCESS);
        }
        if name.is_empty() || name.len() > MOST_NAME {
            return say(out, reply::PARAMETER);
        }
        self.name = Some(name.to_owned());
        say(out, reply::USER_OK);
    }

    fn pass(&mut self, password: &str, out: &mut Vec<u8>) -> Option<Request> {
        if self.identity.is_some() {
            say(out, reply::SUCCESS);
            return None;
        }
        let Some(user) = self.name.take() else {
            say(out, reply::NEED_USER);
            return None;
        };
        if password.is_empty() || password.len() > MOST_NAME {
            say(out, reply::PARAMETER);
            return Some(Request::Close);
        }
        Some(Request::Login {
            user,
            password: Zeroizing::new(password.to_owned()),
        })
    }

    fn send(&self, arguments: &str, now: u64, out: &mut Vec<u8>) -> Option<Request> {
        let Identity {
            user,
            channel,
            guid,
        } = self.identity.as_ref()?;
        let line = match arguments.strip_prefix('$') {
            None => arguments,
            Some(name) => match self.variables.get(name.trim()) {
                Some(line) => line,
                None => {
                    say(out, reply::NO_VARIABLE);
                    return Some(Request::Mistake("no such variable".to_owned()));
                }
            },
        };
        let defaults = Defaults {
            now,
            obid: u32::from(*channel),
            guid: *guid,
        };
        let mut event = match text::parse(line, &defaults) {
            Ok(event) => event,
            Err(error) => {
                say(out, reply::PARAMETER);
                return Some(Request::Mistake(with_causes(&error)));
            }
        };
        match user.may_send(&event) {
            Ok(priority) => {
                event.head = event.head.with_priority(priority);
                Some(Request::Submit(event))
            }
            Err(refusal) => {
                say(
                    out,
                    match refusal {
                        Refusal::NotListed => reply::EVENT_REFUSED,
                        _ => reply::NO_RIGHT,
                    },
                );
                Some(Request::Mistake(refusal.to_string()))
            }
        }
    }

    fn retrieve(&self, arguments: &str, out: &mut Vec<u8>) -> Option<Request> {
        if self.looping {
            // All events are on their way already.
            say(out, reply::SUCCESS);
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
                    say(out, reply::PARAMETER);
                    Some(Request::Mistake(error.to_string()))
                }
            },
        }
    }

    fn set_guid(&mut self, arguments: &str, out: &mut Vec<u8>) -> Option<Request> {
        let identity = self.identity.as_mut()?;
        // An empty argument has always meant all zeros.
        let guid = if arguments.is_empty() {
            Ok(Guid::ZERO)
        } else {
            arguments.parse()
        };
        match guid {
            Ok(guid) => {
                identity.guid = guid;
                say(out, reply::SUCCESS);
                Some(Request::SetGuid(guid))
            }
            Err(error) => {
                say(out, reply::PARAMETER);
                Some(Request::Mistake(error.to_string()))
            }
        }
    }

    fn set_filter(
        &mut self,
        arguments: &str,
        out: &mut Vec<u8>,
        half: impl FnOnce(&mut FilterPair) -> &mut Filter,
    ) -> Option<Request> {
        match Filter::whole(arguments) {
            Ok(filter) => {
                *half(&mut self.filter) = filter;
                say(out, reply::SUCCESS);
                Some(Request::SetFilter(self.filter))
            }
            Err(error) => {
                say(out, reply::PARAMETER);
                Some(Request::Mistake(with_causes(&error)))
            }
        }
    }

    fn interface(&self, arguments: &str, out: &mut Vec<u8>) -> Option<Request> {
        let mut words = arguments.splitn(2, [' ', '\t']);
        if !words
            .next()
            .unwrap_or_default()
            .eq_ignore_ascii_case("close")
        {
            return Some(Request::Interfaces);
        }
        match words.next().unwrap_or_default().trim().parse() {
            Ok(guid) => Some(Request::CloseInterface(guid)),
            Err(error) => {
                say(out, reply::PARAMETER);
                Some(Request::Mistake(error.to_string()))
            }
        }
    }
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
    say(out, reply::SUCCESS);
}

/// A line of the client's, printed back: clients must not take it for a status line.
fn harmless(line: &str) -> String {
    let text: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    ["+OK", "-OK", "+ERR"]
        .iter()
        .fold(text, |text, status| text.replace(status, &status[1..]))
}

fn say(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;

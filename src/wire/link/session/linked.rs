//! The commands by which two drivers of this kind keep a link that loses nothing: custom ones, as
//! their X says (VSCP specification, "Custom commands"). Events have the number that they have in
//! the queue of whoever sends them, and the tag that they go by between drivers. The binary mode has
//! the same words and events, packed so that there is one way to read them.

use super::Session;
use crate::error::with_causes;
use crate::event::text::Defaults;
use crate::event::{Event, Tag};
use crate::wire::binary::code::LINK_RECEIVE;
use crate::wire::link::command::Command;
use crate::wire::link::numbered::{self, Numbered};
use crate::wire::link::packed::{self, Behind};
use crate::wire::link::reply;
use crate::wire::link::request::Request;

/// The version of these commands.
pub const LINK_VERSION: &str = "1";
/// Bytes of the marks of brokers.
const MARKS_MAX: usize = 1024;
/// Bytes of a link's name.
pub const LINK_NAME_MAX: usize = 128;

impl Session {
    pub(super) fn linked(
        &mut self,
        command: Command,
        arguments: &str,
        now: u64,
        out: &mut Vec<u8>,
    ) -> Option<Request> {
        let request = match command {
            Command::Link => resume(arguments).map(|resume| Request::Link {
                name: resume.name,
                queue: resume.queue,
                first: resume.number,
                brokers: resume.brokers,
            }),
            Command::LinkReceive => resume(arguments).map(|resume| Request::LinkReceive {
                name: resume.name,
                queue: resume.queue,
                last: resume.number,
            }),
            Command::LinkAcknowledge => arguments.parse().ok().map(Request::LinkAcknowledge),
            _ => {
                let defaults = self.link_defaults(now)?;
                return match numbered::read(arguments, &defaults) {
                    Ok(found) => self.link_event(found, out),
                    Err(error) => self.link_mistake(with_causes(&error), out),
                };
            }
        };
        request.or_else(|| self.link_mistake("not the arguments of a link".to_owned(), out))
    }

    /// The same with the argument of a frame.
    pub(super) fn linked_frame(
        &mut self,
        command: Command,
        argument: &[u8],
        maybe: [u8; 2],
        now: u64,
        out: &mut Vec<u8>,
    ) -> Option<Request> {
        if command == Command::LinkSend {
            let defaults = self.link_defaults(now)?;
            return match packed::read_event(argument, maybe, Behind::Command, &defaults) {
                Ok(found) => self.link_event(found, out),
                Err(error) => self.link_mistake(with_causes(&error), out),
            };
        }
        match packed::read_words(argument, maybe) {
            Some(words) => self.linked(command, &words, now, out),
            None => self.link_mistake("no words with a line feed behind them".to_owned(), out),
        }
    }

    /// What a refused command tells all the same: this is a link.
    pub(super) fn plain_link(&self, command: Command, arguments: &str) -> Option<Request> {
        let link = matches!(command, Command::Link | Command::LinkReceive);
        let known = self.identity.is_some() && link;
        let name = resume(arguments).filter(|_| known)?.name;
        Some(Request::PlainLink { name })
    }

    fn link_defaults(&self, now: u64) -> Option<Defaults> {
        let identity = self.identity.as_ref()?;
        Some(Defaults {
            now,
            obid: u32::from(identity.channel),
            guid: identity.guid,
        })
    }

    fn link_event(&mut self, found: Numbered, out: &mut Vec<u8>) -> Option<Request> {
        let Numbered { number, tag, event } = found;
        match self.pass_on(event, out)? {
            Request::Submit(event) => Some(Request::LinkEvent(Numbered { number, tag, event })),
            refused => Some(refused),
        }
    }

    fn link_mistake(&mut self, text: String, out: &mut Vec<u8>) -> Option<Request> {
        self.say(reply::PARAMETER, out);
        Some(Request::Mistake(text))
    }

    /// Events of a link come from now on, as in the receive loop.
    pub fn receive_link(&mut self) {
        self.looping = true;
        self.link_receives = true;
    }

    /// True where they may come.
    #[must_use]
    pub fn receives_link(&self) -> bool {
        self.link_receives
    }

    /// Appends an event that has waited for a link.
    pub fn say_linked(&mut self, number: u64, tag: Tag, event: &Event, out: &mut Vec<u8>) {
        if self.asked.is_some() {
            let argument = packed::event(number, tag, event, Behind::Reply);
            self.reply_frame(LINK_RECEIVE, 0, &argument, out);
        } else {
            numbered::write(number, tag, event, out);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends that the line is alive, where clients wait for that: those of the binary mode do as
    /// links alone.
    pub fn say_alive(&mut self, out: &mut Vec<u8>) {
        if self.asked.is_none() {
            out.extend_from_slice(reply::ALIVE.as_bytes());
        } else if self.link_receives {
            self.reply_frame(LINK_RECEIVE, 0, &[], out);
        }
    }
}

/// Where a link goes on.
struct Resume {
    name: String,
    queue: u64,
    number: u64,
    brokers: String,
}

/// `1 NAME QUEUE NUMBER [MARKS]`: the queue in hexadecimal digits; marks of brokers.
fn resume(arguments: &str) -> Option<Resume> {
    let mut words = arguments.split_ascii_whitespace();
    if words.next()? != LINK_VERSION {
        return None;
    }
    let name = words.next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    if name.len() > LINK_NAME_MAX || !name.bytes().all(plain) {
        return None;
    }
    let queue = u64::from_str_radix(words.next()?, 16).ok()?;
    let number = words.next()?.parse().ok()?;
    let brokers = words.next().unwrap_or_default();
    let good = words.next().is_none() && brokers.len() <= MARKS_MAX;
    good.then(|| Resume {
        name: name.to_owned(),
        queue,
        number,
        brokers: brokers.to_owned(),
    })
}

//! The commands by which two drivers of this kind keep a link that loses nothing: custom ones, as
//! their X says (VSCP specification, "Custom commands"). Events have the number that they have in
//! the queue of whoever sends them, and the tag that they go by between drivers.

use super::Session;
use crate::error::with_causes;
use crate::event::text::Defaults;
use crate::wire::link::command::Command;
use crate::wire::link::numbered::{self, Numbered};
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
            _ => return self.link_event(arguments, now, out),
        };
        if request.is_none() {
            self.say(reply::PARAMETER, out);
            return Some(Request::Mistake("not the arguments of a link".to_owned()));
        }
        request
    }

    fn link_event(&mut self, arguments: &str, now: u64, out: &mut Vec<u8>) -> Option<Request> {
        let identity = self.identity.as_ref()?;
        let defaults = Defaults {
            now,
            obid: u32::from(identity.channel),
            guid: identity.guid,
        };
        let Numbered { number, tag, event } = match numbered::read(arguments, &defaults) {
            Ok(found) => found,
            Err(error) => {
                self.say(reply::PARAMETER, out);
                return Some(Request::Mistake(with_causes(&error)));
            }
        };
        match self.pass_on(event, out)? {
            Request::Submit(event) => Some(Request::LinkEvent(Numbered { number, tag, event })),
            refused => Some(refused),
        }
    }

    /// Events of a link come from now on, as in the receive loop.
    pub fn receive_link(&mut self) {
        self.looping = true;
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

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
/// Bytes of a link's name.
pub const LINK_NAME_MAX: usize = 64;

impl Session {
    pub(super) fn linked(
        &mut self,
        command: Command,
        arguments: &str,
        now: u64,
        out: &mut Vec<u8>,
    ) -> Option<Request> {
        let request = match command {
            Command::Link => {
                resume(arguments).map(|(name, queue, first)| Request::Link { name, queue, first })
            }
            Command::LinkReceive => resume(arguments)
                .map(|(name, queue, last)| Request::LinkReceive { name, queue, last }),
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

/// `1 NAME QUEUE NUMBER`: the queue in hexadecimal digits.
fn resume(arguments: &str) -> Option<(String, u64, u64)> {
    let mut words = arguments.split_ascii_whitespace();
    let mut word = || words.next();
    if word()? != LINK_VERSION {
        return None;
    }
    let name = word()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    if name.len() > LINK_NAME_MAX || !name.bytes().all(plain) {
        return None;
    }
    let queue = u64::from_str_radix(word()?, 16).ok()?;
    let number = word()?.parse().ok()?;
    words
        .next()
        .is_none()
        .then(|| (name.to_owned(), queue, number))
}

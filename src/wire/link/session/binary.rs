//! The same dialogue in frames: what a frame asks for, and the frame that answers it.

use zeroize::Zeroizing;

use super::{MOST_NAME, Session};
use crate::auth::RandomError;
use crate::event::text::Defaults;
use crate::event::{Event, Filter, FilterPair, Guid, frame};
use crate::wire::binary::code::{EVENT_CONFIRM, SET_FILTER, TEXT};
use crate::wire::binary::{self, BadFrame, Frame, Mark};
use crate::wire::link::answer::{Answer, InterfacePart};
use crate::wire::link::command::{self, Command};
use crate::wire::link::packed;
use crate::wire::link::reply::{self, Status};
use crate::wire::link::request::{Request, Which};

/// Bytes of a filter or a mask: priority, class, type, GUID.
const FILTER: usize = 21;

/// What is being answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Command {
        code: u16,
        part: Option<InterfacePart>,
    },
    Event {
        head: u16,
        crc: u16,
    },
}

impl Session {
    /// Takes one frame. Appends the reply to `out`, or returns what has to be done first, as
    /// [`handle`](Self::handle) does.
    ///
    /// # Errors
    /// [`BadFrame`] for a reply to what was not asked.
    pub fn handle_frame(
        &mut self,
        frame: Frame,
        now: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<Request>, BadFrame> {
        Ok(match frame {
            Frame::Event { bytes, head, crc } => {
                self.asked = Some(Asked::Event { head, crc });
                if let Err(refusal) = self.admit(command::of_event()) {
                    self.say(refusal, out);
                    return Ok(None);
                }
                self.submit(&bytes, now, out)
            }
            Frame::Command {
                code,
                argument,
                maybe,
            } => {
                let part = None;
                self.asked = Some(Asked::Command { code, part });
                self.obey(code, argument, maybe, now, out)
            }
            // That an event has arrived.
            Frame::Reply {
                code: EVENT_CONFIRM,
                ..
            } => None,
            Frame::Reply { .. } => return Err(BadFrame::Type(15)),
        })
    }

    fn obey(
        &mut self,
        code: u16,
        mut argument: Vec<u8>,
        maybe: [u8; 2],
        now: u64,
        out: &mut Vec<u8>,
    ) -> Option<Request> {
        if code == TEXT {
            if !argument.is_empty() {
                return self.refuse(reply::PARAMETER, out);
            }
            self.say(reply::SUCCESS, out);
            self.asked = None;
            // Events are not for everybody's eyes.
            let anybody = !self.secure && self.terms.encrypted_only;
            self.looping &= !anybody;
            self.link_receives &= !anybody;
            return None;
        }
        let Some(entry) = command::find_code(code) else {
            self.say(reply::UNKNOWN, out);
            return None;
        };
        if let Err(refusal) = self.admit(entry) {
            self.say(refusal, out);
            let words = packed::read_words(&argument, maybe)?;
            return self.plain_link(entry.command, &words);
        }
        if entry.command == Command::Retrieve && self.looping {
            return self.refuse(reply::NOT_SUPPORTED, out);
        }
        if let Command::Link | Command::LinkSend | Command::LinkReceive | Command::LinkAcknowledge =
            entry.command
        {
            return self.linked_frame(entry.command, &argument, maybe, now, out);
        }
        let Some(more) = lacking(entry.command, &argument, maybe) else {
            return self.refuse(reply::PARAMETER, out);
        };
        argument.extend_from_slice(&maybe[..more]);
        let argument = &argument[..];
        match entry.command {
            Command::User => self.name_by(readings(argument, maybe), out),
            Command::Pass => self.pass(readings(argument, maybe), out),
            // The frame of an event without its first byte and its CRC.
            Command::Send => self.submit(&frame::whole(argument), now, out),
            Command::Retrieve => match *argument {
                [] | [0, 0] => Some(Request::Retrieve(Some(1))),
                [high, low] => {
                    let count = u16::from_be_bytes([high, low]);
                    Some(Request::Retrieve(Some(count.into())))
                }
                _ => self.refuse(reply::PARAMETER, out),
            },
            Command::CheckData if self.looping => {
                self.say(Answer::Count(0), out);
                None
            }
            Command::SetGuid => match <[u8; 16]>::try_from(argument) {
                Ok(guid) => self.take_guid(guid.into(), out),
                Err(_) => self.refuse(reply::PARAMETER, out),
            },
            Command::SetFilter | Command::SetMask => self.set_filters(code, argument, out),
            Command::Interface => self.interface_part(code, argument, out),
            _ => self.simple(entry.command, out),
        }
    }

    /// USER, which may have the password behind a colon.
    fn name_by(&mut self, texts: Vec<Zeroizing<String>>, out: &mut Vec<u8>) -> Option<Request> {
        let first = texts.first().map(|text| text.as_str()).unwrap_or_default();
        let Some((name, _)) = first.split_once(':') else {
            let names = texts.iter().map(|text| text.to_string());
            self.user(names.collect(), out);
            return None;
        };
        if name.is_empty() || name.len() > MOST_NAME {
            return self.refuse(reply::PARAMETER, out);
        }
        self.names = vec![name.to_owned()];
        let passwords = texts.iter().filter_map(|text| text.get(name.len() + 1..));
        let passwords = passwords.filter(|text| !text.is_empty());
        self.pass(
            passwords
                .map(|text| Zeroizing::new(text.to_owned()))
                .collect(),
            out,
        )
    }

    fn submit(&mut self, bytes: &[u8], now: u64, out: &mut Vec<u8>) -> Option<Request> {
        let identity = self.identity.as_ref()?;
        let defaults = Defaults {
            now,
            obid: u32::from(identity.channel),
            guid: identity.guid,
        };
        match frame::read(bytes, &defaults) {
            Ok(event) => self.pass_on(event, out),
            Err(error) => {
                self.say(reply::PARAMETER, out);
                Some(Request::Mistake(error.to_string()))
            }
        }
    }

    fn set_filters(&mut self, code: u16, argument: &[u8], out: &mut Vec<u8>) -> Option<Request> {
        let mut pair: FilterPair = self.filter;
        match (code, argument.len()) {
            (SET_FILTER, FILTER) => pair.filter = filter(argument)?,
            (SET_FILTER, len) if len == 2 * FILTER => {
                pair.filter = filter(&argument[..FILTER])?;
                pair.mask = filter(&argument[FILTER..])?;
            }
            (_, FILTER) => pair.mask = filter(argument)?,
            _ => return self.refuse(reply::PARAMETER, out),
        }
        self.take_filter(pair, out)
    }

    fn interface_part(&mut self, code: u16, argument: &[u8], out: &mut Vec<u8>) -> Option<Request> {
        let numbers: Vec<u16> = argument
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |n, &byte| n << 8 | u16::from(byte)))
            .collect();
        let (part, request) = match (argument.len() % 2, &numbers[..]) {
            (0, [] | [0]) => (InterfacePart::Count, Request::Interfaces),
            (0, &[1, at]) => (InterfacePart::One(at), Request::Interfaces),
            (0, &[2, at]) => {
                let which = Which::Index(at.into());
                (InterfacePart::Closed(at), Request::CloseInterface(which))
            }
            (0, &[3, _]) => return self.refuse(reply::NOT_SUPPORTED, out),
            _ => return self.refuse(reply::PARAMETER, out),
        };
        let part = Some(part);
        self.asked = Some(Asked::Command { code, part });
        Some(request)
    }

    fn refuse(&mut self, status: Status, out: &mut Vec<u8>) -> Option<Request> {
        self.say(status, out);
        // INFO tells of it, where there is a channel.
        let mistake = || Request::Mistake(status.text().trim().to_owned());
        self.identity.is_some().then(mistake)
    }

    /// Appends a reply frame to what is being answered.
    pub(super) fn say_frame(&mut self, asked: Asked, answer: &Answer, out: &mut Vec<u8>) {
        let status = answer.status().code();
        let (code, part) = match asked {
            Asked::Command { code, part } => (code, part),
            Asked::Event { head, crc } => {
                let mut argument = u32::from(head).to_be_bytes().to_vec();
                argument.extend(crc.to_be_bytes());
                return self.reply_frame(EVENT_CONFIRM, status, &argument, out);
            }
        };
        match answer.argument(part) {
            Ok(argument) => self.reply_frame(code, status, &argument, out),
            Err(error) => self.reply_frame(code, error, &[], out),
        }
    }

    /// Appends an event to a binary client: in answer to RETR, or as it arrives.
    pub fn say_event(&mut self, event: &Event, in_answer: bool, out: &mut Vec<u8>) {
        if in_answer && let Some(Asked::Command { code, .. }) = self.asked {
            let mut bytes = Vec::new();
            frame::write(event, crate::event::json::Generation::V2, &mut bytes);
            // Without the first byte and the CRC.
            self.reply_frame(code, 0, &bytes[1..bytes.len() - 2], out);
        } else if let Some(cipher) = &self.terms.cipher {
            let written = binary::write_event(event, cipher, out);
            self.note(written);
        }
    }

    pub(super) fn reply_frame(
        &mut self,
        code: u16,
        error: u16,
        argument: &[u8],
        out: &mut Vec<u8>,
    ) {
        if let Some(cipher) = &self.terms.cipher {
            let written = binary::write_reply(code, error, argument, cipher, out);
            self.note(written);
        }
    }

    fn note(&mut self, written: Result<Mark, RandomError>) {
        match written {
            Ok(mark) => self.marks.push(mark),
            Err(_) => self.broken = true,
        }
    }
}

/// True for the frames that a login is made of.
#[must_use]
pub fn is_login(frame: &Frame) -> bool {
    let Frame::Command { code, .. } = frame else {
        return false;
    };
    command::find_code(*code)
        .is_some_and(|entry| matches!(entry.command, Command::User | Command::Pass))
}

/// The texts that an argument may be: it may be as long as it likes, so that all ways to read the
/// frame are tried, the likeliest first.
fn readings(argument: &[u8], maybe: [u8; 2]) -> Vec<Zeroizing<String>> {
    let mut found: Vec<Zeroizing<String>> = Vec::new();
    for more in 0..=maybe.len() {
        let bytes = Zeroizing::new([argument, &maybe[..more]].concat());
        let Ok(text) = std::str::from_utf8(&bytes) else {
            continue;
        };
        let text = text.trim_end_matches('\0');
        let readable = more == 0 || !text.contains(char::is_control);
        if readable && !text.is_empty() && found.iter().all(|known| known.as_str() != text) {
            found.push(Zeroizing::new(text.to_owned()));
        }
    }
    found
}

/// How many bytes more an argument must have to make sense; `None` where it makes none. What kind
/// of frame it is stands outside of the CRC: an event that somebody has made a command of is told
/// by its length, mostly. Two more is so rare that it counts for
/// events alone, which say how long they are: an argument is wrong more often.
fn lacking(command: Command, argument: &[u8], maybe: [u8; 2]) -> Option<usize> {
    let has = argument.len();
    let fits = |whole: usize| {
        let lengths: &[usize] = match command {
            Command::User | Command::Pass | Command::Challenge => return whole == has,
            Command::Send => {
                let byte = |at: usize| argument.iter().chain(&maybe).nth(at).copied();
                let size = byte(33)
                    .zip(byte(34))
                    .map(|pair| u16::from_be_bytes(pair.into()));
                return size.is_some_and(|size| whole == 35 + usize::from(size));
            }
            Command::Retrieve | Command::Test => &[0, 2],
            Command::SetGuid => &[16],
            Command::SetFilter => &[FILTER, 2 * FILTER],
            Command::SetMask => &[FILTER],
            Command::Interface => &[0, 2, 4],
            _ => &[0],
        };
        lengths.contains(&whole)
    };
    let most = if command == Command::Send { 2 } else { 1 };
    (0..=most).find(|more| fits(has + more))
}

fn filter(bytes: &[u8]) -> Option<Filter> {
    let short = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let guid: [u8; 16] = bytes.get(5..)?.try_into().ok()?;
    Some(Filter {
        priority: bytes.first()? & 7,
        class: short(1)?,
        vscp_type: short(3)?,
        guid: Guid::from(guid),
    })
}

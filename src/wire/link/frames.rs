//! The binary mode from the client's side: commands to frames, frames to the lines that the text
//! mode would have had (VSCP specification, "VSCP general binary protocol").

use thiserror::Error;
use zeroize::Zeroizing;

use super::command::find;
use super::packed::{self, Behind, PackedError};
use super::{command, numbered};
use crate::auth::RandomError;
use crate::event::json::Generation;
use crate::event::text::{self, Defaults, EventTextError, TextForm};
use crate::event::{Event, Filter, FilterError, Guid, Tag, frame};
use crate::wire::binary::code::{
    EVENT_CONFIRM, LINK, LINK_ACKNOWLEDGE, LINK_SEND, QUIT, SET_FILTER, SET_MASK, USER, error,
};
use crate::wire::binary::replay::Seen;
use crate::wire::binary::{BadFrame, Cipher, Frame, FrameReader, Mark, write_command, write_reply};

/// Why something cannot be said, or was not understood, in frames.
#[derive(Debug, Error)]
pub enum FrameError {
    /// What came is no frame.
    #[error("the server sent something that is no frame of this key")]
    Bad(#[from] BadFrame),
    /// No vector can be made.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// An event that is none.
    #[error("it is no event")]
    Event(#[from] EventTextError),
    /// A filter that is none.
    #[error("it is no filter")]
    Filter(#[from] FilterError),
    /// A command that this program does not use.
    #[error("{0} cannot be said in the binary mode")]
    Command(String),
    /// A number that is none.
    #[error("{0:?} is not a number")]
    Number(String),
    /// An event of a link that is none.
    #[error("what the server sent for the link cannot be read")]
    Packed(#[from] PackedError),
    /// A reply that no command of a link has: what stands in it cannot be trusted.
    #[error("the server answered to command {0}, which was not asked")]
    Unasked(u16),
}

/// One connection's frames.
#[derive(Debug)]
pub struct Frames {
    cipher: Cipher,
    reader: FrameReader,
    /// What has come and what was sent: none of it is the server's once more.
    seen: Seen,
    /// The name of a USER: it goes along with the password.
    user: String,
    /// The number of the command that was said last, and how many events it asked for.
    asked: (u16, u16),
    /// The answer to XRCV has still to come; what comes after it are events.
    listens: bool,
    /// The server is a driver of this kind, and this is a link: its frames end in zeros, and no
    /// answer may be taken for another one.
    linked: bool,
}

/// What INTERFACE asks for: how many there are, or one of them.
const INTERFACE_COUNT: [u8; 2] = [0, 0];
const INTERFACE_ROW: [u8; 2] = [0, 1];
/// Bytes of a number in a reply.
const NUMBER: usize = 4;
const NOTHING: Defaults = Defaults {
    now: 0,
    obid: 0,
    guid: Guid::ZERO,
};

impl Frames {
    /// For a session that has just begun.
    #[must_use]
    pub fn new(cipher: Cipher) -> Self {
        Self {
            cipher,
            reader: FrameReader::default(),
            seen: Seen::default(),
            user: String::new(),
            asked: (0, 0),
            listens: false,
            linked: false,
        }
    }

    /// The frame of a command; `None` for USER, which needs its password.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn command(&mut self, words: &[&str]) -> Result<Option<Vec<u8>>, FrameError> {
        let mut out = Vec::new();
        let mark = match words {
            ["USER", name] => {
                (*name).clone_into(&mut self.user);
                return Ok(None);
            }
            ["PASS", password] => {
                let both = Zeroizing::new(format!("{}:{password}", self.user));
                write_command(USER, both.as_bytes(), &self.cipher, &mut out)?
            }
            ["SEND", event] => {
                // What is zero is the server's to fill in.
                let mut plain = Vec::new();
                frame::write(&text::parse(event, &NOTHING)?, Generation::V2, &mut plain);
                self.cipher.seal(&plain, &mut out)?
            }
            ["SFLT", filter] => self.filter(SET_FILTER, filter, &mut out)?,
            ["SMSK", filter] => self.filter(SET_MASK, filter, &mut out)?,
            ["RETR", count] => {
                let number = count.parse::<u16>();
                let count = number.map_err(|_| FrameError::Number((*count).to_owned()))?;
                self.plain("RETR", &count.to_be_bytes(), &mut out)?
            }
            ["INTERFACE"] => self.plain("INTERFACE", &INTERFACE_COUNT, &mut out)?,
            ["INTERFACE", at] => {
                let number = at.parse::<u16>();
                let at = number.map_err(|_| FrameError::Number((*at).to_owned()))?;
                let argument = [INTERFACE_ROW, at.to_be_bytes()].concat();
                self.plain("INTERFACE", &argument, &mut out)?
            }
            [word @ ("NOOP" | "RCVLOOP" | "QUITLOOP" | "CDTA" | "CHID" | "GGID" | "QUIT")] => {
                self.plain(word, &[], &mut out)?
            }
            [word @ ("XLINK" | "XRCV" | "XACK"), rest @ ..] => {
                self.listens |= *word == "XRCV";
                self.plain(word, &packed::words(&rest.join(" ")), &mut out)?
            }
            other => return Err(FrameError::Command(other.join(" "))),
        };
        self.seen.sent([mark]);
        Ok(Some(out))
    }

    /// The frame of XSEND.
    ///
    /// # Errors
    /// [`FrameError::Random`].
    pub fn link_event(
        &mut self,
        number: u64,
        tag: Tag,
        event: &Event,
    ) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        let argument = packed::event(number, tag, event, Behind::Command);
        let mark = write_command(LINK_SEND, &argument, &self.cipher, &mut out)?;
        self.seen.sent([mark]);
        Ok(out)
    }

    fn plain(
        &mut self,
        word: &str,
        argument: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Mark, FrameError> {
        let code = find(word).and_then(|entry| entry.code);
        let code = code.ok_or_else(|| FrameError::Command(word.to_owned()))?;
        let count = argument
            .first_chunk()
            .copied()
            .map_or(0, u16::from_be_bytes);
        self.asked = (code, count);
        Ok(write_command(code, argument, &self.cipher, out)?)
    }

    fn filter(&self, code: u16, filter: &str, out: &mut Vec<u8>) -> Result<Mark, FrameError> {
        let filter: Filter = filter.parse()?;
        let mut argument = vec![filter.priority];
        argument.extend(filter.class.to_be_bytes());
        argument.extend(filter.vscp_type.to_be_bytes());
        argument.extend(filter.guid.bytes());
        Ok(write_command(code, &argument, &self.cipher, out)?)
    }

    /// Takes bytes; gives the lines that they stand for, and what is to be answered.
    ///
    /// # Errors
    /// [`FrameError`]: nothing after it can be trusted.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), FrameError> {
        let (mut lines, mut answers) = (Vec::new(), Vec::new());
        self.reader.push(bytes);
        while let Some((found, mark)) = self.reader.next_frame(&self.cipher, !self.linked)? {
            if !self.seen.is_new(&mark, false) {
                return Err(BadFrame::Replayed.into());
            }
            match found {
                Frame::Reply {
                    code,
                    error,
                    argument,
                    maybe,
                } => self.reply(code, error, argument, maybe, &mut lines)?,
                Frame::Event { bytes, head, crc } => {
                    if !write_line(&bytes, &mut lines) {
                        continue;
                    }
                    let mut argument = u32::from(head).to_be_bytes().to_vec();
                    argument.extend(crc.to_be_bytes());
                    let mark =
                        write_reply(EVENT_CONFIRM, 0, &argument, &self.cipher, &mut answers)?;
                    self.seen.sent([mark]);
                }
                Frame::Command { .. } => {}
            }
        }
        Ok((lines, answers))
    }

    /// The lines of a reply: what it says first, then how it ended.
    fn reply(
        &mut self,
        code: u16,
        error: u16,
        mut argument: Vec<u8>,
        maybe: [u8; 2],
        lines: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let of_a_link = matches!(code, 0 | QUIT | LINK..=LINK_ACKNOWLEDGE);
        if self.linked && !of_a_link {
            return Err(FrameError::Unasked(code));
        }
        let answers = error == error::SUCCESS && code == self.asked.0;
        let mut say = |text: &str| {
            lines.extend_from_slice(text.as_bytes());
            lines.extend_from_slice(b"\r\n");
        };
        match command::find_code(code).map(|entry| entry.names[0]) {
            Some("RETR") if answers && !argument.is_empty() => {
                if let Some(whole) = packed::complete(&argument, maybe, packed::is_event) {
                    argument = whole;
                }
                write_line(&frame::whole(&argument), lines);
                self.asked.1 = self.asked.1.saturating_sub(1);
                if self.asked.1 > 0 {
                    return Ok(());
                }
            }
            Some("CHID" | "CDTA") if answers => {
                if argument.len() == NUMBER - 1 {
                    argument.push(maybe[0]);
                }
                let number = argument
                    .iter()
                    .fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
                say(&number.to_string());
            }
            Some("GGID") if answers => {
                let whole = packed::complete(&argument, maybe, |bytes| bytes.len() == 16);
                let guid = whole.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
                if let Some(guid) = guid {
                    say(&Guid::from(guid).to_string());
                }
            }
            Some("INTERFACE") if answers => match argument[..] {
                // The number of rows; or which one it is, its GUID and its name.
                [] => {}
                [one] => say(&u16::from_be_bytes([one, maybe[0]]).to_string()),
                [one, two] => say(&u16::from_be_bytes([one, two]).to_string()),
                [_, _, one, two, ref rest @ ..] => {
                    if let Some((guid, name)) = rest.split_first_chunk::<16>() {
                        let at = u16::from_be_bytes([one, two]);
                        let name = String::from_utf8_lossy(name);
                        let name = name.split(char::is_control).next().unwrap_or_default();
                        say(&format!("{at},0,{},{name}", Guid::from(*guid)));
                    }
                }
                _ => {}
            },
            Some("XLINK") if answers => {
                if let Some(words) = packed::read_words(&argument, maybe) {
                    let (last, brokers) = words.split_once(' ').unwrap_or((&words, ""));
                    say(brokers);
                    say(last);
                    self.linked = true;
                }
            }
            Some("XRCV") if std::mem::take(&mut self.listens) => {
                if error == error::SUCCESS
                    && let Some(words) = packed::read_words(&argument, maybe)
                {
                    say(&words);
                    self.linked = true;
                }
            }
            Some("XRCV") if error == error::SUCCESS && !argument.is_empty() => {
                let found = packed::read_event(&argument, maybe, Behind::Reply, &NOTHING)?;
                numbered::write(found.number, found.tag, &found.event, lines);
                lines.extend_from_slice(b"\r\n");
                return Ok(());
            }
            _ => {}
        }
        lines.extend_from_slice(words(error).as_bytes());
        Ok(())
    }
}

/// The line of an event's frame; false where it is none.
fn write_line(bytes: &[u8], lines: &mut Vec<u8>) -> bool {
    let Ok(event) = frame::read(bytes, &NOTHING) else {
        return false;
    };
    text::write(&event, TextForm::Nanos, lines);
    lines.extend_from_slice(b"\r\n");
    true
}

/// What the text mode would have said.
fn words(error: u16) -> String {
    let words = match error {
        error::SUCCESS => return "+OK - Success.\r\n".to_owned(),
        error::NOT_SUPPORTED => "it is not supported",
        error::TRM_FULL => "Buffer Full",
        error::NOT_OPEN => "not logged in",
        error::PARAMETER => "invalid parameter",
        error::PASSWORD => "invalid user name or password",
        error::CONNECTION => "no room for another client",
        error::PERMISSION => "not allowed",
        error::INTERNAL => "server error",
        _ => return format!("-OK - error {error}\r\n"),
    };
    format!("-OK - {words} (error {error})\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::binary::code::LINK_RECEIVE;
    use crate::wire::binary::{Strength, write_event};

    #[test]
    fn what_comes_twice_or_comes_back_ends_the_session() {
        let cipher = Cipher::new(Strength::Aes128, &[7; 16]).unwrap();
        let event = text::parse("0,20,3,,,,::1,5", &NOTHING).unwrap();
        let mut from_server = Vec::new();
        write_event(&event, &cipher, &mut from_server).unwrap();
        let mut frames = Frames::new(cipher);
        let sent = frames.command(&["SEND", "0,20,3,,,,::1,6"]).unwrap();
        let (lines, confirmation) = frames.take(&from_server).unwrap();
        assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 1);
        for again in [from_server, sent.unwrap(), confirmation] {
            assert!(matches!(
                frames.take(&again),
                Err(FrameError::Bad(BadFrame::Replayed))
            ));
            // Nothing after it would be believed, so each is looked at on its own.
            frames.reader = FrameReader::default();
        }
    }

    fn frames() -> (Frames, Cipher) {
        let cipher = Cipher::new(Strength::Aes128, &[7; 16]).unwrap();
        (Frames::new(cipher.clone()), cipher)
    }

    /// What the lines of a reply are.
    fn hear(frames: &mut Frames, cipher: &Cipher, reply: (u16, u16, &[u8])) -> String {
        let mut wire = Vec::new();
        write_reply(reply.0, reply.1, reply.2, cipher, &mut wire).unwrap();
        String::from_utf8(frames.take(&wire).unwrap().0).unwrap()
    }

    #[test]
    fn a_reply_whose_crc_ends_in_a_zero_is_read_whole() {
        let (mut frames, cipher) = frames();
        let ok = "+OK - Success.\r\n";
        // A 256th of them have such a CRC.
        for n in 0..1000_u32 {
            frames.command(&["CHID"]).unwrap();
            let said = hear(&mut frames, &cipher, (13, 0, &n.to_be_bytes()));
            assert_eq!(said, format!("{n}\r\n{ok}"));
            let mut guid = [0; 16];
            guid[..4].copy_from_slice(&n.to_be_bytes());
            frames.command(&["GGID"]).unwrap();
            let said = hear(&mut frames, &cipher, (15, 0, &guid));
            assert_eq!(said, format!("{}\r\n{ok}", Guid::from(guid)));
            let event = text::parse(&format!("0,20,3,,,,::1,{}", n % 256), &NOTHING).unwrap();
            let event = Event {
                time: crate::event::EventTime::Unix { nanos: n.into() },
                ..event
            };
            let mut bytes = Vec::new();
            frame::write(&event, Generation::V2, &mut bytes);
            frames.command(&["RETR", "1"]).unwrap();
            let said = hear(&mut frames, &cipher, (6, 0, &bytes[1..bytes.len() - 2]));
            assert_eq!(said.lines().count(), 2, "{said}");
        }
    }

    #[test]
    fn interfaces_are_counted_and_shown_one_by_one() {
        let (mut frames, cipher) = frames();
        let ok = "+OK - Success.\r\n";
        for n in 0..600_u16 {
            frames.command(&["INTERFACE"]).unwrap();
            let said = hear(&mut frames, &cipher, (19, 0, &n.to_be_bytes()));
            assert_eq!(said, format!("{n}\r\n{ok}"));
            let mut row = vec![0, 1];
            row.extend(n.to_be_bytes());
            row.extend([7; 16]);
            row.extend(b"tcp/ip client 127.0.0.1:9 | Started\0");
            frames.command(&["INTERFACE", &n.to_string()]).unwrap();
            let said = hear(&mut frames, &cipher, (19, 0, &row));
            let row = format!(
                "{n},0,{},tcp/ip client 127.0.0.1:9 | Started",
                Guid::from([7; 16])
            );
            assert_eq!(said, format!("{row}\r\n{ok}"));
        }
        frames.command(&["INTERFACE", "9"]).unwrap();
        let said = hear(&mut frames, &cipher, (19, error::INDEX, &[]));
        assert!(said.starts_with("-OK"), "{said}");
    }

    #[test]
    fn what_a_far_end_says_of_a_link_becomes_lines() {
        let (mut frames, cipher) = frames();
        let words = ["XLINK", "1", "near", "ab", "5", ""];
        frames.command(&words).unwrap();
        let said = hear(&mut frames, &cipher, (LINK, 17, b""));
        assert_eq!(said, "-OK - it is not supported (error 17)\r\n");
        // Of another kind: there is no link, and any answer is one.
        let said = hear(&mut frames, &cipher, (777, 0, b""));
        assert_eq!(said, "+OK - Success.\r\n");
        frames.command(&words).unwrap();
        let said = hear(&mut frames, &cipher, (LINK, 0, b"12 ab,cd\n"));
        assert_eq!(said, "ab,cd\r\n12\r\n+OK - Success.\r\n");
        frames.command(&words).unwrap();
        let said = hear(&mut frames, &cipher, (LINK, 0, b"12\n"));
        assert_eq!(said, "\r\n12\r\n+OK - Success.\r\n");
        let said = hear(&mut frames, &cipher, (LINK_SEND, 21, b""));
        assert_eq!(said, "-OK - Buffer Full (error 21)\r\n");
        frames.command(&["XRCV", "1", "near", "0", "0"]).unwrap();
        let said = hear(&mut frames, &cipher, (LINK_RECEIVE, 0, b"00ab\n"));
        assert_eq!(said, "00ab\r\n+OK - Success.\r\n");
        let event = text::parse("0,20,3,,,,::1,5", &NOTHING).unwrap();
        let tag = Tag {
            origin: 1,
            number: 2,
        };
        let argument = packed::event(3, tag, &event, Behind::Reply);
        let said = hear(&mut frames, &cipher, (LINK_RECEIVE, 0, &argument));
        assert!(said.starts_with("3 0000000000000001.2 "), "{said}");
        assert!(numbered::read(said.trim_end(), &NOTHING).is_ok(), "{said}");
        let said = hear(&mut frames, &cipher, (LINK_RECEIVE, 0, b""));
        assert_eq!(said, "+OK - Success.\r\n");
    }

    /// An event would be taken for one that the server has, or will not have.
    #[test]
    fn what_is_no_answer_of_a_link_ends_it() {
        let (mut frames, cipher) = frames();
        frames.command(&["XLINK", "1", "near", "ab", "5"]).unwrap();
        hear(&mut frames, &cipher, (LINK, 0, b"12\n"));
        let mut wire = Vec::new();
        write_reply(777, 17, b"", &cipher, &mut wire).unwrap();
        let ended = frames.take(&wire);
        assert!(matches!(ended, Err(FrameError::Unasked(777))), "{ended:?}");
        let mut wire = Vec::new();
        write_reply(LINK_RECEIVE, 0, b"nonsense", &cipher, &mut wire).unwrap();
        let ended = frames.take(&wire);
        assert!(matches!(ended, Err(FrameError::Packed(_))), "{ended:?}");
    }
}

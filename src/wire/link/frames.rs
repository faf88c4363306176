//! The binary mode from the client's side: commands to frames, frames to the lines that the text
//! mode would have had (VSCP specification, "VSCP general binary protocol").

use thiserror::Error;
use zeroize::Zeroizing;

use super::command::find;
use crate::auth::RandomError;
use crate::event::json::Generation;
use crate::event::text::{self, Defaults, EventTextError, TextForm};
use crate::event::{Filter, FilterError, Guid, frame};
use crate::wire::binary::code::{EVENT_CONFIRM, SET_FILTER, SET_MASK, USER, error};
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
}

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
            [word @ ("NOOP" | "RCVLOOP" | "QUITLOOP" | "CDTA" | "CHID" | "GGID" | "QUIT")] => {
                self.plain(word, &[], &mut out)?
            }
            other => return Err(FrameError::Command(other.join(" "))),
        };
        self.seen.sent([mark]);
        Ok(Some(out))
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
        while let Some((found, mark)) = self.reader.next_frame(&self.cipher, true)? {
            if !self.seen.is_new(&mark, false) {
                return Err(BadFrame::Replayed.into());
            }
            match found {
                Frame::Reply {
                    code,
                    error,
                    argument,
                } => self.reply(code, error, &argument, &mut lines),
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
    fn reply(&mut self, code: u16, error: u16, argument: &[u8], lines: &mut Vec<u8>) {
        let name = |name| find(name).and_then(|entry| entry.code) == Some(code);
        if error == error::SUCCESS && code == self.asked.0 {
            if name("RETR") && !argument.is_empty() {
                // The frame of an event without its first byte and its CRC.
                let mut bytes = vec![(argument[0] & 0x03) << 4];
                bytes.extend_from_slice(argument);
                bytes.extend(frame::crc(argument).to_be_bytes());
                write_line(&bytes, lines);
                self.asked.1 = self.asked.1.saturating_sub(1);
                if self.asked.1 > 0 {
                    return;
                }
            } else if name("CHID") || name("CDTA") {
                let number = argument
                    .iter()
                    .fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
                lines.extend_from_slice(format!("{number}\r\n").as_bytes());
            } else if name("GGID")
                && let Ok(guid) = <[u8; 16]>::try_from(argument)
            {
                lines.extend_from_slice(format!("{}\r\n", Guid::from(guid)).as_bytes());
            }
        }
        lines.extend_from_slice(words(error).as_bytes());
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
}

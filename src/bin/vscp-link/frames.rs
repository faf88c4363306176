//! The binary mode from the client's side: commands to frames, frames to the lines that the text
//! mode would have had (VSCP specification, "VSCP general binary protocol").

use thiserror::Error;
use vscpl2drv_link::auth::RandomError;
use vscpl2drv_link::config::key;
use vscpl2drv_link::error::with_causes;
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::{self, Defaults, EventTextError, TextForm};
use vscpl2drv_link::event::{Filter, FilterError, Guid, frame};
use vscpl2drv_link::wire::binary::code::{
    EVENT_CONFIRM, OPEN, QUIT, SET_FILTER, SET_MASK, USER, error,
};
use vscpl2drv_link::wire::binary::replay::Seen;
use vscpl2drv_link::wire::binary::{
    BadFrame, Cipher, Frame, FrameReader, Mark, Strength, write_command, write_reply,
};

use crate::args::LoginArgs;
use crate::failure::Failure;

/// Why something cannot be said, or was not understood, in frames.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
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
}

/// The cipher that the command line asks for.
///
/// # Errors
/// Where the key file is not usable.
pub(crate) fn cipher(args: &LoginArgs) -> Result<Option<Cipher>, Failure> {
    let Some(path) = &args.key_file else {
        return Ok(None);
    };
    let strength = Strength::ALL
        .into_iter()
        .find(|strength| strength.name() == args.cipher);
    key::load(path, strength.unwrap_or(Strength::Aes256))
        .map(Some)
        .map_err(|error| {
            let why = with_causes(&error);
            Failure::problem(format!(
                "the key file {} is not usable: {why}",
                path.display()
            ))
        })
}

/// One connection's frames.
pub(crate) struct Frames {
    cipher: Cipher,
    reader: FrameReader,
    /// What has come and what was sent: none of it is the server's once more.
    seen: Seen,
    /// The name of a USER: it goes along with the password.
    user: String,
}

impl Frames {
    pub(crate) fn new(cipher: Cipher) -> Self {
        Self {
            cipher,
            reader: FrameReader::default(),
            seen: Seen::default(),
            user: String::new(),
        }
    }

    /// The frame of a command; `None` for USER, which needs its password.
    ///
    /// # Errors
    /// [`FrameError`].
    pub(crate) fn command(&mut self, words: &[&str]) -> Result<Option<Vec<u8>>, FrameError> {
        let mut out = Vec::new();
        let mark = match words {
            ["USER", name] => {
                (*name).clone_into(&mut self.user);
                return Ok(None);
            }
            ["PASS", password] => {
                let both = zeroize::Zeroizing::new(format!("{}:{password}", self.user));
                write_command(USER, both.as_bytes(), &self.cipher, &mut out)?
            }
            ["SEND", event] => {
                // What is zero is the server's to fill in.
                let defaults = Defaults {
                    now: 0,
                    obid: 0,
                    guid: Guid::ZERO,
                };
                let mut plain = Vec::new();
                frame::write(&text::parse(event, &defaults)?, Generation::V2, &mut plain);
                self.cipher.seal(&plain, &mut out)?
            }
            ["SFLT", filter] => self.filter(SET_FILTER, filter, &mut out)?,
            ["SMSK", filter] => self.filter(SET_MASK, filter, &mut out)?,
            ["RCVLOOP"] => write_command(OPEN, &[], &self.cipher, &mut out)?,
            ["QUIT"] => write_command(QUIT, &[], &self.cipher, &mut out)?,
            other => return Err(FrameError::Command(other.join(" "))),
        };
        self.seen.sent([mark]);
        Ok(Some(out))
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
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), FrameError> {
        let (mut lines, mut answers) = (Vec::new(), Vec::new());
        self.reader.push(bytes);
        while let Some((found, mark)) = self.reader.next_frame(&self.cipher, true)? {
            if !self.seen.is_new(&mark, false) {
                return Err(BadFrame::Replayed.into());
            }
            match found {
                Frame::Reply { error, .. } => {
                    lines.extend_from_slice(words(error).as_bytes());
                }
                Frame::Event { bytes, head, crc } => {
                    let defaults = Defaults {
                        now: 0,
                        obid: 0,
                        guid: Guid::ZERO,
                    };
                    let Ok(event) = frame::read(&bytes, &defaults) else {
                        continue;
                    };
                    text::write(&event, TextForm::Nanos, &mut lines);
                    lines.extend_from_slice(b"\r\n");
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
    use vscpl2drv_link::wire::binary::write_event;

    use super::*;

    #[test]
    fn what_comes_twice_or_comes_back_ends_the_session() {
        let cipher = Cipher::new(Strength::Aes128, &[7; 16]).unwrap();
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        let event = text::parse("0,20,3,,,,::1,5", &defaults).unwrap();
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

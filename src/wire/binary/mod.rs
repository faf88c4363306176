//! The binary form of the link protocol, without any I/O (VSCP specification, "VSCP general
//! binary protocol").
//!
//! A frame begins with a byte in the clear: what it is in the high, how it is encrypted in the low
//! four bits. All that follows is encrypted, its CRC too, and behind it stands the initialisation
//! vector:
//!
//! | type | frame, before it is encrypted |
//! |---|---|
//! | 0, 1 | an event ([`event::frame`](crate::event::frame)) |
//! | 14 | command: code (2), argument, CRC (2) |
//! | 15 | reply: code of the command (2), error (2), argument, CRC (2) |
//!
//! | module | what |
//! |---|---|
//! | [`cipher`] | AES in CBC mode over frames |
//! | [`reader`] | bytes to frames |
//! | [`code`] | the numbers of commands and errors |
//! | [`replay`] | has this frame been seen before? |

pub mod cipher;
pub mod code;
pub mod reader;
pub mod replay;

pub use cipher::{Cipher, Iv, Strength};
pub use reader::{BadFrame, Frame, FrameReader, Mark};

use crate::auth::RandomError;
use crate::event::json::Generation;
use crate::event::{Event, frame};

const COMMAND: u8 = 14;
const REPLY: u8 = 15;

/// Appends an event as a frame of type 1; gives its mark.
///
/// # Errors
/// [`RandomError`] where the system gives no random numbers for the vector; nothing is appended.
pub fn write_event(event: &Event, cipher: &Cipher, out: &mut Vec<u8>) -> Result<Mark, RandomError> {
    let mut plain = Vec::with_capacity(64 + event.data.len());
    frame::write(event, Generation::V2, &mut plain);
    cipher.seal(&plain, out)
}

/// Appends a command; gives its mark.
///
/// # Errors
/// As [`write_event`].
pub fn write_command(
    code: u16,
    argument: &[u8],
    cipher: &Cipher,
    out: &mut Vec<u8>,
) -> Result<Mark, RandomError> {
    let mut plain = vec![COMMAND << 4];
    plain.extend(code.to_be_bytes());
    plain.extend_from_slice(argument);
    finish(plain, cipher, out)
}

/// Appends a reply; gives its mark.
///
/// # Errors
/// As [`write_event`].
pub fn write_reply(
    code: u16,
    error: u16,
    argument: &[u8],
    cipher: &Cipher,
    out: &mut Vec<u8>,
) -> Result<Mark, RandomError> {
    let mut plain = vec![REPLY << 4];
    plain.extend(code.to_be_bytes());
    plain.extend(error.to_be_bytes());
    plain.extend_from_slice(argument);
    finish(plain, cipher, out)
}

fn finish(mut plain: Vec<u8>, cipher: &Cipher, out: &mut Vec<u8>) -> Result<Mark, RandomError> {
    let crc = frame::crc(&plain[1..]);
    plain.extend(crc.to_be_bytes());
    cipher.seal(&plain, out)
}

#[cfg(test)]
mod tests;

//! Bytes to frames.
//!
//! A frame does not say how long it is where that could be read before it is decrypted, and the
//! vector to decrypt it with stands at its end. Two ways around that:
//!
//! * the size field of an event lies in the third block, which needs no more than the second to
//!   be decrypted;
//! * the end of a command or a reply is found by trial: the first number of blocks after which a
//!   vector makes the CRC right and the padding zero. Other paddings are taken once nothing more
//!   comes, where the bytes end there or something that looks like a frame follows: a CRC alone
//!   is right by chance too often.

use std::mem;

use thiserror::Error;

use super::cipher::{BLOCK, Cipher, Iv, padded};
use super::{COMMAND, REPLY};
use crate::event::{Head, MAX_DATA, frame};

/// Blocks that a command or a reply may have.
pub const MOST_BLOCKS: usize = 64;
/// Bytes of an event's frame without its data.
const EVENT: usize = 38;
/// Bytes that a read is given room for.
const ROOM: usize = 4096;

/// What one frame says.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// An event, decrypted: [`frame::read`] takes it.
    Event {
        /// The frame, with no cipher in its first byte.
        bytes: Vec<u8>,
        /// Its head as it stands there.
        head: u16,
        /// Its CRC.
        crc: u16,
    },
    /// A command.
    Command {
        /// Which.
        code: u16,
        /// With what.
        argument: Vec<u8>,
        /// The next bytes of the argument, should the CRC end in zeros: then the frame reads the
        /// same with one byte, or two, less. Who knows how long the argument must be, or can try
        /// all, is to decide.
        maybe: [u8; 2],
    },
    /// A reply.
    Reply {
        /// To which command.
        code: u16,
        /// 0 where it went well.
        error: u16,
        /// With what.
        argument: Vec<u8>,
        /// As for a command.
        maybe: [u8; 2],
    },
}

/// What tells a frame from all others that an honest sender makes: its vector, and its first
/// encrypted block. The vector alone can be changed by anybody, with foreseeable effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The vector.
    pub iv: Iv,
    /// The first block.
    pub first: Iv,
}

/// Why bytes are no frame. Nothing after them can be trusted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadFrame {
    /// Neither event, command nor reply.
    #[error("frame type {0} is not known")]
    Type(u8),
    /// Another cipher, or none.
    #[error("it is encrypted with cipher {found} where {expected} was expected")]
    Cipher {
        /// In the frame.
        found: u8,
        /// As configured.
        expected: u8,
    },
    /// More data than an event can have; with another key this is what comes out, mostly.
    #[error("an event with {0} data bytes: another key, perhaps")]
    Size(usize),
    /// The head of the event says another type than the frame.
    #[error("the event's head does not fit to frame type {0}")]
    Version(u8),
    /// The CRC is another.
    #[error("the CRC is wrong")]
    Crc,
    /// No CRC is right after so many blocks.
    #[error("no end within {MOST_BLOCKS} blocks: another key, perhaps")]
    Endless,
    /// It has been here before.
    #[error("its initialisation vector or its first block was there before")]
    Replayed,
}

/// Collects bytes and gives frames. It holds one frame and what one read brings.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Where the next frame starts.
    start: usize,
    /// Blocks that cannot be the end of the command that has begun, whatever follows.
    tried: usize,
}

impl FrameReader {
    /// The buffer to read into.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(ROOM);
        &mut self.buffer
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room().extend_from_slice(bytes);
    }

    /// Bytes that have come and were not taken.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Everything that was not read yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.tried = 0;
        let mut rest = mem::take(&mut self.buffer);
        rest.drain(..mem::take(&mut self.start));
        rest
    }

    /// The next whole frame, decrypted, and its mark. `settled` says that nothing more has come
    /// for a while, so that what is there may be taken for all.
    ///
    /// # Errors
    /// [`BadFrame`].
    pub fn next_frame(
        &mut self,
        cipher: &Cipher,
        settled: bool,
    ) -> Result<Option<(Frame, Mark)>, BadFrame> {
        let Some((&first, rest)) = self.buffer[self.start..].split_first() else {
            return Ok(None);
        };
        let (kind, found) = (first >> 4, first & 0x0F);
        let expected = cipher.strength().nibble();
        if !matches!(kind, 0 | 1 | COMMAND | REPLY) {
            return Err(BadFrame::Type(kind));
        }
        if found != expected {
            return Err(BadFrame::Cipher { found, expected });
        }
        let frame = match kind {
            0 | 1 => event(kind, rest, cipher)?,
            _ => command(kind, rest, cipher, settled, &mut self.tried)?,
        };
        Ok(frame.map(|(frame, mark, length)| {
            self.start += 1 + length;
            self.tried = 0;
            (frame, mark)
        }))
    }
}

/// A frame, its mark, and the bytes that it takes without the first one.
type Found = Option<(Frame, Mark, usize)>;

fn event(kind: u8, rest: &[u8], cipher: &Cipher) -> Result<Found, BadFrame> {
    let Some((second, third)) = rest
        .get(BLOCK..3 * BLOCK)
        .and_then(|blocks| blocks.split_first_chunk::<BLOCK>())
    else {
        return Ok(None);
    };
    let mut third = third.to_vec();
    cipher.open(second, &mut third);
    let size = usize::from(u16::from_be_bytes([third[1], third[2]]));
    if size > MAX_DATA {
        return Err(BadFrame::Size(size));
    }
    let length = EVENT + size;
    let Some((plain, mark)) = open(rest, padded(length), cipher) else {
        return Ok(None);
    };
    let mut bytes = vec![kind << 4];
    bytes.extend_from_slice(&plain[..length - 1]);
    let head = u16::from_be_bytes([bytes[1], bytes[2]]);
    let crc = u16::from_be_bytes([bytes[length - 2], bytes[length - 1]]);
    // Where nothing but the CRC tells a changed frame, there is no doing without.
    if frame::crc(&bytes[1..]) != 0 {
        return Err(BadFrame::Crc);
    }
    if Head::version(head) != u16::from(kind) {
        return Err(BadFrame::Version(kind));
    }
    let used = padded(length) + BLOCK;
    Ok(Some((Frame::Event { bytes, head, crc }, mark, used)))
}

fn command(
    kind: u8,
    rest: &[u8],
    cipher: &Cipher,
    settled: bool,
    tried: &mut usize,
) -> Result<Found, BadFrame> {
    let least = if kind == REPLY { 6 } else { 4 };
    let first = if settled { 1 } else { *tried + 1 };
    // Whatever its padding is. Zeros are so much less likely by chance that they have precedence,
    // though they come later.
    let mut likely = None;
    for blocks in first..=MOST_BLOCKS {
        let length = blocks * BLOCK;
        let Some((plain, mark)) = open(rest, length, cipher) else {
            return Ok(likely);
        };
        let used = length + BLOCK;
        let anything_goes = settled
            && likely.is_none()
            && rest.get(used).is_none_or(|&next| {
                next & 0x0F == cipher.strength().nibble()
                    && matches!(next >> 4, 0 | 1 | COMMAND | REPLY)
            });
        match end(&plain, least) {
            Some(End::Zeros(end)) => return Ok(Some((cut(kind, &plain, end), mark, used))),
            Some(End::Other(end)) if anything_goes => {
                likely = Some((cut(kind, &plain, end), mark, used));
            }
            _ => {}
        }
        if rest.len() > used {
            *tried = blocks.max(*tried);
        }
    }
    // The last size may end in bytes that are still to come.
    if likely.is_none() && *tried == MOST_BLOCKS {
        return Err(BadFrame::Endless);
    }
    Ok(likely)
}

/// The command, or the reply, that ends there.
fn cut(kind: u8, plain: &[u8], end: usize) -> Frame {
    let short = |at: usize| u16::from_be_bytes([plain[at], plain[at + 1]]);
    let maybe = [plain[end - 2], plain[end - 1]];
    match kind {
        REPLY => Frame::Reply {
            code: short(0),
            error: short(2),
            argument: plain[4..end - 2].to_vec(),
            maybe,
        },
        _ => Frame::Command {
            code: short(0),
            argument: plain[2..end - 2].to_vec(),
            maybe,
        },
    }
}

/// The first `length` bytes, decrypted with the vector behind them.
fn open(rest: &[u8], length: usize, cipher: &Cipher) -> Option<(Vec<u8>, Mark)> {
    let iv: Iv = rest.get(length..length + BLOCK)?.try_into().ok()?;
    let first = *rest.first_chunk()?;
    let mut plain = rest[..length].to_vec();
    cipher.open(&iv, &mut plain);
    Some((plain, Mark { iv, first }))
}

/// Where a command ends in its blocks, the CRC counted, by what stands behind that.
enum End {
    Zeros(usize),
    Other(usize),
}

/// Where a command ends, if it does: padding is two to seventeen bytes.
fn end(plain: &[u8], least: usize) -> Option<End> {
    let first = plain.len().saturating_sub(BLOCK + 1).max(least);
    let mut crc = frame::crc(&plain[..first]);
    let mut right = None;
    for end in first..plain.len() - 1 {
        if crc == 0 {
            if plain[end..].iter().all(|&byte| byte == 0) {
                return Some(End::Zeros(end));
            }
            right = right.or(Some(End::Other(end)));
        }
        crc = frame::crc_on(crc, &plain[end..=end]);
    }
    right
}

//! The end of what a client sends, held back while answers are not written yet: once the websocket
//! has seen it, nothing is written any more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::presence::{Left, Presence};

/// A stream of frames (RFC 6455, section 5.2) whose end, a close or none, can be held back.
#[derive(Debug)]
pub(super) struct Held<S> {
    stream: S,
    /// What comes before what the stream has.
    ahead: Bytes,
    frames: Frames,
    /// All before the end was read.
    at_end: bool,
    hold: bool,
}

impl<S> Held<S> {
    /// `ahead` was read from it already.
    pub(super) fn new(stream: S, ahead: Bytes) -> Self {
        Self {
            stream,
            ahead,
            frames: Frames::default(),
            at_end: false,
            hold: false,
        }
    }

    /// From now on the end is held back, or it is not. Whoever waits for it has to ask again.
    pub(super) fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }
}

impl<S: Presence + Sync> Presence for Held<S> {
    fn left(&self) -> impl Future<Output = Left> + Send {
        self.stream.left()
    }
}

impl<S: AsyncRead + Unpin> Held<S> {
    /// Reads what was read before, or else more.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.at_end {
            let before = buffer.filled().len();
            ready!(self.read(cx, buffer))?;
            let new = &buffer.filled()[before..];
            let close = match new.is_empty() {
                true => Some(0),
                false => self.frames.close_in(new),
            };
            let Some(close) = close else {
                return Poll::Ready(Ok(()));
            };
            self.at_end = true;
            if close < new.len() {
                self.ahead = [&new[close..], &self.ahead].concat().into();
                buffer.set_filled(before + close);
            }
            if close > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        match self.hold {
            true => Poll::Pending,
            false => self.read(cx, buffer),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where frames begin. What is no frame is refused by whoever reads it: here it does not matter.
#[derive(Debug, Default)]
struct Frames {
    /// The head of a frame that is not here as a whole.
    head: Vec<u8>,
    /// Bytes after the head that are still to come.
    rest: u64,
}

/// The bits of the first byte that say what a frame is, and a close.
const OPCODE: u8 = 0x0F;
const CLOSE: u8 = 0x8;

impl Frames {
    /// Where the first close begins in what comes next. After it nothing is looked at.
    fn close_in(&mut self, mut bytes: &[u8]) -> Option<usize> {
        let length = bytes.len();
        loop {
            let here = self.rest.min(bytes.len() as u64);
            self.rest -= here;
            // It is no more than there are.
            bytes = &bytes[here as usize..];
            let (&first, more) = bytes.split_first()?;
            if self.head.is_empty() && first & OPCODE == CLOSE {
                return Some(length - bytes.len());
            }
            bytes = more;
            self.head.push(first);
            if let Some(rest) = rest(&self.head) {
                self.head.clear();
                self.rest = rest;
            }
        }
    }
}

/// How many bytes follow a head, mask and payload; `None` where it is not all of it.
fn rest(head: &[u8]) -> Option<u64> {
    const MASKED: u8 = 0x80;
    let (&[_, second], length) = head.split_first_chunk()?;
    let wide = match second & !MASKED {
        126 => 2,
        127 => 8,
        length => return Some(u64::from(length) + mask(second & MASKED)),
    };
    if length.len() < wide {
        return None;
    }
    let length = length.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    Some(length.saturating_add(mask(second & MASKED)))
}

/// Bytes of the mask.
fn mask(bit: u8) -> u64 {
    match bit {
        0 => 0,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A masked frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = match length {
            0..=125 => vec![first, 0x80 | length as u8],
            126..=0xFFFF => [&[first, 0xFE][..], &(length as u16).to_be_bytes()].concat(),
            _ => [&[first, 0xFF][..], &(length as u64).to_be_bytes()].concat(),
        };
        // What looks like a close is none inside.
        bytes.extend(vec![0x88; 4 + length]);
        bytes
    }

    /// All that can be read now.
    fn read<S: AsyncRead + Unpin>(held: &mut Held<S>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(Ok(1..)) = held.read_buf(&mut all).now_or_never() {}
        all
    }

    #[tokio::test]
    async fn a_close_waits_wherever_it_begins_and_however_it_comes() {
        let before: Vec<u8> = [
            (0x81, 5),
            (0x01, 0),
            (0x80, 126),
            (0x89, 125),
            (0x82, 70_000),
        ]
        .into_iter()
        .flat_map(|(first, length)| frame(first, length))
        .collect();
        let all = [&before[..], &frame(0x88, 2), b"more"].concat();
        for step in [1, 2, 3, 7, 4096, all.len()] {
            for ahead in [0, 1, before.len() - 1, before.len(), before.len() + 3] {
                let (mut near, far) = tokio::io::duplex(2 * all.len());
                let mut held = Held::new(far, Bytes::copy_from_slice(&all[..ahead]));
                held.hold(true);
                let mut came = Vec::new();
                for piece in all[ahead..].chunks(step) {
                    near.write_all(piece).await.unwrap();
                    came.extend(read(&mut held));
                }
                assert!(came == before, "{step} {ahead}: {} bytes", came.len());
                held.hold(false);
                came.extend(read(&mut held));
                assert!(came == all, "{step} {ahead}: {} bytes", came.len());
            }
        }
    }

    #[tokio::test]
    async fn an_end_without_a_close_waits_too() {
        let (mut near, far) = tokio::io::duplex(100);
        let mut held = Held::new(far, Bytes::new());
        near.write_all(b"\x81\x00\x81").await.unwrap();
        drop(near);
        held.hold(true);
        assert_eq!(read(&mut held), b"\x81\x00\x81");
        let more = AsyncReadExt::read(&mut held, &mut [0]).now_or_never();
        assert!(more.is_none(), "{more:?}");
        held.hold(false);
        assert_eq!(AsyncReadExt::read(&mut held, &mut [0]).await.unwrap(), 0);
    }
}

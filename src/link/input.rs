//! The bytes of one client that have come: lines, or frames in the binary mode.

use std::time::Duration;

use tokio::time::Instant;

use crate::wire::binary::{BadFrame, Cipher, Frame, FrameReader, Mark};
use crate::wire::line::{Line, LineReader};

/// What was read and not understood yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    lines: LineReader,
    frames: FrameReader,
    binary: bool,
    /// Nothing more has come for a while.
    settled: bool,
    /// When something came last.
    filled: Option<Instant>,
}

/// Part of a frame that is followed by nothing for so long is looked at as if it were all.
const SETTLE: Duration = Duration::from_millis(100);

impl Input {
    /// The buffer to read into. Call [`filled`](Self::filled) afterwards.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        match self.binary {
            false => self.lines.room(),
            true => self.frames.room(),
        }
    }

    /// Takes note that a read brought `count` bytes.
    pub(super) fn filled(&mut self, count: usize) {
        self.settled = false;
        self.filled = Some(Instant::now());
        if !self.binary {
            self.lines.filled(count);
        }
    }

    /// Bytes that have come and were not taken.
    pub(super) fn ahead(&self) -> usize {
        match self.binary {
            false => self.lines.ahead(),
            true => self.frames.ahead(),
        }
    }

    /// When part of a frame that is there has been followed by nothing for a while: then it may
    /// be all of it.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        let waits = self.binary && !self.settled && self.frames.ahead() > 0;
        self.filled.filter(|_| waits).map(|at| at + SETTLE)
    }

    /// What is there is looked at as if it were all.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// What comes next is in this mode; what has come already is read in it too.
    pub(super) fn set_binary(&mut self, binary: bool) {
        match (self.binary, binary) {
            (false, true) => self.frames.push(&self.lines.take_rest()),
            (true, false) => self.lines.push(&self.frames.take_rest()),
            _ => {}
        }
        self.binary = binary;
    }

    /// The next whole line.
    pub(super) fn line(&mut self, cap: usize) -> Option<Line<'_>> {
        self.lines.next_line(cap)
    }

    /// The next whole frame.
    pub(super) fn frame(&mut self, cipher: &Cipher) -> Result<Option<(Frame, Mark)>, BadFrame> {
        self.frames.next_frame(cipher, self.settled)
    }
}

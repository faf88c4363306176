//! Bytes that become lines or packets, in one buffer and without a copy of each.

use memchr::memchr;

/// Bytes of a buffer: more than any line, and than any packet that is kept as a whole.
const MOST: usize = 1024 * 1024;
/// Bytes that are kept of a packet that is larger: its topic and its identifier are among them.
const KEPT: usize = 128 * 1024;

/// A line that has no end, or a length that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What has been read, and not been taken.
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of a large packet that have not come and are not wanted.
    skipped: usize,
}

impl Input {
    /// With room for so many bytes; it grows where that is not enough for one line.
    pub(super) fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size],
            start: 0,
            end: 0,
            skipped: 0,
        }
    }

    /// Makes room for so many bytes at least.
    pub(super) fn reserve(&mut self, size: usize) {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
    }

    /// Where more can be read to; never empty.
    ///
    /// # Errors
    /// [`TooLong`] where what is there needs more room than there may be.
    pub(super) fn room(&mut self) -> Result<&mut [u8], TooLong> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.bytes.len() {
            if self.end >= MOST {
                return Err(TooLong);
            }
            self.bytes.resize((2 * self.end).clamp(64, MOST), 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    /// So much has been read.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// The next line without its end, LF or CR LF; `None` where there is no whole one.
    pub(super) fn line(&mut self) -> Option<&[u8]> {
        let rest = &self.bytes[self.start..self.end];
        let at = memchr(b'\n', rest)?;
        self.start += at + 1;
        let line = &rest[..at];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The next packet of MQTT: its first byte, and what comes after its length. Others publish
    /// what they like under a topic: of a packet that is larger than the buffer may be the end is
    /// missing.
    ///
    /// # Errors
    /// [`TooLong`] where its length is none.
    pub(super) fn packet(&mut self) -> Result<Option<(u8, &[u8])>, TooLong> {
        let unwanted = self.skipped.min(self.end - self.start);
        self.start += unwanted;
        self.skipped -= unwanted;
        let rest = &self.bytes[self.start..self.end];
        let mut length = 0;
        for n in 0.. {
            let Some(&byte) = rest.get(1 + n) else {
                return Ok(None);
            };
            length |= usize::from(byte & 0x7F) << (7 * n);
            if n == 3 && byte > 0x7F {
                return Err(TooLong);
            }
            if byte <= 0x7F {
                let head = 2 + n;
                let kept = if length > MOST - 8 { KEPT } else { length };
                let Some(body) = rest.get(head..head + kept) else {
                    return Ok(None);
                };
                self.start += head + kept;
                self.skipped = length - kept;
                return Ok(Some((rest[0], body)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = input.room().unwrap();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            input.filled(count);
            bytes = &bytes[count..];
        }
    }

    #[test]
    fn lines_come_whole_wherever_they_are_cut() {
        let text = b"one\r\n\r\ntwo\nthree\r\nrest";
        for cut in 0..text.len() {
            let mut input = Input::new(1);
            let mut found = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                push(&mut input, part);
                while let Some(line) = input.line() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["one", "", "two", "three"], "cut at {cut}");
        }
    }

    #[test]
    fn packets_come_whole_wherever_they_are_cut() {
        let mut bytes = vec![0x40, 2, 0, 1, 0xD0, 0, 0x30, 0xC8, 1];
        bytes.extend([7; 200]);
        for cut in 0..bytes.len() {
            let mut input = Input::new(1);
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                push(&mut input, part);
                while let Some((first, body)) = input.packet().unwrap() {
                    found.push((first, body.len()));
                }
            }
            assert_eq!(found, [(0x40, 2), (0xD0, 0), (0x30, 200)], "cut at {cut}");
        }
    }

    #[test]
    fn everything_has_an_end() {
        let mut input = Input::new(1);
        push(&mut input, &vec![b'x'; MOST]);
        assert!(input.line().is_none());
        assert_eq!(input.room(), Err(TooLong));
        let mut input = Input::new(1);
        push(&mut input, b"\x30\x80\x80\x80\x80\x01");
        assert_eq!(input.packet(), Err(TooLong));
    }

    #[test]
    fn a_large_packet_takes_no_memory_and_hides_nothing() {
        const SIZE: usize = 3 * 1024 * 1024;
        let mut bytes = vec![0x32, 0x80, 0x80, 0xC0, 0x01, 0, 1, b'a', 7, 9];
        bytes.resize(5 + SIZE, b'x');
        bytes.extend([0x40, 2, 0, 1]);
        for chunk in [1000, KEPT + 5, 1 << 16] {
            let mut input = Input::new(1);
            let mut found = Vec::new();
            for part in bytes.chunks(chunk) {
                push(&mut input, part);
                while let Some((first, body)) = input.packet().unwrap() {
                    found.push((first, body.len(), body[..2].to_vec()));
                }
            }
            let expected = [(0x32, KEPT, vec![0, 1]), (0x40, 2, vec![0, 1])];
            assert_eq!(found, expected, "{chunk} at a time");
            assert!(input.bytes.len() < MOST, "{}", input.bytes.len());
        }
    }
}

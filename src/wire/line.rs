//! Bytes to lines, with a cap.
//!
//! A line ends with LF; a CR before it is dropped. A line over the cap is dropped as it comes in
//! and reported once, at its end, so that what follows it is read as if nothing had happened.

/// Collects bytes and gives lines.
#[derive(Debug, Default)]
pub struct LineReader {
    buffer: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// Up to where no LF was found.
    scanned: usize,
    /// Inside a line that was too long.
    skipping: bool,
    /// What the last read brought: the next one is given twice the room.
    last_read: usize,
}

/// What [`LineReader::next_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its end.
    Text(&'a [u8]),
    /// The end of a line that was longer than the cap.
    TooLong,
}

impl LineReader {
    const LEAST_ROOM: usize = 512;
    const MOST_ROOM: usize = 64 * 1024;

    /// The buffer to read into, with room for what is likely to come. Call
    /// [`filled`](Self::filled) afterwards.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let wanted = (2 * self.last_read).clamp(Self::LEAST_ROOM, Self::MOST_ROOM);
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * wanted {
            // A client that has gone quiet gives its memory back.
            self.buffer = Vec::with_capacity(wanted);
        }
        self.buffer.reserve(wanted);
        &mut self.buffer
    }

    /// Takes note that a read brought `count` bytes.
    pub fn filled(&mut self, count: usize) {
        self.last_read = count;
    }

    /// Bytes that have come and were not taken.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room().extend_from_slice(bytes);
    }

    /// Everything that was not read as lines yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.start);
        *self = Self::default();
        rest
    }

    /// The next whole line of at most `cap` bytes.
    pub fn next_line(&mut self, cap: usize) -> Option<Line<'_>> {
        let Some(end) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
            if self.skipping || self.buffer.len() - self.start > cap + 1 {
                self.skipping = true;
                self.buffer.clear();
                self.start = 0;
            }
            self.scanned = self.buffer.len();
            return None;
        };
        let (start, end) = (self.start, self.scanned + end);
        self.start = end + 1;
        self.scanned = end + 1;
        if std::mem::take(&mut self.skipping) {
            return Some(Line::TooLong);
        }
        let line = &self.buffer[start..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(if line.len() > cap {
            Line::TooLong
        } else {
            Line::Text(line)
        })
    }
}

/// A command line as text: telnet negotiation (RFC 854) and NULs are taken out, blanks around it
/// too. `None` where what is left is not UTF-8.
#[must_use]
pub fn clean(line: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    use std::borrow::Cow;
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c');
    if memchr::memchr2(0, IAC, line).is_none() {
        let text = std::str::from_utf8(line).ok()?;
        return Some(Cow::Borrowed(text.trim_matches(is_blank)));
    }
    let text = String::from_utf8(without_telnet(line)).ok()?;
    Some(Cow::Owned(text.trim_matches(is_blank).to_owned()))
}

const IAC: u8 = 255;

fn without_telnet(line: &[u8]) -> Vec<u8> {
    const SUBNEGOTIATION: u8 = 250;
    const SUBNEGOTIATION_END: u8 = 240;
    const WILL: u8 = 251;
    const DONT: u8 = 254;
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (0, _) => tail,
            (IAC, [SUBNEGOTIATION, option @ ..]) => {
                let end = option
                    .windows(2)
                    .position(|pair| pair == [IAC, SUBNEGOTIATION_END]);
                end.map_or(&[][..], |end| &option[end + 2..])
            }
            (IAC, [WILL..=DONT, _, after @ ..]) => after,
            (IAC, [_, after @ ..]) => after,
            (IAC, []) => &[],
            _ => {
                out.push(byte);
                tail
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(reader: &mut LineReader, cap: usize) -> Vec<Option<Vec<u8>>> {
        let mut found = Vec::new();
        while let Some(line) = reader.next_line(cap) {
            found.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            });
        }
        found
    }

    #[test]
    fn ends_of_lines() {
        let mut reader = LineReader::default();
        reader.push(b"noop\r\nvers\n\n a\rb ");
        let found = lines(&mut reader, 100);
        assert_eq!(
            found,
            [Some(b"noop".to_vec()), Some(b"vers".to_vec()), Some(vec![])]
        );
        reader.push(b"\n");
        assert_eq!(lines(&mut reader, 100), [Some(b" a\rb ".to_vec())]);
    }

    #[test]
    fn goes_on_after_a_line_that_was_too_long() {
        let mut reader = LineReader::default();
        for _ in 0..1000 {
            reader.push(&[b'x'; 1000]);
            assert_eq!(lines(&mut reader, 4096), []);
        }
        assert!(reader.buffer.capacity() < 200_000);
        reader.push(b"\nnoop\n12345\n1234\n");
        assert_eq!(
            lines(&mut reader, 4),
            [None, Some(b"noop".to_vec()), None, Some(b"1234".to_vec())]
        );
    }

    #[test]
    fn the_cap_is_for_the_line_without_its_end() {
        let mut reader = LineReader::default();
        for (length, end) in [(8, "\n"), (8, "\r\n"), (9, "\n"), (9, "\r\n")] {
            reader.push(format!("{}{end}", "x".repeat(length)).as_bytes());
            let expected = (length == 8).then(|| b"xxxxxxxx".to_vec());
            assert_eq!(lines(&mut reader, 8), [expected], "{length} {end:?}");
        }
    }

    #[test]
    fn no_byte_is_looked_at_twice_however_small_the_pieces_are() {
        const LENGTH: usize = 64 * 1024;
        let mut reader = LineReader::default();
        for _ in 0..LENGTH {
            reader.push(b"x");
            assert_eq!(reader.next_line(LENGTH), None);
            // Whoever looked again would find an end here.
            *reader.buffer.last_mut().unwrap() = b'\n';
        }
        reader.push(b"\n");
        match reader.next_line(LENGTH) {
            Some(Line::Text(line)) => assert_eq!(line.len(), LENGTH),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn telnet_is_taken_out() {
        assert_eq!(clean(b"\xff\xfb\x01noop").as_deref(), Some("noop"));
        assert_eq!(
            clean(b"no\0op\xff\xfa\x18\x00vt100\xff\xf0").as_deref(),
            Some("noop")
        );
        assert_eq!(
            clean(b"\xff\xf4\xff\xfd\x06 quit \t").as_deref(),
            Some("quit")
        );
        assert_eq!(clean(b"\xff"), Some("".into()));
        assert_eq!(clean(b"\x16\x03\x01\x80\xc3"), None);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
            cuts in prop::collection::vec(1_usize..20, 1..50),
        ) {
            let mut whole = LineReader::default();
            whole.push(&text);
            let expected = lines(&mut whole, 16);
            let mut parts = LineReader::default();
            let mut found = Vec::new();
            let mut rest = &text[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                parts.push(now);
                found.extend(lines(&mut parts, 16));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn cleaning_never_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = clean(&line);
        }
    }
}

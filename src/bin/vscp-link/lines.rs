//! Bytes that become lines.

use crate::client::ClientError;

/// Bytes of a line; the longest event has about 2700.
const LINE_MAX: usize = 16 * 1024;

/// Bytes that become lines.
#[derive(Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins; what is before it has been taken.
    start: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// A whole line without its end, LF or CR LF; `None` where there is none yet.
    ///
    /// # Errors
    /// [`ClientError::TooLong`] where a line has no end.
    pub(crate) fn next(&mut self) -> Result<Option<String>, ClientError> {
        let rest = &self.bytes[self.start..];
        let end = memchr::memchr(b'\n', rest);
        if end.unwrap_or(rest.len()) > LINE_MAX {
            return Err(ClientError::TooLong(LINE_MAX, "bytes"));
        }
        let Some(end) = end else {
            return Ok(None);
        };
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = String::from_utf8_lossy(line).into_owned();
        self.start += end + 1;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_come_whole_wherever_they_are_cut() {
        let text = b"one\r\n\r\ntwo\nthr\xC3\xA9\xC3\r\nrest";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            lines.push(&text[..cut]);
            let mut found = all(&mut lines);
            lines.push(&text[cut..]);
            found.extend(all(&mut lines));
            assert_eq!(found, ["one", "", "two", "thré\u{FFFD}"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_MAX]);
        assert!(lines.next().unwrap().is_none());
        lines.push(b"x");
        assert!(matches!(lines.next(), Err(ClientError::TooLong(..))));
    }
}

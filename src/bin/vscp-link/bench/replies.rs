//! Answers to many commands at once: they are counted, and not looked at.

use std::ops::Range;

use memchr::memchr_iter;

/// Bytes of a refusal that are kept.
const TEXT_MAX: usize = 200;

/// Counts status lines, wherever they are cut.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// The line that has not come to its end: its first byte and, where that is a minus, more.
    open: Vec<u8>,
    /// What the last refusal said.
    refusal: Option<Vec<u8>>,
    /// Answers so far.
    answers: u64,
    /// Which of them were refusals, until somebody asks.
    refused: Vec<Range<u64>>,
}

/// Answers in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) taken: u32,
    pub(super) refused: u32,
}

impl Replies {
    /// Counts the answers in more bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Counted {
        let mut counted = Counted::default();
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = &bytes[start..end];
            start = end + 1;
            let first = self.open.first().or_else(|| line.first());
            match first {
                Some(b'+') => {
                    counted.taken += 1;
                    self.answers += 1;
                }
                Some(b'-') => {
                    counted.refused += 1;
                    self.refuse();
                    self.keep(line);
                    self.refusal = Some(std::mem::take(&mut self.open));
                }
                // No answer to SEND has such lines.
                _ => {}
            }
            self.open.clear();
        }
        self.keep(&bytes[start..]);
        counted
    }

    /// The next answer is a refusal.
    fn refuse(&mut self) {
        let number = self.answers;
        self.answers += 1;
        match self.refused.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => self.refused.push(number..number + 1),
        }
    }

    /// The numbers of the refusals since this was asked before; the first answer has number 0.
    pub(super) fn refused(&mut self) -> impl Iterator<Item = Range<u64>> {
        self.refused.drain(..)
    }

    fn keep(&mut self, part: &[u8]) {
        let most = match self.open.first().or_else(|| part.first()) {
            Some(b'-') => TEXT_MAX,
            _ => 1,
        };
        let room = most.saturating_sub(self.open.len());
        self.open.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// What the last refusal said.
    pub(super) fn refusal(&mut self) -> Option<String> {
        let text = self.refusal.take()?;
        Some(String::from_utf8_lossy(&text).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_wherever_they_are_cut() {
        let text = b"+OK - Success.\r\n-OK - Buffer Full\r\n+OK\r\nodd\r\n\r\n+OK - Success.\n";
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut replies = Replies::default();
                let mut all = Counted::default();
                for part in [&text[..first], &text[first..second], &text[second..]] {
                    let counted = replies.take(part);
                    all.taken += counted.taken;
                    all.refused += counted.refused;
                }
                let expected = Counted {
                    taken: 3,
                    refused: 1,
                };
                assert_eq!(all, expected, "cut at {first} and {second}");
                assert_eq!(replies.refusal().as_deref(), Some("-OK - Buffer Full"));
                assert_eq!(replies.refusal(), None);
                assert!(replies.refused().eq(std::iter::once(1..2)));
                assert_eq!(replies.refused().count(), 0);
            }
        }
    }

    #[test]
    fn refusals_have_numbers() {
        let mut replies = Replies::default();
        let mut take = |text: &[u8]| {
            replies.take(text);
            let pairs = replies.refused().map(|one| (one.start, one.end));
            pairs.collect::<Vec<_>>()
        };
        let text = b"-OK\r\n+OK\r\n-OK\r\n-OK\r\nodd\r\n-O";
        assert_eq!(take(text), [(0, 1), (2, 4)]);
        assert_eq!(take(b"K\r\n+OK\r\n"), [(4, 5)]);
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut replies = Replies::default();
        for _ in 0..100 {
            replies.take(&[b'-'; 1000]);
        }
        assert_eq!(replies.open.len(), TEXT_MAX);
        assert_eq!(replies.take(b"\n").refused, 1);
    }
}

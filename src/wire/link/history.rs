//! What a client typed, for `+`, `+n` and `++`. Never a password.

use std::collections::VecDeque;

use super::command::Command;

/// The last lines of one session, bounded in number and in bytes; the oldest go first.
#[derive(Debug, Default)]
pub struct History {
    /// Newest first.
    lines: VecDeque<String>,
    bytes: usize,
}

impl History {
    const MOST_LINES: usize = 200;
    const MOST_BYTES: usize = 8 * 1024;

    /// Keeps a line, unless it holds a secret or is too long to be worth it.
    pub fn keep(&mut self, command: Option<Command>, line: &str) {
        if command == Some(Command::Pass) || line.len() > Self::MOST_BYTES / 2 {
            return;
        }
        let mut room = String::new();
        while self.lines.len() >= Self::MOST_LINES || self.bytes + line.len() > Self::MOST_BYTES {
            let Some(oldest) = self.lines.pop_back() else {
                break;
            };
            self.bytes -= oldest.len();
            room = oldest;
        }
        room.clear();
        room.push_str(line);
        self.bytes += line.len();
        self.lines.push_front(room);
    }

    /// The line `back` lines before the last one, 0 being the last.
    #[must_use]
    pub fn get(&self, back: usize) -> Option<&str> {
        self.lines.get(back).map(String::as_str)
    }

    /// All lines, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bounds() {
        let mut history = History::default();
        history.keep(Some(Command::Pass), "pass secret");
        assert_eq!(history.get(0), None);
        for n in 0..1000 {
            history.keep(None, &format!("send {n}"));
        }
        assert_eq!(history.iter().count(), History::MOST_LINES);
        assert_eq!(history.get(0), Some("send 999"));
        assert_eq!(history.get(199), Some("send 800"));
        assert_eq!(history.get(200), None);
        for _ in 0..10 {
            history.keep(None, &"x".repeat(3000));
        }
        assert_eq!(history.iter().count(), 2);
        history.keep(None, &"y".repeat(60_000));
        assert_eq!(history.bytes, 6000);
    }
}

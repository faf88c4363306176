//! How far a run has come, in one line of a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is new.
const EVERY: Duration = Duration::from_millis(250);
/// Signs of the bar.
const WIDTH: u64 = 30;

/// A line that is written over, where stderr is a terminal.
pub(super) struct Progress {
    shown: bool,
    next: Instant,
    start: Instant,
}

/// What there is to show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// What is counted.
    pub(super) what: &'a str,
    pub(super) done: u64,
    /// Of how many, where that is known.
    pub(super) of: Option<u64>,
    /// How much of the time is over, of one.
    pub(super) time: f64,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            shown: io::stderr().is_terminal(),
            next: now,
            start: now,
        }
    }

    /// Another part begins, and with it the rate.
    pub(super) fn begin(&mut self) {
        self.start = Instant::now();
        self.next = self.start;
    }

    /// Shows it, where it is time.
    pub(super) fn show(&mut self, step: Step<'_>) {
        let now = Instant::now();
        if self.shown && now >= self.next {
            self.next = now + EVERY;
            write(&line(step, now.duration_since(self.start)));
        }
    }

    /// Nothing is left of it.
    pub(super) fn clear(&self) {
        if self.shown {
            write("");
        }
    }
}

/// A terminal that cannot be written to has no line.
fn write(line: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
}

fn line(step: Step<'_>, since: Duration) -> String {
    let part = match step.of {
        Some(of) => step.done as f64 / of.max(1) as f64,
        None => 0.0,
    };
    // Whatever is nearer to the end.
    let part = part.max(step.time).clamp(0.0, 1.0);
    let full = (part * WIDTH as f64) as usize;
    let bar = "#".repeat(full) + &"-".repeat(WIDTH as usize - full);
    let of = step.of.map(|of| format!(" of {of}")).unwrap_or_default();
    let rate = step.done as f64 / since.as_secs_f64().max(0.001);
    format!("[{bar}] {}{of} {}, {rate:.0}/s", step.done, step.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_tells() {
        let step = Step {
            what: "accepted",
            done: 50,
            of: Some(100),
            time: 0.1,
        };
        assert_eq!(
            line(step, Duration::from_secs(2)),
            "[###############---------------] 50 of 100 accepted, 25/s"
        );
        let step = Step {
            done: u64::from(u32::MAX),
            of: None,
            time: 2.0,
            ..step
        };
        let line = line(step, Duration::from_secs(3600));
        assert!(line.starts_with("[##############################] 4294967295 accepted"));
        assert!(line.len() < 79, "{line}");
    }
}

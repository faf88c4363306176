//! Lines that did not reach the log, and the line that says so.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Zoned;
use tracing_appender::non_blocking::ErrorCounter;

use super::form::{Form, Record};
use super::{LINES, NAME, Threshold};
use crate::config::model::LogLevel;
use crate::os;

/// A place of the log, seen from the thread that writes there. Lines for which there was no room,
/// or that could not be written, are said there as soon as it goes on.
pub(super) struct Telling {
    out: Box<dyn Write + Send>,
    level: Arc<Threshold>,
    form: Form,
    colour: bool,
    /// Counts those that found no room. It is there once the thread is.
    dropped: Arc<OnceLock<ErrorCounter>>,
    /// Lines that could not be written.
    failed: usize,
    /// How many were told of.
    told: usize,
    /// Lines since that was looked at.
    written: usize,
}

impl Telling {
    pub(super) fn new(
        out: Box<dyn Write + Send>,
        level: Arc<Threshold>,
        form: Form,
        colour: bool,
    ) -> Self {
        Self {
            out,
            level,
            form,
            colour,
            dropped: Arc::default(),
            failed: 0,
            told: 0,
            written: 0,
        }
    }

    /// Where the counter belongs of those that found no room.
    pub(super) fn counter(&self) -> Arc<OnceLock<ErrorCounter>> {
        Arc::clone(&self.dropped)
    }

    fn tell(&mut self) {
        self.written = 0;
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        let lost = dropped + self.failed;
        let least = self.level.get();
        if lost == self.told || least > LogLevel::Warn {
            return;
        }
        let message = format!(
            "{} lines of the log were dropped: what takes them did not keep up, or took nothing",
            lost - self.told
        );
        let record = Record {
            time: &Zoned::now(),
            elapsed: Duration::ZERO,
            level: LogLevel::Warn,
            logger: NAME,
            thread: os::thread_id(),
            said: &message,
            message: &message,
            fields: &[],
            colour: self.colour,
        };
        let mut line = String::new();
        self.form.write(&record, &mut line);
        // What cannot be said now is said later.
        if self.out.write_all(line.as_bytes()).is_ok() {
            self.told = lost;
        }
    }
}

impl Write for Telling {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.out.write_all(line) {
            self.failed += 1;
            return Err(error);
        }
        self.written += 1;
        if self.written == LINES {
            // There may be no end to them, and those are written that waited when some were lost.
            self.tell();
        }
        Ok(line.len())
    }

    /// It is called when no line waits.
    fn flush(&mut self) -> io::Result<()> {
        self.tell();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};
    use std::time::Instant;

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;
    use crate::config::model::LogFormat;

    /// Takes a line when it may, and none while the disk is full.
    struct Disk {
        may: Receiver<()>,
        full: Arc<AtomicBool>,
        text: Arc<Mutex<String>>,
    }

    impl Write for Disk {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Once nobody says so any more it may.
            let _ = self.may.recv();
            if self.full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(std::str::from_utf8(line).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        may: Sender<()>,
        full: Arc<AtomicBool>,
        text: Arc<Mutex<String>>,
        telling: Telling,
    }

    fn bench(level: LogLevel) -> Bench {
        let (may, waits) = channel();
        let (full, text) = <(Arc<AtomicBool>, Arc<Mutex<String>>)>::default();
        let disk = Disk {
            may: waits,
            full: Arc::clone(&full),
            text: Arc::clone(&text),
        };
        let threshold = Arc::new(Threshold::default());
        threshold.set(level);
        let form = Form::new(&LogFormat::Pattern("[%l] %v".to_owned()));
        Bench {
            may,
            full,
            text,
            telling: Telling::new(Box::new(disk), threshold, form, false),
        }
    }

    /// How many lines a text says were dropped.
    fn told(text: &str) -> usize {
        let told = text.lines().filter_map(|line| {
            let (count, _) = line
                .strip_prefix("[warning] ")?
                .split_once(" lines of the log were dropped: ")?;
            count.parse::<usize>().ok()
        });
        told.sum()
    }

    #[test]
    fn lines_without_room_are_counted_and_said_when_there_is_room_again() {
        for level in [LogLevel::Info, LogLevel::Error] {
            const ROOM: usize = 100;
            const TOO_MANY: usize = 500;
            let Bench {
                may, text, telling, ..
            } = bench(level);
            let counter = telling.counter();
            let (mut out, guard) = NonBlockingBuilder::default()
                .lossy(true)
                .buffered_lines_limit(ROOM)
                .finish(telling);
            assert!(counter.set(out.error_counter()).is_ok());
            // One is being written, or waits like the rest.
            for n in 0..ROOM + 1 + TOO_MANY {
                out.write_all(format!("line {n}\n").as_bytes()).unwrap();
            }
            let dropped = out.error_counter().dropped_lines();
            assert!(dropped == TOO_MANY || dropped == TOO_MANY + 1, "{dropped}");
            assert_eq!(*text.lock().unwrap(), "");
            drop(may);
            // At the end, or not at all where warnings are not wanted.
            let expected = if level == LogLevel::Info { dropped } else { 0 };
            let whole = |text: &str| {
                let written = text.lines().filter(|line| line.starts_with("line "));
                written.count() + dropped == ROOM + 1 + TOO_MANY && told(text) == expected
            };
            let start = Instant::now();
            while !whole(&text.lock().unwrap()) {
                let last = text.lock().unwrap().lines().last().map(str::to_owned);
                assert!(start.elapsed() < Duration::from_secs(60), "{last:?}");
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(guard);
            let text = text.lock().unwrap();
            assert!(whole(&text));
            assert_eq!(told(text.lines().last().unwrap()), expected);
        }
    }

    #[test]
    fn lines_that_a_full_disk_did_not_take_are_said_too() {
        let Bench {
            may,
            full,
            text,
            mut telling,
        } = bench(LogLevel::Warn);
        drop(may);
        full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(telling.write_all(b"lost\n").is_err());
        }
        telling.flush().unwrap();
        full.store(false, Ordering::SeqCst);
        // Though there is no end to what comes.
        for _ in 0..LINES + 10 {
            telling.write_all(b"here\n").unwrap();
        }
        let here = "here\n".repeat(LINES);
        let text = text.lock().unwrap();
        let rest = text.strip_prefix(&here).unwrap();
        assert_eq!((told(rest), rest.lines().count()), (3, 11));
    }
}

//! Logging: one subscriber for each driver, none for the process.

mod form;
mod lost;
mod pattern;
mod rotate;

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Zoned;
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::model::{LogConfig, LogLevel};
use crate::os::{self, Journal};
use form::{Form, Member, Record, Value};
use lost::Telling;
use rotate::RotatingFile;

/// Lines that may wait for the disk; more are dropped, and that is said.
const LINES: usize = 4096;
/// Characters of one message.
const MOST: usize = 4096;
/// Below a warning this writes down what websocket clients send: logins, under a key that all of
/// them share.
const INDISCREET: &str = "tungstenite::protocol";
/// What these say at the level of traces is about nobody but themselves, many lines for a message.
const CHATTY: &str = "tokio_tungstenite";
/// What the log calls itself.
const NAME: &str = "vscpl2drv-link";

/// A place of the log that cannot be opened.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file.
    #[error("logging.file-path: cannot open {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal.
    #[error("logging.journal-enable-log: there is no journal here")]
    Journal(#[source] io::Error),
}

/// The log of one driver. Dropping it writes what waits, within a second.
#[derive(Debug)]
pub struct Logger {
    dispatch: Dispatch,
    dropped: Vec<ErrorCounter>,
    file_level: Arc<Threshold>,
    console_level: Arc<Threshold>,
    journal_level: Arc<Threshold>,
    _writers: Vec<WorkerGuard>,
}

impl Logger {
    /// Opens what the configuration names. `debug` raises the levels to debug.
    ///
    /// # Errors
    /// [`LogError`] where one of them cannot be opened.
    pub fn start(config: &LogConfig, debug: bool) -> Result<Self, LogError> {
        let mut sinks = Vec::new();
        let mut writers = Vec::new();
        let mut dropped = Vec::new();
        let file_level = Arc::default();
        let (console_level, journal_level) = (Arc::default(), Arc::default());
        let mut add = |form: Form, level: &Arc<Threshold>, colour, out: Box<dyn Write + Send>| {
            let out = Telling::new(out, Arc::clone(level), form.clone(), colour);
            let counter = out.counter();
            let (out, guard) = os::with_signals_blocked(|| {
                NonBlockingBuilder::default()
                    .lossy(true)
                    .buffered_lines_limit(LINES)
                    .thread_name("vscp-link-log")
                    .finish(out)
            });
            writers.push(guard);
            // Nobody else has set it.
            let _ = counter.set(out.error_counter());
            dropped.push(out.error_counter());
            sinks.push(Sink {
                level: Arc::clone(level),
                form,
                colour,
                out,
            });
        };
        if let Some(file) = &config.file {
            let form = Form::new(&file.sink.format);
            let failed = |source| LogError::File {
                path: file.path.clone(),
                source,
            };
            match RotatingFile::open(&file.path, file.max_size, file.max_files) {
                Ok(out) => add(form, &file_level, false, Box::new(out)),
                Err(error) if file.required => return Err(failed(error)),
                // Nobody asked for it, and nobody should look for it in vain.
                Err(error) => os::syslog(
                    os::Priority::Warning,
                    "vscpl2drv-link",
                    &format!(
                        "there is no log: {} cannot be opened: {error}",
                        file.path.display()
                    ),
                ),
            }
        }
        if let Some(console) = &config.console {
            let colour = io::stdout().is_terminal();
            let form = Form::new(&console.format);
            add(form, &console_level, colour, Box::new(io::stdout()));
        }
        if config.journal.is_some() {
            let journal = Journal::open().map_err(LogError::Journal)?;
            add(Form::Journal, &journal_level, false, Box::new(journal));
        }
        // Libraries log through `log`; the first driver of a process connects the two, and each
        // record goes to the subscriber of the thread that it comes from.
        let _ = tracing_log::LogTracer::init();
        let layer = Lines {
            sinks,
            last: Mutex::new(Instant::now()),
        };
        let dispatch = Dispatch::new(Registry::default().with(layer));
        let logger = Self {
            dispatch,
            dropped,
            file_level,
            console_level,
            journal_level,
            _writers: writers,
        };
        logger.set_levels(config, debug);
        Ok(logger)
    }

    /// Whether [`start`](Self::start) would find everything open. Nothing is left behind.
    ///
    /// # Errors
    /// [`LogError`], as there.
    pub fn check(config: &LogConfig) -> Result<(), LogError> {
        if config.journal.is_some() {
            Journal::open().map_err(LogError::Journal)?;
        }
        let Some(file) = config.file.as_ref().filter(|file| file.required) else {
            return Ok(());
        };
        os::can_append(&file.path).map_err(|source| LogError::File {
            path: file.path.clone(),
            source,
        })
    }

    /// Other levels, for the places that are open.
    pub fn set_levels(&self, config: &LogConfig, debug: bool) {
        let level = |level: LogLevel| {
            if debug {
                level.min(LogLevel::Debug)
            } else {
                level
            }
        };
        if let Some(file) = &config.file {
            self.file_level.set(level(file.sink.level));
        }
        if let Some(console) = &config.console {
            self.console_level.set(level(console.level));
        }
        if let Some(journal) = config.journal {
            self.journal_level.set(level(journal));
        }
        // With one subscriber in the process it is the thread's own that is asked.
        tracing::dispatcher::with_default(
            &self.dispatch,
            tracing::callsite::rebuild_interest_cache,
        );
    }

    /// What threads of this driver log to.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// Lines that were dropped because what takes them did not keep up.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped.iter().map(ErrorCounter::dropped_lines).sum()
    }
}

/// One place that lines go to.
struct Sink {
    level: Arc<Threshold>,
    form: Form,
    colour: bool,
    out: NonBlocking,
}

/// A level that may change.
#[derive(Debug, Default)]
struct Threshold(AtomicU8);

impl Threshold {
    const ALL: [LogLevel; 7] = [
        LogLevel::Trace,
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
        LogLevel::Critical,
        LogLevel::Off,
    ];

    fn get(&self) -> LogLevel {
        let at = usize::from(self.0.load(Ordering::Relaxed));
        Self::ALL.get(at).copied().unwrap_or_default()
    }

    fn set(&self, level: LogLevel) {
        self.0.store(level as u8, Ordering::Relaxed);
    }
}

/// Makes lines of tracing's events.
struct Lines {
    sinks: Vec<Sink>,
    last: Mutex<Instant>,
}

impl Lines {
    fn wants(&self, level: LogLevel) -> bool {
        self.sinks
            .iter()
            .map(|sink| sink.level.get())
            .any(|least| level >= least && least != LogLevel::Off)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = level_of(metadata);
        let target = metadata.target();
        if level < LogLevel::Warn && target.starts_with(INDISCREET)
            || *metadata.level() == Level::TRACE && target.starts_with(CHATTY)
        {
            return false;
        }
        // An error may turn out to be critical.
        self.wants(if level == LogLevel::Error {
            LogLevel::Critical
        } else {
            level
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let level = match level_of(event.metadata()) {
            LogLevel::Error if message.critical => LogLevel::Critical,
            level => level,
        };
        if !self.wants(level) {
            return;
        }
        let elapsed = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            now.duration_since(std::mem::replace(&mut *last, now))
        };
        let message = message.bounded();
        let time = Zoned::now();
        for sink in self.sinks.iter().filter(|sink| level >= sink.level.get()) {
            let mut line = String::with_capacity(message.whole.len() + 64);
            let record = Record {
                time: &time,
                elapsed,
                level,
                logger: NAME,
                thread: os::thread_id(),
                said: &message.said,
                message: &message.whole,
                fields: &message.fields,
                colour: sink.colour,
            };
            sink.form.write(&record, &mut line);
            // The writer never fails: where it has no room it counts.
            let _ = sink.out.clone().write_all(line.as_bytes());
        }
    }
}

/// Libraries are heard when they warn; below that only on `trace`.
fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    let level = match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    };
    let ours = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
    if ours || level >= LogLevel::Warn {
        level
    } else {
        LogLevel::Trace
    }
}

/// The message of an event, and its fields.
#[derive(Default)]
struct Message {
    said: String,
    fields: Vec<Member>,
    /// The message with its fields behind it.
    whole: String,
    critical: bool,
}

impl Message {
    /// Each text one line of bounded length, however it was meant: a client's must not forge
    /// another.
    fn bounded(mut self) -> Self {
        self.whole.push_str(&self.said);
        for Member { name, value } in &mut self.fields {
            // Writing to a string cannot fail.
            let _ = write!(self.whole, " {name}={value}");
            if let Value::Text(text) = value {
                *text = line_of(text);
            }
        }
        self.said = line_of(&self.said);
        self.whole = line_of(&self.whole);
        self
    }

    fn field(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => self.said = value.to_string(),
            // Where the record came from, which the bridge from `log` adds.
            name if name.starts_with("log.") => {}
            name => self.fields.push(Member { name, value }),
        }
    }
}

/// The beginning of a text, without control characters.
fn line_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == MOST {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, Value::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, Value::Number(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, Value::Number(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "critical" {
            self.critical = value;
        } else {
            self.field(field, Value::Truth(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::model::{LogFile, LogFormat, LogSink};

    fn config(path: &Path, level: LogLevel) -> LogConfig {
        let sink = LogSink {
            level,
            format: LogFormat::Pattern("[%l] %v".to_owned()),
        };
        let file = LogFile {
            sink,
            path: path.to_owned(),
            max_size: 1 << 20,
            max_files: 1,
            required: true,
        };
        LogConfig {
            file: Some(file),
            console: None,
            journal: None,
        }
    }

    fn logged(level: LogLevel, debug: bool, say: impl FnOnce()) -> String {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("link.log");
        let logger = Logger::start(&config(&path, level), debug).unwrap();
        tracing::dispatcher::with_default(&logger.dispatch(), say);
        drop(logger);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn levels() {
        let say = || {
            tracing::trace!("t");
            tracing::debug!("d");
            tracing::info!("i");
            tracing::warn!("w");
            tracing::error!("e");
            tracing::error!(critical = true, "c");
            tracing::info!(target: "rumqttc", "library");
            tracing::warn!(target: "rumqttc", "library warns");
            tracing::trace!(target: "tungstenite::protocol::frame", "a message");
            tracing::trace!(target: "tokio_tungstenite::compat", "a read");
        };
        let warned = "[warning] library warns\n";
        let rest = format!("[info] i\n[warning] w\n[error] e\n[critical] c\n{warned}");
        assert_eq!(logged(LogLevel::Info, false, say), rest);
        assert_eq!(
            logged(LogLevel::Info, true, say),
            format!("[debug] d\n{rest}")
        );
        assert_eq!(logged(LogLevel::Critical, false, say), "[critical] c\n");
        assert_eq!(logged(LogLevel::Off, false, say), "");
        let all = logged(LogLevel::Trace, false, say);
        assert!(all.contains("[trace] library\n"), "{all}");
        assert!(!all.contains("a message"), "{all}");
        assert!(!all.contains("a read"), "{all}");
    }

    #[test]
    fn a_line_stays_a_line() {
        let text = logged(LogLevel::Info, false, || {
            tracing::info!(user = "a\n[error] forged", "login \x1b[2J");
            tracing::info!("{}", "x".repeat(10_000));
        });
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "[info] login \\u{1b}[2J user=a\\n[error] forged"
        );
        assert_eq!(
            lines.next().unwrap().chars().count(),
            "[info] ".len() + MOST + 1
        );
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn lines_of_json() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("link.log");
        let mut config = config(&path, LogLevel::Info);
        config.file.as_mut().unwrap().sink.format = LogFormat::Json;
        let logger = Logger::start(&config, false).unwrap();
        tracing::dispatcher::with_default(&logger.dispatch(), || {
            tracing::warn!(user = "a\n{\"forged", tries = 3, "login {}", "refused\n");
            tracing::info!("{}", "\"".repeat(10_000));
        });
        drop(logger);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "login refused\\n");
        assert_eq!(lines[0]["user"], "a\\n{\"forged");
        assert_eq!(lines[0]["tries"], 3);
        assert_eq!(lines[0]["level"], "warning");
        let long = lines[1]["message"].as_str().unwrap();
        assert_eq!(long.chars().count(), MOST + 1);
    }

    #[test]
    fn two_drivers_have_two_logs() {
        let place = tempfile::tempdir().unwrap();
        let [one, two] = ["one.log", "two.log"].map(|name| place.path().join(name));
        let loggers =
            [&one, &two].map(|path| Logger::start(&config(path, LogLevel::Info), false).unwrap());
        std::thread::scope(|scope| {
            for (logger, name) in loggers.iter().zip(["one", "two"]) {
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&logger.dispatch(), || {
                        for _ in 0..100 {
                            tracing::info!("{name}");
                        }
                    });
                });
            }
        });
        assert_eq!(loggers[0].dropped(), 0);
        drop(loggers);
        assert_eq!(
            std::fs::read_to_string(one).unwrap(),
            "[info] one\n".repeat(100)
        );
        assert_eq!(
            std::fs::read_to_string(two).unwrap(),
            "[info] two\n".repeat(100)
        );
    }

    #[test]
    fn a_file_that_cannot_be() {
        let error = Logger::start(&config(Path::new("/proc/nowhere/x"), LogLevel::Info), false);
        assert!(error.unwrap_err().to_string().contains("/proc/nowhere/x"));
    }
}

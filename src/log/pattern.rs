//! Patterns of log lines, as spdlog has them.

use std::fmt::Write as _;

use super::form::Record;
use crate::config::model::LogLevel;

/// A pattern, read once.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    Flag { flag: char, pad: Option<Pad> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pad {
    align: Align,
    width: usize,
    truncate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Right,
    Left,
    Centre,
}

/// What spdlog takes when it is told nothing.
const DEFAULT: &str = "[%Y-%m-%d %H:%M:%S.%e] [%n] [%l] %v";
/// Wider than this no field is made.
const MOST_WIDTH: usize = 64;

impl Pattern {
    /// Reads a pattern. What is not known stands for itself, as in spdlog.
    pub(super) fn new(text: &str) -> Self {
        let mut items: Vec<Item> = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '%' {
                plain.push(c);
                continue;
            }
            let mut pad = Pad {
                align: Align::Right,
                width: 0,
                truncate: false,
            };
            match rest.peek() {
                Some('-') => pad.align = Align::Left,
                Some('=') => pad.align = Align::Centre,
                _ => {}
            }
            if pad.align != Align::Right {
                rest.next();
            }
            while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                pad.width = (pad.width * 10 + digit as usize).min(MOST_WIDTH);
                rest.next();
            }
            if pad.width > 0 && rest.peek() == Some(&'!') {
                pad.truncate = true;
                rest.next();
            }
            let Some(flag) = rest.next() else { break };
            if flag == '+' {
                items.extend(take(&mut plain));
                items.extend(Self::new(DEFAULT).0);
                continue;
            }
            items.extend(take(&mut plain));
            items.push(Item::Flag {
                flag,
                pad: (pad.width > 0).then_some(pad),
            });
        }
        items.extend(take(&mut plain));
        Self(items)
    }

    /// Appends a line, with its end.
    pub(super) fn line(&self, record: &Record<'_>, out: &mut String) {
        for item in &self.0 {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Flag { flag, pad: None } => flag_text(*flag, record, out),
                Item::Flag {
                    flag,
                    pad: Some(pad),
                } => {
                    let mut text = String::new();
                    flag_text(*flag, record, &mut text);
                    padded(&text, *pad, out);
                }
            }
        }
        out.push('\n');
    }
}

fn take(plain: &mut String) -> Option<Item> {
    (!plain.is_empty()).then(|| Item::Text(std::mem::take(plain)))
}

fn padded(text: &str, pad: Pad, out: &mut String) {
    let length = text.chars().count();
    if length >= pad.width {
        let most = if pad.truncate { pad.width } else { length };
        out.extend(text.chars().take(most));
        return;
    }
    let missing = pad.width - length;
    let before = match pad.align {
        Align::Right => missing,
        Align::Left => 0,
        Align::Centre => missing / 2,
    };
    out.extend(std::iter::repeat_n(' ', before));
    out.push_str(text);
    out.extend(std::iter::repeat_n(' ', missing - before));
}

fn flag_text(flag: char, record: &Record<'_>, out: &mut String) {
    let at = record.time;
    let nanos = at.subsec_nanosecond();
    // Writing to a string cannot fail.
    let _ = match flag {
        'v' => write!(out, "{}", record.message),
        't' => write!(out, "{}", record.thread),
        'P' => write!(out, "{}", std::process::id()),
        'n' => write!(out, "{}", record.logger),
        'l' => write!(out, "{}", name(record.level)),
        'L' => write!(out, "{}", letter(record.level)),
        'a' => write!(out, "{}", at.strftime("%a")),
        'A' => write!(out, "{}", at.strftime("%A")),
        'b' | 'h' => write!(out, "{}", at.strftime("%b")),
        'B' => write!(out, "{}", at.strftime("%B")),
        'c' => write!(
            out,
            "{} {} {}",
            at.strftime("%a %b"),
            at.day(),
            at.strftime("%T %Y")
        ),
        'C' => write!(out, "{}", at.strftime("%y")),
        'Y' => write!(out, "{:04}", at.year()),
        'D' | 'x' => write!(out, "{}", at.strftime("%m/%d/%y")),
        'm' => write!(out, "{:02}", at.month()),
        'd' => write!(out, "{:02}", at.day()),
        'H' => write!(out, "{:02}", at.hour()),
        'I' => write!(out, "{}", at.strftime("%I")),
        'M' => write!(out, "{:02}", at.minute()),
        'S' => write!(out, "{:02}", at.second()),
        'e' => write!(out, "{:03}", nanos / 1_000_000),
        'f' => write!(out, "{:06}", nanos / 1000),
        'F' => write!(out, "{nanos:09}"),
        'p' => write!(out, "{}", at.strftime("%p")),
        'r' => write!(out, "{}", at.strftime("%I:%M:%S %p")),
        'R' => write!(out, "{}", at.strftime("%H:%M")),
        'T' | 'X' => write!(out, "{}", at.strftime("%T")),
        'z' => write!(out, "{}", at.strftime("%:z")),
        'E' => write!(out, "{}", at.timestamp().as_second()),
        'i' => write!(out, "{}", record.elapsed.as_micros()),
        'u' => write!(out, "{}", record.elapsed.as_nanos()),
        'o' => write!(out, "{}", record.elapsed.as_millis()),
        'O' => write!(out, "{}", record.elapsed.as_secs()),
        '^' if record.colour => write!(out, "{}", colour(record.level)),
        '$' if record.colour => write!(out, "\x1b[0m"),
        // No colours, and no source location or context: they are the program's, not the log's.
        '^' | '$' | '@' | 's' | 'g' | '#' | '!' | '&' => Ok(()),
        '%' => write!(out, "%"),
        other => write!(out, "%{other}"),
    };
}

/// What spdlog calls it.
pub(super) fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warning",
        LogLevel::Error => "error",
        LogLevel::Critical => "critical",
        LogLevel::Off => "off",
    }
}

fn letter(level: LogLevel) -> char {
    match level {
        LogLevel::Trace => 'T',
        LogLevel::Debug => 'D',
        LogLevel::Info => 'I',
        LogLevel::Warn => 'W',
        LogLevel::Error => 'E',
        LogLevel::Critical => 'C',
        LogLevel::Off => 'O',
    }
}

fn colour(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "\x1b[37m",
        LogLevel::Debug => "\x1b[36m",
        LogLevel::Info => "\x1b[32m",
        LogLevel::Warn => "\x1b[33m\x1b[1m",
        LogLevel::Error => "\x1b[31m\x1b[1m",
        LogLevel::Critical => "\x1b[1m\x1b[41m",
        LogLevel::Off => "",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Zoned;

    use super::*;

    fn line(pattern: &str, colour: bool) -> String {
        let time: Zoned = "2026-11-20T09:04:05.123456789+01:00[+01:00]"
            .parse()
            .unwrap();
        let record = Record {
            time: &time,
            elapsed: Duration::from_millis(2500),
            level: LogLevel::Warn,
            logger: "vscpl2drv-link",
            thread: 42,
            said: "",
            message: "something",
            fields: &[],
            colour,
        };
        let mut out = String::new();
        Pattern::new(pattern).line(&record, &mut out);
        out.strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn the_patterns_that_people_have() {
        assert_eq!(
            line("[vcpl2drv-websocksrv %c] [%^%l%$] %v", false),
            "[vcpl2drv-websocksrv Fri Nov 20 09:04:05 2026] [warning] something"
        );
        assert_eq!(
            line("[%^%l%$] %v", true),
            "[\x1b[33m\x1b[1mwarning\x1b[0m] something"
        );
        assert_eq!(
            line("%+", false),
            "[2026-11-20 09:04:05.123] [vscpl2drv-link] [warning] something"
        );
    }

    #[test]
    fn every_flag() {
        for (flag, text) in [
            ("%t", "42"),
            ("%n", "vscpl2drv-link"),
            ("%L", "W"),
            ("%a", "Fri"),
            ("%A", "Friday"),
            ("%b", "Nov"),
            ("%h", "Nov"),
            ("%B", "November"),
            ("%C", "26"),
            ("%Y", "2026"),
            ("%D", "11/20/26"),
            ("%x", "11/20/26"),
            ("%m", "11"),
            ("%d", "20"),
            ("%H", "09"),
            ("%I", "09"),
            ("%M", "04"),
            ("%S", "05"),
            ("%e", "123"),
            ("%f", "123456"),
            ("%F", "123456789"),
            ("%p", "AM"),
            ("%r", "09:04:05 AM"),
            ("%R", "09:04"),
            ("%T", "09:04:05"),
            ("%X", "09:04:05"),
            ("%z", "+01:00"),
            ("%E", "1795161845"),
            ("%i", "2500000"),
            ("%u", "2500000000"),
            ("%o", "2500"),
            ("%O", "2"),
            ("%^%$", ""),
            ("%@%s%g%#%!%&", ""),
            ("%%", "%"),
            ("%q", "%q"),
            ("%", ""),
            ("", ""),
        ] {
            assert_eq!(line(flag, false), text, "{flag}");
        }
        assert_eq!(line("%P", false), std::process::id().to_string());
    }

    #[test]
    fn widths() {
        assert_eq!(line("%9l|", false), "  warning|");
        assert_eq!(line("%-9l|", false), "warning  |");
        assert_eq!(line("%=9l|", false), " warning |");
        assert_eq!(line("%3!l|", false), "war|");
        assert_eq!(line("%3l|", false), "warning|");
        assert_eq!(line("%9999999999l", false).len(), MOST_WIDTH);
    }
}

//! What becomes of a record in one place: a line of text, of JSON, or an entry of the journal.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Zoned;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::pattern::{self, Pattern};
use crate::config::model::{LogFormat, LogLevel};

/// What a line is made of. No text of it has a control character in it.
pub(super) struct Record<'a> {
    pub(super) time: &'a Zoned,
    /// Since the line before.
    pub(super) elapsed: Duration,
    pub(super) level: LogLevel,
    pub(super) logger: &'a str,
    pub(super) thread: u64,
    /// What happened, without fields.
    pub(super) said: &'a str,
    /// The same with fields behind it, as people read it.
    pub(super) message: &'a str,
    /// To whom and with what it happened.
    pub(super) fields: &'a [Member],
    /// True where colours can be seen.
    pub(super) colour: bool,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) value: Value,
}

/// Its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Number(i128),
    Truth(bool),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
        }
    }
}

/// How records are written.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Text by a pattern.
    Pattern(Pattern),
    /// An object of JSON for each.
    Json,
    /// A datagram of the journal for each, as systemd's "Native Journal Protocol" has it.
    Journal,
}

impl Form {
    pub(super) fn new(format: &LogFormat) -> Self {
        match format {
            LogFormat::Pattern(pattern) => Self::Pattern(Pattern::new(pattern)),
            LogFormat::Json => Self::Json,
        }
    }

    /// Appends a record, with its end.
    pub(super) fn write(&self, record: &Record<'_>, out: &mut String) {
        match self {
            Self::Pattern(pattern) => pattern.line(record, out),
            Self::Json => json(record, out),
            Self::Journal => entry(record, out),
        }
    }
}

/// `{"time", "level", "thread", "message", …}`, fields behind.
struct Json<'a>(&'a Record<'a>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record) = self;
        let mut map = serializer.serialize_map(None)?;
        let time = record.time.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string();
        map.serialize_entry("time", &time)?;
        map.serialize_entry("level", pattern::name(record.level))?;
        map.serialize_entry("thread", &record.thread)?;
        map.serialize_entry("message", record.said)?;
        for Member { name, value } in record.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn json(record: &Record<'_>, out: &mut String) {
    // Texts, numbers and truths can always be written.
    if let Ok(line) = serde_json::to_string(&Json(record)) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// `NAME=value` lines; no value has a line end in it. Names are the journal's own, and `VSCP_` with
/// the field's.
fn entry(record: &Record<'_>, out: &mut String) {
    let priority = match record.level {
        LogLevel::Trace | LogLevel::Debug => 7,
        LogLevel::Info => 6,
        LogLevel::Warn => 4,
        LogLevel::Error => 3,
        LogLevel::Critical | LogLevel::Off => 2,
    };
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "MESSAGE={}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER={}\nTID={}\n",
        record.message, record.logger, record.thread
    );
    for Member { name, value } in record.fields {
        let name = name.to_ascii_uppercase().replace(['.', '-'], "_");
        let _ = writeln!(out, "VSCP_{name}={value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: &Form) -> String {
        let fields = [
            ("client", Value::Text("192.0.2.1:4711".to_owned())),
            ("user", Value::Text("a \"b\" = c".to_owned())),
            ("port", Value::Number(9598)),
            ("tls", Value::Truth(true)),
        ];
        let fields = fields.map(|(name, value)| Member { name, value });
        let record = Record {
            time: &"2026-11-02T18:00:01.25+01:00[+01:00]".parse().unwrap(),
            elapsed: Duration::ZERO,
            level: LogLevel::Warn,
            logger: "me",
            thread: 7,
            said: "login refused",
            message: "login refused client=…",
            fields: &fields,
            colour: false,
        };
        let mut out = String::new();
        form.write(&record, &mut out);
        out
    }

    #[test]
    fn an_object_of_json() {
        assert_eq!(
            written(&Form::new(&LogFormat::Json)),
            "{\"time\":\"2026-11-02T18:00:01.250000+01:00\",\"level\":\"warning\",\"thread\":7,\
              \"message\":\"login refused\",\"client\":\"192.0.2.1:4711\",\
              \"user\":\"a \\\"b\\\" = c\",\"port\":9598,\"tls\":true}\n"
        );
    }

    #[test]
    fn an_entry_of_the_journal() {
        assert_eq!(
            written(&Form::Journal),
            "MESSAGE=login refused client=…\nPRIORITY=4\nSYSLOG_IDENTIFIER=me\nTID=7\n\
             VSCP_CLIENT=192.0.2.1:4711\nVSCP_USER=a \"b\" = c\nVSCP_PORT=9598\nVSCP_TLS=true\n"
        );
    }
}

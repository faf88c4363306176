//! What the schemas say of files, and what the driver says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use vscpl2drv_link::config;

use crate::support::tools::root;

/// Rules that no schema can have, by what `check` says: what depends on another key or another file,
/// and what texts mean beyond their form.
pub(crate) const CHECK_ONLY: &[(&str, &str)] = &[
    // Another key.
    ("this needs a usable key-file", "another key, a file"),
    ("there is no key-file", "another key"),
    ("TLS needs tls.certificate", "another key"),
    ("this needs a ca-file", "another key"),
    ("this needs verify-peer", "another key"),
    ("this asks for TLS", "another key"),
    ("a certfile needs a keyfile", "another key"),
    ("a keyfile needs a certfile", "another key"),
    ("a session that the broker keeps", "another key"),
    ("a connection has one will", "another key"),
    ("cannot both be at", "another key"),
    ("this needs web-root", "another key"),
    ("mode on-demand is for events", "another key"),
    ("others could look there", "another key"),
    (
        "from 1 to 65535 was expected, 0 was found",
        "another key: 0 is for files with websockets alone",
    ),
    // Another value of a list.
    (
        "another section of the list has this broker",
        "another value",
    ),
    ("another link has the name", "another value"),
    ("there are two users", "another value"),
    (
        "events[1]: an object was expected",
        "another value: all texts, or all objects",
    ),
    // Another file.
    ("cannot be read:", "another file"),
    ("is not usable", "another file"),
    ("which everybody could read", "another file"),
    // What a text means.
    ("is not a port from 0", "a text"),
    ("is not an address or a host name", "a text"),
    ("there is no TLS ", "a text"),
    ("an IPv4 address of this machine was expected", "a text"),
    ("the group has its own key", "a text"),
    ("is no multicast address", "a text"),
    ("is no network (", "a text"),
    ("is not + or - and an address", "a text"),
    ("is no origin", "a text"),
    (
        "an IP address of this machine was expected, not a name",
        "a text",
    ),
    ("is not a port", "a text"),
    ("there is no host name in it", "a text"),
    ("of a filter or mask cannot be read", "a text"),
    ("the GUID has", "a text"),
    ("is not an allowed event", "a text"),
    ("error: variables.", "a text: an event"),
    ("is not a known variable", "a text: a template"),
    ("has no }} behind it", "a text: a template"),
    ("does not begin and end in pairs", "a text: a template"),
    ("it does not make a topic", "a text: a template"),
    ("at most 65535 bytes", "a text"),
    ("stands in brackets", "a text"),
];

/// What the driver says: lines with errors, and with keys that nobody knows.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    pub(crate) lines: Vec<String>,
    /// A key is there under two names. The second is not looked at, and only a schema says whether
    /// it is good.
    pub(crate) doubled: bool,
}

impl Complaints {
    /// Of lines as `vscp-link check` prints them.
    pub(crate) fn of<'l>(lines: impl IntoIterator<Item = &'l str>) -> Self {
        let wrong = |line: &&str| {
            line.contains(" error: ") || line.contains("the key is not known and has no effect")
        };
        let lines: Vec<&str> = lines.into_iter().collect();
        Self {
            doubled: lines
                .iter()
                .any(|line| line.contains("says the same and counts")),
            lines: (lines.into_iter().filter(wrong))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// What the text of a driver file, or of a users file, is told.
    pub(crate) fn of_text(kind: &str, text: &str) -> Self {
        let warnings = match kind {
            "users" => config::parse_users(text).map(|(_, warnings)| warnings),
            _ => config::parse_driver(text).map(|(_, warnings)| warnings),
        };
        match warnings {
            Ok(warnings) => Self::of(warnings.iter().map(String::as_str)),
            Err(error) => Self::of(error.to_string().lines()),
        }
    }

    /// What the program says of a file.
    pub(crate) fn of_file(path: &Path) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
            .arg("check")
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let found = Self::of(text.lines());
        let bad = found.lines.iter().any(|line| line.contains(" error: "));
        let code = output.status.code();
        assert_eq!(code, Some(i32::from(bad)), "{path:?}: {text}");
        found
    }

    /// Those that a schema has to have as well.
    pub(crate) fn of_schema(&self) -> Vec<&String> {
        let known = |line: &str| CHECK_ONLY.iter().any(|(rule, _)| line.contains(rule));
        self.lines.iter().filter(|line| !known(line)).collect()
    }

    /// True where the driver takes the file.
    pub(crate) fn none(&self) -> bool {
        self.lines.is_empty()
    }

    /// True where the driver complains of one of these keys.
    pub(crate) fn name(&self, keys: &[String]) -> bool {
        let of = |line: &str, key: &str| match key {
            "" => !line.contains(": error: ") || line.matches(": ").count() == 2,
            key => line.contains(&format!(": {key}: ")),
        };
        // Of a list of texts the driver speaks as a whole, of what has to be there where it is not.
        let lists = keys
            .iter()
            .filter_map(|key| key.rsplit_once('['))
            .map(|(list, _)| list);
        let above = keys
            .iter()
            .map(|key| key.rsplit_once('.').map_or("", |(above, _)| above));
        let mut keys = keys.iter().map(String::as_str).chain(lists).chain(above);
        keys.any(|key| self.lines.iter().any(|line| of(line, key)))
    }
}

/// The file of a schema.
pub(crate) fn schema(kind: &str) -> PathBuf {
    root().join(format!("contrib/schema/{kind}.schema.json"))
}

/// What the schemas say of texts, each with the kind of its file: the keys that are wrong.
pub(crate) fn validated<'t>(
    texts: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Vec<Vec<String>> {
    let lines = texts.into_iter().map(|(kind, text)| {
        let schema = schema(kind);
        json!({"schema": schema.to_str().unwrap(), "text": text}).to_string()
    });
    let lines: Vec<String> = lines.collect();
    let mut python = Command::new("/usr/bin/python3")
        .arg(root().join("tests/python/schema.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs /usr/bin/python3: run `tests/setup all`");
    let mut input = python.stdin.take().unwrap();
    let count = lines.len();
    let writer = std::thread::spawn(move || {
        for line in lines {
            if writeln!(input, "{line}").is_err() {
                break;
            }
        }
    });
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(
        output.status.success(),
        "without python3-jsonschema: run `tests/setup all`"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Vec<String>> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), count);
    found
}

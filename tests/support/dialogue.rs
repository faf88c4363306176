//! Dialogues between a client and the driver, as text files.
//!
//! ```text
//! # a remark
//! ! "max-clients": 1          one member of the driver's configuration
//! L: admin secret             reads the greeting and logs in
//! C: noop                     the client sends a line
//! C> no\xFF\n                 the client sends just these bytes
//! S: +OK - Success.           the server sends exactly this line, CR LF behind it
//! S~ +OK - *                  the server sends a line like this
//! S.                          the server closes
//! H: 0,20,3,,,,-,1            the host writes an event
//! R: 0,20,3,1,*               the host reads an event like this
//! ```
//!
//! After the last step the server must have nothing more to say: NOOP is answered by its own
//! reply, or the connection is closed.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Dialogue {
    pub name: String,
    /// Members of the driver's configuration, as JSON.
    pub config: Vec<String>,
    pub steps: Vec<Step>,
}

/// One line of it, and where it stands.
pub struct Step {
    pub line: usize,
    pub action: Action,
}

pub enum Action {
    Send(Vec<u8>),
    Expect(Pattern),
    ExpectEnd,
    HostWrites(String),
    HostReads(Pattern),
}

/// A line, or a line with `*` for anything.
pub struct Pattern {
    text: String,
    glob: bool,
}

impl Pattern {
    pub fn matches(&self, line: &str) -> bool {
        if !self.glob {
            return self.text == line;
        }
        let mut parts = self.text.split('*');
        let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let mut last = "";
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
            last = part;
        }
        // The last part must be the end, unless the pattern ends with a star.
        self.text.ends_with('*') || line.ends_with(last) && (rest.is_empty() || !last.is_empty())
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// All dialogues of the project, in the order of their names.
pub fn all() -> Vec<Dialogue> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut files: Vec<PathBuf> = fs::read_dir(&place)
        .expect("tests/dialogues is there")
        .map(|entry| entry.expect("an entry of tests/dialogues").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are no dialogues");
    files.iter().map(|file| read(file)).collect()
}

/// The users of the dialogues.
pub fn users() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues/users.json")
}

/// The configuration of a dialogue with an interface added.
pub fn config(dialogue: &Dialogue, interface: &str) -> String {
    let mut members = vec![
        format!("\"interface\": \"{interface}\""),
        format!("\"path-users\": {:?}", users()),
        "\"logging\": {\"file-enable-log\": false, \"console-enable-log\": false}".to_owned(),
        "\"abi\": \"v2\"".to_owned(),
    ];
    members.extend(dialogue.config.iter().cloned());
    format!("{{{}}}", members.join(", "))
}

fn read(file: &Path) -> Dialogue {
    let text = fs::read_to_string(file).expect("a dialogue is text");
    let name = file
        .file_name()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned();
    let mut dialogue = Dialogue {
        name,
        config: Vec::new(),
        steps: Vec::new(),
    };
    for (line, text) in (1..).zip(text.lines()) {
        let mut add = |action| dialogue.steps.push(Step { line, action });
        let exact = |text: &str| Pattern {
            text: text.to_owned(),
            glob: false,
        };
        let glob = |text: &str| Pattern {
            text: text.to_owned(),
            glob: true,
        };
        match text.split_at(text.len().min(3)) {
            ("" | "#" | "# ", _) => {}
            (start, _) if start.starts_with('#') => {}
            (start, _) if start.starts_with("! ") => dialogue.config.push(text[2..].to_owned()),
            ("C: ", rest) => add(Action::Send(format!("{rest}\r\n").into_bytes())),
            ("C:", "") => add(Action::Send(b"\r\n".to_vec())),
            ("C> ", rest) => add(Action::Send(unescape(rest))),
            ("S: ", rest) => add(Action::Expect(exact(rest))),
            ("S:", "") => add(Action::Expect(exact(""))),
            ("S~ ", rest) => add(Action::Expect(glob(rest))),
            ("S.", "") => add(Action::ExpectEnd),
            ("H: ", rest) => add(Action::HostWrites(rest.to_owned())),
            ("R: ", rest) => add(Action::HostReads(glob(rest))),
            ("L: ", rest) => {
                let (user, password) = rest.split_once(' ').expect("L: user password");
                for line in ["Welcome*", "Version*", "vscpl2drv-link*", "+OK - Success."] {
                    add(Action::Expect(glob(line)));
                }
                add(Action::Send(format!("user {user}\r\n").into_bytes()));
                add(Action::Expect(exact(
                    "+OK - User name accepted, password please",
                )));
                add(Action::Send(format!("pass {password}\r\n").into_bytes()));
                add(Action::Expect(exact("+OK - Success.")));
            }
            _ => panic!("{}:{line}: not a step: {text}", dialogue.name),
        }
    }
    if !matches!(
        dialogue.steps.last(),
        Some(Step {
            action: Action::ExpectEnd,
            ..
        })
    ) {
        let line = text.lines().count();
        for action in [
            Action::Send(b"noop\r\n".to_vec()),
            Action::Expect(Pattern {
                text: "+OK - Success.".to_owned(),
                glob: false,
            }),
        ] {
            dialogue.steps.push(Step { line, action });
        }
    }
    dialogue
}

/// `\xNN`, `\r`, `\n`, `\t`, `\0`, `\\`; and `\{N}c` for N times the character c.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let kind = rest.chars().next().expect("something after a backslash");
        rest = &rest[1..];
        match kind {
            'x' => {
                out.push(u8::from_str_radix(&rest[..2], 16).expect("two hexadecimal digits"));
                rest = &rest[2..];
            }
            '{' => {
                let (count, after) = rest.split_once('}').expect("a closing brace");
                let byte = after.as_bytes()[0];
                out.extend(std::iter::repeat_n(byte, count.parse().expect("a count")));
                rest = &after[1..];
            }
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            other => panic!("\\{other} means nothing"),
        }
    }
    out
}

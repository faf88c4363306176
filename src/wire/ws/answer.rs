//! What the server says. Clients compare these texts letter by letter: none may change.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Code, Dialect, Sid, hex};
use crate::auth::User;
use crate::event::Filter;

/// The version of the ws1 protocol.
const PROTOCOL: &str = "1.0.0.0";

/// In the place of a password.
const STARS: &str = "********";

/// What a positive answer carries.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// Nothing.
    Done,
    /// The session id.
    Sid(Sid),
    /// Who is logged in, and their place among the users, by name; ws2 does not say it.
    User(&'a User, usize),
    /// The version of the driver.
    Version,
    /// What this is.
    Copyright,
}

/// The first message of a server.
pub fn greet(dialect: Dialect, sid: &Sid, out: &mut String) {
    let sid = hex(sid);
    let _ = match dialect {
        Dialect::Ws1 => write!(out, "+;AUTH0;{sid}"),
        Dialect::Ws2 => {
            write!(
                out,
                "{{    \"type\" : \"+\",     \"args\" : [\"AUTH0\",\"{sid}\"]}}"
            )
        }
    };
}

/// A positive answer. `word` is the one of the client's command; in ws1 some answers have another.
pub fn positive(dialect: Dialect, word: &str, answer: Answer<'_>, out: &mut String) {
    let _ = match dialect {
        Dialect::Ws1 => match answer {
            Answer::Done => write!(out, "+;{word}"),
            Answer::Sid(sid) => write!(out, "+;AUTH0;{}", hex(&sid)),
            Answer::User(user, userid) => write!(out, "+;AUTH1;{}", record(user, userid)),
            Answer::Version => write!(out, "+;{word};{};{PROTOCOL}", version()),
            Answer::Copyright => write!(out, "+;{word};{}", copyright()),
        },
        Dialect::Ws2 => {
            let args = match answer {
                Answer::Done | Answer::User(..) => "null".to_owned(),
                Answer::Sid(sid) => format!("{{\"sid\": \"{}\"}}", hex(&sid)),
                Answer::Version => format!("{{ \"version\" : \"{}\" }}", version()),
                Answer::Copyright => format!("{{ \"copyright\" : \"{}\" }}", copyright()),
            };
            write!(
                out,
                "{{ \"type\" : \"+\",  \"command\" : {},  \"args\" : {args}}}",
                quoted(word)
            )
        }
    };
}

/// A negative answer. An empty word is not said in ws1.
pub fn negative(dialect: Dialect, word: &str, code: Code, out: &mut String) {
    let (number, text) = (code.number(), code.text());
    let _ = match (dialect, word) {
        (Dialect::Ws1, "") => write!(out, "-;{number};{text}"),
        (Dialect::Ws1, word) => write!(out, "-;{word};{number};{text}"),
        (Dialect::Ws2, word) => write!(
            out,
            "{{ \"type\" : \"-\",  \"command\" : {},  \"errcode\" : {number},  \
             \"errstr\" : \"{text}\" }}",
            quoted(word)
        ),
    };
}

/// The version as VERSION says it.
#[must_use]
pub fn version() -> String {
    format!("{}-0", env!("CARGO_PKG_VERSION"))
}

/// What COPYRIGHT says.
#[must_use]
pub fn copyright() -> &'static str {
    "Copyright (c) 2026 the vscpl2drv-link maintainers, MIT licence"
}

/// As a JSON string.
fn quoted(word: &str) -> String {
    Value::from(word).to_string()
}

/// `userid;name;stars;fullname;filter;mask;rights;remotes;events;note`. Where the user may come
/// from is not told, nor anything about the password.
fn record(user: &User, userid: usize) -> String {
    [
        userid.to_string(),
        field(&user.name),
        STARS.to_owned(),
        field(&user.full_name),
        filter(&user.filter.filter),
        filter(&user.filter.mask),
        format!("{:032b}", user.rights.bits() as u32),
        String::new(),
        events(user),
        base64(user.note.as_bytes()),
    ]
    .join(";")
}

/// A text that ends no field.
fn field(text: &str) -> String {
    let harmless = |c: char| if c == ';' || c.is_control() { '_' } else { c };
    text.chars().map(harmless).collect()
}

/// `priority,class,type,GUID`.
pub(super) fn filter(filter: &Filter) -> String {
    format!(
        "{},{},{},{}",
        filter.priority, filter.class, filter.vscp_type, filter.guid
    )
}

/// `0014:*/001E:0005`: class and type of what the user may send or receive.
fn events(user: &User) -> String {
    let code = |code: Option<u16>| code.map_or_else(|| "*".to_owned(), |n| format!("{n:04X}"));
    user.allowed
        .codes()
        .map(|(class, vscp_type)| format!("{}:{}", code(class), code(vscp_type)))
        .collect::<Vec<_>>()
        .join("/")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let at = |at: usize| u32::from(piece.get(at).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            out.push(if place <= piece.len() {
                char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests;

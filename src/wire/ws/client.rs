//! The other side: requests out, answers in.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Dialect, Sid, answer, auth, hex, unhex, write_event, ws1, ws2};
use crate::event::json::Generation;
use crate::event::text::Defaults;
use crate::event::{Event, FilterPair};

/// A message of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The session id: the first message, and the answer to CHALLENGE.
    Auth0(Sid),
    /// A positive answer.
    Done {
        /// The command, as this server calls it.
        word: String,
        /// What it carries: fields, or JSON. Empty where there is nothing.
        args: String,
    },
    /// A negative answer.
    Refused {
        /// The command, as this server calls it; some servers leave it out.
        word: String,
        /// Usually one of [`Code`](super::Code).
        code: u32,
        /// In words.
        text: String,
    },
    /// An event.
    Event(Event),
}

/// Not a message of a server.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a message of a VSCP server")]
pub struct NotUnderstood;

/// AUTH with the session id that the server told.
#[must_use]
pub fn auth(dialect: Dialect, key: &[u8; 16], sid: &Sid, user: &str, password: &str) -> String {
    let (iv, crypto) = (hex(sid), auth::seal(key, sid, user, password));
    match dialect {
        Dialect::Ws1 => format!("C;AUTH;{iv};{crypto}"),
        Dialect::Ws2 => ws2_command("AUTH", &json!({ "iv": iv, "crypto": crypto })),
    }
}

/// NOOP.
#[must_use]
pub fn noop(dialect: Dialect) -> String {
    command(dialect, "NOOP")
}

/// OPEN.
#[must_use]
pub fn open(dialect: Dialect) -> String {
    command(dialect, "OPEN")
}

/// CLOSE.
#[must_use]
pub fn close(dialect: Dialect) -> String {
    command(dialect, "CLOSE")
}

/// Any command without arguments. `word` is one of the table.
#[must_use]
pub fn command(dialect: Dialect, word: &str) -> String {
    match dialect {
        Dialect::Ws1 => format!("C;{word}"),
        Dialect::Ws2 => ws2_command(word, &Value::Null),
    }
}

/// SETFILTER. ws1 servers answer SF.
#[must_use]
pub fn set_filter(dialect: Dialect, pair: &FilterPair) -> String {
    let FilterPair { filter, mask } = pair;
    match dialect {
        Dialect::Ws1 => format!("C;SF;{};{}", answer::filter(filter), answer::filter(mask)),
        Dialect::Ws2 => ws2_command(
            "SETFILTER",
            &json!({
                "mask_priority": mask.priority,
                "mask_class": mask.class,
                "mask_type": mask.vscp_type,
                "mask_guid": mask.guid.to_string(),
                "filter_priority": filter.priority,
                "filter_class": filter.class,
                "filter_type": filter.vscp_type,
                "filter_guid": filter.guid.to_string(),
            }),
        ),
    }
}

/// An event, in ws2 with the names that every server knows.
#[must_use]
pub fn event(dialect: Dialect, event: &Event) -> String {
    let mut out = Vec::new();
    write_event(dialect, event, Generation::Classic, &mut out);
    // Digits and names: there is nothing in it that is not ASCII.
    String::from_utf8_lossy(&out).into_owned()
}

fn ws2_command(word: &str, args: &Value) -> String {
    json!({ "type": "CMD", "command": word, "args": args }).to_string()
}

/// What a server says. `defaults` are for an event that lacks something.
///
/// # Errors
/// [`NotUnderstood`] for what is no such message.
pub fn read(dialect: Dialect, message: &str, defaults: &Defaults) -> Result<Said, NotUnderstood> {
    let said = match dialect {
        Dialect::Ws1 => read_ws1(message.trim(), defaults),
        Dialect::Ws2 => read_ws2(message, defaults),
    };
    said.ok_or(NotUnderstood)
}

fn read_ws1(message: &str, defaults: &Defaults) -> Option<Said> {
    let (letter, rest) = message.split_once(';')?;
    match letter {
        "E" => ws1::event(rest, defaults).map(Said::Event),
        "+" => {
            let (word, args) = rest.split_once(';').unwrap_or((rest, ""));
            if word == "AUTH0" {
                return sid(args).map(Said::Auth0);
            }
            Some(Said::Done {
                word: word.to_owned(),
                args: args.to_owned(),
            })
        }
        "-" => {
            // Some servers leave out the word, others have a comma before the text.
            let number = |text: &str| text.trim().parse().ok();
            let (first, rest) = rest.split_once(';').unwrap_or((rest, ""));
            let (second, text) = rest.split_once([';', ',']).unwrap_or((rest, ""));
            let (word, code, text) = match (number(first), number(second)) {
                (_, Some(code)) => (first, code, text),
                (Some(code), None) => ("", code, rest),
                (None, None) => return None,
            };
            Some(Said::Refused {
                word: word.to_owned(),
                code,
                text: text.to_owned(),
            })
        }
        _ => None,
    }
}

/// A message of a ws2 server. The names of the error's members are also those of the
/// specification's examples.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    command: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(alias = "error-code")]
    errcode: Option<u32>,
    #[serde(alias = "error-str")]
    errstr: Option<String>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

fn read_ws2(message: &str, defaults: &Defaults) -> Option<Said> {
    let frame: Frame<'_> = serde_json::from_str(message).ok()?;
    let word = frame.command.unwrap_or_default();
    match &*frame.kind {
        "EVENT" | "E" => ws2::event(frame.event?.get(), defaults).map(Said::Event),
        "+" => {
            let args = frame.args.map_or("", RawValue::get);
            Some(ws2_sid(args).map_or_else(
                || Said::Done {
                    word,
                    args: args.to_owned(),
                },
                Said::Auth0,
            ))
        }
        "-" => Some(Said::Refused {
            word,
            code: frame.errcode?,
            text: frame.errstr.unwrap_or_default(),
        }),
        _ => None,
    }
}

/// The id in `["AUTH0", "…"]` or `{"sid": "…"}`.
fn ws2_sid(args: &str) -> Option<Sid> {
    match serde_json::from_str(args).ok()? {
        Value::Array(list) => match &list[..] {
            [Value::String(word), Value::String(digits)] if word == "AUTH0" => sid(digits),
            _ => None,
        },
        Value::Object(members) => sid(members.get("sid")?.as_str()?),
        _ => None,
    }
}

fn sid(digits: &str) -> Option<Sid> {
    unhex(digits.trim())?.try_into().ok()
}

#[cfg(test)]
mod tests;

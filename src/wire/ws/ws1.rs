//! ws1: fields with `;` between them, the first a letter.

use std::borrow::Cow;

use super::message::{Arguments, Credentials, EventForm, Message, echo};
use super::{Code, Dialect, command};
use crate::event::text::{self, Defaults};
use crate::event::{Event, FilterPair, number};

/// The fields before the data of an event.
const FIELDS: usize = 7;

/// What a message says.
pub(super) fn read(message: &str) -> Message<'_> {
    let message = message.trim();
    if message.is_empty() || message.starts_with(['+', '-']) {
        return Message::Silent;
    }
    let (letter, rest) = match message.split_once(';') {
        Some((letter, rest)) => (letter.trim_end(), Some(rest)),
        None => (message, None),
    };
    match letter {
        "C" | "c" => command(rest),
        "E" | "e" => Message::Event(EventForm::Text(rest.unwrap_or_default())),
        _ if letter.starts_with(['C', 'c', 'E', 'e']) => bad(Code::Syntax),
        _ => bad(Code::UnknownType),
    }
}

fn bad<'a>(code: Code) -> Message<'a> {
    Message::Bad(String::new(), code)
}

fn command(rest: Option<&str>) -> Message<'_> {
    let Some(rest) = rest else {
        return Message::Bad("C".to_owned(), Code::UnknownCommand);
    };
    let mut fields = rest.split(';').map(str::trim);
    let word = fields.next().unwrap_or_default();
    if let Some(entry) = command::find(Dialect::Ws1, word) {
        let fields = fields.collect();
        return Message::Command(entry, entry.short().to_owned(), Arguments::Fields(fields));
    }
    let word: String = word.chars().filter(|c| !c.is_control()).collect();
    match echo(&word) {
        word if word.is_empty() => bad(Code::Syntax),
        word => Message::Bad(word, Code::UnknownCommand),
    }
}

/// Two fields, and at most empty ones after them.
fn two<'a>(fields: &[&'a str]) -> Result<[&'a str; 2], Code> {
    match *fields {
        [first, second, ref rest @ ..] if rest.iter().all(|field| field.is_empty()) => {
            Ok([first, second])
        }
        _ => Err(Code::Syntax),
    }
}

/// `iv;crypto`.
pub(super) fn credentials(fields: &[&str]) -> Result<Credentials, Code> {
    let [iv, cipher] = two(fields)?;
    Credentials::read(iv, cipher).ok_or(Code::Syntax)
}

/// `filter;mask`, each with its last fields left out if they are 0.
pub(super) fn filter(fields: &[&str]) -> Result<FilterPair, Code> {
    let [filter, mask] = two(fields)?.map(str::parse);
    match (filter, mask) {
        (Ok(filter), Ok(mask)) => Ok(FilterPair { filter, mask }),
        _ => Err(Code::Syntax),
    }
}

/// The comma form with all of its leading fields.
pub(super) fn event(text: &str, defaults: &Defaults) -> Option<Event> {
    text::parse(&settled(text)?, defaults).ok()
}

/// The same event with a date of `0` and a time stamp of 0 left out: clients that have neither
/// send them so. `None` for the older form of SEND, without a date, which ws1 never had.
fn settled(text: &str) -> Option<Cow<'_, str>> {
    let fields: Vec<&str> = text.splitn(FIELDS, ',').collect();
    let &[head, class, vscp_type, obid, date, stamp, rest] = &fields[..] else {
        return None;
    };
    let stamp = match stamp.trim() {
        "" => 0,
        stamp => number::parse(stamp, u64::MAX).ok()?,
    };
    let no_date = date.trim() == "0";
    if !no_date && stamp != 0 {
        return Some(Cow::Borrowed(text));
    }
    let date = if no_date { "" } else { date };
    let stamp = if stamp == 0 {
        String::new()
    } else {
        stamp.to_string()
    };
    Some(Cow::Owned(
        [head, class, vscp_type, obid, date, &stamp, rest].join(","),
    ))
}

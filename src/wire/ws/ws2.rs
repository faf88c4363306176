//! ws2: JSON objects.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::message::{self, Credentials, EventForm, Message, echo};
use super::{Code, Dialect, command};
use crate::event::text::Defaults;
use crate::event::{Event, Filter, FilterPair, Guid, json};

/// What a message says.
pub(super) fn read(text: &str) -> Message<'_> {
    let text = text.trim();
    if text.is_empty() {
        return Message::Silent;
    }
    let unknown = || Message::Bad(command::EVENT.to_owned(), Code::UnknownType);
    let Ok(Envelope {
        kind: Some(kind),
        command: word,
        arguments,
        event,
    }) = serde_json::from_str(text)
    else {
        return unknown();
    };
    let Some(kind) = string(kind) else {
        return unknown();
    };
    match &*kind.trim().to_ascii_uppercase() {
        "COMMAND" | "CMD" | "C" => word
            .and_then(string)
            .map_or_else(unknown, |word| command(word.trim(), arguments)),
        "EVENT" | "E" => Message::Event(EventForm::Json(event.map(RawValue::get))),
        "+" | "-" | "VARIABLE" => Message::Silent,
        _ => unknown(),
    }
}

fn command<'a>(word: &str, arguments: Option<&RawValue>) -> Message<'a> {
    let said = echo(word);
    let Some(entry) = command::find(Dialect::Ws2, word) else {
        return Message::Bad(said, Code::UnknownCommand);
    };
    let arguments = Arguments::read(arguments)
        .map_or(message::Arguments::Unreadable, message::Arguments::Members);
    Message::Command(entry, said, arguments)
}

/// The event of a message.
pub(super) fn event(text: &str, defaults: &Defaults) -> Option<Event> {
    json::read(text.as_bytes(), defaults).ok()
}

/// The string that a value is.
fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The members of a message, none looked into.
#[derive(Default)]
struct Envelope<'a> {
    kind: Option<&'a RawValue>,
    command: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(EnvelopeVisitor)
    }
}

/// By hand, because what serde derives would take a list for an object.
struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut found = Envelope::default();
        while let Some(key) = map.next_key::<String>()? {
            let place = match &*key {
                "type" => &mut found.kind,
                "command" => &mut found.command,
                "args" => &mut found.arguments,
                "event" => &mut found.event,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if place.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("{key} is there twice")));
            }
        }
        Ok(found)
    }
}

/// What a command came with.
pub(super) struct Arguments {
    members: Map<String, Value>,
    /// It was a list, which says nothing to a command with arguments.
    list: bool,
}

impl Arguments {
    /// Members, or nothing that commands without arguments would mind; `None` for the rest.
    fn read(json: Option<&RawValue>) -> Option<Self> {
        let json = json.map_or("null", RawValue::get);
        let (members, list) = match serde_json::from_str(json).ok()? {
            Value::Null => (Map::new(), false),
            // One that is there twice: which of them is meant?
            Value::Object(members) if count(json) != Some(members.len()) => return None,
            Value::Object(members) => (members, false),
            Value::Array(list) if !list.iter().any(Value::is_string) => {
                (Map::new(), !list.is_empty())
            }
            _ => return None,
        };
        Some(Self { members, list })
    }

    fn members(&self) -> Result<&Map<String, Value>, Code> {
        if self.list {
            return Err(Code::Parse);
        }
        Ok(&self.members)
    }

    /// `iv` and `crypto`.
    pub(super) fn credentials(&self) -> Result<Credentials, Code> {
        let members = self.members()?;
        let digits = |name| match members.get(name) {
            None | Some(Value::Null) => Err(Code::NotAuthorised),
            Some(Value::String(text)) if text.trim().is_empty() => Err(Code::NotAuthorised),
            Some(Value::String(text)) => Ok(text.trim()),
            Some(_) => Err(Code::Parse),
        };
        let (iv, cipher) = (digits("iv")?, digits("crypto")?);
        Credentials::read(iv, cipher).ok_or(Code::Parse)
    }

    /// Any of the eight parts of a filter and a mask.
    pub(super) fn filter(&self, present: FilterPair) -> Result<FilterPair, Code> {
        let members = self.members()?;
        // A part that is misspelt would let through what nobody asked for.
        let is_part = |name: &String| {
            let part = name
                .strip_prefix("filter_")
                .or_else(|| name.strip_prefix("mask_"));
            part.is_some_and(|part| PARTS.contains(&part))
        };
        if !members.keys().all(is_part) {
            return Err(Code::Syntax);
        }
        Ok(FilterPair {
            filter: half(members, "filter", present.filter)?,
            mask: half(members, "mask", present.mask)?,
        })
    }
}

/// The parts of a filter, and of a mask.
const PARTS: [&str; 4] = ["priority", "class", "type", "guid"];

/// How many members an object has.
fn count(json: &str) -> Option<usize> {
    struct Counter;

    impl<'de> Visitor<'de> for Counter {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }

    serde_json::Deserializer::from_str(json)
        .deserialize_map(Counter)
        .ok()
}

/// A filter or a mask.
fn half(members: &Map<String, Value>, name: &str, present: Filter) -> Result<Filter, Code> {
    let part = |part: &str| members.get(&format!("{name}_{part}"));
    let number = |name: &str, present: u16, most: u16| match part(name) {
        None => Ok(present),
        Some(value) => value
            .as_u64()
            .and_then(|number| u16::try_from(number).ok())
            .filter(|&number| number <= most)
            .ok_or(Code::Syntax),
    };
    Ok(Filter {
        priority: number("priority", present.priority.into(), 7)? as u8,
        class: number("class", present.class, u16::MAX)?,
        vscp_type: number("type", present.vscp_type, u16::MAX)?,
        guid: match part("guid") {
            None => present.guid,
            Some(Value::String(text)) if text.trim().is_empty() => Guid::ZERO,
            Some(Value::String(text)) => text.parse().map_err(|_| Code::Syntax)?,
            Some(_) => return Err(Code::Syntax),
        },
    })
}

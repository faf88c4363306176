//! The JSON form of an event, in both generations of names (VSCP specification, "MQTT").

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

use super::members::{self, Contradiction, Members, Same};
use super::text::Defaults;
use super::{Data, Event, EventTime, Guid, MAX_DATA, number, time};

/// Which names, and which times, are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// `vscpClass`, and a time stamp in microseconds: what daemons up to 15.0 read.
    Classic,
    /// `class`, and nanoseconds: what daemons from 15.1 read.
    V2,
    /// Both sets of names.
    Both,
}

/// Why a text is not an event.
#[derive(Debug, Error)]
#[error("not an event in JSON: {0}")]
pub struct JsonError(#[from] serde_json::Error);

/// The value of a measurement, as the JSON form may carry it beside the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// A finite number.
    pub value: f64,
    /// Which of the units of the event's type.
    pub unit: u8,
    /// Which sensor of the node.
    pub sensor_index: u8,
    /// 0 where the class has no zones.
    pub zone: u8,
    /// 0 where the class has no subzones.
    pub subzone: u8,
}

/// Appends an event, byte for byte as the daemon of that generation does.
pub fn write(event: &Event, generation: Generation, out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.raw("{");
    if generation != Generation::V2 {
        w.raw("\n\"vscpHead\": ")
            .number(event.head.classic().into());
        w.raw(",\n\"vscpObId\":  ").number(event.obid.into());
        w.raw(",\n\"vscpDateTime\": \"").date(event.time);
        w.raw("\",\n\"vscpTimeStamp\": ")
            .number(event.time.micros().into());
        w.raw(",\n\"vscpClass\": ").number(event.class.into());
        w.raw(",\n\"vscpType\": ").number(event.vscp_type.into());
        w.raw(",\n\"vscpGuid\": \"").guid(&event.guid);
        w.raw("\",\n\"vscpData\": ").data(&event.data);
        w.raw(",\n\"vscpNote\": \"\"");
    }
    if generation == Generation::Both {
        w.raw(",");
    }
    if generation != Generation::Classic {
        w.raw("\n\"head\": ").number(event.head.unix().into());
        w.raw(",\n\"obid\": ").number(event.obid.into());
        w.raw(",\n\"datetime\": \"").date(event.time);
        w.raw("\",\n\"timestamp_ns\": \"").nanos(event.time.nanos());
        w.raw("\",\n\"class\": ").number(event.class.into());
        w.raw(",\n\"type\": ").number(event.vscp_type.into());
        w.raw(",\n\"guid\": \"").guid(&event.guid);
        w.raw("\",\n\"data\": ").data(&event.data);
        w.raw(",\n\"note\": \"\"");
    }
    w.raw("\n}");
}

/// Appends an event with its measurement. As the daemon writes it: on one line, members in the
/// order of the alphabet (VSCP specification, "JSON representation").
pub fn write_measurement(event: &Event, generation: Generation, block: &Block, out: &mut Vec<u8>) {
    let mut w = Writer(out);
    let (v2, classic) = (
        generation != Generation::Classic,
        generation != Generation::V2,
    );
    w.raw("{");
    if v2 {
        w.raw("\"class\":").number(event.class.into());
        w.raw(",\"data\":").data(&event.data);
        w.raw(",\"datetime\":\"").date(event.time);
        w.raw("\",\"guid\":\"").guid(&event.guid);
        w.raw("\",\"head\":").number(event.head.unix().into());
        w.raw(",");
    }
    w.raw("\"measurement\":{\"sensorindex\":")
        .number(block.sensor_index.into());
    w.raw(",\"subzone\":").number(block.subzone.into());
    w.raw(",\"unit\":").number(block.unit.into());
    w.raw(",\"value\":").float(block.value);
    w.raw(",\"zone\":").number(block.zone.into());
    w.raw("}");
    if v2 {
        w.raw(",\"note\":\"\",\"obid\":").number(event.obid.into());
        w.raw(",\"timestamp_ns\":\"").nanos(event.time.nanos());
        w.raw("\",\"type\":").number(event.vscp_type.into());
    }
    if classic {
        w.raw(",\"vscpClass\":").number(event.class.into());
        w.raw(",\"vscpData\":").data(&event.data);
        w.raw(",\"vscpDateTime\":\"").date(event.time);
        w.raw("\",\"vscpGuid\":\"").guid(&event.guid);
        w.raw("\",\"vscpHead\":")
            .number(event.head.classic().into());
        w.raw(",\"vscpNote\":\"\",\"vscpObId\":")
            .number(event.obid.into());
        w.raw(",\"vscpTimeStamp\":")
            .number(event.time.micros().into());
        w.raw(",\"vscpType\":").number(event.vscp_type.into());
    }
    w.raw("}");
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, value: u64) {
        self.0
            .extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// The shortest number that is the same; `1.0` for a whole one.
    fn float(&mut self, value: f64) {
        if let Some(number) = serde_json::Number::from_f64(value) {
            self.0.extend_from_slice(number.to_string().as_bytes());
        } else {
            self.raw("null");
        }
    }

    fn date(&mut self, time: EventTime) {
        time.write_date(self.0);
    }

    fn guid(&mut self, guid: &Guid) {
        guid.write(self.0);
    }

    /// `0x` and sixteen small digits.
    fn nanos(&mut self, nanos: u64) {
        self.raw("0x");
        for shift in (0..16).rev() {
            let digit = (nanos >> (4 * shift) & 15) as u8;
            self.0.push(if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            });
        }
    }

    fn data(&mut self, data: &[u8]) {
        self.raw("[");
        for (at, &byte) in data.iter().enumerate() {
            if at > 0 {
                self.raw(",");
            }
            self.number(byte.into());
        }
        self.raw("]");
    }
}

/// Reads an event with the names of either generation, mixed too. Absent members take their
/// defaults, members that are not known are passed over, and one that is known must be right.
/// Nanoseconds go before a date and a time stamp.
///
/// # Errors
/// [`JsonError`] names the key.
pub fn read(bytes: &[u8], defaults: &Defaults) -> Result<Event, JsonError> {
    let found: Members = serde_json::from_slice(bytes)?;
    Ok(found.settle(defaults))
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut found = Members::default();
        while let Some(Key(key)) = map.next_key()? {
            let name = key.strip_prefix("vscp").unwrap_or(&key);
            let in_key = |error: A::Error| A::Error::custom(format_args!("{key}: {error}"));
            match name {
                "head" | "Head" => set(&mut found.head, map.next_value().map_err(in_key)?, &key)?,
                "obid" | "ObId" => set(&mut found.obid, map.next_value().map_err(in_key)?, &key)?,
                "class" | "Class" => {
                    set(&mut found.class, map.next_value().map_err(in_key)?, &key)?;
                }
                "type" | "Type" => {
                    set(
                        &mut found.vscp_type,
                        map.next_value().map_err(in_key)?,
                        &key,
                    )?;
                }
                "guid" | "Guid" | "GUID" => {
                    let Text(text) = map.next_value().map_err(in_key)?;
                    if !text.is_empty() {
                        let guid = text.parse().map_err(A::Error::custom).map_err(in_key)?;
                        set(&mut found.guid, guid, &key)?;
                    }
                }
                "datetime" | "DateTime" | "dateTime" => {
                    let Text(text) = map.next_value().map_err(in_key)?;
                    if !text.is_empty() {
                        let date = time::parse_date(&text).map_err(A::Error::custom);
                        set(&mut found.seconds, date.map_err(in_key)?, &key)?;
                    }
                }
                "timestamp" | "TimeStamp" => {
                    set(&mut found.micros, map.next_value().map_err(in_key)?, &key)?;
                }
                "timestamp_ns" => {
                    let Nanos(nanos) = map.next_value().map_err(in_key)?;
                    set(&mut found.nanos, nanos, &key)?;
                }
                "data" | "Data" => {
                    let Bytes(data) = map.next_value().map_err(in_key)?;
                    set(&mut found.data, data, &key)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// The same thing may be said twice, but not two things.
fn set<T: Same, E: serde::de::Error>(place: &mut Option<T>, value: T, key: &str) -> Result<(), E> {
    members::set(place, value)
        .map_err(|Contradiction| E::custom(format_args!("{key}: {Contradiction}")))
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(Self(Text::deserialize(json)?.0))
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        json.deserialize_str(TextVisitor)
    }
}

/// Nanoseconds, as a number or as a text, decimal or after `0x`.
struct Nanos(u64);

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct NanosVisitor;

        impl Visitor<'_> for NanosVisitor {
            type Value = Nanos;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nanoseconds since 1970")
            }

            fn visit_u64<E>(self, nanos: u64) -> Result<Nanos, E> {
                Ok(Nanos(nanos))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Nanos, E> {
                number::parse(text, u64::MAX).map(Nanos).map_err(E::custom)
            }
        }

        json.deserialize_any(NanosVisitor)
    }
}

/// A list of numbers from 0 to 255.
struct Bytes(Data);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers from 0 to 255")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes: Vec<u8> = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    if bytes.len() == MAX_DATA {
                        return Err(A::Error::custom(format_args!("more than {MAX_DATA} bytes")));
                    }
                    bytes.push(byte);
                }
                Data::try_from(bytes).map(Bytes).map_err(A::Error::custom)
            }
        }

        json.deserialize_seq(BytesVisitor)
    }
}

#[cfg(test)]
mod tests;

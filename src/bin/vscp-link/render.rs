//! An event as a line for people, or as JSON.

use std::fmt::{self, Display, Write};

use serde::Serialize;
use vscpl2drv_link::catalog::{self, Measurement, Value};
use vscpl2drv_link::event::{Event, EventTime, Guid};

/// The ways to print an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Plain,
    /// For people with a terminal.
    Coloured,
    /// One JSON object.
    Json,
}

/// One line, without its end.
pub(crate) fn line(event: &Event, form: Form) -> String {
    match form {
        Form::Plain => human(event, false),
        Form::Coloured => human(event, true),
        Form::Json => json(event),
    }
}

/// Text in a colour, or not.
struct Paint<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: Display> Display for Paint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => self.text.fmt(f),
        }
    }
}

fn human(event: &Event, colour: bool) -> String {
    const DIM: &str = "2";
    const CYAN: &str = "36";
    const BOLD: &str = "1";
    const GREEN: &str = "1;32";
    fn paint<T: Display>(colour: bool, code: &'static str, text: T) -> Paint<T> {
        Paint {
            code: colour.then_some(code),
            text,
        }
    }
    let class = catalog::class_token(event.class)
        .map_or_else(|| format!("class {}", event.class), str::to_owned);
    let vscp_type = catalog::type_token(event.class, event.vscp_type).map_or_else(
        || format!("type {}", event.vscp_type),
        |token| short(token).to_owned(),
    );
    let mut out = format!(
        "{} {} {} {} {}",
        paint(colour, DIM, time(event.time)),
        event.head.priority(),
        paint(colour, CYAN, class),
        paint(colour, BOLD, vscp_type),
        paint(colour, DIM, event.guid),
    );
    for byte in event.data.iter() {
        // Writing to a string cannot fail.
        let _ = write!(out, " {byte:02X}");
    }
    if let Some(found) = catalog::measurement(event) {
        let value = paint(colour, GREEN, value(event, &found));
        let _ = write!(out, "  {value}{}", place(&found));
    }
    out
}

/// `VSCP_TYPE_` says nothing in a column of types.
fn short(token: &str) -> &str {
    ["VSCP_TYPE_", "VSCP2_TYPE_"]
        .iter()
        .find_map(|prefix| token.strip_prefix(prefix))
        .unwrap_or(token)
}

/// `69.46 °C`.
fn value(event: &Event, found: &Measurement<'_>) -> String {
    let unit = catalog::unit(event.class, event.vscp_type, found.unit).map(|unit| {
        if unit.symbol.is_empty() {
            unit.name
        } else {
            unit.symbol
        }
    });
    match unit {
        Some(unit) => format!("{} {unit}", found.value),
        None if found.unit == 0 => found.value.to_string(),
        None => format!("{} (unit {})", found.value, found.unit),
    }
}

/// ` sensor 2 zone 1/35`, as far as it is not the first of one.
fn place(found: &Measurement<'_>) -> String {
    let mut out = String::new();
    if found.sensor_index != 0 {
        let _ = write!(out, " sensor {}", found.sensor_index);
    }
    if let (Some(zone), Some(subzone)) = (found.zone, found.subzone) {
        let _ = write!(out, " zone {zone}/{subzone}");
    }
    out
}

/// ISO 8601 in UTC. The microseconds of a time with a date count from anything that the sender
/// likes, so they are no fraction of its second.
fn time(time: EventTime) -> String {
    let at = time.fields();
    let mut out = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    );
    if let EventTime::Unix { nanos } = time {
        let _ = write!(out, ".{:06}", nanos % 1_000_000_000 / 1000);
    }
    out.push('Z');
    out
}

#[derive(Serialize)]
struct JsonEvent<'a> {
    time: String,
    priority: u8,
    class: u16,
    #[serde(rename = "type")]
    vscp_type: u16,
    class_token: Option<&'static str>,
    type_token: Option<&'static str>,
    obid: u32,
    #[serde(serialize_with = "as_text")]
    guid: Guid,
    data: &'a [u8],
    measurement: Option<JsonMeasurement<'a>>,
}

#[derive(Serialize)]
struct JsonMeasurement<'a> {
    value: JsonValue<'a>,
    unit: u8,
    symbol: Option<&'static str>,
    sensorindex: u8,
    zone: Option<u8>,
    subzone: Option<u8>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonValue<'a> {
    /// `null` where it is not finite.
    Number(f64),
    /// Digits that no double holds.
    Text(&'a str),
}

fn as_text<S: serde::Serializer>(guid: &Guid, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(guid)
}

fn json(event: &Event) -> String {
    let measurement = catalog::measurement(event).map(|found| JsonMeasurement {
        value: match found.value {
            Value::Digits(text) if !found.value.number().is_finite() => JsonValue::Text(text),
            value => JsonValue::Number(value.number()),
        },
        unit: found.unit,
        symbol: catalog::unit(event.class, event.vscp_type, found.unit).map(|unit| unit.symbol),
        sensorindex: found.sensor_index,
        zone: found.zone,
        subzone: found.subzone,
    });
    let event = JsonEvent {
        time: time(event.time),
        priority: event.head.priority(),
        class: event.class,
        vscp_type: event.vscp_type,
        class_token: catalog::class_token(event.class),
        type_token: catalog::type_token(event.class, event.vscp_type),
        obid: event.obid,
        guid: event.guid,
        data: &event.data,
        measurement,
    };
    serde_json::to_string(&event).expect("numbers and strings are always JSON")
}

#[cfg(test)]
mod tests {
    use vscpl2drv_link::event::text::{Defaults, parse};

    use super::*;

    fn event(text: &str) -> Event {
        let defaults = Defaults {
            now: 1_700_000_000_123_456_789,
            obid: 0,
            guid: Guid::ZERO,
        };
        parse(text, &defaults).unwrap()
    }

    #[test]
    fn a_measurement_for_people() {
        let event = event("96,10,6,0,2001-11-02T18:00:01Z,5000000,::1,0x8A,0x82,0x1B,0x22");
        assert_eq!(
            line(&event, Form::Plain),
            "2001-11-02T18:00:01Z 3 CLASS1.MEASUREMENT MEASUREMENT_TEMPERATURE \
             FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01 8A 82 1B 22  69.46 °C sensor 2"
        );
        let coloured = line(&event, Form::Coloured);
        assert!(coloured.contains("\x1b[1;32m69.46 °C\x1b[0m"), "{coloured}");
    }

    #[test]
    fn what_has_no_name_has_a_number() {
        assert_eq!(
            line(&event("0,3000,7,,,,-"), Form::Plain),
            "2023-11-14T22:13:20.123456Z 0 class 3000 type 7 \
             00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"
        );
    }

    #[test]
    fn json_has_everything() {
        let event = event("0,65,6,9,2001-11-02T18:00:01Z,0,::1,1,2,3,0x8A,0x82,0x1B,0x22");
        assert_eq!(
            line(&event, Form::Json),
            concat!(
                r#"{"time":"2001-11-02T18:00:01Z","priority":0,"class":65,"type":6,"#,
                r#""class_token":"CLASS1.MEASUREZONE","#,
                r#""type_token":"VSCP_TYPE_MEASUREMENT_TEMPERATURE","obid":9,"#,
                r#""guid":"FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01","#,
                r#""data":[1,2,3,138,130,27,34],"measurement":{"value":69.46,"unit":1,"#,
                r#""symbol":"°C","sensorindex":1,"zone":2,"subzone":3}}"#
            )
        );
    }

    #[test]
    fn values_that_json_cannot_hold() {
        let value = |text: &str| {
            let json: serde_json::Value =
                serde_json::from_str(&line(&event(text), Form::Json)).unwrap();
            json["measurement"]["value"].clone()
        };
        assert_eq!(value("0,70,6,,,,-,0x7F,0xC0,0,0"), serde_json::Value::Null);
        assert_eq!(
            value("0,1040,6,,,,-,0,0,0,0,0x31,0x65,0x39,0x39,0x39"),
            "1e999"
        );
    }
}

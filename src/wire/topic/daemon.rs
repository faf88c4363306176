//! The variables of topics as the daemon has them, its faults included, for people whose topics
//! depend on them (`topic-compat: vscpd`).
//!
//! Different from [`variable`](super::variable): obid and time stamp are followed by the letter l,
//! byte 15 of a GUID and everything with a dot in its name is not there, nanosecond events have no
//! date fields but what happens to lie in their place, and several classes have wrong measurements.
//! Values are not kept from making levels of their own. Subscriptions and wills know next to
//! nothing.

use std::fmt::Write as _;

use super::Scope;
use crate::catalog;
use crate::event::json::Generation;
use crate::event::{Event, EventTime, Guid};
use crate::wire::payload::WriteFormat;

/// The value of a variable; `None` where the daemon has none of that name.
pub(super) fn value(name: &str, scope: &Scope<'_>) -> Option<String> {
    if name.contains('.') {
        // The engine looks for an object of that name, and there is none.
        return None;
    }
    let settings = scope.settings;
    if let Some(text) = settings.escapes.get(name) {
        return Some(text.clone());
    }
    match name {
        "clientid" => return Some(settings.client_id.clone()),
        "user" => return Some(settings.user.clone()),
        "host" => return Some(settings.host.clone()),
        "srvguid" => return Some(settings.server_guid.to_string()),
        "ifguid" => return Some(settings.driver_guid.to_string()),
        "driver-name" => return Some(settings.driver_name.clone()),
        "driver-level" => return Some("level2".to_owned()),
        _ => {}
    }
    for (prefix, guid) in [
        ("srvguid", Some(settings.server_guid)),
        ("ifguid", Some(settings.driver_guid)),
        ("guid", scope.event.map(|event| event.guid)),
    ] {
        if let Some(found) = guid.and_then(|guid| guid_byte(name, prefix, guid)) {
            return Some(found);
        }
    }
    let event = scope.event?;
    of_event(name, event, settings.style.generation).or_else(|| {
        let format = scope.format?;
        match name {
            "fmtpublish" => Some(crate::wire::payload::name(format).to_owned()),
            _ => measured(
                name,
                event,
                format == WriteFormat::Json && settings.style.measurement_block,
            ),
        }
    })
}

/// `prefix[n]` in decimal, `xprefix[n]` in hexadecimal, for bytes 0 to 14.
fn guid_byte(name: &str, prefix: &str, guid: Guid) -> Option<String> {
    let (hex, name) = match name.strip_prefix('x') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let at = index(name.strip_prefix(prefix)?)?;
    let byte = guid.bytes()[..15].get(at)?;
    Some(if hex {
        format!("{byte:02X}")
    } else {
        byte.to_string()
    })
}

/// `[7]`.
fn index(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('[')?.strip_suffix(']')?;
    let number: usize = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn of_event(name: &str, event: &Event, generation: Generation) -> Option<String> {
    let nanos = match event.time {
        EventTime::Unix { nanos } if generation != Generation::Classic => Some(nanos),
        _ => None,
    };
    let head = match nanos {
        Some(_) => event.head.unix(),
        None => event.head.classic(),
    };
    // The upper half of the nanoseconds lies where a time stamp would.
    let stamp = nanos.map_or_else(|| event.time.micros(), |nanos| (nanos >> 32) as u32);
    Some(match name {
        "guid" => event.guid.to_string(),
        "nickname" => event.guid.nickname().to_string(),
        "class" => event.class.to_string(),
        "xclass" => format!("{:02x}", event.class),
        "type" => event.vscp_type.to_string(),
        "xtype" => format!("{:02x}", event.vscp_type),
        "class-token" => catalog::class_token(event.class)
            .unwrap_or_default()
            .to_owned(),
        "type-token" => catalog::type_token(event.class, event.vscp_type)
            .unwrap_or_default()
            .to_owned(),
        "head" => head.to_string(),
        "xhead" => format!("{head:04X}"),
        "obid" => format!("{}l", event.obid),
        "xobid" => format!("{:08X}", event.obid),
        "timestamp" => format!("{stamp}l"),
        "xtimestamp" => format!("{stamp:08X}"),
        "sizedata" => event.data.len().to_string(),
        "xsizedata" => format!("{:04X}", event.data.len()),
        _ => return date(name, event, nanos).or_else(|| data_byte(name, &event.data)),
    })
}

/// `local-` makes no difference.
fn date(name: &str, event: &Event, nanos: Option<u64>) -> Option<String> {
    let name = name.strip_prefix("local-").unwrap_or(name);
    let at = event.time.fields();
    // The lower half of the nanoseconds lies where day to second would, low byte first.
    let low = nanos.map(u64::to_le_bytes);
    let field = |classic: u8, place: usize| low.map_or(classic, |low| low[place]).to_string();
    Some(match name {
        "datetime" => {
            let mut text = String::with_capacity(30);
            let _ = write!(
                text,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                at.year, at.month, at.day, at.hour, at.minute, at.second
            );
            if let Some(nanos) = nanos {
                let _ = write!(text, ".{:09}", nanos % 1_000_000_000);
            }
            text.push('Z');
            text
        }
        "year" => nanos.map_or(at.year, |_| 0xFFFF).to_string(),
        "month" => nanos.map_or(at.month, |_| 0xFF).to_string(),
        "day" => field(at.day, 0),
        "hour" => field(at.hour, 1),
        "minute" => field(at.minute, 2),
        "second" => field(at.second, 3),
        _ => return None,
    })
}

fn data_byte(name: &str, data: &[u8]) -> Option<String> {
    let (hex, name) = match name.strip_prefix('x') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let byte = data.get(index(name.strip_prefix("data")?)?)?;
    Some(if hex {
        format!("{byte:02X}")
    } else {
        byte.to_string()
    })
}

/// Measurements are known for JSON topics with the block only.
fn measured(name: &str, event: &Event, block: bool) -> Option<String> {
    let part = match name {
        "is-measurement" => "",
        _ => name.strip_prefix("measurement-")?,
    };
    let found = measurement(event).filter(|_| block);
    if part.is_empty() {
        return Some(found.is_some().to_string());
    }
    let found = found?;
    Some(match part {
        "value" => format!("{:.6}", found.value),
        "unit" => found.unit.to_string(),
        "sensorindex" => found.sensor_index.to_string(),
        "zone" => found.zone.to_string(),
        "subzone" => found.subzone.to_string(),
        _ => return None,
    })
}

/// What the daemon takes for a measurement.
struct Measured {
    value: f64,
    unit: u8,
    sensor_index: i16,
    zone: u8,
    subzone: u8,
}

/// Values for a few classes, some of them wrong: doubles with their bytes in the wrong order, the
/// unit of zoned values from the index, and the subzone of level II for its zone.
fn measurement(event: &Event) -> Option<Measured> {
    let right = catalog::measurement(event);
    let value = || right.map(|found| found.value.number());
    let (unit, index) = right.map_or((0, 0), |found| (found.unit, found.sensor_index));
    let data = &event.data;
    let at = |place: usize| data.get(place).copied().unwrap_or(0);
    let swapped = |from: usize| {
        let bytes = data.get(from..from + 8)?;
        Some(f64::from_le_bytes(bytes.try_into().ok()?))
    };
    Some(match event.class {
        10 | 15 | 522 => Measured {
            value: value()?,
            unit,
            sensor_index: index.into(),
            zone: 0,
            subzone: 0,
        },
        60 => Measured {
            value: swapped(0)?,
            unit: 0,
            sensor_index: 0,
            zone: 0,
            subzone: 0,
        },
        65 | 85 => Measured {
            value: value()?,
            unit: (at(0) >> 3) & 3,
            sensor_index: -1,
            zone: 0,
            subzone: 0,
        },
        1040 | 1060 => Measured {
            value: if event.class == 1040 {
                value()?
            } else {
                swapped(4)?
            },
            unit: at(3),
            sensor_index: at(0).into(),
            zone: at(2),
            subzone: at(2),
        },
        _ => return None,
    })
}

/// What the daemon's engine does to a value between two braces.
pub(super) fn escape_html(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            other => out.push(other),
        }
    }
}

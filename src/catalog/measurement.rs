//! The value in a measurement event.
//!
//! There are five layouts (VSCP specification, "Measurements"):
//!
//! | classes | data |
//! |---|---|
//! | 10 to 14, 15 | coding byte, value |
//! | 60 to 64 | a double |
//! | 65 to 69, 85 to 89 | index, zone, subzone, coding byte, value |
//! | 70 to 74 | a single |
//! | 1040, 1060 | index, zone, subzone, unit, and the value as digits or as a double |
//!
//! Level I classes may come over level II too: 512 is added to the class, and sixteen bytes of GUID
//! stand before the data. The coding byte says how the value is written (bits 7 to 5), its unit
//! (4 and 3) and the sensor (2 to 0). All numbers have their most significant byte first.

use crate::event::Event;

use super::{PROXY, PROXY_LAST, level1};

/// A measured, or set, value and what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement<'a> {
    /// The value.
    pub value: Value<'a>,
    /// Which of the units of the event's type, 0 is the default; see [`unit`](super::unit).
    pub unit: u8,
    /// Which sensor of the node. In classes with zones it is the index that stands before them.
    pub sensor_index: u8,
    /// The zone, in classes that have one; 255 is all.
    pub zone: Option<u8>,
    /// The subzone, in classes that have one; 255 is all.
    pub subzone: Option<u8>,
}

/// A value as it was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An integer, a decimal fraction, or a floating point number, which may be infinite or NaN.
    Number(f64),
    /// The digits of a decimal number, `-12.3e5`, with all the precision that the sender gave it.
    Digits(&'a str),
}

impl Value<'_> {
    /// The value as a floating point number; digits are rounded to the nearest.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Digits(text) => text.parse().unwrap_or(f64::NAN),
        }
    }
}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Otherwise up to 300 zeros.
            Self::Number(number) if *number != 0.0 && !(1e-6..1e16).contains(&number.abs()) => {
                write!(f, "{number:e}")
            }
            Self::Number(number) => number.fmt(f),
            Self::Digits(text) => f.write_str(text),
        }
    }
}

/// Reads the measurement out of an event.
///
/// `None` where the class does not carry one, the data are too short or too long for their coding,
/// or are no number: values coded as bits or bytes, and strings that hold something else.
#[must_use]
pub fn measurement(event: &Event) -> Option<Measurement<'_>> {
    let data = match event.class {
        PROXY..=PROXY_LAST => event.data.get(16..)?,
        _ => &event.data[..],
    };
    match level1(event.class) {
        10..=15 => coded(data),
        60..=64 => Some(plain(double(data)?)),
        65..=69 | 85..=89 => zoned(data, coded),
        70..=74 => Some(plain(single(data)?)),
        1040 => level2(data, digits),
        1060 => level2(data, double),
        _ => None,
    }
}

/// A value in the default unit of the only sensor.
fn plain(value: Value<'_>) -> Measurement<'_> {
    Measurement {
        value,
        unit: 0,
        sensor_index: 0,
        zone: None,
        subzone: None,
    }
}

/// A coding byte and what it says.
fn coded(data: &[u8]) -> Option<Measurement<'_>> {
    let (&coding, rest) = data.split_first()?;
    let value = match coding >> 5 {
        0b010 => digits(rest)?,
        0b011 => Value::Number(integer(rest)? as f64),
        0b100 => normalized(rest)?,
        0b101 => single(rest)?,
        0b110 => double(rest)?,
        // Bits, bytes and what is reserved are not a number.
        _ => return None,
    };
    Some(Measurement {
        unit: (coding >> 3) & 3,
        sensor_index: coding & 7,
        ..plain(value)
    })
}

/// Index, zone and subzone, then what `read` understands.
fn zoned<'a>(
    data: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Option<Measurement<'a>>,
) -> Option<Measurement<'a>> {
    let (&[index, zone, subzone], rest) = data.split_first_chunk()?;
    Some(Measurement {
        sensor_index: index,
        zone: Some(zone),
        subzone: Some(subzone),
        ..read(rest)?
    })
}

/// Index, zone, subzone and unit, then what `read` understands.
fn level2<'a>(
    data: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Option<Value<'a>>,
) -> Option<Measurement<'a>> {
    zoned(data, |rest| {
        let (&unit, rest) = rest.split_first()?;
        Some(Measurement {
            unit,
            ..plain(read(rest)?)
        })
    })
}

/// Two's complement in one to eight bytes.
fn integer(bytes: &[u8]) -> Option<i64> {
    let &first = bytes.first()?;
    if bytes.len() > size_of::<i64>() {
        return None;
    }
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Some(
        bytes
            .iter()
            .fold(sign, |value, &byte| (value << 8) | i64::from(byte)),
    )
}

/// An exponent of ten, sign and magnitude, then an integer.
fn normalized(bytes: &[u8]) -> Option<Value<'_>> {
    let (&exponent, rest) = bytes.split_first()?;
    let integer = integer(rest)? as f64;
    let scale = 10_f64.powi(i32::from(exponent & 0x7F));
    // Dividing keeps 6946 / 100 at 69.46, where multiplying by 0.01 would not.
    Some(Value::Number(if exponent & 0x80 == 0 {
        integer * scale
    } else {
        integer / scale
    }))
}

/// The decimal number that the sender meant: the shortest one that is the same single.
fn single(bytes: &[u8]) -> Option<Value<'_>> {
    let single = f32::from_be_bytes(bytes.try_into().ok()?);
    let number = single
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(single));
    Some(Value::Number(number))
}

fn double(bytes: &[u8]) -> Option<Value<'_>> {
    Some(Value::Number(f64::from_be_bytes(bytes.try_into().ok()?)))
}

/// The digits before the first zero byte, blanks around them left out.
fn digits(bytes: &[u8]) -> Option<Value<'_>> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?.trim_ascii();
    // The words `inf` and `nan` are floating point numbers to Rust, and not to the specification.
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    (plain && text.parse::<f64>().is_ok()).then_some(Value::Digits(text))
}

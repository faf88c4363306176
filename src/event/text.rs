//! The comma form of an event: what SEND reads and RETR prints, and the `string` payload of MQTT.
//!
//! `head,class,type,obid,datetime,timestamp,GUID,data…` (VSCP specification, "SEND"). Read are
//! also the older form without the datetime, and nanoseconds since 1970 in the place of the
//! time stamp. Printed is one of two [forms](TextForm).

use thiserror::Error;

use super::{
    Data, DateError, Event, EventTime, Guid, GuidError, Head, MAX_DATA, NumberError, number, time,
};

/// How the time is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextForm {
    /// `2001-11-02T18:00:01Z,817923`: every released client reads it.
    #[default]
    Legacy,
    /// `,1004724001817923000`, and head bit 8 set: what the newest specification prefers.
    Nanos,
}

/// What takes the place of an empty field.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Nanoseconds since 1970.
    pub now: u64,
    /// For an obid that is empty or 0.
    pub obid: u32,
    /// For a GUID that is empty, `-` or all zeros.
    pub guid: Guid,
}

/// Why a text is not an event.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EventTextError {
    /// Fewer than the seven (or, in the old form, six) leading fields.
    #[error("{0} fields were found, head,class,type,obid,datetime,timestamp,GUID were expected")]
    TooFew(usize),
    /// A leading field that is not a number or out of range.
    #[error("the {0} cannot be read")]
    Number(&'static str, #[source] NumberError),
    /// A data byte (from 1) that is not a number or out of range.
    #[error("data byte {0} cannot be read")]
    Byte(usize, #[source] NumberError),
    /// More than [`MAX_DATA`] data bytes.
    #[error("more than {MAX_DATA} data bytes")]
    TooMuchData,
    /// A bad date.
    #[error("the datetime cannot be read")]
    Date(#[from] DateError),
    /// A bad GUID.
    #[error("the GUID cannot be read")]
    Guid(#[from] GuidError),
}

/// Reads the comma form.
///
/// Numbers are strict (see [`number`]). The datetime is ISO 8601 or empty. With an empty datetime
/// a time stamp that has more than 32 bits, or comes with head bits 9 and 8 at 01, is nanoseconds
/// since 1970. One comma after the last field is allowed.
///
/// # Errors
/// [`EventTextError`] names the field.
pub fn parse(text: &str, defaults: &Defaults) -> Result<Event, EventTextError> {
    let mut fields = Fields {
        rest: Some(text),
        count: 0,
    };
    let head_bits = fields.number("head", 0xFFFF)? as u16;
    let class = fields.number("class", 0xFFFF)? as u16;
    let vscp_type = fields.number("type", 0xFFFF)? as u16;
    let obid = fields.number("obid", u64::from(u32::MAX))? as u32;
    let fifth = fields.next()?;
    let sixth = fields.next()?;
    let (date, stamp, guid) = if is_guid(sixth) {
        ("", fifth, sixth)
    } else {
        (fifth, sixth, fields.next()?)
    };
    Ok(Event {
        head: Head::new(head_bits),
        class,
        vscp_type,
        obid: if obid == 0 { defaults.obid } else { obid },
        time: read_time(date, stamp, Head::is_unix(head_bits), defaults.now)?,
        guid: read_guid(guid, defaults.guid)?,
        data: fields.data()?,
    })
}

/// Appends the comma form, without a line end.
pub fn write(event: &Event, form: TextForm, out: &mut Vec<u8>) {
    let mut decimal = itoa::Buffer::new();
    let mut number = |out: &mut Vec<u8>, value: u64| {
        out.extend_from_slice(decimal.format(value).as_bytes());
        out.push(b',');
    };
    let head = match form {
        TextForm::Legacy => event.head.classic(),
        TextForm::Nanos => event.head.unix(),
    };
    number(out, u64::from(head));
    number(out, u64::from(event.class));
    number(out, u64::from(event.vscp_type));
    number(out, u64::from(event.obid));
    match form {
        TextForm::Legacy => {
            event.time.write_date(out);
            out.push(b',');
            number(out, u64::from(event.time.micros()));
        }
        TextForm::Nanos => {
            out.push(b',');
            number(out, event.time.nanos());
        }
    }
    event.guid.write(out);
    if !event.data.is_empty() {
        out.push(b',');
    }
    write_data(&event.data, out);
}

/// Appends `0x00,0x01,0x23`.
pub(super) fn write_data(data: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for (at, byte) in data.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let (high, low) = (
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        );
        out.extend_from_slice(&[b'0', b'x', high, low]);
    }
}

/// The leading fields, one by one.
struct Fields<'a> {
    rest: Option<&'a str>,
    count: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a str, EventTextError> {
        let rest = self.rest.ok_or(EventTextError::TooFew(self.count))?;
        self.count += 1;
        // The commas inside the braces of a GUID belong to it.
        let from = if rest.starts_with('{') {
            rest.find('}').unwrap_or(0)
        } else {
            0
        };
        let end = memchr::memchr(b',', &rest.as_bytes()[from..]).map(|at| at + from);
        let field = end.map_or(rest, |end| &rest[..end]);
        self.rest = end.map(|end| &rest[end + 1..]);
        Ok(field.trim_matches([' ', '\t']))
    }

    /// An empty field is 0.
    fn number(&mut self, name: &'static str, max: u64) -> Result<u64, EventTextError> {
        match self.next()? {
            "" => Ok(0),
            text => number::parse(text, max).map_err(|e| EventTextError::Number(name, e)),
        }
    }

    fn data(self) -> Result<Data, EventTextError> {
        let rest = match self.rest.map(|rest| rest.trim_matches([' ', '\t'])) {
            None | Some("") => return Ok(Data::default()),
            Some(rest) => rest.strip_suffix(',').unwrap_or(rest),
        };
        let mut bytes = Vec::with_capacity(rest.len().div_ceil(5).min(MAX_DATA));
        for text in rest.split(',') {
            if bytes.len() == MAX_DATA {
                return Err(EventTextError::TooMuchData);
            }
            let byte = number::parse_u8(text).map_err(|e| EventTextError::Byte(bytes.len() + 1, e));
            bytes.push(byte?);
        }
        Data::try_from(bytes).map_err(|_| EventTextError::TooMuchData)
    }
}

/// The old form has the GUID where the new one has the time stamp.
fn is_guid(field: &str) -> bool {
    field == "-" || field.contains(':') || field.starts_with('{')
}

fn read_guid(text: &str, default: Guid) -> Result<Guid, EventTextError> {
    let guid = if text.is_empty() {
        Guid::ZERO
    } else {
        text.parse()?
    };
    Ok(if guid.is_zero() { default } else { guid })
}

fn read_time(date: &str, stamp: &str, unix: bool, now: u64) -> Result<EventTime, EventTextError> {
    let stamp = match stamp {
        "" => None,
        text => Some(
            number::parse(text, u64::MAX).map_err(|e| EventTextError::Number("timestamp", e))?,
        ),
    };
    let date = if date.is_empty() {
        None
    } else {
        Some(time::parse_date(date)?)
    };
    let now = EventTime::Unix { nanos: now };
    let Some(stamp) = stamp else {
        return Ok(match date {
            None => now,
            Some((seconds, fraction)) => EventTime::Classic {
                seconds,
                micros: fraction.map_or_else(|| now.micros(), |n| n / 1000),
            },
        });
    };
    match (u32::try_from(stamp), date) {
        (Ok(0), None) if unix => Ok(now),
        (Ok(_), None) if unix => Ok(EventTime::Unix { nanos: stamp }),
        // More than 32 bits cannot be microseconds: it is the whole time.
        (Err(_), _) => Ok(EventTime::Unix { nanos: stamp }),
        (Ok(micros), None) => Ok(EventTime::Classic {
            seconds: now.seconds(),
            micros,
        }),
        (Ok(micros), Some((seconds, _))) => Ok(EventTime::Classic { seconds, micros }),
    }
}

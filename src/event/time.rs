//! When an event happened: date, time and microseconds, or nanoseconds since 1970.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use thiserror::Error;

/// The time of an event, in the form that it came in. Both convert to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// A date and time in UTC, and a time stamp in microseconds that is relative to anything the
    /// sender likes.
    Classic {
        /// Whole seconds since 1970, in the years 1 to 9999.
        seconds: i64,
        /// Microseconds.
        micros: u32,
    },
    /// Nanoseconds since 1970.
    Unix {
        /// Nanoseconds.
        nanos: u64,
    },
}

/// A text or a set of numbers that is not a date.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a date and time of the form 2001-11-02T18:00:01: {0:?}")]
pub struct DateError(String);

const NANOS: i128 = 1_000_000_000;
// Reckoned as civil time: jiff's time stamps end a day before the year 9999 does.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;
/// The first second of the year 1.
const FIRST_SECOND: i64 = -62_135_596_800;

impl EventTime {
    /// A classic time of a moment: its second, and its microseconds within the second.
    #[must_use]
    pub fn classic(nanos: u64) -> Self {
        Self::Classic {
            seconds: nanos_seconds(nanos),
            micros: (nanos % 1_000_000_000 / 1000) as u32,
        }
    }

    /// The second, since 1970, for forms with a date.
    #[must_use]
    pub fn seconds(self) -> i64 {
        match self {
            Self::Classic { seconds, .. } => seconds,
            Self::Unix { nanos } => nanos_seconds(nanos),
        }
    }

    /// The microseconds, for forms with a date and a 32-bit time stamp.
    #[must_use]
    pub fn micros(self) -> u32 {
        match self {
            Self::Classic { micros, .. } => micros,
            Self::Unix { nanos } => (nanos % 1_000_000_000 / 1000) as u32,
        }
    }

    /// Nanoseconds since 1970, for forms with a 64-bit time stamp: the date with the microseconds
    /// added, 0 for dates before 1970.
    #[must_use]
    pub fn nanos(self) -> u64 {
        match self {
            Self::Unix { nanos } => nanos,
            Self::Classic { seconds, micros } => {
                let nanos = i128::from(seconds) * NANOS + i128::from(micros) * 1000;
                u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
            }
        }
    }

    /// The date and time fields, for the C structures.
    #[must_use]
    pub fn fields(self) -> DateFields {
        let at = civil(self.seconds());
        DateFields {
            year: at.year().unsigned_abs(),
            month: at.month().unsigned_abs(),
            day: at.day().unsigned_abs(),
            hour: at.hour().unsigned_abs(),
            minute: at.minute().unsigned_abs(),
            second: at.second().unsigned_abs(),
        }
    }

    /// Appends `2001-11-02T18:00:01Z`.
    pub(crate) fn write_date(self, out: &mut Vec<u8>) {
        let at = self.fields();
        let mut text = *b"0000-00-00T00:00:00Z";
        digits(&mut text[0..4], at.year);
        for (range, value) in [
            (5..7, at.month),
            (8..10, at.day),
            (11..13, at.hour),
            (14..16, at.minute),
            (17..19, at.second),
        ] {
            digits(&mut text[range], u16::from(value));
        }
        out.extend_from_slice(&text);
    }
}

/// A date and time in UTC, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DateFields {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl DateFields {
    /// Seconds since 1970; `None` where the fields are not a date. A leap second is the second
    /// before it.
    #[must_use]
    pub fn seconds(self) -> Option<i64> {
        if self.year == 0 || self.second > 60 {
            return None;
        }
        let narrow = |n: u8| i8::try_from(n).ok();
        let at = DateTime::new(
            i16::try_from(self.year).ok()?,
            narrow(self.month)?,
            narrow(self.day)?,
            narrow(self.hour)?,
            narrow(self.minute)?,
            narrow(self.second.min(59))?,
            0,
        );
        in_bounds(at.ok()?.duration_since(EPOCH).as_secs())
    }
}

/// Reads an ISO 8601 date and time in UTC: `2001-11-02T18:00:01`, with `Z` or not, with a fraction
/// or not, with a blank or a small `t` in the place of the `T`. An offset such as `+02:00` is
/// taken into account. Gives the second since 1970, and the fraction in nanoseconds where there is one.
///
/// # Errors
/// [`DateError`] for anything else, fields out of range included.
pub fn parse_date(text: &str) -> Result<(i64, Option<u32>), DateError> {
    let trimmed = text.trim_matches([' ', '\t']);
    read_date(trimmed).ok_or_else(|| DateError(super::number::clip(trimmed)))
}

fn read_date(text: &str) -> Option<(i64, Option<u32>)> {
    let (whole, rest) = text.split_at_checked(19)?;
    let bytes = whole.as_bytes();
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if separators
        .iter()
        .any(|&(at, allowed)| !allowed.contains(char::from(bytes[at])))
    {
        return None;
    }
    let field = |range: std::ops::Range<usize>| {
        let digits = bytes.get(range)?;
        digits.iter().try_fold(0_u16, |value, byte| {
            Some(value * 10 + u16::try_from(char::from(*byte).to_digit(10)?).ok()?)
        })
    };
    let small = |range| field(range).and_then(|n| u8::try_from(n).ok());
    let at = DateFields {
        year: field(0..4)?,
        month: small(5..7)?,
        day: small(8..10)?,
        hour: small(11..13)?,
        minute: small(14..16)?,
        second: small(17..19)?,
    };
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => (None, rest),
        Some(rest) => {
            let end = rest
                .bytes()
                .position(|b| !b.is_ascii_digit())
                .unwrap_or(rest.len());
            if !(1..=9).contains(&end) {
                return None;
            }
            let nanos: u32 = rest[..end].parse().ok()?;
            (Some(nanos * 10_u32.pow(9 - end as u32)), &rest[end..])
        }
    };
    Some((in_bounds(at.seconds()? - offset(zone)?)?, fraction))
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, digits) = match zone.as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let digits: Vec<i64> = match digits {
        [a, b, b':', c, d] | [a, b, c, d] => [a, b, c, d]
            .iter()
            .map(|b| char::from(**b).to_digit(10).map(i64::from))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let (hours, minutes) = (digits[0] * 10 + digits[1], digits[2] * 10 + digits[3]);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn nanos_seconds(nanos: u64) -> i64 {
    // 2^64 nanoseconds end in the year 2554.
    i64::try_from(nanos / 1_000_000_000).unwrap_or(LAST_SECOND)
}

fn civil(seconds: i64) -> DateTime {
    let seconds = seconds.clamp(FIRST_SECOND, LAST_SECOND);
    EPOCH
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(EPOCH)
}

/// The years 1 to 9999.
fn in_bounds(seconds: i64) -> Option<i64> {
    (FIRST_SECOND..=LAST_SECOND)
        .contains(&seconds)
        .then_some(seconds)
}

fn digits(out: &mut [u8], mut value: u16) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

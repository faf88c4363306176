//! What tells one event of a run from all others: eight bytes of data, the run in the first four
//! and the number in the last, as they are found in lines and payloads.

use memchr::memchr_iter;
use memchr::memmem::Finder;
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::event::text::Defaults;
use vscpl2drv_link::wire::payload::{self, ReadFormat};

/// Data bytes.
pub(super) const SIZE: usize = 8;
/// One event of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) run: u32,
    pub(super) sequence: u32,
}

impl Mark {
    fn from_number(number: u64) -> Self {
        Self {
            run: (number >> 32) as u32,
            sequence: number as u32,
        }
    }

    /// From a line of the receive loop.
    pub(super) fn in_line(line: &[u8]) -> Option<Self> {
        // Data follow head, class, type, obid, datetime, time stamp and GUID.
        let at = memchr_iter(b',', line).nth(6)?;
        Some(Self::from_number(bytes(&line[at + 1..])?))
    }
}

/// Finds marks in payloads of any form.
pub(super) struct Payloads {
    names: [Finder<'static>; 2],
}

impl Default for Payloads {
    fn default() -> Self {
        Self {
            names: [Finder::new("\"data\""), Finder::new("\"vscpData\"")],
        }
    }
}

impl Payloads {
    /// From a payload. JSON and the comma form are not read as a whole.
    pub(super) fn mark(&self, payload: &[u8]) -> Option<Mark> {
        let quick = match payload.first()? {
            b'{' => self.in_json(payload),
            b'0'..=b'9' => Mark::in_line(payload),
            _ => None,
        };
        quick.or_else(|| slow(payload))
    }

    fn in_json(&self, payload: &[u8]) -> Option<Mark> {
        let after = |name: &Finder<'_>| name.find(payload).map(|at| at + name.needle().len());
        let at = self.names.iter().find_map(after)?;
        let rest = payload[at..].trim_ascii_start().strip_prefix(b":")?;
        let rest = rest.trim_ascii_start().strip_prefix(b"[")?;
        bytes(rest).map(Mark::from_number)
    }
}

fn slow(payload: &[u8]) -> Option<Mark> {
    let defaults = Defaults {
        now: 0,
        obid: 0,
        guid: Guid::ZERO,
    };
    let event = payload::read(payload, ReadFormat::Auto, &defaults).ok()?;
    let data = <[u8; SIZE]>::try_from(&event.data[..]).ok()?;
    Some(Mark::from_number(u64::from_be_bytes(data)))
}

/// Exactly eight numbers with commas between them, up to the end or a bracket.
fn bytes(mut text: &[u8]) -> Option<u64> {
    let mut value = 0;
    for n in 0..SIZE {
        if n > 0 {
            text = text.strip_prefix(b",")?;
        }
        let (byte, rest) = byte(text.trim_ascii_start())?;
        value = value << 8 | u64::from(byte);
        text = rest.trim_ascii_start();
    }
    (text.is_empty() || text[0] == b']').then_some(value)
}

fn byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        _ => (10, text),
    };
    let mut value: u32 = 0;
    let mut length = 0;
    while let Some(digit) = digits
        .get(length)
        .and_then(|&c| char::from(c).to_digit(radix))
    {
        value = value * radix + digit;
        length += 1;
        if length > 3 {
            return None;
        }
    }
    let value = u8::try_from(value).ok().filter(|_| length > 0)?;
    Some((value, &digits[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 0x0A_FF_00_63;

    fn mark(sequence: u32) -> Mark {
        Mark { run: RUN, sequence }
    }

    #[test]
    fn marks_in_lines() {
        let head =
            "0,510,0,7,2001-11-02T18:00:01Z,5,FF:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01";
        for data in [
            "0x0A,0xFF,0x00,0x63,0x00,0x00,0x01,0x02",
            "10,255,0,99,0,0,1,2",
            "0xa,0Xff,0,0x63,00,0,1,2",
        ] {
            let line = format!("{head},{data}");
            assert_eq!(Mark::in_line(line.as_bytes()), Some(mark(0x102)), "{data}");
        }
        for data in [
            "1,2,3,4,5,6,7",
            "1,2,3,4,5,6,7,8,9",
            "1,2,3,4,5,6,7,256",
            "1,2,3,4,5,6,7,",
            "1,2,3,4,5,6,7,0x",
            "1,2,3,4,5,6,7,8x",
            "",
        ] {
            let line = format!("{head},{data}");
            assert_eq!(Mark::in_line(line.as_bytes()), None, "{data}");
        }
        assert_eq!(Mark::in_line(b"+OK"), None);
        assert_eq!(Mark::in_line(b""), None);
    }

    #[test]
    fn marks_in_payloads_of_every_form() {
        use vscpl2drv_link::event::text;
        use vscpl2drv_link::wire::payload::{Style, WriteFormat, write};
        let defaults = Defaults {
            now: 1_700_000_000_000_000_000,
            obid: 0,
            guid: Guid::ZERO,
        };
        let event = text::parse("0,510,0,,,,::1,10,255,0,99,0,0,1,2", &defaults).unwrap();
        for format in [
            WriteFormat::Json,
            WriteFormat::Text,
            WriteFormat::Xml,
            WriteFormat::Binary,
        ] {
            let mut payload = Vec::new();
            write(&event, format, Style::default(), &mut payload);
            let found = Payloads::default().mark(&payload);
            assert_eq!(found, Some(mark(0x102)), "{format:?}");
        }
        let classic = br#"{"vscpData" : [ 10, 255,0 , 99,0,0,1,2 ], "x": 1}"#;
        assert_eq!(Payloads::default().mark(classic), Some(mark(0x102)));
        for other in [&b""[..], b"{}", b"{\"data\":3}", b"hello", b"\x00\x01"] {
            assert_eq!(Payloads::default().mark(other), None);
        }
    }
}

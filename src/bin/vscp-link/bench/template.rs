//! Events that are ready but for their number, which is written into prepared bytes.

use memchr::memmem;

use super::mark::SIZE;

/// What a template has in their place while it is made: three digits each.
const BLANK: [u8; SIZE] = [100, 101, 102, 103, 104, 105, 106, 107];

/// How the bytes of data stand in a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    /// `0x0A`.
    Hexadecimal,
    /// ` 10`: JSON lets a number have blanks before it, and no zeros.
    Decimal,
}

/// An event that is ready but for its number.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Where the digits of the last four bytes of data are.
    places: [usize; 4],
    digits: Digits,
    /// Where two bytes of a packet's identifier are.
    identifier: Option<usize>,
}

impl Template {
    /// A `SEND` of an event of this class and type.
    pub(super) fn send(run: u32, class: u16, vscp_type: u16) -> Option<Self> {
        let data = BLANK.map(|byte| format!(",0x{byte:02X}")).concat();
        let line = format!("SEND 0,{class},{vscp_type},,,,-{data}\r\n");
        Self::from_bytes(line.into_bytes(), run)
    }

    /// From something whose data are [`blank`].
    pub(super) fn from_bytes(mut bytes: Vec<u8>, run: u32) -> Option<Self> {
        let find = |what: [String; SIZE]| {
            let what = what.join(",");
            memmem::find(&bytes, what.as_bytes())
        };
        let found = find(BLANK.map(|byte| format!("0x{byte:02X}")))
            .map(|at| (at, Digits::Hexadecimal))
            .or_else(|| find(BLANK.map(|byte| byte.to_string())).map(|at| (at, Digits::Decimal)));
        let (at, digits) = found?;
        let place = |n: usize| match digits {
            Digits::Hexadecimal => at + 5 * n + 2,
            Digits::Decimal => at + 4 * n,
        };
        for (n, byte) in run.to_be_bytes().into_iter().enumerate() {
            digits.write(&mut bytes[place(n)..], byte);
        }
        Some(Self {
            places: [4, 5, 6, 7].map(place),
            digits,
            bytes,
            identifier: None,
        })
    }

    /// The same, whose identifier is at this place.
    pub(super) fn with_identifier(self, place: usize) -> Self {
        Self {
            identifier: Some(place),
            ..self
        }
    }

    /// Appends the event with this number.
    pub(super) fn put(&self, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let event = &mut out[start..];
        for (place, byte) in self.places.into_iter().zip(sequence.to_be_bytes()) {
            self.digits.write(&mut event[place..], byte);
        }
        if let Some(place) = self.identifier {
            // Never 0.
            let identifier = (sequence % u32::from(u16::MAX)) as u16 + 1;
            event[place..place + 2].copy_from_slice(&identifier.to_be_bytes());
        }
    }
}

/// The data of an event that becomes a [`Template`].
pub(super) fn blank() -> Vec<u8> {
    BLANK.to_vec()
}

impl Digits {
    fn write(self, place: &mut [u8], byte: u8) {
        match self {
            Self::Hexadecimal => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                place[0] = HEX[usize::from(byte >> 4)];
                place[1] = HEX[usize::from(byte & 15)];
            }
            Self::Decimal => {
                let digit = |n: u8, shown: bool| if shown { b'0' + n % 10 } else { b' ' };
                place[0] = digit(byte / 100, byte >= 100);
                place[1] = digit(byte / 10, byte >= 10);
                place[2] = digit(byte, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mark::{Mark, Payloads};
    use super::*;

    const RUN: u32 = 0x0A_FF_00_63;

    fn mark(sequence: u32) -> Mark {
        Mark { run: RUN, sequence }
    }

    fn text(template: &Template, sequence: u32) -> String {
        let mut out = Vec::new();
        template.put(sequence, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_send_has_run_and_number() {
        let template = Template::send(RUN, 510, 0).unwrap();
        assert_eq!(
            text(&template, 0x0102_FFFE),
            "SEND 0,510,0,,,,-,0x0A,0xFF,0x00,0x63,0x01,0x02,0xFF,0xFE\r\n"
        );
        assert_eq!(
            text(&template, 0),
            "SEND 0,510,0,,,,-,0x0A,0xFF,0x00,0x63,0x00,0x00,0x00,0x00\r\n"
        );
    }

    #[test]
    fn json_has_numbers_as_json_wants_them() {
        let json = br#"{"class":510,"data":[100,101,102,103,104,105,106,107]}"#;
        let template = Template::from_bytes(json.to_vec(), RUN).unwrap();
        for sequence in [0, 9, 10, 99, 100, 255, 256, u32::MAX] {
            let text = text(&template, sequence);
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            let data: Vec<u8> = serde_json::from_value(read["data"].clone()).unwrap();
            assert_eq!(data[..4], RUN.to_be_bytes());
            assert_eq!(data[4..], sequence.to_be_bytes());
            assert_eq!(
                Payloads::default().mark(text.as_bytes()),
                Some(mark(sequence))
            );
        }
        assert!(Template::from_bytes(b"{\"data\":[1,2]}".to_vec(), RUN).is_none());
    }

    #[test]
    fn identifiers_are_never_zero() {
        let template = Template::send(RUN, 510, 0).unwrap().with_identifier(0);
        for (sequence, identifier) in [(0, 1), (65_534, 65_535), (65_535, 1), (65_536, 2)] {
            let mut out = Vec::new();
            template.put(sequence, &mut out);
            assert_eq!(out[..2], u16::to_be_bytes(identifier), "{sequence}");
        }
    }
}

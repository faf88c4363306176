//! The binary frame of an event (VSCP specification, "Binary frame format", UDP and multicast).
//!
//! | bytes | type 0 | type 1 |
//! |---|---|---|
//! | 0 | frame type in the high, encryption in the low four bits | the same |
//! | 1, 2 | head | head, bit 8 set |
//! | 3 to 13 | microseconds (4), year (2), month, day, hour, minute, second | nanoseconds since 1970 (8), three zeros |
//! | 14 to 35 | class (2), type (2), GUID (16), size of data (2) | the same |
//! | 36 … | data, then CRC (2) | the same |
//!
//! All numbers have their most significant byte first. The CRC is CRC-16/CCITT-FALSE over
//! everything between the first byte and itself. The obid has no place in a frame.

use thiserror::Error;

use super::json::Generation;
use super::text::Defaults;
use super::time::DateFields;
use super::{Data, Event, EventTime, Guid, Head, MAX_DATA};

/// Bytes before the data.
const HEADER: usize = 36;
/// Bytes after the data.
const TRAILER: usize = 2;
/// What stands in place of a CRC where the head says that there is none.
const NO_CRC: u16 = 0xAA55;
const NO_CRC_BIT: u16 = 0x0008;

/// Why bytes are not a frame.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Shorter or longer than it says.
    #[error("{found} bytes where a frame of {expected} was expected")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that there should be.
        expected: usize,
    },
    /// Neither type 0 nor type 1.
    #[error("frame type {0} is not known")]
    Type(u8),
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// More data than an event can have.
    #[error("{0} data bytes, at most {MAX_DATA} are allowed")]
    Data(usize),
    /// Its CRC is another.
    #[error("the CRC is {found:04x} where {expected:04x} was expected")]
    Crc {
        /// In the frame.
        found: u16,
        /// From its bytes.
        expected: u16,
    },
    /// Date and time of no day.
    #[error("date and time are not valid")]
    Date,
}

/// Appends a frame: type 0 for [`Generation::Classic`], type 1 else.
pub fn write(event: &Event, generation: Generation, out: &mut Vec<u8>) {
    let start = out.len();
    if generation == Generation::Classic {
        out.push(0);
        out.extend(event.head.classic().to_be_bytes());
        out.extend(event.time.micros().to_be_bytes());
        let at = event.time.fields();
        out.extend(at.year.to_be_bytes());
        out.extend([at.month, at.day, at.hour, at.minute, at.second]);
    } else {
        out.push(0x10);
        out.extend(event.head.unix().to_be_bytes());
        out.extend(event.time.nanos().to_be_bytes());
        out.extend([0; 3]);
    }
    out.extend(event.class.to_be_bytes());
    out.extend(event.vscp_type.to_be_bytes());
    out.extend(event.guid.bytes());
    // An event has at most 512.
    out.extend((event.data.len() as u16).to_be_bytes());
    out.extend_from_slice(&event.data);
    let crc = crc(&out[start + 1..]);
    out.extend(crc.to_be_bytes());
}

/// The frame of what stands between the first byte and the CRC of one, where it has none.
#[must_use]
pub fn whole(between: &[u8]) -> Vec<u8> {
    // The head says of which type it is.
    let kind = between.first().map_or(0, |high| high & 0x03);
    let mut bytes = Vec::with_capacity(1 + between.len() + TRAILER);
    bytes.push(kind << 4);
    bytes.extend_from_slice(between);
    bytes.extend(crc(between).to_be_bytes());
    bytes
}

/// Reads a frame, which must fill the bytes.
///
/// # Errors
/// [`FrameError`] for anything else, a wrong CRC included.
pub fn read(bytes: &[u8], defaults: &Defaults) -> Result<Event, FrameError> {
    let length = |expected| FrameError::Length {
        found: bytes.len(),
        expected,
    };
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(length(HEADER + TRAILER));
    };
    if header[0] & 0x0F != 0 {
        return Err(FrameError::Encrypted);
    }
    let short = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let size = usize::from(short(34));
    if size > MAX_DATA {
        return Err(FrameError::Data(size));
    }
    let Some((data, &[high, low])) = rest.split_last_chunk::<TRAILER>() else {
        return Err(length(HEADER + size + TRAILER));
    };
    if data.len() != size {
        return Err(length(HEADER + size + TRAILER));
    }
    let head = short(1);
    let (found, expected) = (
        u16::from_be_bytes([high, low]),
        crc(&bytes[1..bytes.len() - TRAILER]),
    );
    let without = head & NO_CRC_BIT != 0 && found == NO_CRC;
    if found != expected && !without {
        return Err(FrameError::Crc { found, expected });
    }
    let time = match header[0] >> 4 {
        0 => classic_time(header).ok_or(FrameError::Date)?,
        1 => {
            let nanos: [u8; 8] = std::array::from_fn(|at| header[3 + at]);
            Some(EventTime::Unix {
                nanos: u64::from_be_bytes(nanos),
            })
            .filter(|time| time.nanos() != 0)
        }
        other => return Err(FrameError::Type(other)),
    };
    let guid: [u8; 16] = std::array::from_fn(|at| header[18 + at]);
    let guid = Guid::from(guid);
    Ok(Event {
        head: Head::new(head),
        class: short(14),
        vscp_type: short(16),
        obid: defaults.obid,
        guid: if guid.is_zero() { defaults.guid } else { guid },
        time: time.unwrap_or(EventTime::Unix {
            nanos: defaults.now,
        }),
        data: Data::try_from(data).unwrap_or_default(),
    })
}

/// The time of a type 0 frame: `Some(None)` where none is given, `None` where it is no time.
fn classic_time(header: &[u8; HEADER]) -> Option<Option<EventTime>> {
    let micros = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
    let at = DateFields {
        year: u16::from_be_bytes([header[7], header[8]]),
        month: header[9],
        day: header[10],
        hour: header[11],
        minute: header[12],
        second: header[13],
    };
    if at == DateFields::default() {
        return Some(None);
    }
    let seconds = at.seconds()?;
    Some(Some(EventTime::Classic { seconds, micros }))
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, begins with 0xFFFF.
/// Over bytes with their CRC behind them it is 0.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    crc_on(0xFFFF, bytes)
}

/// The CRC of some bytes and these after them, from theirs.
#[must_use]
pub fn crc_on(crc: u16, bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = table();
    bytes.iter().fold(crc, |crc, &byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::tests::any_event;
    use crate::event::text;

    const DEFAULTS: Defaults = Defaults {
        now: 1_700_000_000_123_456_789,
        obid: 0,
        guid: Guid::ZERO,
    };
    const V2: &str = "10 01 60 0D F1 7F 28 09 AA 8D B8 00 00 00 00 14 00 03 FF FF FF FF FF FF FF \
                      F5 02 88 88 00 00 00 00 01 00 03 00 01 23 7F 31";
    const CLASSIC: &str = "00 00 60 00 0C 7B 03 07 D1 0B 02 12 00 01 00 14 00 03 FF FF FF FF FF FF \
                           FF F5 02 88 88 00 00 00 00 01 00 03 00 01 23 43 58";
    /// Server discovery: a probe and two answers, in both types.
    const DISCOVERY: &[&str] = &[
        "10 01 00 0D F1 7F 28 09 AA 8D B8 00 00 00 00 00 00 1B FF FF FF FF FF FF FF F5 02 88 88 00 \
         00 00 00 01 00 05 00 C0 A8 01 08 BF ED",
        "00 00 00 00 0C 7B 03 07 D1 0B 02 12 00 01 00 00 00 1B FF FF FF FF FF FF FF F5 02 88 88 00 \
         00 00 00 01 00 05 00 C0 A8 01 08 02 9A",
        "10 01 00 0D F1 7F 28 09 AA 8D B8 00 00 00 00 00 00 1C FF FF FF FF FF FF FF F5 02 88 88 00 \
         00 00 00 01 00 08 80 00 C0 A8 01 08 25 7E E7 6B",
        "00 00 00 00 0C 7B 03 07 D1 0B 02 12 00 01 00 00 00 1C FF FF FF FF FF FF FF F5 02 88 88 00 \
         00 00 00 01 00 08 80 38 C0 A8 01 08 25 7E 00 2B",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |text| u8::from_str_radix(text, 16).unwrap();
        hex.split_whitespace().map(byte).collect()
    }

    fn put(event: &Event, generation: Generation) -> Vec<u8> {
        let mut out = Vec::new();
        write(event, generation, &mut out);
        out
    }

    fn event_a() -> Event {
        let line = "96,20,3,0,2001-11-02T18:00:01Z,817923,\
                    FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0,1,35";
        text::parse(line, &DEFAULTS).unwrap()
    }

    #[test]
    fn the_check_value_of_the_crc() {
        assert_eq!(crc(b"123456789"), 0x29B1);
    }

    #[test]
    fn byte_for_byte_as_the_daemons() {
        let event = event_a();
        assert_eq!(put(&event, Generation::V2), bytes(V2));
        assert_eq!(put(&event, Generation::Classic), bytes(CLASSIC));
        assert_eq!(read(&bytes(CLASSIC), &DEFAULTS).unwrap(), event);
        let v2 = read(&bytes(V2), &DEFAULTS).unwrap();
        assert_eq!(v2.time.nanos(), event.time.nanos());
        assert_eq!((v2.head, &v2.data), (event.head, &event.data));
        for hex in DISCOVERY {
            let frame = bytes(hex);
            let event = read(&frame, &DEFAULTS).unwrap();
            let generation = match frame[0] {
                0 => Generation::Classic,
                _ => Generation::V2,
            };
            assert_eq!(put(&event, generation), frame);
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let good = bytes(V2);
        let with = |at: usize, byte: u8| {
            let mut frame = good.clone();
            frame[at] = byte;
            read(&frame, &DEFAULTS).map(drop)
        };
        assert_eq!(with(0, 0x10), Ok(()));
        assert_eq!(with(0, 0x11), Err(FrameError::Encrypted));
        assert_eq!(with(0, 0x20), Err(FrameError::Type(2)));
        assert_eq!(with(34, 0x02), Err(FrameError::Data(515)));
        for (at, byte) in [(1, 0), (14, 9), (33, 2), (38, 0x24), (40, 0x32)] {
            assert!(
                matches!(with(at, byte), Err(FrameError::Crc { .. })),
                "{at}"
            );
        }
        for length in 0..good.len() {
            assert!(matches!(
                read(&good[..length], &DEFAULTS),
                Err(FrameError::Length { .. })
            ));
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(matches!(
            read(&longer, &DEFAULTS),
            Err(FrameError::Length { .. })
        ));
    }

    #[test]
    fn a_head_may_say_that_there_is_no_crc() {
        let mut frame = bytes(V2);
        let end = frame.len();
        frame[end - 2..].copy_from_slice(&NO_CRC.to_be_bytes());
        assert!(read(&frame, &DEFAULTS).is_err());
        frame[2] |= 0x08;
        assert!(read(&frame, &DEFAULTS).is_ok());
    }

    #[test]
    fn a_frame_without_a_time_is_of_now() {
        let mut frame = bytes(CLASSIC);
        frame[3..14].fill(0);
        let end = frame.len();
        let sum = crc(&frame[1..end - 2]);
        frame[end - 2..].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(read(&frame, &DEFAULTS).unwrap().time.nanos(), DEFAULTS.now);
        frame[9] = 13;
        let sum = crc(&frame[1..end - 2]);
        frame[end - 2..].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(read(&frame, &DEFAULTS), Err(FrameError::Date));
    }

    proptest! {
        #[test]
        fn goes_there_and_back(event in any_event(), classic in any::<bool>()) {
            let generation = if classic { Generation::Classic } else { Generation::V2 };
            let back = read(&put(&event, generation), &DEFAULTS).unwrap();
            prop_assert_eq!(
                (back.head, back.class, back.vscp_type, back.guid, &back.data),
                (event.head, event.class, event.vscp_type, event.guid, &event.data)
            );
            if classic {
                prop_assert_eq!(back.time.seconds(), event.time.seconds());
                prop_assert_eq!(back.time.micros(), event.time.micros());
            } else if event.time.nanos() != 0 {
                prop_assert_eq!(back.time.nanos(), event.time.nanos());
            }
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            let _ = read(&bytes, &DEFAULTS);
        }
    }
}

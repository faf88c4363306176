//! What the commands of a link between two drivers of this kind have in a frame.
//!
//! The end of a frame is found by its CRC and the zeros behind it (VSCP specification, "VSCP general
//! binary protocol"). That is right by chance where a block before the last one ends in zeros, once
//! in 65536 times, and leaves up to three ways to read the frame where the CRC ends in a zero, once
//! in 256 times. Neither is good enough for what must not be lost, so these arguments leave no
//! doubt:
//!
//! * words are those of the text mode and a line feed: there is no zero in them, and one end;
//! * an event is its number (8 bytes), its tag (16), and its frame of type 1 without the first
//!   byte and the CRC, which says how long it is. 0xFF stands behind it, and wherever a block
//!   of the frame ends, so that none ends in zeros.

use thiserror::Error;

use super::numbered::Numbered;
use crate::event::json::Generation;
use crate::event::text::Defaults;
use crate::event::{Event, Tag, frame};
use crate::wire::binary::cipher::BLOCK;

/// Where a block ends, and at the end.
const MARK: u8 = 0xFF;
/// Bytes of the number and the tag.
const BEFORE: usize = 24;
/// Bytes of an event without its data, and where the size of these stands.
const EVENT: usize = 35;
const SIZE: usize = 33;

/// What an argument stands behind, in the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The code of a command.
    Command,
    /// Code and error of a reply.
    Reply,
}

impl Behind {
    fn bytes(self) -> usize {
        match self {
            Self::Command => 2,
            Self::Reply => 4,
        }
    }
}

/// Why an argument is no event of a link.
#[derive(Debug, Error)]
pub enum PackedError {
    /// It has another length than it says, or a mark is missing.
    #[error("it is not in the form of an event of a link")]
    Form,
    /// The event.
    #[error("the event of a link is none")]
    Event(#[from] frame::FrameError),
}

/// The argument with these words.
#[must_use]
pub fn words(words: &str) -> Vec<u8> {
    format!("{words}\n").into_bytes()
}

/// The words of an argument. `maybe` is what may belong to it, as in
/// [`Frame`](crate::wire::binary::Frame).
#[must_use]
pub fn read_words(argument: &[u8], maybe: [u8; 2]) -> Option<String> {
    let plain = |text: &[u8]| !text.iter().any(u8::is_ascii_control);
    let mut all = complete(argument, maybe, |bytes| {
        bytes.strip_suffix(b"\n").is_some_and(plain)
    })?;
    all.pop();
    String::from_utf8(all).ok()
}

/// The argument with this event. The far end gives it the id of its channel.
#[must_use]
pub fn event(number: u64, tag: Tag, event: &Event, behind: Behind) -> Vec<u8> {
    let mut plain = Vec::with_capacity(BEFORE + EVENT + 3 + event.data.len());
    for part in [number, tag.origin, tag.number] {
        plain.extend(part.to_be_bytes());
    }
    let start = plain.len();
    frame::write(event, Generation::V2, &mut plain);
    plain.remove(start);
    plain.truncate(plain.len() - 2);
    let mut out = Vec::with_capacity(plain.len() + plain.len() / (BLOCK - 1) + 2);
    for byte in plain {
        if ends_a_block(out.len(), behind) {
            out.push(MARK);
        }
        out.push(byte);
    }
    out.push(MARK);
    out
}

/// The event of an argument.
///
/// # Errors
/// [`PackedError`].
pub fn read_event(
    argument: &[u8],
    maybe: [u8; 2],
    behind: Behind,
    defaults: &Defaults,
) -> Result<Numbered, PackedError> {
    let fits = |bytes: &[u8]| unmarked(bytes, behind).is_some_and(|plain| is_whole(&plain));
    let all = complete(argument, maybe, fits).ok_or(PackedError::Form)?;
    let plain = unmarked(&all, behind).ok_or(PackedError::Form)?;
    let long = |at: usize| {
        let bytes = plain.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    };
    let tag = Tag {
        origin: long(8),
        number: long(16),
    };
    Ok(Numbered {
        number: long(0),
        tag,
        event: frame::read(&frame::whole(&plain[BEFORE..]), defaults)?,
    })
}

fn ends_a_block(at: usize, behind: Behind) -> bool {
    (behind.bytes() + at) % BLOCK == BLOCK - 1
}

/// What stands between the marks; `None` where one is missing.
fn unmarked(bytes: &[u8], behind: Behind) -> Option<Vec<u8>> {
    let (&MARK, bytes) = bytes.split_last()? else {
        return None;
    };
    let mut plain = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        match (ends_a_block(at, behind), byte) {
            (true, MARK) => {}
            (true, _) => return None,
            (false, byte) => plain.push(byte),
        }
    }
    Some(plain)
}

fn is_whole(plain: &[u8]) -> bool {
    plain.get(BEFORE..).is_some_and(is_event)
}

/// True for bytes that are as many as an event without the first byte and the CRC of its frame
/// says.
pub(super) fn is_event(bytes: &[u8]) -> bool {
    let size = bytes.get(SIZE..).and_then(|rest| rest.first_chunk());
    size.is_some_and(|size| bytes.len() == EVENT + usize::from(u16::from_be_bytes(*size)))
}

/// The argument in that way to read it which makes sense.
pub(super) fn complete(
    argument: &[u8],
    maybe: [u8; 2],
    fits: impl Fn(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    let mut all = [argument, &maybe].concat();
    let length = (argument.len()..=all.len()).find(|&length| fits(&all[..length]))?;
    all.truncate(length);
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::tests::any_event;
    use crate::event::{Data, EventTime, Guid};
    use crate::wire::binary::code::{LINK_RECEIVE, LINK_SEND};
    use crate::wire::binary::reader::MOST_BLOCKS;
    use crate::wire::binary::{Cipher, Frame, FrameReader, Strength, write_command, write_reply};

    const DEFAULTS: Defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };

    fn cipher() -> Cipher {
        Cipher::new(Strength::Aes128, &[7; 16]).unwrap()
    }

    /// Appends a frame with this argument.
    fn seal(argument: &[u8], behind: Behind, cipher: &Cipher, wire: &mut Vec<u8>) {
        match behind {
            Behind::Command => write_command(LINK_SEND, argument, cipher, wire).unwrap(),
            Behind::Reply => write_reply(LINK_RECEIVE, 0, argument, cipher, wire).unwrap(),
        };
    }

    /// All arguments, as a reader finds them.
    fn open(wire: &[u8], piece: usize, cipher: &Cipher) -> Vec<(Vec<u8>, [u8; 2])> {
        let (mut reader, mut found) = (FrameReader::default(), Vec::new());
        for piece in wire.chunks(piece) {
            reader.push(piece);
            while let Some((frame, _)) = reader.next_frame(cipher, false).unwrap() {
                match frame {
                    Frame::Command {
                        code: LINK_SEND,
                        argument,
                        maybe,
                    }
                    | Frame::Reply {
                        code: LINK_RECEIVE,
                        error: 0,
                        argument,
                        maybe,
                    } => found.push((argument, maybe)),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(reader.ahead(), 0);
        found
    }

    fn any_behind() -> impl Strategy<Value = Behind> {
        prop::sample::select(&[Behind::Command, Behind::Reply][..])
    }

    /// With all that zeros can be in.
    fn zeros(size: usize, nanos: u64) -> Event {
        let line = "0,0,0,,,,-:0,";
        let event = crate::event::text::parse(line, &DEFAULTS).unwrap();
        Event {
            guid: Guid::ZERO,
            time: EventTime::Unix { nanos },
            data: Data::try_from(&vec![0; size][..]).unwrap(),
            ..event
        }
    }

    /// Frames full of zeros, whose CRC ends in a zero each 256th time, and whose end is
    /// not taken to be where it is not.
    #[test]
    fn zeros_do_not_look_like_the_end() {
        let cipher = cipher();
        let tag = Tag {
            origin: 0,
            number: 0,
        };
        for behind in [Behind::Command, Behind::Reply] {
            let (mut shorter, mut much_shorter) = (0, 0);
            for number in 0..1000_u64 {
                let size = number as usize % 513;
                let argument = event(number << 32, tag, &zeros(size, 1), behind);
                assert!(4 + argument.len() + 2 <= 16 * MOST_BLOCKS);
                for block in 1..(behind.bytes() + argument.len()) / BLOCK {
                    assert_ne!(argument[BLOCK * block - 1 - behind.bytes()], 0);
                }
                let mut wire = Vec::new();
                seal(&argument, behind, &cipher, &mut wire);
                let (found, maybe) = open(&wire, wire.len(), &cipher).remove(0);
                shorter += usize::from(found.len() + 1 == argument.len());
                much_shorter += usize::from(found.len() + 2 == argument.len());
                let back = read_event(&found, maybe, behind, &DEFAULTS).unwrap();
                assert_eq!((back.number, back.tag), (number << 32, tag));
                assert_eq!(back.event, zeros(size, 1));
            }
            assert!(shorter > 0, "none of them had a CRC that ends in a zero");
            assert!(much_shorter < shorter);
        }
    }

    /// Of all ways to read a frame whose CRC is zero the right one is taken.
    #[test]
    fn a_crc_of_nothing_but_zeros() {
        let cipher = cipher();
        let tag = Tag {
            origin: 1,
            number: 2,
        };
        for behind in [Behind::Command, Behind::Reply] {
            // The number is searched that makes it so.
            let (number, argument) = (0..)
                .map(|number| (number, event(number, tag, &zeros(0, 3), behind)))
                .find(|(_, argument)| {
                    let head: &[u8] = match behind {
                        Behind::Command => &LINK_SEND.to_be_bytes(),
                        Behind::Reply => &[&LINK_RECEIVE.to_be_bytes()[..], &[0, 0]].concat(),
                    };
                    frame::crc(&[head, argument].concat()) == 0
                })
                .unwrap();
            let mut wire = Vec::new();
            seal(&argument, behind, &cipher, &mut wire);
            let (found, maybe) = open(&wire, wire.len(), &cipher).remove(0);
            assert_eq!(found.len() + 2, argument.len());
            let back = read_event(&found, maybe, behind, &DEFAULTS).unwrap();
            assert_eq!(back.number, number);
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let tag = Tag {
            origin: 1,
            number: 2,
        };
        let good = event(5, tag, &zeros(3, 3), Behind::Command);
        let read = |bytes: &[u8], behind| read_event(bytes, [1, 2], behind, &DEFAULTS).is_ok();
        assert!(read(&good, Behind::Command));
        assert!(!read(&good, Behind::Reply));
        for length in 0..good.len() {
            assert!(!read(&good[..length], Behind::Command), "{length}");
        }
        assert!(!read(&[&good[..], &[MARK]].concat(), Behind::Command));
        let mut unmarked = good.clone();
        unmarked[13] = 0xFE;
        assert!(!read(&unmarked, Behind::Command));
        // More data than an event can have, and a frame of another type.
        let mut other = good.clone();
        let size = good.len() - 6;
        other[size..size + 2].copy_from_slice(&[0xFF, 0xFF]);
        assert!(!read(&other, Behind::Command));
        for text in [
            &b""[..],
            b"1 name",
            b"1\nname",
            b"1\n2\n",
            b"\0\n",
            b"\xff\n",
        ] {
            assert_eq!(read_words(text, [1, 2]), None, "{text:?}");
        }
        assert_eq!(read_words(b"1 nam", *b"e\n").as_deref(), Some("1 name"));
        assert_eq!(read_words(b"1 name", *b"\n1").as_deref(), Some("1 name"));
        assert_eq!(read_words(b"1 name\n", *b"\n\n").as_deref(), Some("1 name"));
    }

    proptest! {
        #[test]
        fn events_go_there_and_back(
            events in prop::collection::vec((any_event(), any::<[u64; 3]>()), 1..6),
            piece in 1_usize..300,
            behind in any_behind(),
        ) {
            let (cipher, mut wire) = (cipher(), Vec::new());
            for (one, [number, origin, count]) in &events {
                let tag = Tag { origin: *origin, number: *count };
                seal(&event(*number, tag, one, behind), behind, &cipher, &mut wire);
            }
            let found = open(&wire, piece, &cipher);
            prop_assert_eq!(found.len(), events.len());
            for ((argument, maybe), (one, [number, origin, count])) in found.iter().zip(&events) {
                let back = read_event(argument, *maybe, behind, &DEFAULTS).unwrap();
                let nanos = match one.time.nanos() {
                    0 => DEFAULTS.now,
                    nanos => nanos,
                };
                let event = Event { obid: 0, time: EventTime::Unix { nanos }, ..one.clone() };
                let tag = Tag { origin: *origin, number: *count };
                prop_assert_eq!(back, Numbered { number: *number, tag, event });
            }
        }

        #[test]
        fn words_go_there_and_back(text in "\\PC{0,300}", behind in any_behind()) {
            let (cipher, mut wire) = (cipher(), Vec::new());
            seal(&words(&text), behind, &cipher, &mut wire);
            let (argument, maybe) = open(&wire, wire.len(), &cipher).remove(0);
            prop_assert_eq!(read_words(&argument, maybe), Some(text));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..700), behind in any_behind()) {
            let _ = read_event(&bytes, [0, 0], behind, &DEFAULTS);
            let _ = read_words(&bytes, [0, 0]);
        }
    }
}

use vscpl2drv_link::event::EventTime;
use vscpl2drv_link::wire::link::frames::Frames;
use vscpl2drv_link::wire::link::numbered::{self, Numbered};
use vscpl2drv_link::wire::link::packed::{self, Behind};

use super::binary::{cipher, wire};
use super::{defaults, same};

/// An event with its number and its tag, as text and in a frame: what was read of one is read again
/// of what is written of it, in either form.
pub fn numbered(bytes: &[u8]) {
    for behind in [Behind::Command, Behind::Reply] {
        let _ = packed::read_words(bytes, [0, b'\n']);
        if let Ok(found) = packed::read_event(bytes, [0xFF, 0], behind, &defaults()) {
            repack(&found);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(Numbered { number, tag, event }) = numbered::read(text, &defaults()) else {
        return;
    };
    let mut line = Vec::new();
    numbered::write(number, tag, &event, &mut line);
    let line = String::from_utf8(line).expect("it is text");
    assert!(!line.contains(['\r', '\n']), "{line:?}");
    let again = numbered::read(&line, &defaults()).expect("what is written can be read");
    assert_eq!((again.number, again.tag), (number, tag));
    // No GUID and no time are for whoever reads it to fill in.
    if !event.guid.is_zero() {
        same(&again.event, &event);
    }
    if let EventTime::Unix { nanos: 1.. } = event.time {
        assert_eq!(again.event.time, event.time);
    }
    repack(&Numbered { number, tag, event });
}

/// What is written of it for a frame is read in one way, though bytes of a CRC follow.
fn repack(one: &Numbered) {
    for behind in [Behind::Command, Behind::Reply] {
        let argument = packed::event(one.number, one.tag, &one.event, behind);
        for (shorter, maybe) in [(0, [0xFF, 0xFF]), (1, [0xFF, 0]), (2, [0, 0xFF])] {
            let (argument, rest) = argument.split_at(argument.len() - shorter);
            let mut maybe = maybe;
            maybe[..shorter].copy_from_slice(rest);
            let again = packed::read_event(argument, maybe, behind, &defaults());
            let again = again.expect("what is written can be read");
            assert_eq!((again.number, again.tag), (one.number, one.tag));
            if !one.event.guid.is_zero() {
                same(&again.event, &one.event);
            }
            if let EventTime::Unix { nanos: 1.. } = one.event.time {
                assert_eq!(again.event.time, one.event.time);
            }
        }
    }
}

/// Bytes of a confirmation.
const CONFIRMATION: usize = 33;

/// What a far end says in frames becomes whole lines, and a confirmation of each event, however the
/// bytes come.
pub fn far_end(bytes: &[u8]) {
    let [first, size, asked, rest @ ..] = bytes else {
        return;
    };
    let cipher = cipher(*first);
    let (wire, _) = wire(rest, &cipher);
    let words: &[&str] = match asked % 6 {
        0 => &["RETR", "3"],
        1 => &["CHID"],
        2 => &["GGID"],
        4 => &["XLINK", "1", "near", "ab", "5", ""],
        5 => &["XRCV", "1", "near", "0", "0"],
        _ => &["RCVLOOP"],
    };
    let hear = |size: usize| {
        let mut frames = Frames::new(cipher.clone());
        frames.command(words).expect("it can be said");
        let (mut lines, mut confirmed) = (Vec::new(), 0);
        for piece in wire.chunks(size.max(1)) {
            let Ok((said, answers)) = frames.take(piece) else {
                break;
            };
            lines.extend(said);
            // A confirmation: a first byte, a block and a vector.
            assert_eq!(answers.len() % CONFIRMATION, 0);
            confirmed += answers.len() / CONFIRMATION;
        }
        (lines, confirmed)
    };
    // Where its end is not marked by zeros, a reply is taken for whole when its CRC is right and
    // nothing is behind it yet: that may be another one in pieces, once in 65536 times.
    for size in [wire.len(), usize::from(*size) + 1] {
        let (lines, confirmed) = hear(size);
        let text = String::from_utf8(lines).expect("lines are text");
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        let mut count = 0;
        for line in text.split_terminator("\r\n") {
            assert!(!line.contains(['\r', '\n']), "{line:?}");
            count += 1;
        }
        assert!(confirmed <= count, "what was confirmed was heard");
    }
}

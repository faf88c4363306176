use proptest::prelude::*;

use super::*;
use crate::event::tests::any_event;
use crate::event::text::{self, Defaults};
use crate::event::{EventTime, Guid};

/// The key of the published vectors, which is no secret.
const KEY: [u8; 32] = [
    0x2D, 0xBB, 0x07, 0x9A, 0x38, 0x98, 0x5A, 0xF0, 0x0E, 0xBE, 0xEF, 0xE2, 0x2F, 0x9F, 0xFA, 0x0E,
    0x7F, 0x72, 0xDF, 0x06, 0xEB, 0xE4, 0x45, 0x63, 0xED, 0xF4, 0xA1, 0x07, 0x3C, 0xAB, 0xC7, 0xD4,
];
const PLAIN: &str = "0000600102030407d10b0212000100140003000102030405060708090a0b0c0d0e0f0003000123\
                     56a1";
const VECTORS: [(Strength, &str); 3] = [
    (
        Strength::Aes128,
        "01d2fff981e169539e7153a386419556cfdac6dc7ad62c819387677a255c94ff7dcd94d1049e1bdd3f9899892a\
         d5c7a03d000102030405060708090a0b0c0d0e0f",
    ),
    (
        Strength::Aes192,
        "0259b23be444614f4c4183c4105979050ca71d53e12a29c3a3020bc6e55a9383f5f3807244fa50fe8bddc09ad2\
         e4e60082000102030405060708090a0b0c0d0e0f",
    ),
    (
        Strength::Aes256,
        "03ed3988c3a3c187d5c9e8d714b06df0f9ab1fcd7e3ec7b7fd4cc26922e6250c9b22e355610120797c374ae97b\
         7fcfac95000102030405060708090a0b0c0d0e0f",
    ),
];
const DEFAULTS: Defaults = Defaults {
    now: 1,
    obid: 0,
    guid: Guid::ZERO,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| b.is_ascii_hexdigit()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn cipher(strength: Strength) -> Cipher {
    Cipher::new(strength, &KEY).unwrap()
}

fn iv(n: u8) -> Iv {
    std::array::from_fn(|at| (at as u8).wrapping_mul(37).wrapping_add(n))
}

fn read(
    reader: &mut FrameReader,
    cipher: &Cipher,
    settled: bool,
) -> Result<Option<Frame>, BadFrame> {
    reader
        .next_frame(cipher, settled)
        .map(|found| found.map(|(frame, _)| frame))
}

fn one(wire: &[u8], cipher: &Cipher) -> Result<Option<Frame>, BadFrame> {
    let mut reader = FrameReader::default();
    reader.push(wire);
    // All that there is.
    read(&mut reader, cipher, true)
}

fn command(code: u16, argument: &[u8], iv: Iv, cipher: &Cipher) -> Vec<u8> {
    let mut plain = vec![0xE0];
    plain.extend(code.to_be_bytes());
    plain.extend_from_slice(argument);
    let crc = frame::crc(&plain[1..]);
    plain.extend(crc.to_be_bytes());
    let mut out = Vec::new();
    cipher.seal_with(iv, &plain, &mut out);
    out
}

#[test]
fn the_published_vectors() {
    let counting: Iv = std::array::from_fn(|at| at as u8);
    for (strength, hex) in VECTORS {
        let cipher = cipher(strength);
        let mut out = Vec::new();
        cipher.seal_with(counting, &bytes(PLAIN), &mut out);
        assert_eq!(out, bytes(hex), "{strength:?}");
        let Ok(Some(Frame::Event { bytes: plain, .. })) = one(&bytes(hex), &cipher) else {
            panic!("{strength:?}");
        };
        assert_eq!(plain, bytes(PLAIN));
        let event = frame::read(&plain, &DEFAULTS).unwrap();
        let line = "96,20,3,0,2001-11-02T18:00:01Z,16909060,\
                    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,0,1,35";
        assert_eq!(event, text::parse(line, &DEFAULTS).unwrap());
    }
}

#[test]
fn lengths_are_padded_to_more_than_they_were() {
    assert_eq!([41, 47, 48].map(cipher::padded), [48, 48, 64]);
}

/// The README's number.
#[test]
fn an_event_takes_577_bytes_at_most() {
    let cipher = cipher(Strength::Aes256);
    for (data, longest) in [(512, true), (513, false)] {
        let guid = "0,20,3,,,,-,1";
        let mut plain = Vec::new();
        frame::write(
            &text::parse(guid, &DEFAULTS).unwrap(),
            Generation::V2,
            &mut plain,
        );
        // Size, data, CRC.
        plain.truncate(plain.len() - 2 - 1 - 2);
        plain.extend(u16::to_be_bytes(data));
        plain.resize(plain.len() + usize::from(data), 7);
        let crc = frame::crc(&plain[1..]);
        plain.extend(crc.to_be_bytes());
        let mut wire = Vec::new();
        cipher.seal_with(iv(1), &plain, &mut wire);
        match one(&wire, &cipher) {
            Ok(Some(Frame::Event { .. })) if longest => assert_eq!(wire.len(), 577),
            Err(BadFrame::Size(513)) if !longest => {}
            other => panic!("{data}: {other:?}"),
        }
    }
}

#[test]
fn each_byte_changed_in_turn_is_noticed() {
    for strength in Strength::ALL {
        let cipher = cipher(strength);
        let good = bytes(VECTORS[usize::from(strength.nibble()) - 1].1);
        let command = command(2, b"me:it", iv(1), &cipher);
        for frame in [good, command] {
            for at in 0..frame.len() {
                for bit in [0x01, 0x10, 0x80, 0xFF] {
                    let mut changed = frame.clone();
                    changed[at] ^= bit;
                    let found = one(&changed, &cipher);
                    let harmless = match &found {
                        // What a frame is stands outside of its CRC: a command may look like a
                        // reply of the client's, which is one to nothing.
                        Ok(Some(Frame::Reply { code, .. })) => at == 0 && *code == 2,
                        // Padding says nothing, whatever it is.
                        Ok(Some(Frame::Command { code, argument, .. })) => {
                            (*code, &argument[..]) == (2, b"me:it")
                        }
                        Ok(Some(Frame::Event { .. })) => false,
                        _ => true,
                    };
                    assert!(harmless, "{at} {bit:02x}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_wrong_has_a_name() {
    let cipher = cipher(Strength::Aes256);
    let event = bytes(VECTORS[2].1);
    let with = |first: u8| {
        let mut wire = event.clone();
        wire[0] = first;
        one(&wire, &cipher)
    };
    assert_eq!(with(0x23), Err(BadFrame::Type(2)));
    let other = BadFrame::Cipher {
        found: 1,
        expected: 3,
    };
    assert_eq!(with(0x01), Err(other));
    assert_eq!(with(0x13), Err(BadFrame::Version(1)));
    let seal = |plain: &[u8]| {
        let mut out = Vec::new();
        cipher.seal_with(iv(2), plain, &mut out);
        out
    };
    let mut large = bytes(PLAIN);
    large[34..36].copy_from_slice(&513_u16.to_be_bytes());
    assert_eq!(one(&seal(&large), &cipher), Err(BadFrame::Size(513)));
    // No CRC, and the head says so: with AES that will not do.
    let mut without = bytes(PLAIN);
    without[2] |= 0x08;
    without[39..].copy_from_slice(&[0xAA, 0x55]);
    assert_eq!(one(&seal(&without), &cipher), Err(BadFrame::Crc));
    assert_eq!(
        one(&[0xE3; 1 + 16 * MOST_TRIED + 17], &cipher),
        Err(BadFrame::Endless)
    );
    // Another key.
    let other = Cipher::new(Strength::Aes256, &[7; 32]).unwrap();
    assert!(!matches!(one(&event, &other), Ok(Some(_))));
}

const MOST_TRIED: usize = reader::MOST_BLOCKS;

#[test]
fn other_paddings_are_taken_where_the_frame_ends() {
    let cipher = cipher(Strength::Aes128);
    for length in 0..40_usize {
        let argument = vec![0x55; length];
        let mut plain = vec![0xE0, 0, 13];
        plain.extend(&argument);
        let crc = frame::crc(&plain[1..]);
        plain.extend(crc.to_be_bytes());
        let mut wire = Vec::new();
        // As the C code does it: whatever is there in memory.
        let len = plain.len();
        plain.resize(1 + cipher::padded(len), 0x77);
        wire.push(0xE1);
        let mut sealed = Vec::new();
        cipher.seal_with(iv(3), &plain, &mut sealed);
        // Whole blocks get one more to pad them with: it is left out here.
        wire.extend_from_slice(&sealed[1..=cipher::padded(len)]);
        wire.extend(iv(3));
        match one(&wire, &cipher) {
            Ok(Some(Frame::Command {
                code: 13,
                argument: found,
                ..
            })) => assert_eq!(found, argument),
            other => panic!("{length}: {other:?}"),
        }
    }
}

/// Commands and replies without two zeros in a row: at every such pair within an argument one of
/// 65536 CRCs is right by chance, and the frame would end there.
fn any_frame() -> impl Strategy<Value = (u8, u16, u16, Vec<u8>)> {
    let argument = prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..900);
    let argument = argument.prop_map(|mut argument| {
        for at in 1..argument.len() {
            if argument[at - 1] == 0 && argument[at] == 0 {
                argument[at] = 1;
            }
        }
        argument
    });
    (0_u8..2, any::<u16>(), any::<u16>(), argument)
}

proptest! {
    #[test]
    fn frames_go_there_and_back_in_any_pieces(
        frames in prop::collection::vec(any_frame(), 1..6),
        event in any_event(),
        pieces in prop::collection::vec(1_usize..200, 1..20),
        strength in prop::sample::select(&Strength::ALL[..]),
    ) {
        let cipher = cipher(strength);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (kind, code, error, argument) in frames {
            if kind == 0 {
                write_command(code, &argument, &cipher, &mut wire).unwrap();
                expected.push((code, argument));
            } else {
                write_reply(code, error, &argument, &cipher, &mut wire).unwrap();
                let argument = [&error.to_be_bytes()[..], &argument].concat();
                expected.push((code, argument));
            }
            write_event(&event, &cipher, &mut wire).unwrap();
        }
        let (mut reader, mut rest) = (FrameReader::default(), &wire[..]);
        let (mut found, mut events) = (Vec::new(), 0);
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            reader.push(now);
            rest = later;
            while let Some(frame) = read(&mut reader, &cipher, false).unwrap() {
                match frame {
                    Frame::Event { bytes, .. } => {
                        let back = frame::read(&bytes, &DEFAULTS).unwrap();
                        let nanos = match event.time.nanos() {
                            0 => DEFAULTS.now,
                            nanos => nanos,
                        };
                        prop_assert_eq!(back.time, EventTime::Unix { nanos });
                        prop_assert_eq!(&back.data, &event.data);
                        events += 1;
                    }
                    Frame::Command { code, mut argument, maybe } => {
                        // The CRC may end in zeros; then this is how it is read.
                        let whole = &expected[found.len()].1;
                        let more = whole.len().saturating_sub(argument.len()).min(maybe.len());
                        argument.extend_from_slice(&maybe[..more]);
                        found.push((code, argument));
                    }
                    Frame::Reply { code, error, argument, maybe } => {
                        let mut argument = [&error.to_be_bytes()[..], &argument].concat();
                        let whole = &expected[found.len()].1;
                        let more = whole.len().saturating_sub(argument.len()).min(maybe.len());
                        argument.extend_from_slice(&maybe[..more]);
                        found.push((code, argument));
                    }
                }
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(events, expected.len());
        prop_assert_eq!(found, expected);
        prop_assert_eq!(reader.ahead(), 0);
    }

    #[test]
    fn whatever_comes_is_a_frame_or_none(wire in prop::collection::vec(any::<u8>(), 0..3000)) {
        let cipher = cipher(Strength::Aes256);
        let mut reader = FrameReader::default();
        reader.push(&wire);
        while let Ok(Some(_)) = read(&mut reader, &cipher, true) {}
    }
}

use std::sync::Arc;

use vscpl2drv_link::event::frame;
use vscpl2drv_link::wire::binary::{BadFrame, Cipher, Frame, FrameReader, Strength};
use vscpl2drv_link::wire::line::Line;
use vscpl2drv_link::wire::link::packed::{self, Behind};
use vscpl2drv_link::wire::link::{Request, Session, Terms};

use super::session::{allowed, identity};
use super::{NOW, defaults, same};

const KEY: [u8; 32] = *b"no secret at all: it is for test";

/// Bytes to what goes over the wire: pieces of a byte that says how, a length, and so many bytes.
/// Encrypting them here lets a fuzzer get beyond the cipher.
pub(super) fn wire(bytes: &[u8], cipher: &Cipher) -> (Vec<u8>, bool) {
    let (mut out, mut rest, mut sound) = (Vec::new(), bytes, true);
    let mut number = 0_u64;
    while let [how, length, tail @ ..] = rest {
        let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        if how & 1 != 0 {
            // As it is.
            out.extend_from_slice(piece);
            sound = false;
            continue;
        }
        let kind = [0x00, 0x10, 0xE0, 0xF0][usize::from(how >> 1 & 3)];
        let mut plain = vec![kind];
        plain.extend_from_slice(piece);
        if how & 8 == 0 {
            let crc = frame::crc(piece);
            plain.extend(crc.to_be_bytes());
        } else {
            sound = false;
        }
        let mut iv = [0; 16];
        iv[8..].copy_from_slice(&number.to_be_bytes());
        number += 1;
        cipher.seal_with(iv, &plain, &mut out);
    }
    (out, sound)
}

pub(super) fn cipher(first: u8) -> Cipher {
    Cipher::new(Strength::ALL[usize::from(first % 3)], &KEY).expect("the key is long enough")
}

/// What a reader finds, in pieces of `size` bytes.
fn found(wire: &[u8], size: usize, cipher: &Cipher) -> (Vec<Frame>, Option<BadFrame>) {
    let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
    for piece in wire.chunks(size.max(1)) {
        reader.push(piece);
        loop {
            match reader.next_frame(cipher, false) {
                Ok(Some((frame, _))) => frames.push(frame),
                Ok(None) => break,
                Err(bad) => return (frames, Some(bad)),
            }
        }
    }
    // What it holds is one frame that has begun, of at most 64 blocks.
    assert!(reader.ahead() <= 1 + 16 * 65 || reader.ahead() <= wire.len().min(size));
    (frames, None)
}

/// Frames from bytes: none that was not there, and the same ones however the bytes come.
pub fn binary_frame(bytes: &[u8]) {
    let [first, size, rest @ ..] = bytes else {
        return;
    };
    let cipher = cipher(*first);
    let (wire, sound) = wire(rest, &cipher);
    let (whole, _) = found(&wire, wire.len(), &cipher);
    for frame in &whole {
        if let Frame::Event { bytes, .. } = frame {
            let _ = frame::read(bytes, &defaults());
            assert_eq!(frame::crc(&bytes[1..]), 0, "an event without its CRC");
        }
    }
    if sound {
        let (pieces, _) = found(&wire, usize::from(*size) + 1, &cipher);
        assert_eq!(whole, pieces);
    }
}

/// The dialogue in frames: each command and each event has one reply, in a frame, and nobody gets
/// at anything without a login or a right.
pub fn binary_session(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let cipher = cipher(first);
    let (wire, _) = wire(rest, &cipher);
    let terms = Terms {
        cipher: Some(cipher.clone()),
        encrypted_only: first & 0x80 != 0,
        ..Terms::default()
    };
    let mut session = Session::new(Arc::new(terms), false);
    let mut out = Vec::new();
    assert!(
        session
            .handle(Line::Text(b"binary"), NOW, &mut out)
            .is_none()
    );
    let mut reader = FrameReader::default();
    reader.push(&wire);
    let mut guest = false;
    while session.binary().is_some() {
        let Ok(Some((asked, _))) = reader.next_frame(&cipher, true) else {
            return;
        };
        let silent = matches!(asked, Frame::Reply { .. });
        let before = session.logged_in();
        let mut out = Vec::new();
        let Ok(request) = session.handle_frame(asked, NOW, &mut out) else {
            return;
        };
        assert_eq!(session.logged_in(), before);
        let answered = match &request {
            None => !silent,
            Some(
                Request::Clear
                | Request::SetGuid(_)
                | Request::SetFilter(_)
                | Request::PlainLink { .. }
                | Request::Mistake(_)
                | Request::Close,
            ) => true,
            Some(_) => false,
        };
        let (replies, bad) = found(&out, out.len(), &cipher);
        assert_eq!((replies.len(), bad), (usize::from(answered), None));
        assert!(
            replies
                .iter()
                .all(|reply| matches!(reply, Frame::Reply { .. }))
        );
        let Some(request) = request else { continue };
        allowed(&request, before, guest);
        match request {
            Request::Login { users, passwords } => {
                let known = users.iter().find_map(|user| identity(user));
                let right = passwords.iter().any(|password| &***password == "secret");
                let Some(identity) = known.filter(|_| right) else {
                    return;
                };
                guest = identity.user.name == "guest";
                session.log_in(identity);
            }
            Request::Close => return,
            Request::LinkReceive { .. } => session.receive_link(),
            // As it would go to another link.
            Request::LinkEvent(event) => {
                let mut out = Vec::new();
                session.say_linked(event.number, event.tag, &event.event, &mut out);
                session.say_alive(&mut out);
                let (frames, bad) = found(&out, out.len(), &cipher);
                let alive = usize::from(session.receives_link());
                assert_eq!((frames.len(), bad), (1 + alive, None));
                let Some(Frame::Reply {
                    argument, maybe, ..
                }) = frames.first()
                else {
                    panic!("{frames:?}");
                };
                let back = packed::read_event(argument, *maybe, Behind::Reply, &defaults());
                let back = back.expect("what is written can be read");
                assert_eq!((back.number, back.tag), (event.number, event.tag));
                same(&back.event, &event.event);
            }
            _ => {}
        }
    }
}

//! How long a frame says that it is, and texts in which there is nothing.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use vscpl2drv_link::event::text::parse;
use vscpl2drv_link::wire::ws::Dialect::{Ws1, Ws2};
use vscpl2drv_link::wire::ws::auth::seal;
use vscpl2drv_link::wire::ws::client as requests;

mod support;

use support::raw::{Came, Raw, TEXT, frame};
use support::websocket::{DEFAULTS, KEY, Server, path, ws2};

/// A command that is answered with NOOP, of so many bytes in all.
fn noop(length: usize) -> String {
    format!("C;NOOP;{}", "x".repeat(length - 7))
}

/// A frame whose length stands in so many bytes of its own: none, 2 or 8.
fn frame_in(form: usize, text: &str) -> Vec<u8> {
    let payload = text.as_bytes();
    let mut bytes = match form {
        0 => vec![TEXT, 0x80 | payload.len() as u8],
        2 => vec![TEXT, 0x80 | 126],
        _ => vec![TEXT, 0x80 | 127],
    };
    bytes.extend(&(payload.len() as u64).to_be_bytes()[8 - form..]);
    // A mask of zeros changes nothing.
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Logs in to ws1 and opens.
fn opened(server: &Server) -> Raw {
    let mut raw = Raw::opened(server.address(), "/ws1");
    let sid = raw.said().rsplit(';').next().unwrap().to_owned();
    let byte = |at: usize| u8::from_str_radix(&sid[2 * at..2 * at + 2], 16).unwrap();
    let crypto = seal(&KEY, &std::array::from_fn(byte), "admin", "secret");
    assert!(
        raw.ask(&format!("C;AUTH;{sid};{crypto}"))
            .starts_with("+;AUTH1;")
    );
    assert_eq!(raw.ask("C;OPEN"), "+;OPEN");
    raw
}

#[test]
fn texts_around_the_longest_that_has_its_length_in_one_byte() {
    let server = Server::start("", "");
    let mut raw = Raw::ws1(server.address());
    for length in [124, 125, 126, 127, 128, 129] {
        assert_eq!(raw.ask(&noop(length)), "+;NOOP", "{length}");
        // Byte by byte: the length itself comes in pieces.
        for byte in frame(TEXT, noop(length).as_bytes()) {
            raw.send([byte]);
        }
        assert_eq!(raw.said(), "+;NOOP", "{length}");
    }
    server.driver.close();
}

/// RFC 6455, section 5.2, wants the shortest form of a sender. What it means is clear all the same.
#[test]
fn a_length_in_more_bytes_than_it_needs_counts() {
    let server = Server::start("", "");
    for dialect in [Ws1, Ws2] {
        let mut raw = Raw::opened(server.address(), path(dialect));
        raw.said();
        for form in [0, 2, 8] {
            for _ in 0..2 {
                raw.send(frame_in(form, "C;BAD"));
                let answer = raw.said();
                match dialect {
                    Ws1 => assert_eq!(answer, "-;BAD;2;Unknown command."),
                    Ws2 => assert!(answer.contains("\"errcode\" : 9"), "{answer}"),
                }
            }
            // In the middle of others.
            let noop = requests::noop(dialect);
            let frames = [
                frame(TEXT, noop.as_bytes()),
                frame_in(form, ""),
                frame_in(form, "C;BAD"),
                frame(TEXT, noop.as_bytes()),
            ];
            raw.send(frames.concat());
            let answers = [raw.said(), raw.said(), raw.said()];
            assert_eq!(answers[0], answers[2]);
            assert!(!answers[1].contains("NOOP"), "{answers:?}");
        }
    }
    let mut raw = Raw::ws1(server.address());
    raw.send(frame_in(8, &noop(300)));
    assert_eq!(raw.said(), "+;NOOP");
    server.driver.close();
}

/// A message in which there is nothing is one that asks for nothing.
#[test]
fn empty_texts_are_taken_and_not_answered() {
    let server = Server::start("", "");
    for dialect in [Ws1, Ws2] {
        let mut raw = Raw::opened(server.address(), path(dialect));
        raw.said();
        let noop = requests::noop(dialect);
        let answer = raw.ask(&noop);
        let mut silent = vec![
            frame(TEXT, b""),
            frame(TEXT, b" \t\r\n"),
            // In pieces with nothing in any of them.
            [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")].concat(),
        ];
        silent.extend(match dialect {
            Ws1 => vec![frame(TEXT, b"+;NOOP"), frame(TEXT, b"-;NOOP;2;x")],
            Ws2 => ["+", "-", "VARIABLE"].map(said).to_vec(),
        });
        for bytes in silent {
            raw.send(&bytes);
            // Its answer is the next thing that comes.
            assert_eq!(raw.ask(&noop), answer, "{dialect:?} {bytes:?}");
            raw.send(bytes.repeat(100));
            assert_eq!(raw.ask(&noop), answer, "{dialect:?} {bytes:?}");
        }
    }
    server.driver.close();
}

fn said(kind: &str) -> Vec<u8> {
    frame(TEXT, ws2("NOOP", "").replace("CMD", kind).as_bytes())
}

#[test]
fn events_around_the_longest_that_has_its_length_in_one_byte() {
    let server = Server::start("", "");
    let mut raw = opened(&server);
    let mut lengths = Vec::new();
    // The digits of the time stamp and the data bytes make every length.
    for data in 7..=14 {
        for digits in 1..=6 {
            let stamp = "1".repeat(digits);
            let values = ",7".repeat(data);
            let line = format!("0,20,3,,2020-02-20T20:20:20Z,{stamp},::1{values}");
            let message = requests::event(Ws1, &parse(&line, &DEFAULTS).unwrap());
            server.write(&line);
            lengths.push(message.len());
            assert_eq!(raw.came(), Came::Text(message));
        }
    }
    for length in 120..=135 {
        assert!(lengths.contains(&length), "{length} is none of {lengths:?}");
    }
    server.driver.close();
}

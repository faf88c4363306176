//! Frames of RFC 6455, byte by byte: what is right, what is wrong, and in which pieces it comes.
//! After every case somebody else is served.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::time::Duration;

use vscpl2drv_link::wire::ws::auth::seal;

mod support;

use support::host::{Host, Layout, compile};
use support::mosquitto::free_port;
use support::raw::{BINARY, CLOSE, Came, OPENING, PING, PONG, Raw, TEXT, frame, head, request};
use support::websocket::{Client, KEY, Server};

/// The longest message.
const MOST: usize = 32 * 1024;
/// The first piece of a text, one in the middle, the last.
const START: u8 = 0x01;
const MIDDLE: u8 = 0x00;
const LAST: u8 = 0x80;

fn still_serves(server: &Server) {
    let mut raw = Raw::ws1(server.address());
    assert_eq!(raw.ask("C;NOOP"), "+;NOOP");
}

/// The bytes are sent to a fresh session; it closes with this code, and in order.
fn ends(server: &Server, what: &str, bytes: &[u8], code: u16) {
    for pieces in [1, bytes.len()] {
        let mut raw = Raw::ws1(server.address());
        for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
            // It may be closed before the last of it.
            if !raw.try_send(piece) {
                break;
            }
        }
        match raw.came() {
            Came::Close(Some(found), _) => assert_eq!(found, code, "{what}, {pieces}"),
            other => panic!("{what}, {pieces}: {other:?}"),
        }
        if bytes[0] != CLOSE {
            raw.try_send(frame(CLOSE, &code.to_be_bytes()));
        }
        // A reset may lose the close on its way to the client.
        assert_eq!(raw.came(), Came::End, "{what}, {pieces}");
        still_serves(server);
    }
}

/// A message in so many pieces.
fn in_pieces(text: &[u8], count: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<_> = (0..count)
        .map(|n| &text[text.len() * n / count..text.len() * (n + 1) / count])
        .collect();
    let first = |n: usize| match n {
        _ if count == 1 => TEXT,
        0 => START,
        n if n + 1 == count => LAST,
        _ => MIDDLE,
    };
    let frames = pieces.iter().enumerate();
    frames.map(|(n, piece)| frame(first(n), piece)).collect()
}

/// A command that is answered with itself, of so many bytes in all.
fn long(length: usize) -> String {
    format!("C;NOOP;{}", "x".repeat(length - 7))
}

#[test]
fn a_text_in_any_number_of_pieces_is_one_message() {
    let server = Server::start("", "");
    let mut raw = Raw::ws1(server.address());
    for count in [1, 2, 3, 6, 7, 50] {
        for piece in in_pieces(b"C;NOOP", count) {
            raw.send(piece);
        }
        assert_eq!(raw.said(), "+;NOOP", "{count}");
        // With pings between them, each answered at once.
        for (n, piece) in in_pieces(b"C;NOOP", count).into_iter().enumerate() {
            let payload = [n as u8; 3];
            raw.send(frame(PING, &payload));
            assert_eq!(raw.came(), Came::Pong(payload.to_vec()));
            raw.send(frame(PONG, b"nobody asked"));
            raw.send(piece);
        }
        assert_eq!(raw.said(), "+;NOOP", "{count}");
    }
    // It is nothing of the next message.
    assert_eq!(raw.ask("C;VERSION").split(';').count(), 4);
    // Letters of several bytes, cut anywhere.
    let text = "C;NÖ€😀P";
    let whole = raw.ask(text);
    assert!(
        whole.starts_with("-;N") && whole.ends_with(";2;Unknown command."),
        "{whole}"
    );
    for count in 2..=text.len() {
        for piece in in_pieces(text.as_bytes(), count) {
            raw.send(piece);
        }
        assert_eq!(raw.said(), whole, "{count}");
    }
    server.driver.close();
}

#[test]
fn a_login_and_an_event_in_pieces() {
    let server = Server::start("", "");
    let mut raw = Raw::opened(server.address(), "/ws1");
    let sid = raw.said().rsplit(';').next().unwrap().to_owned();
    let bytes = (0..16).map(|at| u8::from_str_radix(&sid[2 * at..2 * at + 2], 16).unwrap());
    let iv: Vec<u8> = bytes.collect();
    let crypto = seal(&KEY, &iv.try_into().unwrap(), "admin", "secret");
    let auth = format!("C;AUTH;{sid};{crypto}");
    for piece in in_pieces(auth.as_bytes(), 9) {
        raw.send(piece);
    }
    assert!(raw.said().starts_with("+;AUTH1;"));
    for piece in in_pieces(b"E;0,20,3,,,,-,7,8,9", 19) {
        raw.send(piece);
    }
    assert_eq!(raw.said(), "+;EVENT");
    assert_eq!(server.data(), [7, 8, 9]);
    assert!(server.driver.read(Duration::ZERO).is_err(), "only once");
    server.driver.close();
}

#[test]
fn pieces_in_the_wrong_order_end_it() {
    let server = Server::start("", "");
    let join = |frames: &[Vec<u8>]| frames.concat();
    for (what, bytes) in [
        ("the last piece first", frame(LAST, b"C;NOOP")),
        ("a middle piece first", frame(MIDDLE, b"C;NOOP")),
        (
            "a new text within one",
            join(&[frame(START, b"C;NO"), frame(TEXT, b"C;NOOP")]),
        ),
        (
            "a second beginning",
            join(&[frame(START, b"C;NO"), frame(START, b"OP")]),
        ),
        (
            "a binary message within a text",
            join(&[frame(START, b"C;NO"), frame(BINARY, b"OP")]),
        ),
    ] {
        ends(&server, what, &bytes, 1002);
    }
    // A piece after the end of a message.
    let mut raw = Raw::ws1(server.address());
    for piece in in_pieces(b"C;NOOP", 2) {
        raw.send(piece);
    }
    assert_eq!(raw.said(), "+;NOOP");
    raw.send(frame(LAST, b"C;NOOP"));
    raw.closes_with(1002);
    server.driver.close();
}

#[test]
fn frames_that_nobody_may_send_end_it() {
    let server = Server::start("", "");
    let unmasked = |first: u8, payload: &[u8]| {
        let mut bytes = head(first, payload.len() as u64, false);
        bytes.extend(payload);
        bytes
    };
    let mut cases = vec![
        ("an unmasked text".to_owned(), unmasked(TEXT, b"C;NOOP")),
        ("an unmasked ping".to_owned(), unmasked(PING, b"")),
        ("an unmasked close".to_owned(), unmasked(CLOSE, b"")),
        ("a ping of 126 bytes".to_owned(), frame(PING, &[0; 126])),
        (
            "a close of 126 bytes".to_owned(),
            frame(CLOSE, &[b'x'; 126]),
        ),
        (
            "a pong of 20000 bytes".to_owned(),
            frame(PONG, &[0; 20_000]),
        ),
        ("a fragmented ping".to_owned(), frame(0x09, b"x")),
        ("a fragmented close".to_owned(), frame(0x08, &[3, 0xE8])),
    ];
    for bit in [0x10, 0x20, 0x40, 0x70] {
        let name = format!("reserved bits {bit:02X}");
        cases.push((name.clone(), frame(TEXT | bit, b"C;NOOP")));
        cases.push((name, frame(PING | bit, b"")));
    }
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        let name = format!("opcode {opcode}");
        cases.push((name.clone(), frame(0x80 | opcode, b"")));
        cases.push((name, frame(0x80 | opcode, b"C;NOOP")));
    }
    for (what, bytes) in cases {
        ends(&server, &what, &bytes, 1002);
    }
    server.driver.close();
}

#[test]
fn pings_are_answered_with_what_they_carry() {
    let server = Server::start("", "");
    let mut raw = Raw::ws1(server.address());
    for length in [0, 1, 124, 125] {
        let payload: Vec<u8> = (0..length).map(|n| n as u8 ^ 0xFF).collect();
        raw.send(frame(PING, &payload));
        assert_eq!(raw.came(), Came::Pong(payload));
    }
    // Nobody asked for these: no answer.
    raw.send(frame(PONG, b""));
    raw.send(frame(PONG, &[0; 125]));
    assert_eq!(raw.ask("C;NOOP"), "+;NOOP");
    // Many at once: each is answered, in order.
    let many: Vec<u8> = (0..200_u8).flat_map(|n| frame(PING, &[n])).collect();
    raw.send(many);
    for n in 0..200_u8 {
        assert_eq!(raw.came(), Came::Pong(vec![n]));
    }
    server.driver.close();
}

#[test]
fn a_close_is_answered_with_its_code_and_reason() {
    let server = Server::start("", "");
    let close = |code: u16, reason: &str| {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(reason.as_bytes());
        payload
    };
    let longest = "x".repeat(123);
    for (code, reason) in [
        (1000, ""),
        (1000, "good bye"),
        (1001, "tschüß"),
        (1003, ""),
        (1007, ""),
        (1011, "x"),
        (3000, ""),
        (4999, &*longest),
    ] {
        let mut raw = Raw::ws1(server.address());
        raw.send(frame(CLOSE, &close(code, reason)));
        assert_eq!(raw.came(), Came::Close(Some(code), reason.to_owned()));
        assert_eq!(raw.came(), Came::End);
    }
    let mut raw = Raw::ws1(server.address());
    raw.send(frame(CLOSE, b""));
    assert_eq!(raw.came(), Came::Close(None, String::new()));
    assert_eq!(raw.came(), Came::End);
    // In the middle of a message.
    let mut raw = Raw::ws1(server.address());
    raw.send([frame(START, b"C;NO"), frame(CLOSE, &close(1000, ""))].concat());
    assert_eq!(raw.came(), Came::Close(Some(1000), String::new()));
    assert_eq!(raw.came(), Came::End);
    still_serves(&server);
    // Codes that stand for something else, or for nothing.
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535,
    ] {
        let name = format!("close {code}");
        ends(&server, &name, &frame(CLOSE, &close(code, "x")), 1002);
    }
    ends(&server, "a close of one byte", &frame(CLOSE, &[3]), 1002);
    let bad = [&1000_u16.to_be_bytes()[..], b"bad \xFF\xFE"].concat();
    ends(
        &server,
        "a reason that is no text",
        &frame(CLOSE, &bad),
        1007,
    );
    server.driver.close();
}

#[test]
fn what_comes_after_a_close_is_not_done() {
    let server = Server::start("", "");
    let mut client = Client::log_in(
        server.address(),
        vscpl2drv_link::wire::ws::Dialect::Ws1,
        "admin",
    );
    assert_eq!(client.send_event("0,20,3,,,,-,1"), Ok(()));
    let bytes = [frame(CLOSE, &[3, 0xE8]), frame(TEXT, b"E;0,20,3,,,,-,2")].concat();
    std::io::Write::write_all(client.socket.get_mut(), &bytes).unwrap();
    assert_eq!(client.text(), None);
    assert_eq!(server.data(), [1]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    still_serves(&server);
    server.driver.close();
}

/// Two commands and this frame in one piece: the commands are answered, then the server closes.
fn answered_before(last: &[u8], code: u16) {
    let server = Server::start("", "");
    for _ in 0..50 {
        let mut raw = Raw::ws1(server.address());
        raw.send([&frame(TEXT, b"C;NOOP"), &frame(TEXT, b"C;BOGUS"), last].concat());
        let came = [raw.came(), raw.came(), raw.came()];
        let [noop, bogus, close] = &came;
        assert_eq!(*noop, Came::Text("+;NOOP".to_owned()), "{came:?}");
        assert!(matches!(bogus, Came::Text(text) if text.starts_with("-;BOGUS;2;")));
        assert!(matches!(close, Came::Close(Some(found), _) if *found == code));
    }
    server.driver.close();
}

#[test]
fn what_was_asked_before_a_close_is_answered() {
    answered_before(&frame(CLOSE, &[3, 0xE8]), 1000);
}

#[test]
fn what_was_asked_before_a_broken_rule_is_answered() {
    answered_before(&frame(0x83, b""), 1002);
    answered_before(&frame(TEXT, b"\xFF"), 1007);
    answered_before(&[head(TEXT, 1 << 30, true), vec![0; 4]].concat(), 1009);
    answered_before(&frame(BINARY, b"x"), 1003);
}

#[test]
fn text_that_is_no_text_ends_it() {
    let server = Server::start("", "");
    for bad in [
        &b"C;NOOP\xFF"[..],
        b"\xC0\xAF",
        // Too long, half a pair, above the last one, cut off.
        b"C;\xE0\x80\xAF",
        b"C;\xED\xA0\x80",
        b"C;\xF4\x90\x80\x80",
        b"C;\xE2\x82",
        b"\x80",
    ] {
        ends(&server, "in one piece", &frame(TEXT, bad), 1007);
        for count in 2..=bad.len() {
            let bytes = in_pieces(bad, count).concat();
            ends(&server, "in pieces", &bytes, 1007);
        }
    }
    server.driver.close();
}

#[test]
fn the_longest_message_is_answered_and_one_byte_more_is_not() {
    let server = Server::start("", "");
    let mut raw = Raw::ws1(server.address());
    assert_eq!(raw.ask(&long(MOST)), "+;NOOP");
    for count in [2, 100, 5000] {
        for piece in in_pieces(long(MOST).as_bytes(), count) {
            raw.send(piece);
        }
        assert_eq!(raw.said(), "+;NOOP", "{count}");
    }
    let more = long(MOST + 1);
    for count in [1, 2, 5, 64] {
        let mut raw = Raw::ws1(server.address());
        for piece in in_pieces(more.as_bytes(), count) {
            if !raw.try_send(piece) {
                break;
            }
        }
        assert!(
            matches!(raw.came(), Came::Close(Some(1009), _)),
            "in {count} pieces"
        );
        raw.try_send(frame(CLOSE, &1009_u16.to_be_bytes()));
        assert_eq!(raw.came(), Came::End, "in {count} pieces");
    }
    // Pieces without anything in them are no message of their own, however many.
    let mut raw = Raw::ws1(server.address());
    raw.send(frame(START, b"C;"));
    raw.send(frame(MIDDLE, b"").repeat(10_000));
    raw.send(frame(LAST, b"NOOP"));
    assert_eq!(raw.said(), "+;NOOP");
    server.driver.close();
}

#[test]
fn a_large_frame_is_refused_by_its_head() {
    let server = Server::start("", "");
    for length in [MOST as u64 + 1, 4 << 20, 1 << 32, (1 << 63) - 1] {
        for first in [TEXT, BINARY, START] {
            let mut raw = Raw::ws1(server.address());
            // Its head is all that comes.
            raw.send(head(first, length, true));
            raw.send([1, 2, 3, 4]);
            raw.closes_with(1009);
        }
    }
    // The bit that no length may have: whatever it is called, it is the end.
    let mut raw = Raw::ws1(server.address());
    raw.send(head(TEXT, 1 << 63, true));
    raw.send([1, 2, 3, 4]);
    assert!(matches!(raw.came(), Came::Close(Some(1002 | 1009), _)));
    still_serves(&server);
    // All of it comes.
    let mut raw = Raw::ws1(server.address());
    raw.try_send(frame(TEXT, &vec![b'x'; 4 << 20]));
    raw.closes_with(1009);
    still_serves(&server);
    server.driver.close();
}

/// Kibibytes that a process has had at most, or has now.
fn kib(pid: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_is_announced_takes_no_memory() {
    let place = tempfile::tempdir().unwrap();
    let program = compile(Layout::V2, place.path());
    let key = place.path().join("key");
    std::fs::write(&key, "00112233445566778899aabbccddeeff").unwrap();
    let port = free_port();
    let config = format!(
        "{{\"interface\": \"ws://127.0.0.1:{port}\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"key-file\": {key:?}, \"logging\": {{\"file-path\": {:?}}}}}",
        support::dialogue::users(),
        place.path().join("log"),
    );
    // Address space counts too: what is reserved is not touched yet. Threads take none of their own.
    let mut command = std::process::Command::new(&program);
    command.env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1");
    let host = Host::start_as(command, &config);
    let address = ([127, 0, 0, 1], port).into();
    let mut first = Raw::ws1(address);
    let before = ["VmHWM:", "VmPeak:"].map(|name| kib(host.pid(), name));
    let mut all: Vec<Raw> = (0..200).map(|_| Raw::ws1(address)).collect();
    for raw in &mut all {
        raw.send(head(TEXT, 4 << 20, true));
        raw.send([1, 2, 3, 4]);
    }
    for raw in &mut all {
        assert!(matches!(raw.came(), Came::Close(Some(1009), _)));
    }
    // 800 MiB were announced; connections have their buffers.
    let after = ["VmHWM:", "VmPeak:"].map(|name| kib(host.pid(), name));
    assert!(after[0] - before[0] < 64 * 1024, "{before:?}, {after:?}");
    assert!(after[1] - before[1] < 400 * 1024, "{before:?}, {after:?}");
    assert_eq!(first.ask("C;NOOP"), "+;NOOP");
    drop(all);
    host.end();
}

#[test]
fn a_binary_message_ends_it() {
    let server = Server::start("", "");
    for bytes in [
        frame(BINARY, b""),
        frame(BINARY, b"C;NOOP"),
        frame(BINARY, &[0; MOST]),
        [frame(0x02, b"C;NO"), frame(LAST, b"OP")].concat(),
    ] {
        let mut raw = Raw::ws1(server.address());
        raw.send(bytes);
        raw.closes_with(1003);
        still_serves(&server);
    }
    server.driver.close();
}

#[test]
fn frames_that_come_byte_by_byte() {
    let server = Server::start("", "");
    let mut raw = Raw::ws1(server.address());
    let bytes = [
        frame(TEXT, b"C;NOOP"),
        frame(PING, &[7; 125]),
        frame(START, b"C;NO"),
        frame(PING, b""),
        frame(LAST, b"OP"),
        frame(TEXT, long(300).as_bytes()),
    ]
    .concat();
    for byte in bytes {
        raw.send([byte]);
    }
    // A pong may overtake an answer.
    let (mut texts, mut pongs) = (Vec::new(), Vec::new());
    while texts.len() + pongs.len() < 5 {
        match raw.came() {
            Came::Text(text) => texts.push(text),
            Came::Pong(payload) => pongs.push(payload),
            other => panic!("{other:?} after {texts:?} and {pongs:?}"),
        }
    }
    assert_eq!(texts, ["+;NOOP"; 3]);
    assert_eq!(pongs, [vec![7; 125], Vec::new()]);
    raw.send(&frame(CLOSE, &[3, 0xE8])[..3]);
    raw.send(&frame(CLOSE, &[3, 0xE8])[3..]);
    assert_eq!(raw.came(), Came::Close(Some(1000), String::new()));
    assert_eq!(raw.came(), Came::End);
    server.driver.close();
}

#[test]
fn many_messages_in_one_piece_are_answered_each_once_and_in_order() {
    let server = Server::start("", "");
    // With the request that opens the websocket, and after it.
    for at_once in [true, false] {
        let mut raw = Raw::connect(server.address());
        let messages: Vec<u8> = (0..1000)
            .flat_map(|n| frame(TEXT, format!("C;X{n}").as_bytes()))
            .collect();
        let opening = request("GET /ws1", &OPENING).into_bytes();
        if at_once {
            raw.send([opening, messages.clone()].concat());
        } else {
            raw.send(opening);
        }
        assert_eq!(raw.response().status, 101);
        assert!(raw.said().starts_with("+;AUTH0;"));
        if !at_once {
            raw.send(messages);
        }
        for n in 0..1000 {
            assert_eq!(raw.said(), format!("-;X{n};2;Unknown command."));
        }
        assert_eq!(raw.ask("C;NOOP"), "+;NOOP");
    }
    server.driver.close();
}

#[test]
fn messages_that_come_with_a_login_wait_for_it() {
    let server = Server::start("", "");
    let mut raw = Raw::opened(server.address(), "/ws1");
    let sid = raw.said().rsplit(';').next().unwrap().to_owned();
    let iv: [u8; 16] =
        std::array::from_fn(|at| u8::from_str_radix(&sid[2 * at..2 * at + 2], 16).unwrap());
    let crypto = seal(&KEY, &iv, "admin", "secret");
    let mut bytes = frame(TEXT, format!("C;AUTH;{sid};{crypto}").as_bytes());
    // More than are kept meanwhile.
    for n in 0..500_u16 {
        let event = format!("E;0,20,3,,,,-,{},{}", n >> 8, n & 255);
        bytes.extend(frame(TEXT, event.as_bytes()));
        bytes.extend(frame(PING, &n.to_be_bytes()));
    }
    raw.send(bytes);
    let (mut answers, mut pongs) = (Vec::new(), Vec::new());
    while answers.len() < 501 || pongs.len() < 500 {
        match raw.came() {
            Came::Text(text) => answers.push(text),
            Came::Pong(payload) => pongs.push(payload),
            other => panic!("{other:?} after {} answers", answers.len()),
        }
    }
    assert!(answers[0].starts_with("+;AUTH1;"), "{}", answers[0]);
    assert!(answers[1..].iter().all(|answer| answer == "+;EVENT"));
    for n in 0..500_u16 {
        assert_eq!(pongs[usize::from(n)], n.to_be_bytes());
        assert_eq!(server.data(), n.to_be_bytes());
    }
    server.driver.close();
}

#[test]
fn what_a_client_said_before_it_shut_its_side_is_answered() {
    let server = Server::start("", "");
    for count in 1..100 {
        let mut raw = Raw::ws1(server.address());
        raw.send(frame(TEXT, b"C;NOOP").repeat(count));
        raw.half_close();
        for n in 0..count {
            assert_eq!(raw.came(), Came::Text("+;NOOP".to_owned()), "{n}");
        }
        assert!(matches!(raw.came(), Came::Close(..) | Came::End));
    }
    still_serves(&server);
    server.driver.close();
}

#[test]
fn connections_that_break_off_hurt_nobody() {
    let server = Server::start("", "");
    let bytes = [
        frame(TEXT, b"C;NOOP"),
        frame(START, b"C;NO"),
        frame(PING, b"x"),
        frame(LAST, b"OP"),
        frame(CLOSE, &[3, 0xE8]),
    ]
    .concat();
    for length in 0..=bytes.len() {
        for way in 0..3 {
            let mut raw = Raw::ws1(server.address());
            raw.send(&bytes[..length]);
            match way {
                0 => raw.reset(),
                1 => {
                    raw.half_close();
                    raw.rest_or_reset();
                }
                _ => drop(raw),
            }
        }
    }
    still_serves(&server);
    // Nobody is left over.
    assert!(!server.log().contains("panic"), "{}", server.log());
    server.driver.close();
}

#[test]
fn garbage_ends_it_and_nothing_else() {
    let server = Server::start("", "");
    // A generator without a seed of its own: the same bytes each time.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..300 {
        let length = (next() % 300) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        let path = if round % 2 == 0 { "/ws1" } else { "/ws2" };
        let mut raw = Raw::opened(server.address(), path);
        assert!(matches!(raw.came(), Came::Text(_)));
        raw.try_send(&bytes);
        let socket = raw.stream.shutdown(std::net::Shutdown::Write);
        // It may be gone already.
        drop(socket);
        raw.rest_or_reset();
    }
    still_serves(&server);
    server.driver.close();
}

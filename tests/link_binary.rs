//! The binary mode with AES, through a socket.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Guid, frame};
use vscpl2drv_link::wire::binary::{Frame, Strength, write_command};

mod support;

use support::binary::{Binary, cipher, event_frame, key_file};
use support::client::Client;
use support::dialogue;
use support::tools::{PATIENCE, wait_until};

struct Server {
    driver: Driver,
    place: TempDir,
}

impl Server {
    /// With a usable key; `members` are more of the configuration.
    fn start(strength: Strength, members: &str) -> Self {
        let place = TempDir::new().unwrap();
        let key = key_file(place.path());
        let members = format!(
            "\"encryption\": \"{}\", \"key-file\": {key:?}, {members}",
            strength.name()
        );
        Self::try_start(place, &members).unwrap_or_else(|log| panic!("{log}"))
    }

    fn try_start(place: TempDir, members: &str) -> Result<Self, String> {
        let log = place.path().join("log");
        let config = format!(
            "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, {members} \
              \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\"}}}}",
            dialogue::users(),
        );
        let guid = "::1".parse().unwrap();
        match Driver::open(Source { config, guid }) {
            Some(driver) => Ok(Self { driver, place }),
            None => Err(fs::read_to_string(log).unwrap_or_default()),
        }
    }

    fn address(&self) -> SocketAddr {
        self.driver.addresses()[0]
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// What the host gets next: the data of an event.
    fn data(&self) -> Vec<u8> {
        self.driver.read(PATIENCE).unwrap().data.to_vec()
    }

    fn write(&self, line: &str) {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        self.driver.write(parse(line, &defaults).unwrap());
    }
}

#[test]
fn a_session_logs_in_sends_receives_and_goes_back_to_text() {
    for strength in Strength::ALL {
        let server = Server::start(strength, "");
        let mut client = Binary::connect(server.address(), strength);
        // What needs no login, and what does.
        assert_eq!(client.ask(0, b""), (0, 0, vec![]));
        assert_eq!(client.ask(9, b"").1, 33, "CHKDATA before the login");
        let (_, error, sid) = client.ask(4, b"");
        // The sid is random, and so is its CRC: one that ends in zeros makes it read shorter.
        assert!(error == 0 && (30..=32).contains(&sid.len()), "{sid:?}");
        assert_eq!(client.ask(777, b"").1, 17, "no such command");
        let (_, _, capabilities) = client.ask(21, b"");
        let expected = match strength {
            Strength::Aes128 => 0x8029_u64,
            Strength::Aes192 => 0x802A,
            Strength::Aes256 => 0x802C,
        };
        assert_eq!(capabilities, expected.to_be_bytes());
        assert_eq!(client.ask(2, b"admin"), (2, 0, vec![]));
        assert_eq!(client.ask(3, b"secret"), (3, 0, vec![]));

        // An event in a frame of either type, its confirmation with head and CRC.
        for (generation, data) in [(Generation::V2, 7), (Generation::Classic, 8)] {
            let line = format!("96,20,3,0,2020-02-20T20:20:20Z,5,-,{data}");
            let sent = event_frame(&line, generation, [data; 16], &client.cipher);
            client.send(&sent);
            let (code, error, argument) = client.reply();
            assert_eq!((code, error, argument.len()), (65535, 0, 6));
            let head = if generation == Generation::V2 {
                0x160
            } else {
                0x60
            };
            assert_eq!(argument[..4], u32::to_be_bytes(head));
            assert_eq!(server.data(), [data]);
        }
        // SEND has the event without its first byte and its CRC.
        let mut plain = Vec::new();
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        let event = parse("0,10,6,,,,-,1,2,3", &defaults).unwrap();
        frame::write(&event, Generation::V2, &mut plain);
        let body = plain[1..plain.len() - 2].to_vec();
        assert_eq!(client.ask(5, &body), (5, 0, vec![]));
        assert_eq!(server.data(), [1, 2, 3]);

        // What comes from the host: asked for, and as it arrives.
        server.write("0,20,4,,,,::1,9");
        server.write("0,20,4,,,,::1,10");
        wait_until("two events wait", || client.ask(9, b"").2 == [0, 0, 0, 2]);
        let (code, error, argument) = client.ask(6, b"");
        assert_eq!((code, error, argument.last()), (6, 0, Some(&9)));
        // One where three were asked for, and that there are no more.
        let (_, error, argument) = client.ask(6, &[0, 3]);
        assert_eq!((error, argument.last()), (0, Some(&10)));
        assert_eq!(client.reply(), (6, 0, vec![]));
        assert_eq!(client.ask(6, &[0, 1]).1, 19, "nothing waits");
        assert_eq!(client.ask(7, b""), (7, 0, vec![]));
        assert_eq!(client.ask(6, b"").1, 17, "RETR while events come");
        server.write("0,20,4,,,,::1,11");
        let event = client.event();
        assert_eq!((event.class, &event.data[..]), (20, &[11][..]));
        // A client may confirm; nobody answers that.
        assert_eq!(client.ask(8, b""), (8, 0, vec![]));

        // The rest of the commands.
        let (_, error, statistics) = client.ask(11, b"");
        assert_eq!((error, statistics.len()), (0, 32));
        assert_eq!(statistics[16..20], 3_u32.to_be_bytes(), "events received");
        assert_eq!(client.ask(12, b"").1, 0);
        assert_eq!(client.ask(13, b""), (13, 0, vec![0, 0, 0, 1]));
        let guid: Vec<u8> = (1..=16).collect();
        assert_eq!(client.ask(14, &guid), (14, 0, vec![]));
        assert_eq!(client.ask(15, b""), (15, 0, guid.clone()));
        assert_eq!(client.ask(14, &guid[..14]).1, 34);
        assert_eq!(client.ask(16, b"").2.len(), 10);
        let mut filter = vec![0, 0, 20, 0, 0];
        filter.extend([0; 16]);
        let mut mask = vec![0, 0xFF, 0xFF, 0, 0];
        mask.extend([0; 16]);
        assert_eq!(
            client.ask(17, &[&filter[..], &mask].concat()),
            (17, 0, vec![])
        );
        server.write("0,10,6,,,,::1,66");
        server.write("0,20,3,,,,::1,67");
        wait_until("one passes", || client.ask(9, b"").2 == [0, 0, 0, 1]);
        assert_eq!(client.ask(6, b"").2.last(), Some(&67));
        assert_eq!(client.ask(18, &[0; 21]), (18, 0, vec![]));
        assert_eq!(client.ask(10, b""), (10, 0, vec![]));
        assert_eq!(client.ask(19, b""), (19, 0, vec![0, 1]));
        let (_, error, row) = client.ask(19, &[0, 1, 0, 0]);
        assert_eq!(
            (error, &row[..4], &row[4..20]),
            (0, &[0, 1, 0, 0][..], &guid[..])
        );
        assert!(row[20..].starts_with(b"tcp/ip client 127.0.0.1"));
        assert_eq!(client.ask(19, &[0, 1, 0, 9]).1, 59);
        assert_eq!(client.ask(20, b""), (20, 0, vec![0; 4]));

        // Back to text, with the login, and to frames again.
        assert_eq!(client.ask(24, b""), (24, 0, vec![]));
        client.send(b"chid\r\n");
        assert_eq!(client.line_with("OK"), "1\r\n+OK - Success.\r\n");
        client.send(b"binary\r\n");
        assert_eq!(client.line_with("OK"), "+OK - Binary mode enabled\r\n");
        assert_eq!(client.ask(13, b""), (13, 0, vec![0, 0, 0, 1]));
        assert_eq!(client.ask(1, b""), (1, 0, vec![]));
        assert_eq!(client.frame(), None, "QUIT ends it");
        server.driver.close();
    }
}

#[test]
fn what_follows_a_change_of_mode_in_one_piece_is_read_in_the_new_mode() {
    let server = Server::start(Strength::Aes256, "");
    let mut client = Client::log_in(server.address());
    let cipher = cipher(Strength::Aes256);
    let mut all = b"BINARY\r\n".to_vec();
    all.extend(event_frame(
        "0,20,3,,,,-,5",
        Generation::V2,
        [1; 16],
        &cipher,
    ));
    write_command(24, b"", &cipher, &mut all).unwrap();
    all.extend(b"send 0,20,3,,,,-,6\r\nquit\r\n");
    client.send(&all);
    assert_eq!((server.data(), server.data()), (vec![5], vec![6]));
    server.driver.close();
}

#[test]
fn padding_that_is_not_zero_is_understood_while_events_come() {
    let server = Server::start(Strength::Aes128, "");
    let mut client = Binary::log_in(server.address(), Strength::Aes128);
    assert_eq!(client.ask(7, b""), (7, 0, vec![]));
    // GETCHID as C code pads it: with whatever was there. A block more pads it again.
    let mut plain = vec![0xE0, 0, 13];
    let crc = frame::crc(&plain[1..]);
    plain.extend(crc.to_be_bytes());
    plain.resize(17, 0x77);
    let mut sealed = Vec::new();
    client.cipher.seal_with([4; 16], &plain, &mut sealed);
    let wire = [&sealed[..17], &[4; 16]].concat();
    client.send(&wire);
    let mut events = 0_u8;
    loop {
        server.write(&format!("0,20,4,,,,::1,{events}"));
        match client.frame().unwrap() {
            Frame::Event { .. } => events += 1,
            Frame::Reply {
                code,
                error,
                argument,
                ..
            } => {
                assert_eq!((code, error, &argument[..]), (13, 0, &[0, 0, 0, 1][..]));
                break;
            }
            other => panic!("{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(events < 250, "the command was not understood");
    }
    server.driver.close();
}

#[test]
fn each_byte_changed_on_its_way_does_no_harm() {
    let server = Server::start(Strength::Aes256, "");
    let strength = Strength::Aes256;
    let cipher = cipher(strength);
    // Vectors of each attempt are its own, or it would be refused as a repetition.
    let mut number = 0_u64;
    let mut fresh = || {
        number += 1;
        let mut iv = [0x5A; 16];
        iv[..8].copy_from_slice(&number.to_be_bytes());
        iv
    };
    let length = event_frame("0,20,3,,,,-,1", Generation::V2, fresh(), &cipher).len();
    let mut harmless = 0;
    for generation in [Generation::V2, Generation::Classic] {
        for at in 0..length {
            let mut client = Binary::log_in(server.address(), strength);
            let mut changed = event_frame("0,20,3,,,,-,1", generation, fresh(), &cipher);
            changed[at] ^= 1 << (at % 8);
            client.send(&changed);
            // Whatever the server makes of it, it does not take this for an event.
            client.try_send(&event_frame("0,20,3,,,,-,2", generation, fresh(), &cipher));
            client.end();
            while let Some(frame) = client.frame() {
                match frame {
                    Frame::Reply {
                        code: 65535, error, ..
                    } => assert_ne!(error, 0, "byte {at} {generation:?} {changed:02x?}"),
                    other => panic!("byte {at}: {other:?}"),
                }
            }
            harmless += 1;
        }
    }
    assert_eq!(harmless, 2 * length);
    // The login too: nobody is logged in by it. Its second block holds nothing but padding, which
    // says nothing and may be anything.
    let mut login = Vec::new();
    write_command(2, b"admin:secret", &cipher, &mut login).unwrap();
    let padding = 17..33;
    assert_eq!(login.len(), padding.end + 16);
    for at in (0..login.len()).filter(|at| !padding.contains(at)) {
        let mut client = Binary::connect(server.address(), strength);
        let mut changed = Vec::new();
        write_command(2, b"admin:secret", &cipher, &mut changed).unwrap();
        changed[at] ^= 1 << (at % 8);
        client.send(&changed);
        client.try_send(&event_frame(
            "0,20,3,,,,-,3",
            Generation::V2,
            fresh(),
            &cipher,
        ));
        client.end();
        while let Some(frame) = client.frame() {
            match frame {
                Frame::Reply { error, .. } => assert_ne!(error, 0, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
    // The driver goes on, and the host has seen none of all that.
    let mut client = Binary::log_in(server.address(), strength);
    client.send(&event_frame(
        "0,20,3,,,,-,99",
        Generation::V2,
        fresh(),
        &cipher,
    ));
    assert_eq!(client.reply().1, 0);
    assert_eq!(server.data(), [99]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    server.driver.close();
}

#[test]
fn the_same_frame_twice_is_noticed() {
    let server = Server::start(Strength::Aes128, "");
    let strength = Strength::Aes128;
    let frame = event_frame("0,20,3,,,,-,1", Generation::V2, [9; 16], &cipher(strength));
    let mut client = Binary::log_in(server.address(), strength);
    client.send(&frame);
    assert_eq!(client.reply().1, 0);
    client.send(&frame);
    assert_eq!(client.frame(), None, "the session ends");
    // In another session as well, and a whole recorded session too.
    let mut login = Vec::new();
    write_command(2, b"admin:secret", &client.cipher, &mut login).unwrap();
    let mut client = Binary::connect(server.address(), strength);
    client.send(&login);
    assert_eq!(client.reply().1, 0);
    client.send(&frame);
    assert_eq!(client.frame(), None);
    let mut client = Binary::connect(server.address(), strength);
    client.send(&login);
    assert_eq!(client.frame(), None, "a recorded login opens nothing");
    assert_eq!(server.data(), [1]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    wait_until("it is said", || {
        server.log().matches("frame refused").count() == 3
            && server
                .log()
                .contains("its initialisation vector or its first block was there before")
    });
    server.driver.close();
}

/// Both sides have one key: what the server has said is as good a frame as any.
#[test]
fn a_frame_of_the_server_sent_back_is_noticed() {
    let strength = Strength::Aes128;
    let server = Server::start(strength, "");
    let mut client = Binary::log_in(server.address(), strength);
    let mut id = Vec::new();
    write_command(13, b"", &client.cipher, &mut id).unwrap();
    client.send(&id);
    // A reply has code, error, a number and a CRC: one block, and the vector.
    let mut reply = client.bytes(33);
    assert_eq!(reply[0], 0xF1);
    reply[0] = 0xE1;
    assert_eq!(client.ask(7, b""), (7, 0, vec![]));
    server.write("0,20,3,,,,::1,77");
    let length = event_frame("0,20,3,,,,-,77", Generation::V2, [1; 16], &client.cipher).len();
    let event = client.bytes(length);
    for frame in [&event, &reply] {
        let mut other = Binary::log_in(server.address(), strength);
        other.send(frame);
        assert_eq!(other.frame(), None, "to another session");
    }
    client.send(&event);
    assert_eq!(client.frame(), None, "to its own session");
    assert!(server.driver.read(Duration::ZERO).is_err());
    wait_until("it is said", || {
        server.log().matches("was there before").count() == 3
    });
    server.driver.close();
}

/// What kind of frame it is stands in the clear, outside of the CRC.
#[test]
fn an_event_that_is_called_a_command_is_none() {
    let strength = Strength::Aes256;
    let server = Server::start(strength, "");
    let mut iv = 0x3C_u128 << 64;
    let mut frame = |head: u16, first: u8| {
        iv += 1;
        let line = format!("{head},20,3,0,2020-02-20T20:20:20Z,5,-,1,2,3");
        let mut frame = event_frame(
            &line,
            Generation::Classic,
            iv.to_be_bytes(),
            &cipher(strength),
        );
        frame[0] = first;
        frame
    };
    // The head is where a command has its number.
    for code in 0..=25 {
        let mut client = Binary::log_in(server.address(), strength);
        client.send(&frame(code, 0xE3));
        let (answered, error, _) = client.reply();
        // Who is logged in already is told so, whatever the name or the password.
        assert_eq!(
            (answered, error == 0),
            (code, matches!(code, 2..=4)),
            "{code}"
        );
        // The session is where it was: it understands frames, and knows its user.
        assert_eq!(client.ask(13, b"").1, 0, "{code}");
    }
    for first in 0..=255 {
        let mut client = Binary::log_in(server.address(), strength);
        client.send(&frame(0, first));
        client.end();
        match (first, client.frame()) {
            (
                0x03,
                Some(Frame::Reply {
                    code: 65535,
                    error: 0,
                    ..
                }),
            ) => {}
            (0xE3, Some(Frame::Reply { code: 0, error, .. })) => assert_ne!(error, 0),
            (_, None) => {}
            (_, other) => panic!("{first:02x}: {other:?}"),
        }
    }
    assert_eq!(server.data(), [1, 2, 3]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    Client::log_in(server.address()).must("noop");
    server.driver.close();
}

/// A whole session, one byte of which somebody changes.
#[test]
fn each_byte_of_each_command_changed_does_no_harm() {
    let strength = Strength::Aes256;
    let server = Server::start(strength, "");
    let mut body = Vec::new();
    let defaults = Defaults {
        now: 1_700_000_000_000_000_000,
        obid: 0,
        guid: Guid::ZERO,
    };
    let event = parse("0,20,3,,,,-,4", &defaults).unwrap();
    frame::write(&event, Generation::V2, &mut body);
    let event = body[1..body.len() - 2].to_vec();
    let filter = [0; 21];
    let commands: [(u16, &[u8]); 10] = [
        (0, b""),
        (5, &event),
        (6, &[0, 1]),
        (7, b""),
        (8, b""),
        (13, b""),
        (14, &[7; 16]),
        (17, &filter),
        (16, b""),
        (24, b""),
    ];
    for (code, argument) in commands {
        // Code, argument and CRC; what is behind them says nothing.
        let plain = 1 + 2 + argument.len() + 2;
        let mut at = 0;
        loop {
            let mut frame = Vec::new();
            write_command(code, argument, &cipher(strength), &mut frame).unwrap();
            if at == frame.len() {
                break;
            }
            frame[at] ^= 1 << (at % 8);
            let mut client = Binary::log_in(server.address(), strength);
            client.send(&frame);
            client.end();
            // Blocks: a change in one garbles it, and the one behind it where it changed.
            let block = at.saturating_sub(1) / 16;
            let blocks = (frame.len() - 17) / 16;
            let last = block + 1 == blocks && plain <= 1 + 16 * block;
            let vector = at >= frame.len() - 16 && at - (frame.len() - 16) + 1 >= plain;
            match client.frame() {
                None => {}
                // What garbled bytes come out as is no command, or one that is refused.
                Some(Frame::Reply { error, .. }) => {
                    assert_eq!(error == 0, last || vector, "{code}, byte {at}");
                }
                Some(other) => panic!("{code}, byte {at}: {other:?}"),
            }
            at += 1;
        }
    }
    assert!(server.driver.read(Duration::ZERO).is_err());
    Client::log_in(server.address()).must("noop");
    server.driver.close();
}

/// The vector stands in the clear and is the sender's choice: whoever changes it changes the first
/// block in a way that can be foreseen.
#[test]
fn a_recorded_frame_with_another_vector_is_noticed() {
    let strength = Strength::Aes128;
    let server = Server::start(strength, "");
    let mut client = Binary::connect(server.address(), strength);
    let mut frames = Vec::new();
    for (code, argument) in [(2, "admin"), (3, "secret")] {
        let mut frame = Vec::new();
        write_command(code, argument.as_bytes(), &client.cipher, &mut frame).unwrap();
        client.send(&frame);
        assert_eq!(client.reply().1, 0);
        // The last bit of the vector is one of the padding, which says nothing.
        *frame.last_mut().unwrap() ^= 1;
        frames.push(frame);
    }
    for frame in &frames {
        let mut thief = Binary::connect(server.address(), strength);
        thief.send(frame);
        assert_eq!(thief.frame(), None, "a recorded login opens nothing");
    }
    // A difference that the CRC does not see, over the time stamp.
    let line = "0,20,3,,2020-02-20T20:20:20Z,5,-,1";
    let mut event = event_frame(line, Generation::Classic, [9; 16], &client.cipher);
    client.send(&event);
    assert_eq!(client.reply().1, 0);
    let vector = event.len() - 16;
    for (at, bits) in [(8, 0x01), (9, 0x10), (10, 0x21)] {
        event[vector + at] ^= bits;
    }
    client.send(&event);
    assert_eq!(client.frame(), None);
    assert_eq!(server.data(), [1]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    server.driver.close();
}

/// Where the CRC of a login ends in a zero the frame can be read in two ways.
#[test]
fn a_wrong_password_that_can_be_read_in_two_ways_is_refused_once() {
    let strength = Strength::Aes128;
    let server = Server::start(strength, "");
    let graphic = |text: &String| {
        let plain = [&[0, 2], text.as_bytes()].concat();
        (frame::crc(&plain) >> 8) as u8 == b'!'
    };
    let text = (0..).map(|n| format!("admin:wrong{n}")).find(graphic);
    let mut client = Binary::connect(server.address(), strength);
    assert_ne!(client.ask(2, text.unwrap().as_bytes()).1, 0);
    assert_eq!(client.frame(), None);
    assert_eq!(
        server.log().matches("login refused").count(),
        1,
        "{}",
        server.log()
    );
    server.driver.close();
}

#[test]
fn clear_text_can_be_forbidden() {
    let server = Server::start(Strength::Aes256, "\"require-encryption\": true,");
    let mut client = Client::connect(server.address());
    let needs = ["-OK - This needs an encrypted connection (BINARY or TLS)."];
    for refused in [
        "user admin",
        "pass secret",
        "send 0,20,3,,,,-,1",
        "retr",
        "info",
        "test",
    ] {
        assert_eq!(client.ask(refused), needs, "{refused}");
    }
    for allowed in ["noop", "help", "vers", "wcyd", "challenge", "+", "binary"] {
        client.must(allowed);
    }
    let mut client = Binary::log_in(server.address(), Strength::Aes256);
    client.send(&event_frame(
        "0,20,3,,,,-,1",
        Generation::V2,
        [3; 16],
        &client.cipher,
    ));
    assert_eq!(client.reply().1, 0);
    // Back in text the login stays, and what is said in clear text does not get through.
    assert_eq!(client.ask(24, b"").1, 0);
    client.send(b"send 0,20,3,,,,-,2\r\n");
    assert!(client.line_with("OK").contains("encrypted connection"));
    assert_eq!(server.data(), [1]);
    assert!(server.log().contains("command refused client=127.0.0.1:"));
    // Nor are events written in it to who has asked for them in frames.
    client.send(b"BINARY\r\n");
    client.line_with("+OK - Binary mode enabled");
    assert_eq!(client.ask(7, b"").1, 0);
    server.write("0,20,4,,,,::1,1");
    assert_eq!(client.event().data.to_vec(), [1]);
    assert_eq!(client.ask(24, b"").1, 0);
    server.write("0,20,4,,,,::1,2");
    client.send(b"noop\r\nBINARY\r\n");
    let said = client.line_with("+OK - Binary mode enabled");
    assert_eq!(said, "+OK - Success.\r\n+OK - Binary mode enabled\r\n");
    assert_eq!(client.ask(9, b""), (9, 0, vec![0, 0, 0, 1]));
    server.driver.close();
}

#[test]
fn a_wrong_login_or_another_key_ends_the_session() {
    let server = Server::start(Strength::Aes256, "");
    let mut client = Binary::connect(server.address(), Strength::Aes256);
    assert_eq!(client.ask(2, b"admin:wrong").1, 39);
    assert_eq!(client.frame(), None);
    let mut client = Binary::connect(server.address(), Strength::Aes256);
    client.command(3, b"secret");
    assert_eq!(client.reply().1, 38, "PASS before USER");
    // With another cipher, or in the clear.
    for first in [0x01, 0x00, 0x10, 0xE0, 0xE2, 0x73] {
        let mut client = Binary::log_in(server.address(), Strength::Aes256);
        client.send(&[first; 100]);
        assert_eq!(client.frame(), None, "{first:02x}");
    }
    server.driver.close();
}

#[test]
fn passwords_whose_frames_can_be_read_in_two_ways() {
    // A CRC that ends in zero looks like one byte of padding more: one password in 256.
    let place = TempDir::new().unwrap();
    let users = place.path().join("users.json");
    let crc = |password: &str| {
        let plain = [&2_u16.to_be_bytes()[..], b"me:", password.as_bytes()].concat();
        frame::crc(&plain)
    };
    let password = (0..)
        .map(|n| format!("password{n}"))
        .find(|password| crc(password) & 0xFF == 0)
        .unwrap();
    let digest = support::tools::run(Command::new("sh").args([
        "-c",
        &format!("printf %s 'me:{password}' | md5sum | cut -c1-32"),
    ]));
    let text = format!(
        "{{\"users\": [{{\"name\": \"me\", \"password\": \"{}\", \"rights\": \"admin\"}}]}}",
        digest.trim()
    );
    fs::write(&users, text).unwrap();
    let key = key_file(place.path());
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {users:?}, \
          \"encryption\": \"aes256\", \"key-file\": {key:?}, \
          \"logging\": {{\"file-enable-log\": false}}}}"
    );
    let guid = "::1".parse().unwrap();
    let driver = Driver::open(Source { config, guid }).unwrap();
    let mut client = Binary::connect(driver.addresses()[0], Strength::Aes256);
    assert_eq!(client.ask(2, format!("me:{password}").as_bytes()).1, 0);
    assert_eq!(client.ask(13, b"").1, 0);
    driver.close();
}

#[test]
fn keys_that_are_not_usable() {
    let known = "2DBB079A38985AF00EBEEFE22F9FFA0E7F72DF06EBE44563EDF4A1073CABC7D4";
    for (text, mode, why) in [
        (known, 0o600, "which is no secret"),
        ("0011", 0o600, "4 hexadecimal digits, aes256 needs 64"),
        (
            support::binary::KEY,
            0o644,
            "others can read it (mode 0644)",
        ),
        ("not hexadecimal", 0o600, "no hexadecimal digit"),
    ] {
        for required in [false, true] {
            let place = TempDir::new().unwrap();
            let key = place.path().join("key");
            fs::write(&key, text).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            let members = format!(
                "\"encryption\": \"aes256\", \"key-file\": {key:?}, \
                 \"require-encryption\": {required},"
            );
            match Server::try_start(place, &members) {
                Ok(server) if !required => {
                    let mut client = Client::log_in(server.address());
                    assert_eq!(client.ask("binary"), ["-OK - Binary mode not supported"]);
                    let log = server.log();
                    assert!(
                        log.contains(why) && log.contains("openssl rand -hex 32"),
                        "{log}"
                    );
                    assert!(!log.contains(text), "the key is in the log");
                    server.driver.close();
                }
                Err(log) if required => assert!(log.contains("require-encryption"), "{log}"),
                Ok(_) => panic!("it starts without what is required: {why}"),
                Err(log) => panic!("{log}"),
            }
        }
    }
}

#[test]
fn vscp_link_speaks_it() {
    let server = Server::start(Strength::Aes192, "\"require-encryption\": true,");
    let program = |command: &str, key: &std::path::Path| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_vscp-link"));
        program
            .args([command, "--user", "admin", "--password", "secret"])
            .args(["--cipher", "aes192", "--key-file"])
            .arg(key)
            .arg("--host")
            .arg(server.address().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        program
    };
    let key = server.place.path().join("key");
    let mut monitor = program("monitor", &key)
        .args([
            "--json", "--count", "1", "--filter", "0,20", "--mask", "0,0xFFFF",
        ])
        .spawn()
        .unwrap();
    wait_until("the monitor is there", || {
        server.log().contains("logged in client=")
    });
    let sent = program("send", &key).arg("0,20,3,,,,-,5").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&sent.stdout),
        "+OK - Success.\n",
        "{sent:?}"
    );
    assert_eq!(server.data(), [5]);
    // The filter may come after the first of these.
    wait_until("the monitor has one", || {
        server.write("0,10,6,,,,::1,1");
        server.write("0,20,4,,2020-02-20T20:20:20Z,,::1,77");
        monitor.try_wait().unwrap().is_some()
    });
    let output = monitor.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("\"class\":20") && text.contains("[77]"),
        "{text}"
    );
    // Another key.
    let other = server.place.path().join("other");
    fs::write(&other, support::binary::KEY.replace('0', "1")).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let output = program("send", &other)
        .args(["--timeout", "1", "0,20,3,,,,-,5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.is_empty());
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
    let output = program("send", &other)
        .arg("0,20,3,,,,-,5")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("others can read it"), "{words}");
    server.driver.close();
}

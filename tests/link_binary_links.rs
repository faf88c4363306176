//! What two drivers of this kind say to each other in the binary mode, through a socket.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid, Tag};
use vscpl2drv_link::wire::binary::code::{LINK, LINK_ACKNOWLEDGE, LINK_RECEIVE, LINK_SEND};
use vscpl2drv_link::wire::binary::{Frame, Strength};
use vscpl2drv_link::wire::link::numbered::Numbered;
use vscpl2drv_link::wire::link::packed::{self, Behind};

mod support;

use support::binary::{Binary, key_file};
use support::dialogue;
use support::tools::PATIENCE;

const STRENGTH: Strength = Strength::Aes192;
/// Errors, as the daemon numbers them.
const NOT_OPEN: u16 = 33;
const PARAMETER: u16 = 34;
const PERMISSION: u16 = 49;
const DEFAULTS: Defaults = Defaults {
    now: 1,
    obid: 0,
    guid: Guid::ZERO,
};

struct Server {
    driver: Driver,
    _place: TempDir,
}

impl Server {
    fn start(members: &str) -> Self {
        let place = TempDir::new().unwrap();
        let config = format!(
            "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
               \"encryption\": \"{}\", \"key-file\": {:?}, {members} \
               \"logging\": {{\"file-path\": {:?}}}}}",
            dialogue::users(),
            STRENGTH.name(),
            key_file(place.path()),
            place.path().join("log"),
        );
        let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:01:00:00:00:00";
        let guid = guid.parse().unwrap();
        Self {
            driver: Driver::open(Source { config, guid }).unwrap(),
            _place: place,
        }
    }

    fn address(&self) -> SocketAddr {
        self.driver.addresses()[0]
    }

    fn log_in(&self) -> Binary {
        Binary::log_in(self.address(), STRENGTH)
    }

    /// What the host gets next: the data of an event.
    fn data(&self) -> Vec<u8> {
        self.driver.read(PATIENCE).unwrap().data.to_vec()
    }

    fn write(&self, data: u8) {
        self.driver.write(event(data));
    }
}

fn event(data: u8) -> Event {
    parse(&format!("0,20,3,,,,::7,{data}"), &DEFAULTS).unwrap()
}

/// The error of a reply, and the words in it.
fn answer(client: &mut Binary, code: u16) -> (u16, Option<String>) {
    match client.frame() {
        Some(Frame::Reply {
            code: found,
            error,
            argument,
            maybe,
        }) => {
            assert_eq!(found, code);
            let words = packed::read_words(&argument, maybe);
            // An argument that is not there is no words.
            (error, words.filter(|_| !argument.is_empty()))
        }
        other => panic!("a reply was expected: {other:?}"),
    }
}

fn say(client: &mut Binary, code: u16, words: &str) -> (u16, Option<String>) {
    client.command(code, &packed::words(words));
    answer(client, code)
}

fn send(client: &mut Binary, number: u64, tag: u64, data: u8) -> u16 {
    let tag = Tag {
        origin: 0xCD,
        number: tag,
    };
    let argument = packed::event(number, tag, &event(data), Behind::Command);
    client.command(LINK_SEND, &argument);
    answer(client, LINK_SEND).0
}

/// The next event of the link, and how often the server has said before it that it lives.
fn receive(client: &mut Binary) -> (Numbered, usize) {
    let mut alive = 0;
    loop {
        match client.frame() {
            Some(Frame::Reply {
                code: LINK_RECEIVE,
                error: 0,
                argument,
                maybe,
            }) => match &argument[..] {
                [] => alive += 1,
                packed => {
                    let found = packed::read_event(packed, maybe, Behind::Reply, &DEFAULTS);
                    return (found.unwrap(), alive);
                }
            },
            other => panic!("an event was expected: {other:?}"),
        }
    }
}

#[test]
fn events_of_a_link_are_taken_once_and_in_turn() {
    let server = Server::start("");
    let mut client = server.log_in();
    assert_eq!(send(&mut client, 5, 1, 1), PARAMETER, "XSEND before XLINK");
    let begun = say(&mut client, LINK, "1 near 00000000000000ab 5");
    assert_eq!(begun, (0, Some("4".to_owned())));
    for (number, tag, data) in [
        (5, 1, 1),
        // Once more, one of before, and one that came another way already.
        (5, 1, 1),
        (4, 9, 9),
        (6, 1, 9),
        (7, 2, 2),
    ] {
        assert_eq!(send(&mut client, number, tag, data), 0, "{number}");
    }
    assert_eq!((server.data(), server.data()), (vec![1], vec![2]));
    // It goes on where it was, in another session.
    let mut client = server.log_in();
    let begun = say(&mut client, LINK, "1 near ab 1");
    assert_eq!(begun, (0, Some("7".to_owned())));
    assert_eq!(send(&mut client, 7, 2, 2), 0);
    assert_eq!(send(&mut client, 8, 3, 3), 0);
    assert_eq!(server.data(), [3]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    server.driver.close();
}

#[test]
fn what_waits_for_a_link_comes_until_it_is_acknowledged() {
    let server = Server::start("");
    let mut client = server.log_in();
    let (error, queue) = say(&mut client, LINK_RECEIVE, "1 near 0 0");
    let queue = queue.unwrap();
    assert_eq!((error, queue.len()), (0, 16));
    server.write(1);
    let (first, _) = receive(&mut client);
    assert_eq!(first.event.data[..], [1]);
    assert_eq!(first.event.guid, event(1).guid);
    // It says that it lives, without being asked, and other commands go on working.
    assert_eq!(client.reply(), (LINK_RECEIVE, 0, vec![]));
    assert_eq!(client.reply(), (LINK_RECEIVE, 0, vec![]));
    assert_eq!(client.ask(13, b"").1, 0, "GETCHID");
    // Another session has the same again, and this one ends.
    let mut other = server.log_in();
    let again = say(&mut other, LINK_RECEIVE, &format!("1 near {queue} 0"));
    assert_eq!(again, (0, Some(queue.clone())));
    assert_eq!(receive(&mut other).0, first);
    while let Some(frame) = client.frame() {
        let alive = matches!(&frame, Frame::Reply { code: LINK_RECEIVE, argument, .. } if argument.is_empty());
        assert!(alive, "{frame:?}");
    }
    let number = first.number.to_string();
    assert_eq!(say(&mut other, LINK_ACKNOWLEDGE, &number), (0, None));
    // As text, where the client goes back to that.
    other.command(24, b"");
    assert_eq!(answer(&mut other, 24).0, 0);
    server.write(2);
    let line = other.line_with(",20,3,");
    assert!(line.ends_with(",0x02\r\n"), "{line}");
    drop(other);
    // What was acknowledged does not come again; what was not does.
    let mut third = server.log_in();
    say(
        &mut third,
        LINK_RECEIVE,
        &format!("1 near {queue} {number}"),
    );
    let (second, _) = receive(&mut third);
    assert_eq!(
        (second.number, &second.event.data[..]),
        (first.number + 1, &[2][..])
    );
    server.driver.close();
}

#[test]
fn who_may_not_and_what_makes_no_sense_is_refused() {
    let server = Server::start("");
    let codes = [LINK, LINK_SEND, LINK_RECEIVE, LINK_ACKNOWLEDGE];
    let mut client = Binary::connect(server.address(), STRENGTH);
    for code in codes {
        assert_eq!(say(&mut client, code, "1 near ab 1").0, NOT_OPEN, "{code}");
    }
    // One who may send and receive, but is no driver.
    assert_eq!(client.ask(2, b"user:secret"), (2, 0, vec![]));
    for code in codes {
        assert_eq!(
            say(&mut client, code, "1 near ab 1").0,
            PERMISSION,
            "{code}"
        );
    }
    assert_eq!(send(&mut client, 1, 1, 1), PERMISSION);
    let mut client = server.log_in();
    for words in [
        "",
        "1",
        "2 near ab 1",
        "1 a/b ab 1",
        "1 near xy 1",
        "1 near ab",
        "1 near ab 1 more words",
        "1 near ab 1\n",
        "1 near ab 1\0",
        "1 near\nab 1",
    ] {
        for code in [LINK, LINK_RECEIVE] {
            assert_eq!(
                say(&mut client, code, words).0,
                PARAMETER,
                "{code} {words:?}"
            );
        }
    }
    for (code, argument) in [
        // No line feed, none at all, and no text.
        (LINK, &b"1 near ab 1"[..]),
        (LINK, b""),
        (LINK_RECEIVE, b"1 near ab 1\r"),
        (LINK_ACKNOWLEDGE, b"1"),
        (LINK_ACKNOWLEDGE, b"x\n"),
        (LINK_ACKNOWLEDGE, b"\xff\n"),
        // Nothing was asked for.
        (LINK_ACKNOWLEDGE, b"1\n"),
        (LINK_SEND, b""),
        (LINK_SEND, b"1 00000000000000cd.1 0,20,3,,,,::7,1\n"),
        (LINK_SEND, &[0xFF; 100]),
        (LINK_SEND, &[0; 900]),
    ] {
        client.command(code, argument);
        assert_eq!(
            answer(&mut client, code).0,
            PARAMETER,
            "{code} {argument:?}"
        );
    }
    // An event with a byte too few, one too many, and with more data than it may have.
    let tag = Tag {
        origin: 1,
        number: 1,
    };
    assert_eq!(say(&mut client, LINK, "1 near ab 1").0, 0);
    let good = packed::event(1, tag, &event(1), Behind::Command);
    let mut large = good.clone();
    let size = good.len() - 4;
    large[size..size + 2].copy_from_slice(&[0x02, 0x01]);
    for bad in [
        &good[..good.len() - 1],
        &[&good[..], &[0xFF]].concat(),
        &large,
    ] {
        client.command(LINK_SEND, bad);
        assert_eq!(answer(&mut client, LINK_SEND).0, PARAMETER, "{bad:02x?}");
    }
    client.command(LINK_SEND, &good);
    assert_eq!(answer(&mut client, LINK_SEND).0, 0);
    assert_eq!(server.data(), [1]);
    assert!(server.driver.read(Duration::ZERO).is_err());
    server.driver.close();
}

/// Events are not for everybody's eyes.
#[test]
fn a_link_that_must_be_encrypted_gets_nothing_in_clear_text() {
    let server = Server::start("\"require-encryption\": true,");
    let mut client = server.log_in();
    let (_, queue) = say(&mut client, LINK_RECEIVE, "1 near 0 0");
    client.command(24, b"");
    assert_eq!(answer(&mut client, 24).0, 0);
    server.write(1);
    sleep(Duration::from_millis(500));
    client.send(b"xrcv 1 near 0 0\r\nbinary\r\n");
    let text = client.line_with("Binary mode");
    let refused = "-OK - This needs an encrypted connection (BINARY or TLS).\r\n";
    assert_eq!(text, format!("{refused}+OK - Binary mode enabled\r\n"));
    let words = format!("1 near {} 0", queue.unwrap());
    assert_eq!(say(&mut client, LINK_RECEIVE, &words).0, 0);
    assert_eq!(receive(&mut client).0.event.data[..], [1]);
    server.driver.close();
}

//! Defects of the C++ websocket driver: logins, and what they tell.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;

use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::auth::seal;
use vscpl2drv_link::wire::ws::client as requests;

mod support;

use support::websocket::{Client, KEY, Server, users};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

#[test]
fn a_challenge_is_always_answered_and_changes_nothing() {
    let server = Server::start("", "");
    for dialect in BOTH {
        let mut client = Client::connect(server.address(), dialect);
        let sid = client.sid;
        for _ in 0..3 {
            client.challenge();
            assert_eq!(client.sid, sid);
        }
        assert!(client.try_log_in("admin", "secret"));
        for _ in 0..3 {
            client.challenge();
            assert_eq!(client.sid, sid);
        }
        client.must("OPEN");
        let mut other = Client::connect(server.address(), dialect);
        assert_ne!(other.sid, sid);
        other.must("NOOP");
    }
    server.driver.close();
}

#[test]
fn names_that_nobody_has_stay_unknown() {
    let server = Server::start("", "");
    let mut client = Client::connect(server.address(), Ws2);
    assert!(!client.try_log_in("ghost", "secret"));
    client.challenge();
    assert!(!client.try_log_in("ghost", "secret"));
    client.challenge();
    assert!(client.try_log_in("old", "secret"));
    // Nor does it make others of those who are known.
    let mut client = Client::connect(server.address(), Ws1);
    let crypto = seal(&KEY, &client.sid, "old", "secret");
    let sid: String = client
        .sid
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let answer = client.ask(&format!("C;AUTH;{sid};{crypto}"));
    assert_eq!(answer.split(';').nth(3), Some("old"), "{answer}");
    server.driver.close();
}

#[test]
fn what_the_login_tells_of_a_user_is_so() {
    let place = TempDir::new().unwrap();
    let file = users(
        &place,
        &[
            ("none", ", \"rights\": \"ws\", \"note\": \"\""),
            (
                "list",
                ", \"rights\": [\"ws\", \"send-events\"], \"note\": \"A\"",
            ),
            (
                "full",
                ", \"rights\": \"ws\", \"fullname\": \"Miss; One\", \"note\": \"AB\"",
            ),
            (
                "other",
                ", \"rights\": 2, \"full-name\": \"Two\", \"note\": \"ABC\"",
            ),
            (
                "some",
                ", \"rights\": \"ws/receive-events\", \"events\": [\"20:*\", \"*:9\", \"30:5\"]",
            ),
            (
                "some2",
                ", \"rights\": \"ws\", \"remotes\": [\"+127.0.0.1\"], \"note\": \"ÄÖ\"",
            ),
        ],
    );
    let server = Server::with_users(&file, "", "");
    const ALL: &str = "0,0,0,00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00";
    for (name, place, full, rights, events, note) in [
        ("none", 2, "", 0x2, "", ""),
        ("list", 1, "", 0x1_0002, "", "QQ=="),
        ("full", 0, "Miss_ One", 0x2, "", "QUI="),
        ("other", 3, "Two", 0x2, "", "QUJD"),
        ("some", 4, "", 0x10_0002, "0014:*/*:0009/001E:0005", ""),
        ("some2", 5, "", 0x2, "", "w4TDlg=="),
    ] {
        let mut client = Client::connect(server.address(), Ws1);
        let crypto = seal(&KEY, &client.sid, name, "secret");
        let sid: String = client
            .sid
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let answer = client.ask(&format!("C;AUTH;{sid};{crypto}"));
        let fields: Vec<&str> = answer.split(';').collect();
        assert_eq!(fields.len(), 12, "{answer}");
        assert_eq!([fields[0], fields[1], fields[3]], ["+", "AUTH1", name]);
        // The place among all, by name.
        assert_eq!(fields[2].parse(), Ok(place), "{answer}");
        assert_eq!(fields[5], full, "{answer}");
        assert_eq!(&fields[6..8], [ALL, ALL]);
        assert_eq!(
            u32::from_str_radix(fields[8], 2).unwrap(),
            rights,
            "{answer}"
        );
        assert_eq!(fields[8].len(), 32);
        // Where the user may come from is nobody's business, nor is the length of a hash.
        assert_eq!(fields[9], "");
        assert!(fields[4].chars().all(|c| c == '*') && fields[4].len() < 32);
        let mut codes: Vec<&str> = fields[10].split('/').collect();
        codes.sort_unstable();
        let mut expected: Vec<&str> = events.split('/').collect();
        expected.sort_unstable();
        assert_eq!(codes, expected);
        assert_eq!(fields[11], note, "{name}");
    }
    server.driver.close();
}

#[test]
fn a_users_filter_stays_where_the_right_to_change_it_is_missing() {
    let place = TempDir::new().unwrap();
    let filter = ", \"filter\": \"0,20,0,-\", \"mask\": \"0,0xFFFF,0,-\"";
    let file = users(
        &place,
        &[
            ("bound", &format!(", \"rights\": \"user\"{filter}")),
            ("free", &format!(", \"rights\": \"admin\"{filter}")),
        ],
    );
    let server = Server::with_users(&file, "", "");
    for dialect in BOTH {
        let all = vscpl2drv_link::event::FilterPair::default();
        let mut bound = Client::open(server.address(), dialect, "bound");
        bound.send(&requests::set_filter(dialect, &all));
        assert!(bound.text().unwrap().contains("Not allowed to do that"));
        let mut free = Client::open(server.address(), dialect, "free");
        server.write("0,30,3,,,,::1");
        server.write("0,20,3,,,,::1");
        assert_eq!(bound.event().class, 20);
        assert_eq!(free.event().class, 20);
        free.send(&requests::set_filter(dialect, &all));
        assert!(free.text().unwrap().contains('+'));
        server.write("0,30,3,,,,::1");
        assert_eq!(free.event().class, 30);
        bound.must("NOOP");
        // Another login has the user's own again.
        free.challenge();
        assert!(free.try_log_in("free", "secret"));
        free.must("OPEN");
        server.write("0,30,3,,,,::1");
        server.write("0,20,3,,,,::1");
        assert_eq!(free.event().class, 20);
    }
    server.driver.close();
}

#[test]
fn long_names_and_passwords_with_colons_log_in() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("users.json");
    let pairs = [
        ("a-name-of-more-than-sixteen-letters", "secret"),
        ("short", "a password: with colons: and blanks"),
        ("exactly", "12345678"),
        ("ümläut", "pässwörd€"),
    ];
    let all: Vec<String> = pairs
        .iter()
        .map(|(name, password)| {
            let credential = Credential::derive(name, password).unwrap();
            format!("{{\"name\": {name:?}, \"password\": \"{credential}\", \"rights\": \"admin\"}}")
        })
        .collect();
    fs::write(&file, format!("{{\"users\": [{}]}}", all.join(", "))).unwrap();
    let server = Server::with_users(&file, "", "");
    for dialect in BOTH {
        for (name, password) in pairs {
            let mut client = Client::connect(server.address(), dialect);
            assert!(client.try_log_in(name, password), "{name}");
        }
    }
    server.driver.close();
}

#[test]
fn a_refused_login_closes_the_channel() {
    let server = Server::start("", "");
    for dialect in BOTH {
        let mut client = Client::open(server.address(), dialect, "admin");
        server.write("0,20,3,,,,::1,1");
        assert_eq!(*client.event().data, [1]);
        assert!(!client.try_log_in("admin", "wrong"));
        server.write("0,20,3,,,,::1,2");
        client.must("NOOP");
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5));
        client.challenge();
        assert!(client.try_log_in("admin", "secret"));
        client.must("NOOP");
        client.must("OPEN");
        server.write("0,20,3,,,,::1,3");
        assert_eq!(*client.event().data, [3]);
    }
    server.driver.close();
}

//! Defects of the C++ websocket driver that a client or a host would meet. `docs/compatibility.md`
//! says which test shows what.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::client as requests;

mod support;

use support::client::Client as LinkClient;
use support::mosquitto::{Mosquitto, publish};
use support::raw::{Raw, request};
use support::tools::wait_until;
use support::websocket::{Client, Server, users, ws2};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

/// Clients meet without a broker.
const TOGETHER: &str = "\"interconnect\": true,";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_nanos()).unwrap()
}

#[test]
fn an_event_before_the_login_is_refused_and_the_driver_lives() {
    let server = Server::start("", "");
    for dialect in BOTH {
        for line in ["0,20,3,,,,-,1", "0,0,1,,,,-", "0,1024,1,,,,-,1"] {
            let mut client = Client::connect(server.address(), dialect);
            for _ in 0..30 {
                assert_eq!(client.send_event(line), Err(5), "{dialect:?}");
            }
            client.must("NOOP");
        }
    }
    assert!(server.driver.read(Duration::ZERO).is_err());
    server.driver.close();
}

#[test]
fn an_event_reaches_those_who_may_have_it_in_their_own_form_and_nobody_else() {
    let place = TempDir::new().unwrap();
    let file = users(
        &place,
        &[
            ("admin", ", \"rights\": \"admin\""),
            ("mute", ", \"rights\": \"ws,send-events\""),
        ],
    );
    let broker = Mosquitto::start();
    let mqtt = format!(
        "{TOGETHER} \"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {}, \
          \"subscribe\": [{{\"topic\": \"vscp/#\"}}]}},",
        broker.port()
    );
    let server = Server::with_users(&file, "", &mqtt);
    let address = server.address();
    let mut strangers = BOTH.map(|dialect| Client::connect(address, dialect));
    let mut closed = BOTH.map(|dialect| Client::log_in(address, dialect, "admin"));
    let mut mute = BOTH.map(|dialect| Client::open(address, dialect, "mute"));
    let mut filtered = BOTH.map(|dialect| {
        let mut client = Client::open(address, dialect, "admin");
        let pair = vscpl2drv_link::event::FilterPair {
            filter: "0,99,0,-".parse().unwrap(),
            mask: "0,0xFFFF,0,-".parse().unwrap(),
        };
        client.send(&requests::set_filter(dialect, &pair));
        client.text().unwrap();
        client
    });
    let mut open = BOTH.map(|dialect| Client::open(address, dialect, "admin"));
    wait_until("the broker is there", || {
        let mut raw = Raw::connect(address);
        raw.send(request(
            "GET /healthz",
            &[("Host", "x"), ("Connection", "close")],
        ));
        raw.response().status == 200
    });
    // Last of all: they are given up after a while.
    let mut plain = Raw::connect(address);
    plain.send(request("GET /rest", &[("Host", "x")]));
    assert_eq!(plain.response().status, 404);
    let mut bare = Raw::connect(address);
    // Events of both kinds of clients, and of a broker.
    for (n, dialect) in (0..).zip(BOTH) {
        let mut sender = Client::open(address, dialect, "admin");
        assert_eq!(sender.send_event(&format!("0,20,3,,,,-,{n}")), Ok(()));
        // Nothing of it comes back.
        sender.must("NOOP");
    }
    let event = "{\"vscpClass\": 20, \"vscpType\": 3, \"vscpGuid\": \"-\", \"vscpData\": [2]}";
    publish(broker.port(), "vscp/x", event);
    for client in &mut open {
        for n in 0..3 {
            let text = client.text().unwrap();
            match client.dialect {
                Ws1 => assert!(
                    text.starts_with("E;") && text.ends_with(&format!(",0x{n:02X}")),
                    "{text}"
                ),
                Ws2 => {
                    let json: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(json["type"], "EVENT", "{text}");
                    assert_eq!(json["event"]["vscpData"][0], n, "{text}");
                }
            }
        }
    }
    // Nothing stands before the next answer.
    for client in (strangers.iter_mut())
        .chain(&mut closed)
        .chain(&mut mute)
        .chain(&mut filtered)
    {
        client.must("NOOP");
    }
    plain.send(request("GET /healthz", &[("Host", "x")]));
    assert_eq!(plain.response().status, 200);
    bare.send(request("GET /healthz", &[("Host", "x")]));
    assert_eq!(bare.response().status, 200);
    for client in &mut closed {
        client.must("OPEN");
        let data: Vec<u8> = (0..3).map(|_| client.event().data[0]).collect();
        assert_eq!(data, [0, 1, 2]);
    }
    // What came before a login is not for who logs in later.
    for client in &mut strangers {
        client.challenge();
        assert!(client.try_log_in("admin", "secret"));
        client.must("OPEN");
        client.must("NOOP");
    }
    server.driver.close();
}

#[test]
fn an_event_that_may_not_be_sent_is_refused_by_name_and_hurts_nobody() {
    let place = TempDir::new().unwrap();
    let file = users(
        &place,
        &[
            ("plain", ", \"rights\": \"ws,send-events\""),
            ("low", ", \"rights\": \"ws,send-events,l1ctrl-events\""),
            (
                "high",
                ", \"rights\": \"ws,send-events,l2ctrl-events,hlo-events\"",
            ),
            (
                "listed",
                ", \"rights\": \"admin\", \"allow-events\": [\"20:3\", \"*:9\"]",
            ),
            ("reader", ", \"rights\": \"ws,receive-events\""),
        ],
    );
    let server = Server::with_users(&file, "", "");
    for dialect in BOTH {
        let refused = match dialect {
            Ws1 => Err(6),
            Ws2 => Err(7),
        };
        for (user, allowed, not) in [
            (
                "plain",
                &[20, 30, 1023, 1040][..],
                &[0, 512, 1024, 1028][..],
            ),
            ("low", &[0, 512, 20], &[1024, 1028]),
            ("high", &[1024, 1028, 20], &[0, 512]),
        ] {
            let mut client = Client::log_in(server.address(), dialect, user);
            for class in not {
                let answer = client.send_event(&format!("0,{class},1,,,,-,1"));
                assert_eq!(answer, refused, "{user} {class}");
            }
            for class in allowed {
                let answer = client.send_event(&format!("0,{class},1,,,,-,1"));
                assert_eq!(answer, Ok(()), "{user} {class}");
            }
        }
        let mut listed = Client::log_in(server.address(), dialect, "listed");
        for (class, vscp_type, answer) in [
            (20, 3, Ok(())),
            (77, 9, Ok(())),
            (20, 4, refused),
            (21, 3, refused),
        ] {
            let found = listed.send_event(&format!("0,{class},{vscp_type},,,,-,1"));
            assert_eq!(found, answer, "{class}:{vscp_type}");
        }
        let mut reader = Client::log_in(server.address(), dialect, "reader");
        assert_eq!(reader.send_event("0,20,3,,,,-,1"), Err(7));
    }
    server.driver.close();
}

#[test]
fn events_with_too_few_fields_or_too_much_data_are_refused() {
    let server = Server::start("", "");
    let mut client = Client::log_in(server.address(), Ws1, "admin");
    let whole = "0,20,3,,,,-";
    let fields: Vec<&str> = whole.split(',').collect();
    for count in 0..fields.len() {
        let message = format!("E;{}", fields[..count].join(","));
        let answer = client.ask(&message);
        assert_eq!(
            answer, "-;EVENT;8;Parse error, invalid format.",
            "{message}"
        );
    }
    assert_eq!(client.ask("E"), "-;EVENT;8;Parse error, invalid format.");
    assert_eq!(client.ask(&format!("E;{whole}")), "+;EVENT");
    assert!(server.data().is_empty());
    for count in [0, 1, 511, 512, 513, 514, 1000, 5000] {
        let data = ",1".repeat(count);
        let answer = client.ask(&format!("E;{whole}{data}"));
        let json = vec!["1"; count].join(",");
        let mut other = Client::log_in(server.address(), Ws2, "admin");
        let object = format!("{{\"vscpClass\": 20, \"vscpType\": 3, \"vscpData\": [{json}]}}");
        let second = other.ask(&format!("{{\"type\": \"EVENT\", \"event\": {object}}}"));
        if count <= 512 {
            assert_eq!(answer, "+;EVENT", "{count}");
            assert!(second.contains("\"+\""), "{second}");
            assert_eq!((server.data().len(), server.data().len()), (count, count));
        } else {
            assert_eq!(answer, "-;EVENT;8;Parse error, invalid format.", "{count}");
            assert!(second.contains("\"errcode\" : 8"), "{second}");
        }
    }
    client.must("NOOP");
    server.driver.close();
}

#[test]
fn a_bad_filter_is_refused_and_nobody_waits_for_it() {
    let server = Server::start("", TOGETHER);
    let mut one = Client::open(server.address(), Ws1, "admin");
    let mut two = Client::open(server.address(), Ws2, "admin");
    for _ in 0..3 {
        for bad in [
            "C;SF;0,20,3,ZZ;0,0,0,-",
            "C;SF;0,0,0,-;0,0,0,ZZ:00",
            "C;SF;0,0",
            "C;SF;a;b",
        ] {
            assert_eq!(one.ask(bad), "-;SF;1;Syntax error.", "{bad}");
        }
        for bad in [
            "{\"filter_guid\": \"ZZ\"}",
            "{\"mask_guid\": 5}",
            "{\"filter_class\": \"x\"}",
            "{\"filter_class\": 65536}",
            "{\"mask_type\": -1}",
            "{\"mask_priority\": 8}",
            "{\"filter_class\": 7, \"mask_clas\": 7}",
        ] {
            let answer = two.ask(&ws2("SETFILTER", &format!(", \"args\": {bad}")));
            assert!(answer.contains("\"command\" : \"SETFILTER\""), "{answer}");
            assert!(answer.contains("\"errcode\" : 1,"), "{bad}: {answer}");
        }
        // Filter, queue and connections as before.
        server.write("0,20,3,,,,::1,7");
        for client in [&mut one, &mut two] {
            assert_eq!(*client.event().data, [7]);
            client.must("CLRQ");
        }
        one = Client::open(server.address(), Ws1, "admin");
        two = Client::open(server.address(), Ws2, "admin");
    }
    server.driver.close();
}

#[test]
fn filters_of_numbers_alone_and_of_some_of_them_count() {
    let server = Server::start("", "");
    let mut client = Client::open(server.address(), Ws2, "admin");
    let set = |client: &mut Client, args: &str| {
        let answer = client.ask(&ws2("SF", &format!(", \"args\": {args}")));
        assert!(answer.contains("\"+\""), "{args}: {answer}");
    };
    let types = |client: &mut Client| {
        for (class, vscp_type) in [(20, 3), (20, 4), (30, 3), (30, 4)] {
            server.write(&format!("0,{class},{vscp_type},,,,::1"));
        }
        server.write("0,99,99,,,,::1");
        let mut found = Vec::new();
        loop {
            let event = client.event();
            if event.class == 99 {
                break found;
            }
            found.push((event.class, event.vscp_type));
        }
    };
    set(&mut client, "{\"mask_class\": 1, \"filter_class\": 0}");
    let answer = client.ask(&ws2("SF", ", \"args\": {\"mask_class\": 0}"));
    assert!(answer.contains("\"+\""), "{answer}");
    assert_eq!(types(&mut client).len(), 4);
    // 99 passes as well: bit 6 or an odd type.
    set(&mut client, "{\"mask_type\": 1, \"filter_type\": 1}");
    assert_eq!(types(&mut client), [(20, 3), (30, 3)]);
    // What is not said stays.
    set(&mut client, "{\"mask_priority\": 0}");
    assert_eq!(types(&mut client), [(20, 3), (30, 3)]);
    set(
        &mut client,
        "{\"mask_type\": 0, \"mask_class\": 10, \"filter_class\": 2}",
    );
    // 30 and 99 have bit 1 and not, or have, bit 3.
    assert_eq!(types(&mut client), []);
    server.driver.close();
}

#[test]
fn every_message_of_ws2_that_asks_for_something_is_answered_once_and_by_its_name() {
    let server = Server::start("", "");
    let mut client = Client::log_in(server.address(), Ws2, "admin");
    for (message, command, code) in [
        (ws2("BOGUS", ""), "BOGUS", 2),
        (ws2("NOOPX", ", \"args\": null"), "NOOPX", 2),
        (ws2("", ""), "", 2),
        (ws2("noop", ", \"args\": \"text\""), "NOOP", 8),
        (ws2("OPEN", ", \"args\": [\"text\"]"), "OPEN", 8),
        (ws2("CLRQ", ", \"args\": 5"), "CLRQ", 8),
        (ws2("SF", ", \"args\": \"text\""), "SF", 8),
        (ws2("SETFILTER", ", \"args\": [1]"), "SETFILTER", 8),
        ("{\"type\": \"CMD\"}".to_owned(), "EVENT", 9),
        ("{\"type\": \"CMD\", \"command\": 5}".to_owned(), "EVENT", 9),
        ("{\"type\": \"WHAT\"}".to_owned(), "EVENT", 9),
        ("{\"type\": 5}".to_owned(), "EVENT", 9),
        ("{}".to_owned(), "EVENT", 9),
        ("[]".to_owned(), "EVENT", 9),
        ("\"x\"".to_owned(), "EVENT", 9),
        (
            "{\"type\": \"CMD\", \"command\": \"NOOP\"".to_owned(),
            "EVENT",
            9,
        ),
        ("{\"type\": \"EVENT\"}".to_owned(), "EVENT", 8),
        (
            "{\"type\": \"E\", \"event\": {\"vscpData\": [\"x\"]}}".to_owned(),
            "EVENT",
            8,
        ),
    ] {
        let answer = client.ask(&message);
        let json: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(json["type"], "-", "{message}: {answer}");
        assert_eq!(json["command"], command, "{message}: {answer}");
        assert_eq!(json["errcode"], code, "{message}: {answer}");
    }
    for word in [
        "NOOP",
        "noop",
        "VER",
        "VERSION",
        "COPYRIGHT",
        "CHALLENGE",
        "CLRQUEUE",
        "CLRQ",
    ] {
        for args in ["", ", \"args\": null", ", \"args\": {}", ", \"args\": []"] {
            let json: Value = serde_json::from_str(&client.ask(&ws2(word, args))).unwrap();
            assert_eq!(json["type"], "+", "{word}{args}");
            assert_eq!(json["command"], word.to_uppercase(), "{word}{args}");
        }
    }
    server.driver.close();
}

#[test]
fn what_a_client_called_a_command_is_still_json_in_the_answer() {
    let server = Server::start("", "");
    let mut client = Client::connect(server.address(), Ws2);
    for word in [
        "A\"B",
        "A\\B",
        "A\nB",
        "\"}{\"",
        "\u{1}\u{7F}",
        "Ä€😀",
        "</script>",
    ] {
        let message = serde_json::json!({"type": "CMD", "command": word});
        let answer = client.ask(&message.to_string());
        let json: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{answer}: {e}"));
        assert_eq!(json["command"], word.trim().to_ascii_uppercase());
        assert_eq!(json["errcode"], 2);
    }
    // In ws1 it ends no field and no message.
    let mut client = Client::connect(server.address(), Ws1);
    assert_eq!(client.ask("C;a\nb"), "-;AB;2;Unknown command.");
    server.driver.close();
}

#[test]
fn a_queue_of_many_events_is_emptied_at_once() {
    let server = Server::start("", "");
    for dialect in BOTH {
        let mut client = Client::log_in(server.address(), dialect, "admin");
        for round in 0..3_u8 {
            for n in 0..5000 {
                server.write(&format!("0,20,{n},,,,::1"));
            }
            client.must("CLRQ");
            client.must("OPEN");
            client.must("NOOP");
            server.write(&format!("0,20,3,,,,::1,{round}"));
            assert_eq!(*client.event().data, [round]);
            client.must("CLOSE");
        }
    }
    server.driver.close();
}

#[test]
fn times_are_those_of_the_event_or_of_the_clock() {
    let server = Server::start("", TOGETHER);
    let mut readers = BOTH.map(|dialect| Client::open(server.address(), dialect, "admin"));
    for dialect in BOTH {
        let mut client = Client::log_in(server.address(), dialect, "admin");
        for date in [
            "2020-01-27T01:02:03Z",
            "2020-12-31T23:59:59Z",
            "2024-02-29T00:00:00Z",
            "1999-11-30T12:00:00Z",
        ] {
            let line = format!("0,20,3,,{date},123456,-,1");
            assert_eq!(client.send_event(&line), Ok(()));
            for reader in &mut readers {
                let text = reader.text().unwrap();
                assert!(text.contains(date) && text.contains("123456"), "{text}");
            }
            server.data();
        }
        // Without a time: the clock's, in nanoseconds since 1970.
        for message in match dialect {
            Ws1 => ["E;0,20,3,0,,,-,1", "E;0,20,3,0,0,0,-,1"],
            Ws2 => [
                "{\"type\": \"EVENT\", \"event\": {\"vscpClass\": 20, \"vscpType\": 3}}",
                "{\"type\": \"E\", \"event\": {\"class\": 20, \"type\": 3, \"datetime\": \"\"}}",
            ],
        } {
            let before = now();
            let answer = client.ask(message);
            let after = now();
            assert!(answer.contains('+'), "{message}: {answer}");
            let event = server.driver.read(support::tools::PATIENCE).unwrap();
            let time = event.time.nanos();
            assert!((before..=after).contains(&time), "{before} {time} {after}");
            for reader in &mut readers {
                let event = reader.event();
                assert_eq!(event.time.micros(), (time / 1000 % 1_000_000) as u32);
            }
        }
    }
    server.driver.close();
}

#[test]
fn nothing_waits_a_tenth_of_a_second_for_its_turn() {
    let server = Server::start("", "");
    let mut link = LinkClient::log_in(server.link());
    let timed = |step: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        step();
        start.elapsed()
    };
    for dialect in BOTH {
        let mut client = Client::open(server.address(), dialect, "admin");
        let (mut asked, mut sent, mut compared) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..300_u16 {
            compared.push(timed(&mut || drop(link.must("noop"))));
            asked.push(timed(&mut || client.must("NOOP")));
            sent.push(timed(&mut || {
                server.write(&format!("0,20,{n},,,,::1"));
                assert_eq!(client.event().vscp_type, n);
            }));
        }
        // Whatever else the machine does, it does to all of them.
        let [compared, asked, sent] = [compared, asked, sent].map(|mut all| {
            all.sort_unstable();
            all[all.len() / 2]
        });
        let most = compared * 10 + Duration::from_millis(50);
        assert!(
            asked < most && sent < most,
            "{compared:?}, {asked:?}, {sent:?}"
        );
    }
    server.driver.close();
}

#[test]
fn an_event_that_a_filter_keeps_back_is_no_line_of_the_log() {
    let server = Server::start("", "");
    let mut clients = BOTH.map(|dialect| {
        let mut client = Client::open(server.address(), dialect, "admin");
        let pair = vscpl2drv_link::event::FilterPair {
            filter: "0,20,3,-".parse().unwrap(),
            mask: "0,0xFFFF,0xFFFF,-".parse().unwrap(),
        };
        client.send(&requests::set_filter(dialect, &pair));
        client.text().unwrap();
        client
    });
    server.logged("logged in", 2);
    let before = server.log();
    for n in 0..1000 {
        server.write(&format!("0,21,{n},,,,::1"));
    }
    server.write("0,20,3,,,,::1,7");
    for client in &mut clients {
        assert_eq!(*client.event().data, [7]);
    }
    drop(clients);
    server.logged("logged out", 2);
    let log = server.log();
    let more: Vec<&str> = log[before.len()..].lines().collect();
    assert!(more.len() < 10, "{more:?}");
    server.driver.close();
}

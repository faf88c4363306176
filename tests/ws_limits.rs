//! Limits of the websocket server: clients, queues, deadlines, logins; and what of it changes while
//! it runs.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;
use vscpl2drv_link::event::text::parse;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::auth::seal;
use vscpl2drv_link::wire::ws::client::{self as requests, Said};

mod support;

use support::client::Client as LinkClient;
use support::raw::{Came, Raw, request};
use support::tools::wait_until;
use support::websocket::{Client, DEFAULTS, KEY, Server, is_in, users};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

#[test]
fn one_client_too_many_is_told_and_its_place_is_given_again() {
    for most in [1, 3] {
        let server = Server::start(&format!(", \"max-clients\": {most}"), "");
        for round in 1..=3 {
            let mut clients = Vec::new();
            // The places of the round before become free somewhat later.
            wait_until("all places are taken", || {
                clients.extend(Client::try_connect(server.address(), Ws1));
                clients.len() == most
            });
            for client in &mut clients {
                assert!(client.try_log_in("admin", "secret"));
            }
            let mut refused = Raw::connect(server.address());
            // It is told before it says anything.
            let response = refused.response();
            assert_eq!(response.status, 503);
            assert_eq!(response.text(), "too many clients\n");
            assert_eq!(response.header("connection"), Some("close"));
            assert_eq!(refused.rest(), b"");
            let words = format!("websocket client refused: max-clients ({most}) are connected");
            server.logged(&words, round);
            clients.iter_mut().for_each(|client| client.must("NOOP"));
            // The link has places of its own.
            LinkClient::log_in(server.link()).must("noop");
        }
        server.driver.close();
    }
}

#[test]
fn who_only_speaks_http_has_a_place_as_well_and_gives_it_back() {
    let server = Server::start(", \"max-clients\": 1", "");
    let mut first = Raw::connect(server.address());
    first.send(request("GET /healthz", &[("Host", "x")]));
    assert_eq!(first.response().status, 200);
    assert_eq!(Raw::connect(server.address()).response().status, 503);
    drop(first);
    wait_until("the place is free", || {
        let mut raw = Raw::connect(server.address());
        raw.send(request(
            "GET /healthz",
            &[("Host", "x"), ("Connection", "close")],
        ));
        let status = raw.response().status;
        // It keeps its place until it has read the end.
        raw.rest_or_reset();
        status == 200
    });
    server.driver.close();
}

#[test]
fn a_closed_channel_keeps_the_first_events_and_counts_the_others() {
    let server = Server::start(", \"max-client-queue-size\": 10", "");
    for dialect in BOTH {
        let mut closed = Client::log_in(server.address(), dialect, "admin");
        let mut open = Client::open(server.address(), dialect, "admin");
        for n in 0..50_u8 {
            server.write(&format!("0,20,{n},,,,::1,{n}"));
            // The one that reads has them all.
            assert_eq!(*open.event().data, [n]);
        }
        closed.must("OPEN");
        for n in 0..10 {
            assert_eq!(*closed.event().data, [n], "{dialect:?}");
        }
        // Nothing of the rest, and the next one comes.
        closed.must("NOOP");
        server.write("0,20,3,,,,::1,99");
        assert_eq!(*closed.event().data, [99]);
        assert_eq!(*open.event().data, [99]);
        // What is kept can be thrown away, and what came while it was closed stays closed.
        closed.must("CLOSE");
        server.write("0,20,3,,,,::1,100");
        assert_eq!(*open.event().data, [100]);
        closed.must("CLRQ");
        closed.must("OPEN");
        closed.must("NOOP");
    }
    server.logged("logged out", 4);
    server.logged("overruns=40", 2);
    let log = server.log();
    assert_eq!(log.matches("events to it are dropped").count(), 2, "{log}");
    assert_eq!(log.matches("overruns=0").count(), 2, "{log}");
    server.driver.close();
}

#[test]
fn who_does_not_log_in_is_disconnected() {
    let server = Server::start("", "\"login-timeout\": 1,");
    let mut logged_in = Client::log_in(server.address(), Ws1, "admin");
    for path in ["/ws1", "/ws2"] {
        let mut silent = Raw::opened(server.address(), path);
        assert!(matches!(silent.came(), Came::Text(_)));
        assert!(matches!(silent.came(), Came::Close(Some(1008), _)));
    }
    // Whatever it says meanwhile.
    let mut busy = Raw::ws1(server.address());
    let frame = support::raw::frame(support::raw::TEXT, b"C;NOOP");
    let mut end = None;
    while end.is_none() {
        if !busy.try_send(&frame) {
            break;
        }
        match busy.came() {
            Came::Text(text) => assert_eq!(text, "+;NOOP"),
            other => end = Some(other),
        }
    }
    assert!(
        matches!(end, None | Some(Came::Close(Some(1008), _) | Came::Reset)),
        "{end:?}"
    );
    // And in the middle of a message.
    let mut half = Raw::ws1(server.address());
    half.send(&frame[..frame.len() - 1]);
    assert!(matches!(half.came(), Came::Close(Some(1008), _)));
    // Who is logged in stays.
    logged_in.must("NOOP");
    server.driver.close();
}

#[test]
fn who_does_not_read_is_disconnected_and_hurts_nobody() {
    let server = Server::start("", "\"response-timeout\": 1000,");
    let stuck = Client::open(server.address(), Ws1, "admin");
    let mut reads = Client::open(server.address(), Ws2, "admin");
    let data = ["255"; 512].join(",");
    let mut sent = 0_u32;
    // Until the kernel takes no more for it, and somewhat beyond.
    while !server
        .log()
        .contains("did not read for 1s and is disconnected")
    {
        for _ in 0..100 {
            server.write(&format!("0,1024,{},,,,::1,{data}", sent % 60_000));
            sent += 1;
        }
        for n in sent - 100..sent {
            assert_eq!(u32::from(reads.event().vscp_type), n % 60_000);
        }
        assert!(sent < 1_000_000, "{}", server.log());
    }
    reads.must("NOOP");
    Client::open(server.address(), Ws1, "admin").must("NOOP");
    drop(stuck);
    server.driver.close();
}

#[test]
fn who_asks_and_does_not_read_is_disconnected_and_hurts_nobody() {
    // Before the login too: its deadline is one for reading as well.
    let server = Server::start("", "\"response-timeout\": 1000, \"login-timeout\": 2,");
    let word = "X".repeat(20_000);
    let frame = support::raw::frame(support::raw::TEXT, format!("C;{word}").as_bytes());
    let mut stranger = Raw::ws1(server.address());
    while stranger.try_send(&frame) {}
    let mut admin = Client::log_in(server.address(), Ws1, "admin");
    admin.must("NOOP");
    server.driver.close();
}

#[test]
fn a_user_has_no_more_sessions_than_are_allowed() {
    let place = TempDir::new().unwrap();
    let file = users(
        &place,
        &[
            ("two", ", \"rights\": \"admin\", \"max-sessions\": 2"),
            ("any", ", \"rights\": \"admin\""),
        ],
    );
    let server = Server::with_users(&file, "", "");
    let one = Client::log_in(server.address(), Ws1, "two");
    // Those of the link count too.
    let mut link = LinkClient::connect(server.link()).logged_in("two");
    for dialect in BOTH {
        let mut third = Client::connect(server.address(), dialect);
        // However often: the password is right.
        for _ in 0..5 {
            let auth = requests::auth(dialect, &KEY, &third.sid, "two", "secret");
            third.send(&auth);
            let said = third.said();
            assert!(matches!(said, Said::Refused { code: 10, .. }), "{said:?}");
            third.challenge();
        }
        assert_eq!(third.send_event("0,20,3,,,,-,1"), Err(5));
        assert!(third.try_log_in("any", "secret"));
        // Where somebody was logged in before, nobody is.
        third.challenge();
        third.send(&requests::auth(dialect, &KEY, &third.sid, "two", "secret"));
        assert!(matches!(third.said(), Said::Refused { code: 10, .. }));
        assert_eq!(third.send_event("0,20,3,,,,-,1"), Err(5));
    }
    link.must("noop");
    drop(one);
    wait_until("the place is free", || {
        let mut client = Client::connect(server.address(), Ws2);
        client.send(&requests::auth(Ws2, &KEY, &client.sid, "two", "secret"));
        matches!(client.said(), Said::Done { .. })
    });
    // To log in anew takes no second place.
    let mut again = Client::log_in(server.address(), Ws1, "any");
    for _ in 0..3 {
        again.challenge();
        assert!(again.try_log_in("any", "secret"));
    }
    server.driver.close();
}

#[test]
fn remotes_count_for_websockets() {
    let place = TempDir::new().unwrap();
    let file = users(
        &place,
        &[
            ("anywhere", ", \"rights\": \"admin\""),
            (
                "here",
                ", \"rights\": \"admin\", \"remotes\": [\"+127.0.0.0/8\"]",
            ),
            (
                "only",
                ", \"rights\": \"admin\", \"remotes\": [\"-0.0.0.0/0\", \"+127.0.0.1\"]",
            ),
            (
                "six",
                ", \"rights\": \"admin\", \"remotes\": [\"+fe80::/64\", \"+::1\"]",
            ),
            (
                "elsewhere",
                ", \"rights\": \"admin\", \"remotes\": [\"+10.0.0.0/8\"]",
            ),
            (
                "not-here",
                ", \"rights\": \"admin\", \"remotes\": [\"-127.0.0.0/8\"]",
            ),
            (
                "nobody",
                ", \"rights\": \"admin\", \"remotes\": [\"-0.0.0.0/0\"]",
            ),
        ],
    );
    let server = Server::with_users(&file, "", "");
    for dialect in BOTH {
        for (name, admitted) in [
            ("anywhere", true),
            ("here", true),
            ("only", true),
            ("six", false),
            ("elsewhere", false),
            ("not-here", false),
            ("nobody", false),
        ] {
            let mut client = Client::connect(server.address(), dialect);
            assert_eq!(client.try_log_in(name, "secret"), admitted, "{name}");
        }
    }
    server.driver.close();
    // The list of the driver's file counts for all users.
    let server = Server::start("", "\"remotes\": [\"+10.0.0.0/8\"],");
    let mut client = Client::connect(server.address(), Ws1);
    assert!(!client.try_log_in("admin", "secret"));
    server.driver.close();
}

#[test]
fn with_require_encryption_nobody_logs_in_in_clear_text() {
    let server = Server::start(
        "",
        "\"encryption\": \"aes128\", \"require-encryption\": true,",
    );
    for dialect in BOTH {
        let mut client = Client::connect(server.address(), dialect);
        for _ in 0..2 {
            client.challenge();
            assert!(!client.try_log_in("admin", "secret"));
            client.must("NOOP");
        }
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5));
    }
    server.logged("clear text is not allowed here (require-encryption)", 4);
    server.logged("nobody can log in at ws://", 1);
    server.driver.close();
}

/// AUTH of ws2 with this vector.
fn auth(iv: &[u8; 16], user: &str, password: &str) -> String {
    requests::auth(Ws2, &KEY, iv, user, password)
}

#[test]
fn a_vector_of_the_clients_own_counts_once_and_only_where_it_may() {
    let server = Server::start("", "");
    let mut client = Client::connect(server.address(), Ws2);
    assert!(!is_in(&client.ask(&auth(&[7; 16], "admin", "secret"))));
    server.driver.close();

    let server = Server::start(", \"allow-foreign-iv\": true", "");
    let mut first = Client::connect(server.address(), Ws2);
    let captured = auth(&[7; 16], "admin", "secret");
    assert!(is_in(&first.ask(&captured)));
    first.must("OPEN");
    // The same again, here, elsewhere, and after the first has gone.
    assert!(!is_in(&first.ask(&captured)));
    let mut second = Client::connect(server.address(), Ws2);
    assert!(!is_in(&second.ask(&captured)));
    drop(first);
    let mut third = Client::connect(server.address(), Ws2);
    assert!(!is_in(&third.ask(&captured)));
    // In whichever letters.
    let crypto = seal(&KEY, &[7; 16], "admin", "secret").to_lowercase();
    let args = format!(
        "{{\"iv\": \"{}\", \"crypto\": \"{crypto}\"}}",
        "07".repeat(16)
    );
    let lower = format!("{{\"type\": \"CMD\", \"command\": \"AUTH\", \"args\": {args}}}");
    assert!(!is_in(&third.ask(&lower)));
    // The session's own goes on counting, and another one too.
    let mut own = Client::connect(server.address(), Ws2);
    assert!(own.try_log_in("admin", "secret"));
    let mut other = Client::connect(server.address(), Ws2);
    assert!(is_in(&other.ask(&auth(&[8; 16], "admin", "secret"))));
    server.logged(
        "the vector or the first block of this login was there before",
        4,
    );
    // ws1 never had it.
    let mut ws1 = Client::connect(server.address(), Ws1);
    let crypto = seal(&KEY, &[9; 16], "admin", "secret");
    let answer = ws1.ask(&format!("C;AUTH;{};{crypto}", "09".repeat(16)));
    assert_eq!(answer, "-;AUTH;1;Syntax error.");
    server.driver.close();
}

#[test]
fn a_login_that_somebody_saw_is_no_login_elsewhere() {
    let server = Server::start(", \"allow-foreign-iv\": true", "");
    // With the session's own id as the vector, as most clients do it.
    for dialect in BOTH {
        let mut first = Client::connect(server.address(), dialect);
        let captured = auth(&first.sid, "admin", "secret");
        assert!(first.try_log_in("admin", "secret"));
        let mut second = Client::connect(server.address(), Ws2);
        assert!(!is_in(&second.ask(&captured)), "{dialect:?}");
    }
    server.driver.close();
}

/// The vector stands in the clear: whoever changes it changes the first block, here in the zeros
/// behind the password.
#[test]
fn a_login_that_somebody_saw_with_another_vector_is_none() {
    let server = Server::start(", \"allow-foreign-iv\": true", "");
    for dialect in BOTH {
        let mut first = Client::connect(server.address(), dialect);
        let mut iv = first.sid;
        let captured = auth(&iv, "admin", "secret");
        assert!(first.try_log_in("admin", "secret"));
        let before: String = iv.iter().map(|byte| format!("{byte:02X}")).collect();
        iv[15] ^= 1;
        let after: String = iv.iter().map(|byte| format!("{byte:02X}")).collect();
        let changed = captured.replace(&before, &after);
        assert_ne!(changed, captured);
        let mut second = Client::connect(server.address(), Ws2);
        assert!(!is_in(&second.ask(&changed)), "{dialect:?}");
    }
    server.driver.close();
}

#[test]
fn who_logs_in_again_keeps_what_waits() {
    let server = Server::start("", "");
    for dialect in BOTH {
        let mut client = Client::open(server.address(), dialect, "admin");
        client.must("CLOSE");
        server.write("0,20,3,,2020-02-20T20:20:20Z,1,::1,7");
        assert!(client.try_log_in("admin", "secret"));
        client.must("OPEN");
        assert_eq!(client.event().data.to_vec(), [7]);
    }
    server.driver.close();
}

/// Whatever is wrong with it: it cannot be read, or something is missing.
#[test]
fn who_is_told_that_a_login_was_refused_is_not_logged_in() {
    let ws2 = |args: &str| format!("{{\"type\": \"CMD\", \"command\": \"AUTH\"{args}}}");
    for (dialect, code, wrong) in [
        (Ws1, 1, "C;AUTH".to_owned()),
        (Ws1, 1, "C;AUTH;SID".to_owned()),
        (Ws1, 1, "C;AUTH;SID;CRYPTO;x".to_owned()),
        (Ws1, 1, "C;AUTH;SID;CRYPTO0".to_owned()),
        (Ws1, 1, "C;AUTH;SID;xCRYPTO".to_owned()),
        (Ws1, 1, "C;AUTH;0SID;CRYPTO".to_owned()),
        (Ws2, 5, ws2("")),
        (Ws2, 5, ws2(", \"args\": {}")),
        (Ws2, 5, ws2(", \"args\": null")),
        (Ws2, 5, ws2(", \"args\": {\"iv\": \"\", \"crypto\": \"\"}")),
        (Ws2, 5, ws2(", \"args\": {\"iv\": \"SID\"}")),
        (
            Ws2,
            8,
            ws2(", \"args\": {\"iv\": \"SID\", \"crypto\": \"CRYPTO0\"}"),
        ),
        (
            Ws2,
            8,
            ws2(", \"args\": {\"iv\": \"SID\", \"crypto\": \"xCRYPTO\"}"),
        ),
        (Ws2, 8, ws2(", \"args\": {\"iv\": \"SID\", \"crypto\": 5}")),
        (Ws2, 8, ws2(", \"args\": [\"SID\", \"CRYPTO\"]")),
        (Ws2, 8, ws2(", \"args\": [5]")),
        (Ws2, 8, ws2(", \"args\": \"SID\"")),
    ] {
        // Each with an address that has guessed nothing yet.
        let server = Server::start("", "");
        let mut client = Client::connect(server.address(), dialect);
        let refused = |client: &mut Client| {
            let sid = client.sid;
            let digits: String = sid.iter().map(|byte| format!("{byte:02X}")).collect();
            let crypto = seal(&KEY, &sid, "admin", "secret");
            client.send(&wrong.replace("SID", &digits).replace("CRYPTO", &crypto));
            match client.said() {
                Said::Refused { code: found, .. } => assert_eq!(found, code, "{wrong}"),
                said => panic!("{wrong}: {said:?}"),
            }
        };
        // A stranger's as well as that of somebody who was in.
        for open in [false, true] {
            if open {
                client.must("OPEN");
            }
            refused(&mut client);
            assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5), "after {wrong}");
            server.write("0,20,3,,,,::1,1");
            let before = client.sid;
            client.challenge();
            assert_ne!(client.sid, before, "after {wrong}");
            assert!(client.try_log_in("admin", "secret"), "after {wrong}");
        }
        refused(&mut client);
        assert_eq!(client.text(), None, "the third is the last: {wrong}");
        server.logged("login refused client=127.0.0.1:", 3);
        server.driver.close();
    }
}

#[test]
fn a_login_with_another_vector_is_a_wrong_one() {
    for dialect in BOTH {
        let server = Server::start("", "");
        let other = requests::auth(dialect, &KEY, &[9; 16], "admin", "secret");
        let code = match dialect {
            Ws1 => 1,
            Ws2 => 5,
        };
        let refused = |client: &mut Client| {
            client.send(&other);
            match client.said() {
                Said::Refused { code: found, .. } => assert_eq!(found, code, "{dialect:?}"),
                said => panic!("{said:?}"),
            }
        };
        let mut client = Client::connect(server.address(), dialect);
        // A stranger's as well as that of somebody who was in.
        for open in [false, true] {
            if open {
                client.must("OPEN");
            }
            refused(&mut client);
            assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5), "{dialect:?}");
            let before = client.sid;
            client.challenge();
            assert_ne!(client.sid, before, "{dialect:?} {open}");
            assert!(client.try_log_in("admin", "secret"));
        }
        // As a wrong password is, so that whoever watches the log for guesses sees them.
        server.logged("reason=it is not encrypted for this session", 2);
        // One more is too many.
        refused(&mut client);
        assert_eq!(client.text(), None, "{dialect:?}");
        // However they come: after the first one the others have the vector of before.
        let mut client = Client::connect(server.address(), dialect);
        let guess = requests::auth(dialect, &KEY, &client.sid, "admin", "wrong");
        for _ in 0..8 {
            client.socket.write(Message::from(guess.as_str())).unwrap();
        }
        client.socket.flush().unwrap();
        let answers: Vec<String> = std::iter::from_fn(|| client.text()).collect();
        assert_eq!(answers.len(), 3, "{answers:?}");
        server.driver.close();
    }
}

#[test]
fn what_rx_filter_keeps_back_reaches_nobody_and_is_answered_as_if_it_did() {
    let server = Server::start(
        ", \"rx-filter\": \"0,20,0,-;0,0xFFFF,0,-\"",
        "\"interconnect\": true,",
    );
    let mut others = BOTH.map(|dialect| Client::open(server.address(), dialect, "admin"));
    let mut link = LinkClient::log_in(server.link());
    let reaches_others = |others: &mut [Client], byte| {
        assert_eq!(server.data(), [byte]);
        for other in others {
            assert_eq!(*other.event().data, [byte]);
        }
    };
    for dialect in BOTH {
        let mut sender = Client::log_in(server.address(), dialect, "admin");
        let mut event = |class, byte| {
            let line = format!("0,{class},3,,,,-,{byte}");
            sender.ask(&requests::event(dialect, &parse(&line, &DEFAULTS).unwrap()))
        };
        let answers = [event(30, 1), event(20, 2), event(30, 3), event(20, 4)];
        let taken = match dialect {
            Ws1 => "+;EVENT",
            Ws2 => "{ \"type\" : \"+\",  \"command\" : \"EVENT\",  \"args\" : null}",
        };
        assert_eq!(answers, [taken; 4]);
        reaches_others(&mut others, 2);
        reaches_others(&mut others, 4);
    }
    // It is about websocket clients: the link has filters of its own, and so has the host.
    link.must("clra");
    link.must("send 0,30,3,,,,-,5");
    reaches_others(&mut others, 5);
    server.write("0,30,3,,,,::1,6");
    for other in &mut others {
        assert_eq!(*other.event().data, [6]);
        other.must("NOOP");
    }
    assert!(link.must("retr 1")[0].ends_with(",0x06"));
    assert_eq!(link.must("cdta")[0], "0");
    assert!(server.driver.read(std::time::Duration::ZERO).is_err());
    server.driver.close();
}

#[test]
fn wrong_logins_by_websocket_slow_down_the_link() {
    let server = Server::start("", "");
    let mut guesser = Client::connect(server.address(), Ws2);
    for user in ["admin", "user", "sender"] {
        guesser.challenge();
        assert!(!guesser.try_log_in(user, "wrong"));
    }
    // The fourth failure of this address waits for a second, as whoever it is.
    let mut link = LinkClient::connect(server.link());
    link.must("user reader");
    let start = std::time::Instant::now();
    let answer = link.ask("pass wrong");
    assert_eq!(answer, ["-OK - Invalid username or password."]);
    assert!(start.elapsed().as_millis() >= 1000, "{:?}", start.elapsed());
    server.driver.close();
}

//! What the websocket server shares with the rest of the driver: room for events, counters, health,
//! and who may end whom.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use vscpl2drv_link::event::text::parse;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::client as requests;

mod support;

use support::client::Client as LinkClient;
use support::dialogue;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::raw::get;
use support::tools::{PATIENCE, wait_until};
use support::websocket::{Client, DEFAULTS, Server, with_key};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

/// The whole answer to an event.
fn answer(client: &mut Client, line: &str) -> String {
    let event = parse(line, &DEFAULTS).unwrap();
    client.ask(&requests::event(client.dialect, &event))
}

/// A refusal, letter by letter.
fn refusal(dialect: Dialect, code: u8, text: &str) -> String {
    match dialect {
        Ws1 => format!("-;EVENT;{code};{text}"),
        Ws2 => format!(
            "{{ \"type\" : \"-\",  \"command\" : \"EVENT\",  \"errcode\" : {code},  \
             \"errstr\" : \"{text}\" }}"
        ),
    }
}

#[test]
fn an_event_that_finds_no_room_is_refused_and_nowhere_and_the_next_one_is_taken() {
    let server = Server::start("", "\"max-in-queue\": 1,");
    for dialect in BOTH {
        let mut client = Client::log_in(server.address(), dialect, "admin");
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Ok(()));
        let full = refusal(dialect, 3, "Transmit buffer full.");
        for _ in 0..2 {
            assert_eq!(answer(&mut client, "0,20,3,,,,-,2"), full);
        }
        // The host makes room.
        assert_eq!(server.data(), [1]);
        assert_eq!(client.send_event("0,20,3,,,,-,3"), Ok(()));
        assert_eq!(server.data(), [3], "{dialect:?}");
        assert!(server.driver.read(Duration::ZERO).is_err(), "{dialect:?}");
    }
    server.driver.close();
}

#[test]
fn an_event_that_the_daemon_cannot_bear_is_refused_and_nowhere() {
    let place = with_key(&"0123456789abcdef".repeat(2));
    let (config, daemon) = (
        place.path().join("link.json"),
        place.path().join("vscpd.json"),
    );
    let section = json!({"publish": [{"topic": "a", "format": "json"}],
                         "bjsonmeasurementblock": true});
    let entry = json!({"enable": true, "name": "link", "path-config": config, "path-driver": "x",
                       "guid": "::1", "mqtt": section});
    let file = json!({"guid": "::2", "drivers": {"level1": [], "level2": [entry]}});
    fs::write(&daemon, file.to_string()).unwrap();
    let file = json!({
        "interface": "ws://127.0.0.1:0",
        "abi": "v2",
        "path-users": dialogue::users(),
        "key-file": place.path().join("key"),
        "logging": {"file-path": place.path().join("log")},
        "bridge": {"publish": "host", "subscribe": "host", "vscpd-config": daemon},
    });
    fs::write(&config, file.to_string()).unwrap();
    let server = Server::open(place, config.display().to_string());
    for dialect in BOTH {
        let mut client = Client::connect(server.address(), dialect);
        let key = 0x0123_4567_89AB_CDEF_u64.to_be_bytes();
        let key = [key, key].concat().try_into().unwrap();
        client.send(&requests::auth(
            dialect,
            &key,
            &client.sid,
            "admin",
            "secret",
        ));
        assert!(matches!(client.said(), requests::Said::Done { .. }));
        let unbearable = refusal(dialect, 8, "Parse error, invalid format.");
        assert_eq!(answer(&mut client, "0,1060,6,,,,-"), unbearable);
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Ok(()));
        assert_eq!(server.data(), [1], "{dialect:?}");
        assert!(server.driver.read(Duration::ZERO).is_err(), "{dialect:?}");
    }
    server.driver.close();
}

#[test]
fn health_is_that_of_each_broker_as_it_goes_and_comes() {
    let mut brokers = [Mosquitto::start(), Mosquitto::start()];
    let ports = [brokers[0].port(), brokers[1].port()];
    let section = |port| {
        json!({"host": "127.0.0.1", "port": port, "reconnect": {"delay": 1, "delay-max": 1},
               "publish": [{"topic": "vscp"}]})
    };
    let mqtt = json!(ports.map(section));
    let server = Server::start("", &format!("\"mqtt\": {mqtt},"));
    let health = || {
        let response = get(&server, "GET /healthz");
        (response.status, response.text().to_owned())
    };
    // Exactly those that are not there are told, each with a reason.
    let down = |missing: &[u16]| {
        let what = format!("{missing:?} are told to be down");
        wait_until(&what, || {
            let (status, text) = health();
            assert_eq!(status == 200, text == "ok\n", "{text}");
            let is_told = |port: u16| {
                let name = format!("127.0.0.1:{port} is down: ");
                text.lines().any(|line| {
                    line.strip_prefix(&name)
                        .is_some_and(|reason| !reason.is_empty())
                })
            };
            let all = ports.map(|port| is_told(port) == missing.contains(&port));
            (status == 503) != missing.is_empty() && all == [true; 2]
        });
    };
    down(&[]);
    for broker in 0..2 {
        brokers[broker].stop();
        down(&[ports[broker]]);
        brokers[broker].go();
        down(&[]);
    }
    brokers.iter_mut().for_each(Mosquitto::stop);
    down(&ports);
    brokers[0].go();
    down(&ports[1..]);
    brokers[1].go();
    down(&[]);
    server.driver.close();
}

#[test]
fn the_status_document_counts_websockets() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), "status", 1);
    let mqtt = json!({"host": "127.0.0.1", "port": broker.port(),
                      "status": {"topic": "status", "interval": 1},
                      "publish": [{"topic": "out", "format": "string"}],
                      "subscribe": [{"topic": "in"}]});
    let server = Server::start(
        ", \"rx-filter\": \"0,20,0,-;0,0xFFFF,0,-\", \"max-client-queue-size\": 2",
        &format!("\"mqtt\": {mqtt},"),
    );
    wait_until("the broker is there", || {
        get(&server, "GET /healthz").status == 200
    });
    let document = |expected: &Value| {
        let start = Instant::now();
        loop {
            let document: Value = serde_json::from_str(&subscriber.message().1).unwrap();
            let counted = json!({
                "clients": document["clients"],
                "submitted": document["events"]["submitted"],
                "filtered": document["events"]["filtered"],
                "delivered": document["events"]["delivered"],
                "dropped": document["events"]["dropped"],
            });
            if counted == *expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{counted} is not {expected}");
        }
    };
    let mut clients = BOTH.map(|dialect| Client::log_in(server.address(), dialect, "admin"));
    // A stranger is none of the clients.
    let stranger = Client::connect(server.address(), Ws1);
    document(&json!({"clients": 2, "submitted": 0, "filtered": 0, "delivered": 0, "dropped": 0}));
    for client in &mut clients {
        // rx-filter keeps back two of three.
        for class in [20, 30, 30] {
            let line = format!("0,{class},3,,,,-,1");
            assert_eq!(client.send_event(&line), Ok(()));
        }
    }
    // Neither is open, and each has room for two of five.
    for n in 0..5 {
        publish(broker.port(), "in", &format!("0,20,3,0,,,::1,{n}"));
    }
    document(&json!({"clients": 2, "submitted": 2, "filtered": 4, "delivered": 5, "dropped": 6}));
    let [gone, mut stays] = clients;
    drop((gone, stranger));
    document(&json!({"clients": 1, "submitted": 2, "filtered": 4, "delivered": 5, "dropped": 6}));
    stays.must("OPEN");
    for n in 0..2 {
        assert_eq!(*stays.event().data, [n]);
    }
    server.driver.close();
}

#[test]
fn interface_close_ends_a_websocket_and_says_so() {
    let server = Server::start("", "");
    let mut admin = LinkClient::log_in(server.link());
    let mut stays = BOTH.map(|dialect| Client::open(server.address(), dialect, "admin"));
    for dialect in BOTH {
        for open in [true, false] {
            let mut victim = Client::log_in(server.address(), dialect, "admin");
            if open {
                victim.must("OPEN");
            }
            let from = victim.socket.get_ref().local_addr().unwrap().to_string();
            let rows = admin.must("interface list");
            let row = rows.iter().find(|row| row.contains(&from));
            let row = row.unwrap_or_else(|| panic!("{from} is not in {rows:?}"));
            let guid = row.split(',').nth(2).unwrap();
            admin.must(&format!("interface close {guid}"));
            match victim.socket.read() {
                Ok(Message::Close(Some(frame))) => {
                    assert_eq!(frame.code, CloseCode::Policy, "{dialect:?} {open}");
                    assert_eq!(&*frame.reason, "the session was ended");
                }
                other => panic!("{dialect:?} {open}: {other:?}"),
            }
            server.logged(&format!("ended={from}"), 1);
            stays.iter_mut().for_each(|client| client.must("NOOP"));
        }
    }
    server.driver.close();
}

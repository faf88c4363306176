//! The websocket server, through sockets: whole dialogues, logins, and events between ws1, ws2,
//! link clients and the host.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::event::json::{self, Generation};
use vscpl2drv_link::event::text::parse;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::auth::seal;
use vscpl2drv_link::wire::ws::client::{self as requests, Said};

mod support;

use support::client::Client as LinkClient;
use support::mosquitto::{Mosquitto, publish};
use support::tools::{root, wait_until};
use support::websocket::{Client, DEFAULTS, KEY, Server};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Each file is a dialogue: `>` is sent, `<` must come back letter by letter, but for `{sid}`,
/// the session's id, and `{crypto NAME:PASSWORD}`, what AUTH has for it.
#[test]
fn dialogues() {
    let server = Server::start("", "");
    let mut played = 0;
    for entry in fs::read_dir(root().join("tests/dialogues-ws")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let dialect = if name.starts_with("ws1") { Ws1 } else { Ws2 };
        let mut client = Client::connect(server.address(), dialect);
        for (number, line) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
            let mut line = line.replace("{sid}", &hex(&client.sid));
            while let Some(at) = line.find("{crypto ") {
                let end = at + line[at..].find('}').unwrap();
                let (user, password) = line[at + 8..end].split_once(':').unwrap();
                let crypto = seal(&KEY, &client.sid, user, password);
                line.replace_range(at..=end, &crypto);
            }
            if let Some(message) = line.strip_prefix("> ") {
                client.send(message);
            } else if let Some(answer) = line.strip_prefix("< ") {
                // What is one message may have several lines.
                let answer = answer.replace("\\n", "\n");
                assert_eq!(client.text().as_deref(), Some(&*answer), "{name}:{number}");
            } else if let Some(event) = line.strip_prefix("host writes ") {
                server.write(event);
            } else {
                assert!(line.is_empty() || line.starts_with('#'), "{name}:{number}");
            }
        }
        // Nothing is left over.
        client.must("NOOP");
        played += 1;
    }
    assert!(played >= 4, "{played}");
    while server.driver.read(Duration::ZERO).is_ok() {}
    server.driver.close();
}

#[test]
fn a_wrong_login_has_a_new_session_id_and_three_are_the_end() {
    let server = Server::start("", "");
    for dialect in BOTH {
        let mut client = Client::connect(server.address(), dialect);
        let first = client.sid;
        assert!(!client.try_log_in("admin", "wrong"));
        client.challenge();
        assert_ne!(client.sid, first);
        let told = client.sid;
        client.challenge();
        assert_eq!(client.sid, told, "asking changes nothing");
        assert!(client.try_log_in("admin", "secret"), "with the new one");
        client.must("OPEN");
        // A wrong login of somebody who is logged in ends that.
        client.challenge();
        assert!(!client.try_log_in("admin", "wrong"));
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5));
        server.write("0,20,3,,,,::1,1");
        client.must("NOOP");
        let mut guesser = Client::connect(server.address(), dialect);
        for round in 0..3 {
            guesser.challenge();
            assert!(!guesser.try_log_in("admin", "wrong"), "{round}");
        }
        assert_eq!(guesser.text(), None, "the server closes");
    }
    let log = server.log();
    assert!(log.contains("login refused client=127.0.0.1:"), "{log}");
    server.driver.close();
}

/// A driver that hands events to a broker and gets them back from there.
fn with_broker(broker: &Mosquitto, users: &Path, members: &str) -> Server {
    let more = format!(
        "\"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {}, \"subscribe\": [{{\"topic\": \"vscp/#\"}}], \
          \"publish\": [{{\"topic\": \"vscp/{{{{class}}}}\", \"format\": \"json\"}}]}},",
        broker.port()
    );
    let server = Server::with_users(users, members, &more);
    wait_until("the broker is there", || {
        get(&server, "/healthz").starts_with("HTTP/1.1 200 ")
    });
    server
}

/// The answer to a GET, all of it.
fn get(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn events_go_between_all_kinds_of_clients_and_each_sees_what_it_may() {
    let broker = Mosquitto::start();
    let place = tempfile::tempdir().unwrap();
    let users = place.path().join("users.json");
    let user = |name: &str, rights: &str, more: &str| {
        let credential = Credential::derive(name, "secret").unwrap();
        format!(
            "{{\"name\": {name:?}, \"password\": \"{credential}\", \"rights\": {rights:?}{more}}}"
        )
    };
    let list = [
        user("admin", "admin", ""),
        user("some", "user", ", \"events\": \"RX;20;*;\""),
        user(
            "filtered",
            "user",
            ", \"filter\": \"0,0,4,-\", \"mask\": \"0,0,0xFFFF,-\"",
        ),
        user("mute", "ws,send-events", ""),
    ];
    fs::write(&users, format!("{{\"users\": [{}]}}", list.join(","))).unwrap();
    let server = with_broker(&broker, &users, "");
    let (address, data) = (server.address(), |client: &mut Client| {
        let event = client.event();
        (event.class, event.vscp_type, event.data[0])
    });
    let mut one = Client::open(address, Ws1, "admin");
    let mut two = Client::open(address, Ws2, "admin");
    let mut some = Client::open(address, Ws2, "some");
    let mut filtered = Client::open(address, Ws1, "filtered");
    let mut mute = Client::open(address, Ws2, "mute");
    let mut closed = Client::log_in(address, Ws1, "admin");
    let mut stranger = Client::connect(address, Ws2);
    let mut link = LinkClient::log_in(server.link());
    link.must("rcvloop");
    let line = |link: &mut LinkClient| loop {
        // The line is alive.
        match link.line().unwrap() {
            alive if alive == "+OK" => {}
            line => return line,
        }
    };
    let sent = [(20, 3, 1_u8), (20, 4, 2), (30, 4, 3), (30, 3, 4)];
    for (number, (class, vscp_type, byte)) in sent.into_iter().enumerate() {
        let event = format!("0,{class},{vscp_type},,2020-02-20T20:20:20Z,1,-,{byte}");
        match number {
            0 => assert_eq!(mute.send_event(&event), Ok(())),
            1 => one.send(&requests::event(Ws1, &parse(&event, &DEFAULTS).unwrap())),
            2 => two.send(&requests::event(Ws2, &parse(&event, &DEFAULTS).unwrap())),
            // From somewhere else altogether.
            _ => publish(broker.port(), "vscp/30", &json(&event)),
        }
        let mut answers = (number == 1, number == 2);
        for (client, answer) in [(&mut one, &mut answers.0), (&mut two, &mut answers.1)] {
            // The answer comes before or after the event that the broker brings back.
            let mut event = None;
            while event.is_none() || *answer {
                match client.said() {
                    Said::Event(found) => event = Some(found),
                    Said::Done { word, .. } if *answer && word == "EVENT" => *answer = false,
                    other => panic!("{number}: {other:?}"),
                }
            }
            let found = event.unwrap();
            assert_eq!(
                (found.class, found.vscp_type, found.data[0]),
                (class, vscp_type, byte)
            );
        }
        let found = line(&mut link);
        assert!(
            found.starts_with(&format!("0,{class},{vscp_type},")),
            "{found}"
        );
    }
    assert_eq!([data(&mut some), data(&mut some)], [(20, 3, 1), (20, 4, 2)]);
    assert_eq!(
        [data(&mut filtered), data(&mut filtered)],
        [(20, 4, 2), (30, 4, 3)]
    );
    let rows = LinkClient::log_in(server.link()).must("interface list");
    let of = |kind: &str| rows.iter().filter(|row| row.contains(kind)).count();
    assert_eq!((of(",7,FF:"), of("websocket client ")), (6, 6), "{rows:?}");
    assert_eq!(of(",4,FF:"), 2, "{rows:?}");
    // The others have had none; the closed one has them all, in order, after its OPEN.
    for client in [
        &mut some,
        &mut filtered,
        &mut mute,
        &mut closed,
        &mut stranger,
    ] {
        client.must("NOOP");
    }
    closed.must("OPEN");
    for expected in sent {
        assert_eq!(data(&mut closed), expected);
    }
    server.driver.close();
}

fn json(line: &str) -> String {
    let mut out = Vec::new();
    let event = parse(line, &DEFAULTS).unwrap();
    json::write(&event, Generation::Both, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_right_for_websockets_is_needed() {
    let place = tempfile::tempdir().unwrap();
    let users = place.path().join("users.json");
    let user = |name: &str, rights: &str| {
        let credential = Credential::derive(name, "secret").unwrap();
        format!("{{\"name\": {name:?}, \"password\": \"{credential}\", \"rights\": {rights:?}}}")
    };
    let list = [
        user("web", "web,send-events"),
        user("tcp", "tcpip,send-events,receive-events"),
        user("ws", "ws,send-events,receive-events"),
    ];
    fs::write(&users, format!("{{\"users\": [{}]}}", list.join(","))).unwrap();
    let server = Server::with_users(&users, "", "");
    for dialect in BOTH {
        for (name, admitted) in [("web", false), ("tcp", false), ("ws", true)] {
            let mut client = Client::connect(server.address(), dialect);
            assert_eq!(client.try_log_in(name, "secret"), admitted, "{name}");
        }
    }
    server.driver.close();
}

/// The names that events have in JSON.
#[test]
fn event_names_are_those_of_the_setting_and_ws1_has_none() {
    let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";
    let vscp = format!(
        "\n\"vscpHead\": 96,\n\"vscpObId\":  0,\n\"vscpDateTime\": \"2025-11-12T10:11:12Z\",\n\
         \"vscpTimeStamp\": 123456,\n\"vscpClass\": 20,\n\"vscpType\": 3,\n\
         \"vscpGuid\": \"{guid}\",\n\"vscpData\": [0,1,35],\n\"vscpNote\": \"\""
    );
    let plain = format!(
        "\n\"head\": 352,\n\"obid\": 0,\n\"datetime\": \"2025-11-12T10:11:12Z\",\n\
         \"timestamp_ns\": \"0x18773aa7f1704a00\",\n\"class\": 20,\n\"type\": 3,\n\
         \"guid\": \"{guid}\",\n\"data\": [0,1,35],\n\"note\": \"\""
    );
    for (members, names) in [
        ("", vscp.clone()),
        (", \"event-names\": \"vscp\"", vscp.clone()),
        (", \"event-names\": \"plain\"", plain.clone()),
        (", \"event-names\": \"both\"", format!("{vscp},{plain}")),
    ] {
        let server = Server::start(members, "");
        let mut clients = BOTH.map(|dialect| Client::open(server.address(), dialect, "admin"));
        server.write(&format!(
            "96,20,3,0,2025-11-12T10:11:12Z,123456,{guid},0,1,35"
        ));
        let [ws1, ws2] = clients.each_mut().map(|client| client.text().unwrap());
        let ws1_text = "E;96,20,3,0,2025-11-12T10:11:12Z,123456,";
        assert_eq!(ws1, format!("{ws1_text}{guid},0x00,0x01,0x23"), "{members}");
        let ws2_text = "{ \"type\" : \"EVENT\",  \"event\" :  {";
        assert_eq!(ws2, format!("{ws2_text}{names}\n}} }}"), "{members}");
        server.driver.close();
    }
}

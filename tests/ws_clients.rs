//! Websocket clients that share nothing with the driver: Python's websocket-client and npm's ws, each
//! with ws1 and ws2, in clear text and over TLS.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::event::Event;

mod support;

use support::certificates::Authority;
use support::client::Client as LinkClient;
use support::secure::joined;
use support::tools::{PATIENCE, need, root};
use support::websocket::{KEY, Server};

/// Less than a block, a block, more than one.
const USERS: [(&str, &str); 3] = [
    ("admin", "secret"),
    ("operator", "secret7"),
    ("maintenance", "a longer: secret"),
];

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:00:00:00:00:00:02:00:00";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    Node,
}
use Language::{Node, Python};

impl Language {
    fn command(self) -> Command {
        // A client that waits for what never comes ends too.
        let mut command = Command::new(need("timeout"));
        command.arg("120");
        match self {
            // The system's own: its packages have the modules.
            Python => command.args(["/usr/bin/python3", "tests/python/ws_client.py"]),
            Node => {
                assert!(
                    root().join("tests/node/node_modules/ws").is_dir(),
                    "ws is missing: run `tests/setup all`"
                );
                command.arg(need("node")).arg("tests/node/ws_client.js")
            }
        };
        command.current_dir(root());
        command
    }

    /// Starts one that logs in, sends an event, waits for two and closes.
    fn start(
        self,
        dialect: &str,
        server: &Server,
        (user, password): (&str, &str),
        authority: Option<&Path>,
    ) -> Child {
        let scheme = authority.map_or("ws", |_| "wss");
        let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        self.command()
            .arg(dialect)
            .arg(format!("{scheme}://{}/{dialect}", server.address()))
            .args([&digits, user, password])
            .args(authority)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

fn users(place: &TempDir) -> PathBuf {
    let users = USERS.map(|(name, password)| {
        let credential = Credential::derive(name, password).unwrap();
        json!({"name": name, "password": credential.to_string(), "rights": "admin"})
    });
    let path = place.path().join("users.json");
    fs::write(&path, json!({ "users": users }).to_string()).unwrap();
    path
}

fn text(output: &Output) -> String {
    let of = String::from_utf8_lossy;
    format!("{}{}", of(&output.stdout), of(&output.stderr))
}

/// The next event that the host gets; where there is none, what the client says about it.
fn read(server: &Server, client: &mut Option<Child>) -> Event {
    server.driver.read(PATIENCE).unwrap_or_else(|error| {
        let mut child = client.take().unwrap();
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        panic!("{error:?}: {}\n{}", text(&output), server.log())
    })
}

/// The next event in the receive loop.
fn line(link: &mut LinkClient) -> String {
    loop {
        match link.line().unwrap() {
            alive if alive.starts_with("+OK") => {}
            line => return line,
        }
    }
}

/// One client from its login to its end. Its event goes to a link client and to the host; it gets
/// one of each, and of what its filter keeps from it, nothing.
fn converse(
    language: Language,
    dialect: &str,
    server: &Server,
    user: (&str, &str),
    authority: Option<&Path>,
) {
    let what = format!("{language:?} {dialect} {user:?} {authority:?}");
    let mut listener = LinkClient::log_in(server.link());
    listener.must("rcvloop");
    let mut client = Some(language.start(dialect, server, user, authority));
    let sent = read(server, &mut client);
    assert_eq!((sent.class, sent.vscp_type), (30, 5), "{what}");
    assert_eq!(&sent.data[..], [1, 2, 3, 4, 5, 6], "{what}");
    let found = line(&mut listener);
    match (language, dialect) {
        // Priority 3, and the GUID of its session.
        (Node, "ws1") => {
            assert!(found.starts_with("96,30,5,"), "{what}: {found}");
            assert_ne!(sent.guid.to_string(), GUID, "{what}");
        }
        _ => {
            assert!(found.starts_with("0,30,5,"), "{what}: {found}");
            assert_eq!(sent.guid.to_string(), GUID, "{what}");
        }
    }
    let guid = sent.guid.to_string();
    assert!(
        found.ends_with(&format!("{guid},0x01,0x02,0x03,0x04,0x05,0x06")),
        "{what}: {found}"
    );
    // It is open, and has its filter.
    server.write("0,20,3,,2020-02-20T20:20:20Z,1,-,1");
    server
        .write("0,30,6,,2020-02-20T20:20:20Z,1,00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,7");
    let mut sender = LinkClient::log_in(server.link());
    sender.must("send 0,20,4,,,,-,1");
    sender.must(&format!("send 0,30,7,,2021-02-21T21:21:21Z,1,{GUID},8,255"));
    let output = client.take().unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{what}: {}", text(&output));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        seen["events"],
        json!([
            {
                "class": 30, "type": 6, "date": "2020-02-20T20:20:20Z",
                "guid": "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F", "data": [7],
            },
            {
                "class": 30, "type": 7, "date": "2021-02-21T21:21:21Z",
                "guid": GUID, "data": [8, 255],
            },
        ]),
        "{what}"
    );
    let version = match dialect {
        "ws1" => &seen["version"][0],
        _ => &seen["version"]["version"],
    };
    let version = version.as_str().unwrap();
    assert!(
        version.starts_with(env!("CARGO_PKG_VERSION")),
        "{what}: {version}"
    );
    // The host has had what the link client sent.
    assert_eq!(read(server, &mut None).vscp_type, 4);
    assert_eq!(read(server, &mut None).vscp_type, 7);
}

#[test]
fn in_clear_text() {
    let place = TempDir::new().unwrap();
    let server = Server::with_users(&users(&place), "", "\"interconnect\": true,");
    for language in [Python, Node] {
        for dialect in ["ws1", "ws2"] {
            for user in USERS {
                converse(language, dialect, &server, user, None);
            }
        }
    }
    server.driver.close();
}

#[test]
fn over_tls() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let place = TempDir::new().unwrap();
    let certificate = joined(&ours.identity("127.0.0.1"));
    let server = Server::at(
        "wss://127.0.0.1:0",
        &users(&place),
        "",
        &format!("\"interconnect\": true, \"tls\": {{\"certificate\": {certificate:?}}},"),
    );
    for language in [Python, Node] {
        // A client that does not trust the server says nothing to it.
        let child = language.start("ws1", &server, USERS[0], Some(&other.file()));
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success(), "{language:?}: {}", text(&output));
        let said = text(&output).to_lowercase();
        assert!(said.contains("certificate"), "{language:?}: {said}");
        assert!(!server.log().contains("logged in"), "{}", server.log());
    }
    for language in [Python, Node] {
        for dialect in ["ws1", "ws2"] {
            converse(language, dialect, &server, USERS[0], Some(&ours.file()));
        }
    }
    server.driver.close();
}

//! Websocket clients that share nothing with the driver: Python's websocket-client and npm's ws, each
//! with ws1 and ws2, in clear text and over TLS; and npm's wscat as it comes.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::event::Event;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::client::{self as requests, Said};

mod support;

use support::certificates::Authority;
use support::client::Client as LinkClient;
use support::mosquitto::free_port;
use support::secure::joined;
use support::tools::{PATIENCE, need, root};
use support::websocket::{DEFAULTS, KEY, Server, path, with_key};

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

/// wscat: what is typed is sent, what comes is printed.
struct Wscat {
    dialect: Dialect,
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Wscat {
    fn start(server: &Server, dialect: Dialect) -> Self {
        let program = root().join("tests/node/node_modules/wscat/bin/wscat");
        assert!(program.is_file(), "wscat is missing: run `tests/setup all`");
        let mut process = Command::new(need("timeout"))
            .arg("120")
            .arg(need("node"))
            .arg(program)
            .args(["--no-color", "--connect"])
            .arg(format!("ws://{}{}", server.address(), path(dialect)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            dialect,
            input: process.stdin.take().unwrap(),
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    /// The next message; one that has several lines is printed as it is.
    fn said(&mut self) -> Said {
        let mut text = String::new();
        loop {
            let line = self.lines.next().expect("wscat prints a message").unwrap();
            // Its prompt.
            text.push_str(line.trim_start_matches("> "));
            match requests::read(self.dialect, &text, &DEFAULTS) {
                Ok(said) => return said,
                Err(error) => assert!(text.starts_with('{'), "{text}: {error}"),
            }
            text.push('\n');
        }
    }

    fn must(&mut self, message: &str) {
        // A line is a message.
        writeln!(self.input, "{}", message.replace('\n', " ")).unwrap();
        let said = self.said();
        assert!(matches!(said, Said::Done { .. }), "{message}: {said:?}");
    }
}

/// With the key that everybody has, and the users and the file of the C++ driver, of which nothing
/// but paths and the port is changed.
#[test]
fn wscat_as_it_comes() {
    let place = with_key(&"2DBB079A38985AF00EBEEFE22F9FFA0E".repeat(16));
    let key = 0x2DBB_079A_3898_5AF0_0EBE_EFE2_2F9F_FA0E_u128.to_be_bytes();
    let documented = root().join("tests/documented/websocksrv");
    let config = fs::read_to_string(documented.join("standard.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["interface"] = format!("ws://localhost:{}", free_port()).into();
    config["path-users"] = documented.join("users.json").to_str().into();
    config["key-file"] = place.path().join("key").to_str().into();
    config["logging"]["file-path"] = place.path().join("log").to_str().into();
    let server = Server::open(place, config.to_string());
    for dialect in [Ws1, Ws2] {
        let mut wscat = Wscat::start(&server, dialect);
        let Said::Auth0(sid) = wscat.said() else {
            panic!("no AUTH0");
        };
        wscat.must(&requests::noop(dialect));
        wscat.must(&requests::auth(dialect, &key, &sid, "admin", "secret"));
        for word in ["VERSION", "COPYRIGHT", "CLRQ"] {
            wscat.must(&requests::command(dialect, word));
        }
        wscat.must(&requests::open(dialect));
        let event = vscpl2drv_link::event::text::parse("0,30,5,,,,-,1,2,3", &DEFAULTS).unwrap();
        wscat.must(&requests::event(dialect, &event));
        assert_eq!(server.data(), [1, 2, 3], "{dialect:?}");
        server.write("0,30,6,,2020-02-20T20:20:20Z,1,::1,7");
        match wscat.said() {
            Said::Event(event) => assert_eq!(*event.data, [7], "{dialect:?}"),
            other => panic!("{dialect:?}: {other:?}"),
        }
        wscat.must(&requests::close(dialect));
        // The end of what is typed is its end.
        drop(wscat.input);
        let status = wscat.process.wait().unwrap();
        assert!(status.success(), "{dialect:?}: {status}");
    }
    server.driver.close();
}

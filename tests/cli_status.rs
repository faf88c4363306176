//! `vscp-link status`: what it prints is what the driver says and Prometheus reads.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use serde_json::Value;

mod support;

use support::client::Client;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::reload::{Bench, PLAIN};
use support::tools::{root, wait_until};
use support::watched::{Metrics, WATCHED, address};

const EVENT: &str = "0,20,3,,,,00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:01,0,1";

fn status(at: impl ToString, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vscp-link"))
        .arg("status")
        .arg(at.to_string())
        .args(args)
        .output()
        .unwrap()
}

/// What it prints; it ends well.
fn printed(at: SocketAddr, args: &[&str]) -> String {
    let output = status(at, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains about; it ends with 1.
fn complaint(at: impl ToString) -> String {
    let output = status(at, &["--timeout", "1"]);
    let code = output.status.code();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((code, &*output.stdout), (Some(1), &b""[..]), "{errors}");
    errors
}

#[test]
fn what_was_sent_and_received_is_what_people_see() {
    let broker = Mosquitto::start();
    let port = broker.port();
    let bench = Bench::start(&format!(
        "{WATCHED}, \"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {port}, \"publish\": \
         [{{\"topic\": \"out\", \"qos\": 1, \"format\": \"string\"}}], \"subscribe\": \
         [{{\"topic\": \"in\", \"format\": \"string\"}}]}}"
    ));
    let at = address(&bench);
    wait_until("the broker is there", || {
        support::watched::ask(at, "GET /healthz").status == 200
    });
    let subscriber = Subscriber::start(port, "out", 1);
    let mut sender = Client::log_in(bench.addresses()[0]);
    for _ in 0..20 {
        sender.must(&format!("send {EVENT}"));
        subscriber.message();
    }
    let mut receiver = Client::log_in(bench.addresses()[0]);
    receiver.must("rcvloop");
    for _ in 0..3 {
        publish(port, "in", EVENT);
        receiver.event();
    }
    let uplink = |name: &str| format!("{name}{{uplink=127.0.0.1:{port}}}");
    wait_until("all is counted", || {
        let metrics = Metrics::get(at);
        metrics.value(&uplink("uplink_sent_events_total")) == 20.0
            && metrics.value("client_sent_events_total{kind=link}") == 3.0
    });
    let document = printed(at, &["--once", "--json"]);
    assert_eq!(document.lines().count(), 1, "{document}");
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["uplinks"][0]["delivered"], 20);
    assert_eq!(document["uplinks"][0]["received"], 3);
    assert_eq!(document["kinds"]["link"]["received"], 20);
    assert_eq!(document["kinds"]["link"]["sent"], 3);
    assert_eq!(document["kinds"]["link"]["clients"], 2);
    assert_eq!(document["kinds"]["link"]["waiting"], 3);
    let metrics = Metrics::get(at);
    assert_eq!(
        metrics.value("client_received_events_total{kind=link}"),
        20.0
    );
    assert_eq!(metrics.value(&uplink("uplink_received_events_total")), 3.0);
    // No terminal: once.
    for args in [&[][..], &["--once"]] {
        let text = printed(at, args);
        let row = |begin: &str| {
            let line = text.lines().find(|line| line.starts_with(begin)).unwrap();
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(row("link"), ["link", "2", "3", "20", "3"], "{text}");
        let place = format!("127.0.0.1:{port}");
        assert_eq!(row(&place)[1..5], ["yes", "0", "20", "3"], "{text}");
        assert!(text.contains("online"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn on_a_terminal_it_lives() {
    let bench = Bench::start(WATCHED);
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/python/terminal.py"))
        // Rates are there at the second look; then Ctrl-C.
        .args(["FROM/s", "\x03", "--", env!("CARGO_BIN_EXE_vscp-link")])
        .args(["status", &address(&bench).to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let screens: Vec<&str> = text.split("\x1b[H").skip(1).collect();
    assert!(screens.len() >= 2, "{text}");
    assert!(
        !screens[0].contains("FROM/s") && screens[1].contains("FROM/s"),
        "{text}"
    );
    assert!(screens.iter().all(|screen| screen.contains("online")));
}

#[test]
fn who_is_no_driver_is_told_so() {
    let server = |answer: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(answer);
        });
        address
    };
    let strange = "does not show the status of a driver";
    assert!(complaint(server(b"+OK - Success.\r\n")).contains(strange));
    assert!(complaint(server(b"HTTP/1.1 200 OK\r\n\r\n[]")).contains(strange));
    let found = complaint(server(b"HTTP/1.1 404 Not Found\r\n\r\n\x1b[2Jno\n"));
    assert!(
        found.contains("answers 404 Not Found: \\u{1b}[2Jno"),
        "{found}"
    );
    // One that says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = complaint(silent.local_addr().unwrap());
    assert!(found.contains("does not answer"), "{found}");
    let gone = silent.local_addr().unwrap();
    drop(silent);
    assert!(complaint(format!("http://{gone}/")).contains("no connection to"));
    // And one that does not let everybody look.
    let section = "\"status\": {\"interface\": \"127.0.0.1:0\", \"allow\": [\"10.0.0.1\"]}";
    let bench = Bench::start(&format!("{PLAIN}, {section}"));
    let found = complaint(address(&bench));
    assert!(
        found.contains("403 Forbidden: status.allow does not let you in"),
        "{found}"
    );
    for wrong in [
        "https://localhost",
        "localhost:x",
        "http://",
        "localhost:9599/metrics",
    ] {
        assert_eq!(status(wrong, &[]).status.code(), Some(2), "{wrong}");
    }
}

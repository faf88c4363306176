//! `vscp-link send` and `monitor` by websocket, against a driver.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{BufRead, BufReader};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

mod support;

use support::certificates::Authority;
use support::dialogue;
use support::mosquitto::free_port;
use support::program::{self, key_file};
use support::tools::{PATIENCE, wait_until};
use support::websocket::{KEY, Server};

const LAMP: &str = "0,20,3,,,,-,0,1,35";

fn key(server: &Server) -> String {
    server.place.path().join("key").display().to_string()
}

#[test]
fn events_are_sent() {
    let server = Server::start("", "");
    for (scheme, path) in [("ws1", ""), ("ws2", ""), ("ws", "/ws1"), ("ws", "/ws2")] {
        let host = format!("{scheme}://{}{path}", server.address());
        let args = ["--key-file", &key(&server), LAMP, "0,10,6,0,,,::7,0x8A"];
        let (code, stdout, stderr) = program::run("send --user admin", &host, &args);
        assert_eq!(stdout, "+OK - Success.\n+OK - Success.\n", "{host}");
        assert_eq!((code, &*stderr), (0, ""), "{host}");
        let event = server.driver.read(PATIENCE).unwrap();
        assert_eq!((event.class, event.vscp_type), (20, 3));
        assert_eq!(*event.data, [0, 1, 35]);
        assert!(event.time.nanos() > 1_600_000_000_000_000_000, "{host}");
        assert_eq!(server.data(), [0x8A]);
    }
    server.driver.close();
}

#[test]
fn a_refused_event_is_told_with_its_code() {
    let server = Server::start("", "");
    for scheme in ["ws1", "ws2"] {
        let host = format!("{scheme}://{}", server.address());
        let args = ["--key-file", &key(&server), LAMP];
        let (code, stdout, stderr) = program::run("send --user reader", &host, &args);
        assert!(
            stdout.starts_with("-OK - Not allowed to ") && stdout.contains(" (error "),
            "{stdout}"
        );
        assert_eq!((code, &*stderr), (1, ""), "{scheme}");
    }
    server.driver.close();
}

#[test]
fn a_monitor_sees_what_passes_its_filter() {
    for scheme in ["ws1", "ws2"] {
        let server = Server::start("", "");
        let host = format!("{scheme}://{}", server.address());
        let words = "monitor --user admin --json --count 3 --filter 0,20 --mask 0,0xFFFF";
        let mut monitor = program::start(words, &host, &["--key-file", &key(&server)]);
        wait_until("the monitor has enough", || {
            server.write("0,10,6,,,,::1,1");
            server.write("0,20,4,,2020-02-20T20:20:20Z,500000,::1,77");
            monitor.try_wait().unwrap().is_some()
        });
        let (code, stdout, stderr) = program::end(monitor);
        assert_eq!((code, &*stderr), (0, ""), "{scheme}");
        let events: Vec<Value> = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(events.len(), 3);
        for event in events {
            assert_eq!(event["class"], 20);
            assert_eq!(event["data"], json!([77]));
            assert_eq!(event["time"], "2020-02-20T20:20:20.500000Z");
        }
        server.driver.close();
    }
}

#[test]
fn a_monitor_connects_again() {
    let users = dialogue::users();
    for scheme in ["ws1", "ws2"] {
        let place = format!("127.0.0.1:{}", free_port());
        let start = || Server::at(&format!("ws://{place}"), &users, "", "");
        let server = start();
        // The key is the same in both lives of the server, and its file is gone with the first.
        let own = TempDir::new().unwrap();
        let digits = fs::read_to_string(key(&server)).unwrap();
        let file = key_file(own.path(), "key", &digits, 0o600);
        let words = "monitor --user admin --filter 0,20 --mask 0,0xFFFF";
        let args = ["--key-file", file.to_str().unwrap()];
        let mut monitor = program::start(words, &format!("{scheme}://{place}"), &args);
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(monitor.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().try_for_each(|line| send.send(line.unwrap())));
        let sees = |server: &Server, data: u8| {
            let begin = Instant::now();
            while begin.elapsed() < PATIENCE {
                server.write("0,10,6,,,,::1,1");
                server.write(&format!("0,20,3,,2020-02-20T20:20:20Z,0,::1,{data}"));
                match lines.recv_timeout(Duration::from_millis(50)) {
                    Ok(line) if line.ends_with(&format!(":01 {data:02X}")) => return true,
                    // What came before it passes the filter too.
                    Ok(line) if line.contains(" INFORMATION_ON ") => {}
                    Ok(_) | Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            false
        };
        let first = sees(&server, 7);
        server.driver.close();
        // It has to log in, set its filter and open anew.
        let server = start();
        let second = sees(&server, 8);
        // By itself it would go on for ever.
        monitor.kill().unwrap();
        let output = monitor.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(first && second, "{scheme}: {stderr}");
        let told: Vec<&str> = stderr.lines().collect();
        assert_eq!(told.len(), 2, "{stderr}");
        assert!(told[0].ends_with("; connecting again"), "{stderr}");
        let again = format!("connected to {place} again");
        assert!(told[1].ends_with(&again), "{stderr}");
        server.driver.close();
    }
}

#[test]
fn tls() {
    let ours = Authority::new("ours");
    let certificate = ours.identity_in_one_file("localhost");
    let place = TempDir::new().unwrap();
    let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let key_path = key_file(place.path(), "key", &digits, 0o600);
    let log = place.path().join("log");
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"key-file\": {key_path:?}, \"websocket\": {{\"interface\": \"wss://127.0.0.1:0\"}}, \
          \"tls\": {{\"certificate\": {certificate:?}}}, \"logging\": {{\"file-path\": {log:?}, \
          \"file-pattern\": \"%l %v\", \"file-log-level\": \"debug\"}}}}",
        dialogue::users(),
    );
    let server = Server::open(place, config);
    let port = server.address().port();
    let authority = ours.file().display().to_string();
    let own = key(&server);
    let run = |words: &str, host: &str, more: &[&str]| {
        let args = [&["--key-file", &own], more].concat();
        program::run(words, host, &args)
    };

    for scheme in ["wss1", "wss2"] {
        let host = format!("{scheme}://localhost:{port}");
        let words = format!("send --user admin {LAMP}");
        let (code, stdout, stderr) = run(&words, &host, &["--ca-file", &authority]);
        assert_eq!((code, &*stdout), (0, "+OK - Success.\n"), "{stderr}");
        assert_eq!(server.data(), [0, 1, 35]);
        let (code, ..) = run(&words, &host, &["--insecure"]);
        assert_eq!(code, 0);
        assert_eq!(server.data(), [0, 1, 35]);
        let (code, _, stderr) = run(&words, &host, &[]);
        assert_eq!(code, 1);
        assert!(stderr.contains("UnknownIssuer"), "{stderr}");
    }

    let host = format!("wss://localhost:{port}/ws2");
    let args = ["--key-file", &own, "--ca-file", &authority];
    let mut monitor = program::start("monitor --user admin --count 1", &host, &args);
    wait_until("the monitor has one", || {
        server.write("0,20,4,,2020-02-20T20:20:20Z,500000,::1,77");
        monitor.try_wait().unwrap().is_some()
    });
    let (code, stdout, stderr) = program::end(monitor);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "2020-02-20T20:20:20.500000Z 0 CLASS1.INFORMATION INFORMATION_OFF \
         FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01 4D\n"
    );

    // One end with TLS, the other without.
    let words = format!("send --user admin {LAMP}");
    let (code, _, stderr) = run(&words, &format!("ws1://localhost:{port}"), &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("wss1:// where that speaks TLS"), "{stderr}");
    let host = format!("wss1://localhost:{}", server.link().port());
    let (code, _, stderr) = run(&words, &host, &["--insecure"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("does not speak TLS"), "{stderr}");
    server.driver.close();
}

#[test]
fn a_wrong_password_or_key() {
    let server = Server::start("", "");
    let other = key_file(server.place.path(), "other", &"5a".repeat(16), 0o600);
    let other = other.display().to_string();
    for scheme in ["ws1", "ws2"] {
        let host = format!("{scheme}://{}", server.address());
        let send = |words, key: &str| program::run(words, &host, &["--key-file", key, LAMP]);
        let guess = send("send --user admin --password guess", &key(&server));
        let wrong = send("send --user admin", &other);
        for (code, stdout, stderr) in [guess, wrong] {
            assert_eq!((code, &*stdout), (1, ""), "{scheme}");
            assert!(
                stderr.starts_with(
                    "vscp-link: the login was refused: -OK - Not authorised. (error 5); the user, "
                ) && stderr.contains("--key-file"),
                "{stderr}"
            );
        }
    }
    server.driver.close();
}

#[test]
fn a_wrong_path_or_port() {
    let server = Server::start("", "");
    let at = server.address();
    let args = ["--key-file", &key(&server), LAMP];
    for (host, words) in [
        (
            format!("ws1://{at}/nothing"),
            "no websocket at /nothing: HTTP 404 Not Found; give the path",
        ),
        (
            format!("ws1://{at}/ws2"),
            "the server speaks ws2 at this path, not ws1",
        ),
        (
            format!("ws2://{at}/ws1"),
            "the server speaks ws1 at this path, not ws2",
        ),
        (
            format!("ws1://{}", server.link()),
            "is no websocket server, its answer is not HTTP",
        ),
    ] {
        let (code, stdout, stderr) = program::run("send --user admin", &host, &args);
        assert_eq!((code, &*stdout), (1, ""), "{host}");
        assert!(stderr.contains(words), "{host}: {stderr}");
    }
    server.driver.close();
}

#[test]
fn usage() {
    let place = TempDir::new().unwrap();
    let good = key_file(place.path(), "good", &"5a".repeat(16), 0o600);
    let good = good.display().to_string();
    for (host, args, words) in [
        ("ws1://localhost", &[][..], "--key-file is needed"),
        ("ws://localhost", &[], "needs the path /ws1 or /ws2"),
        ("ws3://localhost", &[], "ws3:// cannot be spoken"),
        (
            "ws2://localhost",
            &["--insecure", "--key-file", &good],
            "write the host as wss2://HOST",
        ),
    ] {
        let args = [args, &[LAMP]].concat();
        let (code, _, stderr) = program::run("send --user admin", host, &args);
        assert_eq!(code, 2, "{host}");
        assert!(stderr.contains(words), "{host}: {stderr}");
    }
    let short = key_file(place.path(), "short", "5a", 0o600);
    let args = ["--key-file", short.to_str().unwrap(), LAMP];
    let (code, _, stderr) = program::run("send --user admin", "ws1://localhost", &args);
    assert_eq!(code, 1);
    assert!(stderr.contains("2 hexadecimal digits"), "{stderr}");
}

#[test]
fn a_key_file_that_others_can_read_is_used_with_a_warning() {
    let server = Server::start("", "");
    let digits = fs::read_to_string(key(&server)).unwrap();
    let open = key_file(server.place.path(), "open", &digits, 0o644);
    let host = format!("ws1://{}", server.address());
    let args = ["--key-file", open.to_str().unwrap(), LAMP];
    let (code, stdout, stderr) = program::run("send --user admin", &host, &args);
    assert_eq!((code, &*stdout), (0, "+OK - Success.\n"));
    assert!(stderr.contains("chmod 600"), "{stderr}");
    server.driver.close();
}

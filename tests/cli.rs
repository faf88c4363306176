//! The program `vscp-link` against a scripted link server.

// Tests may fail where they like; the lint only knows functions that are marked as tests.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const GREETING: &str = "Welcome to the VSCP tcp/ip server [l2drv].\r\n\
                        Version: 15.2.0-0\r\n+OK - Success.\r\n";
const OK: &str = "+OK - Success.\r\n";
const LOOP: &str = "+OK - Receive loop entered. QUITLOOP to terminate.\r\n";
const TEMPERATURE: &str = "96,10,6,0,2001-11-02T18:00:01Z,0,\
                           FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01,0x8A,0x82,0x1B,0x22\r\n";
const LAMP: &str = "0,20,3,0,,1004724001817923000,\
                    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,0x00,0x01,0x23\r\n";

/// What the client says, and what the server answers.
type Step = (&'static str, String);

fn step(command: &'static str, answer: &str) -> Step {
    (command, answer.to_owned())
}

/// The greeting has been answered with these two.
fn login() -> Vec<Step> {
    vec![
        step(
            "USER admin",
            "+OK - User name accepted, password please\r\n",
        ),
        step("PASS secret", OK),
    ]
}

fn after_login(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    login().into_iter().chain(steps).collect()
}

/// A server that has one conversation after the other, and closes the connection at its end.
struct Server {
    host: String,
    thread: JoinHandle<()>,
}

impl Server {
    fn new(conversations: Vec<Vec<Step>>) -> Self {
        Self::with(move |listener| {
            for conversation in conversations {
                let mut stream = accept(&listener);
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                stream.write_all(GREETING.as_bytes()).unwrap();
                for (command, answer) in conversation {
                    assert_eq!(lines.next().unwrap().unwrap(), command);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        })
    }

    fn with(serve: impl FnOnce(TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            host: listener.local_addr().unwrap().to_string(),
            thread: thread::spawn(move || serve(listener)),
        }
    }

    /// The whole script was played.
    fn done(self) {
        self.thread.join().unwrap();
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    // Only so that a test that fails ends.
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    stream
}

fn start(command: &str, host: &str, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vscp-link"))
        .arg(command)
        .args(["--host", host, "--user", "admin"])
        .args(args)
        .env("VSCP_LINK_PASSWORD", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code, stdout, stderr.
fn end(child: Child) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        stderr,
    )
}

fn run(command: &str, host: &str, args: &[&str]) -> (i32, String, String) {
    end(start(command, host, args))
}

/// Where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn send_prints_the_answers() {
    let server = Server::new(vec![after_login([
        step("SEND 0,20,3,,,,-,0,1,35", OK),
        step("SEND 0,20,4,,,,-", "-OK - Buffer Full\r\n"),
        step("SEND 0,20,5,,,,-", OK),
        step("QUIT", "+OK - Connection closed by client.\r\n"),
    ])]);
    let events = ["0,20,3,,,,-,0,1,35", "0,20,4,,,,-", "0,20,5,,,,-"];
    let (code, stdout, stderr) = run("send", &server.host, &events);
    assert_eq!(
        stdout,
        "+OK - Success.\n-OK - Buffer Full\n+OK - Success.\n"
    );
    assert_eq!((code, &*stderr), (1, ""));
    server.done();

    let server = Server::new(vec![after_login([
        step("SEND 0,20,3,,,,-", OK),
        step("QUIT", OK),
    ])]);
    let (code, stdout, _) = run("send", &server.host, &["0,20,3,,,,-"]);
    assert_eq!((code, &*stdout), (0, "+OK - Success.\n"));
    server.done();
}

#[test]
fn send_reads_standard_input() {
    let server = Server::new(vec![after_login([
        step("SEND 0,20,3,,,,-", OK),
        step("SEND 0,20,4,,,,-", OK),
        step("QUIT", OK),
    ])]);
    let mut child = start("send", &server.host, &["-"]);
    let lines = "# lamps\n\n 0,20,3,,,,- \r\n0,20,3,,,,-,256\n0,20,4,,,,-";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let (code, stdout, stderr) = end(child);
    assert_eq!(stdout, "+OK - Success.\n+OK - Success.\n");
    assert_eq!(
        (code, &*stderr),
        (
            1,
            "vscp-link: line 4 is no event: data byte 1 cannot be read: 256 is more than 255\n"
        )
    );
    server.done();
}

#[test]
fn a_bad_event_is_told_before_anything_is_connected() {
    let (code, stdout, stderr) = run("send", &nowhere(), &["0,20,3,,,,-", "0,20,3"]);
    assert_eq!((code, &*stdout), (2, ""));
    assert!(
        stderr.contains("\"0,20,3\" is no event: 3 fields were found"),
        "{stderr}"
    );
    // A second command must not slip in behind a line break.
    let (code, ..) = run("send", &nowhere(), &["0,20,3,,,,-,0\nSHUTDOWN"]);
    assert_eq!(code, 2);
}

#[test]
fn a_line_break_in_an_event_is_not_sent() {
    let server = Server::new(vec![login()]);
    let (code, _, stderr) = run("send", &server.host, &["0,20,3,,,,{-\n},1"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("line break"), "{stderr}");
    server.done();
}

#[test]
fn a_wrong_password() {
    let server = Server::new(vec![vec![
        step(
            "USER admin",
            "+OK - User name accepted, password please\r\n",
        ),
        step("PASS guess", "-OK - Invalid username or password.\r\n"),
    ]]);
    let args = ["--password", "guess", "0,20,3,,,,-"];
    let (code, stdout, stderr) = run("send", &server.host, &args);
    assert_eq!((code, &*stdout), (1, ""));
    assert_eq!(
        stderr,
        "vscp-link: the login was refused: -OK - Invalid username or password.\n"
    );
    server.done();
}

#[test]
fn a_password_that_is_said_back() {
    let server = Server::new(vec![vec![
        step(
            "USER admin",
            "+OK - User name accepted, password please\r\n",
        ),
        step("PASS guess", "-OK - Not this: PASS guess\r\n"),
    ]]);
    let args = ["--password", "guess", "0,20,3,,,,-"];
    let (code, _, stderr) = run("send", &server.host, &args);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "vscp-link: the login was refused: -OK - Not this: PASS …\n"
    );
    server.done();
}

#[test]
fn nobody_there() {
    let host = nowhere();
    for command in [&["send", "0,20,3,,,,-"][..], &["monitor"]] {
        let (code, stdout, stderr) = run(command[0], &host, &command[1..]);
        assert_eq!((code, &*stdout), (1, ""));
        assert!(
            stderr.contains(&format!("no connection to {host}: ")),
            "{stderr}"
        );
    }
}

#[test]
fn servers_that_have_no_room_or_nothing_to_say() {
    let full = Server::with(|listener| {
        let refusal = b"-OK - Max number of clients connected.\r\n";
        accept(&listener).write_all(refusal).unwrap();
    });
    let (code, _, stderr) = run("send", &full.host, &["0,20,3,,,,-"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("Max number of clients"), "{stderr}");
    full.done();

    let silent = Server::with(|listener| {
        let _ = accept(&listener).read(&mut [0]);
    });
    let (code, _, stderr) = run("send", &silent.host, &["--timeout", "1", "0,20,3,,,,-"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("said nothing"), "{stderr}");
    silent.done();
}

#[test]
fn monitor_prints_json() {
    let server = Server::new(vec![after_login([
        step(
            "RCVLOOP",
            &format!("{LOOP}{TEMPERATURE}+OK\r\n{LAMP}{LAMP}"),
        ),
        step("QUIT", OK),
    ])]);
    let (code, stdout, stderr) = run("monitor", &server.host, &["--count", "2", "--json"]);
    assert_eq!((code, &*stderr), (0, ""));
    server.done();

    let events: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["class_token"], "CLASS1.MEASUREMENT");
    assert_eq!(events[0]["measurement"]["value"], 69.46);
    assert_eq!(events[0]["measurement"]["symbol"], "°C");
    assert_eq!(events[1]["type_token"], "VSCP_TYPE_INFORMATION_ON");
    assert_eq!(events[1]["time"], "2001-11-02T18:00:01.817923Z");
    assert_eq!(events[1]["data"], serde_json::json!([0, 1, 35]));
    assert_eq!(events[1]["measurement"], serde_json::Value::Null);
}

#[test]
fn monitor_prints_lines_and_passes_over_what_is_none() {
    let zero = "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00";
    let mask: &'static str = format!("SMSK 0,65535,0,{zero}").leak();
    let filter: &'static str = format!("SFLT 0,10,0,{zero}").leak();
    let server = Server::new(vec![after_login([
        step(mask, OK),
        step(filter, OK),
        step("RCVLOOP", &format!("{LOOP}rubbish\x1b[2J\r\n{TEMPERATURE}")),
        step("QUIT", OK),
    ])]);
    let args = ["--mask", "0,0xFFFF", "--filter", "0,10", "-n", "1"];
    let (code, stdout, stderr) = run("monitor", &server.host, &args);
    assert_eq!(
        stdout,
        "2001-11-02T18:00:01Z 3 CLASS1.MEASUREMENT MEASUREMENT_TEMPERATURE \
         FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01 8A 82 1B 22  69.46 °C sensor 2\n"
    );
    assert_eq!(code, 0);
    assert!(
        stderr.contains("a line is no event") && !stderr.contains('\x1b'),
        "{stderr}"
    );
    server.done();
}

#[test]
fn monitor_connects_again() {
    let server = Server::new(vec![
        after_login([step("RCVLOOP", &format!("{LOOP}{LAMP}"))]),
        after_login([step("RCVLOOP", &format!("{LOOP}{LAMP}")), step("QUIT", OK)]),
    ]);
    let (code, stdout, stderr) = run("monitor", &server.host, &["--count", "2"]);
    assert_eq!((code, stdout.lines().count()), (0, 2));
    assert!(
        stderr.contains("closed the connection; connecting again"),
        "{stderr}"
    );
    server.done();
}

#[test]
fn monitor_once_ends_with_the_connection() {
    let server = Server::new(vec![after_login([step("RCVLOOP", LOOP)])]);
    let (code, _, stderr) = run("monitor", &server.host, &["--once"]);
    assert_eq!(
        (code, &*stderr),
        (1, "vscp-link: the server closed the connection\n")
    );
    server.done();
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let server = Server::with(|listener| {
        let mut stream = accept(&listener);
        stream.write_all(GREETING.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for (_, answer) in login() {
            lines.next().unwrap().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
        lines.next().unwrap().unwrap();
        stream.write_all(LOOP.as_bytes()).unwrap();
        // As `| head -1` does it: the events do not end, the reader does.
        while stream.write_all(LAMP.as_bytes()).is_ok() {}
    });
    let mut child = start("monitor", &server.host, &[]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("INFORMATION_ON"), "{line}");
    let (code, _, stderr) = end(child);
    assert_eq!((code, &*stderr), (0, ""));
    server.done();
}

#[test]
fn the_password_comes_from_a_file_or_is_asked_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "other\nnot this\n").unwrap();
    let server = Server::new(vec![vec![
        step("USER admin", OK),
        step("PASS other", "-OK - Invalid username or password.\r\n"),
    ]]);
    let path = file.path().to_str().unwrap();
    let (code, ..) = run(
        "send",
        &server.host,
        &["--password-file", path, "0,20,3,,,,-"],
    );
    assert_eq!(code, 1);
    server.done();

    let output = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
        .args(["send", "--user", "admin", "0,20,3,,,,-"])
        .env_remove("VSCP_LINK_PASSWORD")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn usage() {
    let code = |args: &[&str]| {
        let status = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
            .args(args)
            .env_remove("VSCP_LINK_USER")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap().code()
    };
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&[]), Some(2));
    assert_eq!(code(&["send", "--user", "admin"]), Some(2));
    assert_eq!(code(&["monitor"]), Some(2));
    assert_eq!(
        code(&["monitor", "--user", "admin", "--filter", "0,10"]),
        Some(2)
    );
    assert_eq!(
        code(&["monitor", "--user", "admin", "--host", "http://a"]),
        Some(2)
    );
}

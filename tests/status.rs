//! The pages that tell how the driver is: what they say, to whom, and that nobody can make much of
//! them.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use socket2::{Domain, Socket, Type};

mod support;

use support::mosquitto::{Mosquitto, free_port};
use support::raw::{Raw, request};
use support::reload::{Bench, PLAIN, log_in, mqtt};
use support::tools::{PATIENCE, wait_until};
use support::watched::{WATCHED, address, ask, status};

/// Connections at a time.
const MOST: usize = 32;

#[test]
fn there_is_nothing_to_see_unless_that_is_wanted() {
    let bench = Bench::start(PLAIN);
    assert!(bench.driver().status_addresses().is_empty());
    assert!(!bench.log().contains("the status is at"));
}

#[test]
fn a_path_has_its_page_and_is_only_looked_at() {
    let bench = Bench::start(WATCHED);
    let at = address(&bench);
    bench.wait_for(&format!("the status is at http://{at}"));
    for (line, code, words) in [
        ("GET /healthz", 200, "ok\n"),
        ("GET /healthz?verbose", 200, "ok\n"),
        ("GET http://localhost:1/healthz", 200, "ok\n"),
        ("GET http://elsewhere/healthz", 421, "for this machine"),
        ("GET /healthz HTTP/1.0", 200, "ok\n"),
        ("HEAD /healthz", 200, ""),
        ("GET /", 200, "/status.json"),
        ("HEAD /status.json", 200, ""),
        ("GET /status", 404, "not found"),
        ("GET /healthz/", 404, "not found"),
        ("GET //healthz", 404, "not found"),
        ("GET /../healthz", 404, "not found"),
        ("GET ftp://x/healthz", 400, "a path"),
        ("OPTIONS *", 400, "a path"),
        ("POST /healthz", 405, "GET"),
        ("POST /status.json", 405, "GET"),
        ("DELETE /", 405, "GET"),
        ("CONNECT x:1", 400, "a path"),
        ("GET", 400, ""),
        ("nonsense", 400, ""),
    ] {
        let response = ask(at, line);
        assert_eq!(response.status, code, "{line}");
        assert!(response.text().contains(words), "{line}: {response:?}");
        if code == 405 {
            assert_eq!(response.header("allow"), Some("GET, HEAD"));
        }
        if code == 200 {
            assert_eq!(response.header("cache-control"), Some("no-store"));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let head = ask(at, "HEAD /status.json");
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > 100, "{head:?}");
}

#[test]
fn the_document_tells_of_the_driver_and_its_uplinks() {
    let bench = Bench::start(WATCHED);
    let at = address(&bench);
    let document = status(at);
    assert_eq!(document["state"], "online");
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        document["guid"],
        "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01"
    );
    assert_eq!(document["clients"], 0);
    assert!(document["uptime"].as_u64().unwrap() < 3600);
    let uplink = &document["uplinks"][0];
    assert_eq!(
        (&uplink["name"], &uplink["up"]),
        (&"host".into(), &true.into())
    );
    let mut client = log_in(bench.addresses()[0], "admin", "secret").unwrap();
    client.must("send 0,20,3,,,,-,1");
    let document = status(at);
    assert_eq!(document["clients"], 1);
    assert_eq!(document["events"]["submitted"], 1);
    assert_eq!(document["uplinks"][0]["waiting"], 1);
    bench.driver().read(PATIENCE).unwrap();
    let document = status(at);
    assert_eq!(document["uplinks"][0]["waiting"], 0);
    assert_eq!(document["uplinks"][0]["delivered"], 1);
}

#[test]
fn it_is_well_while_the_broker_is_there() {
    let mut broker = Mosquitto::start();
    let section = mqtt(broker.port(), "events");
    let bench = Bench::start(&format!("{WATCHED}, \"mqtt\": {section}"));
    let at = address(&bench);
    let place = format!("127.0.0.1:{}", broker.port());
    wait_until("the broker is there", || {
        ask(at, "GET /healthz").status == 200
    });
    assert_eq!(status(at)["uplinks"][0]["up"], true);
    broker.stop();
    wait_until("it is noticed", || ask(at, "GET /healthz").status == 503);
    let response = ask(at, "GET /healthz");
    let words = response.text();
    assert!(words.starts_with(&format!("{place} is down: ")), "{words}");
    let uplink = &status(at)["uplinks"][0];
    assert_eq!(uplink["up"], false);
    let trouble = uplink["trouble"].as_str().unwrap();
    assert!(!trouble.is_empty());
    broker.go();
    wait_until("the broker is there again", || {
        ask(at, "GET /healthz").status == 200
    });
}

#[test]
fn a_web_page_cannot_read_it_under_its_own_name() {
    let bench = Bench::start(WATCHED);
    let at = address(&bench);
    let asked_as = |host: &str| {
        let mut raw = Raw::connect(at);
        raw.try_send(request("GET /status.json", &[("Host", host)]));
        raw.response().status
    };
    assert_eq!(asked_as("evil.example"), 421);
    assert_eq!(asked_as(&at.to_string()), 200);
    // Who lists those who may look has names for them.
    let list = WATCHED.replace("127.0.0.1:0\"}", "127.0.0.1:0\", \"allow\": \"127.0.0.1\"}");
    assert_ne!(list, WATCHED);
    bench.edit(&list);
    bench.wait_for("configuration changed: status");
    assert_eq!(asked_as("watched.example"), 200);
}

/// Connects from another address of this machine.
fn from(source: &str, to: SocketAddr) -> Raw {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Raw::over(TcpStream::from(socket))
}

fn code(mut raw: Raw) -> u16 {
    raw.try_send(request("GET /healthz", &[("Host", "x")]));
    raw.response().status
}

#[test]
fn who_is_not_on_the_list_sees_nothing() {
    let section = |allow: &str| {
        format!("{PLAIN}, \"status\": {{\"interface\": \"127.0.0.1:0\", \"allow\": {allow}}}")
    };
    let bench = Bench::start(&section("[\"127.0.0.2\"]"));
    let at = address(&bench);
    assert_eq!(code(from("127.0.0.2", at)), 200);
    let mut refused = from("127.0.0.3", at);
    refused.try_send(request("GET /healthz", &[("Host", "x")]));
    let response = refused.response();
    assert_eq!(response.status, 403);
    assert_eq!(response.text(), "status.allow does not let you in\n");
    assert_eq!(refused.rest(), b"");
    // Another list counts for whoever comes next, at the same address.
    bench.edit(&section("[\"*\", \"-127.0.0.2\"]"));
    bench.wait_for("configuration changed: status");
    assert_eq!(address(&bench), at);
    assert_eq!(code(from("127.0.0.2", at)), 403);
    assert_eq!(code(from("127.0.0.3", at)), 200);
    let log = bench.log();
    assert_eq!(log.matches("the status is at").count(), 1, "{log}");
}

#[test]
fn whatever_is_asked_is_bounded() {
    let bench = Bench::start(WATCHED);
    let at = address(&bench);
    // A head that is too large.
    let mut raw = Raw::connect(at);
    raw.try_send("GET /healthz HTTP/1.1\r\nHost: x\r\nX: ");
    raw.try_send(vec![b'x'; 1024 * 1024]);
    let came = raw.rest_or_reset();
    assert!(!came.starts_with(b"HTTP/1.1 2"), "{came:?}");
    // One with too many lines.
    let lines = vec![("X", "x"); 1000];
    let mut raw = Raw::connect(at);
    raw.try_send(request("GET /healthz", &lines));
    assert_eq!(raw.response().status, 431);
    // A body, which nobody reads.
    let mut raw = Raw::connect(at);
    raw.try_send(request(
        "POST /metrics",
        &[("Host", "localhost"), ("Content-Length", "1000000000")],
    ));
    assert!(matches!(raw.response().status, 404 | 405));
    while raw.try_send([0; 64 * 1024]) {}
    // Two requests on one connection.
    let mut raw = Raw::connect(at);
    let one = request("GET /healthz", &[("Host", "localhost")]);
    raw.send(format!("{one}{one}"));
    assert_eq!(raw.response().status, 200);
    assert_eq!(raw.rest_or_reset(), b"");
    assert_eq!(ask(at, "GET /healthz").status, 200);
}

#[test]
fn who_holds_all_places_loses_them_soon() {
    let bench = Bench::start(WATCHED);
    let at = address(&bench);
    let start = Instant::now();
    let mut crowd: Vec<Raw> = (0..MOST).map(|_| Raw::connect(at)).collect();
    for raw in &mut crowd {
        raw.send("GET /healthz HTTP/1.1\r\nHo");
    }
    wait_until("all places are taken", || {
        let mut raw = Raw::connect(at);
        raw.try_send(request("GET /healthz", &[("Host", "localhost")]));
        raw.response().status == 503
    });
    // Clients come and go meanwhile.
    assert!(log_in(bench.addresses()[0], "admin", "secret").is_some());
    // A byte now and then makes no difference.
    let mut raw = crowd.pop().unwrap();
    while raw.try_send("s") && start.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(start.elapsed() < PATIENCE, "it goes on for ever");
    for mut raw in crowd {
        assert_eq!(raw.rest_or_reset(), b"");
    }
    assert_eq!(ask(at, "GET /healthz").status, 200);
}

#[test]
fn another_interface_is_opened_alone() {
    let section =
        |port: u16| format!("{PLAIN}, \"status\": {{\"interface\": \"127.0.0.1:{port}\"}}");
    let (one, other) = (free_port(), free_port());
    let bench = Bench::start(&section(one));
    let mut client = log_in(bench.addresses()[0], "admin", "secret").unwrap();
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(ask(at(one), "GET /healthz").status, 200);
    bench.edit(&section(other));
    bench.wait_for("configuration changed: status");
    assert_eq!(ask(at(other), "GET /healthz").status, 200);
    assert!(TcpStream::connect(at(one)).is_err(), "it is closed");
    // The same port, by another name.
    bench.edit(&format!(
        "{PLAIN}, \"status\": {{\"interface\": \"localhost:{other}\"}}"
    ));
    bench.wait_for_times("configuration changed: status", 2);
    assert_eq!(ask(at(other), "GET /healthz").status, 200);
    // What cannot be had changes nothing, and is tried again.
    let taken = std::net::TcpListener::bind(at(one)).unwrap();
    bench.edit(&section(one));
    bench.wait_for("is tried again: the status cannot be shown: cannot listen on");
    assert_eq!(ask(at(other), "GET /healthz").status, 200);
    drop(taken);
    wait_until("it is had", || TcpStream::connect(at(one)).is_ok());
    assert_eq!(ask(at(one), "GET /healthz").status, 200);
    // Nor where that is only known once its port is free: somebody has it at another address.
    let taken = std::net::TcpListener::bind(("127.0.0.2", one)).unwrap();
    bench.edit(&format!(
        "{PLAIN}, \"status\": {{\"interface\": \"0.0.0.0:{one}\", \"allow\": \"*\"}}"
    ));
    bench.wait_for("cannot listen on 0.0.0.0");
    wait_until("it is as it was", || TcpStream::connect(at(one)).is_ok());
    drop(taken);
    // What is not safe changes nothing either.
    bench.edit(&format!(
        "{PLAIN}, \"status\": {{\"interface\": \"{other}\"}}"
    ));
    bench.wait_for("status.interface: others could look there");
    assert_eq!(ask(at(one), "GET /healthz").status, 200);
    bench.edit(PLAIN);
    wait_until("it is closed", || TcpStream::connect(at(one)).is_err());
    assert_eq!(client.must("noop"), ["+OK - Success."]);
}

#[test]
fn where_it_cannot_be_shown_the_driver_does_not_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = tempfile::TempDir::new().unwrap();
    let log = place.path().join("log");
    let open = |status: &str| {
        let config =
            format!("{{{PLAIN}, \"status\": {status}, \"logging\": {{\"file-path\": {log:?}}}}}");
        let guid = "::1".parse().unwrap();
        vscpl2drv_link::driver::Driver::open(vscpl2drv_link::driver::Source { config, guid })
    };
    let address = taken.local_addr().unwrap();
    for (status, words) in [
        (
            format!("{{\"interface\": \"{address}\"}}"),
            "the status cannot be shown: cannot listen on",
        ),
        (
            "{\"interface\": \"0.0.0.0:0\"}".to_owned(),
            "status.interface: others could look there",
        ),
        (
            "{\"interface\": \"0.0.0.0:0\", \"allow\": [\"near\"]}".to_owned(),
            "status.allow: entry 1",
        ),
    ] {
        assert!(open(&status).is_none(), "{status}");
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains(words), "{words}: {log}");
    }
    assert!(open("{\"interface\": \"0.0.0.0:0\", \"allow\": \"127.0.0.1\"}").is_some());
}

//! SHUTDOWN, RESTART, limits, and what one client may do to another.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::Guid;

mod support;

use support::bench::answers;
use support::client::Client;
use support::dialogue;
use support::mosquitto::free_port;
use support::tools::{PATIENCE, wait_until};

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";

fn config(address: SocketAddr, log: &Path, more: &str) -> String {
    format!(
        "{{\"interface\": \"tcp://{address}\", \"abi\": \"v2\", \"path-users\": {:?}, {more} \
          \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\"}}}}",
        dialogue::users(),
    )
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn open(config: &str) -> Driver {
    let source = Source {
        config: config.to_owned(),
        guid: GUID.parse().unwrap(),
    };
    Driver::open(source).expect("the driver opens")
}

/// One line of the log says what admin did, and from where.
fn assert_says(log: &Path, what: &str) -> String {
    let text = fs::read_to_string(log).unwrap();
    let mut lines = text.lines().filter(|line| line.contains(what));
    let line = lines.next().unwrap_or_else(|| panic!("{what}: {text}"));
    let who = format!("{what} client=127.0.0.1:");
    assert!(
        line.contains(&who) && line.contains(" user=admin"),
        "{line}"
    );
    assert_eq!(lines.next(), None);
    line.to_owned()
}

#[test]
fn shutdown_stops_serving_and_not_the_host() {
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    let driver = open(&config(any_port(), &log, ""));
    let address = driver.addresses()[0];
    let mut other = Client::log_in(address);
    let mut admin = Client::log_in(address);
    admin.must("send 0,20,3,,,,-,7");
    assert_eq!(admin.ask("shutdown"), ["+OK - Success."]);
    assert_eq!(admin.line(), None);
    assert_eq!(other.line(), None, "closed without a word");
    wait_until("nobody listens", || TcpStream::connect(address).is_err());
    // The host's side goes on: what was taken is handed over.
    assert_eq!(*driver.read(PATIENCE).unwrap().data, [7]);
    driver.close();
    assert_says(&log, "SHUTDOWN: the driver stops serving");
}

#[test]
fn restart_reads_the_configuration_afresh_and_loses_nothing() {
    let place = TempDir::new().unwrap();
    let (file, log) = (place.path().join("link.json"), place.path().join("log"));
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    fs::write(&file, config(address, &log, "")).unwrap();
    let driver = open(file.to_str().unwrap());
    let mut admin = Client::log_in(address);
    admin.must("send 0,20,3,,,,-,7");

    fs::write(&file, "{\"interface\": 5}").unwrap();
    assert_eq!(admin.ask("restart"), ["-OK - Server Internal error."]);
    admin.must("noop");

    let changed = "\"variables\": {\"new\": \"0,20,4,,,,-,8\"},";
    fs::write(&file, config(address, &log, changed)).unwrap();
    assert_eq!(admin.ask("send $new"), ["-OK - Variable is not defined."]);
    assert_eq!(admin.ask("restart"), ["+OK - Success."]);
    assert_eq!(admin.line(), None);
    // Connections that the old listener had not accepted are gone with it.
    wait_until("it serves again", || answers(address));
    let mut admin = Client::log_in(address);
    admin.must("send $new");
    assert_eq!(
        *driver.read(PATIENCE).unwrap().data,
        [7],
        "from before the restart"
    );
    assert_eq!(*driver.read(PATIENCE).unwrap().data, [8]);
    driver.close();
    assert_says(&log, "RESTART refused: the configuration has errors");
    assert_says(&log, "RESTART: the driver starts again");
}

#[test]
fn one_client_too_many_is_told_and_its_place_is_given_again() {
    let place = TempDir::new().unwrap();
    let driver = open(&config(
        any_port(),
        &place.path().join("log"),
        "\"max-clients\": 2,",
    ));
    let address = driver.addresses()[0];
    let one = Client::connect(address);
    let _two = Client::log_in(address);
    let mut third = TcpStream::connect(address).unwrap();
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    // It has said something already: the refusal must arrive all the same.
    third.write_all(b"user admin\r\npass secret\r\n").unwrap();
    let mut text = String::new();
    third.read_to_string(&mut text).unwrap();
    assert_eq!(text, "-OK - Max number of clients connected.\r\n");
    drop(one);
    wait_until("the place is free", || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).is_ok() && first == *b"W"
    });
    driver.close();
}

#[test]
fn interface_close_ends_the_other_client() {
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    let driver = open(&config(any_port(), &log, ""));
    let address = driver.addresses()[0];
    let mut victim = Client::log_in(address);
    victim.must("rcvloop");
    let mut admin = Client::log_in(address);
    let rows = admin.must("interface list");
    assert_eq!(rows.len(), 3);
    let guid = rows[0].split(',').nth(2).unwrap().to_owned();
    admin.must(&format!("interface close {guid}"));
    while let Some(line) = victim.line() {
        assert_eq!(line, "+OK");
    }
    wait_until("it is gone", || admin.ask("interface").len() == 2);
    driver.close();
    let ended = assert_says(&log, "INTERFACE CLOSE");
    assert!(ended.contains(" ended=127.0.0.1:"), "{ended}");
}

#[test]
fn an_event_for_a_channel_reaches_that_client_alone() {
    let place = TempDir::new().unwrap();
    let driver = open(&config(any_port(), &place.path().join("log"), ""));
    let address = driver.addresses()[0];
    let mut clients: Vec<Client> = (0..3).map(|_| Client::log_in(address)).collect();
    let guid = clients[1].must("ggid")[0].clone();
    let bytes: Vec<String> = guid.split(':').map(|byte| format!("0x{byte}")).collect();
    clients[0].must(&format!("send 0,532,3,,,,-,{},1", bytes.join(",")));
    let counts: Vec<String> = clients
        .iter_mut()
        .map(|c| c.must("cdta")[0].clone())
        .collect();
    assert_eq!(counts, ["0", "1", "0"]);
    assert!(driver.read(Duration::ZERO).is_err(), "and nobody else");
    driver.close();
}

#[test]
fn the_log_says_why_a_driver_does_not_start() {
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let source = |config: String| Source {
        config,
        guid: Guid::ZERO,
    };
    let busy = config(taken.local_addr().unwrap(), &log, "");
    assert!(Driver::open(source(busy)).is_none());
    let topic = "\"mqtt\": {\"publish\": [{\"topic\": \"a/{{clas}}\"}]},";
    assert!(Driver::open(source(config(any_port(), &log, topic))).is_none());
    let nobody = "\"bridge\": {\"publish\": \"driver\"},";
    assert!(Driver::open(source(config(any_port(), &log, nobody))).is_none());
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("does not start"))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].contains("cannot listen on") && lines[0].contains("in use"),
        "{text}"
    );
    assert!(lines[1].contains("mqtt.publish[0].topic") && text.contains("character 3"));
    assert!(lines[2].contains("bridge.publish"), "{text}");
}

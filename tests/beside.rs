//! The driver in a daemon that has an MQTT client of its own, with the same section.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;

mod support;

use support::bench::wait_for_broker;
use support::client::Client;
use support::dialogue;
use support::host::{Host, Layout, compile};
use support::mosquitto::{Mosquitto, Subscriber, free_port, publish};

/// The GUID that the C host opens with.
const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";

/// A driver file and a daemon's file with an entry for it.
struct Files {
    place: TempDir,
    config: PathBuf,
    address: SocketAddr,
}

fn files(mqtt: &str, bridge: &str) -> Files {
    let place = TempDir::new().unwrap();
    let (config, daemon) = (
        place.path().join("link.json"),
        place.path().join("vscpd.json"),
    );
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    std::fs::write(
        &config,
        format!(
            "{{\"interface\": \"tcp://{address}\", \"abi\": \"v2\", \"path-users\": {:?}, \
              \"logging\": {{\"file-path\": {:?}}}, \"bridge\": {{{bridge} \"vscpd-config\": {daemon:?}}}}}",
            dialogue::users(),
            place.path().join("log"),
        ),
    )
    .unwrap();
    std::fs::write(
        &daemon,
        format!(
            "{{\"guid\": \"::2\", \"drivers\": {{\"level1\": [], \"level2\": [{{\"enable\": true, \
              \"name\": \"link\", \"path-config\": {config:?}, \"path-driver\": \"x\", \
              \"guid\": \"{GUID}\", \"mqtt\": {{{mqtt}}}}}]}}}}"
        ),
    )
    .unwrap();
    Files {
        place,
        config,
        address,
    }
}

impl Files {
    fn start(&self) -> Host {
        let program = compile(Layout::V2, self.place.path());
        Host::start(&program, self.config.to_str().unwrap())
    }
}

#[test]
fn nothing_is_doubled_and_nobody_is_thrown_out() {
    let broker = Mosquitto::start();
    let section = format!(
        "\"host\": \"127.0.0.1\", \"port\": {}, \"clientid\": \"the-daemon\", \"bcleansession\": false, \
         \"publish\": [{{\"topic\": \"vscp/{{{{class}}}}\", \"qos\": 1, \"format\": \"string\"}}], \
         \"subscribe\": [{{\"topic\": \"to/#\", \"qos\": 1}}], \
         \"will\": {{\"topic\": \"w/{{{{srvguid[15]}}}}\", \"payload\": \"gone\", \"qos\": 1}}",
        broker.port()
    );
    let files = files(&section, "");
    // The daemon's client, with its id, on everything.
    let daemon = Subscriber::with(broker.port(), "#", 1, "got %t %p", &["-i", "the-daemon"]);
    let mut host = files.start();
    let mut client = Client::log_in(files.address);
    wait_for_broker(&mut client);
    for n in [1, 2] {
        client.must(&format!("send 0,20,3,0,,,::1,{n}"));
        let (topic, payload) = daemon.message();
        assert_eq!(topic, "vscp/20");
        assert!(
            payload.ends_with(&format!(",0x0{n}")),
            "once each: {payload}"
        );
    }
    assert_eq!(
        host.ask("read 50"),
        "code 32",
        "the daemon has nothing to publish"
    );
    client.must("rcvloop");
    for n in [3, 4] {
        publish(broker.port(), "to/x", &format!("0,20,3,0,,,::1,{n}"));
        assert_eq!(daemon.message().0, "to/x");
        // The daemon got it as well, and hands it on.
        assert_eq!(
            host.ask(&format!("write 0 20 3 0 1004724001 0 {n}")),
            "code 0"
        );
        assert!(client.event().ends_with(&format!(",0x0{n}")), "once each");
    }
    host.kill();
    assert_eq!(daemon.message(), ("w/2/link".to_owned(), "gone".to_owned()));
}

#[test]
fn a_daemon_is_not_given_what_it_cannot_bear() {
    const REFUSED: [&str; 1] = ["-OK - Invalid parameter or format"];
    let bridge = "\"publish\": \"host\", \"subscribe\": \"host\",";
    let sizes = |count: usize, byte: u8| vec![byte.to_string(); count].join(",");
    let files_of = |formats: &[&str], block: bool| {
        let topics: Vec<String> = formats
            .iter()
            .map(|format| format!("{{\"topic\": \"a\", \"format\": \"{format}\"}}"))
            .collect();
        let section = format!(
            "\"bjsonmeasurementblock\": {block}, \"publish\": [{}]",
            topics.join(", ")
        );
        files(&section, bridge)
    };
    let files = files_of(&["binary", "json"], true);
    let mut host = files.start();
    let mut client = Client::log_in(files.address);
    for bad in [
        "send 0,1060,6,,,,-".to_owned(),
        "send 0,1060,6,,,,-,1,2,3,4,5".to_owned(),
        "send 0,1040,6,,,,-,1,2,3".to_owned(),
        format!("send 0,20,3,,,,-,{}", sizes(512, 255)),
        format!("send 0,20,3,,,,-,{}", sizes(260, 255)),
    ] {
        assert_eq!(client.ask(&bad), REFUSED, "{bad}");
    }
    for good in [
        "send 0,1040,6,,,,-,1,2,3,0,49".to_owned(),
        format!("send 0,20,3,,,,-,{}", sizes(160, 255)),
        "send 0,20,3,,,,-,7".to_owned(),
    ] {
        client.must(&good);
    }
    // Nothing else came through.
    assert!(host.read().contains("1040"));
    assert!(host.read().contains("255"));
    host.read();
    assert_eq!(host.ask("read 50"), "code 32");
    host.end();
    // Where the daemon publishes frames alone, it bears everything.
    let files = files_of(&["binary"], true);
    let host = files.start();
    let mut client = Client::log_in(files.address);
    client.must(&format!("send 0,20,3,,,,-,{}", sizes(512, 255)));
    client.must("send 0,1060,6,,,,-");
    host.end();
}

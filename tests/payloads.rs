//! Every payload format through a real mosquitto, byte for byte, and back.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::Write;
use std::process::{Command, Stdio};

mod support;

use support::bench::open;
use support::mosquitto::{Mosquitto, Subscriber};
use support::tools::need;

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";
/// Head 0x60, obid 7, 2001-11-02T18:00:01Z and 817923 µs, class 20, type 3.
const EVENT: &str = "0x60,20,3,7,2001-11-02T18:00:01Z,817923,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0,1,35";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let plain: String = hex.split_whitespace().collect();
    (0..plain.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&plain[at..at + 2], 16).unwrap())
        .collect()
}

/// What the daemon of each generation publishes for the event, in the order of [`topics`].
fn payloads(generation: &str) -> [Vec<u8>; 4] {
    if generation == "v2" {
        [
            format!(
                "{{\n\"head\": 352,\n\"obid\": 7,\n\"datetime\": \"2001-11-02T18:00:01Z\",\n\
                 \"timestamp_ns\": \"0x0df17f2809aa8db8\",\n\"class\": 20,\n\"type\": 3,\n\
                 \"guid\": \"{GUID}\",\n\"data\": [0,1,35],\n\"note\": \"\"\n}}"
            )
            .into_bytes(),
            format!(
                "<event head=\"352\" obid=\"7\" datetime=\"2001-11-02T18:00:01Z\" \
                 timestamp=\"1004724001817923000\" class=\"20\" type=\"3\" guid=\"{GUID}\" \
                 data=\"0x00,0x01,0x23\" />"
            )
            .into_bytes(),
            format!("352,20,3,7,,1004724001817923000,{GUID},0x00,0x01,0x23").into_bytes(),
            bytes(
                "00 10 01 60 0D F1 7F 28 09 AA 8D B8 00 00 00 00 14 00 03 FF FF FF FF FF FF FF F5 \
                 02 88 88 00 00 00 00 01 00 03 00 01 23 7F 31",
            ),
        ]
    } else {
        [
            format!(
                "{{\n\"vscpHead\": 96,\n\"vscpObId\":  7,\n\
                 \"vscpDateTime\": \"2001-11-02T18:00:01Z\",\n\"vscpTimeStamp\": 817923,\n\
                 \"vscpClass\": 20,\n\"vscpType\": 3,\n\"vscpGuid\": \"{GUID}\",\n\
                 \"vscpData\": [0,1,35],\n\"vscpNote\": \"\"\n}}"
            )
            .into_bytes(),
            format!(
                "<event vscpHead=\"96\" vscpObId=\"7\" vscpDateTime=\"2001-11-02T18:00:01Z\" \
                 vscpTimeStamp=\"817923\" vscpClass=\"20\" vscpType=\"3\" vscpGuid=\"{GUID}\" \
                 vscpData=\"0x00,0x01,0x23\" />"
            )
            .into_bytes(),
            format!("96,20,3,7,2001-11-02T18:00:01Z,817923,{GUID},0x00,0x01,0x23").into_bytes(),
            bytes(
                "00 00 00 60 00 0C 7B 03 07 D1 0B 02 12 00 01 00 14 00 03 FF FF FF FF FF FF FF F5 \
                 02 88 88 00 00 00 00 01 00 03 00 01 23 43 58",
            ),
        ]
    }
}

fn topics() -> String {
    let topic = |format: &str| {
        format!("{{\"topic\": \"out/{format}\", \"qos\": 1, \"format\": \"{format}\"}}")
    };
    let all: Vec<String> = ["json", "xml", "string", "binary"].map(topic).to_vec();
    format!("\"publish\": [{}]", all.join(", "))
}

fn publish(port: u16, topic: &str, payload: &[u8]) {
    let mut process = Command::new(need("mosquitto_pub"))
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-q",
            "1",
            "-t",
            topic,
            "-s",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(payload).unwrap();
    assert!(process.wait().unwrap().success());
}

#[test]
fn byte_for_byte_out_and_in_again() {
    let broker = Mosquitto::start();
    for generation in ["v2", "classic"] {
        let section = format!(
            "\"generation\": \"{generation}\", {}, \"subscribe\": [{{\"topic\": \"in/auto\", \"qos\": 1}}, \
             {{\"topic\": \"in/json\", \"qos\": 1, \"format\": \"json\"}}, \
             {{\"topic\": \"in/xml\", \"qos\": 1, \"format\": \"xml\"}}, \
             {{\"topic\": \"in/string\", \"qos\": 1, \"format\": \"string\"}}, \
             {{\"topic\": \"in/binary\", \"qos\": 1, \"format\": \"binary\"}}]",
            topics()
        );
        let bench = open(broker.port(), "", &section);
        let subscriber = Subscriber::with(broker.port(), "out/#", 1, "got %t %x", &[]);
        let mut client = bench.client();
        client.must(&format!("send {EVENT}"));
        for (format, payload) in ["json", "xml", "string", "binary"]
            .iter()
            .zip(payloads(generation))
        {
            let (topic, found) = subscriber.message();
            assert_eq!(topic, format!("out/{format}"));
            assert_eq!(found, hex(&payload), "{format} of {generation}");
        }
        client.must("rcvloop");
        // What either generation publishes comes in, told apart or by its name.
        for other in ["v2", "classic"] {
            let formats = ["json", "xml", "string", "binary"];
            for (format, payload) in formats.iter().zip(payloads(other)) {
                for topic in ["auto", format] {
                    publish(broker.port(), &format!("in/{topic}"), &payload);
                    let obid = if *format == "binary" { 0 } else { 7 };
                    assert_eq!(
                        client.event(),
                        format!("96,20,3,{obid},2001-11-02T18:00:01Z,817923,{GUID},0x00,0x01,0x23"),
                        "{format} of {other} on {topic}"
                    );
                }
                // In another format it is no event.
                for wrong in formats.iter().filter(|wrong| *wrong != format) {
                    publish(broker.port(), &format!("in/{wrong}"), &payload);
                }
            }
            // A frame without the byte before it, as the specification has it.
            let frame = &payloads(other)[3][1..];
            publish(broker.port(), "in/auto", frame);
            assert!(client.event().starts_with("96,20,3,0,"));
        }
        // Both sets of names in one object, blanks before it, a time that is missing.
        publish(
            broker.port(),
            "in/auto",
            b" \n\t{\"vscpClass\": 20, \"class\": 20, \"vscpType\": 9, \"data\": [1]}",
        );
        assert!(client.event().starts_with("0,20,9,0,"));
        client.must("quitloop");
        // 12 payloads of a wrong format for each generation; none became an event of zeros.
        assert_eq!(client.ask("cdta")[0], "0");
        bench.host.end();
    }
}

#[test]
fn a_measurement_carries_its_value() {
    let broker = Mosquitto::start();
    for (block, expected) in [
        (true, "\"value\":69.46"),
        (false, "\"data\": [138,130,27,34]"),
    ] {
        let section = format!(
            "\"bjsonmeasurementblock\": {block}, \
             \"publish\": [{{\"topic\": \"t/{{{{measurement-value}}}}\", \"qos\": 1}}]"
        );
        let bench = open(broker.port(), "", &section);
        let subscriber = Subscriber::with(broker.port(), "t/#", 1, "got %t %x", &[]);
        let mut client = bench.client();
        client.must("send 0,10,6,0,2001-11-02T18:00:01Z,0,::1,0x8A,0x82,0x1B,0x22");
        let (topic, payload) = subscriber.message();
        assert_eq!(topic, "t/69.46");
        let text = String::from_utf8(bytes(&payload)).unwrap();
        assert!(text.contains(expected), "{text}");
        bench.host.end();
    }
}

#[test]
fn topics_as_the_daemon_makes_them() {
    let broker = Mosquitto::start();
    let section = "\"topic-compat\": \"vscpd\", \"generation\": \"classic\", \"publish\": [\
        {\"topic\": \"vscp/{{guid}}/{{class}}/{{type}}/{{nodeid}}\", \"qos\": 1, \"format\": \"string\"}], \
        \"subscribe\": [{\"topic\": \"to/{{guid}}/#\", \"qos\": 1}]";
    let bench = open(broker.port(), "", section);
    let subscriber = Subscriber::start(broker.port(), "vscp/#", 1);
    let mut client = bench.client();
    client.must(&format!("send {EVENT}"));
    assert_eq!(subscriber.message().0, format!("vscp/{GUID}/20/3/"));
    client.must("rcvloop");
    publish(broker.port(), "to//x", b"0,20,4,0,,,-");
    assert!(client.event().starts_with("0,20,4,"));
    bench.host.end();
}

/// An echo in binary carries no obid, and is recognised all the same.
#[test]
fn an_echo_in_each_format_is_recognised() {
    let broker = Mosquitto::start();
    for format in ["binary", "xml", "json", "string"] {
        let section = format!(
            "\"publish\": [{{\"topic\": \"meet\", \"qos\": 1, \"format\": \"{format}\"}}], \
             \"subscribe\": [{{\"topic\": \"meet\", \"qos\": 1}}]"
        );
        let bench = open(broker.port(), "\"receive-sent-events\": false,", &section);
        let mut sender = bench.client();
        let mut other = bench.client();
        other.must("rcvloop");
        for _ in 0..2 {
            sender.must(&format!("send {EVENT}"));
        }
        for _ in 0..2 {
            // The obid is that of the sender's channel again.
            assert!(other.event().starts_with("96,20,3,1,"), "{format}");
        }
        assert_eq!(sender.ask("cdta")[0], "0", "{format}");
        // The same from somebody else is not the sender's.
        publish(
            broker.port(),
            "meet",
            b"0x60,20,3,0,,,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0,1,35",
        );
        other.event();
        assert_eq!(sender.ask("cdta")[0], "1", "{format}");
        bench.host.end();
    }
}

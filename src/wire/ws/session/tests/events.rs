//! Events, in and out.

use super::*;
use crate::event::tests::any_event;
use crate::event::{MAX_DATA, json, text};

const PARSE: Code = Code::Parse;

fn defaults() -> Defaults {
    Defaults {
        now: NOW,
        obid: 7,
        guid: CHANNEL.parse().unwrap(),
    }
}

/// What becomes of an event that the administrator sends.
fn sent(dialect: Dialect, message: &str) -> Option<Event> {
    let mut bench = Bench::of(dialect, "admin");
    let answer = bench.say(message);
    let event = bench.submitted.pop();
    let want = match (dialect, &event) {
        (Dialect::Ws1, Some(_)) => "+;EVENT".to_owned(),
        (Dialect::Ws2, Some(_)) => ws2_done("EVENT"),
        (Dialect::Ws1, None) => "-;EVENT;8;Parse error, invalid format.".to_owned(),
        (Dialect::Ws2, None) => ws2_error("EVENT", PARSE),
    };
    assert_eq!(answer, want, "{message}");
    assert_eq!(bench.session.take_refused(), None);
    event
}

#[test]
fn byte_for_byte() {
    let event = Event {
        head: crate::event::Head::new(0),
        class: 20,
        vscp_type: 3,
        obid: 0,
        guid: "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01"
            .parse()
            .unwrap(),
        time: EventTime::Classic {
            seconds: 1_762_942_272,
            micros: 123_456,
        },
        data: vec![0, 1, 35].try_into().unwrap(),
    };
    let text = |dialect, event: &Event, generation| {
        let mut out = Vec::new();
        write_event(dialect, event, generation, &mut out);
        String::from_utf8(out).unwrap()
    };
    let ws1 = "E;0,20,3,0,2025-11-12T10:11:12Z,123456,\
        FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0x00,0x01,0x23";
    assert_eq!(text(WS1, &event, Generation::V2), ws1);
    assert_eq!(
        text(WS2, &event, Generation::Classic),
        "{ \"type\" : \"EVENT\",  \"event\" :  {\n\"vscpHead\": 0,\n\"vscpObId\":  0,\n\
         \"vscpDateTime\": \"2025-11-12T10:11:12Z\",\n\"vscpTimeStamp\": 123456,\n\
         \"vscpClass\": 20,\n\"vscpType\": 3,\n\
         \"vscpGuid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\",\n\
         \"vscpData\": [0,1,35],\n\"vscpNote\": \"\"\n} }"
    );
    assert!(text(WS2, &event, Generation::V2).contains("\"timestamp_ns\": \"0x"));
    let bare = Event {
        data: Vec::new().try_into().unwrap(),
        ..event
    };
    assert_eq!(
        text(WS1, &bare, Generation::Classic),
        ws1.split(",0x").next().unwrap()
    );
}

#[test]
fn ws1_reads_what_clients_send() {
    let event = sent(
        WS1,
        "E;0,30,5,0,0,0,FF:FF:FF:FF:FF:FF:FF:F5:00:00:00:00:00:02:00:00,1,2",
    );
    let event = event.unwrap();
    assert_eq!((event.class, event.vscp_type, event.obid), (30, 5, 7));
    assert_eq!(event.time, EventTime::Unix { nanos: NOW });
    assert_eq!(*event.data, [1, 2]);
    let event = sent(
        WS1,
        "e;96,30,5,0,2025-11-12T10:11:12.345Z,0,-,0x10,0b1,0o7,",
    )
    .unwrap();
    assert_eq!((event.head.priority(), &*event.data), (3, &[16, 1, 7][..]));
    assert_eq!(event.guid, CHANNEL.parse().unwrap());
    assert_eq!(
        event.time,
        EventTime::Classic {
            seconds: 1_762_942_272,
            micros: 345_000
        }
    );
    for fields in [
        ",,,,,,",
        ", , , , , , ",
        "0,0,0,0,,,-",
        "0,0,0,4711,0,0x0,,",
    ] {
        let event = sent(WS1, &format!("E;{fields}")).unwrap();
        assert_eq!((event.class, event.obid, event.data.len()), (0, 7, 0));
        assert_eq!(event.guid, CHANNEL.parse().unwrap());
        assert_eq!(event.time, EventTime::Unix { nanos: NOW });
    }
    let event = sent(WS1, "E;0,20,3,0,2025-11-12T10:11:12Z,123456,-").unwrap();
    assert_eq!(event.time.micros(), 123_456);
    let event = sent(WS1, "E;0,20,3,0,,1762942272000000005,-").unwrap();
    assert_eq!(
        event.time,
        EventTime::Unix {
            nanos: 1_762_942_272_000_000_005
        }
    );
    let event = sent(
        WS1,
        "E;0,20,3,0,0,77,{00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F},1",
    );
    let event = event.unwrap();
    assert_eq!(
        (event.time.micros(), event.time.seconds()),
        (77, 1_762_942_272)
    );
    assert_eq!((event.guid.nickname(), &*event.data), (0x0E0F, &[1][..]));
}

#[test]
fn ws1_refuses_what_is_no_event() {
    for message in [
        "E",
        "E;",
        "E;0",
        "E;0,20,3,0,,",
        // The older form of SEND.
        "E;0,20,3,0,0,-",
        "E;0,20,3,0,77,-,1",
        "E;0,20,3,0,0,00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,1",
        "E;x,20,3,0,,,-",
        "E;0,65536,3,0,,,-",
        "E;0,20,-3,0,,,-",
        "E;0,20,3,4294967296,,,-",
        "E;0,20,3,0,yesterday,,-",
        "E;0,20,3,0,00,,-",
        "E;0,20,3,0,,x,-",
        "E;0,20,3,0,,,1:2",
        "E;0,20,3,0,,,ZZ",
        "E;0,20,3,0,,,-,256",
        "E;0,20,3,0,,,-,1,,2",
        "E;0,20,3,0,,,-,1,,",
        "E;0,20,3,0,,,-,1;",
    ] {
        assert_eq!(sent(WS1, message), None, "{message}");
    }
}

#[test]
fn as_much_data_as_an_event_has() {
    for (count, well) in [(MAX_DATA, true), (MAX_DATA + 1, false)] {
        let bytes = vec!["1"; count].join(",");
        assert_eq!(sent(WS1, &format!("E;0,20,3,,,,-,{bytes}")).is_some(), well);
        let message = format!(r#"{{"type": "E", "event": {{"class": 20, "data": [{bytes}]}}}}"#);
        assert_eq!(sent(WS2, &message).is_some(), well);
    }
}

#[test]
fn ws2_reads_every_family_of_names() {
    for members in [
        r#""vscpHead": 96, "vscpObId": 9, "vscpDateTime": "2025-11-12T10:11:12Z", "vscpTimeStamp": 5,
           "vscpClass": 30, "vscpType": 5, "vscpGuid": "::1", "vscpData": [1, 2], "vscpNote": """#,
        r#""head": 96, "obid": 9, "datetime": "2025-11-12T10:11:12Z", "timestamp": 5,
           "class": 30, "type": 5, "guid": "::1", "data": [1, 2], "note": "x""#,
        r#""head": 96, "obid": 9, "dateTime": "2025-11-12T10:11:12Z", "timestamp": 5,
           "vscpClass": 30, "vscpType": 5, "guid": "::1", "data": [1, 2], "note": "x""#,
    ] {
        let event = sent(
            WS2,
            &format!(r#"{{"type": "event", "event": {{{members}}}}}"#),
        )
        .unwrap();
        assert_eq!((event.head.classic(), event.obid), (96, 7));
        assert_eq!(
            (event.class, event.vscp_type, &*event.data),
            (30, 5, &[1, 2][..])
        );
        assert_eq!(
            (event.time.seconds(), event.time.micros()),
            (1_762_942_272, 5)
        );
        assert_eq!(event.guid.nickname(), 0xFF01);
    }
    let event = sent(WS2, r#"{"type": "E", "event": {}}"#).unwrap();
    assert_eq!((event.guid, event.obid), (CHANNEL.parse().unwrap(), 7));
    assert_eq!(event.time, EventTime::Unix { nanos: NOW });
    let event = sent(
        WS2,
        r#"{"type": "E", "event": {"guid": "-", "timestamp": 0, "dateTime": "2025-11-12T10:11:12.345678Z"}}"#,
    );
    assert_eq!(event.unwrap().guid, CHANNEL.parse().unwrap());
}

#[test]
fn ws2_refuses_what_is_no_event() {
    let deep = format!("{{\"x\": {}", "[".repeat(9000));
    for event in [
        "5",
        "null",
        "\"x\"",
        "[]",
        "[0, 0, 20]",
        r#"{"class": "20"}"#,
        r#"{"class": 65536}"#,
        r#"{"class": -1}"#,
        r#"{"vscpData": [300]}"#,
        r#"{"vscpData": ["1"]}"#,
        r#"{"vscpGuid": "ZZ"}"#,
        r#"{"dateTime": "yesterday"}"#,
        r#"{"class": 1, "vscpClass": 2}"#,
    ] {
        let message = format!(r#"{{"type": "E", "event": {event}}}"#);
        assert_eq!(sent(WS2, &message), None, "{event}");
    }
    assert_eq!(sent(WS2, r#"{"type": "E"}"#), None);
    let mut bench = Bench::of(WS2, "admin");
    let message = format!(r#"{{"type": "E", "event": {deep}}}"#);
    assert_eq!(bench.say(&message), ws2_error("EVENT", Code::UnknownType));
}

#[test]
fn who_may_send_what() {
    let said = |dialect, name: &str, class: u16| {
        let mut bench = Bench::of(dialect, name);
        let answer = bench.say(&match dialect {
            Dialect::Ws1 => format!("E;0,{class},3,,,,-"),
            Dialect::Ws2 => format!(r#"{{"type": "E", "event": {{"class": {class}, "type": 3}}}}"#),
        });
        let priority = bench.submitted.pop().map(|event| event.head.priority());
        (answer, priority, bench.session.take_refused())
    };
    let note = |code| Some(("EVENT", code));
    for class in [0, 512, 1024, 1028, 30] {
        let code = Code::EventRefused;
        let want = (ws1_error("EVENT", code), None, note(code));
        assert_eq!(said(WS1, "sender", class), want, "{class}");
        let code = Code::NoRight;
        let want = (ws2_error("EVENT", code), None, note(code));
        assert_eq!(said(WS2, "sender", class), want, "{class}");
    }
    for class in [20, 30] {
        let code = Code::NoRight;
        let want = (ws1_error("EVENT", code), None, note(code));
        assert_eq!(said(WS1, "guest", class), want);
        let want = (ws2_error("EVENT", code), None, note(code));
        assert_eq!(said(WS2, "guest", class), want);
    }
    // The priority is no higher than it may be.
    assert_eq!(
        said(WS1, "sender", 20),
        ("+;EVENT".to_owned(), Some(3), None)
    );
    assert_eq!(said(WS2, "sender", 20), (ws2_done("EVENT"), Some(3), None));
}

#[test]
fn a_full_buffer() {
    for dialect in [WS1, WS2] {
        let mut bench = Bench::of(dialect, "admin");
        bench.trouble = Some(Code::TransmitFull);
        let (answer, want) = match dialect {
            Dialect::Ws1 => (
                bench.say("E;,,,,,,"),
                "-;EVENT;3;Transmit buffer full.".to_owned(),
            ),
            Dialect::Ws2 => (
                bench.say(r#"{"type": "E", "event": {}}"#),
                ws2_error("EVENT", Code::TransmitFull),
            ),
        };
        assert_eq!(answer, want);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(event in any_event(), ws2: bool) {
        let dialect = if ws2 { WS2 } else { WS1 };
        for generation in [Generation::Classic, Generation::V2, Generation::Both] {
            let mut out = Vec::new();
            write_event(dialect, &event, generation, &mut out);
            let message = String::from_utf8(out).unwrap();
            // A GUID of zeros is the channel's, an obid of the client's is not looked at.
            let guid = if event.guid.is_zero() { CHANNEL.parse().unwrap() } else { event.guid };
            let back = sent(dialect, &message).unwrap();
            prop_assert_eq!(&Event { obid: 7, guid, time: back.time, ..event.clone() }, &back);
            prop_assert!(ws2 || back.time.seconds() == event.time.seconds());
        }
    }

    #[test]
    fn ws1_reads_as_send_does(line in "[0-9]{1,2},[0-9]{1,3},[0-9]{0,2},[0-9]{0,3},,[1-9][0-9]{0,3},(-|::1|),[0-9]{1,2}") {
        let event = text::parse(&line, &defaults()).map(|event| Event { obid: 7, ..event }).ok();
        prop_assert_eq!(sent(WS1, &format!("E;{line}")), event);
    }

    #[test]
    fn any_json_is_an_event_or_none(text in "[{}\\[\\]:,\"a-z0-9_ -]{0,60}") {
        let message = format!("{{\"type\": \"E\", \"event\": {text}}}");
        let sent = Bench::of(WS2, "admin").say(&message);
        if json::read(text.as_bytes(), &defaults()).is_ok() {
            prop_assert_eq!(sent, ws2_done("EVENT"));
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::event::tests::any_event;

const DEFAULTS: Defaults = Defaults {
    now: 1_700_000_000_123_456_789,
    obid: 0,
    guid: Guid::ZERO,
};
const V2: &str = "{\n\"head\": 352,\n\"obid\": 7,\n\"datetime\": \"2001-11-02T18:00:01Z\",\n\
    \"timestamp_ns\": \"0x0df17f2809aa8db8\",\n\"class\": 20,\n\"type\": 3,\n\
    \"guid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\",\n\"data\": [0,1,35],\n\"note\": \"\"\n}";
const CLASSIC: &str = "{\n\"vscpHead\": 96,\n\"vscpObId\":  7,\n\
    \"vscpDateTime\": \"2001-11-02T18:00:01Z\",\n\"vscpTimeStamp\": 817923,\n\"vscpClass\": 20,\n\
    \"vscpType\": 3,\n\"vscpGuid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\",\n\
    \"vscpData\": [0,1,35],\n\"vscpNote\": \"\"\n}";

fn text(event: &Event, generation: Generation) -> String {
    let mut out = Vec::new();
    write(event, generation, &mut out);
    String::from_utf8(out).unwrap()
}

fn get(json: &str) -> Event {
    read(json.as_bytes(), &DEFAULTS).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn byte_for_byte_as_the_daemons() {
    assert_eq!((V2.len(), CLASSIC.len()), (213, 232));
    let (v2, classic) = (get(V2), get(CLASSIC));
    assert_eq!(
        v2.time,
        EventTime::Unix {
            nanos: 1_004_724_001_817_923_000
        }
    );
    assert_eq!(
        classic.time,
        EventTime::Classic {
            seconds: 1_004_724_001,
            micros: 817_923
        }
    );
    for event in [v2, classic] {
        assert_eq!(text(&event, Generation::V2), V2);
        assert_eq!(text(&event, Generation::Classic), CLASSIC);
        let both = text(&event, Generation::Both);
        assert_eq!(
            both,
            format!("{},{}", CLASSIC.trim_end_matches("\n}"), &V2[1..])
        );
        assert_eq!(get(&both).head, event.head);
    }
}

#[test]
fn absent_members_and_mixed_names() {
    let event = get("{}");
    assert_eq!(
        (event.class, event.time),
        (
            0,
            EventTime::Unix {
                nanos: DEFAULTS.now
            }
        )
    );
    let event = get("{\"vscpClass\": 10, \"type\": 6, \"guid\": \"::9\", \"x\": {\"class\": 5}}");
    assert_eq!(
        (event.class, event.vscp_type, event.guid.nickname()),
        (10, 6, 0xFF09)
    );
    let event = get("{\"datetime\": \"2001-11-02T18:00:01.5Z\", \"timestamp_ns\": \"\\u0030\"}");
    assert_eq!(
        event.time,
        EventTime::Classic {
            seconds: 1_004_724_001,
            micros: 500_000
        }
    );
    let event = get("{\"dateTime\": \"2001-11-02T18:00:01\"}");
    assert_eq!(event.time.seconds(), 1_004_724_001);
    assert_eq!(
        get("{\"timestamp_ns\": 77}").time,
        EventTime::Unix { nanos: 77 }
    );
    assert_eq!(
        get("{\"timestamp_ns\": \"77\"}").time,
        EventTime::Unix { nanos: 77 }
    );
}

#[test]
fn what_is_refused() {
    for bad in [
        "",
        "[]",
        "{",
        "{} x",
        "{\"class\": 65536}",
        "{\"class\": -1}",
        "{\"class\": \"20\"}",
        "{\"class\": 1.5}",
        "{\"head\": 70000}",
        "{\"obid\": 4294967296}",
        "{\"data\": [256]}",
        "{\"data\": [1, \"2\"]}",
        "{\"data\": \"1,2\"}",
        "{\"data\": {}}",
        "{\"guid\": \"1:2\"}",
        "{\"guid\": 5}",
        "{\"datetime\": \"yesterday\"}",
        "{\"dateTime\": \"yesterday\"}",
        "{\"timestamp_ns\": \"0xzz\"}",
        "{\"timestamp_ns\": -5}",
        "{\"class\": 1, \"vscpClass\": 2}",
        "{\"class\": null}",
    ] {
        assert!(read(bad.as_bytes(), &DEFAULTS).is_err(), "{bad}");
    }
    let long = format!("{{\"data\": {:?}}}", vec![1; 513]);
    assert!(read(long.as_bytes(), &DEFAULTS).is_err());
    let error = read(b"{\"vscpClass\": 70000}", &DEFAULTS)
        .unwrap_err()
        .to_string();
    assert!(error.contains("vscpClass"), "{error}");
}

proptest! {
    #[test]
    fn reads_what_it_writes(event in any_event()) {
        let v2 = get(&text(&event, Generation::V2));
        if event.time.nanos() > 0 {
            prop_assert_eq!(v2.time.nanos(), event.time.nanos());
        }
        prop_assert_eq!(&Event { time: event.time, ..v2 }, &event);
        let classic = get(&text(&event, Generation::Classic));
        prop_assert_eq!(classic.time.seconds(), event.time.seconds());
        prop_assert_eq!(classic.time.micros(), event.time.micros());
        prop_assert_eq!(&Event { time: event.time, ..classic }, &event);
        let both = get(&text(&event, Generation::Both));
        prop_assert_eq!(&Event { time: event.time, ..both }, &event);
    }

    #[test]
    fn never_panics(text in "[{}\\[\\]:,\"a-zA-Z0-9_ -]{0,80}") {
        let _ = read(text.as_bytes(), &DEFAULTS);
        let _ = read(format!("{{\"class\": {text}}}").as_bytes(), &DEFAULTS);
    }
}

#[test]
fn a_time_stamp_of_nothing_leaves_the_fraction_of_the_date() {
    let event = |stamp: u32| {
        let text = format!(
            "{{\"class\": 1, \"type\": 1, \"datetime\": \"2020-02-20T20:20:20.5Z\", \"timestamp\": {stamp}}}"
        );
        read(text.as_bytes(), &DEFAULTS).unwrap().time.micros()
    };
    assert_eq!((event(0), event(7)), (500_000, 7));
}

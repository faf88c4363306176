use proptest::prelude::*;

use super::*;
use crate::event::Guid;
use crate::event::tests::any_event;

const DEFAULTS: Defaults = Defaults {
    now: 1,
    obid: 0,
    guid: Guid::ZERO,
};
const FORMATS: [WriteFormat; 4] = [
    WriteFormat::Json,
    WriteFormat::Xml,
    WriteFormat::Text,
    WriteFormat::Binary,
];

fn class(bytes: &[u8], format: ReadFormat) -> Option<u16> {
    read(bytes, format, &DEFAULTS).ok().map(|event| event.class)
}

fn event(line: &str) -> Event {
    read(line.as_bytes(), ReadFormat::Text, &DEFAULTS).unwrap()
}

fn put(event: &Event, format: WriteFormat, generation: Generation, block: bool) -> Vec<u8> {
    let style = Style {
        generation,
        measurement_block: block,
    };
    let mut out = Vec::new();
    write(event, format, style, &mut out);
    out
}

#[test]
fn forms_are_told_apart() {
    use ReadFormat::{Auto, Binary, Json, Text, Xml};
    let frame = put(
        &event("0,20,3,,,,-,1"),
        WriteFormat::Binary,
        Generation::V2,
        true,
    );
    let payloads: [(&[u8], ReadFormat); 5] = [
        (b" \n{\"class\": 20}", Json),
        (b"\r\n<event class=\"20\" />", Xml),
        (b"0,20,3,,,,-,1\n", Text),
        (&frame, Binary),
        (&frame[1..], Binary),
    ];
    for (payload, its) in payloads {
        for format in [Auto, Json, Xml, Text, Binary] {
            let expected = (format == Auto || format == its).then_some(20);
            assert_eq!(
                class(payload, format),
                expected,
                "{payload:?} as {format:?}"
            );
        }
    }
    for other in [
        &b""[..],
        b"  ",
        b"on",
        b"{",
        b"<",
        b"\0\x10\x01\x60",
        b"\xff,,,,,,,",
    ] {
        for format in [Auto, Json, Xml, Text, Binary] {
            assert_eq!(class(other, format), None, "{other:?} as {format:?}");
        }
    }
}

#[test]
fn frames_of_type_0_with_the_byte_before_them_and_without() {
    let event = event("0,20,3,,2001-11-02T18:00:01Z,5,::1,1");
    let marked = put(&event, WriteFormat::Binary, Generation::Classic, true);
    assert_eq!((marked[0], marked[1], marked.len()), (0, 0, 40));
    for payload in [&marked[..], &marked[1..]] {
        let back = read(payload, ReadFormat::Auto, &DEFAULTS).unwrap();
        assert_eq!(back, event);
    }
}

#[test]
fn the_comma_form_of_both_generations() {
    let event = event("96,20,3,7,2001-11-02T18:00:01Z,817923,::1,0x01");
    let put = |generation| put(&event, WriteFormat::Text, generation, true);
    let guid = "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01";
    assert_eq!(
        put(Generation::V2),
        format!("352,20,3,7,,1004724001817923000,{guid},0x01").as_bytes()
    );
    assert_eq!(
        put(Generation::Classic),
        format!("96,20,3,7,2001-11-02T18:00:01Z,817923,{guid},0x01").as_bytes()
    );
}

#[test]
fn measurements_byte_for_byte_as_the_daemons() {
    let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";
    let event = event(&format!(
        "96,10,6,7,2001-11-02T18:00:01Z,817923,{guid},0x8A,0x82,0x1B,0x22"
    ));
    let json = |generation, block| {
        String::from_utf8(put(&event, WriteFormat::Json, generation, block)).unwrap()
    };
    let v2 = format!(
        "{{\"class\":10,\"data\":[138,130,27,34],\"datetime\":\"2001-11-02T18:00:01Z\",\
         \"guid\":\"{guid}\",\"head\":352,\"measurement\":{{\"sensorindex\":2,\"subzone\":0,\
         \"unit\":1,\"value\":69.46,\"zone\":0}},\"note\":\"\",\"obid\":7,\
         \"timestamp_ns\":\"0x0df17f2809aa8db8\",\"type\":6}}"
    );
    let classic = format!(
        "{{\"measurement\":{{\"sensorindex\":2,\"subzone\":0,\"unit\":1,\"value\":69.46,\
         \"zone\":0}},\"vscpClass\":10,\"vscpData\":[138,130,27,34],\
         \"vscpDateTime\":\"2001-11-02T18:00:01Z\",\"vscpGuid\":\"{guid}\",\"vscpHead\":96,\
         \"vscpNote\":\"\",\"vscpObId\":7,\"vscpTimeStamp\":817923,\"vscpType\":6}}"
    );
    assert_eq!(json(Generation::V2, true), v2);
    assert_eq!(json(Generation::Classic, true), classic);
    assert!(json(Generation::V2, false).starts_with("{\n\"head\""));
    for generation in [Generation::V2, Generation::Classic, Generation::Both] {
        let text = json(generation, true);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["measurement"]["value"], 69.46);
        assert_eq!(class(text.as_bytes(), ReadFormat::Auto), Some(10));
    }
}

/// Values as the specification defines them, where the daemon has others or none.
#[test]
fn values_of_every_measurement_class() {
    let pi64 = "0x40,0x09,0x21,0xFB,0x54,0x44,0x2D,0x18";
    let e32 = "0x40,0x2D,0xF8,0x54";
    let guid = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";
    let cases = [
        (10, "0x68,0x01,0x02".to_owned(), 258.0, [0, 1, 0, 0]),
        (10, "0x48,49,50,46,53".to_owned(), 12.5, [0, 1, 0, 0]),
        (10, format!("0xA3,{e32}"), 2.718_281_7, [3, 0, 0, 0]),
        (15, "0x60,0xFF".to_owned(), -1.0, [0, 0, 0, 0]),
        (60, pi64.to_owned(), std::f64::consts::PI, [0, 0, 0, 0]),
        (65, "1,2,3,0x68,5".to_owned(), 5.0, [1, 1, 2, 3]),
        (70, e32.to_owned(), 2.718_281_7, [0, 0, 0, 0]),
        (85, "9,2,3,0x60,5".to_owned(), 5.0, [9, 0, 2, 3]),
        (522, format!("{guid},0x68,7"), 7.0, [0, 1, 0, 0]),
        (1040, "4,5,6,1,45,49,46,53".to_owned(), -1.5, [4, 1, 5, 6]),
        (
            1060,
            format!("4,5,6,2,{pi64}"),
            std::f64::consts::PI,
            [4, 2, 5, 6],
        ),
    ];
    for (class, data, value, [index, unit, zone, subzone]) in cases {
        let event = event(&format!("0,{class},6,0,2001-11-02T18:00:01,0,::1,{data}"));
        let expected = Block {
            value,
            unit,
            sensor_index: index,
            zone,
            subzone,
        };
        assert_eq!(block(&event), Some(expected), "class {class}, {data}");
    }
    // No number, no value: neither not-a-number nor nothing.
    for line in [
        "0,1060,6,0,,,::1",
        "0,1040,6,0,,,::1,1,2,3",
        "0,60,6,0,,,::1,0x7F,0xF8,0,0,0,0,0,0",
        "0,10,6,0,,,::1",
        "0,20,3,0,,,::1,1,2,3",
    ] {
        assert_eq!(block(&event(line)), None, "{line}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        event in any_event(),
        format in prop::sample::select(FORMATS.to_vec()),
        generation in prop::sample::select(
            vec![Generation::Classic, Generation::V2, Generation::Both]
        ),
    ) {
        let back = read(&put(&event, format, generation, true), ReadFormat::Auto, &DEFAULTS);
        let back = back.unwrap();
        prop_assert_eq!(
            (back.head, back.class, back.vscp_type, back.guid, &back.data),
            (event.head, event.class, event.vscp_type, event.guid, &event.data)
        );
        let obid = if format == WriteFormat::Binary { 0 } else { event.obid };
        prop_assert_eq!(back.obid, obid);
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..5_usize) {
        use ReadFormat::{Auto, Binary, Json, Text, Xml};
        let _ = read(&bytes, [Auto, Json, Xml, Text, Binary][at], &DEFAULTS);
    }
}

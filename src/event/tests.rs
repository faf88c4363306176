use proptest::prelude::*;

use super::text::{Defaults, TextForm, parse, write};
use super::*;

const NOW: u64 = 1_700_000_000_123_456_789;
const CHANNEL: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:01:00:00";

fn defaults() -> Defaults {
    Defaults {
        now: NOW,
        obid: 1,
        guid: CHANNEL.parse().unwrap(),
    }
}

fn read(line: &str) -> Event {
    parse(line, &defaults()).unwrap()
}

fn print(event: &Event, form: TextForm) -> String {
    let mut out = Vec::new();
    write(event, form, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_way_to_say_the_channels_guid() {
    for guid in [
        "-",
        "",
        "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00",
        "{-}",
    ] {
        let event = read(&format!("0,20,3,,,,{guid},0,1,35"));
        assert_eq!(event.guid.to_string(), CHANNEL, "{guid}");
        assert_eq!(*event.data, [0, 1, 35]);
        assert_eq!(event.obid, 1);
        assert_eq!(event.time, EventTime::Unix { nanos: NOW });
    }
}

#[test]
fn guid_bytes_are_hexadecimal() {
    let event = read("0,20,3,,,,0:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15,0,1,35");
    assert_eq!(
        event.guid.to_string(),
        "00:01:02:03:04:05:06:07:08:09:10:11:12:13:14:15"
    );
}

#[test]
fn numbers_in_every_base() {
    let event = read("0x60,0x14,0x03,7,,0x10,-,0xFF,255,0b11,0o17, 5 ");
    assert_eq!(
        (
            event.head.classic(),
            event.class,
            event.vscp_type,
            event.obid
        ),
        (96, 20, 3, 7)
    );
    assert_eq!(event.time.micros(), 16);
    assert_eq!(*event.data, [0xFF, 0xFF, 3, 15, 5]);
}

#[test]
fn a_comma_after_the_last_field_adds_nothing() {
    assert!(read("32768,20,9,,,,-,").data.is_empty());
    assert_eq!(*read("0,20,9,,,,-,1,2,").data, [1, 2]);
}

#[test]
fn the_form_without_datetime() {
    let event = read("0,20,3,0,5000,-,1");
    assert_eq!(
        event.time,
        EventTime::Classic {
            seconds: 1_700_000_000,
            micros: 5000
        }
    );
    assert_eq!(*event.data, [1]);
    assert_eq!(
        read("0,20,3,0,,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:09,1")
            .guid
            .nickname(),
        9
    );
}

#[test]
fn dates() {
    let at = |text: &str| read(&format!("0,20,3,,{text},,-")).time;
    let expected = EventTime::Classic {
        seconds: 1_004_724_001,
        micros: 123_000,
    };
    assert_eq!(at("2001-11-02T18:00:01.123Z"), expected);
    assert_eq!(at("2001-11-02 18:00:01.123"), expected);
    assert_eq!(at("2001-11-02T20:00:01.123+02:00"), expected);
    assert_eq!(at("2001-11-02T18:00:01").seconds(), 1_004_724_001);
    assert_eq!(read("0,20,3,,2001-11-02T18:00:01Z,0,-").time.micros(), 0);
    for (edge, printed) in [
        ("0001-01-01T02:00:00+02:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T22:59:59-01:00", "9999-12-31T23:59:59Z"),
    ] {
        let event = read(&format!("0,20,3,,{edge},5,-"));
        assert!(print(&event, TextForm::Legacy).contains(printed), "{edge}");
    }
    for bad in [
        "2001-13-02T18:00:01",
        "2001-11-31T18:00:01",
        "2001-11-02T24:00:01",
        "2001-11-02",
        "now",
        "2001-11-02T18:00:01.",
        "2001-11-02T18:00:01X",
        "2001-11-02T18:00:0é",
        "0000-00-00T00:00:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ] {
        assert!(
            parse(&format!("0,20,3,,{bad},,-"), &defaults()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn nanoseconds() {
    let event = read(
        "352,20,3,7,,1004724001817923000,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0,1,35",
    );
    assert_eq!(
        event.time,
        EventTime::Unix {
            nanos: 1_004_724_001_817_923_000
        }
    );
    assert_eq!(event.head.classic(), 96);
    assert_eq!(
        print(&event, TextForm::Legacy),
        "96,20,3,7,2001-11-02T18:00:01Z,817923,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0x00,0x01,0x23"
    );
    assert_eq!(
        print(&event, TextForm::Nanos),
        "352,20,3,7,,1004724001817923000,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0x00,0x01,0x23"
    );
    assert_eq!(
        read("0x100,20,3,,,0,-").time,
        EventTime::Unix { nanos: NOW }
    );
    assert_eq!(
        read("0x100,20,3,,,77,-").time,
        EventTime::Unix { nanos: 77 }
    );
}

#[test]
fn what_is_refused() {
    let full = vec!["1"; 513].join(",");
    for bad in [
        "",
        "0",
        "0,20,3,,,",
        "0,20,3,,,,",
        "65536,20,3,,,,-",
        "0,65536,3,,,,-",
        "0,20,-1,,,,-",
        "0,20,3,4294967296,,,-",
        "0,20,3,,,18446744073709551616,-",
        "0,20,3,,,,-,256",
        "0,20,3,,,,-,x",
        "0,20,3,,,,-,1,,2",
        "0,20,3,,,,-,,",
        "0,20,3,,,,1:2:3",
        "0,20,3,,,,-junk",
        "0,20,3,,,,{-",
        "12abc,20,3,,,,-",
        "0x,20,3,,,,-",
        " 1 0x10,20,3,,,,-",
        "+1,20,3,,,,-",
        &format!("0,20,3,,,,-,{full}"),
    ] {
        if bad == "0,20,3,,,," {
            // Six commas: the GUID is there, and empty.
            assert!(parse(bad, &defaults()).is_ok());
            continue;
        }
        assert!(parse(bad, &defaults()).is_err(), "{bad}");
    }
    assert_eq!(read(&format!("0,20,3,,,,-,{}", &full[2..])).data.len(), 512);
}

#[test]
fn guid_forms() {
    let is = |text: &str, hex: &str| {
        let guid: Guid = text.parse().unwrap();
        let found: String = guid.bytes().iter().map(|b| format!("{b:02X}")).collect();
        assert_eq!(found, hex, "{text}");
    };
    is("::", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
    is("-", "00000000000000000000000000000000");
    is("::0102:03aa:44", "FFFFFFFFFFFFFFFFFFFFFF010203AA44");
    is("-:1,2,3", "00000000000000000000000000010203");
    is("-:1:2:3", "00000000000000000000000000010203");
    is(
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "0102030405060708090A0B0C0D0E0F10",
    );
    is(
        "{01020304-0506-0708-090A-0B0C0D0E0F10}",
        "0102030405060708090A0B0C0D0E0F10",
    );
    is(
        "{ff:ff:ff:ff:ff:ff:ff:fe:0:5:93:14:2:32:0:1}",
        "FFFFFFFFFFFFFFFE0005931402320001",
    );
    is(
        "01020304:05060708:090A0B0C:0D0E0F10",
        "0102030405060708090A0B0C0D0E0F10",
    );
    for bad in [
        "",
        "1",
        "::123456789",
        "g:",
        "{",
        "{}",
        "1:2",
        ":",
        "-:",
        "-1",
        "::1::2",
    ] {
        assert!(bad.parse::<Guid>().is_err(), "{bad}");
    }
    let braces = read("0,20,3,,,,{-:1,2,3},9");
    assert_eq!((braces.guid.nickname(), &*braces.data), (0x0203, &[9][..]));
}

#[test]
fn the_guid_of_a_machine_and_of_a_channel() {
    let mac = Guid::from_mac([0, 0x26, 0x55, 0xCA, 0x1F, 0xDA]);
    assert_eq!(
        mac.channel(258).to_string(),
        "FF:FF:FF:FF:FF:FF:FF:FE:00:26:55:CA:01:02:00:00"
    );
    let ip = Guid::from_ipv4([192, 168, 1, 8]);
    assert_eq!(
        ip.channel(1).to_string(),
        "FF:FF:FF:FF:FF:FF:FF:FD:C0:A8:01:08:00:01:00:00"
    );
}

#[test]
fn filters() {
    let pass = |filter: &str, mask: &str, line: &str| {
        let pair = FilterPair {
            filter: filter.parse().unwrap(),
            mask: mask.parse().unwrap(),
        };
        pair.passes(&read(line))
    };
    assert!(pass("", "", "0,20,3,,,,-"));
    assert!(pass("0,20", "0,0xFFFF", "0,20,3,,,,-"));
    assert!(!pass("0,20", "0,0xFFFF", "0,21,3,,,,-"));
    assert!(!pass("0,0,4", "0,0,0xFFFF", "0,20,3,,,,-"));
    assert!(!pass("3,0,0,-", "7,0,0,-", "0x40,20,3,,,,-"));
    assert!(pass("2,0,0,-", "7,0,0,-", "0x40,20,3,,,,-"));
    assert!(!pass("0,0,0,-:9", "0,0,0,-:ff", "0,20,3,,,,::8"));
    assert!(pass("1,0x0000,0x0006,-,8", "0,0,0,-", "0,20,3,,,,-"));
    for bad in ["8", "x", "0,65536", "0,0,0,1:2", "0,0,0,-,x", "0,0,0,-,1,2"] {
        assert!(bad.parse::<Filter>().is_err(), "{bad}");
    }
    assert!(Filter::whole("0,0,0").is_err());
}

prop_compose! {
    pub(crate) fn any_event()(
        head: u16, class: u16, vscp_type: u16, obid in 1..=u32::MAX, guid in any::<[u8; 16]>(),
        unix: bool, nanos: u64, seconds in -62_135_596_800_i64..=253_402_300_799, micros: u32,
        data in prop::collection::vec(any::<u8>(), 0..=MAX_DATA),
    ) -> Event {
        Event {
            head: Head::new(head), class, vscp_type, obid, guid: Guid::from(guid),
            time: if unix { EventTime::Unix { nanos: nanos.max(1) } }
                  else { EventTime::Classic { seconds, micros } },
            data: data.try_into().unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn text_reads_what_it_writes(event in any_event()) {
        let none = Defaults { now: NOW, obid: 0, guid: Guid::ZERO };
        let legacy = parse(&print(&event, TextForm::Legacy), &none).unwrap();
        prop_assert_eq!(legacy.time.seconds(), event.time.seconds());
        prop_assert_eq!(legacy.time.micros(), event.time.micros());
        prop_assert_eq!(&Event { time: event.time, ..legacy }, &event);
        let nanos = parse(&print(&event, TextForm::Nanos), &none).unwrap();
        if event.time.nanos() > 0 {
            prop_assert_eq!(nanos.time.nanos(), event.time.nanos());
        }
        prop_assert_eq!(&Event { time: event.time, ..nanos }, &event);
    }

    #[test]
    fn text_never_panics(line in "\\PC*") {
        let _ = parse(&line, &defaults());
    }

    #[test]
    fn text_of_fields_never_panics(line in "[-0-9a-fxX:.TZ{} ]{0,12}(,[-0-9a-fxX:.TZ{} ]{0,20}){0,12}") {
        let _ = parse(&line, &defaults());
        let _ = line.parse::<Filter>();
        let _ = line.parse::<Guid>();
    }

    #[test]
    fn guid_reads_what_it_writes(bytes: [u8; 16]) {
        let guid = Guid::from(bytes);
        prop_assert_eq!(guid.to_string().parse::<Guid>().unwrap(), guid);
    }
}

use proptest::prelude::*;

use super::*;
use crate::event::{Data, Event, EventTime, Guid, Head};

fn event(class: u16, vscp_type: u16, data: &[u8]) -> Event {
    Event {
        head: Head::default(),
        class,
        vscp_type,
        obid: 0,
        guid: Guid::ZERO,
        time: EventTime::Unix { nanos: 0 },
        data: Data::try_from(data).unwrap(),
    }
}

/// Value, unit, sensor index, zone, subzone.
type Found = (f64, u8, u8, Option<u8>, Option<u8>);

fn read(class: u16, data: &[u8]) -> Option<Found> {
    let event = event(class, 6, data);
    let m = measurement(&event)?;
    let value = m.value.number();
    Some((value, m.unit, m.sensor_index, m.zone, m.subzone))
}

/// As [`read`], for classes without zones.
fn simple(class: u16, data: &[u8]) -> Option<(f64, u8, u8)> {
    read(class, data).map(|(value, unit, sensor, zone, subzone)| {
        assert_eq!((zone, subzone), (None, None));
        (value, unit, sensor)
    })
}

#[test]
fn every_row_of_the_tables_is_read() {
    let rows = |text: &str| text.lines().count() - 1;
    assert_eq!(CLASSES.len(), rows(include_str!("classes.tsv")));
    assert_eq!(TYPES.len(), rows(include_str!("types.tsv")));
    assert_eq!(UNITS.len(), rows(include_str!("units.tsv")));
}

#[test]
fn classes_have_tokens_and_names() {
    assert_eq!(class_token(10), Some("CLASS1.MEASUREMENT"));
    assert_eq!(class_name(10), Some("Measurement"));
    assert_eq!(class_token(0), Some("CLASS1.PROTOCOL"));
    assert_eq!(class_token(65535), Some("CLASS2.VSCPD"));
    assert_eq!(class_token(3), None);
}

#[test]
fn types_have_tokens() {
    let temperature = Some("VSCP_TYPE_MEASUREMENT_TEMPERATURE");
    assert_eq!(type_token(10, 6), temperature);
    assert_eq!(type_token(522, 6), temperature);
    assert_eq!(type_token(10, 60_000), None);
    assert_eq!(type_token(3, 0), None);
}

#[test]
fn units_have_names_and_symbols() {
    let celsius = Some(Unit {
        name: "Celsius",
        symbol: "°C",
    });
    for class in [10, 522, 65, 577, 1040, 1060] {
        assert_eq!(unit(class, 6, 1), celsius, "class {class}");
    }
    assert_eq!(unit(10, 6, 9), None);
    assert_eq!(unit(20, 6, 0), None);
    // Two units have the number 1 here.
    assert_eq!(unit(10, 64, 1).unwrap().name, "kVAr");
}

#[test]
fn a_temperature() {
    assert_eq!(simple(10, &[0x8A, 0x82, 0x1B, 0x22]), Some((69.46, 1, 2)));
}

#[test]
fn normalized_integers() {
    assert_eq!(simple(10, &[0x80, 0x02, 0x1B, 0x22]).unwrap().0, 694_600.0);
    assert_eq!(simple(10, &[0x80, 0x85, 0x8D]).unwrap().0, -0.001_15);
    assert_eq!(simple(10, &[0x80, 0x81, 0x01, 0x07]).unwrap().0, 26.3);
    assert_eq!(simple(10, &[0x80, 0x81]), None);
    assert_eq!(simple(10, &[0x80]), None);
}

#[test]
fn integers_of_every_length() {
    for (bytes, value) in [
        (&[0xFF][..], -1.0),
        (&[0x7F], 127.0),
        (&[0x80, 0x00], -32_768.0),
        (&[0x01, 0x00, 0x00], 65_536.0),
        (&[0x80, 0, 0, 0, 0, 0, 0], -36_028_797_018_963_968.0),
    ] {
        let data = [&[0x60 | 0x18 | 0x07], bytes].concat();
        assert_eq!(simple(10, &data), Some((value, 3, 7)), "{bytes:?}");
    }
    assert_eq!(simple(10, &[0x60]), None);
    assert_eq!(simple(10, &[0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
}

#[test]
fn floating_point() {
    assert_eq!(
        simple(10, &[0xAE, 0x41, 0x83, 0x80, 0x00]),
        Some((16.4375, 1, 6))
    );
    let single = 21.3_f32.to_be_bytes();
    assert_eq!(simple(70, &single), Some((21.3, 0, 0)));
    assert_eq!(simple(74, &single), Some((21.3, 0, 0)));
    let double = std::f64::consts::PI.to_be_bytes();
    for class in 60..=64 {
        assert_eq!(simple(class, &double), Some((std::f64::consts::PI, 0, 0)));
    }
    assert_eq!(simple(60, &double[..7]), None);
    assert_eq!(simple(70, &double), None);
    assert!(simple(70, &f32::NAN.to_be_bytes()).unwrap().0.is_nan());
}

#[test]
fn values_for_people() {
    for (value, text) in [
        (0.0, "0"),
        (69.46, "69.46"),
        (-3.0, "-3"),
        (1e300, "1e300"),
        (2.5e-9, "2.5e-9"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(Value::Number(value).to_string(), text);
    }
}

#[test]
fn strings() {
    assert_eq!(simple(10, b"\x49-12.5"), Some((-12.5, 1, 1)));
    assert_eq!(simple(10, b"\x40123e5\0"), Some((123e5, 0, 0)));
    for bad in [&b"\x40"[..], b"\x40inf", b"\x40nan", b"\x40 ", b"\x401,5"] {
        assert_eq!(simple(10, bad), None, "{bad:?}");
    }
}

#[test]
fn bits_and_bytes_are_not_numbers() {
    assert_eq!(read(10, &[0x00, 1]), None);
    assert_eq!(read(10, &[0x20, 1]), None);
    assert_eq!(read(10, &[0xE0, 1]), None);
}

#[test]
fn zones() {
    for class in [65, 69, 85, 89] {
        assert_eq!(
            read(class, &[9, 7, 255, 0x8A, 0x82, 0x1B, 0x22]),
            Some((69.46, 1, 9, Some(7), Some(255))),
            "class {class}"
        );
    }
    assert_eq!(read(65, &[9, 7, 255]), None);
}

#[test]
fn level_i_over_level_ii() {
    let mut data = vec![0xAB; 16];
    data.extend([0x8A, 0x82, 0x1B, 0x22]);
    assert_eq!(simple(522, &data), Some((69.46, 1, 2)));
    assert_eq!(read(522, &data[..16]), None);
    assert_eq!(read(522, &data[..5]), None);
    data.truncate(16);
    data.extend([1, 2, 3, 0x60, 5]);
    assert_eq!(read(577, &data), Some((5.0, 0, 1, Some(2), Some(3))));
}

#[test]
fn level_ii_strings_and_floats() {
    assert_eq!(
        read(1040, b"\x01\x02\x03\x0121.5\0"),
        Some((21.5, 1, 1, Some(2), Some(3)))
    );
    let digits = event(1040, 6, b"\0\0\0\x000.12345678901234567890123");
    assert_eq!(
        measurement(&digits).unwrap().value.to_string(),
        "0.12345678901234567890123"
    );
    assert_eq!(read(1040, &[1, 2, 3, 1]), None);
    assert_eq!(read(1040, &[1, 2]), None);
    let mut data = vec![1, 2, 3, 200];
    data.extend(21.5_f64.to_be_bytes());
    assert_eq!(read(1060, &data), Some((21.5, 200, 1, Some(2), Some(3))));
    assert_eq!(read(1060, &data[..11]), None);
    assert_eq!(read(1060, &[]), None);
}

#[test]
fn other_classes_have_no_measurement() {
    for class in [0, 20, 1024, 1552, 1572, 65535] {
        assert_eq!(read(class, &[0x8A, 0x82, 0x1B, 0x22]), None);
    }
    assert_eq!(simple(15, &[0x60, 3]), Some((3.0, 0, 0)));
}

proptest! {
    #[test]
    fn never_panics(
        class in prop_oneof![
            0..1100_u16,
            Just(10_u16),
            Just(65),
            Just(522),
            Just(1040),
            Just(1060),
            any::<u16>()
        ],
        vscp_type: u16,
        data in prop::collection::vec(any::<u8>(), 0..=512),
    ) {
        let event = event(class, vscp_type, &data);
        if let Some(found) = measurement(&event) {
            let _ = unit(class, vscp_type, found.unit);
            let _ = found.value.to_string();
        }
        let _ = (class_token(class), type_token(class, vscp_type));
    }

    #[test]
    fn a_single_stays_the_same_single(bits: u32) {
        let single = f32::from_bits(bits);
        let (value, ..) = simple(70, &bits.to_be_bytes()).unwrap();
        prop_assert!(value as f32 == single || single.is_nan() && value.is_nan());
    }
}

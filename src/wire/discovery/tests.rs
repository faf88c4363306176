use proptest::prelude::*;

use super::*;

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";
/// 2001-11-02T18:00:01.817923.
const NOW: u64 = 1_004_724_001_817_923_000;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 8);

const PROBE_1: &str = "10 01 00 0D F1 7F 28 09 AA 8D B8 00 00 00 00 00 00 1B FF FF FF FF FF FF FF \
                       F5 02 88 88 00 00 00 00 01 00 05 00 C0 A8 01 08 BF ED";
const PROBE_0: &str = "00 00 00 00 0C 7B 03 07 D1 0B 02 12 00 01 00 00 00 1B FF FF FF FF FF FF FF \
                       F5 02 88 88 00 00 00 00 01 00 05 00 C0 A8 01 08 02 9A";
const HEAD_1: &str = "10 01 00 0D F1 7F 28 09 AA 8D B8 00 00 00 00 00 00 1C FF FF FF FF FF FF FF \
                      F5 02 88 88 00 00 00 00 01 00 08 ";
const HEAD_0: &str = "00 00 00 00 0C 7B 03 07 D1 0B 02 12 00 01 00 00 00 1C FF FF FF FF FF FF FF \
                      F5 02 88 88 00 00 00 00 01 00 08 ";

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |text| u8::from_str_radix(text, 16).unwrap();
    hex.split_whitespace().map(byte).collect()
}

fn guid() -> Guid {
    GUID.parse().unwrap()
}

fn put(event: &Event, generation: Generation) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(event, generation, &mut out);
    out
}

fn link(port: u16, at: &[Ipv4Addr]) -> Service {
    Service {
        capabilities: Capabilities::TCPIP,
        port,
        at: at.to_vec(),
    }
}

#[test]
fn probes_of_both_types() {
    let event = probe(ADDRESS, guid(), NOW);
    for (hex, generation) in [(PROBE_1, Generation::V2), (PROBE_0, Generation::Classic)] {
        let frame = bytes(hex);
        assert_eq!(put(&event, generation), frame);
        assert_eq!(hear(&frame), Ok(Heard::Probe(generation)));
        let marked = [&[0][..], &frame].concat();
        assert_eq!(hear(&marked), Ok(Heard::Probe(generation)));
        assert_eq!(read(&marked).unwrap().0, frame);
        let twice = [&[0, 0][..], &frame].concat();
        assert!(hear(&twice).is_err());
    }
    // No data at all is as good.
    let mut event = event;
    event.data = Data::default();
    let frame = put(&event, Generation::V2);
    assert_eq!(hear(&frame), Ok(Heard::Probe(Generation::V2)));
}

#[test]
fn responses_in_the_order_of_the_specification() {
    let plain = Capabilities::TCPIP;
    let full = [
        Capabilities::IPV4,
        Capabilities::SSL,
        Capabilities::TWO_CONNECTIONS,
    ];
    let full = full.into_iter().fold(plain, Capabilities::with);
    for (capabilities, generation, head, tail) in [
        (
            plain,
            Generation::V2,
            HEAD_1,
            "80 00 C0 A8 01 08 25 7E E7 6B",
        ),
        (
            plain,
            Generation::Classic,
            HEAD_0,
            "80 00 C0 A8 01 08 25 7E CA 0B",
        ),
        (
            full,
            Generation::V2,
            HEAD_1,
            "80 38 C0 A8 01 08 25 7E 2D 4B",
        ),
        (
            full,
            Generation::Classic,
            HEAD_0,
            "80 38 C0 A8 01 08 25 7E 00 2B",
        ),
    ] {
        let service = Service {
            capabilities,
            ..link(9598, &[Ipv4Addr::UNSPECIFIED])
        };
        let response = service.response_at(ADDRESS).unwrap();
        let frame = put(&response.event(guid(), NOW), generation);
        assert_eq!(frame, bytes(&format!("{head}{tail}")));
        assert_eq!(hear(&frame), Ok(Heard::Other), "an answer is no probe");
        let (_, event) = read(&frame).unwrap();
        assert_eq!(Response::read(&event, ADDRESS), Some(response));
    }
}

#[test]
fn an_address_in_the_other_order_is_understood() {
    for (head, tail) in [
        (HEAD_1, "80 00 08 01 A8 C0 25 7E 40 56"),
        (HEAD_0, "80 00 08 01 A8 C0 25 7E 6D 36"),
    ] {
        let frame = bytes(&format!("{head}{tail}"));
        let (_, event) = read(&frame).unwrap();
        let response = Response::read(&event, Ipv4Addr::new(203, 0, 113, 1)).unwrap();
        assert_eq!((response.address, response.port), (ADDRESS, 9598));
    }
    // Both orders are private: who sent it decides, and else the specification.
    let response = Response {
        address: Ipv4Addr::new(192, 168, 1, 10),
        port: 1,
        capabilities: 0,
    };
    let event = response.event(guid(), NOW);
    let from = |a, b, c, d| Response::read(&event, Ipv4Addr::new(a, b, c, d)).unwrap();
    let turned = Ipv4Addr::new(10, 1, 168, 192);
    assert_eq!(from(10, 1, 168, 192).address, turned);
    assert_eq!(from(192, 168, 1, 10), response);
    assert_eq!(from(172, 16, 0, 1), response);
}

#[test]
fn what_is_no_probe() {
    let good = bytes(PROBE_1);
    for (at, byte) in [(0, 0x11), (0, 0x23), (0, 0x20), (17, 0x1C), (42, 0xEE)] {
        let mut frame = good.clone();
        frame[at] = byte;
        assert!(hear(&frame).is_err(), "{at}");
    }
    for length in 0..good.len() {
        assert!(hear(&good[..length]).is_err());
    }
    for (class, vscp_type) in [(0, 26), (0, 28), (1, 27), (512, 27), (1024, 27)] {
        let event = make((class, vscp_type), guid(), NOW, Vec::new());
        assert!(!is_probe(&event));
        assert_eq!(hear(&put(&event, Generation::V2)), Ok(Heard::Other));
        assert_eq!(Response::read(&event, ADDRESS), None, "it has no data");
    }
}

#[test]
fn a_service_is_told_of_where_it_is() {
    let lo = Ipv4Addr::LOCALHOST;
    let everywhere = link(1, &[Ipv4Addr::UNSPECIFIED]);
    assert_eq!(everywhere.response_at(lo).unwrap().address, lo);
    assert_eq!(everywhere.response_at(ADDRESS).unwrap().address, ADDRESS);
    assert_eq!(everywhere.response(ADDRESS).unwrap().address, ADDRESS);
    let here = link(1, &[lo, ADDRESS]);
    assert_eq!(here.response_at(lo).unwrap().address, lo);
    assert_eq!(here.response_at(ADDRESS).unwrap().address, ADDRESS);
    assert_eq!(here.response_at(Ipv4Addr::new(10, 0, 0, 1)), None);
    assert_eq!(
        here.response(Ipv4Addr::new(10, 0, 0, 1)).unwrap().address,
        ADDRESS
    );
    assert_eq!(link(1, &[lo]).response(ADDRESS).unwrap().address, lo);
    assert_eq!(link(1, &[]).response(ADDRESS), None, "of IPv6 alone");
}

#[test]
fn announcements() {
    let at = &[Ipv4Addr::UNSPECIFIED];
    let secure = Service {
        capabilities: Capabilities::TCPIP.with(Capabilities::SSL),
        ..link(9599, at)
    };
    let web = Service {
        capabilities: Capabilities::WEBSOCKET,
        ..link(32_000, at)
    };
    let elsewhere = link(5, &[Ipv4Addr::LOCALHOST]);
    let services = [link(9598, at), secure, web, elsewhere.clone()];
    let events = announcement(&services, ADDRESS, "cellar", guid(), NOW);
    let kinds: Vec<_> = events.iter().map(|e| (e.class, e.vscp_type)).collect();
    assert_eq!(kinds, [(20, 9), (1026, 2), (1024, 20)]);
    assert_eq!(*events[0].data, [0, 0, 0]);
    let name = [&b"cellar"[..], &[0; 58]].concat();
    assert_eq!(*events[1].data, *name);
    let data = &events[2].data;
    assert_eq!(data[..8], [0, 0, 0, 0, 0, 0, 0xA4, 0x10]);
    assert_eq!(data[8..24], *guid().bytes());
    assert_eq!(
        data[24..40],
        [192, 168, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(data[40..104], *name);
    // 32000 is 7D 00.
    assert_eq!(data[104..], [0x8F, 0x25, 0x7F, 10, 0x7D, 0x00]);
    let usual = announcement(&services[..1], ADDRESS, "", guid(), NOW);
    assert_eq!(usual[2].data.len(), 104);
    assert!(announcement(&[elsewhere], ADDRESS, "", guid(), NOW).is_empty());
    let long = "ä".repeat(40);
    let events = announcement(&services, ADDRESS, &long, guid(), NOW);
    assert_eq!(events[1].data[..62], *"ä".repeat(31).as_bytes());
    assert_eq!(events[1].data[62..], [0, 0]);
}

#[test]
fn capabilities_in_words() {
    let response = Response {
        address: ADDRESS,
        port: 1,
        capabilities: 0x8038,
    };
    assert_eq!(response.words(), ["link", "IPv4", "TLS", "many clients"]);
}

proptest! {
    #[test]
    fn responses_go_there_and_back(capabilities: u16, address: u32, port: u16, now: u64, classic: bool) {
        let address = Ipv4Addr::from(address);
        let response = Response { address, port, capabilities };
        let generation = if classic { Generation::Classic } else { Generation::V2 };
        let frame = put(&response.event(guid(), now), generation);
        let (_, event) = read(&frame).unwrap();
        prop_assert_eq!(Response::read(&event, address), Some(response));
        prop_assert_eq!(event.guid, guid());
    }

    #[test]
    fn an_announcement_fits_a_frame(name in "\\PC{0,90}", ports in prop::collection::vec(any::<u16>(), 0..200)) {
        let services: Vec<_> = ports.iter().map(|&port| link(port, &[ADDRESS])).collect();
        for event in announcement(&services, ADDRESS, &name, guid(), NOW) {
            let frame = put(&event, Generation::V2);
            prop_assert_eq!(hear(&frame), Ok(Heard::Other));
            prop_assert_eq!(event.data.is_empty(), false);
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = hear(&bytes);
    }
}

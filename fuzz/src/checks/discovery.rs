use std::net::Ipv4Addr;

use vscpl2drv_link::event::frame;
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::wire::discovery::Service;
use vscpl2drv_link::wire::discovery::{Heard, Response, announcement, hear, is_probe, probe, read};
use vscpl2drv_link::wire::link::reply::Capabilities;

use super::NOW;

/// Datagrams: a probe is one in either type of frame and behind a zero byte, an answer to it is
/// none, and what is read of an answer is what it was made of.
pub fn discovery(bytes: &[u8]) {
    let Ok(heard) = hear(bytes) else {
        assert!(read(bytes).is_err());
        return;
    };
    let (framed, event) = read(bytes).expect("it was heard");
    assert!(bytes.ends_with(framed) && bytes.len() - framed.len() <= 1);
    assert_eq!(heard != Heard::Other, is_probe(&event));
    for generation in [Generation::Classic, Generation::V2] {
        let mut out = vec![0];
        frame::write(&event, generation, &mut out);
        for again in [&out[..], &out[1..]] {
            match hear(again).expect("a written frame is heard") {
                Heard::Probe(found) => assert!(is_probe(&event) && found == generation),
                Heard::Other => assert!(!is_probe(&event)),
            }
        }
    }
    // Somebody else's answer, and one of our own to whatever the data is.
    let here = Ipv4Addr::LOCALHOST;
    if let Some(response) = Response::read(&event, here) {
        let again = response.event(event.guid, NOW);
        assert_eq!(Response::read(&again, response.address), Some(response));
    }
    let mut data = event.data.iter().copied().chain([0; 8]);
    let mut next = || data.next().unwrap_or_default();
    let service = Service {
        capabilities: [Capabilities::TCPIP, Capabilities::WEBSOCKET][usize::from(next() & 1)],
        port: u16::from_be_bytes([next(), next()]),
        at: vec![Ipv4Addr::new(next(), next(), next(), next())],
    };
    assert!(is_probe(&probe(here, event.guid, NOW)));
    let response = service.response(here).expect("it has an address");
    let answer = response.event(event.guid, NOW);
    assert!(!is_probe(&answer), "an answer to an answer");
    for event in announcement(&[service], response.address, "name", event.guid, NOW) {
        assert!(!is_probe(&event));
    }
}

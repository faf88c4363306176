use super::*;
use crate::config::load_driver;
use crate::discovery::limit;
use crate::event::json::Generation;
use crate::wire::discovery::{probe, read};
use crate::wire::link::reply::Capabilities;

const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 8);

fn guid() -> Guid {
    "::9".parse().unwrap()
}

fn services() -> Vec<Service> {
    let service = |capabilities, port, at| Service {
        capabilities,
        port,
        at: vec![at],
    };
    vec![
        service(Capabilities::TCPIP, 9598, Ipv4Addr::UNSPECIFIED),
        service(Capabilities::WEBSOCKET, 8884, HERE),
        service(Capabilities::WEBSOCKET, 8885, Ipv4Addr::LOCALHOST),
    ]
}

fn answers_for(allow: &str) -> Arc<Answers> {
    let text = format!("{{\"discovery\": {{\"enable\": true, \"allow\": {allow}}}}}");
    let allow = load_driver(&text).unwrap().0.discovery.unwrap().allow;
    Answers::new(guid(), allow, services(), CancellationToken::new())
}

fn question(generation: Generation) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&probe(HERE, Guid::ZERO, 5), generation, &mut bytes);
    bytes
}

fn asker(a: u8, d: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(a, 168, 1, d), 4711)
}

/// Address and port of what is answered.
fn told(events: &[Event]) -> Vec<(Ipv4Addr, u16)> {
    let one = |event: &Event| {
        assert_eq!(event.guid, guid());
        let response = Response::read(event, HERE).unwrap();
        (response.address, response.port)
    };
    events.iter().map(one).collect()
}

#[test]
fn a_datagram_is_answered_in_its_own_type_with_what_is_there() {
    let answers = answers_for("[]");
    for generation in [Generation::Classic, Generation::V2] {
        let bytes = question(generation);
        let frames = answers.datagram(&bytes, asker(192, 1), HERE);
        assert!(frames.iter().all(|frame| frame[0] == bytes[0]));
        assert!(frames.iter().all(|frame| frame.len() == 46));
        let events: Vec<Event> = frames.iter().map(|frame| read(frame).unwrap().1).collect();
        assert_eq!(told(&events), [(HERE, 9598), (HERE, 8884)]);
    }
    assert_eq!(answers.status().responses, 4);
    let other = Ipv4Addr::new(10, 0, 0, 1);
    let frames = answers.datagram(&question(Generation::V2), asker(192, 1), other);
    assert_eq!(frames.len(), 1, "what is elsewhere is not told");
    answers.set_services(Vec::new());
    let frames = answers.datagram(&question(Generation::V2), asker(192, 1), other);
    assert!(frames.is_empty());
}

#[test]
fn silence_is_counted() {
    let answers = answers_for("\"192.168.0.0/16\"");
    let good = question(Generation::V2);
    let ask = |bytes: &[u8], from| answers.datagram(bytes, from, HERE).len();
    assert_eq!(ask(&good, asker(192, 1)), 2);
    assert_eq!(ask(&good, asker(193, 1)), 0);
    let nobody = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, GROUP];
    for from in nobody.map(|ip| SocketAddrV4::new(ip, 4711)) {
        assert_eq!(ask(&good, from), 0);
    }
    assert_eq!(ask(&good, SocketAddrV4::new(HERE, 0)), 0);
    let mut encrypted = good.clone();
    encrypted[0] |= 1;
    for garbage in [&b""[..], b"\0", b"who is there?", &encrypted, &good[1..]] {
        assert_eq!(ask(garbage, asker(192, 1)), 0);
    }
    let answer = answers.datagram(&good, asker(192, 1), HERE).remove(0);
    assert_eq!(ask(&answer, asker(192, 1)), 0, "an answer is no question");
    assert_eq!(
        answers.status(),
        ResponderStatus {
            probes: 7,
            responses: 4,
            refused: 5,
            limited: 0,
            malformed: 5,
        }
    );
}

#[test]
fn a_flood_is_not_answered() {
    let answers = answers_for("[]");
    let good = question(Generation::V2);
    let began = answers.born.elapsed().as_secs();
    let mut answered = 0;
    for _ in 0..1000 {
        answered += answers.datagram(&good, asker(192, 1), HERE).len();
    }
    let seconds = answers.born.elapsed().as_secs() - began + 1;
    assert!(answered as u64 <= 2 * u64::from(limit::MOST_EACH) * seconds);
    let status = answers.status();
    assert_eq!(status.limited + status.responses / 2, 1000);
    // Events have a share of their own.
    assert!(!answers.answers(Asker::Uplink("host")).is_empty());
    for _ in 0..1000 {
        answers.answers(Asker::Client("127.0.0.1:1"));
    }
    assert!(answers.status().limited > status.limited + 900);
}

#[test]
fn events_are_answered_with_the_address_that_somebody_came_by() {
    let answers = answers_for("\"*\"");
    let client = |peer| told(&answers.answers(Asker::Client(peer)));
    let lo = Ipv4Addr::LOCALHOST;
    assert_eq!(client("127.0.0.1:4711"), [(lo, 9598), (lo, 8885)]);
    assert_eq!(client("[::ffff:127.0.0.1]:4711"), [(lo, 9598), (lo, 8885)]);
    // Where that cannot be said, each service has its own.
    let machine = machine();
    let all = [(machine, 9598), (HERE, 8884), (lo, 8885)];
    assert_eq!(client("[::1]:4711"), all);
    assert_eq!(told(&answers.answers(Asker::Link)), all);
    assert_eq!(told(&answers.answers(Asker::Uplink("host"))), all);
    assert_eq!(told(&answers.answers(Asker::Uplink("broker:1883"))), all);
    assert!(client("nobody").is_empty());
    // By another address than the one that it would be reached from: a route of its own.
    let all = answers.services();
    answers.set_services(vec![all[1].clone()]);
    assert_eq!(client("127.0.0.1:4711"), [(HERE, 8884)]);
    answers.set_services(all.to_vec());
    answers.stop.cancel();
    assert!(client("127.0.0.1:4711").is_empty(), "nothing is served");
}

#[test]
fn who_is_not_allowed_is_not_answered() {
    let who = |allow: &str| {
        let answers = answers_for(allow);
        let is = |asker| !answers.answers(asker).is_empty();
        [
            is(Asker::Client("127.0.0.1:4711")),
            is(Asker::Client("203.0.113.1:4711")),
            is(Asker::Link),
            is(Asker::Uplink("host")),
            is(Asker::Uplink("broker:1883")),
        ]
    };
    assert_eq!(who("[]"), [true, false, true, true, true]);
    assert_eq!(who("[\"host\"]"), [false, false, false, true, false]);
    assert_eq!(
        who("[\"mqtt\", \"127/8\"]"),
        [true, false, false, false, true]
    );
}

#[test]
fn the_answers_to_one_question_are_few() {
    let answers = answers_for("[]");
    let one = services().remove(0);
    answers.set_services(vec![one; 50]);
    let question = question(Generation::V2);
    assert_eq!(answers.datagram(&question, asker(192, 1), HERE).len(), MOST);
}

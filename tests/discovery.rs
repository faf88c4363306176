//! Being found: who asks for servers is answered, by datagrams and by events.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use vscpl2drv_link::wire::ws::Dialect::Ws1;

mod support;

use support::certificates::Authority;
use support::client::Client;
use support::datagrams::{Asker, GROUP, PROBE_0, PROBE_1, bytes, is_response, port_of};
use support::far_end::{FarEnd, Said};
use support::mosquitto::{Mosquitto, Subscriber, free_port, publish};
use support::network;
use support::reload::{Bench, PLAIN};
use support::secure::joined;
use support::tools::{PATIENCE, wait_until};
use support::websocket;

/// A link server without TLS that takes many clients by IPv4.
const LINK: u16 = 0x8028;

fn discovery(members: &str) -> String {
    format!("\"discovery\": {{\"enable\": true, \"interface\": \"udp://127.0.0.1:0\"{members}}}")
}

fn start(members: &str) -> Bench {
    Bench::with_guid(
        support::datagrams::GUID,
        &format!(
            "\"interface\": \"127.0.0.1:0\", \"debug\": true, {}",
            discovery(members)
        ),
    )
}

fn port(bench: &Bench) -> SocketAddr {
    bench.wait_for("answering who asks");
    port_of(&bench.log()).unwrap()
}

fn link(bench: &Bench) -> SocketAddr {
    bench.addresses()[0]
}

#[test]
fn a_probe_is_answered_with_the_frame_of_its_type_from_where_it_was_asked() {
    let bench = start("");
    let (at, link) = (port(&bench), link(&bench));
    let asker = Asker::new();
    for (hex, of_type) in [(PROBE_1, 1), (PROBE_0, 0)] {
        let probe = bytes(hex);
        for probe in [probe.clone(), [&[0][..], &probe].concat()] {
            asker.say(&probe, at);
            let (frame, from) = asker.heard();
            assert_eq!(from, at);
            is_response(&frame, of_type, LINK, link);
        }
    }
    asker.hears_nothing();
}

#[test]
fn a_probe_to_the_group_is_answered_to_who_asked_alone() {
    let bench = start("");
    let (at, link) = (port(&bench), link(&bench));
    let (asker, other) = (Asker::new(), Asker::new());
    let group = SocketAddr::from((GROUP, at.port()));
    let raw = socket2::SockRef::from(&other.0);
    raw.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    for (hex, of_type) in [(PROBE_1, 1), (PROBE_0, 0)] {
        asker.say(&bytes(hex), group);
        let (frame, from) = asker.heard();
        assert_eq!(from, at);
        is_response(&frame, of_type, LINK, link);
    }
    asker.hears_nothing();
    other.hears_nothing();
    // Another group is not for us.
    asker.say(
        &bytes(PROBE_1),
        SocketAddr::from(([224, 0, 23, 159], at.port())),
    );
    asker.hears_nothing();
}

#[test]
fn each_service_has_its_own_answer() {
    let authority = Authority::new("ours");
    let identity = joined(&authority.identity("localhost"));
    let key = tempfile::TempDir::new().unwrap();
    let file = support::program::key_file(key.path(), "key", &"0123456789abcdef".repeat(4), 0o600);
    let members = format!(
        "\"interface\": \"127.0.0.1:0,stcp://127.0.0.1:0\", \"encryption\": \"aes192\", \
         \"key-file\": {file:?}, \"tls\": {{\"certificate\": {identity:?}}}, \
         \"websocket\": {{\"interface\": \"ws://127.0.0.1:0,wss://127.0.0.1:0\"}}, {}",
        discovery("")
    );
    let bench = Bench::with_guid(support::datagrams::GUID, &members);
    let asker = Asker::new();
    asker.say(&bytes(PROBE_0), port(&bench));
    let all = [LINK | 0x02, LINK | 0x12, 0x0420, 0x0430];
    assert_eq!(bench.addresses().len(), all.len());
    for (address, capabilities) in bench.addresses().into_iter().zip(all) {
        is_response(&asker.heard().0, 0, capabilities, address);
    }
    asker.hears_nothing();
}

#[test]
fn who_is_not_allowed_and_what_is_no_probe_gets_no_answer() {
    let bench = start(", \"allow\": [\"127.0.0.1\"]");
    let at = port(&bench);
    let (asker, stranger) = (Asker::new(), Asker::at("127.0.0.2:0"));
    stranger.say(&bytes(PROBE_1), at);
    let good = bytes(PROBE_1);
    let mut encrypted = good.clone();
    encrypted[0] |= 2;
    let mut broken = good.clone();
    broken[36] ^= 1;
    let endless = [&good[..], &[0; 2000]].concat();
    let garbage = [
        &b""[..],
        b"\0",
        b"who is there?\r\n",
        &encrypted,
        &broken,
        &endless,
    ];
    for garbage in garbage {
        asker.say(garbage, at);
    }
    // They are looked at in their order, and an answer is no question.
    let (answer, _) = asker.ask(at);
    asker.say(&answer, at);
    asker.ask(at);
    asker.hears_nothing();
    stranger.hears_nothing();
    bench.wait_for_times("a datagram is no frame", garbage.len());
    bench.wait_for("asked for servers, and is not in discovery.allow");
    // By a channel it is the same list.
    let mut client = Client::log_in(link(&bench));
    client.must("send 0,0,27,,,,-");
    assert_eq!(client.must("retr")[0].split(',').nth(2), Some("28"));
    bench.edit(&format!(
        "\"interface\": \"127.0.0.1:0\", {}",
        discovery(", \"allow\": [\"host\"]")
    ));
    bench.wait_for_times("answering who asks", 2);
    client.must("send 0,0,27,,,,-");
    assert_eq!(client.ask("retr"), ["-OK - No event(s) available"]);
}

#[test]
fn nobody_is_answered_unless_that_is_wanted() {
    let free = free_port();
    let section = format!("\"discovery\": {{\"interface\": \"udp://127.0.0.1:{free}\"}}");
    let bench = Bench::start(&format!("\"interface\": \"127.0.0.1:0\", {section}"));
    assert_eq!(port_of(&bench.log()), None);
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.connect(("127.0.0.1", free)).unwrap();
    asker.set_read_timeout(Some(PATIENCE)).unwrap();
    asker.send(&bytes(PROBE_1)).unwrap();
    let error = asker.recv(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let mut client = Client::log_in(link(&bench));
    client.must("send 0,0,27,,,,-");
    assert_eq!(client.ask("retr"), ["-OK - No event(s) available"]);
}

#[test]
fn a_flood_is_answered_a_few_times_a_second() {
    let bench = start("");
    let at = port(&bench);
    let began = Instant::now();
    let (asker, other) = (Asker::new(), Asker::at("127.0.0.3:0"));
    // As many as a socket has room for.
    for _ in 0..150 {
        asker.say(&bytes(PROBE_1), at);
    }
    // Somebody else is answered all the same.
    other.ask(at);
    let seconds = began.elapsed().as_secs() + 2;
    let mut answers = 0;
    asker.0.set_nonblocking(true).unwrap();
    while asker.0.recv(&mut [0; 100]).is_ok() {
        answers += 1;
    }
    assert!(
        (1..=8 * seconds).contains(&answers),
        "{answers} in {seconds} s"
    );
}

#[test]
fn clients_are_answered_on_their_channels() {
    let bench = start("");
    let link = link(&bench);
    let (mut client, mut other) = (Client::log_in(link), Client::log_in(link));
    client.must("send 0,0,27,,,,-,0,192,168,1,8");
    let answer = client.must("retr");
    let [high, low] = link.port().to_be_bytes();
    let data = format!("0x80,0x28,0x7F,0x00,0x00,0x01,0x{high:02X},0x{low:02X}");
    let fields: Vec<&str> = answer[0].splitn(8, ',').collect();
    assert_eq!(fields[..4], ["0", "0", "28", "0"]);
    assert_eq!((fields[6], fields[7]), (support::datagrams::GUID, &*data));
    assert_eq!(client.must("cdta")[0], "0");
    assert_eq!(other.must("cdta")[0], "0");
    // The question goes to the uplinks like any other event, the answer does not.
    let question = bench.driver().read(PATIENCE).unwrap();
    assert_eq!((question.class, question.vscp_type), (0, 27));
    assert!(bench.driver().read(Duration::from_millis(50)).is_err());
    // In the receive loop it comes by itself.
    other.must("rcvloop");
    other.send(b"send 0,0,27,,,,-\r\n");
    assert_eq!(other.line().unwrap(), "+OK - Success.");
    assert!(other.event().ends_with(&data));
}

#[test]
fn websocket_clients_are_answered_too() {
    let more = format!("{},", discovery(""));
    let server = websocket::Server::start("", &more);
    let mut client = websocket::Client::log_in(server.address(), Ws1, "admin");
    client.send_event("0,0,27,,,,-").unwrap();
    client.must("OPEN");
    let told: Vec<_> = (0..2).map(|_| client.event()).collect();
    for (event, address) in told.iter().zip(server.driver.addresses()) {
        assert_eq!((event.class, event.vscp_type), (0, 28));
        assert_eq!(event.data[6..], address.port().to_be_bytes());
    }
    client.must("NOOP");
    server.driver.close();
}

/// What the host writes is asked by the host, and what it reads is the answer.
#[test]
fn the_host_is_answered_and_its_echo_is_nothing_new() {
    let bench = start("");
    let mut client = Client::log_in(link(&bench));
    bench.write("0,0,27,0,,,::7");
    let answer = bench.driver().read(PATIENCE).unwrap();
    assert_eq!(
        (answer.class, answer.vscp_type, answer.data.len()),
        (0, 28, 8)
    );
    assert_eq!(answer.guid.to_string(), support::datagrams::GUID);
    assert_eq!(answer.data[2..6], [127, 0, 0, 1]);
    assert!(bench.driver().read(Duration::from_millis(50)).is_err());
    // A daemon publishes it, and it comes back.
    bench.driver().write(answer);
    bench.write("0,20,3,0,,,::7,1");
    let question = client.must("retr");
    assert_eq!(question[0].split(',').nth(2), Some("27"));
    assert!(client.must("retr")[0].ends_with(",0x01"));
    assert_eq!(client.must("cdta")[0], "0");
    assert!(bench.driver().read(Duration::from_millis(50)).is_err());
}

#[test]
fn a_broker_is_answered_once_and_counts_are_in_the_status() {
    let broker = Mosquitto::start();
    let section = format!(
        "{{\"host\": \"127.0.0.1\", \"port\": {}, \"publish\": [{{\"topic\": \"bus\", \"qos\": 1, \
          \"format\": \"string\"}}], \"subscribe\": [{{\"topic\": \"bus\", \"qos\": 1}}], \
          \"status\": {{\"topic\": \"status\", \"interval\": 1}}}}",
        broker.port()
    );
    let bench = Bench::with_guid(
        support::datagrams::GUID,
        &format!("{PLAIN}, \"mqtt\": {section}, {}", discovery("")),
    );
    let bus = Subscriber::start(broker.port(), "bus", 1);
    let mut client = Client::log_in(link(&bench));
    wait_until("the broker is there", || {
        client.must("info")[0].starts_with("0,")
    });
    publish(broker.port(), "bus", "0,0,27,0,,,::7,0,192,168,1,8");
    assert!(bus.message().1.starts_with("0,0,27,"));
    let answer = bus.message().1;
    let [high, low] = link(&bench).port().to_be_bytes();
    // With nanoseconds, as this broker's payloads have them.
    assert!(answer.starts_with("256,0,28,0,,"), "{answer}");
    let data = format!(",0x80,0x28,0x7F,0x00,0x00,0x01,0x{high:02X},0x{low:02X}");
    assert!(
        answer.contains(support::datagrams::GUID) && answer.ends_with(&data),
        "{answer}"
    );
    // A client's question is answered on its channel, and not on the broker by which it comes back.
    client.must("send 0,0,27,0,,,-,1");
    assert!(bus.message().1.starts_with("256,0,27,"));
    publish(broker.port(), "bus", "0,20,3,0,,,::7,1");
    assert!(
        bus.message().1.starts_with("0,20,3,"),
        "nothing else was published"
    );
    let mut seen = Vec::new();
    while !seen
        .last()
        .is_some_and(|line: &String| line.starts_with("0,20,3,"))
    {
        wait_until("an event is there", || client.must("cdta")[0] != "0");
        seen.push(client.must("retr")[0].clone());
    }
    let types: Vec<&str> = seen
        .iter()
        .map(|line| line.split(',').nth(2).unwrap())
        .collect();
    assert_eq!(types, ["27", "28", "27", "3"], "{seen:?}");
    let asker = Asker::new();
    asker.say(b"garbage", port(&bench));
    asker.ask(port(&bench));
    let status = Subscriber::with(broker.port(), "status", 0, "got %t %p", &["-i", "second"]);
    wait_until("it is counted", || {
        let (_, text) = status.message();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["discovery"]
            == serde_json::json!({
                "probes": 3, "responses": 3, "refused": 0, "limited": 0, "malformed": 1
            })
    });
}

#[test]
fn the_section_changes_while_the_driver_runs() {
    let bench = Bench::start("\"interface\": \"127.0.0.1:0\"");
    let link = link(&bench);
    let mut client = Client::log_in(link);
    let edit = |section: &str, interface: &str| {
        bench.edit(&format!("\"interface\": \"{interface}\", {section}"));
    };
    let asker = Asker::new();
    edit(&discovery(""), "127.0.0.1:0");
    bench.wait_for_times("answering who asks", 1);
    let first = port(&bench);
    assert_eq!(asker.ask(first).1, first);
    // Another interface is told of, by the same port.
    edit(&discovery(""), "127.0.0.1:0,tcp://127.0.0.1:0");
    wait_until("it is told of", || {
        std::thread::sleep(Duration::from_millis(200));
        asker.say(&bytes(PROBE_1), first);
        asker.heard();
        asker
            .0
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let second = asker.0.recv(&mut [0; 100]);
        asker.0.set_read_timeout(Some(PATIENCE)).unwrap();
        second.is_ok()
    });
    assert_eq!(port(&bench), first);
    // What cannot be had stays as it was, and is tried again.
    edit(
        &discovery("").replace("127.0.0.1", "203.0.113.1"),
        "127.0.0.1:0",
    );
    bench.wait_for("stays as it was and is tried again: discovery.interface: cannot listen");
    std::thread::sleep(Duration::from_secs(1));
    asker.ask(first);
    edit(&discovery(", \"group\": \"239.9.9.9\""), "127.0.0.1:0");
    bench.wait_for_times("answering who asks", 2);
    let second = port(&bench);
    let group = SocketAddr::from(([239, 9, 9, 9], second.port()));
    assert_eq!(asker.ask(group).1, second);
    edit("\"discovery\": {\"enable\": false}", "127.0.0.1:0");
    bench.wait_for_times("nobody is answered at the port of before", 2);
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    gone.connect(second).unwrap();
    gone.set_read_timeout(Some(PATIENCE)).unwrap();
    wait_until("nobody is there", || {
        let _ = gone.send(&bytes(PROBE_1));
        let heard = gone.recv(&mut [0; 100]);
        heard.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    client.must("noop");
}

#[test]
fn a_port_that_cannot_be_had_keeps_the_driver_from_starting() {
    let config = format!(
        "{{\"interface\": \"127.0.0.1:0\", \"abi\": \"v2\", {}, \
          \"logging\": {{\"file-enable-log\": false}}}}",
        discovery("").replace("127.0.0.1", "203.0.113.1")
    );
    let guid = "::1".parse().unwrap();
    assert!(
        vscpl2drv_link::driver::Driver::open(vscpl2drv_link::driver::Source { config, guid })
            .is_none()
    );
}

#[test]
fn a_server_announces_itself_in_the_group_if_told_to() {
    // Before the driver starts: the first announcement is said at once.
    let free = free_port();
    let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    raw.set_reuse_address(true).unwrap();
    let group = SocketAddr::from((GROUP, free));
    raw.bind(&group.into()).unwrap();
    raw.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    let listener = Asker(raw.into());
    listener.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let section =
        discovery(", \"announce\": true").replace("127.0.0.1:0", &format!("127.0.0.1:{free}"));
    let members = format!("\"interface\": \"127.0.0.1:0\", {section}");
    let bench = Bench::with_guid(support::datagrams::GUID, &members);
    let mut frames = Vec::new();
    for _ in 0..3 {
        let (frame, from) = listener.heard();
        assert_eq!(from, SocketAddr::from(([127, 0, 0, 1], free)));
        assert_eq!(
            (frame[0], &frame[18..34]),
            (
                0,
                &bytes("FF FF FF FF FF FF FF F5 02 88 88 00 00 00 00 01")[..]
            )
        );
        frames.push(frame[14..].to_vec());
    }
    // Class, type, size, data.
    let data = |frame: &[u8], head: [u8; 4], size: u16| {
        assert_eq!(frame[..4], head);
        assert_eq!(frame[20..22], size.to_be_bytes());
        assert_eq!(frame.len(), 22 + usize::from(size) + 2);
        frame[22..frame.len() - 2].to_vec()
    };
    assert_eq!(data(&frames[0], [0, 20, 0, 9], 3), [0, 0, 0]);
    let name = data(&frames[1], [4, 2, 0, 2], 64);
    let about = data(&frames[2], [4, 0, 0, 20], 107);
    let link = link(&bench).port().to_be_bytes();
    assert_eq!(about[..8], [0, 0, 0, 0, 0, 0, 0xA0, 0x28]);
    assert_eq!(
        about[8..24],
        bytes("FF FF FF FF FF FF FF F5 02 88 88 00 00 00 00 01")
    );
    assert_eq!(
        about[24..40],
        [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(about[40..104], name);
    assert_ne!(name[0], 0);
    assert_eq!(about[104..], [15, link[0], link[1]]);
    let mut client = Client::log_in(self::link(&bench));
    assert_eq!(client.must("wcyd")[0], "00-00-00-00-00-00-A0-28");
    // The answer to a probe says so as well.
    let asker = Asker::new();
    asker.say(&bytes(PROBE_1), SocketAddr::from(([127, 0, 0, 1], free)));
    let (frame, _) = asker.heard();
    is_response(&frame, 1, LINK | 0x2000, self::link(&bench));
}

#[test]
fn when_the_driver_stops_serving_nobody_is_answered() {
    let bench = start("");
    let at = port(&bench);
    Client::log_in(link(&bench)).must("shutdown");
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    gone.connect(at).unwrap();
    gone.set_read_timeout(Some(PATIENCE)).unwrap();
    wait_until("nobody is there", || {
        std::thread::sleep(Duration::from_millis(50));
        let _ = gone.send(&bytes(PROBE_1));
        let heard = gone.recv(&mut [0; 100]);
        heard.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    bench.write("0,0,27,0,,,::7");
    assert!(bench.driver().read(Duration::from_millis(50)).is_err());
}

/// The example of the specification, with its addresses and ports: by unicast, broadcast and the
/// group, to all addresses at once.
#[test]
fn the_example_of_the_specification() {
    network::apart("the_example_of_the_specification", || {
        network::ip("addr add 192.168.1.8/24 broadcast 192.168.1.255 dev lo");
        network::ip("route add 255.255.255.255 dev lo");
        let members = "\"interface\": \"9598\", \"discovery\": {\"enable\": true}";
        let bench = Bench::with_guid(support::datagrams::GUID, members);
        let here = Ipv4Addr::new(192, 168, 1, 8);
        let asker = Asker::at("192.168.1.8:0");
        let ways = [
            here,
            GROUP,
            Ipv4Addr::new(192, 168, 1, 255),
            Ipv4Addr::BROADCAST,
        ];
        for (way, (hex, of_type)) in ways
            .iter()
            .flat_map(|way| [(PROBE_1, 1), (PROBE_0, 0)].map(|probe| (way, probe)))
        {
            asker.say(&bytes(hex), SocketAddr::from((*way, 9598)));
            let (frame, from) = asker.heard();
            assert_eq!(from, SocketAddr::from((here, 9598)), "{way}");
            is_response(&frame, of_type, LINK, SocketAddr::from((here, 9598)));
        }
        asker.hears_nothing();
        // By another interface it is another address.
        let asker = Asker::new();
        for way in [Ipv4Addr::LOCALHOST, GROUP] {
            asker.say(&bytes(PROBE_0), SocketAddr::from((way, 9598)));
            let local = SocketAddr::from(([127, 0, 0, 1], 9598));
            is_response(&asker.heard().0, 0, LINK, local);
        }
        drop(bench);
    });
}

/// `localhost` is two addresses and one service.
#[test]
fn a_service_with_two_addresses_is_told_once() {
    let bench = Bench::with_guid(
        support::datagrams::GUID,
        &format!(
            "\"interface\": \"localhost:{}\", {}",
            free_port(),
            discovery("")
        ),
    );
    let asker = Asker::new();
    let (frame, _) = asker.ask(port(&bench));
    let link = link(&bench);
    assert!(link.is_ipv4());
    let ipv6 = bench.addresses().iter().any(SocketAddr::is_ipv6);
    is_response(&frame, 1, if ipv6 { LINK | 0x40 } else { LINK }, link);
    asker.hears_nothing();
}

/// A server beyond a link asks, and is answered over the link.
#[test]
fn the_far_end_of_a_link_is_answered_by_the_link() {
    let far = FarEnd::start(|_, command| {
        Said::Text(match command {
            "CHID" => "7\r\n+OK - Success.\r\n".to_owned(),
            _ => "+OK - Success.\r\n".to_owned(),
        })
    });
    let bench = start(&format!(
        "}}, \"links\": [{{\"name\": \"far\", \"host\": \"{}\", \"user\": \"me\", \"password\": \"it\"}}], \
         \"filter\": {{\"in-filter\": \"0,0,0,-\"",
        far.address()
    ));
    wait_until("both connections are there", || {
        !far.heard_of("RCVLOOP").is_empty() && !far.heard_of("INTERFACE").is_empty()
    });
    for connection in 0..far.connections() {
        far.say(connection, "0,0,27,9,,,::7,0\r\n");
    }
    wait_until("an answer comes", || !far.heard_of("SEND").is_empty());
    let answer = far.heard_of("SEND").remove(0);
    let [high, low] = link(&bench).port().to_be_bytes();
    let data = format!("0x80,0x28,0x7F,0x00,0x00,0x01,0x{high:02X},0x{low:02X}");
    assert!(
        answer.starts_with("SEND 0,0,28,0,") && answer.ends_with(&data),
        "{answer}"
    );
    // The question is an event like any other.
    let question = bench.driver().read(PATIENCE).unwrap();
    assert_eq!((question.class, question.vscp_type), (0, 27));
    assert!(bench.driver().read(Duration::from_millis(50)).is_err());
    assert_eq!(far.heard_of("SEND").len(), 1);
}

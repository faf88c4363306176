use super::*;
use crate::config::load_driver;

fn read(members: &str) -> Result<(Option<DiscoveryConfig>, Vec<String>), String> {
    let text = format!("{{\"discovery\": {{{members}}}}}");
    load_driver(&text)
        .map(|(config, warnings)| (config.discovery, warnings))
        .map_err(|error| error.to_string())
}

fn good(members: &str) -> DiscoveryConfig {
    let (config, warnings) = read(&format!("\"enable\": true, {members} \"x-end\": 0")).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    config.unwrap()
}

#[test]
fn nobody_is_answered_unless_that_is_wanted() {
    assert!(load_driver("{}").unwrap().0.discovery.is_none());
    assert_eq!(read("").unwrap(), (None, vec![]));
    assert_eq!(read("\"enable\": false").unwrap(), (None, vec![]));
    let (config, warnings) = read("\"announce\": true").unwrap();
    assert!(config.is_none());
    assert!(
        warnings[0].contains("discovery.announce: it has no effect without enable"),
        "{warnings:?}"
    );
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = good("");
    assert_eq!(config.interface, "0.0.0.0:9598".parse().unwrap());
    assert_eq!(config.group, Ipv4Addr::new(224, 0, 23, 158));
    assert!(!config.announce);
    let allow = &config.allow;
    assert!(allow.host && allow.mqtt && allow.links);
    for (address, near) in [
        ("127.0.0.1", true),
        ("10.1.2.3", true),
        ("172.31.255.255", true),
        ("192.168.1.8", true),
        ("169.254.1.1", true),
        ("::1", true),
        ("fe80::1", true),
        ("172.32.0.1", false),
        ("8.8.8.8", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(allow.allow(address.parse().unwrap()), near, "{address}");
    }
    assert_eq!(
        good("\"interface\": \"\", \"group\": \"\", \"allow\": \"\","),
        config
    );
    assert_eq!(good("\"allow\": [],"), config);
}

#[test]
fn where_probes_come_to() {
    for (text, address) in [
        ("udp://0.0.0.0:9598", "0.0.0.0:9598"),
        ("UDP://localhost:1", "127.0.0.1:1"),
        ("udp://192.168.1.8", "192.168.1.8:9598"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("4711", "0.0.0.0:4711"),
        ("+4711", "0.0.0.0:4711"),
        ("udp://*:4711", "0.0.0.0:4711"),
    ] {
        let config = good(&format!("\"interface\": \"{text}\","));
        assert_eq!(config.interface, address.parse().unwrap(), "{text}");
    }
    let config = good("\"group\": \"239.1.2.3\", \"announce\": true,");
    assert_eq!(
        (config.group, config.announce),
        (Ipv4Addr::new(239, 1, 2, 3), true)
    );
}

#[test]
fn who_is_answered() {
    let near: IpAddr = "192.168.1.8".parse().unwrap();
    let far: IpAddr = "8.8.8.8".parse().unwrap();
    let who = |list: &str| {
        let Askers {
            networks,
            host,
            mqtt,
            links,
        } = good(&format!("\"allow\": {list},")).allow;
        [
            networks.allows(near),
            networks.allows(far),
            host,
            mqtt,
            links,
        ]
    };
    for (list, expected) in [
        ("\"192.168.0.0/16\"", [true, false, false, false, false]),
        (
            "[\"192.168.1.*\", \"+host\"]",
            [true, false, true, false, false],
        ),
        ("\"mqtt, links\"", [false, false, false, true, true]),
        ("\"*\"", [true; 5]),
        (
            "[\"*\", \"-MQTT\", \"-8.0.0.0/8\"]",
            [true, false, true, false, true],
        ),
        ("\"-mqtt\"", [true, true, true, false, true]),
        ("\"-*\"", [false; 5]),
        ("[\"+host\", \"- *\"]", [false; 5]),
        ("[\"-*\", \"+ host\"]", [false, false, true, false, false]),
    ] {
        assert_eq!(who(list), expected, "{list}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (members, expected) in [
        (
            "\"enable\": 1",
            "discovery.enable: true or false was expected, a number was found",
        ),
        (
            "\"interface\": 9598",
            "discovery.interface: a string was expected",
        ),
        (
            "\"interface\": \"tcp://127.0.0.1\"",
            "\"tcp\" is not a protocol of this interface; udp://",
        ),
        ("\"interface\": \"udp://127.0.0.1:65536\"", "is not a port"),
        (
            "\"interface\": \"udp://127.0.0.1:1s\"",
            "no TLS for datagrams",
        ),
        ("\"interface\": \"://127.0.0.1:1\"", "no TLS for datagrams"),
        (
            "\"interface\": \"udp://[::1]:1\"",
            "an IPv4 address of this machine",
        ),
        (
            "\"interface\": \"udp://server.example\"",
            "an IPv4 address of this machine",
        ),
        (
            "\"interface\": \"udp://224.0.23.158\"",
            "the group has its own key",
        ),
        (
            "\"group\": \"192.168.1.1\"",
            "discovery.group: \"192.168.1.1\" is no multicast address",
        ),
        ("\"group\": \"ff02::1\"", "is no multicast address"),
        ("\"group\": true", "discovery.group: a string was expected"),
        (
            "\"announce\": \"yes\"",
            "discovery.announce: true or false was expected",
        ),
        (
            "\"allow\": [1]",
            "discovery.allow[0]: a string was expected",
        ),
        (
            "\"allow\": {}",
            "discovery.allow: a string or a list of strings was expected",
        ),
        (
            "\"allow\": [\"10/8\", \"-vscpd\"]",
            "discovery.allow: \"vscpd\" is no network",
        ),
        (
            "\"allow\": \"10.0.0.0/40\"",
            "discovery.allow: \"10.0.0.0/40\" is no network",
        ),
    ] {
        // Wrong is wrong, enabled or not.
        let error = read(members).unwrap_err();
        assert!(error.contains(expected), "{members}: {error}");
    }
    let text = load_driver("{\"discovery\": true}")
        .unwrap_err()
        .to_string();
    assert!(text.contains("discovery: an object was expected"), "{text}");
    let (_, warnings) = read("\"anounce\": true").unwrap();
    assert!(
        warnings[0].contains("did you mean \"announce\"?"),
        "{warnings:?}"
    );
}

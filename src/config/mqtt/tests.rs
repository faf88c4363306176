use std::path::PathBuf;

use crate::config::load_driver;
use crate::config::model::{
    MqttConfig, MqttVersion, ReadFormat, Retained, SubscribeOptions, TlsVersions, WriteFormat,
};

fn load(mqtt: &str) -> (Vec<MqttConfig>, Vec<String>) {
    let text = format!("{{\"mqtt\": {mqtt}}}");
    let (config, warnings) = load_driver(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (config.mqtt, warnings)
}

fn one(members: &str) -> MqttConfig {
    let (mut found, warnings) = load(&format!("{{{members}}}"));
    assert!(warnings.is_empty(), "{members}: {warnings:?}");
    found.remove(0)
}

fn warned(members: &str) -> (MqttConfig, String) {
    let (mut found, warnings) = load(&format!("{{{members}}}"));
    assert_eq!(warnings.len(), 1, "{members}: {warnings:?}");
    (found.remove(0), warnings[0].clone())
}

/// The one error of a section.
fn refused(members: &str) -> String {
    let text = format!("{{\"mqtt\": {{{members}}}}}");
    let error = load_driver(&text).expect_err(&text).to_string();
    assert_eq!(error.lines().count(), 1, "{text}: {error}");
    error
}

#[test]
fn formats_by_name_and_by_number() {
    use ReadFormat as R;
    use WriteFormat as W;
    let config = one(
        "\"publish-format\": \"xml\", \"subscribe-format\": \"string\", \
                      \"publish\": [{\"topic\": \"a\"}, {\"topic\": \"b\", \"format\": \"JSON\"}, \
                      {\"topic\": \"c\", \"format\": 3}, {\"topic\": \"d\", \"format\": \"string\"}, \"e\"], \
                      \"subscribe\": [{\"topic\": \"a\"}, {\"topic\": \"b\", \"format\": \"auto\"}, \
                      {\"topic\": \"c\", \"format\": \"binary\"}, \"d/#\"]",
    );
    let written: Vec<_> = config.publish.iter().map(|entry| entry.format).collect();
    assert_eq!(written, [W::Xml, W::Json, W::Binary, W::Text, W::Xml]);
    let read: Vec<_> = config.subscribe.iter().map(|entry| entry.format).collect();
    assert_eq!(read, [R::Text, R::Auto, R::Binary, R::Text]);
    assert_eq!(config.subscribe[3].topic, "d/#");
    let error = refused("\"publish\": [{\"topic\": \"a\", \"format\": \"yaml\"}]");
    assert!(
        error.contains("publish[0].format") && error.contains("xml"),
        "{error}"
    );
    let config = one("\"bjsonmeasurementblock\": false");
    assert!(!config.measurement_block && one("").measurement_block);
}

#[test]
fn versions_of_mqtt() {
    assert_eq!(one("").version, MqttVersion::V311);
    assert_eq!(
        one("\"mqtt-options\": {\"protocol-version\": 311}").version,
        MqttVersion::V311
    );
    for version in [5, 500] {
        let section = format!("\"mqtt-options\": {{\"protocol-version\": {version}}}");
        assert_eq!(one(&section).version, MqttVersion::V5);
        let section = format!("\"protocol-version\": {version}");
        assert_eq!(
            one(&section).version,
            MqttVersion::V5,
            "at the top, as the daemon wants it"
        );
    }
    assert!(refused("\"protocol-version\": 310").contains("3.1"));
    refused("\"protocol-version\": 7");
    let both =
        "\"mqtt-options\": {\"receive-maximum\": 7, \"send-maximum\": 9, \"protocol-version\"";
    let old = one(&format!("{both}: 311}}"));
    assert_eq!((old.receive_maximum, old.send_maximum), (7, Some(9)));
    let new = one(&format!("{both}: 500}}"));
    assert_eq!((new.receive_maximum, new.send_maximum), (7, Some(9)));
}

#[test]
fn what_mqtt_5_alone_can_do() {
    let config = one(
        "\"protocol-version\": 500, \"v5\": {\"session-expiry\": 60, \
                      \"message-expiry\": 30, \"user-properties\": {\"site\": \"home\"}}",
    );
    assert_eq!(config.v5.session_expiry, Some(60));
    assert_eq!(config.v5.message_expiry, Some(30));
    assert_eq!(
        config.v5.user_properties,
        [("site".to_owned(), "home".to_owned())]
    );
    let (_, warning) = warned("\"v5\": {\"session-expiry\": 60}");
    assert!(warning.contains("protocol-version 5"), "{warning}");
    let options = |value: &str| {
        let section = format!(
            "\"protocol-version\": 5, \"subscribe\": [{{\"topic\": \"a\", \"v5-options\": {value}}}]"
        );
        one(&section).subscribe[0].options
    };
    let none = SubscribeOptions::default();
    for value in ["0", "\"\"", "[]", "\"SEND_RETAIN_ALWAYS\""] {
        assert_eq!(options(value), none, "{value}");
    }
    let all = SubscribeOptions {
        no_local: true,
        retain_as_published: true,
        retained: Retained::New,
    };
    for value in [
        "28",
        "\"NO_LOCAL, RETAIN_AS_PUBLISHED,SEND_RETAIN_NEW\"",
        "[\"no_local\", \"RETAIN_AS_PUBLISHED\", \"SEND_RETAIN_NEW\"]",
    ] {
        assert_eq!(options(value), all, "{value}");
    }
    assert_eq!(options("32").retained, Retained::Never);
    let section = |value: &str| {
        format!(
            "\"protocol-version\": 5, \"subscribe\": [{{\"topic\": \"a\", \"v5-options\": {value}}}]"
        )
    };
    assert!(refused(&section("\"LOCAL\"")).contains("NO_LOCAL"));
    refused(&section("48"));
    warned("\"subscribe\": [{\"topic\": \"a\", \"v5-options\": 4}]");
}

#[test]
fn tls_is_on_where_something_asks_for_it() {
    let blank = "\"tls\": {\"cafile\": \"\", \"capath\": \"\", \"certfile\": \"\", \"keyfile\": \"\", \
                 \"pwkeyfile\": \"\", \"no-hostname-checking\": true, \"cert-reqs\": 0, \"version\": \"\", \
                 \"ciphers\": \"\", \"psk\": \"\", \"psk-identity\": \"\"}";
    assert!(one(blank).tls.is_none());
    for (section, port) in [
        ("\"host\": \"mqtts://x\"", 8883),
        ("\"host\": \"stcp://x:1884\"", 1884),
        ("\"host\": \"mqtts://x\", \"port\": 1885", 1885),
        ("\"tls\": {\"cafile\": \"/ca.pem\"}", 1883),
        ("\"tls\": {\"capath\": \"/ca\"}", 1883),
        ("\"cafile\": \"/ca.pem\"", 1883),
        ("\"mqtt-options\": {\"tls-use-os-certs\": 1}", 1883),
    ] {
        let config = one(section);
        let tls = config.tls.unwrap();
        assert!(tls.check_host && tls.check_certificate, "{section}");
        assert_eq!(config.port, port, "{section}");
    }
    let tls = one("\"tls\": {\"cafile\": \"/ca.pem\", \"certfile\": \"/c.pem\", \"keyfile\": \"/k.pem\", \
                   \"pwkeyfile\": \"secret\", \"no-hostname-checking\": true, \"cert-reqs\": 0, \
                   \"version\": \"tlsv1.3\", \"ciphers\": \"A:B\"}, \"mqtt-options\": {\"tls-alpn\": \"mqtt\"}")
    .tls
    .unwrap();
    assert_eq!(tls.certificate, Some(PathBuf::from("/c.pem")));
    assert_eq!(tls.pass_phrase.as_ref().unwrap().as_str(), "secret");
    assert!(!tls.check_host && !tls.check_certificate);
    assert_eq!(tls.versions, TlsVersions::Only13);
    assert_eq!((tls.ciphers.len(), tls.alpn.len()), (2, 1));
    assert!(!format!("{tls:?}").contains("secret"));
}

#[test]
fn what_protects_is_never_ignored() {
    for (section, key) in [
        ("\"tls\": {\"psk\": \"0011\"}", "psk"),
        ("\"tls\": {\"psk-identity\": \"me\"}", "psk-identity"),
        ("\"tls\": {\"version\": \"tlsv1.3\"}", "version"),
        ("\"tls\": {\"ciphers\": \"x\"}", "ciphers"),
        ("\"mqtt-options\": {\"tls-alpn\": \"mqtt\"}", "tls-alpn"),
        ("\"tls\": {\"certfile\": \"/c.pem\"}", "certfile"),
        ("\"tls\": {\"pwkeyfile\": \"x\"}", "pwkeyfile"),
        (
            "\"tls\": {\"cafile\": \"/c\", \"certfile\": \"/c\"}",
            "certfile",
        ),
        (
            "\"tls\": {\"cafile\": \"/c\", \"keyfile\": \"/c\"}",
            "keyfile",
        ),
        (
            "\"tls\": {\"cafile\": \"/c\", \"version\": \"ssl3\"}",
            "version",
        ),
        (
            "\"mqtt-options\": {\"tls-ocsp-required\": 1}",
            "tls-ocsp-required",
        ),
        (
            "\"mqtt-options\": {\"tls-engine\": \"pkcs11\"}",
            "tls-engine",
        ),
        ("\"bind\": \"eth0\"", "bind"),
    ] {
        let error = refused(section);
        assert!(error.contains(key), "{section}: {error}");
    }
    assert_eq!(
        one("\"bind\": \"127.0.0.1\"").bind,
        Some("127.0.0.1".parse().unwrap())
    );
    warned("\"tls\": {\"cafile\": \"/c\", \"version\": \"tlsv1.1\"}");
    warned("\"port\": 8883");
    warned("\"password\": \"x\"");
}

#[test]
fn messages_about_the_driver() {
    let config = one(
        "\"will\": {\"topic\": \"w\", \"payload\": \"gone\", \"qos\": 1}, \
                      \"birth\": {\"topic\": \"w\", \"payload\": \"here\"}",
    );
    let (will, birth) = (config.will.unwrap(), config.birth.unwrap());
    assert_eq!((will.qos, will.retain, birth.retain), (1, true, true));
    let will = one("\"will\": {\"topic\": \"w\"}").will.unwrap();
    assert_eq!(
        (will.payload.as_str(), will.qos),
        ("VSCP Daemon is down", 1)
    );
    let blank =
        one("\"will\": {\"topic\": \"\", \"payload\": \"\", \"qos\": 0, \"retain\": false}");
    assert!(blank.will.is_none());
    warned("\"birth\": {\"topic\": \"b\"}");
    let status = one("\"status\": {\"topic\": \"s/{{guid}}\", \"interval\": 5}")
        .status
        .unwrap();
    assert_eq!((status.interval.as_secs(), status.qos), (5, 1));
    assert!(one("").status.is_none());
    assert!(refused("\"status\": {}").contains("topic"));
    let both = "\"status\": {\"topic\": \"s\"}, \"will\": {\"topic\": \"w\", \"payload\": \"x\"}";
    assert!(refused(both).contains("one will"));
}

#[test]
fn filters_have_their_members() {
    let config = one(
        "\"filter\": {\"class-filter\": 20, \"class-mask\": 65535, \"priority-filter\": 3, \
                      \"guid-filter\": \"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01\", \"guid-mask\": \"\"}",
    );
    assert_eq!(
        (config.filter.filter.class, config.filter.mask.class),
        (20, 65535)
    );
    assert_eq!(config.filter.filter.guid.bytes()[15], 1);
    assert!(refused("\"filter\": {\"priority-filter\": 8}").contains("priority-filter"));
}

#[test]
fn texts_that_no_packet_can_hold() {
    let long = "x".repeat(70_000);
    for section in [
        format!("\"clientid\": \"{long}\""),
        format!("\"user\": \"{long}\""),
        format!("\"user\": \"x\", \"password\": \"{long}\""),
        format!("\"will\": {{\"payload\": \"{long}\"}}"),
        format!("\"protocol-version\": 5, \"v5\": {{\"user-properties\": {{\"a\": \"{long}\"}}}}"),
        format!("\"subscribe\": [\"{long}\"]"),
    ] {
        assert!(refused(&section).contains("6553"), "{}", refused(&section));
    }
}

#[test]
fn reconnect_under_each_of_its_names() {
    for section in [
        "\"reconnect\": {\"delay\": 3, \"delay-max\": 30, \"exponential-backoff\": true}",
        "\"delay\": 3, \"delay-max\": 30, \"exponential-backoff\": true",
        "\"reconnect-delay\": 3, \"reconnect-delay-max\": 30, \"reconnect-exponential-backoff\": true",
    ] {
        let reconnect = one(section).reconnect;
        assert_eq!(reconnect.delay.as_secs(), 3, "{section}");
        assert_eq!(reconnect.delay_max.as_secs(), 30, "{section}");
        assert!(reconnect.exponential, "{section}");
    }
}

#[test]
fn several_brokers() {
    let (found, _) =
        load("[{\"host\": \"a\"}, {\"host\": \"b\", \"port\": 1884, \"required\": false}]");
    let hosts: Vec<_> = found
        .iter()
        .map(|one| (one.host.as_str(), one.port))
        .collect();
    assert_eq!(hosts, [("a", 1883), ("b", 1884)]);
    assert!(found[0].required && !found[1].required);
    let text = "{\"mqtt\": [{\"host\": \"a\"}, {\"host\": \"a\"}]}";
    let error = load_driver(text).unwrap_err().to_string();
    assert!(error.contains("mqtt[1]"), "{error}");
}

#[test]
fn topics_as_they_stand() {
    let config = one("\"bescape-pub-topics\": false, \"publish\": [{\"topic\": \"a/{{class}}\"}]");
    assert!(!config.escape_topics);
    refused("\"bescape-pub-topics\": false, \"publish\": [{\"topic\": \"a/+\"}]");
    let many: Vec<String> = (0..65).map(|n| format!("\"t/{n}\"")).collect();
    assert!(refused(&format!("\"publish\": [{}]", many.join(","))).contains("64"));
}

use std::path::PathBuf;

use super::*;
use crate::config::load_driver;
use crate::config::model::{DriverConfig, LogFormat, LogLevel};

fn good(text: &str) -> DriverConfig {
    match load_driver(text) {
        Ok((config, _)) => config,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn bad(text: &str) -> String {
    match load_driver(text) {
        Ok(_) => panic!("{text}"),
        Err(error) => error.to_string(),
    }
}

/// A list of one link with more members.
fn link(members: &str) -> String {
    format!(
        "{{\"links\": [{{\"host\": \"far\", \"user\": \"me\", {members} \"password\": \"it\"}}]}}"
    )
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = good(&link(""));
    let one = &config.links[0];
    assert_eq!(
        (&*one.name, &*one.host, one.port),
        ("far:9598", "far", 9598)
    );
    assert_eq!((one.mode, one.direction), Default::default());
    assert_eq!((&*one.user, &**one.password), ("me", "it"));
    assert!(one.tls.is_none() && one.cipher.is_none());
    assert_eq!((one.max_in_queue, one.max_out_queue), (32_000, 32_000));
    assert_eq!(one.response_timeout.as_secs(), 5);
    assert_eq!(one.reconnect, Reconnect::default());
    assert_eq!(config.interfaces.len(), 1, "it serves clients as well");
    // One alone needs no list.
    let alone = good("{\"links\": {\"host\": \"far\", \"user\": \"me\"}}");
    assert_eq!(alone.links.len(), 1);
}

#[test]
fn every_key() {
    let text = link(
        "\"name\": \"cabin\", \"port\": 1, \"mode\": \"poll\", \"interval\": 7, \
         \"direction\": \"in\", \"max-in-queue\": 3, \"max-out-queue\": 4, \
         \"response-timeout\": 250, \
         \"filter\": {\"in-filter\": \"1,2,3,-\", \"in-mask\": \"4,5,6,-\", \
                      \"out-filter\": \"7,8,9,-\", \"out-mask\": \"0,11,12,-\"}, \
         \"reconnect\": {\"delay\": 3, \"delay-max\": 9, \"exponential-backoff\": true, \
                         \"jitter\": 0},",
    );
    let one = &good(&text).links[0];
    assert_eq!((&*one.name, one.port), ("cabin", 1));
    assert_eq!(one.mode, LinkMode::Poll(Duration::from_secs(7)));
    assert_eq!((one.direction.inward, one.direction.outward), (true, false));
    assert_eq!((one.max_in_queue, one.max_out_queue), (3, 4));
    assert_eq!(one.response_timeout.as_millis(), 250);
    assert_eq!(
        (one.filter_in.filter.class, one.filter_in.mask.class),
        (2, 5)
    );
    assert_eq!(
        (one.filter_out.filter.class, one.filter_out.mask.class),
        (8, 11)
    );
    let reconnect = one.reconnect;
    assert_eq!(
        (reconnect.delay.as_secs(), reconnect.delay_max.as_secs()),
        (3, 9)
    );
    assert_eq!((reconnect.exponential, reconnect.jitter), (true, 0));
    let on_demand = &good(&link("\"mode\": \"on-demand\", \"direction\": \"out\",")).links[0];
    assert_eq!(on_demand.mode, LinkMode::OnDemand);
    assert!(on_demand.direction.outward && !on_demand.direction.inward);
}

#[test]
fn tls_is_on_where_the_host_or_a_ca_says_so() {
    assert!(
        good(&link("").replace("far", "stcp://far:7")).links[0]
            .tls
            .is_some()
    );
    assert!(
        good(&link("").replace("far", "tcp://far:7")).links[0]
            .tls
            .is_none()
    );
    let with_ca = good(&link("\"tls\": {\"cafile\": \"/ca.pem\"},"));
    let tls = with_ca.links[0].tls.clone().unwrap();
    assert!(tls.check_host && tls.check_certificate);
    let error = bad(&link(
        "\"tls\": {\"certfile\": \"/c\", \"keyfile\": \"/k\"},",
    ));
    assert!(error.contains("links[0].tls.certfile"), "{error}");
    let error = bad(&link("").replace("far", "mqtts://far"));
    assert!(error.contains("none of tcp, stcp"), "{error}");
}

#[test]
fn the_password_may_be_in_a_file() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("password");
    std::fs::write(&file, "from a file\nand more\n").unwrap();
    let text = link(&format!("\"password-file\": {file:?},"));
    assert_eq!(&**good(&text).links[0].password, "it", "the other counts");
    let text = text
        .replace(", \"password\": \"it\"", "")
        .replace(" \"password\": \"it\"", " \"name\": \"n\"");
    assert_eq!(&**good(&text).links[0].password, "from a file");
    let error = bad(&text.replace("/password\"", "/none\""));
    assert!(error.contains("links[0].password-file"), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, key) in [
        (
            "{\"links\": [{\"user\": \"me\"}]}".to_owned(),
            "there is no host",
        ),
        (
            "{\"links\": [{\"host\": \"far\"}]}".to_owned(),
            "there is no user",
        ),
        (link("\"mode\": \"always\","), "persistent, poll, on-demand"),
        (
            link("\"mode\": \"on-demand\", \"direction\": \"in\","),
            "mode on-demand is for events that leave",
        ),
        (link("\"direction\": \"up\","), "both, in, out"),
        (link("\"name\": \"a b\","), "links[0].name"),
        (link("\"encryption\": \"aes256\","), "there is no key-file"),
        (
            link("\"encryption\": \"des\","),
            "is not one of none, aes128",
        ),
        (
            link("\"encryption\": \"aes128\", \"key-file\": \"/none\","),
            "links[0].key-file",
        ),
        (
            "{\"links\": [{\"host\": \"a\", \"user\": \"u\"}, {\"host\": \"a\", \"user\": \"v\"}]}"
                .to_owned(),
            "another link has the name \"a:9598\"",
        ),
    ] {
        let error = bad(&text);
        assert!(error.contains(key), "{text}: {error}");
    }
    let many = vec!["{\"host\": \"a\", \"user\": \"u\"}"; MOST + 1].join(", ");
    let error = bad(&format!("{{\"links\": [{many}]}}"));
    assert!(error.contains("more than 64 links"), "{error}");
}

#[test]
fn remote_is_a_link_and_takes_the_filter() {
    let text = "{\"remote\": {\"host\": \"stcp://far\", \"user\": \"me\", \"password\": \"it\", \
                 \"response-timeout\": 700}, \
                 \"filter\": {\"in-filter\": \"0,20,0,-\", \"in-mask\": \"0,65535,0,-\"}, \
                 \"tls\": {\"ca-file\": \"/ca.pem\", \"certificate\": \"/me.pem\"}}";
    let (config, warnings) = load_driver(text).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert!(config.interfaces.is_empty() && config.tls.is_none());
    assert_eq!(config.filter_in, FilterPair::default());
    let one = &config.links[0];
    assert_eq!(
        (&*one.name, one.response_timeout.as_millis()),
        ("far:9598", 700)
    );
    assert_eq!(one.filter_in.filter.class, 20);
    let tls = one.tls.clone().unwrap();
    assert_eq!(tls.ca_file, Some(PathBuf::from("/ca.pem")));
    assert_eq!(tls.certificate, Some(PathBuf::from("/me.pem")));
    assert!(
        tls.check_certificate,
        "whatever verify-peer says of clients"
    );
    // Beside an interface the filter is that of the clients too.
    let both = good(&text.replacen('{', "{\"interface\": \"9598\",", 1));
    assert_eq!(both.interfaces.len(), 1);
    assert_eq!(both.filter_in.filter.class, 20);
}

/// Words of its own for what the log is, as its documentation has them.
#[test]
fn the_cpp_link_drivers_words_for_logging() {
    let text = r#"{"remote": {"host": "h", "user": "u", "password": "p"}, "logging": {
        "console-enable": true, "console-level": "trace", "console-pattern": "c %v",
        "file-enable": true, "file-log-level": "debug", "file-log-path": "/somewhere/link.log",
        "file-log-pattern": "f %v", "file-log-max-size": 50000, "file-log-max-files": 7}}"#;
    let config = good(text);
    let file = config.logging.file.unwrap();
    assert_eq!(file.path, PathBuf::from("/somewhere/link.log"));
    assert_eq!((file.max_size, file.max_files), (50_000, 7));
    let pattern = |text: &str| LogFormat::Pattern(text.to_owned());
    assert_eq!(file.sink.level, LogLevel::Debug);
    assert_eq!(file.sink.format, pattern("f %v"));
    assert!(file.required, "somebody has configured it");
    let console = config.logging.console.unwrap();
    assert_eq!(console.level, LogLevel::Trace);
    assert_eq!(console.format, pattern("c %v"));
    let off = text.replace("-enable\": true", "-enable\": false");
    let off = good(&off).logging;
    assert!(off.file.is_none() && off.console.is_none());
}

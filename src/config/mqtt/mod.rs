//! An `mqtt` section, of the driver's file or of the daemon's.
//!
//! | module | what |
//! |---|---|
//! | `connection` | `host`, `mqtt-options`, `reconnect`, `v5` |
//! | `tls` | `tls` |
//! | `topics` | `publish`, `subscribe`, `will`, `birth`, `status`, `filter` |

pub(super) mod connection;
pub(super) mod tls;
mod topics;

use std::time::Duration;

use zeroize::Zeroizing;

use super::driver::text_if_set;
use super::model::{GenerationChoice, MqttConfig};
use super::node::Node;
use super::object::Object;
use super::report::Report;
use crate::wire::topic::Settings;
use topics::Absent;

/// What says which broker it is, and how to get there. A daemon's entry that has none of them takes
/// them all from the daemon's main section, so that a login never goes another way than it was meant to.
const OF_THE_BROKER: &[&str] = &[
    "bind",
    "host",
    "port",
    "user",
    "password",
    "mqtt-options",
    "tcp-nodelay",
    "protocol-version",
    "receive-maximum",
    "send-maximum",
    "bind-address",
    "ssl-ctx-with-defaults",
    "tls-ocsp-required",
    "tls-use-os-certs",
    "tls-engine",
    "tls-keyform",
    "tls-kpass-sha1",
    "tls-alpn",
    "tls",
    "cafile",
    "capath",
    "certfile",
    "keyfile",
    "pwkeyfile",
    "no-hostname-checking",
    "cert-reqs",
    "version",
    "ciphers",
    "psk",
    "psk-identity",
];
/// What an entry takes one by one. Client id, session, topics and will are each client's own.
const ONE_BY_ONE: &[&str] = &[
    "publish-format",
    "subscribe-format",
    "qos",
    "bretain",
    "keepalive",
    "connection-timeout",
    "reconnect",
    "bjsonmeasurementblock",
];

/// A will as the daemon's documentation has it.
const WILL: Absent = Absent {
    qos: 1,
    topic: Some("vscp-daemon/{{ifguid}}/will"),
    payload: Some("VSCP Daemon is down"),
};
const BIRTH: Absent = Absent {
    qos: 1,
    topic: None,
    payload: None,
};

/// Reads a section, or a list of sections, one for each broker.
pub(super) fn read_all(node: &Node<'_>, file: &str, report: &mut Report) -> Vec<MqttConfig> {
    if !node.is_list() {
        return read_one(node, file, report).into_iter().collect();
    }
    let sections = node.list(report).unwrap_or_default();
    let mut found: Vec<MqttConfig> = Vec::new();
    for section in sections {
        let Some(config) = read_one(&section, file, report) else {
            continue;
        };
        let same = |other: &&MqttConfig| (&other.host, other.port) == (&config.host, config.port);
        if found.iter().any(|other| same(&other)) {
            report.error(&section, "another section of the list has this broker");
        }
        found.push(config);
    }
    found
}

/// Reads a section of the driver's own file. What is wrong is reported; with an error the values mean
/// nothing.
fn read_one(node: &Node<'_>, file: &str, report: &mut Report) -> Option<MqttConfig> {
    let mut object = Object::new(node, report)?;
    let config = read(node, &mut object, file, false, report);
    object.finish(report);
    Some(config)
}

/// Reads the section of an entry of the daemon's file; keys that are not the driver's are the
/// daemon's. `main` are the members of the daemon's own section.
pub(super) fn read_entry<'a>(
    node: &Node<'a>,
    main: Vec<(String, Node<'a>)>,
    file: &str,
    report: &mut Report,
) -> Option<MqttConfig> {
    let mut object = Object::new(node, report)?;
    let silent = !OF_THE_BROKER.iter().any(|key| object.says(key));
    object.inherit(main.into_iter().filter(|(name, _)| {
        let name = name.as_str();
        ONE_BY_ONE.contains(&name) || silent && OF_THE_BROKER.contains(&name)
    }));
    Some(read(node, &mut object, file, true, report))
}

fn read<'a>(
    node: &Node<'a>,
    o: &mut Object<'a>,
    file: &str,
    shared_with_daemon: bool,
    report: &mut Report,
) -> MqttConfig {
    let place = format!("{file}: {}", node.path());
    let address = connection::address(o, &connection::BROKER, report);
    let mut inner_options = inner(o, "mqtt-options", report);
    let options = connection::options(o, &mut inner_options, report);
    let bind = connection::bind(o, &mut inner_options, report);
    let tls = tls::tls(o, &mut inner_options, address.secure, &place, report);
    if let (8883, None, Some(node)) = (address.port, &tls, &address.node) {
        report.warn(
            node,
            "this is the port for TLS, and TLS is not on: write the host as mqtts://",
        );
    }
    if let Some(options) = inner_options {
        options.finish(report);
    }
    let names = Settings {
        as_daemon: o.word(
            "topic-compat",
            &[("vscpd", true), ("none", false)],
            false,
            report,
        ),
        escapes: topics::escapes(o.take("user-escapes"), report),
        ..any_names()
    };
    let defaults = topics::Entry::read(o, report);
    let escape_topics = o.truth("bescape-pub-topics", true, report);
    let client_id = text_if_set(o.take("clientid"), report);
    let user = text_if_set(o.take("user"), report);
    let password = o.take("password").and_then(|node| {
        let text = node.text(report).filter(|text| !text.is_empty())?;
        Some((node, text))
    });
    for (node, text) in [&client_id, &user, &password].into_iter().flatten() {
        must_fit(node, text, report);
    }
    if let (None, Some((node, _))) = (&user, &password) {
        report.warn(
            node,
            "without a user there is no login, and this is not sent",
        );
    }
    let clean = o.take("bcleansession");
    let clean_session = clean
        .as_ref()
        .and_then(|node| node.truth(report))
        .unwrap_or(true);
    if let (None, false, Some(node)) = (&client_id, clean_session, &clean) {
        report.error(node, "a session that the broker keeps needs a clientid");
    }
    let generations = [
        ("auto", GenerationChoice::Auto),
        ("classic", GenerationChoice::Classic),
        ("v2", GenerationChoice::V2),
        ("both", GenerationChoice::Both),
    ];
    if let Some(node) = o.take_alias("bUseTopicForEventDefaults")
        && node.truth(report) == Some(true)
    {
        report.warn(
            &node,
            "events take nothing from their topic; this has no effect",
        );
    }
    let config = MqttConfig {
        place,
        shared_with_daemon,
        host: address.host,
        port: address.port,
        version: options.version,
        bind,
        tls,
        user: user.map(|(_, user)| user),
        password: password.map(|(_, password)| Zeroizing::new(password)),
        client_id: client_id.map(|(_, id)| id).unwrap_or_default(),
        clean_session,
        keep_alive: Duration::from_secs(o.number("keepalive", 0..=65_535, 30, report)),
        connect_timeout: Duration::from_millis(o.number(
            "connection-timeout",
            1..=600_000,
            5000,
            report,
        )),
        nodelay: options.nodelay,
        receive_maximum: options.receive_maximum,
        send_maximum: options.send_maximum,
        reconnect: connection::reconnect(o, report),
        v5: connection::v5(o, options.version, report),
        required: o.truth("required", true, report),
        will: topics::message(o, "will", &WILL, &names, report),
        birth: topics::message(o, "birth", &BIRTH, &names, report),
        status: topics::status(o, &names, report),
        filter: topics::filter(o, report),
        subscribe: topics::subscriptions(o, &defaults, &names, options.version, report),
        publish: topics::publications(o, &defaults, &names, escape_topics, report),
        generation: o.word("generation", &generations, GenerationChoice::Auto, report),
        measurement_block: o.truth("bjsonmeasurementblock", true, report),
        topic_compat: names.as_daemon,
        escape_topics,
        user_escapes: names.escapes.clone(),
    };
    if config.status.is_some() && config.will.is_some() && !shared_with_daemon {
        report.error(
            node,
            "a connection has one will, and with status it marks the status offline: remove will",
        );
    }
    // The daemon's own.
    o.pass_over(&[
        "bfull-l2",
        "topic-daemon-base",
        "topic-drivers",
        "topic-discovery",
    ]);
    config
}

/// MQTT counts the bytes of texts with sixteen bits.
fn must_fit(node: &Node<'_>, text: &str, report: &mut Report) {
    const MOST: usize = u16::MAX as usize;
    if text.len() > MOST {
        report.error(node, format!("at most {MOST} bytes"));
    }
}

/// Stands for what is known when the driver starts: here only the shape of topics counts.
fn any_names() -> Settings {
    let any = || "x".to_owned();
    Settings {
        client_id: any(),
        user: any(),
        host: any(),
        driver_name: any(),
        rnd: any(),
        ..Settings::default()
    }
}

/// A nested member, or the same key at the top of the section, which the daemon asks for as well.
fn nested<'a>(
    inner: &mut Option<Object<'a>>,
    outer: &mut Object<'a>,
    key: &'static str,
) -> Option<Node<'a>> {
    let below = inner.as_mut().and_then(|inner| inner.take(key));
    let above = outer.take_alias(key);
    below.or(above)
}

fn inner<'a>(o: &mut Object<'a>, key: &'static str, report: &mut Report) -> Option<Object<'a>> {
    o.take(key).and_then(|node| Object::new(&node, report))
}

#[cfg(test)]
mod tests;

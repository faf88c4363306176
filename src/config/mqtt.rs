//! An `mqtt` section, of the driver's file or of the daemon's.

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

use super::driver::text_if_set;
use super::model::{
    GenerationChoice, MqttConfig, Publication, ReadFormat, Reconnect, Subscription, Will,
    WriteFormat,
};
use super::node::Node;
use super::object::Object;
use super::report::Report;
use crate::wire::topic::{Settings, Template, TemplateError};

/// Whose section it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// The driver's own file; unknown keys are reported.
    Driver(&'a str),
    /// The daemon's; keys that are not the driver's are the daemon's.
    Daemon(&'a str),
}

/// Reads a section. What is wrong is reported; with an error the values mean nothing.
pub(super) fn read(node: &Node<'_>, origin: Origin<'_>, report: &mut Report) -> Option<MqttConfig> {
    let mut object = Object::new(node, report)?;
    let o = &mut object;
    let (file, shared_with_daemon) = match origin {
        Origin::Driver(file) => (file, false),
        Origin::Daemon(file) => (file, true),
    };
    let (host, port) = address(o, report);
    let options = options(o, report);
    let reconnect = reconnect(o, report);
    tls(o, report);
    for key in ["bind"] {
        if let Some((node, _)) = text_if_set(o.take_alias(key), report) {
            report.error(
                &node,
                "binding the connection to an address is not possible; remove it",
            );
        }
    }
    let names = Settings {
        lenient: o.word(
            "topic-compat",
            &[("vscpd", true), ("none", false)],
            false,
            report,
        ),
        escapes: escapes(o.take("user-escapes"), report),
        ..any_names()
    };
    let defaults = Entry {
        qos: o.number("qos", 0..=2, 0, report) as u8,
        retain: o
            .take_any(&["bretain", "retain"], report)
            .and_then(|n| n.truth(report)),
        write: o
            .take("publish-format")
            .and_then(|n| write_format(&n, report)),
        read: o
            .take("subscribe-format")
            .and_then(|n| read_format(&n, report)),
    };
    let client_id = text_if_set(o.take("clientid"), report);
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
    let filter = |text: &str| Template::filter(text, &names).map(drop);
    let outlet = |text: &str| Template::for_publishing(text, &names).map(drop);
    let config = MqttConfig {
        place: format!("{file}: {}", node.path()),
        shared_with_daemon,
        host,
        port,
        user: text_if_set(o.take("user"), report).map(|(_, user)| user),
        password: o
            .take("password")
            .and_then(|node| node.text(report))
            .filter(|password| !password.is_empty())
            .map(Zeroizing::new),
        client_id: client_id.map(|(_, id)| id).unwrap_or_default(),
        clean_session,
        keep_alive: Duration::from_secs(o.number("keepalive", 0..=65_535, 30, report)),
        connect_timeout: Duration::from_millis(o.number(
            "connection-timeout",
            1..=600_000,
            5000,
            report,
        )),
        nodelay: options,
        reconnect,
        required: o.truth("required", true, report),
        will: o.take("will").and_then(|node| will(&node, &names, report)),
        subscribe: entries(o.take("subscribe"), report, filter, |o, topic, report| {
            Subscription {
                topic,
                qos: o.number("qos", 0..=2, defaults.qos.into(), report) as u8,
                format: o
                    .take("format")
                    .and_then(|node| read_format(&node, report))
                    .or(defaults.read)
                    .unwrap_or_default(),
            }
        }),
        publish: entries(o.take("publish"), report, outlet, |o, topic, report| {
            Publication {
                topic,
                qos: o.number("qos", 0..=2, defaults.qos.into(), report) as u8,
                retain: o
                    .take_any(&["retain", "bretain"], report)
                    .and_then(|node| node.truth(report))
                    .or(defaults.retain)
                    .unwrap_or(false),
                format: o
                    .take("format")
                    .and_then(|node| write_format(&node, report))
                    .or(defaults.write)
                    .unwrap_or_default(),
            }
        }),
        generation: o.word("generation", &generations, GenerationChoice::Auto, report),
        topic_compat: names.lenient,
        user_escapes: names.escapes.clone(),
    };
    o.pass_over(&[
        "bjsonmeasurementblock",
        "bUseTopicForEventDefaults",
        "bescape-pub-topics",
        "bfull-l2",
        "filter",
        "v5",
        "topic-daemon-base",
        "topic-drivers",
        "topic-discovery",
    ]);
    if !shared_with_daemon {
        object.finish(report);
    }
    Some(config)
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

/// What publish and subscribe entries take where they do not say.
struct Entry {
    qos: u8,
    retain: Option<bool>,
    write: Option<WriteFormat>,
    read: Option<ReadFormat>,
}

/// `host` with a protocol and a port in it, and `port`, which goes before.
fn address(o: &mut Object<'_>, report: &mut Report) -> (String, u16) {
    let mut port: u16 = 1883;
    let mut host = "localhost".to_owned();
    if let Some((node, text)) = text_if_set(o.take("host"), report) {
        let rest = match text.split_once("://") {
            None => text.as_str(),
            Some(("tcp" | "mqtt", rest)) => rest,
            Some(("stcp" | "mqtts", rest)) => {
                report.error(&node, "TLS to the broker is not available in this version");
                rest
            }
            Some((scheme, rest)) => {
                report.error(
                    &node,
                    format!("{scheme:?} is none of mqtt, tcp, mqtts, stcp"),
                );
                rest
            }
        };
        let (name, digits) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, after)) => (name, after.strip_prefix(':')),
            // More than one colon is an IPv6 address.
            None if rest.matches(':').count() == 1 => rest
                .split_once(':')
                .map_or((rest, None), |(name, digits)| (name, Some(digits))),
            None => (rest, None),
        };
        match digits.map(str::parse) {
            None => {}
            Some(Ok(number)) => port = number,
            Some(Err(_)) => report.error(&node, "what stands behind the colon is not a port"),
        }
        if name.is_empty() || name.contains(char::is_whitespace) {
            report.error(&node, "there is no host name in it");
        }
        name.clone_into(&mut host);
    }
    let port = o.number("port", 1..=65_535, port.into(), report) as u16;
    (host, port)
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

/// 0 and 1 are as good as false and true.
fn flag(node: &Node<'_>, report: &mut Report) -> Option<bool> {
    if node.is_number() {
        return node.number(0, 1, report).map(|number| number == 1);
    }
    node.truth(report)
}

/// `mqtt-options`; gives `tcp-nodelay`.
fn options(o: &mut Object<'_>, report: &mut Report) -> bool {
    let mut options = inner(o, "mqtt-options", report);
    let nodelay = nested(&mut options, o, "tcp-nodelay");
    let nodelay = nodelay.and_then(|node| flag(&node, report)).unwrap_or(true);
    if let Some(node) = nested(&mut options, o, "protocol-version") {
        match node.number(0, 1000, report) {
            None | Some(4 | 311) => {}
            Some(5 | 500) => {
                report.error(&node, "MQTT 5 is not available in this version; use 311")
            }
            Some(3 | 310) => report.error(&node, "MQTT 3.1 is not supported; use 311"),
            Some(_) => report.error(&node, "not a version of MQTT; use 311"),
        }
    }
    for key in ["receive-maximum", "send-maximum"] {
        nested(&mut options, o, key).and_then(|node| node.number(0, 65_535, report));
    }
    for key in [
        "tls-ocsp-required",
        "ssl-ctx-with-defaults",
        "tls-use-os-certs",
    ] {
        if let Some(node) = nested(&mut options, o, key)
            && flag(&node, report) == Some(true)
        {
            if key == "tls-ocsp-required" {
                report.error(&node, "OCSP is not available; remove it");
            } else {
                report.warn(&node, "TLS to the broker is not available in this version");
            }
        }
    }
    for key in [
        "tls-engine",
        "tls-keyform",
        "tls-kpass-sha1",
        "tls-alpn",
        "bind-address",
    ] {
        if let Some((node, _)) = text_if_set(nested(&mut options, o, key), report) {
            report.error(&node, "this is not available; remove it");
        }
    }
    if let Some(options) = options {
        options.finish(report);
    }
    nodelay
}

fn reconnect(o: &mut Object<'_>, report: &mut Report) -> Reconnect {
    let default = Reconnect::default();
    let mut section = inner(o, "reconnect", report);
    let mut seconds = |key, default: Duration, report: &mut Report| {
        let node = nested(&mut section, o, key);
        let number = node.and_then(|node| node.number(1, 86_400, report));
        number.map_or(default, Duration::from_secs)
    };
    let delay = seconds("delay", default.delay, report);
    let delay_max = seconds("delay-max", default.delay_max, report).max(delay);
    let exponential = nested(&mut section, o, "exponential-backoff");
    let exponential = exponential
        .and_then(|node| flag(&node, report))
        .unwrap_or(false);
    if let Some(section) = section {
        section.finish(report);
    }
    Reconnect {
        delay,
        delay_max,
        exponential,
    }
}

/// A `tls` object of blanks means none. Anything else asks for what is not there yet.
fn tls(o: &mut Object<'_>, report: &mut Report) {
    let mut section = inner(o, "tls", report);
    for key in [
        "cafile",
        "capath",
        "certfile",
        "keyfile",
        "pwkeyfile",
        "psk",
        "psk-identity",
    ] {
        if let Some((node, _)) = text_if_set(nested(&mut section, o, key), report) {
            report.error(&node, "TLS to the broker is not available in this version");
        }
    }
    for key in ["version", "ciphers"] {
        if let Some((node, _)) = text_if_set(nested(&mut section, o, key), report) {
            report.warn(&node, "TLS to the broker is not available in this version");
        }
    }
    nested(&mut section, o, "no-hostname-checking").and_then(|node| flag(&node, report));
    nested(&mut section, o, "cert-reqs").and_then(|node| node.number(0, 2, report));
    if let Some(section) = section {
        section.finish(report);
    }
}

fn will(node: &Node<'_>, names: &Settings, report: &mut Report) -> Option<Will> {
    let mut o = Object::new(node, report)?;
    let topic = text_if_set(o.take("topic"), report);
    let topic = topic.map(|(node, topic)| {
        if let Err(error) = Template::topic(&topic, names) {
            report.refuse(&node, &error);
        }
        topic
    });
    let payload = o
        .text("payload", report)
        .filter(|payload| !payload.is_empty());
    let qos = o.number("qos", 0..=2, 0, report) as u8;
    let retain = o.truth("retain", false, report);
    o.finish(report);
    match (topic, payload) {
        (Some(topic), Some(payload)) => Some(Will {
            topic,
            payload,
            qos,
            retain,
        }),
        (None, None) => None,
        _ => {
            report.warn(node, "a will needs both topic and payload; there is none");
            None
        }
    }
}

fn entries<T>(
    node: Option<Node<'_>>,
    report: &mut Report,
    check: impl Fn(&str) -> Result<(), TemplateError>,
    mut make: impl FnMut(&mut Object<'_>, String, &mut Report) -> T,
) -> Vec<T> {
    let list = node.and_then(|node| node.list(report)).unwrap_or_default();
    let mut found = Vec::new();
    for node in list {
        let Some(mut o) = Object::new(&node, report) else {
            continue;
        };
        if let Some((place, topic)) = text_if_set(o.take("topic"), report) {
            if let Err(error) = check(&topic) {
                report.refuse(&place, &error);
            }
            found.push(make(&mut o, topic, report));
        } else {
            report.error(&node, "an entry needs a topic");
        }
        if let Some(node) = o.take_alias("v5-options") {
            let none = node.is_number() && node.number(0, u64::MAX, report) == Some(0)
                || node.is_string() && node.text(report).is_some_and(|text| text.is_empty())
                || node.is_list() && node.list(report).is_some_and(|list| list.is_empty());
            if !none {
                report.warn(
                    &node,
                    "this needs MQTT 5, which is not available in this version",
                );
            }
        }
        o.finish(report);
    }
    found
}

fn write_format(node: &Node<'_>, report: &mut Report) -> Option<WriteFormat> {
    match format(node, report)?.as_str() {
        "json" => Some(WriteFormat::Json),
        "string" => Some(WriteFormat::Text),
        other => unknown_format(node, other, report),
    }
}

fn read_format(node: &Node<'_>, report: &mut Report) -> Option<ReadFormat> {
    match format(node, report)?.as_str() {
        "auto" => Some(ReadFormat::Auto),
        "json" => Some(ReadFormat::Json),
        "string" => Some(ReadFormat::Text),
        other => unknown_format(node, other, report),
    }
}

/// The name of a format; the daemon also takes numbers.
fn format(node: &Node<'_>, report: &mut Report) -> Option<String> {
    if node.is_number() {
        let names = ["json", "xml", "string", "binary"];
        return node
            .number(0, 3, report)
            .map(|number| names[number as usize].to_owned());
    }
    let text = node.text(report)?.trim().to_ascii_lowercase();
    (!text.is_empty()).then_some(text)
}

fn unknown_format<T>(node: &Node<'_>, name: &str, report: &mut Report) -> Option<T> {
    let name = crate::event::number::clip(name);
    report.error(
        node,
        match name.as_str() {
            "xml" | "binary" => format!("the format {name} is not available in this version"),
            _ => format!("{name:?} is not a format; json or string was expected"),
        },
    );
    None
}

fn escapes(node: Option<Node<'_>>, report: &mut Report) -> BTreeMap<String, String> {
    let members = node
        .and_then(|node| node.members(report))
        .unwrap_or_default();
    members
        .into_iter()
        .filter_map(|(name, node)| Some((name, node.text(report)?)))
        .collect()
}

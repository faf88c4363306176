//! The driver's own file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::ask::Ask;
use super::links;
use super::model::{
    AbiChoice, BridgeConfig, DriverConfig, Interface, InterfaceHost, LINK_PORT, Limits, LinkConfig,
    LogConfig, LogFile, LogFormat, LogLevel, LogSink, OutboxConfig, Owner,
};
use super::mqtt;
use super::node::Node;
use super::object::Object;
use super::protection;
use super::report::Report;
use super::served;
use super::websocket::{self, Draft};
use super::{discovery, form, interface, status};
use crate::auth::Remotes;
use crate::event::text::{self, Defaults, TextForm};
use crate::event::{Filter, FilterPair, Guid};
use crate::os::log_file;

/// Texts that the documentation has where a value belongs.
pub(super) const PLACEHOLDERS: &[&str] = &[
    "incoming filter on string form",
    "incoming mask on string form",
    "outgoing filter on string form",
    "outgoing mask on string form",
    "outgoing filter",
    "none|aes128|aes192|aes256",
    "comma separated list of rights",
    "comma separated list of hosts. First char: '+' = allow '-' = deny",
];

/// A text, unless it is empty or one of the documentation's placeholders.
pub(super) fn text_if_set<'a>(
    node: Option<Node<'a>>,
    report: &mut Report,
) -> Option<(Node<'a>, String)> {
    let node = node?;
    report.ask(node.path(), || Ask::Setting);
    let text = node.text(report)?;
    let trimmed = text.trim();
    if PLACEHOLDERS.contains(&trimmed) {
        report.warn(
            &node,
            "this is the documentation's placeholder; it counts as not set",
        );
        return None;
    }
    if trimmed.is_empty() {
        return None;
    }
    let trimmed = trimmed.to_owned();
    Some((node, trimmed))
}

/// Events that may wait for somebody.
pub(super) const QUEUE: std::ops::RangeInclusive<u64> = 1..=10_000_000;

/// Reads a driver file. What is wrong is reported; with an error the values mean nothing. With
/// `patient` a key file may be one that is not usable yet.
pub(super) fn read(root: &Node<'_>, patient: bool, report: &mut Report) -> Option<DriverConfig> {
    let mut object = Object::new(root, report)?;
    let place = report.file_name();
    let o = &mut object;
    // An editor's.
    o.text("$schema", report);
    let abi = [
        ("auto", AbiChoice::Auto),
        ("classic", AbiChoice::Classic),
        ("v2", AbiChoice::V2),
    ];
    let interface = o.take("interface");
    let (mut link, web) = interfaces(interface.as_ref(), report);
    let remote = o.take("remote");
    if remote.is_some() && interface.is_none() {
        // A file of the C++ link driver, which serves nobody.
        link.clear();
    }
    let web = websocket::read(o, interface.as_ref(), web, link.is_empty(), report);
    let forms = [("legacy", TextForm::Legacy), ("ns", TextForm::Nanos)];
    let config = DriverConfig {
        abi: o.word("abi", &abi, AbiChoice::Auto, report),
        debug: o.truth("debug", false, report),
        write: o.truth("write", false, report),
        interfaces: link,
        websocket: None,
        path_users: text_if_set(o.take("path-users"), report).map(|(_, path)| PathBuf::from(path)),
        tls: None,
        cipher: None,
        key_file: None,
        key_trouble: None,
        login_key_trouble: None,
        encrypted_only: false,
        remotes: remotes(o.take("remotes"), report),
        limits: limits(o, report),
        receive_sent_events: o.truth("receive-sent-events", true, report),
        interconnect: o.truth("interconnect", false, report),
        event_format: o.word("event-format", &forms, TextForm::Legacy, report),
        filter_in: FilterPair::default(),
        filter_out: FilterPair::default(),
        variables: variables(o.take("variables"), report),
        logging: logging(o.take("logging"), report),
        bridge: bridge(o.take("bridge"), report),
        outbox: outbox(o.take("outbox"), report),
        mqtt: o
            .take("mqtt")
            .map(|node| mqtt::read_all(&node, &place, report))
            .unwrap_or_default(),
        links: links::read(o.take("links"), &place, report),
        discovery: discovery::read(o.take("discovery"), report),
        status: status::read(o.take("status"), report),
    };
    let (mut filter_in, mut filter_out) = filters(o.take("filter"), report);
    let remote = remote.and_then(|node| {
        let filters = (filter_in, filter_out);
        links::remote(&node, o.look_at("tls"), filters, &place, report)
    });
    let mut cipher = None;
    if remote.is_some() && config.interfaces.is_empty() && web.is_none() {
        // They were the link's, and so is this.
        (filter_in, filter_out) = Default::default();
        cipher = links::cipher(o, report);
    }
    let mut encryption = protection::encryption(o, &config.interfaces, patient, report);
    let secure = config.interfaces.iter().any(|interface| interface.secure);
    let secure = interface
        .filter(|_| secure)
        .or_else(|| web.as_ref().and_then(Draft::secure));
    let used = remote.as_ref().is_some_and(|remote| remote.secure);
    let tls = protection::tls(o, secure, used, report);
    let websocket = web.and_then(|web| web.with_key(&mut encryption, report));
    o.pass_over(&[
        "auth-domain",
        "file-log-path",
        "file-log-pattern",
        "file-log-level",
    ]);
    object.finish(report);
    let mut config = DriverConfig {
        filter_in,
        filter_out,
        tls,
        cipher: encryption.cipher,
        key_file: encryption.key_file.map(|(_, path)| PathBuf::from(path)),
        key_trouble: encryption.key_trouble,
        login_key_trouble: encryption.login_key_trouble,
        encrypted_only: encryption.required,
        websocket,
        ..config
    };
    config.links.extend(remote.map(|remote| LinkConfig {
        cipher,
        ..remote.link
    }));
    served::own(&config, report);
    report.sort();
    Some(config)
}

/// The texts of `interface`: a list, or commas, or both.
pub(super) fn addresses(node: &Node<'_>, report: &mut Report) -> Vec<String> {
    let texts = node.texts(report).unwrap_or_default();
    let all = texts.iter().flat_map(|text| text.split(','));
    all.map(str::trim)
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Where the link is served, and where websockets are.
fn interfaces(node: Option<&Node<'_>>, report: &mut Report) -> (Vec<Interface>, Vec<Interface>) {
    let (mut link, mut web) = (Vec::new(), Vec::new());
    if let Some(node) = node {
        report.form(node, || form::interfaces(&["tcp", "stcp", "ws", "wss"]));
        for one in addresses(node, report) {
            let (made, list) = if interface::is_websocket(&one) {
                (Interface::websocket(&one), &mut web)
            } else {
                (one.parse(), &mut link)
            };
            match made {
                Ok(interface) => list.push(interface),
                Err(error) => report.refuse(node, &error),
            }
        }
    }
    if link.is_empty() && web.is_empty() {
        let text = format!("tcp://localhost:{LINK_PORT}");
        link.push(Interface {
            host: InterfaceHost::Localhost,
            port: LINK_PORT,
            secure: false,
            text,
        });
    }
    (link, web)
}

pub(super) fn remotes(node: Option<Node<'_>>, report: &mut Report) -> Remotes {
    let Some(node) = node else {
        return Remotes::default();
    };
    report.ask(node.path(), || Ask::Setting);
    report.form(&node, form::remotes);
    let mut entries = node.texts(report).unwrap_or_default();
    entries.retain(|entry| {
        let placeholder = PLACEHOLDERS.contains(&entry.trim());
        if placeholder {
            report.warn(
                &node,
                "this is the documentation's placeholder; it counts as not set",
            );
        }
        !placeholder
    });
    Remotes::parse(entries.iter().map(String::as_str)).unwrap_or_else(|error| {
        report.refuse(&node, &error);
        Remotes::default()
    })
}

fn limits(o: &mut Object<'_>, report: &mut Report) -> Limits {
    let default = Limits::default();
    let mut count = |key, bounds, default: usize| {
        usize::try_from(o.number(key, bounds, default as u64, report)).unwrap_or(default)
    };
    let max_clients = count("max-clients", 1..=65_535, default.max_clients);
    let max_out_queue = count("max-out-queue", QUEUE, default.max_out_queue);
    let max_in_queue = count("max-in-queue", QUEUE, default.max_in_queue);
    let mut seconds = |key, default: Duration| {
        Duration::from_secs(o.number(key, 1..=31_536_000, default.as_secs(), report))
    };
    let login_timeout = seconds("login-timeout", default.login_timeout);
    let idle_timeout = seconds("idle-timeout", default.idle_timeout);
    let response_timeout = match o.number("response-timeout", 0..=3_600_000, 0, report) {
        0 => default.response_timeout,
        millis => Duration::from_millis(millis),
    };
    Limits {
        max_clients,
        max_out_queue,
        max_in_queue,
        response_timeout,
        login_timeout,
        idle_timeout,
    }
}

pub(super) fn filters(node: Option<Node<'_>>, report: &mut Report) -> (FilterPair, FilterPair) {
    let Some(mut o) = node.and_then(|node| Object::new(&node, report)) else {
        return Default::default();
    };
    let mut half = |key| filter(o.take(key), report);
    let incoming = FilterPair {
        filter: half("in-filter"),
        mask: half("in-mask"),
    };
    let outgoing = FilterPair {
        filter: half("out-filter"),
        mask: half("out-mask"),
    };
    o.finish(report);
    (incoming, outgoing)
}

pub(super) fn filter(node: Option<Node<'_>>, report: &mut Report) -> Filter {
    let Some((node, text)) = text_if_set(node, report) else {
        return Filter::default();
    };
    report.form(&node, form::filter);
    text.parse().unwrap_or_else(|error| {
        report.refuse(&node, &error);
        Filter::default()
    })
}

fn variables(node: Option<Node<'_>>, report: &mut Report) -> BTreeMap<String, String> {
    let members = node
        .and_then(|node| node.members(report))
        .unwrap_or_default();
    let mut variables = BTreeMap::new();
    for (name, node) in members {
        let Some(text) = node.text(report) else {
            continue;
        };
        let defaults = Defaults {
            now: 1,
            obid: 1,
            guid: Guid::ZERO,
        };
        match text::parse(&text, &defaults) {
            Ok(_) => drop(variables.insert(name, text)),
            Err(error) => report.refuse(&node, &error),
        }
    }
    variables
}

const LEVELS: &[(&str, LogLevel)] = &[
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("warning", LogLevel::Warn),
    ("err", LogLevel::Error),
    ("error", LogLevel::Error),
    ("critical", LogLevel::Critical),
    ("off", LogLevel::Off),
];

const PATTERN: &str = "[vscpl2drv-link %c] [%^%l%$] %v";

fn logging(node: Option<Node<'_>>, report: &mut Report) -> LogConfig {
    let mut file = LogFile {
        sink: LogSink {
            level: LogLevel::Info,
            format: LogFormat::Pattern(PATTERN.to_owned()),
        },
        path: log_file(),
        max_size: 5_242_880,
        max_files: 7,
        required: false,
    };
    let Some(mut o) = node.and_then(|node| Object::new(&node, report)) else {
        return LogConfig {
            file: Some(file),
            console: None,
            journal: None,
        };
    };
    let on = |o: &mut Object<'_>, names: &[&'static str], default, report: &mut Report| {
        let node = o.take_any(names, report);
        node.and_then(|node| node.truth(report)).unwrap_or(default)
    };
    let file_on = on(&mut o, &["file-enable-log", "file-enable"], true, report);
    let console_on = on(
        &mut o,
        &["console-enable-log", "console-enable"],
        false,
        report,
    );
    // The second names are those of the C++ link driver.
    file.sink = LogSink {
        level: o.word("file-log-level", LEVELS, LogLevel::Info, report),
        format: log_format(
            &mut o,
            "file-format",
            &["file-pattern", "file-log-pattern"],
            report,
        ),
    };
    let path = o.take_any(&["file-path", "file-log-path"], report);
    if let Some((_, path)) = text_if_set(path, report) {
        file.path = PathBuf::from(path);
        file.required = true;
    }
    let mut number =
        |names: &[&'static str], bounds: std::ops::RangeInclusive<u64>, report: &mut Report| {
            let node = o.take_any(names, report)?;
            node.number(*bounds.start(), *bounds.end(), report)
        };
    if let Some(size) = number(
        &["file-max-size", "file-log-max-size"],
        1024..=1 << 40,
        report,
    ) {
        file.max_size = size;
    }
    if let Some(files) = number(&["file-max-files", "file-log-max-files"], 0..=1000, report) {
        file.max_files = files as u16;
    }
    let level = ["console-log-level", "console-level"];
    let console = LogSink {
        level: o.word_of(&level, LEVELS, LogLevel::Info, report),
        format: log_format(&mut o, "console-format", &["console-pattern"], report),
    };
    let journal_on = o.truth("journal-enable-log", false, report);
    let journal = o.word("journal-log-level", LEVELS, LogLevel::Info, report);
    o.finish(report);
    LogConfig {
        file: file_on.then_some(file),
        console: console_on.then_some(console),
        journal: journal_on.then_some(journal),
    }
}

/// What lines of one place look like: by a pattern, unless they are to be JSON.
fn log_format(
    o: &mut Object<'_>,
    format: &'static str,
    patterns: &[&'static str],
    report: &mut Report,
) -> LogFormat {
    let words = [("text", false), ("json", true)];
    let json = o.word(format, &words, false, report);
    let pattern = text_if_set(o.take_any(patterns, report), report);
    match pattern {
        _ if json => LogFormat::Json,
        Some((_, pattern)) => LogFormat::Pattern(pattern),
        None => LogFormat::Pattern(PATTERN.to_owned()),
    }
}

fn bridge(node: Option<Node<'_>>, report: &mut Report) -> BridgeConfig {
    let Some(mut o) = node.and_then(|node| Object::new(&node, report)) else {
        return BridgeConfig::default();
    };
    let owners = [
        ("auto", Owner::Auto),
        ("driver", Owner::Driver),
        ("host", Owner::Host),
        ("both", Owner::Both),
        ("off", Owner::Off),
    ];
    let config = BridgeConfig {
        publish: o.word("publish", &owners, Owner::Auto, report),
        subscribe: o.word("subscribe", &owners, Owner::Auto, report),
        vscpd_config: text_if_set(o.take("vscpd-config"), report).map(|(_, p)| PathBuf::from(p)),
    };
    o.finish(report);
    config
}

fn outbox(node: Option<Node<'_>>, report: &mut Report) -> OutboxConfig {
    let default = OutboxConfig::default();
    let Some(mut o) = node.and_then(|node| Object::new(&node, report)) else {
        return default;
    };
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (events, bytes) = (default.max_events as u64, default.max_bytes as u64);
    let config = OutboxConfig {
        path: text_if_set(o.take("path"), report).map(|(_, path)| PathBuf::from(path)),
        sync: o.truth("sync", false, report),
        max_events: count(o.number("max-events", 1..=100_000_000, events, report)),
        max_bytes: count(o.number("max-bytes", 1024..=1 << 40, bytes, report)),
    };
    o.finish(report);
    config
}

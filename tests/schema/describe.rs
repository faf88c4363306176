//! What README says of each key, for the descriptions in the schemas.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Keys of which no table has a row of their own.
const SHORT: &[(&str, &str)] = &[
    ("logging", "the log"),
    ("filter", "which events go any further"),
    (
        "bridge",
        "who carries events between the driver and brokers",
    ),
    ("outbox", "what waits for brokers"),
    ("tls", "TLS of the interfaces stcp:// and wss://"),
    ("tls.ca-file", "who vouches for clients: a PEM file"),
    (
        "tls.ca-path",
        "who vouches for clients: a folder of PEM files",
    ),
    (
        "tls.verify-depth",
        "how many certificates may be between a client's and a trusted one (9)",
    ),
    ("websocket", "the websocket server"),
    ("links", "other servers to link to"),
    (
        "links.interval",
        "seconds between the visits of a link with mode poll (60)",
    ),
    (
        "links.password-file",
        "a file whose first line is the password",
    ),
    (
        "links.reconnect",
        "how long a broken connection is left alone",
    ),
    ("remote", "a link, as the C++ link driver's file has it"),
    (
        "remote.host",
        "the other server; also tcp://host:port, and with TLS stcp://host:port",
    ),
    ("remote.port", "its port (9598)"),
    ("remote.user", "who logs in there"),
    ("remote.password", "the password of that user"),
    (
        "remote.password-file",
        "a file whose first line is the password",
    ),
    (
        "remote.response-timeout",
        "milliseconds for an answer (5000)",
    ),
    ("mqtt.mqtt-options", "options of the connection"),
    (
        "mqtt.reconnect",
        "how long a broken connection is left alone",
    ),
    ("mqtt.tls", "TLS to the broker"),
    (
        "mqtt.will",
        "what the broker says when the driver is gone without a goodbye",
    ),
    ("mqtt.birth", "what is said at each connection"),
    (
        "mqtt.status",
        "a retained document that says how the driver is",
    ),
    ("mqtt.v5", "what MQTT 5 alone can do"),
    ("mqtt.publish.topic", "a template of the topic"),
    ("mqtt.publish.qos", "0 to 2"),
    (
        "mqtt.publish.retain",
        "whether the broker keeps the last one",
    ),
    ("mqtt.publish.format", "json, xml, string, binary"),
    (
        "mqtt.subscribe.topic",
        "a template of the topic, with + and # as MQTT has them",
    ),
    ("mqtt.subscribe.qos", "0 to 2"),
    ("mqtt.subscribe.format", "auto, json, xml, string, binary"),
    (
        "mqtt.subscribe.v5-options",
        "NO_LOCAL (4), RETAIN_AS_PUBLISHED (8), SEND_RETAIN_NEW (16), SEND_RETAIN_NEVER (32); MQTT 5 only",
    ),
    ("users", "who may log in"),
    ("users.events.class", "the class; -1 or * is any"),
    ("users.events.type", "the type; -1 or * is any"),
    ("users.events.dir", "tx, rx or both"),
    (
        "users.events.max-priority",
        "the most urgent priority that is kept, 0 to 7",
    ),
];

/// The rows of README's tables, by key: `mqtt.will.topic`.
pub(crate) struct Described {
    rows: BTreeMap<String, String>,
    used: RefCell<BTreeSet<&'static str>>,
}

impl Described {
    /// Those of a page.
    pub(crate) fn read(page: &str) -> Self {
        let (mut rows, mut section, mut table) = (BTreeMap::new(), "", None);
        let page = page.replace("\\|", "¦");
        for line in page.lines() {
            if let Some(title) = line.strip_prefix('#') {
                section = title.trim_start_matches('#').trim();
            }
            if !line.starts_with('|') {
                table = None;
                continue;
            }
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            if let Some(of) = cells[0].strip_prefix("key of ") {
                table = Some(of.trim_matches('`').trim_end_matches("[]"));
            } else if cells[0] == "key" {
                table = match section {
                    "Configuration" => Some(""),
                    "The mqtt section" => Some("mqtt"),
                    "Users" => Some("users"),
                    _ => None,
                };
            } else if let (Some(of), [keys, default, meaning]) = (table, &cells[..]) {
                let default = if of == "users" { "" } else { default };
                row(of, keys, default, meaning, &mut rows);
            }
        }
        Self {
            rows,
            used: RefCell::default(),
        }
    }

    /// What a key means.
    pub(crate) fn of(&self, key: &str) -> Option<String> {
        if let Some(text) = self.rows.get(key) {
            return Some(text.clone());
        }
        let &(key, text) = SHORT.iter().find(|(short, _)| *short == key)?;
        self.used.borrow_mut().insert(key);
        Some(text.to_owned())
    }

    /// Keys with a short text that are no keys any more, or have a row in README.
    pub(crate) fn stale(&self) -> Vec<&'static str> {
        let used = self.used.borrow();
        let keys = SHORT.iter().map(|&(key, _)| key);
        keys.filter(|key| !used.contains(key)).collect()
    }
}

fn row(of: &str, keys: &str, default: &str, meaning: &str, rows: &mut BTreeMap<String, String>) {
    let names: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
    let defaults: Vec<&str> = default.split(", ").collect();
    let mut section = "";
    for (at, name) in names.iter().enumerate() {
        let name = name.trim_end_matches("[]");
        // What follows the first is in the same section, as its members are.
        let whole = match name.rsplit_once('.') {
            Some((before, _)) => {
                section = before;
                name.to_owned()
            }
            None if section.is_empty() => name.to_owned(),
            None => format!("{section}.{name}"),
        };
        if at == 0 && keys.contains("` with ") {
            section = name;
        }
        let dot = if of.is_empty() { "" } else { "." };
        let default = match defaults.len() == names.len() {
            true => defaults[at],
            false => default,
        };
        let default = plain(default);
        let mut text = plain(meaning);
        if !matches!(default.as_str(), "" | "–") {
            text = match text.as_str() {
                "" => format!("default: {default}"),
                _ => format!("{text} (default: {default})"),
            };
        }
        if !text.is_empty() {
            rows.entry(format!("{of}{dot}{whole}")).or_insert(text);
        }
    }
}

/// Without the signs of Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (before, title) = before.rsplit_once('[').unwrap_or((before, ""));
        out.push_str(before);
        out.push_str(title);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    // Beside its key it stands nowhere.
    for words in [", see above", ", see below", "; see below"] {
        out = out.replace(words, "");
    }
    out.replace('`', "").replace("**", "").replace('¦', "|")
}

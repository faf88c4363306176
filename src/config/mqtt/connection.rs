//! Where the broker is, and how to talk to it.

use std::net::IpAddr;
use std::time::Duration;

use super::nested;
use crate::config::driver::text_if_set;
use crate::config::form;
use crate::config::model::{MqttVersion, Reconnect, V5Config};
use crate::config::node::Node;
use crate::config::object::Object;
use crate::config::report::Report;

/// `host` and `port`.
pub(in crate::config) struct Address<'a> {
    pub(in crate::config) host: String,
    pub(in crate::config) port: u16,
    /// The protocol in `host` asks for TLS.
    pub(in crate::config) secure: bool,
    /// Where the port stands.
    pub(in crate::config) node: Option<Node<'a>>,
    /// Where the host stands.
    pub(in crate::config) at: Option<Node<'a>>,
}

/// What stands before a host, and the port where none is given: in clear text, and with TLS.
pub(in crate::config) struct Schemes {
    pub(in crate::config) plain: (&'static [&'static str], u16),
    pub(in crate::config) secure: (&'static [&'static str], u16),
}

/// Those of brokers.
pub(super) const BROKER: Schemes = Schemes {
    plain: (&["mqtt", "tcp"], 1883),
    secure: (&["mqtts", "stcp"], 8883),
};

/// `host` with a protocol and a port in it, and `port`, which goes before.
pub(in crate::config) fn address<'a>(
    o: &mut Object<'a>,
    schemes: &Schemes,
    report: &mut Report,
) -> Address<'a> {
    let mut port: Option<u16> = None;
    let mut host = "localhost".to_owned();
    let mut secure = false;
    let mut at = None;
    if let Some((node, text)) = text_if_set(o.take("host"), report) {
        report.form(&node, || {
            form::host(&[schemes.plain.0, schemes.secure.0].concat())
        });
        let rest = match text.split_once("://") {
            None => text.as_str(),
            Some((scheme, rest)) if schemes.plain.0.contains(&scheme) => rest,
            Some((scheme, rest)) if schemes.secure.0.contains(&scheme) => {
                secure = true;
                rest
            }
            Some((scheme, rest)) => {
                let known = [schemes.plain.0, schemes.secure.0].concat().join(", ");
                report.error(&node, format!("{scheme:?} is none of {known}"));
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
            Some(Ok(number)) => port = Some(number),
            Some(Err(_)) => report.error(&node, "what stands behind the colon is not a port"),
        }
        if name.is_empty() || name.contains(char::is_whitespace) {
            report.error(&node, "there is no host name in it");
        }
        name.clone_into(&mut host);
        at = Some(node);
    }
    let usual = if secure {
        schemes.secure.1
    } else {
        schemes.plain.1
    };
    let default = port.unwrap_or(usual);
    let node = o.take("port");
    let number = node
        .as_ref()
        .and_then(|node| node.number(1, 65_535, report));
    let port = number.map_or(default, |number| number as u16);
    Address {
        host,
        port,
        secure,
        node,
        at,
    }
}

/// `bind`, and `bind-address`, which says the same.
pub(super) fn bind<'a>(
    o: &mut Object<'a>,
    options: &mut Option<Object<'a>>,
    report: &mut Report,
) -> Option<IpAddr> {
    let nodes = [o.take("bind"), nested(options, o, "bind-address")];
    for node in nodes {
        if let Some((node, text)) = text_if_set(node, report) {
            report.form(&node, form::address);
            match text.parse() {
                Ok(address) => return Some(address),
                Err(_) => report.error(
                    &node,
                    "an IP address of this machine was expected, not a name",
                ),
            }
        }
    }
    None
}

/// `mqtt-options`, but what concerns TLS.
pub(super) struct Options {
    pub(super) nodelay: bool,
    pub(super) version: MqttVersion,
    pub(super) receive_maximum: u16,
    pub(super) send_maximum: Option<u16>,
}

pub(super) fn options<'a>(
    o: &mut Object<'a>,
    options: &mut Option<Object<'a>>,
    report: &mut Report,
) -> Options {
    let nodelay = nested(options, o, "tcp-nodelay");
    let nodelay = nodelay.and_then(|node| node.flag(report)).unwrap_or(true);
    let mut version = MqttVersion::V311;
    if let Some(node) = nested(options, o, "protocol-version") {
        match node.number(0, 1000, report) {
            None | Some(4 | 311) => {}
            Some(5 | 500) => version = MqttVersion::V5,
            Some(3 | 310) => report.never(
                &node,
                "MQTT 3.1 is older than what brokers agree on; use 311, or 5",
            ),
            Some(_) => report.never(&node, "not a version of MQTT; use 311, or 5"),
        }
    }
    let mut most = |key, report: &mut Report| {
        let node = nested(options, o, key)?;
        node.number(1, 65_535, report).map(|number| number as u16)
    };
    let receive = most("receive-maximum", report);
    let send = most("send-maximum", report);
    Options {
        nodelay,
        version,
        receive_maximum: receive.unwrap_or(u16::MAX),
        send_maximum: send,
    }
}

/// `reconnect`, and the names that its members have without it.
pub(in crate::config) fn reconnect(o: &mut Object<'_>, report: &mut Report) -> Reconnect {
    let default = Reconnect::default();
    let mut section = super::inner(o, "reconnect", report);
    let mut member = |key, alias| nested(&mut section, o, key).or_else(|| o.take_alias(alias));
    let delay = member("delay", "reconnect-delay");
    let longest = member("delay-max", "reconnect-delay-max");
    let exponential = member("exponential-backoff", "reconnect-exponential-backoff");
    let jitter = member("jitter", "reconnect-jitter");
    let seconds = |node: Option<Node<'_>>, default: Duration, report: &mut Report| {
        let number = node.and_then(|node| node.number(1, 86_400, report));
        number.map_or(default, Duration::from_secs)
    };
    let delay = seconds(delay, default.delay, report);
    let delay_max = seconds(longest, default.delay_max, report).max(delay);
    let exponential = exponential
        .and_then(|node| node.flag(report))
        .unwrap_or(false);
    let jitter = match jitter {
        // How many parts of a hundred, or whether at all.
        Some(node) if !node.is_number() => match node.truth(report) {
            Some(false) => 0,
            _ => default.jitter,
        },
        Some(node) => node.number(0, 100, report).map_or(0, |parts| parts as u8),
        None => default.jitter,
    };
    if let Some(section) = section {
        section.finish(report);
    }
    Reconnect {
        delay,
        delay_max,
        exponential,
        jitter,
    }
}

/// `v5`: what MQTT 5 alone can do.
pub(super) fn v5(o: &mut Object<'_>, version: MqttVersion, report: &mut Report) -> V5Config {
    let Some(node) = o.take("v5") else {
        return V5Config::default();
    };
    let Some(mut section) = Object::new(&node, report) else {
        return V5Config::default();
    };
    let mut seconds = |key| {
        let node = section.take(key)?;
        node.number(0, u32::MAX.into(), report).map(|n| n as u32)
    };
    let session_expiry = seconds("session-expiry");
    let message_expiry = seconds("message-expiry");
    let members = section.take("user-properties");
    let members = members.and_then(|node| node.members(report));
    let user_properties = members
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, node)| {
            let text = node.text(report)?;
            super::must_fit(&node, &name, report);
            super::must_fit(&node, &text, report);
            Some((name, text))
        })
        .collect();
    section.finish(report);
    let found = V5Config {
        session_expiry,
        message_expiry,
        user_properties,
    };
    if version != MqttVersion::V5 && found != V5Config::default() {
        report.warn(&node, "this needs protocol-version 5 and has no effect");
    }
    found
}

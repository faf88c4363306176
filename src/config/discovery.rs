//! `discovery`: whether and how this server is found.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use super::driver::text_if_set;
use super::form;
use super::model::{Askers, DiscoveryConfig, Interface, InterfaceHost};
use super::node::Node;
use super::object::Object;
use super::report::Report;
use crate::auth::Remotes;
use crate::wire::discovery::{GROUP, PORT};

/// Who is answered where nobody says who: those who are near. An answer goes to an address that
/// anybody can have written into a datagram.
const NEAR: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
    "host,mqtt,links",
];

/// What else stands in such a list.
const UPLINKS: [&str; 3] = ["host", "mqtt", "links"];

/// Reads the section; `None` where it is absent, or not enabled.
pub(super) fn read(node: Option<Node<'_>>, report: &mut Report) -> Option<DiscoveryConfig> {
    let node = node?;
    let mut o = Object::new(&node, report)?;
    let enabled = o.truth("enable", false, report);
    let interface = text_if_set(o.take("interface"), report);
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT);
    let interface = interface.map_or(everywhere, |(node, text)| {
        report.form(&node, || form::interface(&["udp"], "r?"));
        address(&text).unwrap_or_else(|why| {
            report.error(&node, why);
            everywhere
        })
    });
    let group = text_if_set(o.take("group"), report);
    let group = group.map_or(GROUP, |(node, text)| {
        report.form(&node, form::group);
        match text.parse::<Ipv4Addr>() {
            Ok(group) if group.is_multicast() => group,
            _ => {
                let found = crate::event::number::clip(&text);
                let expected = "is no multicast address, 224.0.0.0 to 239.255.255.255";
                report.error(&node, format!("{found:?} {expected}"));
                GROUP
            }
        }
    });
    let announce = o.take("announce");
    let announces = announce
        .as_ref()
        .and_then(|node| node.truth(report))
        .unwrap_or(false);
    let allow = o.take("allow");
    if let Some(node) = &allow {
        report.form(node, || form::askers(&UPLINKS));
    }
    let texts = allow.as_ref().and_then(|node| node.texts(report));
    let allow = askers(allow.as_ref(), texts.unwrap_or_default(), report);
    o.finish(report);
    if let Some(node) = announce.filter(|_| announces && !enabled) {
        report.warn(&node, "it has no effect without enable");
    }
    enabled.then_some(DiscoveryConfig {
        interface,
        group,
        announce: announces,
        allow,
    })
}

/// An address of this machine, or all of them: responses have room for IPv4 alone.
fn address(text: &str) -> Result<SocketAddrV4, String> {
    let found = Interface::datagrams(text).map_err(|error| error.to_string())?;
    let address = match found.host {
        InterfaceHost::AllV4 | InterfaceHost::All => Ipv4Addr::UNSPECIFIED,
        InterfaceHost::Localhost => Ipv4Addr::LOCALHOST,
        InterfaceHost::Address(IpAddr::V4(address)) => address,
        InterfaceHost::Address(IpAddr::V6(_)) | InterfaceHost::Name(_) => {
            return Err("an IPv4 address of this machine was expected, or 0.0.0.0".to_owned());
        }
    };
    if found.secure {
        return Err("there is no TLS for datagrams".to_owned());
    }
    if address.is_multicast() || address.is_broadcast() {
        return Err(
            "an address of this machine was expected; the group has its own key".to_owned(),
        );
    }
    Ok(SocketAddrV4::new(address, found.port))
}

/// A list as `remotes` has it, in which uplinks and links stand by name. The last entry that
/// matches decides; where none does, nobody is answered if anybody is by name.
fn askers(node: Option<&Node<'_>>, texts: Vec<String>, report: &mut Report) -> Askers {
    let split = |text: &str| -> Vec<String> {
        let entries = text.split(',').map(|entry| entry.trim().to_owned());
        entries.filter(|entry| !entry.is_empty()).collect()
    };
    let mut entries: Vec<String> = texts.iter().flat_map(|text| split(text)).collect();
    if entries.is_empty() {
        entries = NEAR.iter().flat_map(|text| split(text)).collect();
    }
    let opens = |entry: &str| match entry.strip_prefix(['+', '-']) {
        Some(rest) => (entry.starts_with('+'), rest.trim_start().to_owned()),
        None => (true, entry.to_owned()),
    };
    let entries: Vec<(bool, String)> = entries.iter().map(|entry| opens(entry)).collect();
    let closed = entries.iter().any(|(open, _)| *open);
    let named = |name: &str| {
        let mut matching = entries.iter().rev();
        let found = matching.find(|(_, what)| what == "*" || what.eq_ignore_ascii_case(name));
        found.map_or(!closed, |(open, _)| *open)
    };
    let is_name = |what: &str| UPLINKS.map(|name| what.eq_ignore_ascii_case(name));
    let sign = |open: bool| if open { '+' } else { '-' };
    // What stands first decides where nothing else does.
    let first = closed.then(|| "-*".to_owned());
    let networks = entries
        .iter()
        .filter(|(_, what)| !is_name(what).contains(&true))
        .map(|(open, what)| format!("{}{what}", sign(*open)));
    let networks: Vec<String> = first.into_iter().chain(networks).collect();
    let networks = Remotes::parse(networks.iter().map(String::as_str));
    Askers {
        networks: networks.unwrap_or_else(|error| {
            if let Some(node) = node {
                let text = error.text.trim_start_matches(['+', '-']);
                let expected = "is no network (10.0.0.0/8, 192.168.1.*), nor host, mqtt or links";
                report.error(node, format!("{text:?} {expected}"));
            }
            Remotes::default()
        }),
        host: named("host"),
        mqtt: named("mqtt"),
        links: named("links"),
    }
}

#[cfg(test)]
mod tests;

//! `/metrics`: what Prometheus is told.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Context;
use super::text::{Sort, Text};
use crate::auth::Service;
use crate::gate::Gate;
use crate::hub::{Hub, Kind, Latency, LinkStatus, UplinkStatus};

/// Uplinks and links that are told of, each: those behind are left out.
const MOST: usize = 64;
/// Characters of what one is called.
const MOST_NAME: usize = 120;

/// All of it, as it is now.
pub(super) fn write(context: &Context) -> String {
    let mut text = Text::default();
    let gate = &context.gate;
    text.family(
        "vscp_link_build_info",
        Sort::Gauge,
        "The version of the driver.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family(
        "vscp_link_start_time_seconds",
        Sort::Gauge,
        "When the driver started, in seconds since 1970.",
    )
    .sample(&[], context.started / 1_000_000_000);
    clients(gate, &mut text);
    drops(&gate.hub, &mut text);
    uplinks(&gate.hub, &mut text);
    links(&gate.hub, &mut text);
    deliveries(&gate.hub, &mut text);
    text.into_string()
}

fn clients(gate: &Gate, text: &mut Text) {
    let traffic = gate.hub.traffic();
    let mut family = |name, sort, help, value: &dyn Fn(&crate::hub::Traffic) -> u64| {
        let mut family = text.family(name, sort, help);
        for (kind, traffic) in &traffic {
            family.sample(&[("kind", kind.name())], value(traffic));
        }
    };
    family(
        "vscp_link_clients",
        Sort::Gauge,
        "Clients that are logged in; outgoing are links of this driver, standing what is kept for \
         links of others.",
        &|traffic| traffic.channels as u64,
    );
    family(
        "vscp_link_client_waiting_events",
        Sort::Gauge,
        "Events that wait for clients.",
        &|traffic| traffic.waiting as u64,
    );
    family(
        "vscp_link_client_received_events_total",
        Sort::Counter,
        "Events of clients that were taken.",
        &|traffic| traffic.received,
    );
    family(
        "vscp_link_client_sent_events_total",
        Sort::Counter,
        "Events that were written to clients.",
        &|traffic| traffic.transmitted,
    );
    let services = [Service::Link, Service::Websocket];
    let mut family = |name, help, value: &dyn Fn(Service) -> u64| {
        let mut family = text.family(name, Sort::Counter, help);
        for service in services {
            let kind = Kind::Client(service).name();
            family.sample(&[("kind", kind)], value(service));
        }
    };
    family(
        "vscp_link_logins_total",
        "Logins that succeeded.",
        &|service| read(&gate.logins(service).good),
    );
    family(
        "vscp_link_login_failures_total",
        "Logins that were refused.",
        &|service| read(&gate.logins(service).refused),
    );
}

fn drops(hub: &Hub, text: &mut Text) {
    let totals = hub.totals();
    text.family(
        "vscp_link_dropped_events_total",
        Sort::Counter,
        "Events that went no further: refused (who sent them was told), filtered, queue_full \
         (copies for slow clients), malformed, duplicate.",
    )
    .sample(&[("reason", "refused")], read(&totals.refused))
    .sample(&[("reason", "filtered")], read(&totals.filtered))
    .sample(&[("reason", "queue_full")], read(&totals.dropped))
    .sample(&[("reason", "malformed")], read(&totals.malformed))
    .sample(&[("reason", "duplicate")], read(&totals.suppressed));
}

/// An uplink, by what it is called here.
struct Way {
    name: String,
    status: UplinkStatus,
    latency: Option<Latency>,
}

fn uplinks(hub: &Hub, text: &mut Text) {
    let mut names = Names::default();
    let ways: Vec<Way> = hub
        .all_uplinks()
        .iter()
        .take(MOST)
        .map(|uplink| Way {
            name: names.of(uplink.name()),
            status: uplink.status(),
            latency: uplink.latency(),
        })
        .collect();
    let mut family = |name, sort, help, value: &dyn Fn(&UplinkStatus) -> u64| {
        let mut family = text.family(name, sort, help);
        for way in &ways {
            family.sample(&[("uplink", &way.name)], value(&way.status));
        }
    };
    family(
        "vscp_link_uplink_up",
        Sort::Gauge,
        "1 where the broker is connected, or the host is there; else 0.",
        &|status| status.up.into(),
    );
    family(
        "vscp_link_uplink_waiting_events",
        Sort::Gauge,
        "Events that wait for the uplink, those on their way to it too.",
        &|status| status.waiting as u64,
    );
    family(
        "vscp_link_uplink_sent_events_total",
        Sort::Counter,
        "Events that the uplink has: a broker has acknowledged them, or with QoS 0 they were \
         written.",
        &|status| status.delivered,
    );
    family(
        "vscp_link_uplink_received_events_total",
        Sort::Counter,
        "Events that the uplink brought and its filter let pass.",
        &|status| status.received,
    );
    family(
        "vscp_link_uplink_reconnects_total",
        Sort::Counter,
        "Connections to the broker after the first one.",
        &|status| status.connections.saturating_sub(1),
    );
    family(
        "vscp_link_uplink_connection_failures_total",
        Sort::Counter,
        "Connections to the broker that could not be made, or broke.",
        &|status| status.failures,
    );
    let mut dropped = text.family(
        "vscp_link_uplink_dropped_events_total",
        Sort::Counter,
        "Events that the uplink did not get: no_room (refused where it is required), rejected (it \
         will never take them).",
    );
    for way in &ways {
        for (reason, value) in [
            ("no_room", way.status.refused),
            ("rejected", way.status.rejected),
        ] {
            dropped.sample(&[("uplink", &way.name), ("reason", reason)], value);
        }
    }
    let mut latency = text.family(
        "vscp_link_publish_latency_seconds",
        Sort::Histogram,
        "From an event of a client's that was taken until the broker has acknowledged all copies, \
         or with QoS 0 they were written.",
    );
    for way in &ways {
        if let Some(of_it) = &way.latency {
            latency.histogram(&[("uplink", &way.name)], of_it);
        }
    }
}

fn links(hub: &Hub, text: &mut Text) {
    let mut names = Names::default();
    let links: Vec<(String, LinkStatus)> = hub
        .links()
        .into_iter()
        .take(MOST)
        .map(|link| (names.of(&link.name), link))
        .collect();
    let mut family = |name, sort, help, value: &dyn Fn(&LinkStatus) -> u64| {
        let mut family = text.family(name, sort, help);
        for (name, link) in &links {
            family.sample(&[("link", name)], value(link));
        }
    };
    family(
        "vscp_link_link_up",
        Sort::Gauge,
        "1 where everything that the link carries can go now; else 0.",
        &|link| link.up.into(),
    );
    family(
        "vscp_link_link_waiting_events",
        Sort::Gauge,
        "Events that wait for the far end.",
        &|link| link.waiting as u64,
    );
    family(
        "vscp_link_link_sent_events_total",
        Sort::Counter,
        "Events that the far end took.",
        &|link| link.sent,
    );
    family(
        "vscp_link_link_resent_events_total",
        Sort::Counter,
        "Events that were sent once more.",
        &|link| link.resent,
    );
    family(
        "vscp_link_link_received_events_total",
        Sort::Counter,
        "Events of the far end's that were taken.",
        &|link| link.received,
    );
    family(
        "vscp_link_link_connections_total",
        Sort::Counter,
        "Connections to the far end that there have been.",
        &|link| link.connections,
    );
    let mut dropped = text.family(
        "vscp_link_link_dropped_events_total",
        Sort::Counter,
        "Events that a link did not carry: queue_full, rejected, filtered, malformed, duplicate.",
    );
    for (name, link) in &links {
        for (reason, value) in [
            ("queue_full", link.dropped),
            ("rejected", link.rejected),
            ("filtered", link.filtered),
            ("malformed", link.malformed),
            ("duplicate", link.suppressed),
        ] {
            dropped.sample(&[("link", name), ("reason", reason)], value);
        }
    }
}

fn deliveries(hub: &Hub, text: &mut Text) {
    let mut family = text.family(
        "vscp_link_delivery_latency_seconds",
        Sort::Histogram,
        "From an event that came in, from an uplink for instance, until it was written to a \
         client that receives.",
    );
    for service in [Service::Link, Service::Websocket] {
        let kind = Kind::Client(service).name();
        family.histogram(&[("kind", kind)], &hub.delivery_latency(service));
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What things are called, each by another name: samples of one name and the same labels are one.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn of(&mut self, name: &str) -> String {
        let short: String = name.chars().take(MOST_NAME).collect();
        let mut other = short.clone();
        let mut number = 1;
        while !self.0.insert(other.clone()) {
            number += 1;
            other = format!("{short}#{number}");
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_like_somebody_else() {
        let mut names = Names::default();
        let long = "ü".repeat(1000);
        let all = ["a", "a#2", "a", "b", "a", &long, &long].map(|name| names.of(name));
        assert_eq!(all[..5], ["a", "a#2", "a#3", "b", "a#4"]);
        assert_eq!(all[5], "ü".repeat(MOST_NAME));
        assert_eq!(all[6], format!("{}#2", all[5]));
    }
}

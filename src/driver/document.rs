//! What a driver says of itself: to brokers, and to those who look.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::hub::{Hub, LinkStatus, ResponderStatus, Uplink};
use crate::mqtt::Report;
use crate::status::Document;

/// What a status document says of a link.
fn link(link: &LinkStatus) -> Value {
    json!({
        "name": link.name,
        "place": link.place,
        "up": link.up,
        "waiting": link.waiting,
        "sent": link.sent,
        "received": link.received,
        "resent": link.resent,
        "rejected": link.rejected,
        "suppressed": link.suppressed,
        "filtered": link.filtered,
        "malformed": link.malformed,
        "dropped": link.dropped,
        "connections": link.connections,
        "trouble": link.trouble,
    })
}

/// What a status document says of those who asked for servers.
fn asked(status: ResponderStatus) -> Value {
    json!({
        "probes": status.probes,
        "responses": status.responses,
        "refused": status.refused,
        "limited": status.limited,
        "malformed": status.malformed,
    })
}

/// What a status document says of the driver.
pub(super) fn report(hub: &Arc<Hub>) -> Report {
    let hub = Arc::downgrade(hub);
    Arc::new(move || {
        let mut members = Map::new();
        let Some(hub) = hub.upgrade() else {
            return members;
        };
        let totals = hub.totals();
        members.insert("clients".to_owned(), hub.channels().len().into());
        members.insert(
            "events".to_owned(),
            json!({
                "submitted": totals.submitted.load(Relaxed),
                "refused": totals.refused.load(Relaxed),
                "filtered": totals.filtered.load(Relaxed),
                "delivered": totals.delivered.load(Relaxed),
                "dropped": totals.dropped.load(Relaxed),
                "malformed": totals.malformed.load(Relaxed),
                "suppressed": totals.suppressed.load(Relaxed),
            }),
        );
        let links: Vec<_> = hub.links().iter().map(link).collect();
        if !links.is_empty() {
            members.insert("links".to_owned(), links.into());
        }
        if let Some(responder) = hub.responder() {
            members.insert("discovery".to_owned(), asked(responder.status()));
        }
        members
    })
}

/// What a status document says of an uplink.
fn uplink(uplink: &Arc<dyn Uplink>) -> Value {
    let status = uplink.status();
    json!({
        "name": uplink.name(),
        "up": status.up,
        "waiting": status.waiting,
        "delivered": status.delivered,
        "refused": status.refused,
        "rejected": status.rejected,
        "received": status.received,
        "reconnects": status.connections.saturating_sub(1),
        "trouble": status.trouble,
    })
}

/// The status document as those see it who look here: with all uplinks, not the one of a broker.
pub(super) fn document(hub: &Arc<Hub>) -> Document {
    let born = Instant::now();
    let (report, guid) = (report(hub), hub.guid().to_string());
    let hub = Arc::downgrade(hub);
    Box::new(move || {
        let mut members = report();
        let mut member = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        member("state", "online".into());
        member("version", env!("CARGO_PKG_VERSION").into());
        member("guid", guid.clone().into());
        member("uptime", born.elapsed().as_secs().into());
        if let Some(hub) = hub.upgrade() {
            let kinds = hub.traffic().map(|(kind, traffic)| {
                let traffic = json!({
                    "clients": traffic.channels,
                    "waiting": traffic.waiting,
                    "received": traffic.received,
                    "sent": traffic.transmitted,
                });
                (kind.name().to_owned(), traffic)
            });
            member("kinds", Value::Object(kinds.into_iter().collect()));
            let uplinks: Vec<_> = hub.all_uplinks().iter().map(uplink).collect();
            member("uplinks", uplinks.into());
        }
        members
    })
}

//! From uplinks to clients.

use std::sync::atomic::Ordering;

use super::twins::Fate;
use super::{Downlink, Hub, Kind, Origin, SharedEvent, Uplink, clock};
use crate::event::Event;
use crate::wire::discovery::is_probe;

/// The way of what no channel brought.
const UPLINK: u64 = 0;

impl Downlink for Hub {
    fn deliver(&self, event: Event) {
        self.hand_down(event, None);
    }

    fn deliver_from(&self, event: Event, uplink: &dyn Uplink) {
        self.hand_down(event, Some(uplink));
    }

    fn expect_echo(&self, event: &SharedEvent, again: bool) {
        if event.origin().is_some() || event.tag().is_some() {
            self.echoes().expect(event, again, clock());
        }
    }

    fn filtered(&self) {
        self.totals.filtered.fetch_add(1, Ordering::Relaxed);
    }

    fn malformed(&self, source: &str, why: &dyn std::fmt::Display) {
        self.totals.malformed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(source, "not an event, dropped: {why}");
    }
}

impl Hub {
    /// An event that comes back carries the id of the channel that it left by. Any other obid
    /// stays, unless it would make a channel take the event for its own.
    fn settle_obid(&self, event: &mut Event, origin: Option<Origin>) {
        if let Some(origin) = origin {
            let now = self.with_id(origin.id);
            let others = now.is_some_and(|channel| !channel.is(origin));
            event.obid = if others { 0 } else { u32::from(origin.id) };
        } else if event.obid != 0 {
            let channels = self.channels();
            if channels
                .binary_search_by_key(&event.obid, |c| u32::from(c.id()))
                .is_ok()
            {
                event.obid = 0;
            }
        }
    }

    /// An event that an uplink brought, which is known where somebody may want an answer.
    fn hand_down(&self, mut event: Event, uplink: Option<&dyn Uplink>) {
        self.totals.delivered.fetch_add(1, Ordering::Relaxed);
        let now = clock();
        let echo = self.echoes().meet(&event, now);
        let origin = echo.and_then(|echo| echo.origin);
        let mut by_links = true;
        let linked = self.linked.load(Ordering::Relaxed);
        if linked && echo.is_some() {
            let circles = self.twins().echo(&event, now);
            by_links = !(circles && self.has_plain());
        } else if linked {
            if let Some(mut ways) = self.ways() {
                ways.comes(&event, UPLINK, now);
            }
            match self.twins().by_uplink(&event, now) {
                Fate::Known => return self.suppressed(),
                Fate::Everywhere => {}
                Fate::NotByLinks => by_links = false,
            }
        }
        if origin == Some(Origin::NOBODY) {
            // An answer of ours to somebody there.
            return self.suppressed();
        }
        if !by_links {
            self.suppressed();
        }
        if let Some(uplink) = uplink.filter(|_| echo.is_none() && is_probe(&event)) {
            self.answer_uplink(uplink);
        }
        let routing = self.routing();
        if !routing.filter_in.passes(&event) {
            return self.filtered();
        }
        self.settle_obid(&mut event, origin);
        let way = origin.map_or(UPLINK, |origin| origin.way());
        let addressed = self.owner_of(&event, origin);
        let tag = echo
            .and_then(|echo| echo.tag)
            .unwrap_or_else(|| self.new_tag());
        let event = SharedEvent::entering(event, origin, tag, now);
        if let Some(target) = addressed {
            if matches!(target.kind(), Kind::Link | Kind::Standing) {
                if !by_links {
                    return;
                }
                self.twins().leaves(event.event(), way, now);
            }
            if !self.hand_over(&target, &event) {
                self.totals.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let sender_sees_it = routing.receive_sent_events;
        // With `interconnect` the others have it already.
        let others_see_it = origin.is_none() || !routing.interconnect;
        if linked && by_links {
            self.twins().leaves(event.event(), way, now);
        }
        self.fan_out(&event, |channel| {
            if !by_links && matches!(channel.kind(), Kind::Link | Kind::Standing) {
                false
            } else if origin.is_some_and(|origin| channel.is(origin)) {
                // The far end of a link has it already.
                sender_sees_it && channel.kind() != Kind::Link
            } else if origin.is_some_and(|origin| origin.is_beside(channel)) {
                false
            } else {
                others_see_it
            }
        });
    }
}

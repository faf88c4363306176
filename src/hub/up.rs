//! From clients and links to uplinks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::twins::Copy;
use super::{Arrival, Channel, Hub, SharedEvent, SubmitError, Uplink, channel, clock};
use crate::event::{Event, Tag};
use crate::wire::discovery::is_probe;
use crate::wire::link::reply::LastError;

impl Hub {
    /// Takes a client's event: all uplinks have it, or none.
    ///
    /// # Errors
    /// [`SubmitError::Full`] where one that must have it has no room, and
    /// [`SubmitError::Unbearable`] where one cannot have it at all.
    pub fn submit(&self, channel: &Channel, event: Event) -> Result<(), SubmitError> {
        let tag = self.new_tag();
        let Some(mut ways) = self.ways() else {
            return self.submit_as(channel, event, tag);
        };
        let (way, now) = (channel.origin().way(), clock());
        // Whatever it is: a client may say the same twice.
        ways.comes(&event, way, now);
        drop(ways);
        self.submit_as(channel, event.clone(), tag)
            .inspect_err(|_| self.did_not_come(&event, way, now))
    }

    /// The same for an event of another server's that comes by a link without tags: what is here
    /// already is not taken again. Where it comes from is beyond the link whose channel is given.
    ///
    /// # Errors
    /// As [`submit`](Self::submit); it may come again then.
    pub fn arrive_plain(
        &self,
        channel: &Channel,
        event: &Event,
        beyond: Option<&Channel>,
    ) -> Result<Arrival, SubmitError> {
        self.arrive_by_link(channel, event, self.new_tag(), beyond)
    }

    /// The same for an event of another driver, which keeps its tag: one that was here before is
    /// not taken again.
    ///
    /// # Errors
    /// As [`submit`](Self::submit); it may come again then.
    pub fn arrive(
        &self,
        channel: &Channel,
        event: &Event,
        tag: Tag,
        beyond: Option<&Channel>,
    ) -> Result<Arrival, SubmitError> {
        let tags = || self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        if tag.origin == self.origin || !tags().is_new(tag) {
            self.suppressed();
            return Ok(Arrival::Known);
        }
        self.arrive_by_link(channel, event, tag, beyond)
            .inspect_err(|_| tags().forget(tag))
    }

    /// An event with a tag that is new here may have come by another way all the same.
    fn arrive_by_link(
        &self,
        channel: &Channel,
        event: &Event,
        tag: Tag,
        beyond: Option<&Channel>,
    ) -> Result<Arrival, SubmitError> {
        let now = clock();
        let way = channel.origin().way();
        if self
            .ways()
            .is_some_and(|mut ways| ways.comes(event, way, now))
        {
            self.suppressed();
            return Ok(Arrival::Known);
        }
        let copy = self.twins().by_link(event, now);
        let taken = match copy {
            Copy::New => {
                if let Some(beyond) = beyond {
                    // Before anybody can answer it.
                    self.learn(&event.guid, beyond);
                }
                self.submit_as(channel, event.clone(), tag)
                    .map(|()| Arrival::Taken)
                    .inspect_err(|_| self.twins().not_taken(event, now))
            }
            Copy::Known => {
                self.suppressed();
                Ok(Arrival::Known)
            }
            Copy::Awaited => Err(SubmitError::Full),
        };
        taken.inspect_err(|_| self.did_not_come(event, way, now))
    }

    fn did_not_come(&self, event: &Event, way: u64, now: u64) {
        if let Some(mut ways) = self.ways() {
            ways.did_not_come(event, way, now);
        }
    }

    fn submit_as(&self, channel: &Channel, event: Event, tag: Tag) -> Result<(), SubmitError> {
        let origin = channel.origin();
        let addressed = self.owner_of(&event, Some(origin));
        let asked = is_probe(&event);
        let event = SharedEvent::entering(event, Some(origin), tag, clock());
        let taken = {
            // Held until all have it: whoever takes an uplink away waits for that.
            let uplinks = self.uplinks.read().unwrap_or_else(PoisonError::into_inner);
            match addressed {
                _ if self.closed.load(Ordering::Relaxed) => Err(SubmitError::Full),
                Some(target) if self.hand_over(&target, &event) => Ok(()),
                Some(_) => Err(SubmitError::Full),
                None => self.to_uplinks(&uplinks, &event),
            }
        };
        if let Err(refused) = taken {
            self.totals.refused.fetch_add(1, Ordering::Relaxed);
            if refused == SubmitError::Full {
                *channel.last_error() = LastError {
                    code: channel::code::TRANSMIT_FULL,
                    subcode: self.totals.refused.load(Ordering::Relaxed),
                    text: "event refused: no room on its way out".to_owned(),
                };
            }
            return Err(refused);
        }
        channel.received(event.event());
        self.totals.submitted.fetch_add(1, Ordering::Relaxed);
        if asked {
            self.answer_channel(channel);
        }
        Ok(())
    }

    /// Waits until the events that were submitted are as safe as the uplinks promise; false where
    /// one cannot keep its promise.
    pub async fn secured(&self) -> bool {
        for uplink in self.uplinks().iter() {
            if let Some(secured) = uplink.secured()
                && !secured.await
            {
                return false;
            }
        }
        true
    }

    fn to_uplinks(
        &self,
        uplinks: &[Arc<dyn Uplink>],
        event: &Arc<SharedEvent>,
    ) -> Result<(), SubmitError> {
        let routing = self.routing();
        if !routing.filter_out.passes(event.event()) {
            self.totals.filtered.fetch_add(1, Ordering::Relaxed);
        } else {
            if !uplinks.iter().all(|uplink| uplink.bears(event.event())) {
                return Err(SubmitError::Unbearable);
            }
            let no_room = uplinks.iter().position(|uplink| !uplink.reserve(event));
            if let Some(full) = no_room {
                uplinks[..full]
                    .iter()
                    .for_each(|uplink| uplink.release(event));
                return Err(SubmitError::Full);
            }
            uplinks
                .iter()
                .for_each(|uplink| uplink.commit(Arc::clone(event)));
        }
        if routing.interconnect {
            self.fan_out(event, |channel| {
                !event.origin().is_some_and(|origin| channel.is_of(origin))
            });
        }
        Ok(())
    }
}

//! Who asks which servers there are, and is answered where the question came from.
//!
//! The question is an event, and so is the answer; it goes back by the channel or the uplink that
//! the question came by, and by no other.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Channel, Hub, Kind, Origin, SharedEvent, Uplink};
use crate::event::Event;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker<'a> {
    /// The client with this address.
    Client(&'a str),
    /// The far end of a link.
    Link,
    /// The other side of this uplink.
    Uplink(&'a str),
}

/// What answers them.
pub trait Responder: Send + Sync + fmt::Debug {
    /// The answers; none for somebody who is not to have any. Does not wait.
    fn answers(&self, asker: Asker<'_>) -> Vec<Event>;

    /// What has been asked and answered, events and datagrams alike.
    fn status(&self) -> ResponderStatus;
}

/// What has been asked and answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponderStatus {
    /// Questions.
    pub probes: u64,
    /// Answers; one question may have several.
    pub responses: u64,
    /// Questions of somebody who is not to be answered.
    pub refused: u64,
    /// Questions that were too many in too short a time.
    pub limited: u64,
    /// Datagrams that are no frames, or are encrypted.
    pub malformed: u64,
}

impl Hub {
    /// From now on this one answers; or nobody.
    pub fn set_responder(&self, responder: Option<Arc<dyn Responder>>) {
        let mut current = self
            .responder
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = responder;
    }

    /// Who answers.
    #[must_use]
    pub fn responder(&self) -> Option<Arc<dyn Responder>> {
        let current = self.responder.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client, or the far end of a link, has asked.
    pub(super) fn answer_channel(&self, channel: &Channel) {
        let Some(responder) = self.responder() else {
            return;
        };
        let peer = channel.peer();
        let asker = match channel.kind() {
            Kind::Client(_) => Asker::Client(&peer),
            Kind::Link | Kind::Standing => Asker::Link,
        };
        // A session that sends for a link of another driver's reads nothing: what waits for the
        // link is on another channel.
        let origin = channel.origin();
        let waits = |one: &&Arc<Channel>| one.kind() == Kind::Standing && origin.is_beside(one);
        let channels = self.channels();
        let standing = channels.iter().find(waits).cloned();
        let channel = standing.as_deref().unwrap_or(channel);
        for answer in responder.answers(asker) {
            let answer = SharedEvent::tagged(answer, None, Some(self.new_tag()));
            if channel.wants(answer.event()) && !channel.offer(&answer) {
                self.totals.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Somebody beyond an uplink has asked. Where events do not leave by it there is no way back.
    pub(super) fn answer_uplink(&self, uplink: &dyn Uplink) {
        let Some(responder) = self.responder() else {
            return;
        };
        // Held until it has them: whoever takes an uplink away waits for that.
        let uplinks = self.uplinks.read().unwrap_or_else(PoisonError::into_inner);
        let is_one = |one: &Arc<dyn Uplink>| std::ptr::addr_eq(Arc::as_ptr(one), uplink);
        if !uplinks.iter().any(is_one) {
            return;
        }
        for answer in responder.answers(Asker::Uplink(uplink.name())) {
            let answer = SharedEvent::tagged(answer, Some(Origin::NOBODY), Some(self.new_tag()));
            if uplink.bears(answer.event()) && uplink.reserve(&answer) {
                uplink.commit(answer);
            }
        }
    }
}

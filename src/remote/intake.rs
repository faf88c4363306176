//! What comes from the far end: is it ours, come back? Is it wanted? Pure.
//!
//! The far end sends events to all of its clients, and this driver is two of them: one connection
//! sends, the other receives. What was sent comes back with the channel id of the sending one as its
//! obid, or, where a broker beyond has lost that, with none. Then copies are counted, as for
//! uplinks. An event with another obid is the far end's own, however equal it looks.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::{Event, FilterPair, Guid};
use crate::hub::{Echoes, SharedEvent};

/// Channel ids of earlier connections that are remembered.
const EARLIER: usize = 8;
/// For how long, in nanoseconds: as long as an echo may take.
const LATE: u64 = 10_000_000_000;

/// What an event is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One of ours, come back.
    Ours,
    /// The link's filter keeps it back.
    Filtered,
    /// An event of the far end's.
    Theirs,
}

/// What is known of what was sent. Times are nanoseconds of any epoch.
#[derive(Debug)]
pub(super) struct Intake {
    guid: Guid,
    filter: FilterPair,
    /// The channel id of the connection that sends.
    sender: Option<u32>,
    /// Those of connections before it, and until when they matter.
    earlier: VecDeque<(u32, u64)>,
    /// The far end is a driver with our GUID, so that a GUID says nothing.
    namesake: bool,
    echoes: Echoes,
}

impl Intake {
    /// `guid` is the driver's.
    pub(super) fn new(guid: Guid, filter: FilterPair) -> Self {
        Self {
            guid,
            filter,
            sender: None,
            earlier: VecDeque::new(),
            namesake: false,
            echoes: Echoes::default(),
        }
    }

    /// What the link lets in from now on.
    pub(super) fn set_filter(&mut self, filter: FilterPair) {
        self.filter = filter;
    }

    /// A connection that sends: its channel's id and GUID, where the far end tells them. True
    /// where the far end has the GUID of this driver.
    pub(super) fn connected(&mut self, id: Option<u32>, guid: Option<Guid>, now: u64) -> bool {
        if let Some(before) = std::mem::replace(&mut self.sender, id) {
            self.earlier.truncate(EARLIER - 1);
            self.earlier.push_front((before, now.saturating_add(LATE)));
        }
        self.namesake = guid.is_some_and(|guid| guid.same_driver(&self.guid));
        self.namesake
    }

    /// An event is about to be sent; `again` one that may have been sent before.
    pub(super) fn sending(&mut self, event: &Arc<SharedEvent>, again: bool, now: u64) {
        self.echoes.expect(event, again, now);
    }

    /// What an event of the far end's is.
    pub(super) fn judge(&mut self, event: &Event, now: u64) -> Verdict {
        let late = |&&(id, until): &&(u32, u64)| id == event.obid && now < until;
        let doubtful = event.obid == 0 || self.earlier.iter().find(late).is_some();
        let ours = if self.sender.is_some_and(|sender| sender == event.obid) {
            // Counted off as well, so that the next one is not taken for it.
            self.echoes.meet(event, now);
            true
        } else {
            doubtful && self.echoes.meet(event, now).is_some()
        };
        if ours || self.comes_from_here(&event.guid) {
            Verdict::Ours
        } else if !self.filter.passes(event) {
            Verdict::Filtered
        } else {
            Verdict::Theirs
        }
    }

    /// True for the GUID of an interface of this driver.
    pub(super) fn comes_from_here(&self, guid: &Guid) -> bool {
        !self.namesake && !self.guid.is_zero() && guid.same_driver(&self.guid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::text::{Defaults, parse};
    use crate::hub::Origin;

    const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:00";

    fn event(line: &str) -> Event {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        parse(line, &defaults).unwrap()
    }

    fn intake() -> Intake {
        Intake::new(GUID.parse().unwrap(), FilterPair::default())
    }

    fn sent(line: &str) -> Arc<SharedEvent> {
        SharedEvent::new(event(line), Some(Origin::of(3)))
    }

    #[test]
    fn the_channel_id_tells() {
        let mut intake = intake();
        assert!(!intake.connected(Some(17), None, 0));
        intake.sending(&sent("0,20,3,0,,,::1,1"), false, 0);
        let mut judge = |line: &str, now| intake.judge(&event(line), now);
        // An equal one of somebody else there.
        assert_eq!(judge("0,20,3,18,,,::1,1", 1), Verdict::Theirs);
        assert_eq!(judge("0,20,3,17,,,::1,1", 1), Verdict::Ours);
        // It was counted off: another one without an id is theirs.
        assert_eq!(judge("0,20,3,0,,,::1,1", 2), Verdict::Theirs);
    }

    #[test]
    fn copies_without_an_id_are_counted() {
        let mut intake = intake();
        intake.connected(Some(17), None, 0);
        for _ in 0..2 {
            intake.sending(&sent("0,20,3,0,,,::1,1"), false, 0);
        }
        let mut judge = |line: &str| intake.judge(&event(line), 5);
        assert_eq!(judge("0,20,3,0,,,::1,2"), Verdict::Theirs);
        assert_eq!(judge("0,20,3,0,,,::1,1"), Verdict::Ours);
        assert_eq!(judge("0,20,3,0,,,::1,1"), Verdict::Ours);
        assert_eq!(judge("0,20,3,0,,,::1,1"), Verdict::Theirs);
    }

    #[test]
    fn a_connection_before_this_one_is_remembered_for_a_while() {
        let mut intake = intake();
        intake.connected(Some(17), None, 0);
        for _ in 0..2 {
            intake.sending(&sent("0,20,3,0,,,::1,1"), false, 0);
        }
        intake.connected(Some(4), None, 1);
        // Somebody else may have that id by now: it has to be an event that was sent.
        assert_eq!(
            intake.judge(&event("0,20,3,17,,,::1,9"), 2),
            Verdict::Theirs
        );
        assert_eq!(intake.judge(&event("0,20,3,17,,,::1,1"), 2), Verdict::Ours);
        assert_eq!(
            intake.judge(&event("0,20,3,17,,,::1,1"), LATE + 2),
            Verdict::Theirs
        );
        for id in 100..200 {
            intake.connected(Some(id), None, 1);
        }
        assert_eq!(intake.earlier.len(), EARLIER);
    }

    #[test]
    fn our_own_guid_tells_unless_it_is_theirs_too() {
        let mut intake = intake();
        let ours = "0,20,3,9,,,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:07:00:01,1";
        assert_eq!(intake.judge(&event(ours), 1), Verdict::Ours);
        let far = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:02:00:00";
        assert!(intake.connected(Some(2), far.parse().ok(), 1));
        assert_eq!(intake.judge(&event(ours), 1), Verdict::Theirs);
    }

    #[test]
    fn the_filter_is_looked_at_last() {
        let filter = FilterPair {
            filter: "0,20,0,-".parse().unwrap(),
            mask: "0,65535,0,-".parse().unwrap(),
        };
        let mut intake = Intake::new(Guid::ZERO, filter);
        assert_eq!(intake.judge(&event("0,20,3,9,,,::1,1"), 1), Verdict::Theirs);
        assert_eq!(
            intake.judge(&event("0,30,3,9,,,::1,1"), 1),
            Verdict::Filtered
        );
    }
}

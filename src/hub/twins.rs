//! Events that come by two ways: by a link, and by an uplink that both ends have.
//!
//! Tags do not cross a broker. Where a link stands beside a broker that both of its ends use, each
//! event comes here twice, and what the far end publishes comes here as if it were new. What nobody
//! rewrites tells, the time to the microsecond with it: such copies are counted against each other.

use super::recent::Recent;
use crate::event::Event;

/// The copies of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Twins {
    recent: Recent<Copies>,
    /// Both ends have a broker in common: they have told each other, or there have been copies that
    /// came by both ways.
    shared: bool,
    /// Events in a row that were held for another copy, and there was none.
    in_vain: u32,
}

/// What an event is that a link brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// It was here by an uplink.
    Known,
    /// It may come by an uplink any moment: it is to be asked for again.
    Awaited,
    /// It is new.
    New,
}

/// How often one event has come and gone.
#[derive(Clone, Copy, Debug, Default)]
struct Copies {
    /// Came by an uplink, and not by a link yet.
    by_uplink: u32,
    /// Came by a link, and not by an uplink yet.
    by_link: u32,
    /// Came back from an uplink.
    echoes: u32,
    /// Left by links.
    left: u32,
    /// By which way the first of these came in, and how many came in by another.
    first: u64,
    others: u32,
    /// Since when one that a link brought waits for the other copy.
    held: Option<u64>,
}

/// What is to be done with an event that an uplink brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was here by the other way.
    Known,
    /// It goes to the clients, and over links.
    Everywhere,
    /// It goes to the clients alone: it has left by links so often that it goes in a circle.
    NotByLinks,
}

impl Twins {
    /// How long the copy of a broker may take longer than that of a link.
    const HOLD: u64 = 300_000_000;
    /// After so many that waited in vain none waits any more: the broker is shared, and the topics
    /// are not.
    const IN_VAIN: u32 = 5;
    /// Equal events, of one moment, that leave by links within that time.
    const CIRCLES: u32 = 3;
    /// Where all of them came in by one way: a client may say the same more than once.
    const REPEATS: u32 = 16;

    /// An uplink brings an event that is no echo.
    pub(super) fn by_uplink(&mut self, event: &Event, now: u64) -> Fate {
        let copies = self.copies(event, now);
        if copies.by_link > 0 {
            copies.by_link -= 1;
            self.shared = true;
            return Fate::Known;
        }
        if copies.left > 0 && self.shared {
            return Fate::Known;
        }
        // Borrowed anew: `shared` was looked at meanwhile.
        let copies = self.copies(event, now);
        copies.by_uplink += 1;
        if copies.left >= Self::CIRCLES {
            Fate::NotByLinks
        } else {
            Fate::Everywhere
        }
    }

    /// The ends of a link have a broker in common.
    pub(super) fn share(&mut self) {
        self.shared = true;
    }

    /// A link brings an event. The far end of a link has what came back to us from a broker that it
    /// shares, and hands it on as its own.
    pub(super) fn by_link(&mut self, event: &Event, now: u64) -> Copy {
        let (shared, patient) = (self.shared, self.in_vain < Self::IN_VAIN);
        let copies = self.copies(event, now);
        if copies.by_uplink > 0 {
            copies.by_uplink -= 1;
            copies.held = None;
            self.shared = true;
            self.in_vain = 0;
            return Copy::Known;
        }
        if shared && copies.echoes > 0 {
            copies.echoes -= 1;
            return Copy::Known;
        }
        if shared && patient {
            let since = *copies.held.get_or_insert(now);
            if now < since.saturating_add(Self::HOLD) {
                return Copy::Awaited;
            }
            copies.held = None;
            copies.by_link += 1;
            self.in_vain += 1;
            return Copy::New;
        }
        copies.by_link += 1;
        Copy::New
    }

    /// An uplink brings back an event of ours. True where it goes in a circle, through servers that
    /// know no tags.
    pub(super) fn echo(&mut self, event: &Event, now: u64) -> bool {
        let copies = self.copies(event, now);
        copies.echoes += 1;
        copies.others >= Self::CIRCLES || copies.left >= Self::REPEATS
    }

    /// The event that a link brought was not taken after all.
    pub(super) fn not_taken(&mut self, event: &Event, now: u64) {
        let copies = self.copies(event, now);
        copies.by_link = copies.by_link.saturating_sub(1);
    }

    /// An event leaves by links; `way` is how it came in.
    pub(super) fn leaves(&mut self, event: &Event, way: u64, now: u64) {
        let copies = self.copies(event, now);
        if copies.left == 0 {
            copies.first = way;
        } else if copies.first != way {
            copies.others += 1;
        }
        copies.left += 1;
    }

    fn copies(&mut self, event: &Event, now: u64) -> &mut Copies {
        self.recent.of(event, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Guid;
    use crate::event::text::{Defaults, parse};

    fn event(n: usize) -> Event {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        let line = format!("0,20,3,0,2020-02-20T20:20:20Z,{n},::1,1");
        parse(&line, &defaults).unwrap()
    }

    #[test]
    fn each_copy_of_the_other_way_is_known_once() {
        let mut twins = Twins::default();
        assert_eq!(twins.by_uplink(&event(1), 0), Fate::Everywhere);
        assert_eq!(twins.by_uplink(&event(1), 0), Fate::Everywhere);
        assert_eq!(twins.by_link(&event(1), 1), Copy::Known);
        assert_eq!(twins.by_link(&event(1), 1), Copy::Known);
        // A third one, and one of another time, are other events; it is known by now that a broker
        // is shared, so that they may be about to come by it.
        for n in [1, 2] {
            assert_eq!(twins.by_link(&event(n), 1), Copy::Awaited);
            assert_eq!(twins.by_link(&event(n), Twins::HOLD), Copy::Awaited);
            assert_eq!(twins.by_link(&event(n), Twins::HOLD + 1), Copy::New);
        }
        assert_eq!(twins.by_uplink(&event(2), Twins::HOLD + 2), Fate::Known);
        assert_eq!(
            twins.by_uplink(&event(2), Twins::HOLD + 2),
            Fate::Everywhere
        );
    }

    #[test]
    fn what_the_far_end_publishes_is_known_where_a_broker_is_shared() {
        let mut twins = Twins::default();
        twins.leaves(&event(1), 1, 0);
        assert_eq!(
            twins.by_uplink(&event(1), 1),
            Fate::Everywhere,
            "who knows?"
        );
        twins.by_uplink(&event(9), 1);
        assert_eq!(twins.by_link(&event(9), 1), Copy::Known, "now it is known");
        twins.leaves(&event(2), 1, 2);
        assert_eq!(twins.by_uplink(&event(2), 3), Fate::Known);
    }

    #[test]
    fn what_came_back_to_us_is_known_where_a_broker_is_shared() {
        let mut twins = Twins::default();
        twins.echo(&event(1), 0);
        assert_eq!(
            twins.by_link(&event(1), 1),
            Copy::New,
            "an equal one of the far end's own"
        );
        twins.by_uplink(&event(9), 1);
        assert_eq!(twins.by_link(&event(9), 1), Copy::Known, "now it is known");
        twins.echo(&event(2), 2);
        assert_eq!(twins.by_link(&event(2), 3), Copy::Known);
        assert_eq!(twins.by_link(&event(2), 3), Copy::Awaited);
    }

    #[test]
    fn a_circle_ends() {
        let mut twins = Twins::default();
        let mut rounds = 0;
        while twins.by_uplink(&event(1), rounds) == Fate::Everywhere {
            twins.leaves(&event(1), 1, rounds);
            rounds += 1;
            assert!(rounds < 10);
        }
        assert_eq!(rounds, u64::from(Twins::CIRCLES));
        // Later it may go again.
        assert_eq!(twins.by_uplink(&event(1), 20_000_000_000), Fate::Everywhere);
    }

    #[test]
    fn one_that_was_not_taken_may_come_again() {
        let mut twins = Twins::default();
        assert_eq!(twins.by_link(&event(1), 0), Copy::New);
        twins.not_taken(&event(1), 0);
        assert_eq!(twins.by_uplink(&event(1), 0), Fate::Everywhere);
    }

    #[test]
    fn nobody_waits_for_ever_for_what_does_not_come() {
        let mut twins = Twins::default();
        twins.share();
        for n in 0..Twins::IN_VAIN as usize {
            assert_eq!(twins.by_link(&event(n), 0), Copy::Awaited);
            assert_eq!(twins.by_link(&event(n), Twins::HOLD), Copy::New);
        }
        assert_eq!(
            twins.by_link(&event(100), 0),
            Copy::New,
            "the topics are others"
        );
        twins.by_uplink(&event(101), 0);
        assert_eq!(twins.by_link(&event(101), 0), Copy::Known);
        assert_eq!(
            twins.by_link(&event(102), 0),
            Copy::Awaited,
            "and now they are not"
        );
    }

    #[test]
    fn is_bounded_and_forgets() {
        let mut twins = Twins::default();
        for n in 0..Recent::<Copies>::MOST + 1000 {
            twins.by_uplink(&event(n), 5);
        }
        assert!(
            twins.recent.order.len() <= Recent::<Copies>::MOST
                && twins.recent.known.len() <= Recent::<Copies>::MOST
        );
        twins.by_uplink(&event(0), 20_000_000_000);
        assert_eq!((twins.recent.order.len(), twins.recent.known.len()), (2, 1));
    }
}

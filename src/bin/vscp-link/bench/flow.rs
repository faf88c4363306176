//! What has come out at one end: counted together, however many receivers there are.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::mark::Mark;
use super::ring::Ring;
use super::stamps::{Latency, Stamps};
use super::tracker::{Totals, Tracker};

/// Numbers that all receivers together remember, and of which it is known whether they were
/// accepted: 16 MiB of bits for each.
const REMEMBERED: u64 = 1 << 27;
/// Numbers that one of them remembers.
const WINDOW: (u64, u64) = (1 << 14, 1 << 22);

/// Whose end it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A client of the server.
    Client,
    /// A client of the broker.
    Broker,
}

impl End {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Broker => "broker",
        }
    }
}

/// What all receivers of one kind have got.
pub(super) struct Flow {
    pub(super) to: End,
    pub(super) receivers: usize,
    run: u32,
    stamps: Rc<RefCell<Stamps>>,
    /// Different events, all receivers together.
    distinct: Cell<u64>,
    /// Events that are not of this run, or were never sent.
    foreign: Cell<u64>,
    last: Cell<Option<Instant>>,
    latency: RefCell<Latency>,
    trackers: RefCell<Vec<Tracker>>,
    /// Numbers that were not accepted.
    disowned: RefCell<Ring>,
    /// Events that may still come, all receivers together, when nobody waits any more.
    under_way: Cell<u64>,
}

/// What has become of the events of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) under_way: u64,
    pub(super) totals: Totals,
    pub(super) foreign: u64,
}

impl Flow {
    /// For receivers of a run.
    pub(super) fn new(to: End, receivers: usize, run: u32, stamps: &Rc<RefCell<Stamps>>) -> Self {
        let share = REMEMBERED / receivers.max(1) as u64;
        let window = share.clamp(WINDOW.0, WINDOW.1);
        let trackers = (0..receivers).map(|_| Tracker::new(window));
        Self {
            to,
            receivers,
            run,
            stamps: Rc::clone(stamps),
            distinct: Cell::new(0),
            foreign: Cell::new(0),
            last: Cell::new(None),
            latency: RefCell::default(),
            trackers: RefCell::new(trackers.collect()),
            disowned: RefCell::new(Ring::new(REMEMBERED)),
            under_way: Cell::new(0),
        }
    }

    /// What a receiver has read at one time: each event's mark, where it has one.
    pub(super) fn take(
        &self,
        receiver: usize,
        now: Instant,
        marks: impl Iterator<Item = Option<Mark>>,
    ) {
        let mut trackers = self.trackers.borrow_mut();
        let tracker = &mut trackers[receiver];
        let (stamps, mut latency) = (self.stamps.borrow(), self.latency.borrow_mut());
        let disowned = self.disowned.borrow();
        let (mut new, mut foreign) = (0, 0);
        for mark in marks {
            let is_ours = |mark: &Mark| mark.run == self.run && stamps.has(mark.sequence.into());
            let Some(mark) = mark.filter(is_ours) else {
                foreign += 1;
                continue;
            };
            if tracker.take(mark.sequence) {
                new += 1;
                let number = u64::from(mark.sequence);
                if disowned.has(number) == Some(true) {
                    tracker.disown(&(number..number + 1));
                }
                if let Some(age) = stamps.age(number, now) {
                    latency.record(age);
                }
            }
        }
        self.foreign.set(self.foreign.get() + foreign);
        if new > 0 {
            self.distinct.set(self.distinct.get() + new);
            self.last.set(Some(now));
        }
    }

    /// These were not accepted: whether they come or not, they make up for none that were.
    pub(super) fn disown(&self, numbers: &Range<u64>) {
        for tracker in &mut *self.trackers.borrow_mut() {
            tracker.disown(numbers);
        }
        let mut disowned = self.disowned.borrow_mut();
        for number in numbers.clone() {
            disowned.set(number);
        }
    }

    /// Nobody waits any more, before it is time. Of the numbers up to this one those are under way
    /// that are younger than all that came, where somebody who waits would still do so: something
    /// has come, or the oldest of them was sent, less than `drain` ago.
    pub(super) fn leave(&self, answered: u64, now: Instant, drain: Duration) {
        let (stamps, disowned) = (self.stamps.borrow(), self.disowned.borrow());
        let comes = self
            .last()
            .is_some_and(|last| now.duration_since(last) < drain);
        let mut under_way = 0;
        for tracker in &*self.trackers.borrow() {
            let next = tracker.next();
            let age = stamps.age(next, now).map(Duration::from_nanos);
            if next < answered && (comes || age.is_some_and(|age| age < drain)) {
                under_way += answered - next - disowned.count(&(next..answered));
            }
        }
        self.under_way.set(under_way);
    }

    /// When the last new event came.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last.get()
    }

    /// Different events, all receivers together.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct.get()
    }

    /// True where everybody has all of so many events that were accepted.
    pub(super) fn is_complete(&self, accepted: u64) -> bool {
        let trackers = self.trackers.borrow();
        self.distinct() >= accepted * self.receivers as u64
            && trackers.iter().all(|one| one.totals().wanted() >= accepted)
    }

    pub(super) fn latency(&self) -> Latency {
        self.latency.borrow().clone()
    }

    /// What has become of so many events that were accepted.
    pub(super) fn fate(&self, accepted: u64) -> Fate {
        let mut fate = Fate {
            expected: accepted * self.receivers as u64,
            foreign: self.foreign.get(),
            ..Fate::default()
        };
        for tracker in &*self.trackers.borrow() {
            let totals = tracker.totals();
            fate.received += totals.distinct + totals.doubled + totals.stale;
            fate.lost += accepted.saturating_sub(totals.wanted());
            fate.totals.distinct += totals.distinct;
            fate.totals.doubled += totals.doubled;
            fate.totals.out_of_order += totals.out_of_order;
            fate.totals.stale += totals.stale;
            fate.totals.unaccepted += totals.unaccepted;
        }
        fate.under_way = fate.lost.min(self.under_way.get());
        fate.lost -= fate.under_way;
        fate
    }
}

impl Fate {
    /// True where each event came once.
    pub(super) fn is_good(&self) -> bool {
        self.lost == 0 && self.totals.doubled == 0 && self.totals.stale == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 5;

    fn flow(receivers: usize) -> Flow {
        let stamps = Rc::new(RefCell::new(Stamps::new()));
        stamps.borrow_mut().sent(20, Instant::now());
        Flow::new(End::Client, receivers, RUN, &stamps)
    }

    fn give(flow: &Flow, receiver: usize, numbers: &[u32]) {
        let mark = |&sequence: &u32| Some(Mark { run: RUN, sequence });
        flow.take(receiver, Instant::now(), numbers.iter().map(mark));
    }

    #[test]
    fn what_was_never_sent_is_none_of_ours() {
        let flow = flow(1);
        give(&flow, 0, &[0, 1, 2, 3, 20, 4_000_000_000]);
        let fate = flow.fate(4);
        assert_eq!((fate.lost, fate.foreign), (0, 2));
        assert!(flow.is_complete(4));
        assert!(!flow.is_complete(5));
    }

    #[test]
    fn one_receiver_does_not_make_up_for_another() {
        let flow = flow(2);
        give(&flow, 0, &[0, 1, 2, 3]);
        // More than were accepted: they are not the other one's.
        give(&flow, 0, &[4, 5, 6]);
        give(&flow, 1, &[0, 0, 3, 2]);
        assert!(!flow.is_complete(4));
        let fate = flow.fate(4);
        assert_eq!((fate.expected, fate.received, fate.lost), (8, 11, 1));
        assert_eq!((fate.totals.doubled, fate.totals.out_of_order), (1, 1));
        assert!(!fate.is_good());
        assert_eq!(flow.latency().count(), 10);
        give(&flow, 1, &[1]);
        assert!(flow.is_complete(4));
        assert_eq!(flow.fate(4).lost, 0);
    }

    #[test]
    fn events_that_were_not_accepted_do_not_make_up_for_those_that_were() {
        let flow = flow(2);
        // Of 0 to 9 are refused: 2 to 5, and not answered: 9.
        give(&flow, 0, &[0, 2, 3]);
        flow.disown(&(2..6));
        give(&flow, 0, &[4, 5, 8, 9]);
        flow.disown(&(9..10));
        give(&flow, 1, &[0, 1, 6, 7, 8]);
        assert!(!flow.is_complete(5));
        let fate = flow.fate(5);
        assert_eq!((fate.expected, fate.received, fate.lost), (10, 12, 3));
        assert_eq!(fate.totals.unaccepted, 5);
        give(&flow, 0, &[1, 6, 7]);
        assert!(flow.is_complete(5) && flow.fate(5).is_good());
    }

    #[test]
    fn what_is_under_way_is_not_lost() {
        let start = Instant::now();
        let drain = Duration::from_secs(5);
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let of = |numbers: &[u32], now: Instant| {
            let flow = flow(1);
            flow.stamps.borrow_mut().sent(5, start);
            give(&flow, 0, numbers);
            flow.disown(&(6..7));
            flow.leave(10, now, drain);
            let fate = flow.fate(9);
            (fate.under_way, fate.lost)
        };
        // 6 was refused, 2 is older than what came.
        assert_eq!(of(&[0, 1, 3, 4], seconds(3)), (4, 1));
        assert_eq!(of(&[0, 1, 3, 4], seconds(60)), (0, 5));
        assert_eq!(of(&[], seconds(3)), (9, 0));
        assert_eq!(of(&[], seconds(60)), (0, 9));
        assert_eq!(of(&[0, 1, 2, 3, 4, 5, 7, 8, 9], seconds(3)), (0, 0));
    }

    #[test]
    fn events_of_others_are_told_apart() {
        let flow = flow(1);
        let other = Mark {
            run: RUN + 1,
            sequence: 0,
        };
        flow.take(0, Instant::now(), [None, Some(other)].into_iter());
        assert_eq!(flow.last(), None);
        let fate = flow.fate(0);
        assert_eq!((fate.received, fate.foreign), (0, 2));
        assert!(fate.is_good() && flow.is_complete(0));
    }
}

//! What has come out at one end: counted together, however many receivers there are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::Instant;

use super::mark::Mark;
use super::stamps::{Latency, Stamps};
use super::tracker::{Totals, Tracker};

/// Numbers that all receivers together remember: 16 MiB of bits.
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
    /// Events that are not of this run.
    foreign: Cell<u64>,
    last: Cell<Option<Instant>>,
    latency: RefCell<Latency>,
    trackers: RefCell<Vec<Tracker>>,
}

/// What has become of the events of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) totals: Totals,
    pub(super) foreign: u64,
}

impl Flow {
    /// For receivers of a run of so many events.
    pub(super) fn new(
        to: End,
        receivers: usize,
        run: u32,
        count: u64,
        stamps: &Rc<RefCell<Stamps>>,
    ) -> Self {
        let share = REMEMBERED / receivers.max(1) as u64;
        let window = share.clamp(WINDOW.0, WINDOW.1).min(count.max(1));
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
        let (mut new, mut foreign) = (0, 0);
        for mark in marks {
            let Some(mark) = mark.filter(|mark| mark.run == self.run) else {
                foreign += 1;
                continue;
            };
            if tracker.take(mark.sequence) {
                new += 1;
                if let Some(age) = stamps.age(u64::from(mark.sequence), now) {
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

    /// When the last new event came.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last.get()
    }

    /// Different events, all receivers together.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct.get()
    }

    /// True where everybody has all of so many events.
    pub(super) fn is_complete(&self, accepted: u64) -> bool {
        let trackers = self.trackers.borrow();
        self.distinct() >= accepted * self.receivers as u64
            && trackers.iter().all(|one| one.totals().distinct >= accepted)
    }

    pub(super) fn latency(&self) -> Latency {
        self.latency.borrow().clone()
    }

    /// What has become of so many events.
    pub(super) fn fate(&self, accepted: u64) -> Fate {
        let mut fate = Fate {
            expected: accepted * self.receivers as u64,
            foreign: self.foreign.get(),
            ..Fate::default()
        };
        for tracker in &*self.trackers.borrow() {
            let totals = tracker.totals();
            fate.received += totals.distinct + totals.doubled + totals.stale;
            fate.lost += accepted.saturating_sub(totals.distinct);
            fate.totals.distinct += totals.distinct;
            fate.totals.doubled += totals.doubled;
            fate.totals.out_of_order += totals.out_of_order;
            fate.totals.stale += totals.stale;
        }
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
        let stamps = Rc::new(RefCell::new(Stamps::new(10)));
        stamps.borrow_mut().sent(4, Instant::now());
        Flow::new(End::Client, receivers, RUN, 10, &stamps)
    }

    fn give(flow: &Flow, receiver: usize, numbers: &[u32]) {
        let mark = |&sequence: &u32| Some(Mark { run: RUN, sequence });
        flow.take(receiver, Instant::now(), numbers.iter().map(mark));
    }

    #[test]
    fn one_receiver_does_not_make_up_for_another() {
        let flow = flow(2);
        give(&flow, 0, &[0, 1, 2, 3]);
        // Nobody knows how these could come, but they are not the other one's.
        give(&flow, 0, &[4, 5, 6]);
        give(&flow, 1, &[0, 0, 3, 2]);
        assert!(!flow.is_complete(4));
        let fate = flow.fate(4);
        assert_eq!((fate.expected, fate.received, fate.lost), (8, 11, 1));
        assert_eq!((fate.totals.doubled, fate.totals.out_of_order), (1, 1));
        assert!(!fate.is_good());
        assert_eq!(flow.latency().count(), 7);
        give(&flow, 1, &[1]);
        assert!(flow.is_complete(4));
        assert_eq!(flow.fate(4).lost, 0);
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

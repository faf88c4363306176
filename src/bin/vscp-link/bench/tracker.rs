//! Which events came, and how: what is doubled, and what came after younger ones.

use std::ops::Range;

use super::ring::Ring;

/// What is told of one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Different events.
    pub(super) distinct: u64,
    /// Events that had come before.
    pub(super) doubled: u64,
    /// Events that came for the first time, and after a younger one.
    pub(super) out_of_order: u64,
    /// Events of which nobody remembers whether they had come: they are too old.
    pub(super) stale: u64,
    /// Different events that came though the source had not been told that they were taken.
    pub(super) unaccepted: u64,
}

impl Totals {
    /// Different events of those that were accepted.
    pub(super) fn wanted(&self) -> u64 {
        self.distinct - self.unaccepted
    }
}

/// Remembers the last numbers, one bit for each, whatever comes.
pub(super) struct Tracker {
    seen: Ring,
    totals: Totals,
}

impl Tracker {
    /// Remembers at least so many numbers.
    pub(super) fn new(window: u64) -> Self {
        Self {
            seen: Ring::new(window),
            totals: Totals::default(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Numbers from this one on have not come.
    pub(super) fn next(&self) -> u64 {
        self.seen.next()
    }

    /// An event has come. True where it is new.
    pub(super) fn take(&mut self, sequence: u32) -> bool {
        let sequence = u64::from(sequence);
        match self.seen.has(sequence) {
            Some(true) => self.totals.doubled += 1,
            None => self.totals.stale += 1,
            Some(false) => {
                self.totals.distinct += 1;
                self.totals.out_of_order += u64::from(sequence < self.seen.next());
                self.seen.set(sequence);
                return true;
            }
        }
        false
    }

    /// These were not accepted: those of them that have come are not among what was wanted.
    pub(super) fn disown(&mut self, numbers: &Range<u64>) {
        self.totals.unaccepted += self.seen.count(numbers);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(numbers: impl IntoIterator<Item = u32>, window: u64) -> Totals {
        let mut tracker = Tracker::new(window);
        for number in numbers {
            tracker.take(number);
        }
        tracker.totals()
    }

    fn totals(distinct: u64, doubled: u64, out_of_order: u64, stale: u64) -> Totals {
        Totals {
            distinct,
            doubled,
            out_of_order,
            stale,
            unaccepted: 0,
        }
    }

    #[test]
    fn in_order_once() {
        assert_eq!(of(0..100_000, 64), totals(100_000, 0, 0, 0));
    }

    #[test]
    fn each_kind_of_trouble() {
        // 2 is lost, 4 comes twice, 6 after 7.
        assert_eq!(of([0, 1, 3, 4, 4, 5, 7, 6, 8], 64), totals(8, 1, 1, 0));
        // What is doubled is not out of order as well, however often it comes.
        assert_eq!(of([5, 4, 4, 4, 5], 64), totals(2, 3, 1, 0));
        assert_eq!(of([], 64), totals(0, 0, 0, 0));
        assert_eq!(of([u32::MAX, 0], 64), totals(1, 0, 0, 1));
    }

    #[test]
    fn what_is_older_than_the_window_is_not_guessed_at() {
        // 0 is remembered until 64 comes, and no longer.
        assert_eq!(of([0, 63, 0], 64), totals(2, 1, 0, 0));
        assert_eq!(of([0, 64, 0], 64), totals(2, 0, 0, 1));
        // A leap over more than the window leaves nothing of before.
        assert_eq!(of([0, 1000, 999, 937, 936], 64), totals(4, 0, 2, 1));
    }

    #[test]
    fn what_was_not_accepted_is_not_wanted() {
        let mut tracker = Tracker::new(64);
        for number in [0, 1, 4, 5] {
            tracker.take(number);
        }
        // 2 and 3 have not come, nor has 6.
        tracker.disown(&(1..4));
        tracker.disown(&(5..7));
        assert_eq!(
            (tracker.totals().unaccepted, tracker.totals().wanted()),
            (2, 2)
        );
    }

    proptest! {
        /// Within the window it is what a set tells.
        #[test]
        fn as_a_set_tells(numbers in proptest::collection::vec(0_u32..500, 0..2000)) {
            let mut set = std::collections::BTreeSet::new();
            let mut expected = Totals::default();
            for &number in &numbers {
                let younger = set.last().is_some_and(|&last| last > number);
                if set.insert(number) {
                    expected.distinct += 1;
                    expected.out_of_order += u64::from(younger);
                } else {
                    expected.doubled += 1;
                }
            }
            prop_assert_eq!(of(numbers, 512), expected);
        }
    }
}

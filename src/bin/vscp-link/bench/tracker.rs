//! Which events came, and how: what is doubled, and what came after younger ones.

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
}

/// Remembers the last numbers, one bit for each, whatever comes.
pub(super) struct Tracker {
    /// A ring; the bit of a number is at its place in it.
    seen: Box<[u64]>,
    /// Numbers from this one on have not come.
    next: u64,
    totals: Totals,
}

impl Tracker {
    /// Remembers at least so many numbers.
    pub(super) fn new(window: u64) -> Self {
        let words = window.div_ceil(64).max(1).next_power_of_two();
        Self {
            seen: vec![0; usize::try_from(words).unwrap_or(1 << 20)].into(),
            next: 0,
            totals: Totals::default(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// An event has come. True where it is new.
    pub(super) fn take(&mut self, sequence: u32) -> bool {
        let sequence = u64::from(sequence);
        if sequence >= self.next {
            self.forget(self.next, sequence);
            self.next = sequence + 1;
            let (word, bit) = self.place(sequence);
            self.seen[word] |= bit;
            self.totals.distinct += 1;
            return true;
        }
        if self.next - sequence > self.window() {
            self.totals.stale += 1;
            return false;
        }
        let (word, bit) = self.place(sequence);
        if self.seen[word] & bit != 0 {
            self.totals.doubled += 1;
            return false;
        }
        self.seen[word] |= bit;
        self.totals.distinct += 1;
        self.totals.out_of_order += 1;
        true
    }

    /// The numbers that are passed over have not come; their places are those of older ones.
    fn forget(&mut self, from: u64, until: u64) {
        if until - from >= self.window() {
            self.seen.fill(0);
            return;
        }
        for number in from..=until {
            let (word, bit) = self.place(number);
            self.seen[word] &= !bit;
        }
    }

    fn window(&self) -> u64 {
        self.seen.len() as u64 * 64
    }

    fn place(&self, number: u64) -> (usize, u64) {
        // The length is a power of two, so that what is cut off does not matter.
        let word = (number / 64) as usize & (self.seen.len() - 1);
        (word, 1 << (number % 64))
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

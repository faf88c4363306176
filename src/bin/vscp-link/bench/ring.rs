//! One bit for each of the last numbers, whatever comes.

use std::ops::Range;

/// A ring; the bit of a number is at its place in it.
pub(super) struct Ring {
    words: Box<[u64]>,
    /// Numbers from this one on have not been set.
    next: u64,
}

impl Ring {
    /// Remembers at least so many numbers. Memory that was never needed is not taken.
    pub(super) fn new(window: u64) -> Self {
        let words = window.div_ceil(64).max(1).next_power_of_two();
        Self {
            words: vec![0; usize::try_from(words).unwrap_or(1 << 20)].into(),
            next: 0,
        }
    }

    /// Numbers from this one on have not been set.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether a number was set; `None` where it is too old to be remembered.
    pub(super) fn has(&self, number: u64) -> Option<bool> {
        if number >= self.next {
            return Some(false);
        }
        if self.next - number > self.window() {
            return None;
        }
        let (word, bit) = self.place(number);
        Some(self.words[word] & bit != 0)
    }

    /// Sets a number that is not too old.
    pub(super) fn set(&mut self, number: u64) {
        if number >= self.next {
            self.forget(self.next, number);
            self.next = number + 1;
        }
        let (word, bit) = self.place(number);
        self.words[word] |= bit;
    }

    /// How many of these were set, as far as they are remembered.
    pub(super) fn count(&self, numbers: &Range<u64>) -> u64 {
        let end = numbers.end.min(self.next);
        let oldest = self.next.saturating_sub(self.window());
        let mut number = numbers.start.max(oldest);
        let mut count = 0;
        while number < end {
            let until = end.min((number / 64 + 1) * 64);
            let (word, _) = self.place(number);
            let bits = self.words[word] >> (number % 64);
            let wanted = u64::MAX >> (64 - (until - number));
            count += u64::from((bits & wanted).count_ones());
            number = until;
        }
        count
    }

    /// The numbers that are passed over are not set; their places are those of older ones.
    fn forget(&mut self, from: u64, until: u64) {
        if until - from >= self.window() {
            self.words.fill(0);
            return;
        }
        for number in from..=until {
            let (word, bit) = self.place(number);
            self.words[word] &= !bit;
        }
    }

    fn window(&self) -> u64 {
        self.words.len() as u64 * 64
    }

    fn place(&self, number: u64) -> (usize, u64) {
        // The length is a power of two, so that what is cut off does not matter.
        let word = (number / 64) as usize & (self.words.len() - 1);
        (word, 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_old_is_not_known() {
        let mut ring = Ring::new(64);
        ring.set(3);
        assert_eq!(
            [2, 3, 4].map(|n| ring.has(n)),
            [false, true, false].map(Some)
        );
        ring.set(67);
        assert_eq!(
            [3, 4, 67, 68].map(|n| ring.has(n)),
            [None, Some(false), Some(true), Some(false)]
        );
        assert_eq!(ring.count(&(0..1000)), 1);
    }

    proptest! {
        /// It counts what a set would.
        #[test]
        fn counts(numbers in proptest::collection::vec(0_u64..600, 0..300), from in 0_u64..600, length in 0_u64..600) {
            let mut ring = Ring::new(256);
            let mut set = std::collections::BTreeSet::new();
            for &number in &numbers {
                if ring.has(number).is_some() {
                    ring.set(number);
                    set.insert(number);
                }
            }
            let range = from..from + length;
            let oldest = ring.next().saturating_sub(256);
            let expected = set.range(range.clone()).filter(|&&number| number >= oldest).count();
            prop_assert_eq!(ring.count(&range), expected as u64);
        }
    }
}

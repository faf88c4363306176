//! How many are answered in a second, in all and for each.

use std::collections::HashMap;
use std::hash::Hash;

/// Questions of one asker that are answered in a second.
pub(super) const MOST_EACH: u32 = 8;
/// Questions that are answered in a second.
pub(super) const MOST: u32 = 64;

/// Counts the questions of this second.
#[derive(Debug)]
pub(super) struct Limiter<K> {
    second: u64,
    total: u32,
    /// No more than [`MOST`] askers, since each was answered.
    each: HashMap<K, u32>,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self {
            second: 0,
            total: 0,
            each: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Limiter<K> {
    /// True where this one may be answered. `second` counts from anywhere.
    pub(super) fn admits(&mut self, asker: K, second: u64) -> bool {
        if second != self.second {
            self.second = second;
            self.total = 0;
            self.each.clear();
        }
        if self.total >= MOST {
            return false;
        }
        let each = self.each.entry(asker).or_default();
        if *each >= MOST_EACH {
            return false;
        }
        *each += 1;
        self.total += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_share_and_all_have_theirs() {
        let mut limiter = Limiter::default();
        for second in [0, 1, 7] {
            let admitted = (0..1000).filter(|_| limiter.admits(1_u32, second));
            assert_eq!(admitted.count() as u32, MOST_EACH);
            assert!(limiter.admits(2, second), "others are answered");
            let admitted = (3..1_000_000).filter(|asker| limiter.admits(*asker, second));
            assert_eq!(admitted.count() as u32, MOST - MOST_EACH - 1);
            assert!(limiter.each.len() <= MOST as usize);
        }
    }
}

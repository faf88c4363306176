//! The tags that have been here.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::event::Tag;

/// The tags that have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    known: HashMap<u64, Numbers>,
    /// Origins, the one that was heard of first at the front.
    order: VecDeque<u64>,
}

/// Numbers as runs: first to last.
#[derive(Clone, Debug, Default)]
struct Numbers(BTreeMap<u64, u64>);

impl Tags {
    /// Drivers that are remembered; the oldest are forgotten.
    const MOST_ORIGINS: usize = 256;
    /// Runs of numbers of one driver; the lowest are forgotten.
    const MOST_RUNS: usize = 4096;

    /// True where this one is new; it is known then.
    pub(super) fn is_new(&mut self, tag: Tag) -> bool {
        if !self.known.contains_key(&tag.origin) {
            if self.order.len() == Self::MOST_ORIGINS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(tag.origin);
        }
        self.known.entry(tag.origin).or_default().add(tag.number)
    }

    /// As if it had not come.
    pub(super) fn forget(&mut self, tag: Tag) {
        if let Some(numbers) = self.known.get_mut(&tag.origin) {
            numbers.take_out(tag.number);
        }
    }
}

impl Numbers {
    fn run_of(&self, number: u64) -> Option<(u64, u64)> {
        let (&first, &last) = self.0.range(..=number).next_back()?;
        (number <= last).then_some((first, last))
    }

    fn add(&mut self, number: u64) -> bool {
        if self.run_of(number).is_some() {
            return false;
        }
        let mut last = number;
        if let Some(next) = number.checked_add(1)
            && let Some(beyond) = self.0.remove(&next)
        {
            last = beyond;
        }
        let before = number.checked_sub(1).and_then(|before| self.run_of(before));
        self.0
            .insert(before.map_or(number, |(first, _)| first), last);
        if self.0.len() > Tags::MOST_RUNS {
            self.0.pop_first();
        }
        true
    }

    fn take_out(&mut self, number: u64) {
        let Some((first, last)) = self.run_of(number) else {
            return;
        };
        self.0.remove(&first);
        if first < number {
            self.0.insert(first, number - 1);
        }
        if number < last {
            self.0.insert(number + 1, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn tag(number: u64) -> Tag {
        Tag { origin: 7, number }
    }

    #[test]
    fn is_bounded() {
        let mut tags = Tags::default();
        for number in 0..10_000 {
            assert!(tags.is_new(tag(2 * number)));
        }
        assert_eq!(tags.known[&7].0.len(), Tags::MOST_RUNS);
        assert!(!tags.is_new(tag(19_998)));
        assert!(tags.is_new(tag(0)), "the lowest were forgotten");
        for origin in 100..500 {
            assert!(tags.is_new(Tag { origin, number: 1 }));
        }
        assert_eq!(tags.known.len(), Tags::MOST_ORIGINS);
        assert_eq!(tags.order.len(), Tags::MOST_ORIGINS);
    }

    proptest! {
        #[test]
        fn as_a_set_would(steps in prop::collection::vec((any::<bool>(), 0_u64..40), 0..200)) {
            let (mut tags, mut model) = (Tags::default(), HashSet::new());
            for (add, number) in steps {
                if add {
                    prop_assert_eq!(tags.is_new(tag(number)), model.insert(number));
                } else {
                    tags.forget(tag(number));
                    model.remove(&number);
                }
            }
            for number in 0..40 {
                prop_assert_eq!(tags.is_new(tag(number)), !model.contains(&number));
            }
        }
    }
}

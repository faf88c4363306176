//! Which event it is, wherever it goes.
//!
//! Between drivers of this kind an event keeps the tag that it got where it came in first. One that
//! goes in a circle, or comes by two ways, is known by it; two events that are equal are still two.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;

/// Where an event came in, and which one it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// A random number of the driver, another one after each start.
    pub origin: u64,
    /// Counts from 1.
    pub number: u64,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:x}", self.origin, self.number)
    }
}

/// A text that is no tag.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a tag is two hexadecimal numbers with a dot between them")]
pub struct TagError;

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = plain.then(|| u64::from_str_radix(digits, 16).ok());
            number.flatten().ok_or(TagError)
        };
        let (origin, count) = text.split_once('.').ok_or(TagError)?;
        Ok(Self {
            origin: number(origin)?,
            number: number(count)?,
        })
    }
}

/// The tags that have come.
#[derive(Debug, Default)]
pub(super) struct Tags {
    known: HashMap<u64, Numbers>,
    /// Origins, the one that was heard of first at the front.
    order: VecDeque<u64>,
}

/// Numbers as runs: first to last.
#[derive(Debug, Default)]
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
    fn texts() {
        let tag = Tag {
            origin: 0xABC,
            number: u64::MAX,
        };
        assert_eq!(tag.to_string(), "0000000000000abc.ffffffffffffffff");
        assert_eq!(tag.to_string().parse(), Ok(tag));
        for text in ["", ".", "1", "1.", "1.2.3", "+1.2", "1.10000000000000000"] {
            assert_eq!(text.parse::<Tag>(), Err(TagError), "{text}");
        }
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

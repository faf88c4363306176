//! By which ways events come, where one of them is a link without tags.
//!
//! Such a link, to a server of another kind or by a user that may not more, brings back what went
//! out by another, and brings what came by another. Of equal events, of one moment, there are as
//! many as came by the way that brought most: what a link brings beyond its turn is a copy.

use std::collections::{HashMap, VecDeque};
use std::hash::RandomState;

use super::twins::likeness;
use crate::event::Event;

/// What came in the last seconds.
#[derive(Debug, Default)]
pub(super) struct Ways {
    hasher: RandomState,
    known: HashMap<u64, Came>,
    order: VecDeque<(u64, u64)>,
}

/// One event.
#[derive(Debug, Default)]
struct Came {
    /// How often, by each way.
    by: Vec<(u64, u32)>,
    /// Entries of the order that are about it.
    entries: u32,
}

impl Ways {
    /// How long a copy may take, in nanoseconds.
    const PATIENCE: u64 = 10_000_000_000;
    /// Comings that are remembered; the oldest are forgotten first.
    const MOST: usize = 200_000;
    /// Ways by which one event may come; by further ones each is new.
    const MOST_WAYS: usize = 64;

    /// An event comes by a way; true where it is a copy of one that came by another.
    pub(super) fn comes(&mut self, event: &Event, way: u64, now: u64) -> bool {
        let by = &mut self.came(event, now).by;
        let others = by.iter().filter(|(other, _)| *other != way);
        let most = others.map(|(_, count)| *count).max().unwrap_or(0);
        if let Some((_, count)) = by.iter_mut().find(|(known, _)| *known == way) {
            *count += 1;
            return *count <= most;
        }
        if by.len() == Self::MOST_WAYS {
            return false;
        }
        by.push((way, 1));
        most > 0
    }

    /// It was not taken, and may come again.
    pub(super) fn did_not_come(&mut self, event: &Event, way: u64, now: u64) {
        let by = &mut self.came(event, now).by;
        if let Some((_, count)) = by.iter_mut().find(|(known, _)| *known == way) {
            *count = count.saturating_sub(1);
        }
    }

    fn came(&mut self, event: &Event, now: u64) -> &mut Came {
        self.forget(now);
        let key = likeness(&self.hasher, event);
        let until = now.saturating_add(Self::PATIENCE);
        self.order.push_back((key, until));
        let came = self.known.entry(key).or_default();
        came.entries += 1;
        came
    }

    fn forget(&mut self, now: u64) {
        while let Some(&(key, until)) = self.order.front() {
            if until > now && self.order.len() < Self::MOST {
                return;
            }
            self.order.pop_front();
            if let Some(came) = self.known.get_mut(&key) {
                came.entries -= 1;
                if came.entries == 0 {
                    self.known.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Guid;
    use crate::event::text::{Defaults, parse};

    fn event(data: u32) -> Event {
        let defaults = Defaults {
            now: 7_000,
            obid: 0,
            guid: Guid::ZERO,
        };
        let bytes = data.to_be_bytes().map(|byte| byte.to_string());
        parse(&format!("0,20,3,,,,::1,{}", bytes.join(",")), &defaults).unwrap()
    }

    #[test]
    fn what_comes_by_another_way_is_a_copy_as_often_as_it_came() {
        let mut ways = Ways::default();
        let mut comes = |data, way, now| ways.comes(&event(data), way, now);
        assert!(!comes(1, 10, 0));
        assert!(!comes(1, 10, 0), "a client may say the same twice");
        assert!(comes(1, 20, 1));
        assert!(comes(1, 30, 1), "by a third way too");
        assert!(comes(1, 20, 1));
        assert!(!comes(1, 20, 1), "more than the others brought");
        assert!(!comes(2, 20, 1), "another event");
        let late = Ways::PATIENCE + 2;
        assert!(!comes(1, 30, late), "that was another time");
    }

    #[test]
    fn what_was_not_taken_may_come_again() {
        let mut ways = Ways::default();
        assert!(!ways.comes(&event(1), 10, 0));
        ways.did_not_come(&event(1), 10, 0);
        assert!(!ways.comes(&event(1), 20, 0), "it is nowhere");
        assert!(ways.comes(&event(1), 10, 0));
    }

    #[test]
    fn is_bounded() {
        let mut ways = Ways::default();
        let most = u32::try_from(Ways::MOST).unwrap();
        for data in 0..most + 1000 {
            ways.comes(&event(data), 1, 0);
        }
        assert_eq!(ways.order.len(), Ways::MOST);
        assert_eq!(ways.known.len(), Ways::MOST);
        for way in 0..1000 {
            ways.comes(&event(0), way, 0);
        }
        let most = ways.known.values().map(|came| came.by.len()).max();
        assert_eq!(most, Some(Ways::MOST_WAYS));
    }
}

//! Which events that come from an uplink are ours, come back.
//!
//! Neither obid nor time can tell: hosts and other servers rewrite both. So each copy that leaves
//! towards a place it may come back from is counted under what nobody rewrites (class, type, GUID,
//! priority and data), and each copy that comes is counted off. Two equal events count twice.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::{Origin, SharedEvent};
use crate::event::{Event, Tag};

/// The copies that are expected back, and from which channel they left.
#[derive(Debug, Default)]
pub struct Echoes {
    hasher: RandomState,
    expected: HashMap<u64, VecDeque<Expected>>,
    /// Every expectation in the order of its time; some have been met since.
    order: VecDeque<(u64, u64)>,
    serial: u64,
}

#[derive(Debug)]
struct Expected {
    serial: u64,
    echo: Echo,
    until: u64,
}

/// Which event has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The channel that it left; of an event of the last time nobody knows.
    pub origin: Option<Origin>,
    /// Its tag.
    pub tag: Option<Tag>,
}

impl Echoes {
    /// How long a copy may take, in nanoseconds.
    const PATIENCE: u64 = 10_000_000_000;
    /// Copies that are remembered; the oldest are forgotten first.
    const MOST: usize = 200_000;

    /// One copy of this event has left. `now` in nanoseconds, of any epoch. One
    /// that leaves `again` takes the place of an expectation that still stands.
    pub fn expect(&mut self, shared: &SharedEvent, again: bool, now: u64) {
        let origin = shared.origin();
        self.forget(now);
        let key = self.key(shared.event());
        if again && let Some(waiting) = self.expected.get_mut(&key) {
            let same = waiting.iter().position(|known| known.echo.origin == origin);
            same.and_then(|at| waiting.remove(at));
        }
        self.serial += 1;
        let expected = Expected {
            serial: self.serial,
            echo: Echo {
                origin,
                tag: shared.tag(),
            },
            until: now.saturating_add(Self::PATIENCE),
        };
        self.order.push_back((key, self.serial));
        self.expected.entry(key).or_default().push_back(expected);
    }

    /// What this event is, if it is a copy that was expected.
    pub fn meet(&mut self, event: &Event, now: u64) -> Option<Echo> {
        if self.expected.is_empty() {
            return None;
        }
        self.forget(now);
        let key = self.key(event);
        let waiting = self.expected.get_mut(&key)?;
        let met = waiting.pop_front();
        if waiting.is_empty() {
            self.expected.remove(&key);
        }
        met.map(|expected| expected.echo)
    }

    /// Drops what is too old, or too much, and what has been met.
    fn forget(&mut self, now: u64) {
        while let Some(&(key, serial)) = self.order.front() {
            let crowded = self.order.len() >= Self::MOST;
            if let Some(waiting) = self.expected.get_mut(&key)
                && let Some(first) = waiting.front()
                && first.serial == serial
            {
                if first.until > now && !crowded {
                    return;
                }
                waiting.pop_front();
                if waiting.is_empty() {
                    self.expected.remove(&key);
                }
            }
            self.order.pop_front();
        }
    }

    fn key(&self, event: &Event) -> u64 {
        let priority = event.head.priority();
        self.hasher.hash_one((
            event.class,
            event.vscp_type,
            event.guid,
            priority,
            &*event.data,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Guid;
    use crate::event::text::{Defaults, parse};

    fn event(line: &str) -> std::sync::Arc<SharedEvent> {
        let event = parse(
            line,
            &Defaults {
                now: 1,
                obid: 0,
                guid: Guid::ZERO,
            },
        );
        SharedEvent::new(event.unwrap(), None)
    }

    /// As it leaves another channel.
    fn with(event: &SharedEvent, origin: u16) -> std::sync::Arc<SharedEvent> {
        SharedEvent::new(event.event().clone(), Some(Origin::of(origin)))
    }

    fn meet(echoes: &mut Echoes, event: &SharedEvent, now: u64) -> Option<u16> {
        let echo = echoes.meet(event.event(), now)?;
        echo.origin.map(|origin| origin.id)
    }

    #[test]
    fn counts_copies() {
        let mut echoes = Echoes::default();
        let (sent, other) = (event("0,20,3,,,,::1,1"), event("0,20,3,,,,::1,2"));
        echoes.expect(&with(&sent, 7), false, 0);
        echoes.expect(&with(&sent, 8), false, 1);
        assert_eq!(meet(&mut echoes, &other, 2), None);
        // Time stamp and obid are rewritten on the way.
        let back = event("0,20,3,99,2001-11-02T18:00:01,5,::1,1");
        assert_eq!(meet(&mut echoes, &back, 2), Some(7));
        assert_eq!(meet(&mut echoes, &back, 2), Some(8));
        assert_eq!(meet(&mut echoes, &back, 2), None);
    }

    #[test]
    fn forgets_after_ten_seconds() {
        let mut echoes = Echoes::default();
        let sent = event("0,20,3,,,,::1,1");
        echoes.expect(&with(&sent, 7), false, 0);
        echoes.expect(&with(&sent, 8), false, 5_000_000_000);
        assert_eq!(meet(&mut echoes, &sent, 10_000_000_000), Some(8));
        assert_eq!(meet(&mut echoes, &sent, 10_000_000_000), None);
        assert!(echoes.expected.is_empty());
    }

    #[test]
    fn a_copy_that_leaves_again_is_expected_once() {
        let mut echoes = Echoes::default();
        let sent = event("0,20,3,,,,::1,1");
        echoes.expect(&with(&sent, 7), false, 0);
        echoes.expect(&with(&sent, 7), true, 9_000_000_000);
        assert_eq!(meet(&mut echoes, &sent, 18_000_000_000), Some(7));
        assert_eq!(meet(&mut echoes, &sent, 18_000_000_000), None);
        // Forgotten long ago.
        echoes.expect(&with(&sent, 7), true, 40_000_000_000);
        assert_eq!(meet(&mut echoes, &sent, 41_000_000_000), Some(7));
        echoes.expect(&with(&sent, 7), false, 60_000_000_000);
        echoes.expect(&with(&sent, 8), true, 61_000_000_000);
        assert_eq!(meet(&mut echoes, &sent, 62_000_000_000), Some(7));
        assert_eq!(meet(&mut echoes, &sent, 62_000_000_000), Some(8));
        assert!(echoes.expected.is_empty());
    }

    #[test]
    fn is_bounded() {
        let mut echoes = Echoes::default();
        for n in 0..(Echoes::MOST + 1000) {
            echoes.expect(&event(&format!("0,20,3,,,,::{n:08x},1")), false, 0);
        }
        assert!(echoes.expected.len() <= Echoes::MOST);
        assert!(echoes.order.len() <= Echoes::MOST);
        assert_eq!(meet(&mut echoes, &event("0,20,3,,,,::00000000,1"), 0), None);
    }
}

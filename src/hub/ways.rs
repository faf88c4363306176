//! By which ways events come, where one of them is a link without tags.
//!
//! Such a link, to a server of another kind or by a user that may not more, brings back what went
//! out by another, and brings what came by another. Of equal events, of one moment, there are as
//! many as came by the way that brought most: what a link brings beyond its turn is a copy.

use super::recent::Recent;
use crate::event::Event;

/// What came in the last seconds: how often each event, by each way.
#[derive(Debug, Default)]
pub(super) struct Ways {
    recent: Recent<Vec<(u64, u32)>>,
}

impl Ways {
    /// Ways by which one event may come; by further ones each is new.
    const MOST_WAYS: usize = 64;

    /// An event comes by a way; true where it is a copy of one that came by another.
    pub(super) fn comes(&mut self, event: &Event, way: u64, now: u64) -> bool {
        let by = self.recent.of(event, now);
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
        let by = self.recent.of(event, now);
        if let Some((_, count)) = by.iter_mut().find(|(known, _)| *known == way) {
            *count = count.saturating_sub(1);
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
        let late = Recent::<()>::PATIENCE + 2;
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
        let most = u32::try_from(Recent::<()>::MOST).unwrap();
        for data in 0..most + 1000 {
            ways.comes(&event(data), 1, 0);
        }
        assert_eq!(ways.recent.order.len(), Recent::<()>::MOST);
        assert_eq!(ways.recent.known.len(), Recent::<()>::MOST);
        for way in 0..1000 {
            ways.comes(&event(0), way, 0);
        }
        let most = ways.recent.known.values().map(|came| came.what.len()).max();
        assert_eq!(most, Some(Ways::MOST_WAYS));
    }
}

//! The marks of logins: where a login may bring a vector of its own, whoever has seen one could send
//! it again on another connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::ws::Sid;

/// The vector of a login, and the first block of what was encrypted.
pub(super) type Mark = [Sid; 2];

/// Logins that are remembered; with each further one the oldest is forgotten.
const MOST: usize = 65_536;

/// The marks of all logins of a server.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// Of logins that were right. Who does not know the key makes none, and none forgotten.
    known: Blocks,
    order: VecDeque<Mark>,
    /// Of logins that are being checked.
    claimed: Blocks,
}

/// Blocks, and how many marks have each of them.
#[derive(Debug, Default)]
struct Blocks(HashMap<Sid, u32>);

impl Blocks {
    fn add(&mut self, mark: Mark) {
        for block in mark {
            *self.0.entry(block).or_default() += 1;
        }
    }

    fn remove(&mut self, mark: Mark) {
        for block in mark {
            if let Some(count) = self.0.get_mut(&block) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&block);
                }
            }
        }
    }

    fn has_any_of(&self, mark: Mark) -> bool {
        mark.iter().any(|block| self.0.contains_key(block))
    }
}

impl Marks {
    /// Holds the mark of a login with the session's `own` vector while it is checked; a copy of it
    /// finds it taken. With another vector it may be such a copy: `None` where anybody else has
    /// any of it, or has logged in with it.
    pub(super) fn claim(self: &Arc<Self>, mark: Mark, own: bool) -> Option<Claim> {
        let mut used = self.used();
        if !own && (used.known.has_any_of(mark) || used.claimed.has_any_of(mark)) {
            return None;
        }
        used.claimed.add(mark);
        drop(used);
        Some(Claim {
            marks: Arc::clone(self),
            mark,
        })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark of a login that is being checked.
#[derive(Debug)]
pub(super) struct Claim {
    marks: Arc<Marks>,
    mark: Mark,
}

impl Claim {
    /// The login was right: its mark is good for no other.
    pub(super) fn remember(self) {
        let mut used = self.marks.used();
        if used.order.len() == MOST
            && let Some(oldest) = used.order.pop_front()
        {
            used.known.remove(oldest);
        }
        used.known.add(self.mark);
        used.order.push_back(self.mark);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.marks.used().claimed.remove(self.mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: bool = true;
    const FOREIGN: bool = false;

    /// A mark that has no block in common with another one.
    fn mark(n: u32) -> Mark {
        let block = |half: u32| (u128::from(n) << 32 | u128::from(half)).to_be_bytes();
        [block(0), block(1)]
    }

    /// Copies of a login: the same, with another vector, and with another block behind the vector.
    fn copies(of: Mark) -> [Mark; 3] {
        let [vector, block] = of;
        [of, [[7; 16], block], [vector, [7; 16]]]
    }

    fn has_none(marks: &Arc<Marks>, of: Mark) -> bool {
        copies(of)
            .iter()
            .all(|copy| marks.claim(*copy, FOREIGN).is_none())
    }

    #[test]
    fn a_copy_finds_the_mark_taken_while_it_is_checked_and_ever_after() {
        for own in [OWN, FOREIGN] {
            let marks = Arc::default();
            let claim = Marks::claim(&marks, mark(1), own).unwrap();
            assert!(has_none(&marks, mark(1)), "{own}: while it is checked");
            assert!(marks.claim(mark(2), FOREIGN).is_some());
            claim.remember();
            assert!(has_none(&marks, mark(1)), "{own}: when it was right");
            // Where it was wrong nothing of it is left.
            drop(marks.claim(mark(3), own));
            assert!(marks.claim(mark(3), FOREIGN).is_some(), "{own}");
            let used = marks.used();
            assert!(used.claimed.0.is_empty() && used.known.0.len() == 2);
        }
    }

    #[test]
    fn who_is_done_frees_nothing_of_others() {
        let marks = Arc::default();
        // A session logs in again and again, and a copy is no reason to keep it out.
        let first = Marks::claim(&marks, mark(1), OWN).unwrap();
        let second = marks.claim(mark(1), OWN).unwrap();
        drop(second);
        assert!(has_none(&marks, mark(1)));
        first.remember();
        let again = marks.claim(mark(1), OWN).unwrap();
        drop(again);
        assert!(has_none(&marks, mark(1)));
    }

    #[test]
    fn a_second_login_of_a_session_is_remembered_like_the_first() {
        let marks = Arc::default();
        let [vector, _] = mark(1);
        let second = [vector, mark(2)[1]];
        for one in [mark(1), second] {
            Marks::claim(&marks, one, OWN).unwrap().remember();
        }
        assert!(has_none(&marks, mark(1)) && has_none(&marks, second));
    }

    #[test]
    fn the_last_are_remembered() {
        let marks = Arc::default();
        let log_in = |n| Marks::claim(&marks, mark(n), OWN).unwrap().remember();
        log_in(0);
        (1..=MOST as u32 - 2).for_each(log_in);
        // Again: it is among the last.
        log_in(0);
        assert!(has_none(&marks, mark(0)) && has_none(&marks, mark(1)));
        log_in(MOST as u32);
        assert!(has_none(&marks, mark(0)) && has_none(&marks, mark(1)));
        log_in(MOST as u32 + 1);
        assert!(has_none(&marks, mark(0)) && marks.claim(mark(1), FOREIGN).is_some());
        let used = marks.used();
        assert_eq!(used.order.len(), MOST);
        assert!(used.known.0.len() <= 2 * MOST);
    }
}

//! Has this frame been seen before?

use std::collections::{HashSet, VecDeque};

use super::cipher::Iv;
use super::reader::Mark;

/// Remembers the [marks](Mark) of the frames that came in last. One that comes again is no
/// accident: an honest sender draws sixteen random bytes for each frame. Logins are remembered
/// beside the rest, so that busy clients do not make them forgotten, and so are the frames that
/// went out: both sides have one key, and what one has said can be sent back to it.
#[derive(Debug, Default)]
pub struct Seen {
    logins: Blocks,
    rest: Blocks,
    sent: Blocks,
}

impl Seen {
    /// Frames of each kind that are remembered, some eight megabytes of them. With each further
    /// one the oldest is forgotten.
    pub const MOST: usize = 65_536;

    /// True where this one is new; it is remembered then.
    pub fn is_new(&mut self, mark: &Mark, login: bool) -> bool {
        let blocks = [mark.iv, mark.first];
        let known = |of: &Blocks| blocks.iter().any(|block| of.known.contains(block));
        if known(&self.logins) || known(&self.rest) || known(&self.sent) {
            return false;
        }
        let kind = if login {
            &mut self.logins
        } else {
            &mut self.rest
        };
        kind.keep(blocks);
        true
    }

    /// Frames that go out.
    pub fn sent(&mut self, marks: impl IntoIterator<Item = Mark>) {
        for mark in marks {
            self.sent.keep([mark.iv, mark.first]);
        }
    }
}

#[derive(Debug, Default)]
struct Blocks {
    known: HashSet<Iv>,
    order: VecDeque<[Iv; 2]>,
}

impl Blocks {
    fn keep(&mut self, blocks: [Iv; 2]) {
        if self.order.len() == Seen::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            for block in oldest {
                self.known.remove(&block);
            }
        }
        self.known.extend(blocks);
        self.order.push_back(blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(n: usize) -> Iv {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&n.to_be_bytes());
        block
    }

    /// With two blocks that no other number has.
    fn mark(n: usize) -> Mark {
        Mark {
            iv: block(2 * n),
            first: block(2 * n + 1),
        }
    }

    #[test]
    fn a_frame_is_new_once_until_it_is_forgotten() {
        let mut seen = Seen::default();
        assert!(seen.is_new(&mark(Seen::MOST + 1), true));
        for n in 0..Seen::MOST {
            assert!(seen.is_new(&mark(n), false));
            assert!(!seen.is_new(&mark(n), false));
        }
        assert!(!seen.is_new(&mark(0), true));
        assert!(seen.is_new(&mark(Seen::MOST), false));
        assert!(seen.is_new(&mark(0), false), "the oldest was forgotten");
        assert!(
            !seen.is_new(&mark(Seen::MOST + 1), false),
            "a login was not"
        );
        let rest = &seen.rest;
        assert_eq!(
            (rest.known.len(), rest.order.len()),
            (2 * Seen::MOST, Seen::MOST)
        );
    }

    #[test]
    fn what_went_out_is_not_new() {
        let mut seen = Seen::default();
        seen.sent([mark(1), mark(2)]);
        for login in [true, false] {
            assert!(!seen.is_new(&mark(1), login));
            let changed = Mark {
                iv: block(77),
                ..mark(2)
            };
            assert!(!seen.is_new(&changed, login));
        }
        seen.sent((3..Seen::MOST + 2).map(mark));
        assert!(seen.is_new(&mark(1), false), "the oldest was forgotten");
        assert!(!seen.is_new(&mark(2), false));
    }

    #[test]
    fn another_vector_makes_no_other_frame() {
        let mut seen = Seen::default();
        assert!(seen.is_new(&mark(1), true));
        let changed = Mark {
            iv: block(77),
            ..mark(1)
        };
        assert!(!seen.is_new(&changed, true));
        assert!(!seen.is_new(&changed, false));
    }
}

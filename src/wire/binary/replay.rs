//! Has this frame been seen before?

use std::collections::{HashSet, VecDeque};

use super::cipher::Iv;

/// Remembers the vectors of the frames that came in last. One that comes again is no accident: an
/// honest sender draws sixteen random bytes for each frame.
///
/// Its size is bounded: with the [`MOST`](Self::MOST)th further frame the oldest is forgotten.
#[derive(Debug, Default)]
pub struct Seen {
    known: HashSet<Iv>,
    order: VecDeque<Iv>,
}

impl Seen {
    /// Vectors that are remembered, some four megabytes of them.
    pub const MOST: usize = 65_536;

    /// True where this one is new; it is remembered then.
    pub fn is_new(&mut self, iv: &Iv) -> bool {
        if !self.known.insert(*iv) {
            return false;
        }
        if self.order.len() == Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(*iv);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iv(n: usize) -> Iv {
        let mut iv = [0; 16];
        iv[..8].copy_from_slice(&n.to_be_bytes());
        iv
    }

    #[test]
    fn a_vector_is_new_once_until_it_is_forgotten() {
        let mut seen = Seen::default();
        for n in 0..Seen::MOST {
            assert!(seen.is_new(&iv(n)));
            assert!(!seen.is_new(&iv(n)));
        }
        assert!(!seen.is_new(&iv(0)));
        assert!(seen.is_new(&iv(Seen::MOST)));
        assert!(seen.is_new(&iv(0)), "the oldest was forgotten");
        assert_eq!(
            (seen.known.len(), seen.order.len()),
            (Seen::MOST, Seen::MOST)
        );
    }
}

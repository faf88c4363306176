//! Places among `max-clients`.
//!
//! Those who are logged in keep theirs. When all are taken, somebody from a network with few that
//! are not logged in gets the place of the longest waiting one from the network with most: many
//! connections of one host do not keep the others out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::auth::{Network, network};

/// Hands out places.
#[derive(Debug)]
pub struct Seats {
    most: AtomicUsize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    /// Those who are not logged in, oldest first; no list is empty.
    strangers: HashMap<Network, VecDeque<Stranger>>,
    last: u64,
}

#[derive(Debug)]
struct Stranger {
    id: u64,
    end: CancellationToken,
}

impl Seats {
    /// So many places.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicUsize::new(most),
            places: Mutex::default(),
        })
    }

    /// Another number of places; whoever has one keeps it.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// A place for somebody from this address. `end` is cancelled where somebody else gets it
    /// before the login. `None` where all are taken.
    pub fn take(self: &Arc<Self>, address: IpAddr, end: CancellationToken) -> Option<Seat> {
        let network = network(address);
        let most = self.most.load(Ordering::Relaxed);
        let mut places = self.places();
        if places.taken < most {
            places.taken += 1;
        } else {
            places.make_room(network)?;
            tracing::warn!(
                client = %address,
                "max-clients ({most}) are connected: one that is not logged in makes room"
            );
        }
        places.last += 1;
        let id = places.last;
        let strangers = places.strangers.entry(network).or_default();
        let stranger = end.clone();
        strangers.push_back(Stranger { id, end: stranger });
        Some(Seat {
            seats: Arc::clone(self),
            network,
            id,
            end,
            settled: false,
        })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Ends somebody, whose place goes to one of `network`.
    fn make_room(&mut self, network: Network) -> Option<()> {
        let own = self.strangers.get(&network).map_or(0, VecDeque::len);
        let (&most, crowd) = self.strangers.iter().max_by_key(|(_, all)| all.len())?;
        // Where it would only turn things round, who came first stays.
        if crowd.len() < own + 2 {
            return None;
        }
        let stranger = self.strangers.get_mut(&most)?.pop_front()?;
        stranger.end.cancel();
        Some(())
    }

    /// Takes somebody off the list of those not logged in; false where they have lost their place.
    fn strike(&mut self, network: Network, id: u64) -> bool {
        let Some(strangers) = self.strangers.get_mut(&network) else {
            return false;
        };
        let Ok(at) = strangers.binary_search_by_key(&id, |stranger| stranger.id) else {
            return false;
        };
        strangers.remove(at);
        if strangers.is_empty() {
            self.strangers.remove(&network);
        }
        true
    }
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    network: Network,
    id: u64,
    end: CancellationToken,
    settled: bool,
}

impl Seat {
    /// Its client is logged in no more: the last of those who are not.
    pub fn unsettle(&mut self) {
        if !std::mem::take(&mut self.settled) {
            return;
        }
        let mut places = self.seats.places();
        places.last += 1;
        self.id = places.last;
        let stranger = Stranger {
            id: self.id,
            end: self.end.clone(),
        };
        let strangers = places.strangers.entry(self.network).or_default();
        strangers.push_back(stranger);
    }

    /// Its client is logged in and keeps it; false where it was lost just before.
    pub fn settle(&mut self) -> bool {
        let kept = self.settled || self.seats.places().strike(self.network, self.id);
        self.settled = kept;
        kept
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut places = self.seats.places();
        if self.settled || places.strike(self.network, self.id) {
            places.taken -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(seats: &Arc<Seats>, host: u8) -> Option<(Seat, CancellationToken)> {
        let end = CancellationToken::new();
        let seat = seats.take(IpAddr::from([10, 0, 0, host]), end.clone())?;
        Some((seat, end))
    }

    #[test]
    fn no_more_than_there_are() {
        let seats = Seats::new(2);
        let first = take(&seats, 1).unwrap();
        let _second = take(&seats, 1).unwrap();
        assert!(take(&seats, 1).is_none());
        drop(first);
        assert!(take(&seats, 1).is_some());
    }

    #[test]
    fn a_crowd_makes_room_for_others_its_oldest_first() {
        let seats = Seats::new(4);
        let crowd: Vec<_> = (0..4).map(|_| take(&seats, 1).unwrap()).collect();
        let ended = || {
            crowd
                .iter()
                .map(|(_, end)| end.is_cancelled())
                .collect::<Vec<_>>()
        };
        let _second = take(&seats, 2).unwrap();
        assert_eq!(ended(), [true, false, false, false]);
        let _third = take(&seats, 3).unwrap();
        assert_eq!(ended(), [true, true, false, false]);
        // Two of the crowd are left: nobody has too many.
        assert!(take(&seats, 2).is_none());
        let _fourth = take(&seats, 4).unwrap();
        assert!(take(&seats, 5).is_none());
        assert_eq!(seats.places().taken, 4);
        // Who has lost a place gives none back.
        drop(crowd);
        assert_eq!(seats.places().taken, 3);
    }

    #[test]
    fn who_is_logged_in_keeps_the_place() {
        let seats = Seats::new(3);
        let mut crowd: Vec<_> = (0..3).map(|_| take(&seats, 1).unwrap()).collect();
        assert!(crowd.iter_mut().all(|(seat, _)| seat.settle()));
        assert!(take(&seats, 2).is_none());
        assert!(crowd.iter().all(|(_, end)| !end.is_cancelled()));
        drop(crowd);
        assert_eq!(seats.places().taken, 0);
    }

    #[test]
    fn who_logs_out_makes_room_like_the_others() {
        let seats = Seats::new(3);
        let mut crowd: Vec<_> = (0..3).map(|_| take(&seats, 1).unwrap()).collect();
        assert!(crowd.iter_mut().all(|(seat, _)| seat.settle()));
        assert!(take(&seats, 2).is_none());
        for (seat, _) in crowd.iter_mut().take(2).rev() {
            seat.unsettle();
        }
        // The one that logged out first.
        let _other = take(&seats, 2).unwrap();
        let ended: Vec<bool> = crowd.iter().map(|(_, end)| end.is_cancelled()).collect();
        assert_eq!(ended, [false, true, false]);
        drop(crowd);
        assert_eq!(seats.places().taken, 1);
    }

    #[test]
    fn who_has_lost_the_place_cannot_settle() {
        let seats = Seats::new(2);
        let mut first = take(&seats, 1).unwrap();
        let _second = take(&seats, 1).unwrap();
        let _third = take(&seats, 2).unwrap();
        assert!(first.1.is_cancelled() && !first.0.settle());
        drop(first);
        assert_eq!(seats.places().taken, 2);
    }
}

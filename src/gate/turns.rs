//! Whose password is checked next.
//!
//! Checks are slow by design and run a few at a time. Those who wait are taken in turns of their
//! networks: somebody who guesses with a thousand connections is a thousand times in one line, and
//! whoever comes from elsewhere stands at the head of another. Networks from where a wrong password
//! came just now get one turn of four while there are others: somebody who guesses from a thousand
//! networks has guessed from each of them before long, and whoever is right does not wait for them
//! all. Nobody is turned away unchecked; each who waits holds a place among `max-clients`, which
//! bounds them all. Who leaves is out of the line at once.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::auth::{Network, network};

/// Hands out turns.
#[derive(Debug)]
pub(super) struct Turns(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    /// Turns that nobody has.
    free: usize,
    /// Those who wait, by network; no line is empty.
    waiting: HashMap<Network, Line>,
    /// The networks of `waiting`, the next one first: those without a failure, and the others.
    rounds: [VecDeque<Network>; 2],
    /// Turns since those with a failure had one.
    passed: u8,
    last: u64,
}

#[derive(Debug)]
struct Line {
    places: VecDeque<Waiting>,
    /// A login from there has failed just now.
    failed: bool,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    call: oneshot::Sender<()>,
}

/// Who has failed gets a turn after so many of others.
const OTHERS: u8 = 3;

impl Turns {
    /// So many at a time.
    pub(super) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Lines {
            free: at_once,
            waiting: HashMap::new(),
            rounds: Default::default(),
            passed: 0,
            last: 0,
        })))
    }

    /// A place in line, which may be the turn already. `failed` says that a login from there has
    /// failed just now.
    pub(super) fn ask(self: &Arc<Self>, address: IpAddr, failed: bool) -> Turn {
        let network = network(address);
        let mut lines = self.lines();
        lines.last += 1;
        let id = lines.last;
        let mut called = None;
        if lines.free > 0 {
            lines.free -= 1;
        } else {
            let (call, receiver) = oneshot::channel();
            called = Some(receiver);
            let line = lines.waiting.entry(network).or_insert(Line {
                places: VecDeque::new(),
                failed,
            });
            let (places, failed) = (&mut line.places, usize::from(line.failed));
            places.push_back(Waiting { id, call });
            if places.len() == 1 {
                lines.rounds[failed].push_back(network);
            }
        }
        Turn {
            turns: Arc::clone(self),
            network,
            id,
            called,
        }
    }

    /// A login from there has failed: whoever else waits there waits for others first.
    pub(super) fn failed(&self, address: IpAddr) {
        let network = network(address);
        let lines = &mut *self.lines();
        if let Some(line) = lines.waiting.get_mut(&network)
            && !std::mem::replace(&mut line.failed, true)
        {
            lines.rounds[0].retain(|other| *other != network);
            lines.rounds[1].push_back(network);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Somebody's turn is over.
    fn next(&mut self) {
        loop {
            let others = !self.rounds[0].is_empty() && self.passed < OTHERS;
            let failed = usize::from(!others && !self.rounds[1].is_empty());
            let Some(network) = self.rounds[failed].pop_front() else {
                break;
            };
            let Some(line) = self.waiting.get_mut(&network) else {
                continue;
            };
            let next = line.places.pop_front();
            if line.places.is_empty() {
                self.waiting.remove(&network);
            } else {
                self.rounds[failed].push_back(network);
            }
            if let Some(next) = next
                && next.call.send(()).is_ok()
            {
                self.passed = match failed {
                    0 => (self.passed + 1).min(OTHERS),
                    _ => 0,
                };
                return;
            }
        }
        self.free += 1;
    }

    /// Takes somebody out of the line; false where they were called already.
    fn leave(&mut self, network: Network, id: u64) -> bool {
        let Some(line) = self.waiting.get_mut(&network) else {
            return false;
        };
        let Ok(at) = line.places.binary_search_by_key(&id, |waiting| waiting.id) else {
            return false;
        };
        line.places.remove(at);
        if line.places.is_empty() {
            let failed = usize::from(line.failed);
            self.waiting.remove(&network);
            self.rounds[failed].retain(|other| *other != network);
        }
        true
    }
}

/// A turn, or a place in line for one; given back, or given up, when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    network: Network,
    id: u64,
    called: Option<oneshot::Receiver<()>>,
}

impl Turn {
    /// Returns when it is the turn of this one.
    pub(super) async fn come(&mut self) {
        if let Some(called) = &mut self.called {
            // Who is in line is called, or leaves the line when this is dropped.
            let _ = called.await;
            self.called = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        let waits = self.called.is_some() && lines.leave(self.network, self.id);
        if !waits {
            lines.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn is_called(turn: &mut Turn) -> bool {
        turn.called
            .as_mut()
            .is_none_or(|called| called.try_recv().is_ok())
    }

    /// Lets them all have their turns and gives the order, by place in `turns`.
    fn order(mut turns: Vec<Option<Turn>>) -> Vec<usize> {
        let mut order = Vec::new();
        while let Some(at) = turns
            .iter_mut()
            .position(|turn| turn.as_mut().is_some_and(is_called))
        {
            let mut turn = turns[at].take().unwrap();
            turn.called = None;
            drop(turn);
            order.push(at);
        }
        order
    }

    fn ask(turns: &Arc<Turns>, hosts: &[u8]) -> Vec<Option<Turn>> {
        let ask = |n: &u8| Some(turns.ask(host(*n), false));
        hosts.iter().map(ask).collect()
    }

    #[test]
    fn one_network_waits_in_line() {
        let turns = Turns::new(1);
        assert_eq!(order(ask(&turns, &[1, 1, 1, 1])), [0, 1, 2, 3]);
        assert_eq!(turns.lines().free, 1);
    }

    #[test]
    fn who_comes_from_elsewhere_does_not_wait_behind_a_flood() {
        let turns = Turns::new(1);
        let all = ask(&turns, &[1, 1, 1, 1, 1, 1, 2, 2, 3]);
        // One of the flood has the turn, one is next; then it is one of each.
        assert_eq!(order(all), [0, 1, 6, 8, 2, 7, 3, 4, 5]);
        assert!(turns.lines().waiting.is_empty() && turns.lines().rounds[0].is_empty());
    }

    #[test]
    fn who_has_failed_waits_for_others_and_not_for_ever() {
        let turns = Turns::new(1);
        let failed = [true, true, true, false, false, false, false, false];
        let hosts = [9, 1, 2, 3, 4, 5, 6, 7].into_iter().zip(failed);
        let all = hosts.map(|(n, failed)| Some(turns.ask(host(n), failed)));
        // The first has the turn as nobody waits; then it is three of the others for each of those.
        assert_eq!(order(all.collect()), [0, 3, 4, 5, 1, 6, 7, 2]);
        assert!(turns.lines().waiting.is_empty());
        // Where there are no others those who have failed are taken as ever.
        let hosts = [1, 1, 1, 2, 2];
        let all = hosts.map(|n| Some(turns.ask(host(n), true)));
        assert_eq!(order(all.into()), [0, 1, 3, 2, 4]);
    }

    #[test]
    fn a_crowd_has_one_guess_of_each_network_before_the_others() {
        let turns = Turns::new(1);
        // Two from each network of a crowd, and then somebody else.
        let mut all = ask(&turns, &[1, 1, 2, 2, 3, 3, 4, 4]);
        all.push(Some(turns.ask(host(9), false)));
        let mut order = Vec::new();
        while let Some(at) = all
            .iter_mut()
            .position(|turn| turn.as_mut().is_some_and(is_called))
        {
            let mut turn = all[at].take().unwrap();
            turn.called = None;
            // Wrong, all of them.
            turns.failed(host(at as u8 / 2 + 1));
            drop(turn);
            order.push(at);
        }
        // The second ones of the crowd's are behind whoever comes from elsewhere, but for one of
        // four.
        assert_eq!(order, [0, 2, 4, 6, 1, 8, 3, 5, 7]);
        assert!(turns.lines().waiting.is_empty());
        assert!(turns.lines().rounds.iter().all(VecDeque::is_empty));
    }

    #[test]
    fn several_at_once() {
        let turns = Turns::new(2);
        let mut all = ask(&turns, &[1, 1, 1, 1]);
        let called: Vec<bool> = all.iter_mut().flatten().map(is_called).collect();
        assert_eq!(called, [true, true, false, false]);
        all[1] = None;
        assert!(is_called(all[2].as_mut().unwrap()) && !is_called(all[3].as_mut().unwrap()));
    }

    #[test]
    fn who_leaves_is_out_of_the_line() {
        let turns = Turns::new(1);
        let mut all = ask(&turns, &[1, 1, 2, 1]);
        all[1] = None;
        all[2] = None;
        assert_eq!(turns.lines().waiting.len(), 1);
        assert_eq!(turns.lines().rounds[0].len(), 1);
        assert_eq!(order(all), [0, 3]);
        assert_eq!(turns.lines().free, 1);
    }

    #[test]
    fn who_leaves_when_called_passes_the_turn_on() {
        let turns = Turns::new(1);
        let mut all = ask(&turns, &[1, 1, 2]);
        all[0] = None;
        // Called, but it has not looked.
        all[1] = None;
        assert!(is_called(all[2].as_mut().unwrap()));
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_gives_up_the_place() {
        let turns = Turns::new(1);
        let mut first = turns.ask(host(1), false);
        first.come().await;
        let waiting = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.ask(host(2), false).come().await })
        };
        while turns.lines().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.is_err());
        assert!(turns.lines().waiting.is_empty());
        drop(first);
        turns.ask(host(3), false).come().await;
    }

    proptest! {
        #[test]
        fn turns_are_never_lost_and_never_made(
            at_once in 1_usize..4,
            steps in proptest::collection::vec(
                (0_u8..4, any::<bool>(), any::<bool>(), any::<prop::sample::Index>()),
                0..200,
            ),
        ) {
            let turns = Turns::new(at_once);
            let mut held: Vec<Turn> = Vec::new();
            for (n, asks, failed, which) in steps {
                if asks || held.is_empty() {
                    held.push(turns.ask(host(n), failed));
                } else {
                    if failed {
                        turns.failed(host(n));
                    }
                    held.swap_remove(which.index(held.len()));
                }
                for turn in &mut held {
                    if turn.called.is_some() && is_called(turn) {
                        turn.called = None;
                    }
                }
                let having = held.iter().filter(|turn| turn.called.is_none()).count();
                prop_assert_eq!(having, at_once.min(held.len()));
                let lines = turns.lines();
                let waiting: usize = lines.waiting.values().map(|line| line.places.len()).sum();
                prop_assert_eq!(having + waiting, held.len());
                let rounds = lines.rounds.iter().map(VecDeque::len).sum::<usize>();
                prop_assert_eq!(rounds, lines.waiting.len());
                prop_assert_eq!(lines.free, at_once - having);
            }
        }
    }
}

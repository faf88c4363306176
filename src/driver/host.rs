//! The host as an uplink: the queue behind VSCPRead.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::frailty::Frailty;
use crate::event::Event;
use crate::hub::{Downlink, SharedEvent, Uplink, UplinkStatus};

/// Clients' events on their way to the host. Bounded; when it is full, SEND is told so.
#[derive(Debug)]
pub(super) struct HostPort {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Arc<SharedEvent>>,
    reserved: usize,
    most: usize,
    closed: bool,
    delivered: u64,
    refused: u64,
    received: u64,
    frailty: Frailty,
    /// Where events come back to.
    downlink: Option<Weak<dyn Downlink>>,
}

/// Why [`HostPort::read`] gave no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// None came in time.
    Timeout,
    /// The driver is closing.
    Closed,
}

impl HostPort {
    /// A port with room for `most` events.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                most,
                ..State::default()
            }),
            arrived: Condvar::new(),
        })
    }

    /// Waits at most `timeout` for the next event; zero polls.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn read(&self, timeout: Duration) -> Result<Event, ReadError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(shared) = state.events.pop_front() {
                state.delivered += 1;
                let downlink = state.downlink.as_ref().and_then(Weak::upgrade);
                drop(state);
                if let Some(downlink) = downlink {
                    downlink.expect_echo(&shared, false);
                }
                return Ok(shared.event().clone());
            }
            if state.closed {
                return Err(ReadError::Closed);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(Duration::MAX);
            if left.is_zero() {
                return Err(ReadError::Timeout);
            }
            // A wait of centuries overflows the clock of some systems.
            let left = left.min(Duration::from_secs(3600));
            state = self
                .arrived
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Tells where events come back to, how many may wait, and which the host cannot bear. Those that wait already stay.
    pub(super) fn connect(&self, downlink: Weak<dyn Downlink>, most: usize, frailty: Frailty) {
        let mut state = self.lock();
        state.frailty = frailty;
        state.downlink = Some(downlink);
        state.most = most;
        state.reserved = 0;
    }

    /// It has brought an event.
    pub(super) fn brought(&self) {
        self.lock().received += 1;
    }

    /// Wakes whoever reads; nothing is taken from now on.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uplink for HostPort {
    fn name(&self) -> &str {
        "host"
    }

    fn bears(&self, event: &Event) -> bool {
        self.lock().frailty.bears(event)
    }

    fn reserve(&self, _event: &SharedEvent) -> bool {
        let mut state = self.lock();
        let room = !state.closed && state.events.len() + state.reserved < state.most;
        if room {
            state.reserved += 1;
        } else {
            state.refused += 1;
        }
        room
    }

    fn commit(&self, event: Arc<SharedEvent>) {
        let mut state = self.lock();
        state.reserved = state.reserved.saturating_sub(1);
        state.events.push_back(event);
        drop(state);
        self.arrived.notify_one();
    }

    fn release(&self, _event: &SharedEvent) {
        let mut state = self.lock();
        state.reserved = state.reserved.saturating_sub(1);
    }

    fn status(&self) -> UplinkStatus {
        let state = self.lock();
        UplinkStatus {
            up: !state.closed,
            waiting: state.events.len(),
            delivered: state.delivered,
            refused: state.refused,
            received: state.received,
            ..UplinkStatus::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Guid;
    use crate::event::text::{Defaults, parse};
    use crate::hub::Origin;

    fn event(n: usize) -> Arc<SharedEvent> {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        SharedEvent::new(
            parse(&format!("0,20,3,,,,-,{n}"), &defaults).unwrap(),
            Some(Origin::of(1)),
        )
    }

    #[test]
    fn is_bounded_and_keeps_the_order() {
        let port = HostPort::new(2);
        for n in 0..2 {
            assert!(port.reserve(&event(n)));
            port.commit(event(n));
        }
        assert!(!port.reserve(&event(2)));
        assert_eq!(port.status().refused, 1);
        assert_eq!(*port.read(Duration::ZERO).unwrap().data, [0]);
        assert!(port.reserve(&event(3)));
        assert!(!port.reserve(&event(4)));
        port.release(&event(3));
        assert!(port.reserve(&event(4)));
        port.commit(event(4));
        assert_eq!(*port.read(Duration::ZERO).unwrap().data, [1]);
        assert_eq!(*port.read(Duration::ZERO).unwrap().data, [4]);
        assert_eq!(port.read(Duration::ZERO), Err(ReadError::Timeout));
    }

    #[test]
    fn a_reader_wakes_for_an_event_and_for_the_end() {
        let port = HostPort::new(10);
        let reader = {
            let port = Arc::clone(&port);
            std::thread::spawn(move || {
                let first = port.read(Duration::from_secs(60));
                (first, port.read(Duration::from_secs(60)))
            })
        };
        assert!(port.reserve(&event(7)));
        port.commit(event(7));
        while port.status().delivered == 0 {
            std::thread::yield_now();
        }
        port.close();
        let (first, second) = reader.join().unwrap();
        assert_eq!(*first.unwrap().data, [7]);
        assert_eq!(second, Err(ReadError::Closed));
    }

    #[test]
    fn waits_its_timeout() {
        let port = HostPort::new(1);
        let start = Instant::now();
        assert_eq!(
            port.read(Duration::from_millis(30)),
            Err(ReadError::Timeout)
        );
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
}

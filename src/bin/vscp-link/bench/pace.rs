//! So many events a second.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The runtime's timers know milliseconds; events come more often.
const FINEST: Duration = Duration::from_micros(100);
/// How long the thread that wakes us may outlive a run.
const COARSEST: Duration = Duration::from_millis(500);

/// How many events are due, by the time since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: Instant,
    rate: f64,
}

impl Schedule {
    /// The first event is due at the start.
    pub(super) fn new(start: Instant, rate: f64) -> Self {
        Self { start, rate }
    }

    /// Events that should have been sent.
    pub(super) fn due(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_secs_f64();
        // What is more than fits is cut off at what fits.
        (since * self.rate) as u64 + 1
    }

    /// How late an event is.
    pub(super) fn lag(&self, number: u64, now: Instant) -> Duration {
        let due = Duration::try_from_secs_f64(number as f64 / self.rate).unwrap_or(Duration::MAX);
        now.saturating_duration_since(self.start)
            .saturating_sub(due)
    }

    /// How often to look.
    fn step(&self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.rate)
            .unwrap_or(COARSEST)
            .clamp(FINEST, COARSEST)
    }
}

/// Wakes whoever keeps a schedule.
pub(super) struct Pacer {
    pub(super) schedule: Schedule,
    tick: Arc<Notify>,
}

impl Pacer {
    /// Begins now.
    pub(super) fn start(rate: f64) -> Self {
        let schedule = Schedule::new(Instant::now(), rate);
        let tick = Arc::new(Notify::new());
        let (weak, step) = (Arc::downgrade(&tick), schedule.step());
        thread::spawn(move || beat(&weak, step));
        Self { schedule, tick }
    }

    /// Waits until it may be time.
    pub(super) async fn tick(&self) {
        self.tick.notified().await;
    }
}

/// Until nobody listens.
fn beat(tick: &Weak<Notify>, step: Duration) {
    let mut next = Instant::now();
    loop {
        next += step;
        let now = Instant::now();
        match next.checked_duration_since(now) {
            Some(left) => thread::sleep(left),
            // This thread had to wait: it does not hurry after what is gone.
            None => next = now,
        }
        match tick.upgrade() {
            Some(tick) => tick.notify_one(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_due_as_the_rate_says() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 5000.0);
        let at = |micros| start + Duration::from_micros(micros);
        assert_eq!(schedule.due(at(0)), 1);
        assert_eq!(schedule.due(at(199)), 1);
        assert_eq!(schedule.due(at(201)), 2);
        assert_eq!(schedule.due(at(10_000_001)), 50_001);
        assert_eq!(schedule.lag(1, at(150)), Duration::ZERO);
        assert_eq!(schedule.lag(1, at(300)), Duration::from_micros(100));
        let slow = Schedule::new(start, 1e-300);
        assert_eq!(slow.due(at(1_000_000)), 1);
        assert_eq!(slow.lag(1, at(1_000_000)), Duration::ZERO);
        assert_eq!(slow.step(), COARSEST);
        assert_eq!(Schedule::new(start, 1e9).step(), FINEST);
    }

    #[tokio::test]
    async fn a_pacer_beats_until_it_is_dropped() {
        let pacer = Pacer::start(1000.0);
        while pacer.schedule.due(Instant::now()) < 20 {
            pacer.tick().await;
        }
        let weak = Arc::downgrade(&pacer.tick);
        drop(pacer);
        // It comes back.
        beat(&weak, FINEST);
    }
}

//! When events were sent, and how long they have taken.

use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

/// Events whose time is remembered, a power of two: those that are more behind are counted, and not
/// timed.
const MOST: u64 = 1 << 20;
/// Longer ones count as this.
const LONGEST: Duration = Duration::from_secs(600);

/// When the last events of a run were sent.
pub(super) struct Stamps {
    start: Instant,
    /// A ring of nanoseconds since the start.
    times: Box<[u64]>,
    /// Events that were sent.
    sent: u64,
}

impl Stamps {
    /// Of as many events as there may be: how many are sent nobody knows, since those that are
    /// refused have a time too. Memory that was never needed is not taken.
    pub(super) fn new() -> Self {
        Self::of(MOST)
    }

    fn of(size: u64) -> Self {
        Self {
            start: Instant::now(),
            times: vec![0; size as usize].into(),
            sent: 0,
        }
    }

    /// The next `count` events are sent now.
    pub(super) fn sent(&mut self, count: u32, now: Instant) {
        let time = nanoseconds(now.saturating_duration_since(self.start));
        for _ in 0..count {
            let place = self.place(self.sent);
            self.times[place] = time;
            self.sent += 1;
        }
    }

    /// True for an event of this run; the others somebody made up.
    pub(super) fn has(&self, sequence: u64) -> bool {
        sequence < self.sent
    }

    /// Nanoseconds from its sending until now; `None` where that is not known (any more).
    pub(super) fn age(&self, sequence: u64, now: Instant) -> Option<u64> {
        if sequence >= self.sent || self.sent - sequence > self.times.len() as u64 {
            return None;
        }
        let now = nanoseconds(now.saturating_duration_since(self.start));
        Some(now.saturating_sub(self.times[self.place(sequence)]))
    }

    fn place(&self, sequence: u64) -> usize {
        sequence as usize & (self.times.len() - 1)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long events have taken.
#[derive(Clone, Debug)]
pub(super) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let longest = nanoseconds(LONGEST);
        // Three digits: 0.1 % is exact enough.
        Self(Histogram::new_with_max(longest, 3).expect("these bounds are good"))
    }
}

impl Latency {
    /// One took so many nanoseconds.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// How many were timed.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Microseconds that so many of a hundred took at most.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        microseconds(self.0.value_at_percentile(percent))
    }

    /// Microseconds of the fastest.
    pub(super) fn min(&self) -> f64 {
        microseconds(self.0.min())
    }

    /// Microseconds of the slowest.
    pub(super) fn max(&self) -> f64 {
        microseconds(self.0.max())
    }
}

/// Rounded to a tenth.
fn microseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_of_events_that_were_sent_and_are_remembered() {
        let mut stamps = Stamps::of(4);
        let start = stamps.start;
        let at = |micros| start + Duration::from_micros(micros);
        assert_eq!(stamps.age(0, at(1)), None);
        stamps.sent(2, at(10));
        stamps.sent(1, at(20));
        assert_eq!(stamps.age(0, at(25)), Some(15_000));
        assert_eq!(stamps.age(1, at(25)), Some(15_000));
        assert_eq!(stamps.age(2, at(25)), Some(5_000));
        assert_eq!(stamps.age(3, at(25)), None);
        // Four are remembered.
        stamps.sent(2, at(30));
        assert_eq!(stamps.age(0, at(31)), None);
        assert_eq!(stamps.age(1, at(31)), Some(21_000));
        assert_eq!(stamps.age(4, at(29)), Some(0));
    }

    #[test]
    fn percentiles() {
        let mut latency = Latency::default();
        for micros in 1..=1000 {
            latency.record(micros * 1000);
        }
        assert_eq!(latency.count(), 1000);
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= wanted / 500.0;
        for (percent, wanted) in [(50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (99.9, 999.0)] {
            assert!(near(latency.percentile(percent), wanted), "{percent}");
        }
        assert!(near(latency.min(), 1.0) && near(latency.max(), 1000.0));
        latency.record(u64::MAX);
        assert!(near(latency.max(), 600e6), "{}", latency.max());
    }
}

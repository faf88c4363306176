//! How long events are on their way: histograms that cost a few additions for a whole batch.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The upper bounds of buckets, in nanoseconds; one bucket more has the rest.
pub const BOUNDS: [u64; 17] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// Nanoseconds of a clock that all drivers of a process share: events go from one to the next.
/// Never 0.
#[must_use]
pub fn clock() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).map_or(u64::MAX, |nanos| nanos.saturating_add(1))
}

/// The times of a batch, before they are added to those of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    buckets: [u32; BUCKETS],
    nanos: u64,
}

impl Tally {
    /// One that took so many nanoseconds.
    pub fn add(&mut self, nanos: u64) {
        let at = BOUNDS.partition_point(|bound| *bound < nanos);
        self.buckets[at] = self.buckets[at].saturating_add(1);
        self.nanos = self.nanos.saturating_add(nanos);
    }
}

/// All times that there have been.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    /// Those of a batch as well.
    pub fn add(&self, tally: &Tally) {
        for (all, more) in self.buckets.iter().zip(tally.buckets) {
            if more > 0 {
                all.fetch_add(u64::from(more), Ordering::Relaxed);
            }
        }
        if tally.nanos > 0 {
            self.nanos.fetch_add(tally.nanos, Ordering::Relaxed);
        }
    }

    /// What is there now.
    #[must_use]
    pub fn snapshot(&self) -> Latency {
        Latency {
            buckets: self.buckets.each_ref().map(|n| n.load(Ordering::Relaxed)),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// How long events were on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// How many took as long as the bound of the same place in [`BOUNDS`], and longer than the
    /// one before; at last those that took longer than all.
    pub buckets: [u64; BUCKETS],
    /// All of it, in nanoseconds.
    pub nanos: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_the_bound_that_they_keep() {
        let mut tally = Tally::default();
        for nanos in [0, 50_000, 50_001, 99_999, 10_000_000_000, 10_000_000_001] {
            tally.add(nanos);
        }
        let histogram = Histogram::default();
        histogram.add(&tally);
        histogram.add(&tally);
        let latency = histogram.snapshot();
        assert_eq!(latency.buckets[..3], [4, 4, 0]);
        assert_eq!(latency.buckets[BUCKETS - 2..], [2, 2]);
        assert_eq!(latency.buckets.iter().sum::<u64>(), 12);
        assert_eq!(latency.nanos, 2 * 20_000_200_001);
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn the_clock_goes_on() {
        let before = clock();
        assert!(before > 0);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(clock() >= before + 2_000_000);
    }
}

//! The pause between two attempts to reach a server: growing, bounded, and never quite the same.

use std::time::Duration;

use crate::config::model::Reconnect;

/// Grows from attempt to attempt.
#[derive(Debug)]
pub struct Backoff {
    settings: Reconnect,
    next: Duration,
}

impl Backoff {
    /// One that begins with the first delay.
    #[must_use]
    pub fn new(settings: Reconnect) -> Self {
        Self {
            settings,
            next: settings.delay,
        }
    }

    /// An attempt has been a success.
    pub fn reset(&mut self) {
        self.next = self.settings.delay;
    }

    /// The pause before the next attempt, spread by chance so that many clients of one server do
    /// not all come back at once.
    pub fn pause(&mut self) -> Duration {
        let mut byte = [127];
        // Where there are no random numbers, pauses are as they are.
        let _ = getrandom::fill(&mut byte);
        self.pause_by(byte[0])
    }

    fn pause_by(&mut self, chance: u8) -> Duration {
        let pause = self.next;
        let grown = if self.settings.exponential {
            pause * 2
        } else {
            pause + self.settings.delay
        };
        self.next = grown.min(self.settings.delay_max);
        // From -1 to 1.
        let chance = f64::from(chance) / 127.5 - 1.0;
        pause.mul_f64(1.0 + chance * f64::from(self.settings.jitter) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(exponential: bool) -> Vec<u128> {
        let settings = Reconnect {
            delay: Duration::from_secs(2),
            delay_max: Duration::from_secs(10),
            exponential,
            jitter: 25,
        };
        let mut backoff = Backoff::new(settings);
        let found = (0..6)
            .map(|_| backoff.pause_by(127).as_millis() / 100)
            .collect();
        backoff.reset();
        assert_eq!(backoff.pause_by(0), Duration::from_millis(1500));
        assert_eq!(backoff.pause_by(255), Duration::from_secs(5));
        found
    }

    #[test]
    fn grows_up_to_its_bound() {
        assert_eq!(pauses(false), [19, 39, 59, 79, 99, 99]);
        assert_eq!(pauses(true), [19, 39, 79, 99, 99, 99]);
    }
}

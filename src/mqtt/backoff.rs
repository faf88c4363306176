//! The pause between two attempts to reach a broker: growing, bounded, and never quite the same.

use std::time::Duration;

use crate::config::model::Reconnect;

/// Grows from attempt to attempt.
#[derive(Debug)]
pub(super) struct Backoff {
    settings: Reconnect,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(settings: Reconnect) -> Self {
        Self {
            settings,
            next: settings.delay,
        }
    }

    /// An attempt has been a success.
    pub(super) fn reset(&mut self) {
        self.next = self.settings.delay;
    }

    /// The pause before the next attempt. `chance` spreads it by a quarter either way, so that
    /// many clients of one broker do not all come back at once.
    pub(super) fn pause(&mut self, chance: u8) -> Duration {
        let pause = self.next;
        let grown = if self.settings.exponential {
            pause * 2
        } else {
            pause + self.settings.delay
        };
        self.next = grown.min(self.settings.delay_max);
        pause.mul_f64(0.75 + f64::from(chance) / 510.0)
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
        };
        let mut backoff = Backoff::new(settings);
        let found = (0..6)
            .map(|_| backoff.pause(127).as_millis() / 100)
            .collect();
        backoff.reset();
        assert_eq!(backoff.pause(0), Duration::from_millis(1500));
        assert!(backoff.pause(255) <= Duration::from_millis(5000));
        found
    }

    #[test]
    fn grows_up_to_its_bound() {
        assert_eq!(pauses(false), [19, 39, 59, 79, 99, 99]);
        assert_eq!(pauses(true), [19, 39, 79, 99, 99, 99]);
    }
}

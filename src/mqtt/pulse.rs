//! Whether the broker is still there: asked in time, however much else there is to do.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionError;

/// When to ask whether the broker is there, and when it last said anything.
pub(super) struct Pulse {
    every: Option<Duration>,
    next: Instant,
    asked: bool,
    /// Something came since.
    pub(super) heard: bool,
}

impl Pulse {
    pub(super) fn new(keep_alive: Duration) -> Self {
        // Twice as often as the broker asks for. Without keep-alive nothing tells.
        let every = (!keep_alive.is_zero()).then_some(keep_alive / 2);
        Self {
            every,
            next: Instant::now() + every.unwrap_or_default(),
            asked: false,
            heard: false,
        }
    }

    /// True where it is time to ask.
    pub(super) fn beat(&mut self) -> Result<bool, ConnectionError> {
        let Some(every) = self.every.filter(|_| Instant::now() >= self.next) else {
            return Ok(false);
        };
        if self.asked && !self.heard {
            return Err(ConnectionError::Timeout);
        }
        (self.asked, self.heard) = (true, false);
        self.next = Instant::now() + every;
        Ok(true)
    }

    /// Returns when it is time to ask.
    pub(super) async fn due(&self) {
        match self.every {
            Some(_) => tokio::time::sleep_until(self.next).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_says_nothing_is_gone() {
        let mut pulse = Pulse::new(Duration::from_secs(10));
        assert!(!pulse.beat().unwrap());
        pulse.due().await;
        assert!(pulse.beat().unwrap());
        assert!(!pulse.beat().unwrap());
        // Any packet will do for an answer.
        pulse.heard = true;
        pulse.due().await;
        assert!(pulse.beat().unwrap());
        pulse.due().await;
        assert!(matches!(pulse.beat(), Err(ConnectionError::Timeout)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_keep_alive_nobody_asks() {
        let mut pulse = Pulse::new(Duration::ZERO);
        tokio::time::advance(Duration::from_secs(100_000)).await;
        assert!(!pulse.beat().unwrap());
    }
}

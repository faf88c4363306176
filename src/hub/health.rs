//! The ways to and from brokers and the host, and whether events can go there.

use std::sync::{Arc, PoisonError};

use super::{Hub, Uplink};

impl Hub {
    /// Adds a way in that is no way out: no event is offered to it.
    pub fn add_source(&self, uplink: Arc<dyn Uplink>) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.push(uplink);
    }

    /// It is none any more.
    pub fn remove_source(&self, uplink: &Arc<dyn Uplink>) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|known| !Arc::ptr_eq(known, uplink));
    }

    /// All of them, those that are ways out first.
    #[must_use]
    pub fn all_uplinks(&self) -> Vec<Arc<dyn Uplink>> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        self.uplinks()
            .iter()
            .chain(sources.iter())
            .cloned()
            .collect()
    }

    /// A line for each way that is down, with the reason; empty where all are up.
    #[must_use]
    pub fn trouble(&self) -> String {
        let mut words = String::new();
        for uplink in self.all_uplinks() {
            let status = uplink.status();
            if !status.up {
                let why = match status.trouble.as_str() {
                    "" => "not connected yet",
                    trouble => trouble,
                };
                words.push_str(&format!("{} is down: {why}\n", uplink.name()));
            }
        }
        words
    }
}

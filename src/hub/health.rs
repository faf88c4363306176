//! Whether events can leave.

use super::Hub;

impl Hub {
    /// A line for each uplink that is down, with the reason; empty where all are up.
    #[must_use]
    pub fn trouble(&self) -> String {
        let mut words = String::new();
        for uplink in self.uplinks().iter() {
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

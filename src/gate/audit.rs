//! Who came in, who did not, and who tried what they may not do: one line of the log each.
//!
//! The address comes first and nothing that the other side chose can look like the beginning of
//! such a line, so that programs which read logs to keep guessers out cannot be led to ban others.

use std::fmt;
use std::net::SocketAddr;

/// Refused commands of one session that are written down; the rest is summed up at its end.
const MOST: u64 = 20;

/// A name that came from outside, without anything that could be taken for something else.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
        if self.0.is_empty() {
            return f.write_str("-");
        }
        self.0
            .chars()
            .take(64)
            .try_for_each(|c| write!(f, "{}", if safe(c) { c } else { '_' }))
    }
}

/// A login that succeeded; `by` is what it was proved with.
pub(crate) fn logged_in(peer: SocketAddr, user: &str, by: &str, channel: u16) {
    tracing::info!(client = %peer, user = %Name(user), by, channel, "logged in");
}

/// A login that did not.
pub(crate) fn refused(peer: SocketAddr, user: &str, reason: &dyn fmt::Display) {
    tracing::warn!(client = %peer, user = %Name(user), %reason, "login refused");
}

/// A certificate that is good and logs nobody in: the session begins as any other.
pub(crate) fn not_by_certificate(peer: SocketAddr, user: &str, reason: &dyn fmt::Display) {
    tracing::info!(client = %peer, user = %Name(user), %reason, "the certificate logs nobody in");
}

/// Commands of one session that it may not use.
#[derive(Debug, Default)]
pub(crate) struct Refusals(u64);

impl Refusals {
    pub(crate) fn note(&mut self, peer: SocketAddr, user: &str, command: &str, answer: &str) {
        self.0 += 1;
        let reason = answer.trim_start_matches("-OK - ").trim_end();
        if self.0 <= MOST {
            tracing::info!(client = %peer, user = %Name(user), command, reason, "command refused");
        }
    }

    /// Says how many more there were.
    pub(crate) fn sum_up(&self, peer: SocketAddr, user: &str) {
        if self.0 > MOST {
            let more = self.0 - MOST;
            tracing::info!(client = %peer, user = %Name(user), more, "commands refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_look_like_lines() {
        let name = "x\r\nlogin refused client=192.0.2.1:1 user=y".repeat(9);
        let shown = Name(&name).to_string();
        assert_eq!(shown.chars().count(), 64);
        assert!(!shown.contains([' ', '=', ':', '\n', '\r']), "{shown}");
        assert_eq!(Name("").to_string(), "-");
        assert_eq!(Name("jörg-1@home").to_string(), "jörg-1@home");
    }
}

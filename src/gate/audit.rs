//! Who came in, who did not, and who tried what they may not do: one line of the log each.
//!
//! The address comes first and nothing that the other side chose can look like the beginning of
//! such a line, so that programs which read logs to keep guessers out cannot be led to ban others.

use std::fmt;
use std::net::SocketAddr;

pub(crate) use crate::auth::Name;

/// Refused commands of one session that are written down; the rest is summed up at its end.
const MOST: u64 = 20;

/// A login that succeeded; `by` is what it was proved with.
pub(crate) fn logged_in(peer: SocketAddr, user: &str, by: &str, channel: u16) {
    tracing::info!(client = %peer, user = %Name(user), by, channel, "logged in");
}

/// A login that did not.
pub(super) fn refused(peer: SocketAddr, user: &str, reason: &dyn fmt::Display) {
    tracing::warn!(client = %peer, user = %Name(user), %reason, "login refused");
}

/// What was to be a frame of the binary mode is none.
pub(crate) fn frame_refused(peer: SocketAddr, user: &str, reason: &dyn fmt::Display) {
    tracing::warn!(client = %peer, user = %Name(user), %reason, "frame refused");
}

/// A certificate that is good and logs nobody in: the session begins as any other.
pub(crate) fn not_by_certificate(peer: SocketAddr, user: &str, reason: &dyn fmt::Display) {
    tracing::info!(client = %peer, user = %Name(user), %reason, "the certificate logs nobody in");
}

/// A web page that may not connect.
pub(crate) fn page_refused(peer: SocketAddr, origin: &str) {
    let reason = "none of origins";
    tracing::info!(client = %peer, origin = %Name(origin), reason, "page refused");
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

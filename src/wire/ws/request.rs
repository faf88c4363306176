//! What a session asks for, where it cannot answer by itself.

use zeroize::Zeroizing;

use super::{Code, Sid};
use crate::event::{Event, FilterPair};

/// What a session asks the rest of the driver to do. None has been answered: that is for
/// [`Session::grant`](super::Session::grant) or [`Session::refuse`](super::Session::refuse), one
/// of the two and once, when it is done.
#[derive(Debug)]
pub enum Request {
    /// Check a login. Before the answer comes [`log_in`](super::Session::log_in) where it is right
    /// and [`log_out`](super::Session::log_out) where it is not.
    Login {
        /// The name; empty, which is nobody's, where nothing could be made of the message.
        user: String,
        /// The password.
        password: Zeroizing<String>,
        /// The vector, and the first block of what was encrypted: whoever sees a second login with
        /// one of them sees a copy of the first. The vector alone may be changed on the way, and
        /// what is encrypted stays the same.
        mark: [Sid; 2],
    },
    /// Refuse a login that cannot be right, whatever the password: it cannot be read, or is not
    /// encrypted for this session. Before the answer, which has this code, comes
    /// [`log_out`](super::Session::log_out).
    NoLogin(Code),
    /// Write events from now on, those that wait first, after the answer. It may be open already.
    Open,
    /// Keep events from now on. It may be closed already.
    Close,
    /// Drop what waits.
    Clear,
    /// The channel has another filter and mask.
    SetFilter(FilterPair),
    /// Take an event.
    Submit(Event),
}

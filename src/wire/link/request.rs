//! What a session asks for, where it cannot answer by itself.

use zeroize::Zeroizing;

use super::numbered::Numbered;
use crate::event::{Event, FilterPair, Guid};

/// What a session asks the rest of the driver to do. Where a reply is due it is for whoever does
/// it to say; the others have been answered.
#[derive(Debug)]
pub enum Request {
    /// Check a login, answer, and close when it is wrong.
    Login {
        /// User names: the first is meant, another where a frame can be read in two ways.
        users: Vec<String>,
        /// Passwords, alike.
        passwords: Vec<Zeroizing<String>>,
    },
    /// Answer with a random session id.
    Challenge,
    /// Take an event, and answer.
    Submit(Event),
    /// Print so many events and answer; `None` is all that wait.
    Retrieve(Option<usize>),
    /// Print how many events wait, and answer.
    Count,
    /// Drop what waits (answered).
    Clear,
    /// Print the statistics, and answer.
    Stat,
    /// Print the state, and answer.
    Info,
    /// The channel has another GUID (answered).
    SetGuid(Guid),
    /// The channel has another filter or mask (answered).
    SetFilter(FilterPair),
    /// Print the capabilities, and answer.
    Capabilities,
    /// Print the channels, and answer.
    Interfaces,
    /// End this channel, and answer.
    CloseInterface(Which),
    /// Test the driver, and answer.
    Test,
    /// Stop serving, and answer.
    Shutdown,
    /// Start afresh, and answer.
    Restart,
    /// The client is the link of this name: say how far its queue was heard. What it sends first
    /// has the number `first` at least.
    Link {
        /// The link's name.
        name: String,
        /// Its queue.
        queue: u64,
        /// A number in it.
        first: u64,
        /// Marks of the brokers that it uses.
        brokers: String,
    },
    /// The client is the link of this name, of a user that may not number its events (answered).
    PlainLink {
        /// The link's name.
        name: String,
    },
    /// Take an event of the link, once, and answer.
    LinkEvent(Numbered),
    /// The client is the link of this name, and wants what waits for it: of this queue it has all
    /// up to this number. Answer with the queue that there is.
    LinkReceive {
        /// The link's name.
        name: String,
        /// A queue of this side's.
        queue: u64,
        /// A number in it.
        last: u64,
    },
    /// The link has all up to this number; answer.
    LinkAcknowledge(u64),
    /// A mistake of the client (answered): the text is for INFO.
    Mistake(String),
    /// Write what is to be written, and close (answered).
    Close,
}

/// A channel among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// By its GUID.
    Guid(Guid),
    /// By its place in the list of channels.
    Index(usize),
}

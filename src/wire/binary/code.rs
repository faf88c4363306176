//! The numbers of commands that clients need, and of errors. The others stand in the
//! [table of commands](crate::wire::link::command::COMMANDS).

/// The reply to an event, and a client's to one that it was sent.
pub const EVENT_CONFIRM: u16 = 65_535;
/// Ends the session.
pub const QUIT: u16 = 1;
/// The user, and with a colon the password.
pub const USER: u16 = 2;
/// Lets events come as they arrive.
pub const OPEN: u16 = 7;
/// Filter and mask.
pub const SET_FILTER: u16 = 17;
/// The mask alone.
pub const SET_MASK: u16 = 18;
/// Back to text.
pub const TEXT: u16 = 24;

/// Begins to send the events of a link between two drivers of this kind. This code and those up to
/// 65534 are left to users.
pub const LINK: u16 = 65_280;
/// An event of a link, to the server.
pub const LINK_SEND: u16 = 65_281;
/// Asks for the events of a link; in a reply such an event, or that the server lives.
pub const LINK_RECEIVE: u16 = 65_282;
/// How far the events of a link have come.
pub const LINK_ACKNOWLEDGE: u16 = 65_283;

/// Errors, as the daemon numbers them.
pub mod error {
    /// All went well.
    pub const SUCCESS: u16 = 0;
    /// Not done here.
    pub const NOT_SUPPORTED: u16 = 17;
    /// No event waits.
    pub const RCV_EMPTY: u16 = 19;
    /// No room for an event.
    pub const TRM_FULL: u16 = 21;
    /// Not logged in.
    pub const NOT_OPEN: u16 = 33;
    /// An argument is wrong.
    pub const PARAMETER: u16 = 34;
    /// Something of ours went wrong.
    pub const INTERNAL: u16 = 36;
    /// A user name is missing.
    pub const USER: u16 = 38;
    /// The login is wrong.
    pub const PASSWORD: u16 = 39;
    /// There is no room for another client.
    pub const CONNECTION: u16 = 40;
    /// There is no such thing.
    pub const UNKNOWN_ITEM: u16 = 44;
    /// Not allowed.
    pub const PERMISSION: u16 = 49;
    /// There are not so many.
    pub const INDEX: u16 = 59;
}

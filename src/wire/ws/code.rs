//! The error codes, the same in both dialects.

/// What went wrong. The numbers and texts are those that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A message or an argument that is not what it should be.
    Syntax,
    /// A command that is none.
    UnknownCommand,
    /// No room for an event.
    TransmitFull,
    /// No memory.
    NoMemory,
    /// Not logged in, or a login that failed, whatever the reason.
    NotAuthorised,
    /// An event that the user may not send.
    EventRefused,
    /// A right is missing.
    NoRight,
    /// Something that cannot be read.
    Parse,
    /// Neither a command nor an event.
    UnknownType,
    /// Anything else.
    General,
}

impl Code {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Syntax,
        Self::UnknownCommand,
        Self::TransmitFull,
        Self::NoMemory,
        Self::NotAuthorised,
        Self::EventRefused,
        Self::NoRight,
        Self::Parse,
        Self::UnknownType,
        Self::General,
    ];

    /// 1 to 10.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The text that goes with it, letter by letter as clients know it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Syntax => "Syntax error.",
            Self::UnknownCommand => "Unknown command.",
            Self::TransmitFull => "Transmit buffer full.",
            Self::NoMemory => "Having problems to allocate memory.",
            Self::NotAuthorised => "Not authorised.",
            Self::EventRefused => "Not allowed to send event.",
            Self::NoRight => "Not allowed to do that (check privileges)",
            Self::Parse => "Parse error, invalid format.",
            Self::UnknownType => "Unknown type, only know 'COMMAND' and 'EVENT'.",
            Self::General => "Exception or other general error.",
        }
    }
}

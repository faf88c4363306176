//! The VSCP event and the values that it is made of. Pure: no clock, no sockets.
//!
//! | module | what |
//! |---|---|
//! | [`guid`] | [`Guid`], all its textual forms |
//! | [`time`] | [`EventTime`], both generations of time stamps |
//! | [`number`] | strict numbers: decimal, `0x`, `0o`, `0b` |
//! | [`text`] | the comma form that SEND reads and RETR prints |
//! | [`json`] | the JSON form, both generations of names |
//! | [`xml`] | the XML form, both generations of names |
//! | [`frame`] | the binary frame, both types |
//! | [`filter`] | filter and mask |

use thiserror::Error;

pub mod filter;
pub mod frame;
pub mod guid;
pub mod json;
mod members;
pub mod number;
pub mod tag;
pub mod text;
pub mod time;
pub mod xml;

pub use filter::{Filter, FilterError, FilterPair};
pub use guid::{Guid, GuidError};
pub use number::NumberError;
pub use tag::{Tag, TagError};
pub use time::{DateError, EventTime};

/// The most data bytes that an event carries (VSCP specification, "level II events").
pub const MAX_DATA: usize = 512;

/// A VSCP event with everything settled: it has a GUID, a time and at most [`MAX_DATA`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Priority and flags.
    pub head: Head,
    /// VSCP class, 0 to 65535.
    pub class: u16,
    /// VSCP type within the class.
    pub vscp_type: u16,
    /// The channel that the event came in by, 0 when unknown.
    pub obid: u32,
    /// Who sent it.
    pub guid: Guid,
    /// When.
    pub time: EventTime,
    /// The payload.
    pub data: Data,
}

impl Event {
    /// Class of level I protocol events.
    pub const CLASS1_PROTOCOL: u16 = 0;
    /// Class of level II protocol events.
    pub const CLASS2_PROTOCOL: u16 = 1024;
    /// Class of high level objects.
    pub const CLASS2_HLO: u16 = 1028;

    /// The interface that a level I event over level II (classes 512 to 1023) is addressed to:
    /// its first sixteen data bytes. `None` for other classes and for shorter data.
    #[must_use]
    pub fn interface(&self) -> Option<Guid> {
        if !(512..=1023).contains(&self.class) {
            return None;
        }
        let bytes: [u8; 16] = self.data.get(..16)?.try_into().ok()?;
        Some(Guid::from(bytes))
    }
}

/// The head of an event: bits 15 dumb node, 14 to 12 GUID type, 7 to 5 priority (0 is highest),
/// 4 hard coded, 3 no CRC, 2 to 0 rolling index.
///
/// Bits 9 and 8 say in which form the *frame* carries the time. That is a matter of each wire
/// form, so they are always 0 here and set where a form asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head(u16);

impl Head {
    const VERSION_BITS: u16 = 0x0300;
    const UNIX_VERSION: u16 = 0x0100;
    const PRIORITY_BITS: u16 = 0x00E0;

    /// A head from its sixteen bits; the frame version bits are dropped.
    #[must_use]
    pub fn new(bits: u16) -> Self {
        Self(bits & !Self::VERSION_BITS)
    }

    /// True where the bits say that the frame carries nanoseconds since 1970.
    #[must_use]
    pub fn is_unix(bits: u16) -> bool {
        bits & Self::VERSION_BITS == Self::UNIX_VERSION
    }

    /// Bits 9 and 8: the type of the frame that carries the event.
    #[must_use]
    pub fn version(bits: u16) -> u16 {
        (bits & Self::VERSION_BITS) >> 8
    }

    /// The bits for forms with date and time.
    #[must_use]
    pub fn classic(self) -> u16 {
        self.0
    }

    /// The bits for forms with nanoseconds since 1970.
    #[must_use]
    pub fn unix(self) -> u16 {
        self.0 | Self::UNIX_VERSION
    }

    /// Priority 0 (highest) to 7 (lowest).
    #[must_use]
    pub fn priority(self) -> u8 {
        ((self.0 & Self::PRIORITY_BITS) >> 5) as u8
    }

    /// The same head with another priority, of which the low three bits count.
    #[must_use]
    pub fn with_priority(self, priority: u8) -> Self {
        Self((self.0 & !Self::PRIORITY_BITS) | (u16::from(priority & 7) << 5))
    }
}

/// At most [`MAX_DATA`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Data(Vec<u8>);

/// More than [`MAX_DATA`] bytes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0} data bytes, at most {MAX_DATA} are allowed")]
pub struct TooMuchData(pub usize);

impl TryFrom<Vec<u8>> for Data {
    type Error = TooMuchData;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TooMuchData> {
        if bytes.len() > MAX_DATA {
            return Err(TooMuchData(bytes.len()));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for Data {
    type Error = TooMuchData;

    fn try_from(bytes: &[u8]) -> Result<Self, TooMuchData> {
        if bytes.len() > MAX_DATA {
            return Err(TooMuchData(bytes.len()));
        }
        Ok(Self(bytes.to_vec()))
    }
}

impl std::ops::Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
pub(crate) mod tests;

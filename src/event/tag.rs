//! Which event it is, wherever it goes.
//!
//! Between drivers of this kind an event keeps the tag that it got where it came in first. One that
//! goes in a circle, or comes by two ways, is known by it; two events that are equal are still two.

use std::fmt;
use std::str::FromStr;

/// Where an event came in, and which one it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// A random number of the driver, another one after each start.
    pub origin: u64,
    /// Counts from 1.
    pub number: u64,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:x}", self.origin, self.number)
    }
}

/// A text that is no tag.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a tag is two hexadecimal numbers with a dot between them")]
pub struct TagError;

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = plain.then(|| u64::from_str_radix(digits, 16).ok());
            number.flatten().ok_or(TagError)
        };
        let (origin, count) = text.split_once('.').ok_or(TagError)?;
        Ok(Self {
            origin: number(origin)?,
            number: number(count)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let tag = Tag {
            origin: 0xABC,
            number: u64::MAX,
        };
        assert_eq!(tag.to_string(), "0000000000000abc.ffffffffffffffff");
        assert_eq!(tag.to_string().parse(), Ok(tag));
        for text in ["", ".", "1", "1.", "1.2.3", "+1.2", "1.10000000000000000"] {
            assert_eq!(text.parse::<Tag>(), Err(TagError), "{text}");
        }
    }
}

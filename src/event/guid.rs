//! The globally unique identifier of a node or interface: sixteen bytes, most significant first.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Sixteen bytes, index 0 most significant, 15 (with 14: the nickname) least.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

/// Why a text is not a GUID.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GuidError {
    /// Nothing there.
    #[error("a GUID was expected, nothing was found")]
    Empty,
    /// A group that is not one to eight hexadecimal digits; groups count from 1.
    #[error("group {0} of the GUID is not 1 to 8 hexadecimal digits")]
    Group(usize),
    /// Not sixteen bytes.
    #[error("the GUID has {0} bytes, 16 were expected")]
    Length(usize),
    /// Braces that do not pair.
    #[error("the GUID has an opening brace without a closing one")]
    Brace,
}

impl Guid {
    /// All zeros: "use the GUID of the interface" in SEND.
    pub const ZERO: Self = Self([0; 16]);

    /// The bytes, most significant first.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// True for sixteen zeros.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The nickname of a node: the last two bytes.
    #[must_use]
    pub fn nickname(&self) -> u16 {
        u16::from_be_bytes([self.0[14], self.0[15]])
    }

    /// The GUID of a channel of an interface with this GUID: the channel id in bytes 12 and 13,
    /// 0 in 14 and 15 (VSCP specification, "GUID assigned to the interface").
    #[must_use]
    pub fn channel(&self, id: u16) -> Self {
        let mut bytes = self.0;
        bytes[12..14].copy_from_slice(&id.to_be_bytes());
        bytes[14..].fill(0);
        Self(bytes)
    }

    /// The GUID of a machine by its Ethernet address: `FF×7 FE` and its four most significant
    /// bytes (VSCP specification, "GUID assigned to the interface").
    #[must_use]
    pub fn from_mac(mac: [u8; 6]) -> Self {
        Self::assigned(0xFE, [mac[0], mac[1], mac[2], mac[3]])
    }

    /// The GUID of a machine by its IPv4 address: `FF×7 FD` and the address.
    #[must_use]
    pub fn from_ipv4(address: [u8; 4]) -> Self {
        Self::assigned(0xFD, address)
    }

    /// Bytes 0 to 13, which name an interface, whatever its node.
    #[must_use]
    pub fn interface(&self) -> [u8; 14] {
        std::array::from_fn(|at| self.0[at])
    }

    /// True where bytes 0 to 13 are the same: both name the same interface, whatever its node.
    #[must_use]
    pub fn same_interface(&self, other: &Self) -> bool {
        self.interface() == other.interface()
    }

    /// True where bytes 0 to 11 are the same: both are interfaces of one driver.
    #[must_use]
    pub fn same_driver(&self, other: &Self) -> bool {
        self.0[..12] == other.0[..12]
    }

    fn assigned(kind: u8, address: [u8; 4]) -> Self {
        let mut bytes = [0; 16];
        bytes[..7].fill(0xFF);
        bytes[7] = kind;
        bytes[8..12].copy_from_slice(&address);
        Self(bytes)
    }

    /// Appends the usual form, `FF:…:01`: sixteen pairs of upper case digits.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut text = [b':'; 47];
        for (pair, byte) in text.chunks_mut(3).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out.extend_from_slice(&text);
    }
}

impl From<[u8; 16]> for Guid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(47);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// Every textual form of the VSCP specification, "text representation of a GUID":
///
/// * `FF:…:01`, sixteen hexadecimal bytes; neighbours may be merged into groups of up to eight
///   digits (`0102:03aa`);
/// * `::` and the last bytes: the rest is FF; `::` alone is all FF;
/// * `-` is all zeros, `-:1:2:3` (commas too) the last bytes with zeros before them;
/// * a UUID, `01020304-0506-0708-090A-0B0C0D0E0F10`;
/// * each of them in braces.
impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        match pairs(text.as_bytes()) {
            Some(bytes) => Ok(Self(bytes)),
            None => every_form(text),
        }
    }
}

/// The form that nearly all have, `FF:…:01` of 47 characters; `None` for every other one.
fn pairs(text: &[u8]) -> Option<[u8; 16]> {
    const NONE: u8 = 0xFF;
    const VALUES: [u8; 256] = {
        let mut values = [NONE; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789ABCDEF"[value] as usize] = value as u8;
            values[b"0123456789abcdef"[value] as usize] = value as u8;
            value += 1;
        }
        values
    };
    if text.len() != 47 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks(3)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        let ends = pair.get(2).is_none_or(|&end| end == b':');
        if high | low > 15 || !ends {
            return None;
        }
        *byte = high << 4 | low;
    }
    Some(bytes)
}

/// Every form.
fn every_form(text: &str) -> Result<Guid, GuidError> {
    let text = text.trim();
    let text = match text.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}').ok_or(GuidError::Brace)?.trim(),
        None => text,
    };
    if text.is_empty() {
        return Err(GuidError::Empty);
    }
    if text == "-" {
        return Ok(Guid::ZERO);
    }
    if text == "::" {
        return Ok(Guid([0xFF; 16]));
    }
    if let Some(rest) = text.strip_prefix("::") {
        return tail(rest, &[':'], 0xFF);
    }
    if let Some(rest) = text.strip_prefix("-:") {
        return tail(rest, &[':', ','], 0);
    }
    if let Some(bytes) = uuid(text) {
        return Ok(Guid(bytes));
    }
    let mut bytes = Bytes::default();
    bytes.groups(text, &[':'])?;
    bytes.whole()
}

fn tail(text: &str, separators: &[char], fill: u8) -> Result<Guid, GuidError> {
    let mut bytes = Bytes::default();
    bytes.groups(text, separators)?;
    let mut guid = [fill; 16];
    if bytes.len > 16 {
        return Err(GuidError::Length(bytes.len));
    }
    guid[16 - bytes.len..].copy_from_slice(&bytes.bytes[..bytes.len]);
    Ok(Guid(guid))
}

/// `None` where the text does not have the shape 8-4-4-4-12.
fn uuid(text: &str) -> Option<[u8; 16]> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let text = text.as_bytes();
    if text.len() != 36 || DASHES.iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut digits = text
        .iter()
        .enumerate()
        .filter(|(at, _)| !DASHES.contains(at));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let high = char::from(*digits.next()?.1).to_digit(16)?;
        let low = char::from(*digits.next()?.1).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(bytes)
}

/// Bytes as they are read; `len` goes on counting where more come than fit.
#[derive(Default)]
struct Bytes {
    bytes: [u8; 16],
    len: usize,
}

impl Bytes {
    fn groups(&mut self, text: &str, separators: &[char]) -> Result<(), GuidError> {
        for (at, group) in text.split(separators).enumerate() {
            let group = group.trim();
            let bad = || GuidError::Group(at + 1);
            if !(1..=8).contains(&group.len()) || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad());
            }
            let value = u32::from_str_radix(group, 16).map_err(|_| bad())?;
            let count = group.len().div_ceil(2);
            for &byte in &value.to_be_bytes()[4 - count..] {
                if let Some(slot) = self.bytes.get_mut(self.len) {
                    *slot = byte;
                }
                self.len += 1;
            }
        }
        Ok(())
    }

    fn whole(&self) -> Result<Guid, GuidError> {
        if self.len != 16 {
            return Err(GuidError::Length(self.len));
        }
        Ok(Guid(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is read at once is read as every form is, and nothing else is.
        #[test]
        fn the_usual_form_is_one_of_all(bytes: [u8; 16], lower: bool, at in 0..47_usize, other in "[0-9a-gA-G:,. -]") {
            let usual = Guid(bytes).to_string();
            let usual = if lower { usual.to_lowercase() } else { usual };
            prop_assert_eq!(pairs(usual.as_bytes()), Some(bytes));
            prop_assert_eq!(every_form(&usual).ok(), Some(Guid(bytes)));
            let mut changed = usual;
            changed.replace_range(at..=at, &other);
            if let Some(bytes) = pairs(changed.as_bytes()) {
                prop_assert_eq!(every_form(&changed).ok(), Some(Guid(bytes)));
            }
            prop_assert_eq!(changed.parse::<Guid>().ok(), every_form(&changed).ok());
        }
    }
}

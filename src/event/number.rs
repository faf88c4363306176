//! Strict numbers as people write them in commands and configuration files.

use thiserror::Error;

/// Why a text is not the number that was asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NumberError {
    /// Nothing there.
    #[error("a number was expected, nothing was found")]
    Empty,
    /// Not a number.
    #[error("{0:?} is not a number (decimal, 0x, 0o or 0b)")]
    Invalid(String),
    /// Too large for its field.
    #[error("{0} is more than {1}")]
    Range(String, u64),
}

/// Reads an unsigned number of at most `max`: decimal, or hexadecimal, octal or binary after
/// `0x`, `0o`, `0b` in either case. Blanks around it are allowed, signs are not.
///
/// # Errors
/// [`NumberError`] where the text is empty, not a number, or the number is more than `max`.
pub fn parse(text: &str, max: u64) -> Result<u64, NumberError> {
    let text = text.trim_matches([' ', '\t']);
    let bytes = text.as_bytes();
    let (digits, radix) = match bytes {
        [] => return Err(NumberError::Empty),
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        [b'0', b'o' | b'O', rest @ ..] => (rest, 8),
        [b'0', b'b' | b'B', rest @ ..] => (rest, 2),
        all => (all, 10),
    };
    let invalid = || NumberError::Invalid(clip(text));
    let range = || NumberError::Range(clip(text), max);
    if digits.is_empty() {
        return Err(invalid());
    }
    let mut value: u64 = 0;
    let mut overflow = false;
    for &byte in digits {
        let digit = char::from(byte).to_digit(radix).ok_or_else(invalid)?;
        match value
            .checked_mul(u64::from(radix))
            .and_then(|v| v.checked_add(u64::from(digit)))
        {
            Some(v) => value = v,
            // Go on, so that "99999999999999999999x" is invalid rather than out of range.
            None => overflow = true,
        }
    }
    if overflow || value > max {
        return Err(range());
    }
    Ok(value)
}

/// [`parse`] for sixteen bits.
///
/// # Errors
/// As [`parse`].
pub fn parse_u16(text: &str) -> Result<u16, NumberError> {
    parse(text, u64::from(u16::MAX)).map(|n| n as u16)
}

/// [`parse`] for eight bits.
///
/// # Errors
/// As [`parse`].
pub fn parse_u8(text: &str) -> Result<u8, NumberError> {
    parse(text, u64::from(u8::MAX)).map(|n| n as u8)
}

/// Error texts repeat a little of what was read, never 64 KiB of it.
pub(crate) fn clip(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

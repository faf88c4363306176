//! AUTH: `user:password`, encrypted with AES-128 in CBC mode.
//!
//! The key is shared by all clients of a server, and the session id is the vector. The text is
//! filled up with zeros; blanks and whole blocks of zeros are read too.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, consts::U16};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Sid, hex};

/// Bytes of a block.
const BLOCK: usize = 16;
/// Bytes that the name and the password may have together, encrypted.
pub const MOST_CIPHER: usize = 16 * BLOCK;

/// Why something is not an encrypted name and password.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AuthError {
    /// Not 1 to 16 whole blocks.
    #[error("{0} bytes, 1 to 16 blocks of 16 were expected")]
    Length(usize),
    /// Another key or another vector was used, or it is something else altogether.
    #[error("no user name and password come out")]
    Nonsense,
}

/// Encrypts a name and a password, as upper case digits.
#[must_use]
pub fn seal(key: &[u8; 16], iv: &Sid, user: &str, password: &str) -> String {
    // In one piece: what grows leaves copies behind.
    let length = user.len() + 1 + password.len();
    let mut bytes = Zeroizing::new(vec![0; length.next_multiple_of(BLOCK)]);
    bytes[..user.len()].copy_from_slice(user.as_bytes());
    bytes[user.len()] = b':';
    bytes[user.len() + 1..length].copy_from_slice(password.as_bytes());
    cbc::Encryptor::<Aes128>::new(&(*key).into(), &(*iv).into()).encrypt_blocks(blocks(&mut bytes));
    hex(&bytes)
}

/// Decrypts a name and a password. Blanks around the two are no part of them; the first `:` ends
/// the name.
///
/// # Errors
/// [`AuthError`] where there is neither a name nor a password in it.
pub fn open(
    key: &[u8; 16],
    iv: &Sid,
    cipher: &[u8],
) -> Result<(String, Zeroizing<String>), AuthError> {
    if !fits(cipher) {
        return Err(AuthError::Length(cipher.len()));
    }
    let mut bytes = Zeroizing::new(cipher.to_vec());
    cbc::Decryptor::<Aes128>::new(&(*key).into(), &(*iv).into()).decrypt_blocks(blocks(&mut bytes));
    let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| AuthError::Nonsense)?;
    let (user, password) = text
        .trim_matches(|c: char| c.is_ascii_whitespace())
        .split_once(':')
        .ok_or(AuthError::Nonsense)?;
    if user.is_empty() || password.is_empty() {
        return Err(AuthError::Nonsense);
    }
    Ok((user.to_owned(), Zeroizing::new(password.to_owned())))
}

/// True for 1 to 16 whole blocks.
pub(super) fn fits(cipher: &[u8]) -> bool {
    (1..=MOST_CIPHER).contains(&cipher.len()) && cipher.len().is_multiple_of(BLOCK)
}

fn blocks(bytes: &mut [u8]) -> &mut [Array<u8, U16>] {
    Array::slice_as_chunks_mut(bytes).0
}

#[cfg(test)]
mod tests;

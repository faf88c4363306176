//! AES in CBC mode over frames.

use std::fmt;

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit, consts::U16};
use aes::{Aes128, Aes192, Aes256};
use cbc::{Decryptor, Encryptor};
use subtle::ConstantTimeEq;

use super::reader::Mark;
use crate::auth::{RandomError, random};

/// Bytes of a block, and of a vector, whatever the key.
pub const BLOCK: usize = 16;

/// An initialisation vector.
pub type Iv = [u8; BLOCK];

/// How long the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl Strength {
    /// All, the weakest first.
    pub const ALL: [Self; 3] = [Self::Aes128, Self::Aes192, Self::Aes256];

    /// Bytes of the key.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// The low four bits of a frame's first byte.
    #[must_use]
    pub fn nibble(self) -> u8 {
        match self {
            Self::Aes128 => 1,
            Self::Aes192 => 2,
            Self::Aes256 => 3,
        }
    }

    /// The name that configurations have for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128",
            Self::Aes192 => "aes192",
            Self::Aes256 => "aes256",
        }
    }
}

/// A key, ready for use. It is wiped from memory at the end.
///
/// CBC keeps a secret and authenticates nobody: whoever can change bytes on their way is
/// noticed by a CRC of sixteen bits alone. Where that is not enough, TLS is.
#[derive(Clone)]
pub struct Cipher(Keyed);

#[derive(Clone)]
enum Keyed {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Box<Aes256>),
}

impl Cipher {
    /// The cipher with the first bytes of `key`; `None` where it is too short.
    #[must_use]
    pub fn new(strength: Strength, key: &[u8]) -> Option<Self> {
        let key = key.get(..strength.key_len())?;
        Some(Self(match strength {
            Strength::Aes128 => Keyed::Aes128(Aes128::new_from_slice(key).ok()?),
            Strength::Aes192 => Keyed::Aes192(Aes192::new_from_slice(key).ok()?),
            Strength::Aes256 => Keyed::Aes256(Box::new(Aes256::new_from_slice(key).ok()?)),
        }))
    }

    /// How long the key is.
    #[must_use]
    pub fn strength(&self) -> Strength {
        match self.0 {
            Keyed::Aes128(_) => Strength::Aes128,
            Keyed::Aes192(_) => Strength::Aes192,
            Keyed::Aes256(_) => Strength::Aes256,
        }
    }

    /// Appends a frame, encrypted with a fresh random vector, and gives its mark. The cipher's
    /// number goes into its first byte.
    ///
    /// # Errors
    /// [`RandomError`] where the system gives no random numbers; nothing is appended.
    pub fn seal(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<Mark, RandomError> {
        Ok(self.seal_with(random()?, frame, out))
    }

    /// The same with a vector of the caller's, which must be used once only.
    pub fn seal_with(&self, iv: Iv, frame: &[u8], out: &mut Vec<u8>) -> Mark {
        let (&first, plain) = frame.split_first().unwrap_or((&0, &[]));
        out.push(first & 0xF0 | self.strength().nibble());
        let start = out.len();
        out.extend_from_slice(plain);
        out.resize(start + padded(frame.len()), 0);
        let blocks = blocks(&mut out[start..]);
        let iv_block = &iv.into();
        match &self.0 {
            Keyed::Aes128(aes) => {
                Encryptor::inner_iv_init(aes.clone(), iv_block).encrypt_blocks(blocks);
            }
            Keyed::Aes192(aes) => {
                Encryptor::inner_iv_init(aes.clone(), iv_block).encrypt_blocks(blocks);
            }
            Keyed::Aes256(aes) => {
                Encryptor::inner_iv_init((**aes).clone(), iv_block).encrypt_blocks(blocks);
            }
        }
        let first = out[start..]
            .first_chunk()
            .copied()
            .expect("padding makes one whole block at least");
        out.extend_from_slice(&iv);
        Mark { iv, first }
    }

    /// Decrypts whole blocks in place; what is beyond the last whole one stays.
    pub fn open(&self, iv: &Iv, bytes: &mut [u8]) {
        let blocks = blocks(bytes);
        let iv = &(*iv).into();
        match &self.0 {
            Keyed::Aes128(aes) => {
                Decryptor::inner_iv_init(aes.clone(), iv).decrypt_blocks(blocks);
            }
            Keyed::Aes192(aes) => {
                Decryptor::inner_iv_init(aes.clone(), iv).decrypt_blocks(blocks);
            }
            Keyed::Aes256(aes) => {
                Decryptor::inner_iv_init((**aes).clone(), iv).decrypt_blocks(blocks);
            }
        }
    }
}

/// Two with one key.
impl PartialEq for Cipher {
    fn eq(&self, other: &Self) -> bool {
        // Nobody learns a key from one block of zeros, and nobody sees it.
        let block = |cipher: &Self| {
            let mut block = [0; BLOCK];
            cipher.open(&[0; BLOCK], &mut block);
            block
        };
        self.strength() == other.strength() && block(self).ct_eq(&block(other)).into()
    }
}

fn blocks(bytes: &mut [u8]) -> &mut [Array<u8, U16>] {
    Array::slice_as_chunks_mut(bytes).0
}

/// Bytes that a frame of `len` bytes, its first one counted, has when it is encrypted, without
/// that one: always more than `len`.
#[must_use]
pub fn padded(len: usize) -> usize {
    len + BLOCK - len % BLOCK
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({}, ..)", self.strength().name())
    }
}

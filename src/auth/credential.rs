//! A password as it is stored.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{RandomError, random};

/// Rounds of PBKDF2 in stored credentials.
const ROUNDS: u32 = 70_000;

/// What is stored to check a password with; not the password, yet worth to be kept secret.
///
/// As text, digits in either case:
///
/// * `SALT;HASH`, 32 and 64 hexadecimal digits: PBKDF2-HMAC-SHA256 with 70000 rounds over
///   `user:password`, the salt being the sixteen bytes that its digits stand for;
/// * 32 hexadecimal digits: MD5 of `user:password`, from older files. It is read, never made.
///
/// Some tools hash the user name with `_` for each of `; : ' " ,` and blank. Either form of such
/// a name is right.
///
/// The work of every check depends on the user's name and password alone, not on what is stored:
/// an MD5 is as slow as the other.
#[derive(Clone)]
pub struct Credential(Stored);

#[derive(Clone)]
enum Stored {
    Pbkdf2 { salt: [u8; 16], hash: [u8; 32] },
    Md5([u8; 16]),
}

/// Why a text is not a credential. It holds nothing of the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CredentialError {
    /// Nothing there.
    #[error("the stored password is empty")]
    Empty,
    /// Neither form.
    #[error(
        "the stored password is neither SALT;HASH (32 and 64 hexadecimal digits) nor an MD5 (32)"
    )]
    Form,
}

impl Credential {
    /// What no password is checked with: for those who do not log in.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(Stored::Pbkdf2 {
            salt: [0; 16],
            hash: [0; 32],
        })
    }

    /// A credential of the first form for a new password, with a random salt. Slow by design:
    /// some ten milliseconds.
    ///
    /// # Errors
    /// [`RandomError`] where the system gives no random numbers.
    pub fn derive(user: &str, password: &str) -> Result<Self, RandomError> {
        let salt = random()?;
        let hash = stretch(&secret(user, password), &salt);
        Ok(Self(Stored::Pbkdf2 { salt, hash }))
    }

    /// True where this is the password of the user that the credential was made for. Slow by
    /// design, and for wrong passwords as slow as for right ones.
    #[must_use]
    pub fn verify(&self, user: &str, password: &str) -> bool {
        let mut right = Choice::from(0);
        for name in names(user) {
            let secret = secret(&name, password);
            right |= match &self.0 {
                Stored::Pbkdf2 { salt, hash } => stretch(&secret, salt).ct_eq(hash),
                Stored::Md5(digest) => {
                    std::hint::black_box(stretch(&secret, &[0; 16]));
                    let found: [u8; 16] = Md5::digest(secret.as_bytes()).into();
                    found.ct_eq(digest)
                }
            };
        }
        right.into()
    }

    /// The work of [`verify`](Self::verify) for nothing, where there is no credential to check:
    /// how long an answer takes tells nobody which users there are.
    pub fn waste(user: &str, password: &str) {
        for name in names(user) {
            std::hint::black_box(stretch(&secret(&name, password), &[0; 16]));
        }
    }

    /// True for the older form, which should be made anew.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        matches!(self.0, Stored::Md5(_))
    }
}

/// The name, and the name that some tools hash instead where it differs.
fn names(user: &str) -> impl Iterator<Item = String> {
    let replaced = user.replace([';', ':', '\'', '"', ',', ' '], "_");
    let other = (replaced != user).then_some(replaced);
    std::iter::once(user.to_owned()).chain(other)
}

fn secret(user: &str, password: &str) -> Zeroizing<String> {
    // Of the full size at once: a string that grows leaves copies behind.
    let mut secret = Zeroizing::new(String::with_capacity(user.len() + 1 + password.len()));
    secret.push_str(user);
    secret.push(':');
    secret.push_str(password);
    secret
}

fn stretch(secret: &str, salt: &[u8; 16]) -> [u8; 32] {
    #[cfg(test)]
    work::count();
    let mut hash = [0; 32];
    pbkdf2_hmac::<Sha256>(secret.as_bytes(), salt, ROUNDS, &mut hash);
    hash
}

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CredentialError::Empty);
        }
        let stored = match text.split_once(';') {
            Some((salt, hash)) => bytes(salt)
                .zip(bytes(hash))
                .map(|(salt, hash)| Stored::Pbkdf2 { salt, hash }),
            None => bytes(text).map(Stored::Md5),
        };
        stored.map(Self).ok_or(CredentialError::Form)
    }
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.trim().as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|d| char::from(d).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Stored::Md5(one), Stored::Md5(other)) => one.ct_eq(other).into(),
            (Stored::Pbkdf2 { salt, hash }, Stored::Pbkdf2 { salt: s, hash: h }) => {
                (salt.ct_eq(s) & hash.ct_eq(h)).into()
            }
            _ => false,
        }
    }
}

impl Eq for Credential {}

/// The text that is stored; [`FromStr`] reads it.
impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Stored::Pbkdf2 { salt, hash } => {
                salt.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
                f.write_str(";")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
            Stored::Md5(digest) => digest.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Stored::Pbkdf2 { .. } => "Credential(PBKDF2, ..)",
            Stored::Md5(_) => "Credential(MD5, ..)",
        })
    }
}

/// Counts the slow steps of the current thread: "the same work" is tested without a clock.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    pub(super) fn count() {
        STEPS.set(STEPS.get() + 1);
    }

    /// The slow steps that `run` takes, and its result.
    pub(in crate::auth) fn of<T>(run: impl FnOnce() -> T) -> (usize, T) {
        STEPS.set(0);
        let result = run();
        (STEPS.get(), result)
    }
}

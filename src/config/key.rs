//! The key file: the key of the binary mode, and that of websocket logins.

use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::os::{self, Exposure};
use crate::wire::binary::{Cipher, Strength};

/// Bytes of a key file that are looked at: a multiple of what any cipher needs.
const MOST: u64 = 64 * 1024;

/// The key that every VSCP daemon was once shipped with, and that the C++ drivers fall back to.
/// The world knows it.
const WELL_KNOWN: [u8; 32] = [
    0x2D, 0xBB, 0x07, 0x9A, 0x38, 0x98, 0x5A, 0xF0, 0x0E, 0xBE, 0xEF, 0xE2, 0x2F, 0x9F, 0xFA, 0x0E,
    0x7F, 0x72, 0xDF, 0x06, 0xEB, 0xE4, 0x45, 0x63, 0xED, 0xF4, 0xA1, 0x07, 0x3C, 0xAB, 0xC7, 0xD4,
];

/// The key that clients and examples of websockets have had before; as well known.
const WELL_KNOWN_BEFORE: [u8; 16] = [
    0xA4, 0xA8, 0x6F, 0x7D, 0x7E, 0x11, 0x9B, 0xA3, 0xF0, 0xCD, 0x06, 0x88, 0x1E, 0x37, 0x1B, 0x98,
];

/// Why a key file is not usable. It holds nothing of the key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// Others can read it.
    #[error("others can read it ({0}): {how}, and make a new key", how = os::PRIVATELY)]
    Readable(Exposure),
    /// Not hexadecimal.
    #[error("byte {0} of it is no hexadecimal digit")]
    Digit(usize),
    /// Too short.
    #[error("it has {found} hexadecimal digits, {} needs {needed}", .cipher.name())]
    Short {
        /// Digits in the file.
        found: usize,
        /// Digits that the cipher needs.
        needed: usize,
        /// The cipher.
        cipher: Strength,
    },
    /// Everybody has it.
    #[error("it holds the key that is in every VSCP distribution, which is no secret")]
    WellKnown,
}

/// The key of websocket logins, and what is to be said about its file.
#[allow(missing_debug_implementations)] // a key is not printed
pub struct LoginKey {
    /// The key.
    pub bytes: Zeroizing<[u8; 16]>,
    /// Everybody has it.
    pub well_known: bool,
    /// Who else can read the file.
    pub readable: Option<Exposure>,
}

/// Reads the key of websocket logins, the first 16 bytes of a key file. Unlike the key of the
/// binary mode it may be one that others have: pages and scripts carry theirs along.
///
/// # Errors
/// [`KeyError`].
pub fn load_login(path: &Path) -> Result<LoginKey, KeyError> {
    let (text, readable) = read(path)?;
    let key = digits(&text, Strength::Aes128)?;
    let mut bytes = Zeroizing::new([0; 16]);
    bytes.copy_from_slice(&key[..16]);
    Ok(LoginKey {
        well_known: is_well_known(&key),
        bytes,
        readable,
    })
}

/// Reads the first digits of a key file: hexadecimal, with any white space between them.
///
/// # Errors
/// [`KeyError`].
pub fn load(path: &Path, strength: Strength) -> Result<Cipher, KeyError> {
    let (text, readable) = read(path)?;
    match readable {
        Some(others) => Err(KeyError::Readable(others)),
        None => parse(&text, strength),
    }
}

/// What a file holds, and who else can read it.
fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Option<Exposure>), KeyError> {
    let file = os::open_regular(path)?;
    let readable = os::exposure(&file)?;
    let mut text = Zeroizing::new(Vec::with_capacity(MOST as usize));
    file.take(MOST).read_to_end(&mut text)?;
    Ok((text, readable))
}

fn is_well_known(key: &[u8; 32]) -> bool {
    [&WELL_KNOWN[..16], &WELL_KNOWN_BEFORE].contains(&&key[..16])
}

fn parse(text: &[u8], strength: Strength) -> Result<Cipher, KeyError> {
    let key = digits(text, strength)?;
    if is_well_known(&key) {
        return Err(KeyError::WellKnown);
    }
    // It is as long as any cipher's.
    Cipher::new(strength, &key[..]).ok_or_else(|| KeyError::Short {
        found: 2 * key.len(),
        needed: 2 * strength.key_len(),
        cipher: strength,
    })
}

/// The first bytes of a key, as many as the cipher needs; zeros behind them.
fn digits(text: &[u8], strength: Strength) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let needed = 2 * strength.key_len();
    let mut key = Zeroizing::new([0_u8; 32]);
    let mut found = 0;
    for (at, byte) in text.iter().enumerate() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        let digit = char::from(*byte)
            .to_digit(16)
            .ok_or(KeyError::Digit(at + 1))?;
        if let Some(place) = key.get_mut(found / 2) {
            *place = *place << 4 | digit as u8;
        }
        found += 1;
        if found == needed {
            return Ok(key);
        }
    }
    Err(KeyError::Short {
        found,
        needed,
        cipher: strength,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(text: &str, strength: Strength) -> String {
        parse(text.as_bytes(), strength).unwrap_err().to_string()
    }

    #[test]
    fn keys_that_are_usable() {
        let long = "00112233445566778899AABBCCDDEEFF".repeat(16);
        for (strength, text) in [
            (
                Strength::Aes128,
                "00112233445566778899aabbccddeeff\n".to_owned(),
            ),
            (Strength::Aes256, long.clone()),
            (Strength::Aes192, long.replace("88", "\n 88\t")),
        ] {
            let cipher = parse(text.as_bytes(), strength).unwrap();
            assert_eq!(cipher.strength(), strength);
        }
    }

    #[test]
    fn keys_that_are_not() {
        let short = "00112233445566778899aabbccddeef";
        assert!(
            refusal(short, Strength::Aes128).contains("31 hexadecimal digits, aes128 needs 32")
        );
        assert!(refusal("0011223344x", Strength::Aes128).contains("byte 11"));
        assert!(refusal("", Strength::Aes256).contains("0 hexadecimal digits"));
        let known: String = WELL_KNOWN.iter().map(|b| format!("{b:02x}")).collect();
        for strength in Strength::ALL {
            assert!(refusal(&known, strength).contains("no secret"));
        }
    }

    #[test]
    fn keys_of_logins() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        let load = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            load_login(&path).map(|key| {
                let readable = key.readable.map(|others| others.to_string());
                (key.bytes[15], key.well_known, readable)
            })
        };
        let own = "00112233445566778899aabbccddeeff";
        assert!(matches!(load(own, 0o600), Ok((0xFF, false, None))));
        let others = load(&format!("{own}{own}\n"), 0o644).unwrap();
        assert_eq!(others, (0xFF, false, Some("mode 0644".to_owned())));
        // What is behind the 32 digits is nothing to these logins.
        assert!(load(&format!(" {own} and more"), 0o600).is_ok());
        for known in [
            "2DBB079A38985AF00EBEEFE22F9FFA0E",
            "a4a86f7d7e119ba3f0cd06881e371b98\n",
        ] {
            let loaded = load(&known.repeat(8), 0o600);
            assert!(matches!(loaded, Ok((_, true, None))), "{known}");
            assert!(refusal(known, Strength::Aes128).contains("no secret"));
        }
        assert!(matches!(
            load(&own[1..], 0o600),
            Err(KeyError::Short { found: 31, .. })
        ));
        assert!(matches!(load("secret", 0o600), Err(KeyError::Digit(1))));
    }

    #[test]
    fn a_key_that_others_can_read_is_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        fs::write(&path, "00112233445566778899aabbccddeeff").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(load(&path, Strength::Aes128).is_ok(), good, "{mode:o}");
        }
        let words = load(&path, Strength::Aes128).unwrap_err().to_string();
        let expected = "others can read it (mode 0604): chmod 600 it, and make a new key";
        assert_eq!(words, expected);
        let gone = load(&place.path().join("gone"), Strength::Aes128);
        assert!(matches!(gone, Err(KeyError::Io(_))));
    }
}

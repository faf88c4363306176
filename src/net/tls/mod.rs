//! TLS: what both sides have in common, and a module for each.

pub mod client;
pub mod server;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use thiserror::Error;
use tokio_rustls::rustls;
use tokio_rustls::rustls::SupportedCipherSuite;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::config::model::TlsVersions;
use crate::config::open_regular;

/// TLS that cannot be set up.
#[derive(Debug, Error)]
#[error("{key}")]
pub struct TlsError {
    /// The file and the key path.
    key: String,
    #[source]
    cause: TlsCause,
}

/// Names a key in an error.
fn at(key: String) -> impl FnOnce(TlsCause) -> TlsError {
    move |cause| TlsError { key, cause }
}

/// Why it cannot be.
#[derive(Debug, Error)]
pub enum TlsCause {
    /// A file that cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("{path} holds no {what}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// No certificate to trust.
    #[error("no certificate was found to verify {whom} with")]
    NothingTrusted {
        /// Whose certificates it is about.
        whom: &'static str,
    },
    /// The key is encrypted.
    #[error("{path} is encrypted: {why}")]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The library refused.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Suites by the names that OpenSSL has for them.
const SUITES: &[(&str, rustls::CipherSuite)] = {
    use rustls::CipherSuite as S;
    &[
        ("TLS_AES_128_GCM_SHA256", S::TLS13_AES_128_GCM_SHA256),
        ("TLS_AES_256_GCM_SHA384", S::TLS13_AES_256_GCM_SHA384),
        (
            "TLS_CHACHA20_POLY1305_SHA256",
            S::TLS13_CHACHA20_POLY1305_SHA256,
        ),
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        (
            "ECDHE-RSA-AES128-GCM-SHA256",
            S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-RSA-AES256-GCM-SHA384",
            S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-RSA-CHACHA20-POLY1305",
            S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ]
};

/// The library's suites, or those of them that are wanted. `key` names where they stand. As with
/// OpenSSL a list that names none of TLS 1.3 is about TLS 1.2, and takes no suite of 1.3 away.
fn provider(ciphers: &[String], key: &str) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let mut wanted = Vec::new();
    for name in ciphers {
        match SUITES.iter().find(|(known, _)| known == name) {
            Some(&(_, suite)) => wanted.push(suite),
            None => tracing::warn!("{key}: {name:?} is not available"),
        }
    }
    if wanted.is_empty() {
        if !ciphers.is_empty() {
            tracing::warn!("{key}: none is available; all that are safe are offered");
        }
    } else {
        let suites = &mut provider.cipher_suites;
        let named = |suite: &SupportedCipherSuite| wanted.contains(&suite.suite());
        let newest = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let any_newest = suites.iter().any(|suite| newest(suite) && named(suite));
        suites.retain(|suite| named(suite) || newest(suite) && !any_newest);
    }
    provider
}

/// The versions that are spoken.
fn versions(oldest: TlsVersions) -> Vec<&'static rustls::SupportedProtocolVersion> {
    match oldest {
        TlsVersions::From12 => vec![&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersions::Only13 => vec![&rustls::version::TLS13],
    }
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsCause> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes(path)?)
        .filter_map(Result::ok)
        .collect();
    if found.is_empty() {
        return Err(TlsCause::Empty {
            path: path.to_owned(),
            what: "certificate in PEM",
        });
    }
    Ok(found)
}

/// The certificates of all files of a folder; what is none is passed over.
fn folder(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsCause> {
    let failed = |source| TlsCause::File {
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.is_file() {
            found.extend(certificates(&file).unwrap_or_default());
        }
    }
    if found.is_empty() {
        return Err(TlsCause::Empty {
            path: path.to_owned(),
            what: "certificate in PEM",
        });
    }
    Ok(found)
}

fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsCause> {
    let mut bytes = Zeroizing::new(Vec::new());
    open_regular(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map(|_| bytes)
        .map_err(|source| TlsCause::File {
            path: path.to_owned(),
            source,
        })
}

/// A key in PKCS#8, PKCS#1 or SEC 1, or in PKCS#8 encrypted with a pass phrase.
fn private_key(
    path: &Path,
    pass_phrase: Option<&Zeroizing<String>>,
) -> Result<PrivateKeyDer<'static>, TlsCause> {
    let pem = bytes(path)?;
    let encrypted = |why: &str| TlsCause::Encrypted {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let text = String::from_utf8_lossy(&pem);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(encrypted(
            "in the old form of OpenSSL; convert it with openssl pkcs8 -topk8",
        ));
    }
    let Some(begin) = text.find("-----BEGIN ENCRYPTED PRIVATE KEY") else {
        return PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsCause::Empty {
            path: path.to_owned(),
            what: "private key in PEM",
        });
    };
    let given = pass_phrase.ok_or_else(|| encrypted("pwkeyfile is not set"))?;
    // A path of a file with the pass phrase, or the pass phrase itself.
    let phrase = match bytes(Path::new(given.as_str())) {
        Ok(held) => {
            let held = std::str::from_utf8(&held).unwrap_or_default();
            Zeroizing::new(held.lines().next().unwrap_or_default().to_owned())
        }
        Err(_) => given.clone(),
    };
    let (_, der) =
        SecretDocument::from_pem(&text[begin..]).map_err(|_| encrypted("it cannot be read"))?;
    let info = EncryptedPrivateKeyInfoRef::try_from(der.as_bytes())
        .map_err(|_| encrypted("it cannot be read"))?;
    let key = info
        .decrypt(phrase.as_bytes())
        .map_err(|_| encrypted("the pass phrase does not open it, or its method is not known"))?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        key.as_bytes().to_vec(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(list: &[&str]) -> Vec<&'static str> {
        let list: Vec<String> = list.iter().map(|&name| name.to_owned()).collect();
        let offered = provider(&list, "ciphers").cipher_suites;
        let name = |suite: &SupportedCipherSuite| {
            let known = SUITES.iter().find(|(_, known)| *known == suite.suite());
            known.unwrap().0
        };
        let mut names: Vec<_> = offered.iter().map(name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_list_takes_away_what_it_is_about() {
        let mut all: Vec<_> = SUITES.iter().map(|(name, _)| *name).collect();
        all.sort_unstable();
        assert_eq!(offered(&[]), all);
        assert_eq!(offered(&["DES-CBC3-SHA", "AES128-SHA"]), all);
        let (older, newest) = ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_256_GCM_SHA384");
        let of_13 = |name: &&&str| name.starts_with("TLS_");
        let mut expected = vec![older];
        expected.extend(all.iter().filter(of_13));
        assert_eq!(offered(&["DES-CBC3-SHA", older]), expected);
        assert_eq!(offered(&[older, newest]), [older, newest]);
        assert_eq!(offered(&[newest]), [newest]);
    }
}

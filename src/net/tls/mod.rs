//! TLS: what both sides have in common, and a module for each.

mod ciphers;
pub mod client;
pub mod server;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use thiserror::Error;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::config::model::TlsVersions;
use crate::os::open_regular;
use ciphers::provider;

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

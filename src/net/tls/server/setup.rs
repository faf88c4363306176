//! What handshakes are done with, from what the files hold.

use std::io;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    ServerConfig, SignatureAlgorithm, SignatureScheme,
};

use super::super::{TlsCause, TlsError, at, certificates, folder, private_key, versions};
use crate::config::model::TlsServer;

/// Tells whether files that were written anew hold something else.
pub(super) type Digest = [u8; 32];

/// What was made of the files.
pub(super) struct Made {
    pub(super) server: Arc<ServerConfig>,
    pub(super) digest: Digest,
    /// What clients may miss.
    warning: Option<String>,
}

impl Made {
    /// Says so.
    pub(super) fn warn(&self) {
        if let Some(warning) = &self.warning {
            tracing::warn!("{warning}");
        }
    }
}

/// Reads the files.
pub(super) fn make(config: &TlsServer, provider: &Arc<CryptoProvider>) -> Result<Made, TlsError> {
    let at = |key: &str| at(format!("tls.{key}"));
    let mut digest = Sha256::new();
    let mut note = |bytes: &[u8]| {
        digest.update(bytes.len().to_be_bytes());
        digest.update(bytes);
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions(config.versions))
        .map_err(TlsCause::from)
        .map_err(at("cipher-list"))?;
    let builder = if config.verify_peer {
        let mut roots = RootCertStore::empty();
        let mut trusted = Vec::new();
        if let Some(path) = &config.ca_file {
            trusted.extend(certificates(path).map_err(at("ca-file"))?);
        }
        if let Some(path) = &config.ca_path {
            trusted.extend(folder(path).map_err(at("ca-path"))?);
        }
        // A folder has no order.
        let mut known: Vec<&[u8]> = trusted.iter().map(AsRef::as_ref).collect();
        known.sort_unstable();
        known.into_iter().for_each(&mut note);
        roots.add_parsable_certificates(trusted.iter().cloned());
        let provider = Arc::clone(provider);
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| {
                let key = config.ca_file.as_ref().map_or("ca-path", |_| "ca-file");
                at(key)(TlsCause::NothingTrusted { whom: "clients" })
            })?;
        builder.with_client_cert_verifier(Arc::new(Verifier {
            inner,
            trusted,
            depth: config.verify_depth,
        }))
    } else {
        builder.with_no_client_auth()
    };
    let mut chain = certificates(&config.certificate).map_err(at("certificate"))?;
    if let Some(path) = &config.chain {
        for more in certificates(path).map_err(at("certificate-chain"))? {
            // The chain's file may begin with the certificate itself.
            if !chain.contains(&more) {
                chain.push(more);
            }
        }
    }
    let key = match &config.key {
        Some(path) => private_key(path, None).map_err(at("key"))?,
        None => private_key(&config.certificate, None).map_err(at("certificate"))?,
    };
    chain.iter().for_each(|one| note(one));
    note(key.secret_der());
    let own = CertifiedKey::from_der(chain, key, provider)
        .map_err(TlsCause::from)
        .map_err(at("certificate"))?;
    let warning = useless(provider, own.key.algorithm());
    let server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    Ok(Made {
        server: Arc::new(server),
        digest: digest.finalize().into(),
        warning,
    })
}

/// What is to be said where suites of TLS 1.2 are offered and none can do anything with the key.
fn useless(provider: &CryptoProvider, key: SignatureAlgorithm) -> Option<String> {
    let mut older = provider
        .cipher_suites
        .iter()
        .filter(|suite| suite.tls13().is_none())
        .peekable();
    older.peek()?;
    if older.any(|suite| suite.usable_for_signature_algorithm(key)) {
        return None;
    }
    Some(format!(
        "tls.cipher-list: none of its suites of TLS 1.2 works with the certificate's key ({key:?}), \
         so TLS 1.3 alone is spoken"
    ))
}

/// The library's verifier, with a bound to how many certificates stand between a client's and one
/// that is trusted.
#[derive(Debug)]
struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    depth: usize,
}

/// A client's chain is longer than `verify-depth` allows.
#[derive(Clone, Debug, Error)]
#[error("certificates between the client's and a trusted one: {found}, and verify-depth is {most}")]
struct TooDeep {
    found: usize,
    most: usize,
}

/// What the library has no words of its own for.
pub(super) fn in_words(error: io::Error) -> io::Error {
    use rustls::Error::InvalidCertificate;
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let Some(InvalidCertificate(CertificateError::Other(other))) = cause else {
        return error;
    };
    match other.0.downcast_ref::<TooDeep>() {
        Some(words) => io::Error::new(error.kind(), words.clone()),
        None => error,
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let between = |one: &&CertificateDer<'_>| !self.trusted.contains(*one);
        let (found, most) = (intermediates.iter().filter(between).count(), self.depth);
        if found > most {
            let words = TooDeep { found, most };
            return Err(CertificateError::Other(OtherError(Arc::new(words))).into());
        }
        self.inner
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

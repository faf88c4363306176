//! TLS as a client: what is trusted, who this side is.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use thiserror::Error;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use zeroize::Zeroizing;

use crate::config::model::{TlsClient, TlsVersions};

/// TLS that cannot be set up.
#[derive(Debug, Error)]
#[error("{key}")]
pub struct TlsError {
    /// The file and the key path.
    key: String,
    #[source]
    cause: TlsCause,
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
    #[error("no certificate was found to verify the server with")]
    NothingTrusted,
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

/// Makes what a connection needs. Reads files; warns about what protects less than it could.
///
/// # Errors
/// [`TlsError`] names the key, and the file where it is about one.
pub fn client(config: &TlsClient) -> Result<Arc<ClientConfig>, TlsError> {
    let at = |key: &str| {
        let key = format!("{}.{key}", config.place);
        move |cause: TlsCause| TlsError { key, cause }
    };
    let provider = Arc::new(provider(config));
    let versions: &[&rustls::SupportedProtocolVersion] = match config.versions {
        TlsVersions::From12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersions::Only13 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(TlsCause::from)
        .map_err(at("tls.ciphers"))?;
    let verifier = verifier(config, provider)?;
    // Not dangerous where the verifier is the library's own with its own answer.
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut made = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).map_err(at("tls.certfile"))?;
            let key = private_key(key, config.pass_phrase.as_ref()).map_err(at("tls.keyfile"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(TlsCause::from)
                .map_err(at("tls.certfile"))?
        }
        _ => builder.with_no_client_auth(),
    };
    made.alpn_protocols = config
        .alpn
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Ok(Arc::new(made))
}

fn provider(config: &TlsClient) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let mut wanted = Vec::new();
    for name in &config.ciphers {
        match SUITES.iter().find(|(known, _)| known == name) {
            Some(&(_, suite)) => wanted.push(suite),
            None => tracing::warn!("{}.tls.ciphers: {name:?} is not available", config.place),
        }
    }
    if wanted.is_empty() {
        if !config.ciphers.is_empty() {
            tracing::warn!(
                "{}.tls.ciphers: none is available; all that are safe are offered",
                config.place
            );
        }
    } else {
        provider
            .cipher_suites
            .retain(|suite| wanted.contains(&suite.suite()));
    }
    provider
}

fn verifier(
    config: &TlsClient,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let at = |key: &str| {
        let key = format!("{}.{key}", config.place);
        move |cause: TlsCause| TlsError { key, cause }
    };
    let place = &config.place;
    if !config.check_certificate {
        tracing::warn!("{place}.tls.cert-reqs: 0 trusts whatever answers; anybody can listen in");
        return Ok(Arc::new(Unverified(provider)));
    }
    if !config.check_host {
        tracing::warn!("{place}.tls.no-hostname-checking: a certificate of any host is accepted");
    }
    let mut trusted = Vec::new();
    if let Some(path) = &config.ca_file {
        trusted.extend(certificates(path).map_err(at("tls.cafile"))?);
    }
    if let Some(path) = &config.ca_path {
        trusted.extend(folder(path).map_err(at("tls.capath"))?);
    }
    if config.os_certs || (config.ca_file.is_none() && config.ca_path.is_none()) {
        trusted.extend(rustls_native_certs::load_native_certs().certs);
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(trusted.iter().cloned());
    if ignored > 0 {
        tracing::debug!("{place}.tls: {ignored} of the trusted certificates cannot be used");
    }
    if added == 0 {
        return Err(at("tls")(TlsCause::NothingTrusted));
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| at("tls")(TlsCause::NothingTrusted))?;
    Ok(Arc::new(Verifier {
        inner,
        trusted,
        check_host: config.check_host,
    }))
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
    fs::read(path)
        .map(Zeroizing::new)
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
    let phrase = match fs::read_to_string(given.as_str()) {
        Ok(held) => Zeroizing::new(held.lines().next().unwrap_or_default().to_owned()),
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

/// The library's verifier, with two exceptions: a certificate that is itself among the trusted ones
/// needs no other to vouch for it, and where names are not checked any name will do.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    check_host: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError as Bad;
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The chain is looked at before the name.
            Err(rustls::Error::InvalidCertificate(
                Bad::NotValidForName | Bad::NotValidForNameContext { .. },
            )) if !self.check_host => Ok(ServerCertVerified::assertion()),
            Err(rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::Other(_)))
                if self.trusted.iter().any(|known| known == end_entity) =>
            {
                if self.check_host {
                    let certificate = ParsedCertificate::try_from(end_entity)?;
                    verify_server_name(&certificate, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
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

/// Any certificate, as long as the other side has its key.
struct Unverified(Arc<CryptoProvider>);

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

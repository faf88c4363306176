//! TLS as a server: certificates that may change while it runs, and who may come in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::{TlsCause, TlsError, certificates, folder, private_key, provider, versions};
use crate::config::model::TlsServer;
use crate::error::with_causes;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Accepts clients with the certificates that the files hold now.
#[derive(Debug)]
pub struct Acceptor {
    config: TlsServer,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    made: Arc<ServerConfig>,
    /// When each file was written.
    stamps: Vec<Option<SystemTime>>,
    looked: Instant,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the key, and the file where it is about one.
    pub fn new(config: TlsServer) -> Result<Self, TlsError> {
        let stamps = stamps(&config);
        let made = make(&config)?;
        let current = Mutex::new(Current {
            made,
            stamps,
            looked: Instant::now(),
        });
        Ok(Self { config, current })
    }

    /// The handshake with one client.
    ///
    /// # Errors
    /// What the library says, or that it took too long.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(self.current()).accept(stream);
        tokio::time::timeout(HANDSHAKE, handshake)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    /// The common name of the client's certificate, where it is to log in.
    #[must_use]
    pub fn user_of<S>(&self, stream: &TlsStream<S>) -> Option<String> {
        if !self.config.user_from_certificate {
            return None;
        }
        let certificates = stream.get_ref().1.peer_certificates()?;
        common_name(certificates.first()?)
    }

    /// New files count for whoever comes from now on; broken ones leave the old in place.
    fn current(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let stamps = stamps(&self.config);
            if stamps != current.stamps {
                current.stamps = stamps;
                match make(&self.config) {
                    Ok(made) => {
                        current.made = made;
                        tracing::info!("new certificates are in use");
                    }
                    Err(error) => tracing::error!(
                        "the new certificates cannot be used, the old ones stay: {}",
                        with_causes(&error)
                    ),
                }
            }
        }
        Arc::clone(&current.made)
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let name = certificate.tbs_certificate().subject().common_name().ok()?;
    Some(name?.value().into_owned())
}

fn files(config: &TlsServer) -> impl Iterator<Item = &PathBuf> {
    let certificate = std::iter::once(&config.certificate);
    certificate
        .chain(&config.key)
        .chain(&config.chain)
        .chain(&config.ca_file)
        .chain(&config.ca_path)
}

fn stamps(config: &TlsServer) -> Vec<Option<SystemTime>> {
    let written = |path: &PathBuf| {
        std::fs::metadata(path)
            .and_then(|file| file.modified())
            .ok()
    };
    let inside = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        inside.sort();
        inside
    };
    // A file that is rewritten where it is leaves its folder as it was.
    let all = files(config).cloned();
    all.chain(config.ca_path.iter().flat_map(inside))
        .map(|path| written(&path))
        .collect()
}

fn make(config: &TlsServer) -> Result<Arc<ServerConfig>, TlsError> {
    let at = |key: &str| super::at(format!("tls.{key}"));
    let provider = Arc::new(provider(&config.ciphers, "tls.cipher-list"));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
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
        roots.add_parsable_certificates(trusted);
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| at("ca-file")(TlsCause::NothingTrusted))?;
        builder.with_client_cert_verifier(Arc::new(Verifier {
            inner,
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
    let made = builder
        .with_single_cert(chain, key)
        .map_err(TlsCause::from)
        .map_err(at("certificate"))?;
    Ok(Arc::new(made))
}

/// The library's verifier, with a bound to how many certificates stand between a client's and one
/// that is trusted.
#[derive(Debug)]
struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    depth: usize,
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
        if intermediates.len() > self.depth {
            return Err(CertificateError::UnknownIssuer.into());
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::config::model::TlsVersions;

    #[test]
    fn a_file_that_is_rewritten_inside_a_folder_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ca.pem");
        fs::write(&path, "one").unwrap();
        let config = TlsServer {
            certificate: "nothing".into(),
            key: None,
            chain: None,
            verify_peer: true,
            user_from_certificate: false,
            ca_file: None,
            ca_path: Some(place.path().to_owned()),
            verify_depth: 9,
            versions: TlsVersions::default(),
            ciphers: Vec::new(),
        };
        let before = stamps(&config);
        assert_eq!(before, stamps(&config));
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(5))
            .unwrap();
        assert_ne!(before, stamps(&config));
    }
}

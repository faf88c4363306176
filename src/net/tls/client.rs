//! TLS as a client: what is trusted, who this side is.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::{TlsCause, TlsError, certificates, folder, private_key, provider, versions};
use crate::config::model::TlsClient;

const NOTHING_TRUSTED: TlsCause = TlsCause::NothingTrusted { whom: "the server" };

/// Makes what a connection needs. Reads files; warns about what protects less than it could.
///
/// # Errors
/// [`TlsError`] names the key, and the file where it is about one.
pub fn config(config: &TlsClient) -> Result<Arc<ClientConfig>, TlsError> {
    let at = |key: &str| super::at(format!("{}.{key}", config.place));
    let key = format!("{}.tls.ciphers", config.place);
    let provider = Arc::new(provider(&config.ciphers, &key));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config.versions))
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

fn verifier(
    config: &TlsClient,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let at = |key: &str| super::at(format!("{}.{key}", config.place));
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
        return Err(at("tls")(NOTHING_TRUSTED));
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| at("tls")(NOTHING_TRUSTED))?;
    Ok(Arc::new(Verifier {
        inner,
        trusted,
        check_host: config.check_host,
    }))
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

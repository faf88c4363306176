//! TLS as a server: certificates that may change while it runs, and who may come in.

mod setup;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::{TlsError, provider};
use crate::config::model::TlsServer;
use crate::error::with_causes;
use crate::files::{Seen, settled};
use setup::{Digest, Made, in_words, make};

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the second of two files may come after the first before that is an error: a
/// certificate and its key are renewed one after the other.
const SECOND: Duration = Duration::from_millis(500);
/// How long files that cannot be used wait for the next try, though they look the same.
const AGAIN: Duration = Duration::from_secs(5);

/// Accepts clients with the certificates that the files hold now.
#[derive(Debug)]
pub struct Acceptor {
    config: TlsServer,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

/// What handshakes are done with.
#[derive(Clone, Debug)]
struct Current {
    made: Arc<ServerConfig>,
    /// What it was made of.
    digest: Digest,
    /// How the files looked before they were read.
    seen: Seen,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the key, and the file where it is about one.
    pub fn new(config: TlsServer) -> Result<Self, TlsError> {
        let provider = Arc::new(provider(&config.ciphers, "tls.cipher-list"));
        let seen = look(&config);
        let made = make(&config, &provider)?;
        made.warn();
        let current = Current {
            made: made.server,
            digest: made.digest,
            seen,
        };
        Ok(Self {
            config,
            provider,
            current: RwLock::new(current),
        })
    }

    /// The handshake with one client.
    ///
    /// # Errors
    /// What the library says, or that it took too long.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let made = self.current(|current| Arc::clone(&current.made));
        let handshake = TlsAcceptor::from(made).accept(stream);
        tokio::time::timeout(HANDSHAKE, handshake)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(in_words)
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

    /// Looks at the files until `stop`, off the threads that serve clients. What is new counts for
    /// whoever comes from then on; what is broken leaves the old in place.
    pub async fn renew(self: Arc<Self>, stop: CancellationToken) {
        let looks = async {
            let mut seen = self.current(|current| current.seen.clone());
            let mut trouble = String::new();
            let mut due = None;
            loop {
                sleep(LOOK).await;
                let now = self.look().await;
                if now == seen && due.is_none_or(|due| Instant::now() < due) {
                    continue;
                }
                let (looked, read) = self.read_settled(now).await;
                due = read.is_err().then(|| Instant::now() + AGAIN);
                self.take(read, looked.clone(), &mut trouble);
                seen = looked;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = looks => {}
        }
    }

    /// Reads the files once nobody writes them, and gives how they looked before that.
    async fn read_settled(self: &Arc<Self>, first: Seen) -> (Seen, Result<Made, String>) {
        let seen = settled(first, || self.look()).await;
        let read = self.read().await;
        if read.is_ok() {
            return (seen, read);
        }
        sleep(SECOND).await;
        let later = self.look().await;
        if later == seen {
            return (seen, read);
        }
        let seen = settled(later, || self.look()).await;
        (seen, self.read().await)
    }

    /// Uses what was read; what is another, or wrong, is said once.
    fn take(&self, read: Result<Made, String>, seen: Seen, trouble: &mut String) {
        let made = match read {
            Ok(made) => made,
            Err(why) => {
                if *trouble != why {
                    tracing::error!(
                        "the new certificates cannot be used, the old ones stay: {why}"
                    );
                    *trouble = why;
                }
                return;
            }
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let same = current.digest == made.digest;
        current.seen = seen;
        if !same {
            current.made = Arc::clone(&made.server);
            current.digest = made.digest;
        }
        drop(current);
        if !same {
            made.warn();
            tracing::info!("new certificates are in use");
        } else if !trouble.is_empty() {
            tracing::info!("the certificates can be used again; they are those in use");
        }
        trouble.clear();
    }

    fn current<T>(&self, of: impl FnOnce(&Current) -> T) -> T {
        of(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look(self: &Arc<Self>) -> Seen {
        let this = Arc::clone(self);
        let looked = spawn_blocking(move || look(&this.config)).await;
        looked.unwrap_or_default()
    }

    async fn read(self: &Arc<Self>) -> Result<Made, String> {
        let this = Arc::clone(self);
        let read = spawn_blocking(move || make(&this.config, &this.provider)).await;
        match read {
            Ok(read) => read.map_err(|error| with_causes(&error)),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let name = certificate.tbs_certificate().subject().common_name().ok()?;
    Some(name?.value().into_owned())
}

/// How the files look, those inside the folder as well: one that is rewritten where it is leaves
/// its folder as it was.
fn look(config: &TlsServer) -> Seen {
    let inside = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        inside.sort();
        inside
    };
    let files: Vec<PathBuf> = std::iter::once(&config.certificate)
        .chain(&config.key)
        .chain(&config.chain)
        .chain(&config.ca_file)
        .chain(&config.ca_path)
        .cloned()
        .chain(config.ca_path.iter().flat_map(inside))
        .collect();
    Seen::now(&files)
}

#[cfg(test)]
mod tests;

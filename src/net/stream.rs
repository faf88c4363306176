//! A way to a server: a socket, with TLS or without.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, or address, as certificates have it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The address of this machine to connect from.
    pub bind: Option<IpAddr>,
    /// TLS, where it is spoken there.
    pub tls: Option<Arc<ClientConfig>>,
    /// Small packets leave at once.
    pub nodelay: bool,
}

/// Why a server cannot be reached.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The handshake.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// A name that no certificate can have.
    #[error("the host name cannot be in a certificate")]
    Name(#[from] InvalidDnsNameError),
}

impl Route {
    /// Connects to one address of the server.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn connect(&self, address: SocketAddr) -> Result<Box<dyn Stream>, StreamError> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(own) = self.bind {
            socket.bind(SocketAddr::new(own, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(self.nodelay)?;
        super::accept::keep_alive(&stream)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.host.clone())?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let secured = connector.connect(name, stream).await;
        Ok(Box::new(secured.map_err(StreamError::Tls)?))
    }
}

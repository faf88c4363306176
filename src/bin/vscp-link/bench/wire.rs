//! Connections to the server and the broker, many of them in one thread.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::input::{Input, TooLong};
use super::mqtt::BrokerError;
use crate::address::Address;
use crate::client::ClientError;
use crate::failure::{Failure, chain, printable, without};
use crate::login::Login;

/// Bytes of a buffer for answers to commands.
const ANSWER_SIZE: usize = 512;

/// A connection, with TLS or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A connection, with TLS or not.
pub(super) type Wire = Box<dyn Duplex>;

/// Why a conversation ended before its time.
#[derive(Debug, Error)]
pub(super) enum BenchError {
    /// With the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// With the broker.
    #[error("the broker {0}")]
    Broker(String, #[source] Box<BrokerError>),
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Client(error) => Self::Client(error),
            broker => Self::problem(chain(&broker)),
        }
    }
}

/// Where connections lead to; the name is looked up once.
pub(super) struct Place {
    pub(super) address: Address,
    found: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    pub(super) timeout: Duration,
}

impl Place {
    /// # Errors
    /// Where the name is unknown.
    pub(super) fn new(
        address: &Address,
        tls: Option<&Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let lookup = |error| ClientError::Lookup(address.clone(), error);
        let found = (address.host.as_str(), address.port)
            .to_socket_addrs()
            .map_err(lookup)?
            .collect();
        let tls = match tls.filter(|_| address.secure) {
            None => None,
            Some(tls) => {
                let name = ServerName::try_from(address.host.clone());
                let name = name.map_err(|error| lookup(io::Error::other(error)))?;
                Some((TlsConnector::from(Arc::clone(tls)), name))
            }
        };
        Ok(Self {
            address: address.clone(),
            found,
            tls,
            timeout,
        })
    }

    /// A new connection, to the first address that answers.
    ///
    /// # Errors
    /// Where nobody is there.
    pub(super) async fn connect(&self) -> Result<Wire, ClientError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for one in &self.found {
            match timeout(self.timeout, self.connect_to(*one)).await {
                Ok(Ok(wire)) => return Ok(wire),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(ClientError::Connect(self.address.clone(), last))
    }

    async fn connect_to(&self, to: SocketAddr) -> io::Result<Wire> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        })
    }
}

/// A session of the link.
pub(super) struct Link {
    pub(super) wire: Wire,
    /// What came behind the last answer.
    pub(super) input: Input,
    timeout: Duration,
}

impl Link {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Where the server is not there, is none, or says no.
    pub(super) async fn open(place: &Place, login: &Login) -> Result<Self, ClientError> {
        let mut link = Self {
            wire: place.connect().await?,
            input: Input::new(ANSWER_SIZE),
            timeout: place.timeout,
        };
        let (ok, greeting) = link.answer().await?;
        if !ok {
            return Err(ClientError::Unwelcome(greeting));
        }
        for (command, word) in [("USER", login.user()), ("PASS", login.password())] {
            let (ok, status) = link.ask(&[command, word]).await?;
            if !ok {
                return Err(ClientError::Login(without(&status, login.password())));
            }
        }
        Ok(link)
    }

    /// A command that must not fail.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where the server says no.
    pub(super) async fn demand(&mut self, command: &'static str) -> Result<(), ClientError> {
        match self.ask(&[command]).await? {
            (true, _) => Ok(()),
            (false, status) => Err(ClientError::Refused(command, status)),
        }
    }

    async fn ask(&mut self, words: &[&str]) -> Result<(bool, String), ClientError> {
        if words.iter().any(|word| word.contains(['\r', '\n'])) {
            return Err(ClientError::LineBreak);
        }
        let line = zeroize::Zeroizing::new(words.join(" ") + "\r\n");
        say(&mut self.wire, line.as_bytes(), self.timeout).await?;
        self.answer().await
    }

    /// Lines up to a status line: whether it is good, and what it says.
    async fn answer(&mut self) -> Result<(bool, String), ClientError> {
        let answer = async {
            loop {
                while let Some(line) = self.input.line() {
                    if line.starts_with(b"+OK") || line.starts_with(b"-OK") {
                        let text = printable(&String::from_utf8_lossy(line));
                        return Ok((line[0] == b'+', text));
                    }
                }
                let room = self.input.room().map_err(too_long)?;
                match self.wire.read(room).await {
                    Ok(0) => return Err(ClientError::Closed),
                    Ok(count) => self.input.filled(count),
                    Err(error) => return Err(ClientError::of(error, self.timeout)),
                }
            }
        };
        let answered = timeout(self.timeout, answer).await;
        answered.unwrap_or(Err(ClientError::Silent(self.timeout)))
    }
}

/// Writes bytes.
///
/// # Errors
/// Where they cannot be written in time.
pub(super) async fn say(
    wire: &mut Wire,
    bytes: &[u8],
    patience: Duration,
) -> Result<(), ClientError> {
    let write = async {
        wire.write_all(bytes).await?;
        wire.flush().await
    };
    match timeout(patience, write).await {
        Ok(end) => end.map_err(|error| ClientError::of(error, patience)),
        Err(_) => Err(ClientError::Silent(patience)),
    }
}

/// Of a line that has no end.
pub(super) fn too_long(_: TooLong) -> ClientError {
    ClientError::TooLong(1024 * 1024, "bytes")
}

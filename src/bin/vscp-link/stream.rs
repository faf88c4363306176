//! The connection under every protocol: TCP or TLS, with a deadline for what is read and written.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::address::Address;
use crate::client::ClientError;

/// What a connection runs over.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

impl Stream {
    /// Connects to the first address that answers. `timeout` is for each of them, and for what is
    /// written and read until [`until`](Self::until) says otherwise.
    ///
    /// # Errors
    /// Where the name is unknown, or nobody is there.
    pub(crate) fn open(
        address: &Address,
        tls: Option<&Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let connect_error = |error| ClientError::Connect(address.clone(), error);
        let found = (address.host.as_str(), address.port)
            .to_socket_addrs()
            .map_err(|e| ClientError::Lookup(address.clone(), e))?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for one in found {
            match TcpStream::connect_timeout(&one, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let socket = Socket {
                        stream,
                        deadline: Instant::now() + timeout,
                    };
                    return match tls {
                        None => Ok(Self::Plain(socket)),
                        Some(tls) => secure(socket, &address.host, tls).map_err(connect_error),
                    };
                }
                Err(error) => last = error,
            }
        }
        Err(connect_error(last))
    }

    /// What is read and written from now on ends at `deadline`, with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(crate) fn until(&mut self, deadline: Instant) {
        match self {
            Self::Plain(socket) => socket.deadline = deadline,
            Self::Tls(stream) => stream.get_mut().deadline = deadline,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn secure(socket: Socket, host: &str, tls: &Arc<ClientConfig>) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
}

/// A socket with a deadline. It lies under TLS and websockets, which read as often as they need
/// for a record or a message: a peer that sends byte by byte must not stretch it.
pub(crate) struct Socket {
    stream: TcpStream,
    deadline: Instant,
}

impl Socket {
    fn left(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::WouldBlock.into()),
            left => Ok(left),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(bytes)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// True where nothing could be read or written in time.
pub(crate) fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

//! The link protocol from the client's side, on a blocking socket
//! (VSCP specification, "VSCP over TCP/IP").

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use vscpl2drv_link::wire::binary::Cipher;

use crate::failure::printable;
use crate::frames::{FrameError, Frames};
use crate::login::Address;

/// Bytes of a line; the longest event has about 2700.
const LINE_MAX: usize = 16 * 1024;
/// Lines of an answer.
const REPLY_MAX: usize = 1024;

/// Why a conversation with a server failed.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// The name is unknown, or cannot be looked up.
    #[error("{0} cannot be found")]
    Lookup(Address, #[source] io::Error),
    /// Nobody answers there.
    #[error("no connection to {0}")]
    Connect(Address, #[source] io::Error),
    /// The server greets with a refusal: it has no room.
    #[error("the server refuses connections: {0}")]
    Unwelcome(String),
    /// Wrong user or password, or this machine may not log in.
    #[error("the login was refused: {0}")]
    Login(String),
    /// Another command was refused.
    #[error("{0} was refused: {1}")]
    Refused(&'static str, String),
    /// The connection is gone.
    #[error("the server closed the connection")]
    Closed,
    /// Nothing came for too long.
    #[error("the server said nothing for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// A line or an answer of a length that the protocol does not have.
    #[error("the server sent more than {0} {1} without an end")]
    TooLong(usize, &'static str),
    /// What was to be sent would be two commands.
    #[error("a command cannot have a line break in it")]
    LineBreak,
    /// The binary mode failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

/// A server's answer to a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// True for `+OK`.
    pub(crate) ok: bool,
    /// The last line, safe to print.
    pub(crate) status: String,
    /// The lines before it.
    pub(crate) lines: Vec<String>,
}

/// A connection to a link server.
pub(crate) struct Client {
    stream: Stream,
    input: Lines,
    /// In the binary mode.
    frames: Option<Frames>,
    timeout: Duration,
}

/// What a connection runs over.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

impl Client {
    /// Connects to the first address that answers and reads the greeting. `timeout` is for each
    /// address, and for each answer from then on.
    ///
    /// # Errors
    /// Where nobody is there, somebody else is, or the server has no room.
    pub(crate) fn connect(
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
                    let stream = match tls {
                        None => Stream::Plain(stream),
                        Some(tls) => secure(stream, &address.host, tls).map_err(connect_error)?,
                    };
                    return Self::greet(stream, timeout);
                }
                Err(error) => last = error,
            }
        }
        Err(connect_error(last))
    }

    fn greet(stream: Stream, timeout: Duration) -> Result<Self, ClientError> {
        stream.socket().set_nodelay(true)?;
        stream.socket().set_write_timeout(Some(timeout))?;
        let mut client = Self {
            stream,
            input: Lines::default(),
            frames: None,
            timeout,
        };
        let greeting = client.reply()?;
        if !greeting.ok {
            return Err(ClientError::Unwelcome(greeting.status));
        }
        Ok(client)
    }

    /// Goes on in frames.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where the server does not offer it.
    pub(crate) fn go_binary(&mut self, cipher: Cipher) -> Result<(), ClientError> {
        self.demand("BINARY", &["BINARY"])?;
        self.frames = Some(Frames::new(cipher));
        Ok(())
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`ClientError::Login`] with the server's words where it says no.
    pub(crate) fn login(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        for (command, word) in [("USER", user), ("PASS", password)] {
            let reply = self.command(&[command, word])?;
            if !reply.ok {
                return Err(ClientError::Login(reply.status));
            }
        }
        Ok(())
    }

    /// Sends a command, its words with blanks between them, and waits for the answer.
    ///
    /// # Errors
    /// Not for `-OK`: that is an answer.
    pub(crate) fn command(&mut self, words: &[&str]) -> Result<Reply, ClientError> {
        if words.iter().any(|word| word.contains(['\r', '\n'])) {
            return Err(ClientError::LineBreak);
        }
        if let Some(frames) = &mut self.frames {
            return match frames.command(words)? {
                Some(frame) => {
                    self.stream.write_all(&frame)?;
                    self.reply()
                }
                None => Ok(Reply {
                    ok: true,
                    status: String::new(),
                    lines: Vec::new(),
                }),
            };
        }
        let line = zeroize::Zeroizing::new(words.join(" ") + "\r\n");
        self.stream.write_all(line.as_bytes())?;
        self.reply()
    }

    /// [`command`](Self::command) for those that must not fail; `name` is for the error.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where the server says no.
    pub(crate) fn demand(
        &mut self,
        name: &'static str,
        words: &[&str],
    ) -> Result<Reply, ClientError> {
        let reply = self.command(words)?;
        if !reply.ok {
            return Err(ClientError::Refused(name, reply.status));
        }
        Ok(reply)
    }

    /// Ends the session politely. The answer is waited for, so that the server has read everything.
    pub(crate) fn quit(mut self) {
        let _ = self.command(&["QUIT"]);
    }

    fn reply(&mut self) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let mut lines = Vec::new();
        loop {
            let line = self.line(deadline, self.timeout)?;
            if line.starts_with("+OK") || line.starts_with("-OK") {
                return Ok(Reply {
                    ok: line.starts_with('+'),
                    status: printable(&line),
                    lines,
                });
            }
            if lines.len() == REPLY_MAX {
                return Err(ClientError::TooLong(REPLY_MAX, "lines"));
            }
            lines.push(line);
        }
    }

    /// The next line, whatever it is, which must come within `patience`.
    ///
    /// # Errors
    /// [`ClientError::Silent`] where it does not.
    pub(crate) fn next_line(&mut self, patience: Duration) -> Result<String, ClientError> {
        self.line(Instant::now() + patience, patience)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        match &mut self.frames {
            None => self.input.push(bytes),
            Some(frames) => {
                let (lines, answers) = frames.take(bytes)?;
                self.input.push(&lines);
                if !answers.is_empty() {
                    self.stream.write_all(&answers)?;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, deadline: Instant, patience: Duration) -> Result<String, ClientError> {
        loop {
            if let Some(line) = self.input.next()? {
                return Ok(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::Silent(patience));
            }
            self.stream.socket().set_read_timeout(Some(left))?;
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.take(&chunk[..count])?,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(ClientError::Silent(patience));
                    }
                    io::ErrorKind::ConnectionReset => return Err(ClientError::Closed),
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

fn secure(stream: TcpStream, host: &str, tls: &Arc<ClientConfig>) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
}

/// Bytes that become lines.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins; what is before it has been taken.
    start: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// A whole line without its end, LF or CR LF; `None` where there is none yet.
    fn next(&mut self) -> Result<Option<String>, ClientError> {
        let rest = &self.bytes[self.start..];
        let end = memchr::memchr(b'\n', rest);
        if end.unwrap_or(rest.len()) > LINE_MAX {
            return Err(ClientError::TooLong(LINE_MAX, "bytes"));
        }
        let Some(end) = end else {
            return Ok(None);
        };
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = String::from_utf8_lossy(line).into_owned();
        self.start += end + 1;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_come_whole_wherever_they_are_cut() {
        let text = b"one\r\n\r\ntwo\nthr\xC3\xA9\xC3\r\nrest";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            lines.push(&text[..cut]);
            let mut found = all(&mut lines);
            lines.push(&text[cut..]);
            found.extend(all(&mut lines));
            assert_eq!(found, ["one", "", "two", "thré\u{FFFD}"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_MAX]);
        assert!(lines.next().unwrap().is_none());
        lines.push(b"x");
        assert!(matches!(lines.next(), Err(ClientError::TooLong(..))));
    }
}

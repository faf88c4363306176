//! The link protocol from the client's side (VSCP specification, "VSCP over TCP/IP"), and what
//! else is translated to its words and lines.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use thiserror::Error;
use vscpl2drv_link::wire::binary::Cipher;
use vscpl2drv_link::wire::link::frames::{FrameError, Frames};
use zeroize::Zeroizing;

use crate::address::{Address, Place};
use crate::failure::{printable, without};
use crate::lines::Lines;
use crate::messages::{Key, Messages};
use crate::no_websocket::WebError;
use crate::stream::{Stream, is_late};
use crate::websocket::Socket;

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
    /// It answers what nobody has asked.
    #[error("the server sent more answers than it got commands")]
    TooMany,
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
    /// The websocket failed.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl ClientError {
    /// Why nothing could be read or written, after a wait for as long as `patience`.
    pub(crate) fn of(error: io::Error, patience: Duration) -> Self {
        match error.kind() {
            _ if is_late(&error) => Self::Silent(patience),
            io::ErrorKind::ConnectionReset => Self::Closed,
            _ => error.into(),
        }
    }
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

impl Reply {
    /// To what is not sent yet.
    fn nothing() -> Self {
        Self {
            ok: true,
            status: String::new(),
            lines: Vec::new(),
        }
    }
}

/// A connection to a server.
pub(crate) struct Client {
    way: Way,
    /// Of a link.
    input: Lines,
    timeout: Duration,
}

/// Which protocol a connection speaks.
enum Way {
    /// The link's, in lines or, in the binary mode, in frames.
    Link(Stream, Option<Box<Frames>>),
    /// That of websockets.
    Web(Box<Socket>, Messages),
}

impl Client {
    /// A link: reads the greeting. `timeout` is for each answer.
    ///
    /// # Errors
    /// Where somebody else is there, or the server has no room.
    pub(crate) fn link(stream: Stream, timeout: Duration) -> Result<Self, ClientError> {
        let mut client = Self {
            way: Way::Link(stream, None),
            input: Lines::default(),
            timeout,
        };
        let greeting = client.reply()?;
        if !greeting.ok {
            return Err(ClientError::Unwelcome(greeting.status));
        }
        Ok(client)
    }

    /// A link that goes on in frames.
    ///
    /// # Errors
    /// As [`link`](Self::link), and [`ClientError::Refused`] where the server does not offer it.
    pub(crate) fn binary(
        stream: Stream,
        cipher: Cipher,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let mut client = Self::link(stream, timeout)?;
        client.demand("BINARY", &["BINARY"])?;
        if let Way::Link(_, frames) = &mut client.way {
            *frames = Some(Box::new(Frames::new(cipher)));
        }
        Ok(client)
    }

    /// A websocket: opens it and waits for the session id.
    ///
    /// # Errors
    /// [`ClientError::Web`], mostly, where the server has none there.
    pub(crate) fn web(
        stream: Stream,
        address: &Address,
        place: &Place,
        key: Key,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let mut socket = Socket::open(stream, address, place, timeout)?;
        let deadline = Instant::now() + timeout;
        let greeting = loop {
            match socket.read(deadline, timeout) {
                Ok(Some(text)) => break text,
                Ok(None) => {}
                Err(ClientError::Silent(_)) => {
                    return Err(WebError::NoGreeting(place.path.clone(), timeout).into());
                }
                Err(ClientError::Closed) => {
                    return Err(WebError::NotGreeted(place.path.clone()).into());
                }
                Err(error) => return Err(error),
            }
        };
        let messages = Messages::new(place.dialect, key, &greeting).map_err(WebError::from)?;
        Ok(Self {
            way: Way::Web(Box::new(socket), messages),
            input: Lines::default(),
            timeout,
        })
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`ClientError::Login`] with the server's words where it says no.
    pub(crate) fn login(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        for (command, word) in [("USER", user), ("PASS", password)] {
            let reply = self.command(&[command, word])?;
            if !reply.ok {
                let words = without(&reply.status, password);
                return Err(match &self.way {
                    Way::Link(..) => ClientError::Login(words),
                    Way::Web(..) => WebError::Login(words).into(),
                });
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
        let (deadline, patience) = (Instant::now() + self.timeout, self.timeout);
        match &mut self.way {
            Way::Link(stream, frames) => {
                let bytes = match frames {
                    None => Some(Zeroizing::new((words.join(" ") + "\r\n").into_bytes())),
                    Some(frames) => frames.command(words)?.map(Zeroizing::new),
                };
                let Some(bytes) = bytes else {
                    return Ok(Reply::nothing());
                };
                stream.until(deadline);
                let sent = stream.write_all(&bytes).and_then(|()| stream.flush());
                sent.map_err(|error| ClientError::of(error, patience))?;
            }
            Way::Web(socket, messages) => match messages.command(words).map_err(WebError::from)? {
                Some(message) => socket.send(message, deadline, patience)?,
                None => return Ok(Reply::nothing()),
            },
        }
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
        let deadline = Instant::now() + self.timeout;
        match &mut self.way {
            Way::Link(..) => drop(self.command(&["QUIT"])),
            Way::Web(socket, _) => socket.close(deadline),
        }
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
        let half = Instant::now() + patience / 2;
        let whole = Instant::now() + patience;
        if let Way::Link(..) = self.way {
            return self.line(whole, patience);
        }
        // A websocket may have nothing to say for hours: it is asked whether it still lives.
        match self.line(half, patience) {
            Err(ClientError::Silent(_)) => {
                if let Way::Web(socket, _) = &mut self.way {
                    socket.ping(whole, patience)?;
                }
                self.line(whole, patience)
            }
            found => found,
        }
    }

    fn line(&mut self, deadline: Instant, patience: Duration) -> Result<String, ClientError> {
        match &mut self.way {
            Way::Web(socket, messages) => match socket.read(deadline, patience)? {
                Some(text) => Ok(messages.line(&text).map_err(WebError::from)?),
                None => Ok(String::new()),
            },
            Way::Link(stream, frames) => loop {
                if let Some(line) = self.input.next()? {
                    return Ok(line);
                }
                stream.until(deadline);
                let mut chunk = [0; 4096];
                let bytes = match stream.read(&mut chunk) {
                    Ok(0) => return Err(ClientError::Closed),
                    Ok(count) => &chunk[..count],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(ClientError::of(error, patience)),
                };
                let Some(frames) = frames else {
                    self.input.push(bytes);
                    continue;
                };
                let (lines, answers) = frames.take(bytes)?;
                self.input.push(&lines);
                if !answers.is_empty() {
                    let sent = stream.write_all(&answers).and_then(|()| stream.flush());
                    sent.map_err(|error| ClientError::of(error, patience))?;
                }
            },
        }
    }
}

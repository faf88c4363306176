//! One connection to the far end (VSCP specification, "VSCP over TCP/IP").

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use super::RemoteError;
use crate::event::{Event, Tag};
use crate::net::lookup;
use crate::net::stream::{Route, Stream};
use crate::wire::binary::Cipher;
use crate::wire::line::{Line, LineReader};
use crate::wire::link::frames::Frames;
use crate::wire::link::numbered;

/// Bytes of a line; the longest event has about 2700.
const LINE: usize = 16 * 1024;
/// Lines of an answer.
const LINES: usize = 1100;
/// How long a name may take to be looked up, and an address to be connected to.
const REACH: Duration = Duration::from_secs(10);
/// Room for what comes.
const CHUNK: usize = 16 * 1024;

/// What a connection needs.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) route: Route,
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
    /// The binary mode is spoken.
    pub(super) cipher: Option<Cipher>,
    /// For each answer.
    pub(super) patience: Duration,
}

/// The far end's answer to a command.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// True for `+OK`.
    pub(super) ok: bool,
    /// The last line, without what cannot be printed.
    pub(super) status: String,
    /// The lines before it.
    pub(super) lines: Vec<String>,
}

/// A connection that stands, and is logged in.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    input: LineReader,
    raw: BytesMut,
    out: BytesMut,
    /// Something was written that TLS may have kept back.
    unflushed: bool,
    frames: Option<Box<Frames>>,
    patience: Duration,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(terms: &Terms) -> Result<Self, RemoteError> {
        let route = &terms.route;
        let addresses = lookup::addresses(&route.host, route.port, REACH)
            .await
            .map_err(RemoteError::Lookup)?;
        let mut failed = RemoteError::Unreachable(REACH);
        for address in addresses {
            match timeout(REACH, route.connect(address)).await {
                Ok(Ok(stream)) => return Self::begin(stream, terms).await,
                Ok(Err(error)) => failed = RemoteError::Connect(error),
                Err(_) => failed = RemoteError::Unreachable(REACH),
            }
        }
        Err(failed)
    }

    /// Reads the greeting and logs in.
    pub(super) async fn begin(stream: Box<dyn Stream>, terms: &Terms) -> Result<Self, RemoteError> {
        let mut connection = Self {
            stream,
            input: LineReader::default(),
            raw: BytesMut::new(),
            out: BytesMut::new(),
            unflushed: false,
            frames: None,
            patience: terms.patience,
        };
        let greeting = connection.reply().await?;
        if !greeting.ok {
            return Err(RemoteError::Unwelcome(greeting.status));
        }
        if let Some(cipher) = &terms.cipher {
            connection.demand("BINARY", &["BINARY"]).await?;
            connection.frames = Some(Box::new(Frames::new(cipher.clone())));
        }
        for (command, word) in [("USER", &*terms.user), ("PASS", &*terms.password)] {
            let reply = connection.ask(&[command, word]).await?;
            if !reply.ok {
                return Err(RemoteError::Login(without(reply.status, &terms.password)));
            }
        }
        Ok(connection)
    }

    /// Sends a command, its words with blanks between them, and waits for the answer.
    pub(super) async fn ask(&mut self, words: &[&str]) -> Result<Reply, RemoteError> {
        if !self.put(words)? {
            return Ok(Reply {
                ok: true,
                ..Reply::default()
            });
        }
        match timeout(self.patience, self.flush()).await {
            Ok(written) => written?,
            Err(_) => return Err(RemoteError::Silent(self.patience)),
        }
        self.reply().await
    }

    /// Puts a command down, which is written when something is waited for. False where it is said
    /// along with the next one.
    pub(super) fn put(&mut self, words: &[&str]) -> Result<bool, RemoteError> {
        match &mut self.frames {
            None => {
                for (at, word) in words.iter().enumerate() {
                    if at > 0 {
                        self.out.extend_from_slice(b" ");
                    }
                    self.out.extend_from_slice(word.as_bytes());
                }
                self.out.extend_from_slice(b"\r\n");
            }
            Some(frames) => match frames.command(words)? {
                Some(bytes) => self.out.extend_from_slice(&bytes),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// The same with an event of a link.
    pub(super) fn put_event(
        &mut self,
        number: u64,
        tag: Tag,
        event: &Event,
    ) -> Result<(), RemoteError> {
        let out = &mut self.out;
        match &mut self.frames {
            None => {
                let mut line = b"XSEND ".to_vec();
                numbered::write(number, tag, event, &mut line);
                line.extend_from_slice(b"\r\n");
                out.extend_from_slice(&line);
            }
            Some(frames) => out.extend_from_slice(&frames.link_event(number, tag, event)?),
        }
        Ok(())
    }

    /// True in the binary mode.
    pub(super) fn is_binary(&self) -> bool {
        self.frames.is_some()
    }

    /// How long the far end may take for an answer.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// [`ask`](Self::ask) for commands that must not fail.
    pub(super) async fn demand(
        &mut self,
        name: &'static str,
        words: &[&str],
    ) -> Result<Reply, RemoteError> {
        let reply = self.ask(words).await?;
        match reply.ok {
            true => Ok(reply),
            false => Err(RemoteError::Refused(name, reply.status)),
        }
    }

    /// Ends the session politely.
    pub(super) async fn quit(mut self) {
        // Whatever comes of it: all is said.
        let _ = self.ask(&["QUIT"]).await;
        let _ = self.stream.shutdown().await;
    }

    async fn reply(&mut self) -> Result<Reply, RemoteError> {
        let patience = self.patience;
        let whole = async {
            let mut lines = Vec::new();
            loop {
                let line = self.next().await?;
                if line.starts_with("+OK") || line.starts_with("-OK") {
                    return Ok(Reply {
                        ok: line.starts_with('+'),
                        status: printable(&line),
                        lines,
                    });
                }
                if lines.len() == LINES {
                    return Err(RemoteError::TooLong(LINES, "lines"));
                }
                lines.push(line);
            }
        };
        timeout(patience, whole)
            .await
            .unwrap_or(Err(RemoteError::Silent(patience)))
    }

    /// The next line; `None` where nothing comes until a moment. May be dropped at any time without
    /// losing one.
    pub(super) async fn line_until(
        &mut self,
        silent: Instant,
    ) -> Result<Option<String>, RemoteError> {
        timeout_at(silent, self.next()).await.ok().transpose()
    }

    /// A line that is here already.
    pub(super) fn ready(&mut self) -> Result<Option<String>, RemoteError> {
        match self.input.next_line(LINE) {
            None => Ok(None),
            Some(Line::TooLong) => Err(RemoteError::TooLong(LINE, "bytes")),
            Some(Line::Text(line)) => Ok(Some(String::from_utf8_lossy(line).into_owned())),
        }
    }

    async fn next(&mut self) -> Result<String, RemoteError> {
        loop {
            // What was put down leaves, though there is enough to read.
            self.flush().await?;
            if let Some(line) = self.ready()? {
                return Ok(line);
            }
            if self.input.ahead() > LINE {
                return Err(RemoteError::TooLong(LINE, "bytes"));
            }
            self.raw.reserve(CHUNK);
            match self.stream.read_buf(&mut self.raw).await {
                Ok(0) => return Err(RemoteError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Err(RemoteError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
            let came = self.raw.split();
            match &mut self.frames {
                None => self.input.push(&came),
                Some(frames) => {
                    let (lines, answers) = frames.take(&came)?;
                    self.input.push(&lines);
                    self.out.extend_from_slice(&answers);
                }
            }
        }
    }

    /// Writes what has been put down. May be dropped at any time and called again.
    async fn flush(&mut self) -> Result<(), RemoteError> {
        if self.out.is_empty() && !self.unflushed {
            return Ok(());
        }
        while !self.out.is_empty() {
            match self.stream.write(&self.out).await? {
                0 => return Err(RemoteError::Closed),
                count => self.out.advance(count),
            }
            self.unflushed = true;
        }
        self.stream.flush().await?;
        self.unflushed = false;
        Ok(())
    }
}

/// Some say back what they do not like.
fn without(text: String, password: &str) -> String {
    match password {
        "" => text,
        password => text.replace(password, "…"),
    }
}

/// Words of the far end's that may go into a log: short, and one line.
pub(super) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(clean).collect()
}

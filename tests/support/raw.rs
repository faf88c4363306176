//! HTTP and websocket frames, byte by byte: what a client library would not let through.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::tools::PATIENCE;
use super::websocket::Server;

/// A connection, and what came on it and was not looked at yet.
pub struct Raw {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Response {
    pub version: String,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The only header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The headers that open a websocket, with the key of the example of RFC 6455.
pub const OPENING: [(&str, &str); 5] = [
    ("Host", "localhost"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// What has to come back for that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request; `line` is its first line without the version.
pub fn request(line: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let version = if line.contains(" HTTP/") {
        ""
    } else {
        " HTTP/1.1"
    };
    format!("{line}{version}\r\n{headers}\r\n")
}

/// A frame from a client; `first` is its first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x00, 0xFF, 0x80];
    let mut bytes = head(first, payload.len() as u64, true);
    bytes.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of a frame without its mask.
pub fn head(first: u8, length: u64, masked: bool) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(length as u8),
        126..=0xFFFF => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend(length.to_be_bytes());
        }
    }
    if masked {
        bytes[1] |= 0x80;
    }
    bytes
}

/// A whole text message.
pub const TEXT: u8 = 0x81;
/// A whole binary message.
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;

/// What comes from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Text(String),
    Pong(Vec<u8>),
    Ping(Vec<u8>),
    /// A close with its code, if there is one, and its reason.
    Close(Option<u16>, String),
    /// The connection ended in order.
    End,
    /// The connection was reset.
    Reset,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// A connection that is open already; nothing of it may have been read ahead.
    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// True where a websocket opens.
    pub fn opens(mut self, path: &str) -> bool {
        self.try_send(request(&format!("GET {path}"), &OPENING));
        self.rest_status() == Some(101)
    }

    /// What an answer that nobody asked for says, if one comes with the end behind it.
    pub fn response_or_none(mut self) -> Option<u16> {
        self.half_close();
        self.rest_status()
    }

    fn rest_status(&mut self) -> Option<u16> {
        while !self.buffer.contains(&b'\n') && self.fill().ok()? {}
        let text = String::from_utf8_lossy(&self.buffer).into_owned();
        text.split(' ').nth(1)?.parse().ok()
    }

    /// Connects and opens a websocket; the greeting is still to be read.
    pub fn opened(address: SocketAddr, path: &str) -> Self {
        let mut raw = Self::connect(address);
        raw.send(request(&format!("GET {path}"), &OPENING));
        let response = raw.response();
        assert_eq!(response.status, 101, "{response:?}");
        raw
    }

    /// Connects, opens a websocket for ws1 and reads the greeting.
    pub fn ws1(address: SocketAddr) -> Self {
        let mut raw = Self::opened(address, "/ws1");
        match raw.came() {
            Came::Text(text) => assert!(text.starts_with("+;AUTH0;"), "{text}"),
            other => panic!("{other:?}"),
        }
        raw
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the other side may not want to read any more.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn text(&mut self, text: &str) {
        self.send(frame(TEXT, text.as_bytes()));
    }

    /// Sends nothing more, and goes on reading.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads more; `Ok(false)` at the end.
    fn fill(&mut self) -> std::io::Result<bool> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count > 0)
    }

    fn must_fill(&mut self) {
        assert!(
            self.fill().unwrap(),
            "the end after {:?}",
            String::from_utf8_lossy(&self.buffer)
        );
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            self.must_fill();
        }
        self.buffer.drain(..count).collect()
    }

    /// The next line of a head.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let mut line = self.take(at + 2);
                line.truncate(at);
                return String::from_utf8(line).unwrap();
            }
            self.must_fill();
        }
    }

    /// The next answer to a request that was not HEAD.
    pub fn response(&mut self) -> Response {
        self.response_to(false)
    }

    pub fn response_to(&mut self, head: bool) -> Response {
        let first = self.line();
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap().to_owned();
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not the first line of an answer: {first}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').expect("a header has a colon");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response {
            version,
            status,
            headers,
            body: Vec::new(),
        };
        if head || matches!(status, 101 | 204 | 304) {
            return response;
        }
        response.body = match response.header("content-length") {
            Some(length) => {
                let length = length.parse().unwrap();
                self.take(length)
            }
            None if response.header("transfer-encoding") == Some("chunked") => {
                let mut body = Vec::new();
                loop {
                    let length = usize::from_str_radix(&self.line(), 16).unwrap();
                    body.extend(self.take(length));
                    assert_eq!(self.line(), "");
                    if length == 0 {
                        break body;
                    }
                }
            }
            None => self.rest(),
        };
        response
    }

    /// Everything up to the end, which is no reset.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill().unwrap() {}
        std::mem::take(&mut self.buffer)
    }

    /// Everything up to the end, however that comes.
    pub fn rest_or_reset(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if is_gone(&error) => break,
                Err(error) => panic!("{error}"),
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// The next frame, which no server may mask, split or give reserved bits, nor a longer length
    /// than it needs.
    pub fn came(&mut self) -> Came {
        let mut wanted = 2;
        loop {
            if self.buffer.len() >= wanted {
                let length = self.buffer[1];
                assert!(length < 0x80, "a server does not mask");
                let (start, length) = match length {
                    126 => (4, 2),
                    127 => (10, 8),
                    length => (2, usize::from(length)),
                };
                if start > 2 && self.buffer.len() < start {
                    wanted = start;
                } else {
                    let long = |bytes: &[u8]| {
                        let number = bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
                        start + number
                    };
                    wanted = match start {
                        2 => 2 + length,
                        start => long(&self.buffer[2..start]),
                    };
                    if self.buffer.len() >= wanted {
                        let frame = self.take(wanted);
                        let least = [(2, 0), (4, 126), (10, 0x1_0000)];
                        let least = least.iter().find(|(form, _)| *form == start).unwrap().1;
                        assert!(frame.len() - start >= least, "a length in too many bytes");
                        return understood(frame[0], &frame[start..]);
                    }
                }
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) if self.buffer.is_empty() => return Came::End,
                Err(error) if self.buffer.is_empty() && is_gone(&error) => return Came::Reset,
                other => panic!("in the middle of a frame: {other:?}, {:?}", self.buffer),
            }
        }
    }

    /// The next text.
    pub fn said(&mut self) -> String {
        match self.came() {
            Came::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// One message and its answer.
    pub fn ask(&mut self, text: &str) -> String {
        self.text(text);
        self.said()
    }

    /// The server closes with this code; then the client does, and the connection ends in order.
    pub fn closes_with(&mut self, code: u16) {
        match self.came() {
            Came::Close(Some(found), _) if found == code => {}
            other => panic!("a close with {code} was expected: {other:?}"),
        }
        self.try_send(frame(CLOSE, &code.to_be_bytes()));
        assert_eq!(self.came(), Came::End);
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}

fn understood(first: u8, payload: &[u8]) -> Came {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match (first, payload) {
        (TEXT, payload) => Came::Text(text(payload)),
        (PING, payload) => Came::Ping(payload.to_vec()),
        (PONG, payload) => Came::Pong(payload.to_vec()),
        (CLOSE, []) => Came::Close(None, String::new()),
        (CLOSE, [high, low, reason @ ..]) => {
            Came::Close(Some(u16::from_be_bytes([*high, *low])), text(reason))
        }
        other => panic!("not a frame of a server: {other:?}"),
    }
}

pub fn answer(server: &Server, text: impl AsRef<[u8]>) -> Response {
    let mut raw = Raw::connect(server.address());
    raw.send(text);
    raw.response()
}

/// The answer to a request without anything special; it has to be the only one.
pub fn get(server: &Server, line: &str) -> Response {
    let mut raw = Raw::connect(server.address());
    raw.send(request(line, &[("Host", "x"), ("Connection", "close")]));
    let response = raw.response_to(line.starts_with("HEAD "));
    assert_eq!(raw.rest(), b"", "{line}");
    response
}

/// Somebody else is served.
pub fn still_serves(server: &Server) {
    let mut raw = Raw::ws1(server.address());
    assert_eq!(raw.ask("C;NOOP"), "+;NOOP");
}

/// What an opening is answered, and the connection.
pub fn opened(address: SocketAddr, path: &str) -> (Response, Raw) {
    let mut raw = Raw::connect(address);
    raw.send(request(&format!("GET {path}"), &OPENING));
    (raw.response(), raw)
}

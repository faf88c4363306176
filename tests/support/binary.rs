//! A client of the binary mode.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid, frame};
use vscpl2drv_link::wire::binary::{Cipher, Frame, FrameReader, Iv, Strength, write_command};

use super::tools::PATIENCE;

/// The key of the tests, as its file has it.
pub const KEY: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

/// A file with the key that nobody else can read.
pub fn key_file(place: &Path) -> PathBuf {
    let path = place.join("key");
    std::fs::write(&path, KEY).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

pub fn cipher(strength: Strength) -> Cipher {
    let byte = |at: usize| u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).unwrap();
    let key: [u8; 32] = std::array::from_fn(byte);
    Cipher::new(strength, &key).unwrap()
}

/// A session that has said BINARY.
pub struct Binary {
    stream: TcpStream,
    reader: FrameReader,
    pub cipher: Cipher,
}

/// A reply: code, error, argument.
pub type Reply = (u16, u16, Vec<u8>);

impl Binary {
    pub fn connect(address: SocketAddr, strength: Strength) -> Self {
        Self::connect_with(address, cipher(strength))
    }

    pub fn connect_with(address: SocketAddr, cipher: Cipher) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), cipher)
    }

    /// Says BINARY on a connection.
    pub fn over(stream: TcpStream, cipher: Cipher) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self {
            stream,
            reader: FrameReader::default(),
            cipher,
        };
        assert!(client.line_with("+OK").ends_with("+OK - Success.\r\n"));
        client.send(b"BINARY\r\n");
        assert_eq!(client.line_with("OK"), "+OK - Binary mode enabled\r\n");
        client
    }

    /// Logs in as admin.
    pub fn log_in(address: SocketAddr, strength: Strength) -> Self {
        Self::connect(address, strength).logged_in()
    }

    /// The same client, logged in as admin.
    pub fn logged_in(mut self) -> Self {
        assert_eq!(self.ask(2, b"admin:secret"), (2, 0, Vec::new()));
        self
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends to a server that may be gone already.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// One command and its reply.
    pub fn ask(&mut self, code: u16, argument: &[u8]) -> Reply {
        self.command(code, argument);
        self.reply()
    }

    pub fn command(&mut self, code: u16, argument: &[u8]) {
        let mut out = Vec::new();
        write_command(code, argument, &self.cipher, &mut out).unwrap();
        self.send(&out);
    }

    pub fn reply(&mut self) -> Reply {
        match self.frame() {
            Some(Frame::Reply {
                code,
                error,
                argument,
                ..
            }) => (code, error, argument),
            other => panic!("a reply was expected: {other:?}"),
        }
    }

    /// The next event that the server sends.
    pub fn event(&mut self) -> Event {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        match self.frame() {
            Some(Frame::Event { bytes, .. }) => frame::read(&bytes, &defaults).unwrap(),
            other => panic!("an event was expected: {other:?}"),
        }
    }

    /// The next frame; `None` at the end.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, _)) = self.reader.next_frame(&self.cipher, false).unwrap() {
                return Some(frame);
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let count = match self.stream.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            other => other.expect("the server says something"),
        };
        self.reader.push(&bytes[..count]);
        count
    }

    /// The next bytes, as they are.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Text up to the end of the line that has this in it.
    pub fn line_with(&mut self, what: &str) -> String {
        let mut text = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
            let so_far = String::from_utf8_lossy(&text);
            if so_far.ends_with('\n') && so_far.contains(what) {
                return so_far.into_owned();
            }
        }
    }

    /// No more comes from this side.
    pub fn end(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}

/// The frame of an event line.
pub fn event_frame(line: &str, generation: Generation, iv: Iv, cipher: &Cipher) -> Vec<u8> {
    let defaults = Defaults {
        now: 1_700_000_000_000_000_000,
        obid: 0,
        guid: Guid::ZERO,
    };
    let mut plain = Vec::new();
    frame::write(&parse(line, &defaults).unwrap(), generation, &mut plain);
    let mut out = Vec::new();
    cipher.seal_with(iv, &plain, &mut out);
    out
}

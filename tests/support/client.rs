//! A client of the link protocol, as simple as they come.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::tools::PATIENCE;

pub struct Client {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server accepts"))
    }

    /// Reads the greeting on a connection.
    pub fn over(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket takes a timeout");
        stream.set_nodelay(true).expect("a socket takes nodelay");
        let lines = BufReader::new(stream.try_clone().expect("a socket has two ends"));
        let mut client = Self { stream, lines };
        assert_eq!(client.reply().last().expect("a greeting"), "+OK - Success.");
        client
    }

    /// Connects and logs in as admin.
    pub fn log_in(address: SocketAddr) -> Self {
        Self::connect(address).logged_in("admin")
    }

    /// The same client, logged in.
    pub fn logged_in(mut self, user: &str) -> Self {
        assert_eq!(
            self.ask(&format!("user {user}")),
            ["+OK - User name accepted, password please"]
        );
        assert_eq!(self.ask("pass secret"), ["+OK - Success."]);
        self
    }

    /// One command, and the lines of its reply.
    pub fn ask(&mut self, command: &str) -> Vec<String> {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// One command that must succeed.
    pub fn must(&mut self, command: &str) -> Vec<String> {
        let reply = self.ask(command);
        assert!(
            reply.last().is_some_and(|line| line.starts_with("+OK")),
            "{command}: {reply:?}"
        );
        reply
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Lines up to a status line.
    pub fn reply(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().expect("the server answers");
            let status = line.starts_with("+OK") || line.starts_with("-OK");
            lines.push(line);
            if status {
                return lines;
            }
        }
    }

    /// The next line; `None` at the end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let count = self
            .lines
            .read_until(b'\n', &mut line)
            .expect("the server says something");
        let line = String::from_utf8(line).expect("the server speaks UTF-8");
        (count > 0).then(|| {
            line.strip_suffix("\r\n")
                .expect("CR LF ends every line")
                .to_owned()
        })
    }

    /// The next event of the receive loop.
    pub fn event(&mut self) -> String {
        loop {
            let line = self.line().expect("an event comes");
            if line != "+OK" {
                return line;
            }
        }
    }

    /// Another handle on the connection, to write from another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket has two ends")
    }
}

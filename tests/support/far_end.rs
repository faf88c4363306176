//! A link server that does what a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::tools::PATIENCE;

/// A listener; each connection answers its commands by the script.
pub struct FarEnd {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    ending: Arc<AtomicBool>,
}

/// What a script answers to a command.
pub enum Said {
    /// These bytes.
    Text(String),
    /// Nothing at all, from now on.
    Nothing,
    /// The connection ends.
    End,
}

impl FarEnd {
    /// The script gets the number of the connection, from 0, and a command.
    pub fn start(script: impl FnMut(usize, &str) -> Said + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            ending: Arc::default(),
        };
        let script = Arc::new(Mutex::new(script));
        let (heard, connections) = (Arc::clone(&far.heard), Arc::clone(&far.connections));
        let (open, ending) = (Arc::clone(&far.open), Arc::clone(&far.ending));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let number = connections.fetch_add(1, Ordering::SeqCst);
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (script, heard) = (Arc::clone(&script), Arc::clone(&heard));
                thread::spawn(move || serve(stream, number, &script, &heard));
            }
        });
        far
    }

    /// A node with the fewest commands that the specification asks for: once an event was sent to
    /// it, it has these to fetch.
    pub fn minimal(events: &[&str]) -> Self {
        let mut waiting: Vec<String> = events.iter().rev().map(|line| (*line).to_owned()).collect();
        let mut asked_for = false;
        Self::start(move |_, command| {
            let word = command.split(' ').next().unwrap().to_uppercase();
            Said::Text(match word.as_str() {
                "RCVLOOP" | "INTERFACE" => "-OK - Command not implemented\r\n".to_owned(),
                "CHID" => "7\r\n+OK - Success.\r\n".to_owned(),
                "RETR" => {
                    let asked = command.split(' ').nth(1).map_or(1, |n| n.parse().unwrap());
                    let mut text = String::new();
                    for _ in 0..asked {
                        match asked_for.then(|| waiting.pop()).flatten() {
                            Some(line) => text += &format!("{line}\r\n"),
                            None => return Said::Text(text + "-OK - No event(s) available\r\n"),
                        }
                    }
                    text + "+OK - Success.\r\n"
                }
                "SEND" => {
                    asked_for = true;
                    "+OK - Success.\r\n".to_owned()
                }
                _ => "+OK - Success.\r\n".to_owned(),
            })
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that came so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Everything that was said on any connection, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The commands that begin with a word.
    pub fn heard_of(&self, word: &str) -> Vec<String> {
        let mut all = self.heard();
        all.retain(|line| line.split(' ').next().unwrap().eq_ignore_ascii_case(word));
        all
    }

    /// Says something unasked on a connection.
    pub fn say(&self, connection: usize, text: &str) {
        let mut stream = self.open.lock().unwrap()[connection].try_clone().unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    }

    /// Breaks all connections.
    pub fn reset(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.reset();
    }
}

fn serve(
    mut stream: TcpStream,
    number: usize,
    script: &Mutex<impl FnMut(usize, &str) -> Said>,
    heard: &Mutex<Vec<String>>,
) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    if stream.write_all(b"Welcome.\r\n+OK - Success.\r\n").is_err() {
        return;
    }
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    let mut mute = false;
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(count) if count > 0 => {}
            _ => return,
        }
        let command = line.trim_end();
        heard.lock().unwrap().push(command.to_owned());
        if mute {
            continue;
        }
        let said = (script.lock().unwrap())(number, command);
        match said {
            Said::Text(text) => {
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Said::Nothing => mute = true,
            Said::End => {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

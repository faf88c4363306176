//! A link server that does to each event what a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const GREETING: &[u8] = b"Welcome\r\nVersion: 1.0.0-0\r\n+OK - Success.\r\n";
const OK: &[u8] = b"+OK - Success.\r\n";
const HEAD: &str =
    "0,510,0,5,2001-11-02T18:00:01Z,0,FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01";

/// What becomes of an event.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// So many of it come to each client in the receive loop.
    Copies(usize),
    /// It is taken, and nobody gets it.
    Lose,
    /// It comes after the next one.
    Later,
    /// It is taken, and comes after this time.
    After(Duration),
    /// It is refused with these words.
    Refuse(&'static str),
    /// It is refused with these words, and comes nevertheless.
    Pretend(&'static str),
    /// It is taken, and so are others that nobody has sent.
    Chatter,
    /// It comes, and is not answered.
    Quietly,
    /// It is not answered, and nothing after it.
    Silence,
    /// All connections end.
    Close,
}

type Decide = dyn Fn(u32) -> Script + Send + Sync;

/// The server; everybody may log in.
pub struct Lossy {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

/// What the connections share.
struct Shared {
    decide: Box<Decide>,
    /// Connections in the receive loop.
    listeners: Mutex<Vec<TcpStream>>,
    everybody: Mutex<Vec<TcpStream>>,
    logins: AtomicUsize,
    /// Nobody gets into the receive loop.
    loopless: AtomicBool,
}

impl Lossy {
    /// The script gets the number that is in the last four bytes of an event's data.
    pub fn start(decide: impl Fn(u32) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ending = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ending);
        let shared = Arc::new(Shared {
            decide: Box::new(decide),
            listeners: Mutex::default(),
            everybody: Mutex::default(),
            logins: AtomicUsize::new(0),
            loopless: AtomicBool::new(false),
        });
        let kept = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            address,
            ending,
            shared: kept,
        }
    }

    /// Clients that have been let in so far.
    pub fn logins(&self) -> usize {
        self.shared.logins.load(Ordering::SeqCst)
    }

    /// From now on nobody gets into the receive loop.
    pub fn refuse_loop(&self) {
        self.shared.loopless.store(true, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub fn close(&self) {
        self.shared.close();
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Everybody in the receive loop gets it.
    fn tell(&self, text: &str) {
        // Those of a run before are gone.
        let mut listeners = self.listeners.lock().unwrap();
        listeners.retain_mut(|one| one.write_all(text.as_bytes()).is_ok());
    }

    fn close(&self) {
        for one in &*self.everybody.lock().unwrap() {
            let _ = one.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let kept = stream.try_clone().unwrap();
    shared.everybody.lock().unwrap().push(kept);
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let _ = stream.write_all(GREETING);
    let (mut held, mut silent) = (String::new(), false);
    for line in lines.map_while(Result::ok) {
        let answer = match line.strip_prefix("SEND ") {
            _ if silent => continue,
            Some(event) => {
                let data: Vec<&str> = event.split(',').skip(7).collect();
                let script = (shared.decide)(number(&data));
                let event = format!("{HEAD},{}\r\n", data.join(","));
                match script {
                    Script::Refuse(words) => format!("{words}\r\n").into_bytes(),
                    Script::Pretend(words) => {
                        shared.tell(&event);
                        format!("{words}\r\n").into_bytes()
                    }
                    Script::Chatter => OK.repeat(100),
                    Script::Quietly => {
                        shared.tell(&event);
                        continue;
                    }
                    Script::Silence => {
                        silent = true;
                        continue;
                    }
                    Script::Close => {
                        shared.close();
                        return;
                    }
                    Script::After(time) => {
                        let shared = Arc::clone(shared);
                        thread::spawn(move || {
                            thread::sleep(time);
                            shared.tell(&event);
                        });
                        OK.to_vec()
                    }
                    script => {
                        hand_on(script, event, &mut held, shared);
                        OK.to_vec()
                    }
                }
            }
            None if line == "QUIT" => break,
            None if line == "RCVLOOP" && shared.loopless.load(Ordering::SeqCst) => {
                b"-OK - No rights\r\n".to_vec()
            }
            None if line == "RCVLOOP" => {
                let _ = stream.write_all(b"+OK - Receive loop entered.\r\n+OK\r\n");
                let kept = stream.try_clone().unwrap();
                shared.listeners.lock().unwrap().push(kept);
                continue;
            }
            None => OK.to_vec(),
        };
        let _ = stream.write_all(&answer);
        let is_login = line.starts_with("PASS ");
        shared
            .logins
            .fetch_add(usize::from(is_login), Ordering::SeqCst);
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Gives an event to everybody, and those that were held back after it.
fn hand_on(script: Script, event: String, held: &mut String, shared: &Shared) {
    let mut text = match script {
        Script::Later => return held.push_str(&event),
        Script::Copies(count) => event.repeat(count),
        _ => String::new(),
    };
    text.push_str(&std::mem::take(held));
    shared.tell(&text);
}

fn number(data: &[&str]) -> u32 {
    let bytes = data[4..].iter();
    bytes.fold(0, |number, byte| {
        let digits = byte.trim_start_matches("0x");
        number << 8 | u32::from_str_radix(digits, 16).unwrap()
    })
}

//! A real mosquitto on a port of its own, and a way to it that can be cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::tools::{PATIENCE, need, wait_until};

/// A broker that can be stopped and started; it keeps sessions and queues meanwhile.
pub struct Mosquitto {
    place: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::with("allow_anonymous true")
    }

    /// A broker that asks for this login.
    pub fn with_login(user: &str, password: &str) -> Self {
        let place = TempDir::new().expect("a directory for the passwords");
        let file = place.path().join("passwords");
        let mut make = Command::new(need("mosquitto_passwd"));
        make.arg("-b").arg("-c").arg(&file).args([user, password]);
        assert!(make.status().expect("mosquitto_passwd starts").success());
        let broker = Self::with(&format!(
            "allow_anonymous false\npassword_file {}",
            file.display()
        ));
        drop(place);
        broker
    }

    /// A broker with more lines of its configuration, listeners among them.
    pub fn with(access: &str) -> Self {
        Self::configured(|place| {
            format!(
                "{access}\nuser root\npersistence true\npersistence_location {}/\n\
                 max_queued_messages 0\nmax_inflight_messages 100\nset_tcp_nodelay true\n",
                place.display()
            )
        })
    }

    /// A broker as it comes, for measurements.
    pub fn plain() -> Self {
        Self::configured(|_| "allow_anonymous true\nuser root\n".to_owned())
    }

    fn configured(lines: impl Fn(&std::path::Path) -> String) -> Self {
        let place = TempDir::new().expect("a directory for the broker");
        let port = free_port();
        let config = format!("listener {port} 127.0.0.1\n{}", lines(place.path()));
        std::fs::write(place.path().join("mosquitto.conf"), config).expect("its configuration");
        let mut broker = Self {
            place,
            port,
            process: None,
        };
        broker.go();
        broker
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again after a stop.
    pub fn go(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let config: PathBuf = self.place.path().join("mosquitto.conf");
        let process = Command::new(need("mosquitto"))
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("mosquitto starts"));
        let port = self.port;
        wait_until("mosquitto listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// Stops it where it stands, or lets it go on.
    pub fn freeze(&self, freeze: bool) {
        let pid = self.process.as_ref().expect("it runs").id().to_string();
        let signal = if freeze { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Ends it at once: what it has not written down is gone.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it runs");
        process.wait().expect("it ends");
    }

    /// Ends it in order: it writes down what it holds.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().to_string();
        assert!(
            Command::new("kill")
                .arg(&pid)
                .status()
                .expect("kill is there")
                .success()
        );
        process.wait().expect("it ends");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A port that nobody has, below those that the system gives to clients, and that no other test
/// program will have while this one runs: each has a mark for its ports, a socket with the name of
/// the port, which goes with the program.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static MARKS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let start = std::process::id() % 1000 * 10;
    loop {
        let offset = (start as u16 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + offset;
        let name = unix::SocketAddr::from_abstract_name(format!("vscp-link-test-{port}")).unwrap();
        let Ok(mark) = UnixListener::bind_addr(&name) else {
            continue;
        };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            MARKS.lock().unwrap().push(mark);
            return port;
        }
    }
}

/// `mosquitto_sub` with a session that the broker keeps.
pub struct Subscriber {
    process: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    pub fn start(port: u16, topic: &str, qos: u8) -> Self {
        Self::with(port, topic, qos, "got %t %p", &[])
    }

    /// A subscriber that prints messages in another form, which begins with `got `.
    pub fn with(port: u16, topic: &str, qos: u8, form: &str, more: &[&str]) -> Self {
        // -d tells when the subscription stands; messages have a mark of their own.
        // Line by line: into a pipe it would write in blocks.
        let mut process = Command::new(need("stdbuf"))
            .arg("-oL")
            .arg(need("mosquitto_sub"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-t",
                topic,
                "-d",
            ])
            .args(["-q", &qos.to_string(), "-c", "-i", "subscriber", "-F", form])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub starts");
        let output: ChildStdout = process.stdout.take().expect("a pipe was asked for");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let subscriber = Self { process, lines };
        loop {
            let line = subscriber.line();
            if line.contains("SUBACK") {
                return subscriber;
            }
        }
    }

    fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("mosquitto_sub prints a line")
    }

    /// The next message: its topic and payload.
    pub fn message(&self) -> (String, String) {
        loop {
            if let Some(message) = message(&self.line()) {
                return message;
            }
        }
    }

    /// The next message, if one comes in this time.
    pub fn message_within(&self, time: std::time::Duration) -> Option<(String, String)> {
        loop {
            if let Some(message) = message(&self.lines.recv_timeout(time).ok()?) {
                return Some(message);
            }
        }
    }
}

fn message(line: &str) -> Option<(String, String)> {
    let message = line.trim_end().strip_prefix("got ")?;
    let (topic, payload) = message.split_once(' ').unwrap_or((message, ""));
    Some((topic.to_owned(), payload.to_owned()))
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Publishes one message at QoS 1.
pub fn publish(port: u16, topic: &str, payload: &str) {
    let status = Command::new(need("mosquitto_pub"))
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-q",
            "1",
            "-t",
            topic,
            "-m",
            payload,
        ])
        .status();
    assert!(status.expect("mosquitto_pub starts").success());
}

/// Passes connections on to a port, and can cut those that stand.
pub struct Proxy {
    address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

/// Looks at what passes: the number of the connection, whether it comes from the driver, the bytes.
pub type Tap = Arc<dyn Fn(usize, bool, &[u8]) + Send + Sync>;

impl Proxy {
    pub fn start(to: u16) -> Self {
        Self::with_tap(to, Arc::new(|_, _, _| ()))
    }

    /// A proxy that shows what passes before it passes it on.
    pub fn with_tap(to: u16, tap: Tap) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has an address");
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&streams);
        thread::spawn(move || {
            for (number, near) in listener.incoming().flatten().enumerate() {
                // Where the broker is away, the connection ends at once.
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                let both = [near.try_clone(), far.try_clone()];
                kept.lock().unwrap().extend(both.into_iter().flatten());
                let pairs = [
                    (near.try_clone(), far.try_clone(), true),
                    (Ok(far), Ok(near), false),
                ];
                for (from, to, outward) in pairs {
                    let (Ok(from), Ok(to)) = (from, to) else {
                        continue;
                    };
                    let tap = Arc::clone(&tap);
                    thread::spawn(move || pump(from, to, |bytes| tap(number, outward, bytes)));
                }
            }
        });
        Self { address, streams }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends of the connections that there have been since the last cut: two for each.
    pub fn connections(&self) -> usize {
        self.streams.lock().unwrap().len()
    }

    /// Cuts every connection, with a reset where something is on its way.
    pub fn cut(&self) -> usize {
        let streams = std::mem::take(&mut *self.streams.lock().unwrap());
        for stream in &streams {
            let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
        streams.len()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, tap: impl Fn(&[u8])) {
    let mut buffer = vec![0; 65536];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        tap(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

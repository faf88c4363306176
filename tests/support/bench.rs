//! A driver in a host of its own, and clients that send many numbered events.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use super::client::Client;
use super::dialogue;
use super::host::{Host, Layout, compile};
use super::mosquitto::free_port;
use super::tools::{PATIENCE, wait_until};

/// A running driver.
pub struct Bench {
    pub host: Host,
    pub address: SocketAddr,
    pub place: TempDir,
    program: PathBuf,
    config: String,
    port: u16,
}

/// A driver whose clients meet by way of the broker behind `port`, with more members of its
/// configuration and of its mqtt section.
pub fn open(port: u16, members: &str, mqtt: &str) -> Bench {
    let section = format!(
        "{{\"host\": \"127.0.0.1\", \"port\": {port}, \
          \"reconnect\": {{\"delay\": 1, \"delay-max\": 1}}, {mqtt} }}"
    );
    Bench {
        port,
        ..open_with(members, &section)
    }
}

/// A driver with this mqtt member.
pub fn open_with(members: &str, mqtt: &str) -> Bench {
    let place = TempDir::new().unwrap();
    let program = compile(Layout::V2, place.path());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "{{\"interface\": \"tcp://{address}\", \"abi\": \"v2\", \"path-users\": {:?}, {members} \
          \"logging\": {{\"file-path\": {:?}, \"file-pattern\": \"%l %v\"}}, \"mqtt\": {mqtt} }}",
        dialogue::users(),
        place.path().join("log"),
    );
    Bench {
        host: Host::start(&program, &config),
        address,
        place,
        program,
        config,
        port: 0,
    }
}

impl Bench {
    /// The port of the only broker.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the driver has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// Ends the host at once, as the kernel would, and starts another one.
    pub fn kill_and_start(&mut self) {
        let killed = std::mem::replace(&mut self.host, Host::start_later());
        killed.kill();
        self.host = Host::start(&self.program, &self.config);
    }

    /// The same, with another one that cannot make large files: as if the disk were full.
    pub fn kill_and_start_on_a_small_disk(&mut self, blocks: u32) {
        let killed = std::mem::replace(&mut self.host, Host::start_later());
        killed.kill();
        self.host = Host::start_with_small_files(&self.program, &self.config, blocks);
    }

    /// A client that is logged in, once the driver has reached its brokers.
    pub fn client(&self) -> Client {
        let mut client = Client::log_in(self.address);
        wait_for_broker(&mut client);
        client
    }

    /// Counters of the uplink to a broker, from TEST.
    pub fn counters(&self, port: u16) -> Counters {
        let mut client = Client::log_in(self.address);
        let name = format!("uplink 127.0.0.1:{port}:");
        let lines = client.ask("test");
        let line = lines.iter().find(|line| line.starts_with(&name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {lines:?}"));
        let numbers: Vec<usize> = line[name.len()..]
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .collect();
        Counters {
            waiting: numbers[0],
            delivered: numbers[1],
            refused: numbers[2],
            rejected: numbers[3],
        }
    }
}

/// What has become of events on their way to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    pub waiting: usize,
    pub delivered: usize,
    pub refused: usize,
    pub rejected: usize,
}

pub fn wait_for_broker(client: &mut Client) {
    wait_until("the driver reaches the broker", || {
        client.ask("info")[0].starts_with("0,")
    });
}

/// The three data bytes that hold a number.
pub fn bytes_of(n: usize) -> String {
    format!("{},{},{}", n >> 16, n >> 8 & 255, n & 255)
}

/// The number of an event, from the comma form.
pub fn number(payload: &str) -> usize {
    let data = payload
        .rsplit(',')
        .take(3)
        .map(|byte| usize::from_str_radix(byte.trim_start_matches("0x"), 16).expect("a data byte"));
    data.enumerate()
        .map(|(place, byte)| byte << (8 * place))
        .sum()
}

/// One client pipelines so many numbered SENDs; all must be answered `+OK`.
pub fn flood(address: SocketAddr, count: usize) -> thread::JoinHandle<()> {
    let client = Client::log_in(address);
    let mut writer = client.writer();
    let reader = client.writer();
    thread::spawn(move || {
        for chunk in (0..count).collect::<Vec<_>>().chunks(1000) {
            writer.write_all(lines(chunk).as_bytes()).unwrap();
        }
    });
    thread::spawn(move || {
        let mut replies = BufReader::new(reader).lines();
        for n in 0..count {
            let reply = replies.next().unwrap().unwrap();
            assert_eq!(reply, "+OK - Success.", "the answer to SEND {n}");
        }
        drop(client);
    })
}

fn lines(numbers: &[usize]) -> String {
    let line = |n: &usize| format!("send 0,20,3,,,,-,{}\r\n", bytes_of(*n));
    numbers.iter().map(line).collect()
}

/// Sends numbered events, a chunk at a time, until each was answered `+OK`; one that was answered
/// `-OK - Buffer Full` is sent again. Tells after each chunk which were taken, and gives up where
/// the connection ends: what that chunk had no answer for was not taken for sure.
pub fn persist(
    address: SocketAddr,
    numbers: std::ops::Range<usize>,
    mut taken: impl FnMut(&[usize]),
) -> Option<usize> {
    let Some((mut writer, mut replies)) = try_log_in(address) else {
        return Some(numbers.start);
    };
    let mut next = numbers.start;
    let mut again: Vec<usize> = Vec::new();
    while next < numbers.end || !again.is_empty() {
        let mut chunk = std::mem::take(&mut again);
        let more = (numbers.end - next).min(2000_usize.saturating_sub(chunk.len()));
        chunk.extend(next..next + more);
        let full_before = chunk.len();
        if writer.write_all(lines(&chunk).as_bytes()).is_err() {
            return Some(next);
        }
        let mut done = Vec::with_capacity(full_before);
        for &n in &chunk {
            match replies.next() {
                Some(Ok(reply)) if reply == "+OK - Success." => done.push(n),
                Some(Ok(reply)) => {
                    assert_eq!(reply, "-OK - Buffer Full");
                    again.push(n);
                }
                _ => {
                    taken(&done);
                    return Some(next);
                }
            }
        }
        next += more;
        taken(&done);
        if !again.is_empty() {
            thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    None
}

/// True where somebody can log in there.
pub fn answers(address: SocketAddr) -> bool {
    try_log_in(address).is_some()
}

/// A login that may fail: whoever is asked may be going just now.
fn try_log_in(address: SocketAddr) -> Option<(TcpStream, Lines<BufReader<TcpStream>>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_nodelay(true).ok()?;
    let mut replies = BufReader::new(stream.try_clone().ok()?).lines();
    stream.write_all(b"user admin\r\npass secret\r\n").ok()?;
    // The greeting ends like the answer to PASS does.
    for _ in 0..2 {
        while replies.next()?.ok()? != "+OK - Success." {}
    }
    Some((stream, replies))
}

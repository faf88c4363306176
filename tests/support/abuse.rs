//! A driver under attack: in a process of its own, with clients that are served meanwhile.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};
use tempfile::TempDir;

use super::bench::{bytes_of, number};
use super::client::Client;
use super::dialogue;
use super::host::{Host, Layout, compile};
use super::mosquitto::free_port;
use super::tools::{PATIENCE, need, root, wait_until};

/// `max-clients` where nothing else is said.
pub const MAX_CLIENTS: usize = 1024;
/// What a process may open where a test says nothing else: more than the driver must ever want.
const DESCRIPTORS: usize = 4096;

/// A running driver, and where it is served.
pub struct Target {
    pub host: Host,
    pub plain: SocketAddr,
    pub secure: Option<SocketAddr>,
    place: TempDir,
}

impl Target {
    /// A driver with more members in its configuration.
    pub fn open(members: &str) -> Self {
        Self::open_with(members, false, DESCRIPTORS)
    }

    /// One that speaks TLS as well; `members` says with which certificate.
    pub fn open_secure(members: &str) -> Self {
        Self::open_with(members, true, DESCRIPTORS)
    }

    /// One in a process that can open few descriptors.
    pub fn open_small(descriptors: usize) -> Self {
        Self::open_with("", false, descriptors)
    }

    fn open_with(members: &str, tls: bool, descriptors: usize) -> Self {
        let place = TempDir::new().unwrap();
        let program = compile(Layout::V2, place.path());
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (plain, secure) = (local(), tls.then(local));
        let mut interfaces = vec![format!("tcp://{plain}")];
        interfaces.extend(secure.map(|address| format!("stcp://{address}")));
        let config = format!(
            "{{\"interface\": {interfaces:?}, \"abi\": \"v2\", \"path-users\": {:?}, \
              \"interconnect\": true, \"bridge\": {{\"publish\": \"host\", \"subscribe\": \"host\"}}, \
              {members} \"logging\": {{\"file-path\": {:?}, \"file-pattern\": \"%l %v\"}}}}",
            dialogue::users(),
            place.path().join("log"),
        );
        Self {
            host: Host::start_with_descriptors(&program, &config, descriptors),
            plain,
            secure,
            place,
        }
    }

    /// What the driver has logged so far, as far as it is kept in one file.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// Lines of the log that have these words, those of files that were rotated too.
    pub fn logged(&self, words: &str) -> usize {
        let files = fs::read_dir(self.place.path()).unwrap();
        let logs = files.filter_map(|file| {
            let file = file.unwrap();
            let is_log = file.file_name().to_string_lossy().starts_with("log");
            // It may be renamed just now.
            is_log.then(|| fs::read_to_string(file.path()).unwrap_or_default())
        });
        logs.map(|text| text.matches(words).count()).sum()
    }

    /// KiB that the process has allocated and not freed. What can be given back to the system is.
    fn held(&mut self) -> usize {
        // What waits for the host is in use for good reason.
        while self.host.ask("read 0").starts_with("event ") {}
        let answer = self.host.ask("heap");
        let bytes = answer.strip_prefix("heap ").unwrap();
        bytes.parse::<usize>().unwrap() / 1024
    }

    /// Starts to look, with two clients that are logged in.
    pub fn watch(&mut self) -> Watch {
        let talker = Client::log_in(self.plain);
        let mut listener = Client::log_in(self.plain);
        listener.must("rcvloop");
        let process = Process(self.host.pid());
        let held = self.held();
        let (descriptors, resident) = (process.descriptors(), process.kib("VmRSS:"));
        // The peak is counted from now on (proc(5), "clear_refs").
        fs::write(format!("/proc/{}/clear_refs", process.0), "5").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let body = move || witness(process, talker, listener, &ends);
        Watch {
            plain: self.plain,
            process,
            descriptors,
            resident,
            held,
            stop,
            witness: thread::spawn(body),
        }
    }
}

/// A process to look at.
#[derive(Clone, Copy)]
pub struct Process(u32);

impl Process {
    pub fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0))
            .unwrap()
            .count()
    }

    fn kib(self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// What an attack may cost, beyond what the driver had before.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub kib: usize,
    pub descriptors: usize,
}

/// Rows of the README's table of what clients can cost.
pub const STRANGER: &str = "a client that is not logged in";
pub const STRANGER_WITH_TLS: &str = "the same where TLS is spoken";
pub const BUSY: &str = "a client with all that it can make the driver keep: lines, frames, answers";
pub const EVENT: &str =
    "an event of full size that waits, with its text: one copy for all who wait for it";
pub const FAREWELL: &str = "clients beyond `max-clients` that are told so";
pub const FILE: &str = "a file of `web-root` that is being read, 64 at a time";
const PASSING: &str = "what comes and goes: a log that is rotated, a client that is just accepted";
const AFTERWARDS: &str = "what is still in use when all of them have gone";

/// What the README says of it.
pub fn cost(row: &str) -> Bounds {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let mut cells = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {row} | ")))
        .unwrap_or_else(|| panic!("README.md: there is no row {row:?}"))
        .trim_end_matches(" |")
        .split(" | ");
    let mut number = || match cells.next().unwrap().split_once(' ') {
        Some((number, "KiB")) => number.parse().unwrap(),
        Some((number, "MiB")) => number.parse::<usize>().unwrap() * 1024,
        Some(other) => panic!("{row}: {other:?}"),
        None => 0,
    };
    let kib = number();
    let descriptors = cells.next().unwrap();
    Bounds {
        kib,
        descriptors: match descriptors {
            "–" => 0,
            digits => digits.parse().unwrap(),
        },
    }
}

/// How long others may wait meanwhile, as the README says.
fn longest_wait() -> Duration {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = text
        .split_once("with clients that must be served meanwhile, within ")
        .expect("the README says how soon");
    let (seconds, _) = rest.split_once(" s ").unwrap();
    Duration::from_secs(seconds.parse().unwrap())
}

impl Bounds {
    /// So many clients, and what comes and goes.
    pub fn of(clients: usize, row: &str) -> Self {
        let (each, passing) = (cost(row), cost(PASSING));
        Self {
            kib: clients * each.kib + passing.kib,
            descriptors: clients * each.descriptors + passing.descriptors,
        }
    }

    /// As many clients as there is room for; others are told.
    pub fn of_a_crowd(row: &str) -> Self {
        let mut bounds = Self::of(MAX_CLIENTS, row);
        bounds.descriptors += cost(FAREWELL).descriptors;
        bounds
    }
}

/// Clients that are served during an attack, and what it costs.
pub struct Watch {
    plain: SocketAddr,
    process: Process,
    descriptors: usize,
    resident: usize,
    held: usize,
    stop: Arc<AtomicBool>,
    witness: JoinHandle<Seen>,
}

struct Seen {
    rounds: usize,
    slowest: Duration,
    descriptors: usize,
    /// They stay until all has been looked at. The first one has a queue of its own.
    clients: (Client, Client),
}

/// Commands and events, until told to stop; a wrong answer, or none, is a panic.
fn witness(process: Process, mut talker: Client, mut listener: Client, stop: &AtomicBool) -> Seen {
    let (mut rounds, mut slowest, mut descriptors) = (0, Duration::ZERO, 0);
    let begin = Instant::now();
    loop {
        let last = stop.load(Ordering::SeqCst);
        let start = Instant::now();
        assert_eq!(talker.ask("noop"), ["+OK - Success."]);
        let sent = talker.ask(&format!("send 0,20,3,,,,-,{}", bytes_of(rounds)));
        assert_eq!(sent, ["+OK - Success."]);
        // Others may send other events.
        let event = loop {
            let event = listener.event();
            if event.starts_with("0,20,3,") {
                break event;
            }
        };
        assert_eq!(number(&event), rounds, "{event}");
        slowest = slowest.max(start.elapsed());
        descriptors = descriptors.max(process.descriptors());
        rounds += 1;
        if last {
            return Seen {
                rounds,
                slowest,
                descriptors,
                clients: (talker, listener),
            };
        }
        // The longer it lasts the less often: the driver remembers each event that the host takes.
        thread::sleep(Duration::from_millis(10).max(begin.elapsed() / 300));
    }
}

impl Watch {
    pub fn descriptors_before(&self) -> usize {
        self.descriptors
    }

    pub fn descriptors_now(&self) -> usize {
        self.process.descriptors()
    }

    /// The attack is over: looks at what it has cost, until nothing is left of it, and whether a
    /// new client gets in.
    pub fn end(self, target: &mut Target, what: &str, bounds: Bounds) {
        self.stop.store(true, Ordering::SeqCst);
        let mut seen = self.witness.join().unwrap();
        let longest = longest_wait();
        assert!(longest < PATIENCE, "a client would have given up");
        assert!(
            seen.slowest < longest,
            "{what}: somebody waited {:?}",
            seen.slowest
        );
        let grown = self.process.kib("VmHWM:").saturating_sub(self.resident);
        let opened = seen.descriptors.saturating_sub(self.descriptors);
        wait_until("the descriptors are back", || {
            self.process.descriptors() <= self.descriptors
        });
        seen.clients.0.must("clra");
        let held = target.held().saturating_sub(self.held);
        let left = self.process.kib("VmRSS:").saturating_sub(self.resident);
        Client::log_in(self.plain).must("noop");
        println!(
            "{what}: {} rounds, the slowest {:?}; {opened} descriptors of {}; {grown} KiB of {} \
             at most, {left} KiB left, {held} KiB in use",
            seen.rounds, seen.slowest, bounds.descriptors, bounds.kib
        );
        assert!(grown <= bounds.kib, "{what}: {grown} KiB");
        assert!(opened <= bounds.descriptors, "{what}: {opened} descriptors");
        assert!(left <= bounds.kib / 2, "{what}: {left} KiB left");
        let afterwards = cost(AFTERWARDS).kib;
        assert!(held <= afterwards, "{what}: {held} KiB are still in use");
    }
}

/// A connection from one of this machine's many addresses.
pub fn connect_from(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&to.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Closes a connection with a reset.
pub fn reset(stream: TcpStream) {
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// Lets this process open so many descriptors.
pub fn need_descriptors(count: usize) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    if soft.parse().is_ok_and(|soft: usize| soft < count) {
        let raised = Command::new(need("prlimit"))
            .arg(format!("--pid={}", std::process::id()))
            .arg(format!("--nofile={count}:"))
            .status()
            .unwrap();
        assert!(raised.success(), "this test needs {count} descriptors");
    }
}

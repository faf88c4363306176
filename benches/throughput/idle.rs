//! What clients cost that do nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::lean;
use crate::say;
use crate::support::abuse::need_descriptors;
use crate::support::dialogue;
use crate::support::host::{Host, Layout, compile};
use crate::support::mosquitto::free_port;

const CLIENTS: usize = 10_000;
const WATCHED: Duration = Duration::from_secs(20);
/// Ticks a second of `/proc/PID/stat`.
const TICKS: f64 = 100.0;

/// Logged in, and in the receive loop, which has a sign of life each two seconds: memory and time of
/// a process that has nothing else.
pub(crate) fn clients() -> bool {
    need_descriptors(CLIENTS + 500);
    let place = tempfile::tempdir().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "{{\"interface\": \"tcp://{address}\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"max-clients\": {}, \"logging\": {{\"file-enable-log\": false}}}}",
        dialogue::users(),
        CLIENTS + 100,
    );
    let program = compile(Layout::V2, place.path());
    let most = CLIENTS + 500;
    let host = Host::start_with_descriptors(&program, &config, most);
    let pid = host.pid();
    // What the first ones need is there for all.
    drop(lean(address));
    let before = memory(pid);
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| lean(address)).collect();
    let each = |now: usize| (now - before) as f64 / CLIENTS as f64;
    say(
        "memory of a client that is logged in (wanted: 8192)",
        each(memory(pid)),
        "bytes",
    );
    say_time(pid, "time that they take while they do nothing (wanted: 1)");
    for client in &mut clients {
        client.write_all(b"rcvloop\r\n").unwrap();
    }
    for client in &mut clients {
        // Whatever it is.
        assert!(client.read(&mut [0; 256]).unwrap() > 0);
    }
    say("memory of a client in RCVLOOP", each(memory(pid)), "bytes");
    say_time(pid, "time that they take, a sign of life each two seconds");
    true
}

fn say_time(pid: u32, what: &str) {
    thread::sleep(Duration::from_secs(2));
    let (start, before) = (Instant::now(), ticks(pid));
    thread::sleep(WATCHED);
    let used = (ticks(pid) - before) as f64 / TICKS;
    let share = 100.0 * used / start.elapsed().as_secs_f64();
    println!("{what:60} {share:>11.2} % of a core");
}

/// Resident bytes.
fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<usize>().unwrap() * 1024
}

/// User's and system's time.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may have spaces, and ends with the last bracket.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

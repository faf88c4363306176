//! A hundred thousand wrong logins, from many addresses, while others come in.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // in tests a panic is the way to fail

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod support;

use support::abuse::{Bounds, STRANGER, Target, connect_from, reset};
use support::client::Client;
use support::tools::PATIENCE;

/// Wrong logins that are written by those who do not wait for the answer.
const HASTY: usize = 100_000;
/// Addresses that they come from.
const ADDRESSES: usize = 2000;
/// The first few of them, where those come from who end their connection in order. Nobody can
/// know that they have left, and they keep a place for a while.
const ORDERLY: usize = 30;
/// Connections at a time of those who do wait, each from an address of its own, so that there is
/// always somebody to check.
const PATIENT: usize = 40;

/// Within this a right login must come in. It waits for one check of each address at most that
/// has somebody waiting: `PATIENT`, `ORDERLY`, and few others, at some ten milliseconds each.
const ENTRY: Duration = PATIENCE;
/// And all of it ends, whatever becomes of the driver.
const LONGEST: Duration = PATIENCE.saturating_mul(2);

fn address_of(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(
        127,
        1,
        (n / 250 % (ADDRESSES / 250)) as u8,
        (n % 250 + 1) as u8,
    )
}

/// Users that exist and users that do not, in turns.
fn guess(n: usize) -> String {
    let user = if n.is_multiple_of(2) {
        "admin"
    } else {
        "nobody"
    };
    format!("user {user}\r\npass wrong{n}\r\n")
}

/// Guesses and leaves without the answer; false where there was no place.
fn guess_and_leave(n: usize, to: SocketAddr) -> std::io::Result<bool> {
    let orderly = n.is_multiple_of(8);
    let source = if orderly { n / 8 % ORDERLY } else { n };
    let stream = connect_from(address_of(source), to)?;
    // Before the greeting nobody listens. Whoever leaves in order must have read it all.
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.starts_with("Welcome") {
        return Ok(false);
    }
    while orderly && !line.starts_with("+OK") {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
    }
    (&stream).write_all(guess(n).as_bytes())?;
    if !orderly {
        reset(stream);
    }
    Ok(true)
}

/// Guesses from many addresses at a time and waits for the answers, until told to stop. Gives the
/// number of those that were answered.
fn guess_and_wait(to: SocketAddr, stop: &AtomicBool) -> usize {
    let (mut answered, start) = (0, Instant::now());
    while !stop.load(Ordering::SeqCst) && start.elapsed() < LONGEST {
        let crowd: Vec<TcpStream> = (0..PATIENT)
            .filter_map(|n| {
                let source = Ipv4Addr::new(127, 4, 0, n as u8);
                let mut stream = connect_from(source, to).ok()?;
                stream.write_all(guess(n).as_bytes()).ok()?;
                Some(stream)
            })
            .collect();
        for mut stream in crowd {
            let mut text = Vec::new();
            let _ = stream.read_to_end(&mut text);
            let text = String::from_utf8_lossy(&text);
            // One and the same for users that exist and those that do not.
            let last = text.lines().last().unwrap_or_default();
            let refused = last == "-OK - Invalid username or password.";
            // Told so, or lost to somebody else after the greeting.
            let no_place = last.starts_with("-OK - Max number") || !text.contains("accepted");
            assert!(refused || no_place, "{text}");
            answered += usize::from(refused);
        }
    }
    answered
}

/// Somebody who is right: how long it takes to come in.
fn come_in(what: &str, user: &str, source: Ipv4Addr, to: SocketAddr) {
    let start = Instant::now();
    let client = Client::over(connect_from(source, to).unwrap());
    client.logged_in(user).must("noop");
    let took = start.elapsed();
    println!("{what}: {user} from {source} is in after {took:?}");
    assert!(took < ENTRY, "{what}: {took:?}");
}

#[test]
fn a_hundred_thousand_wrong_logins_keep_nobody_out() {
    let mut target = Target::open("");
    let to = target.plain;
    let watch = target.watch();
    let (stop, next, sent, refused) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let start = Instant::now();
    let answered = thread::scope(|scope| {
        let patient = scope.spawn(|| guess_and_wait(to, &stop));
        for _ in 0..4 {
            scope.spawn(|| {
                while sent.load(Ordering::SeqCst) < HASTY && start.elapsed() < LONGEST {
                    match guess_and_leave(next.fetch_add(1, Ordering::SeqCst), to) {
                        Ok(true) => sent.fetch_add(1, Ordering::SeqCst),
                        Ok(false) | Err(_) => refused.fetch_add(1, Ordering::SeqCst),
                    };
                }
            });
        }
        let until = |count| {
            while sent.load(Ordering::SeqCst) < count {
                assert!(start.elapsed() < LONGEST, "the guesses are not taken");
                thread::sleep(Duration::from_millis(10));
            }
        };
        until(HASTY / 10);
        // Whoever was in before, and those who have not been since the driver started; from
        // elsewhere, and from one of the many addresses.
        let elsewhere = |n| Ipv4Addr::new(127, 5, 0, n);
        come_in("known", "admin", elsewhere(1), to);
        for (n, user) in (2..).zip(["user", "old"]) {
            come_in("new", user, elsewhere(n), to);
        }
        come_in("new, among them", "reader", address_of(1507), to);
        come_in("known, among them", "admin", address_of(1508), to);
        until(HASTY);
        come_in("new, at the end", "control", elsewhere(5), to);
        stop.store(true, Ordering::SeqCst);
        patient.join().unwrap()
    });
    println!(
        "{} guesses in {:?}, {answered} of others waited for and answered; {} found no place",
        sent.load(Ordering::SeqCst),
        start.elapsed(),
        refused.load(Ordering::SeqCst),
    );
    assert!(answered > 0);
    // With the failures that are remembered.
    watch.end(
        &mut target,
        "100 000 wrong logins",
        Bounds::of_a_crowd(STRANGER),
    );
}

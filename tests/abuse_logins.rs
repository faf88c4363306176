//! A hundred thousand wrong logins, from many addresses, while others come in.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // in tests a panic is the way to fail

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod support;

use support::abuse::{Bounds, STRANGER, Target, connect_from, reset};
use support::tools::PATIENCE;

/// Wrong logins, of those who do not wait for the answer and of those who do.
const GUESSES: usize = 100_000;
/// Addresses that the first come from.
const ADDRESSES: usize = 2000;
/// The first few of them, where those come from who end their connection in order. Nobody can
/// know that they have left, and they keep a place for a while.
const ORDERLY: usize = 30;
/// Connections at a time of those who do wait, each from an address of its own. Their checks take
/// longer than any client waits.
const PATIENT: usize = 300;

/// So many at least are told that they are wrong, and so many are found to be by a check.
const ANSWERED: usize = 200;
const CHECKED: usize = 300;

/// As long a client of today's waits for an answer before it gives up, and tries again.
const GIVES_UP: Duration = Duration::from_secs(2);
/// Tries of somebody who has been here before. One would do where the machine does nothing else.
const TRIES: usize = 5;
/// Checks of others that somebody waits for who has not been here: one for each address that has
/// somebody waiting and, for those that have failed before, one after three of others. How long
/// they take is the machine's.
const OTHERS: usize = 2 * (PATIENT + ORDERLY);
/// And all of it ends, whatever becomes of the driver.
const LONGEST: Duration = PATIENCE.saturating_mul(10);

/// What the log says of each check that failed.
const REFUSED: &str = "login refused";

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

/// Guesses from many addresses at a time and waits for the answers, until told to stop. Counts
/// those that were sent, and those that were answered.
fn guess_and_wait(to: SocketAddr, stop: &AtomicBool, sent: &AtomicUsize, answered: &AtomicUsize) {
    let start = Instant::now();
    while !stop.load(Ordering::SeqCst) && start.elapsed() < LONGEST {
        let crowd: Vec<TcpStream> = (0..PATIENT)
            .filter_map(|n| {
                let source = Ipv4Addr::new(127, 4, (n / 200) as u8, (n % 200 + 1) as u8);
                let mut stream = connect_from(source, to).ok()?;
                stream.set_read_timeout(Some(LONGEST)).unwrap();
                stream.write_all(guess(n).as_bytes()).ok()?;
                sent.fetch_add(1, Ordering::SeqCst);
                Some(stream)
            })
            .collect();
        for mut stream in crowd {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let mut text = Vec::new();
            let _ = stream.read_to_end(&mut text);
            let text = String::from_utf8_lossy(&text);
            // One and the same for users that exist and those that do not.
            let last = text.lines().last().unwrap_or_default();
            let refused = last == "-OK - Invalid username or password.";
            // Told so, or lost to somebody else after the greeting.
            let no_place = last.starts_with("-OK - Max number") || !text.contains("accepted");
            assert!(refused || no_place, "{text}");
            answered.fetch_add(usize::from(refused), Ordering::SeqCst);
        }
    }
}

/// Somebody who is right, and leaves where an answer does not come soon: whether this time it came.
fn is_let_in(user: &str, source: Ipv4Addr, to: SocketAddr) -> std::io::Result<bool> {
    let stream = connect_from(source, to)?;
    stream.set_read_timeout(Some(GIVES_UP))?;
    let mut reader = BufReader::new(&stream);
    for (line, answers) in [
        (String::new(), 4),
        (format!("user {user}\r\n"), 1),
        ("pass secret\r\n".to_owned(), 1),
        ("noop\r\n".to_owned(), 1),
    ] {
        (&stream).write_all(line.as_bytes())?;
        let mut answer = String::new();
        for _ in 0..answers {
            answer.clear();
            reader.read_line(&mut answer)?;
        }
        if !answer.starts_with("+OK") {
            // There was no place, or it was lost.
            assert!(!answer.contains("Invalid"), "{user}: {answer}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Somebody who comes as clients do: how often they have to try, and how many others are found to
/// be wrong meanwhile.
fn come_in(what: &str, user: &str, source: Ipv4Addr, target: &Target) -> (usize, usize) {
    let before = target.logged(REFUSED);
    let (mut tries, start) = (1, Instant::now());
    while !is_let_in(user, source, target.plain).unwrap_or(false) {
        assert!(start.elapsed() < LONGEST, "{what}: {tries} tries");
        tries += 1;
        // Where it was told at once that there is no place.
        thread::sleep(Duration::from_millis(100));
    }
    let took = start.elapsed();
    let others = target.logged(REFUSED) - before;
    println!(
        "{what}: {user} from {source} is in after {took:?}, {tries} tries, {others} checks of others"
    );
    (tries, others)
}

#[test]
fn a_hundred_thousand_wrong_logins_keep_nobody_out() {
    let mut target = Target::open("");
    let to = target.plain;
    let watch = target.watch();
    let stop = AtomicBool::new(false);
    let [next, sent, answered, refused] = [const { AtomicUsize::new(0) }; 4];
    let start = Instant::now();
    thread::scope(|scope| {
        let patient = scope.spawn(|| guess_and_wait(to, &stop, &sent, &answered));
        for _ in 0..4 {
            scope.spawn(|| {
                while sent.load(Ordering::SeqCst) < GUESSES && start.elapsed() < LONGEST {
                    match guess_and_leave(next.fetch_add(1, Ordering::SeqCst), to) {
                        Ok(true) => sent.fetch_add(1, Ordering::SeqCst),
                        Ok(false) | Err(_) => refused.fetch_add(1, Ordering::SeqCst),
                    };
                }
            });
        }
        let until = |counter: &AtomicUsize, count| {
            while counter.load(Ordering::SeqCst) < count {
                assert!(start.elapsed() < LONGEST, "the guesses are not taken");
                thread::sleep(Duration::from_millis(10));
            }
        };
        until(&sent, GUESSES / 10);
        // Whoever was in before, and those who have not been since the driver started; from
        // elsewhere, and from one of the many addresses.
        let elsewhere = |n| Ipv4Addr::new(127, 5, 0, n);
        let known = |what, source| {
            let (tries, _) = come_in(what, "admin", source, &target);
            assert!(tries <= TRIES, "{what}: {tries} tries");
        };
        let new = |what, user, source| {
            let (_, others) = come_in(what, user, source, &target);
            assert!(others <= OTHERS, "{what}: {others} checks of others");
        };
        known("known", elsewhere(1));
        for (n, user) in (2..).zip(["user", "old"]) {
            new("new", user, elsewhere(n));
        }
        new("new, among them", "reader", address_of(1507));
        known("known, among them", address_of(1508));
        until(&sent, GUESSES);
        until(&answered, ANSWERED);
        new("new, at the end", "control", elsewhere(5));
        while target.logged(REFUSED) < CHECKED {
            assert!(start.elapsed() < LONGEST, "the guesses are not checked");
            thread::sleep(Duration::from_secs(1));
        }
        known("known, at the end", elsewhere(6));
        stop.store(true, Ordering::SeqCst);
        patient.join().unwrap();
    });
    let (took, checked) = (start.elapsed(), target.logged(REFUSED));
    println!(
        "{} guesses in {took:?}, {checked} checked ({} a second), {} waited for and answered; {} \
         found no place",
        sent.load(Ordering::SeqCst),
        checked as u64 / took.as_secs().max(1),
        answered.load(Ordering::SeqCst),
        refused.load(Ordering::SeqCst),
    );
    // With the failures that are remembered.
    watch.end(
        &mut target,
        "100 000 wrong logins",
        Bounds::of_a_crowd(STRANGER),
    );
}

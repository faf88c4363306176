//! `vscp-link bench` with servers that say one thing and do another, stop in the middle or take their
//! time: nothing of that is hidden, and nothing is made of it that is not there.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

mod support;

use support::lossy::{Lossy, Script};
use support::program::{bench, end, interrupt, start};
use support::tools::wait_until;

const FULL: &str = "-OK - Buffer Full";

fn numbers<const N: usize>(path: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| {
        path[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {path}"))
    })
}

#[test]
fn events_that_were_refused_do_not_make_up_for_lost_ones() {
    let server = Lossy::start(|number| match number {
        ..50 => Script::Lose,
        50..100 => Script::Pretend(FULL),
        _ => Script::Copies(1),
    });
    let words = "receive --count 200 --drain 1";
    let report = bench(words, server.address(), 3);
    let path = &report["paths"][0];
    let names = ["accepted", "refused", "received", "lost", "unaccepted"];
    assert_eq!(numbers(path, names), [200, 50, 200, 50, 50], "{path}");
    assert_eq!(report["ended"], "count");
}

#[test]
fn events_that_were_not_answered_do_not_make_up_for_lost_ones() {
    let server = Lossy::start(|number| match number {
        ..50 => Script::Lose,
        50..99 => Script::Quietly,
        _ => Script::Close,
    });
    let report = bench("receive --count 100", server.address(), 1);
    assert_eq!(report["ended"], "trouble");
    let path = &report["paths"][0];
    let names = ["accepted", "unanswered", "received", "lost", "unaccepted"];
    assert_eq!(numbers(path, names), [50, 50, 49, 50, 49], "{path}");
}

#[test]
fn refused_events_push_no_others_out_of_memory() {
    // Fifty are taken, and come when many more have been refused than are wanted.
    let server = Lossy::start(|number| match number {
        ..50 => Script::Later,
        50..400 => Script::Refuse(FULL),
        _ => Script::Copies(1),
    });
    let report = bench("receive --count 200 --window 50", server.address(), 0);
    let path = &report["paths"][0];
    let names = ["received", "lost", "stale", "out_of_order"];
    assert_eq!(numbers(path, names), [200, 0, 0, 50], "{path}");
    assert_eq!(path["latency_us"]["count"], 200, "{path}");
    // The slowest are among them: they were held for seven pauses of 10 ms.
    assert!(
        path["latency_us"]["max"].as_f64().unwrap() > 60_000.0,
        "{path}"
    );
}

#[test]
fn ctrl_c_while_it_waits_ends_it_and_loses_nothing() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let server = Lossy::start(move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        match number {
            0 => Script::Lose,
            // More than a minute for all of them.
            _ => Script::After(Duration::from_millis(700) * number),
        }
    });
    let words = "bench receive --count 100 --user admin --json";
    let child = start(words, &server.address().to_string(), &[]);
    wait_until("all are sent", || taken.load(Ordering::SeqCst) == 100);
    thread::sleep(Duration::from_secs(2));
    interrupt(&child);
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, &*stderr), (3, ""), "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["ended"], "interrupted");
    let names = ["accepted", "lost", "received", "under_way"];
    let [accepted, lost, received, under_way] = numbers(&report["paths"][0], names);
    // What younger ones have overtaken is lost all the same.
    assert_eq!((accepted, lost), (100, 1), "{report}");
    assert!(received > 0 && under_way > 0, "{report}");
    assert_eq!(received + under_way, 99, "{report}");
}

/// A process that sleeps until a line comes, and then takes all of a core and of memory.
fn sleeper() -> Child {
    let script = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n\
                  much = bytearray(b'x') * (200 << 20)\nwhile True: pass";
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

#[test]
fn what_the_process_does_when_nothing_comes_any_more_does_not_count() {
    let mut process = sleeper();
    let pid = process.id();
    let alarm = Mutex::new(process.stdin.take());
    let server = Lossy::start(move |number| {
        if number < 99 {
            return Script::Copies(1);
        }
        if let Some(mut bell) = alarm.lock().unwrap().take() {
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(1));
                let _ = bell.write_all(b"\n");
                // It ends with this program at the latest.
                thread::sleep(Duration::from_secs(60));
            });
        }
        Script::Lose
    });
    let words = format!("receive --count 100 --drain 4 --pid {pid}");
    let report = bench(&words, server.address(), 3);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(report["paths"][0]["lost"], 1);
    let found = &report["process"];
    assert!(found["cpu_percent"].as_f64().unwrap() < 15.0, "{found}");
    let [before, after] = numbers(found, ["rss_before", "rss_after"]);
    assert!(after < before + (100 << 20), "{found}");
}

#[test]
fn a_stall_that_lasts_to_the_end_is_behind() {
    let server = Lossy::start(|number| match number {
        10.. => Script::Silence,
        _ => Script::Copies(1),
    });
    let words = "send --rate 100 --window 5 --count 1000 --timeout 3";
    let report = bench(words, server.address(), 1);
    let path = &report["paths"][0];
    assert_eq!(numbers(path, ["accepted", "sent"]), [10, 15], "{path}");
    // The next one was due when the last ones were sent, or a bit later.
    assert!(path["behind_us"].as_f64().unwrap() > 2.5e6, "{path}");
    // What is not wanted is not late: the last answers take their time.
    let server = Lossy::start(|number| match number {
        10.. => Script::Silence,
        _ => Script::Copies(1),
    });
    let words = "send --rate 100 --count 20 --timeout 3";
    let report = bench(words, server.address(), 1);
    assert!(
        report["paths"][0]["behind_us"].as_f64().unwrap() < 2.5e6,
        "{report}"
    );
}

#[test]
fn what_the_first_part_of_latency_has_found_is_told() {
    let server = Lossy::start(|_| Script::Copies(1));
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let words = format!("latency --rate 2000 --count 100 --broker {gone} --publish in");
    let report = bench(&words, server.address(), 1);
    assert_eq!(report["ended"], "trouble");
    let trouble = report["trouble"].as_str().unwrap();
    assert!(
        trouble.contains(&format!("no connection to {gone}")),
        "{trouble}"
    );
    let paths = report["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 1);
    assert_eq!(numbers(&paths[0], ["accepted", "received"]), [100, 100]);
}

#[test]
fn clients_that_do_not_get_into_the_receive_loop_are_not_put_out() {
    let server = Lossy::start(|_| Script::Lose);
    server.refuse_loop();
    let words = "idle --clients 3 --seconds 600 --rcvloop";
    let report = bench(words, server.address(), 1);
    assert_eq!(report["ended"], "trouble");
    assert_eq!(report["trouble"], "RCVLOOP was refused: -OK - No rights");
    assert_eq!(numbers(&report["clients"], ["open", "closed"]), [3, 0]);
}

#[test]
fn a_refusal_is_told_however_much_was_taken_before() {
    let server = Lossy::start(|number| match number {
        ..500 => Script::Copies(1),
        _ => Script::Refuse("-OK - Not authorised."),
    });
    let report = bench("receive --count 1000 --drain 1", server.address(), 1);
    let trouble = report["trouble"].as_str().unwrap();
    assert!(trouble.contains("Not authorised."), "{trouble}");
    let path = &report["paths"][0];
    assert_eq!(numbers(path, ["accepted", "lost"]), [500, 0], "{path}");
}

#[test]
fn more_answers_than_events_are_no_events() {
    let server = Lossy::start(|number| match number {
        ..50 => Script::Copies(1),
        _ => Script::Chatter,
    });
    let report = bench("send --count 1000 --window 10", server.address(), 1);
    let trouble = report["trouble"].as_str().unwrap();
    assert!(trouble.contains("more answers"), "{trouble}");
    let [sent, accepted] = numbers(&report["paths"][0], ["sent", "accepted"]);
    assert!(accepted <= sent && sent < 1000, "{report}");
}

#[test]
fn ctrl_c_before_it_begins() {
    // Somebody who lets nobody in, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let words = "bench receive --count 100 --timeout 100 --user admin --json";
    let child = start(words, &address.to_string(), &[]);
    let (_stream, _) = silent.accept().unwrap();
    // It listens to the signal before it connects.
    interrupt(&child);
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, &*stderr), (0, ""), "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["ended"], "interrupted");
    assert_eq!(report["paths"], Value::Array(vec![]));
}

/// A broker that sends one subscriber messages of QoS 1 as long as it takes them, and reads nothing
/// that comes back.
fn flood() -> String {
    fn packet(stream: &mut TcpStream) -> Vec<u8> {
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        let mut body = vec![0; head[1].into()];
        stream.read_exact(&mut body).unwrap();
        body
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        packet(&mut stream);
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        let subscribe = packet(&mut stream);
        let answer = [0x90, 3, subscribe[0], subscribe[1], 1];
        stream.write_all(&answer).unwrap();
        let many = b"\x32\x06\x00\x01a\x00\x01x".repeat(1000);
        while stream.write_all(&many).is_ok() {}
    });
    address.to_string()
}

#[test]
fn a_broker_that_reads_no_acknowledgements_is_left() {
    let server = Lossy::start(|_| Script::Lose);
    let words = format!(
        "send --count 100 --drain 1 --qos 1 --subscribe a --broker {}",
        flood()
    );
    let report = bench(&words, server.address(), 3);
    let path = &report["paths"][0];
    assert_eq!(numbers(path, ["accepted", "lost"]), [100, 100], "{path}");
}

//! A thousand clients, some of which do not read.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::event::text::{Defaults, parse};

mod support;

use support::dialogue;
use support::tools::{PATIENCE, wait_until};

const CLIENTS: usize = 1000;
const DEAF: usize = 100;
const EVENTS: usize = 2000;

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_thousand_clients_of_which_a_hundred_do_not_read() {
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"bridge\": {{\"publish\": \"host\", \"subscribe\": \"host\"}}, \
          \"logging\": {{\"file-enable-log\": false, \"console-enable-log\": false}}}}",
        dialogue::users(),
    );
    let driver = Driver::open(Source {
        config,
        guid: Guid::from([7; 16]),
    })
    .unwrap();
    let address = driver.addresses()[0];
    let before = resident_kib();
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
                .write_all(b"user admin\npass secret\nrcvloop\n")
                .unwrap();
            stream
        })
        .collect();
    let entered = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicUsize::new(0));
    // A few threads read for many clients, in turns: each client has to be read on.
    let mut readers = Vec::new();
    let mut deaf = Vec::new();
    let mut listening: Vec<TcpStream> = Vec::new();
    for (n, stream) in clients.into_iter().enumerate() {
        if n % (CLIENTS / DEAF) == 0 {
            deaf.push(stream)
        } else {
            listening.push(stream)
        }
    }
    for mut stream in &deaf {
        // They log in, and then never read again.
        let mut seen = Vec::new();
        while !seen.ends_with(b"QUITLOOP to terminate.\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
            seen.push(byte[0]);
        }
        entered.fetch_add(1, Ordering::SeqCst);
    }
    for stream in listening {
        let (entered, done) = (Arc::clone(&entered), Arc::clone(&done));
        let body = move || {
            let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
            assert!(lines.any(|line| line.starts_with("+OK - Receive loop entered")));
            entered.fetch_add(1, Ordering::SeqCst);
            for n in 0..EVENTS {
                let line = lines.by_ref().find(|line| line != "+OK").unwrap();
                assert!(
                    line.starts_with(&format!("0,20,{n},")),
                    "{line} is not event {n}"
                );
            }
            done.fetch_add(1, Ordering::SeqCst);
        };
        let small = thread::Builder::new().stack_size(128 * 1024);
        readers.push(small.spawn(body).unwrap());
    }
    wait_until("all are in the receive loop", || {
        entered.load(Ordering::SeqCst) == CLIENTS
    });
    let logged_in = resident_kib();
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    let data = vec!["255"; 400].join(",");
    for n in 0..EVENTS {
        // 4 MB to each: more than the sockets of those that do not read can hold.
        driver.write(parse(&format!("0,20,{n},,,,-,{data}"), &defaults).unwrap());
    }
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(
        done.load(Ordering::SeqCst),
        CLIENTS - DEAF,
        "nobody missed anything"
    );
    let after = resident_kib();
    println!("resident: {before} KiB, {logged_in} KiB logged in, {after} KiB with {DEAF} deaf");
    // One copy of each event for all, and a pointer for each that waits.
    assert!(
        after < logged_in + 200 * 1024,
        "{after} KiB, {logged_in} KiB before"
    );
    driver.close();
}

//! Connections by the thousand that want nothing: what they cost, and that others are served.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

mod support;

use support::abuse::{
    Bounds, FAREWELL, MAX_CLIENTS, STRANGER, STRANGER_WITH_TLS, Target, connect_from, cost,
    need_descriptors, reset,
};
use support::certificates::Authority;
use support::client::Client;
use support::secure::{client_hello, over};
use support::tools::{PATIENCE, wait_until};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn two_thousand_clients_that_connect_and_reset() {
    const CLIENTS: usize = 2000;
    const THREADS: usize = 8;
    // All of them within a second, once: a machine that does something else may need a few rounds.
    const LONGEST: Duration = Duration::from_secs(1);
    const ROUNDS: usize = 10;
    let mut target = Target::open("");
    let watch = target.watch();
    let to = target.plain;
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS && rounds.iter().all(|took| *took >= LONGEST) {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(move || {
                    for n in 0..CLIENTS / THREADS {
                        let stream = connect_from(HERE, to).unwrap();
                        if n % 2 == 0 {
                            // Some have heard the greeting.
                            let _ = (&stream).read(&mut [0]);
                        }
                        reset(stream);
                    }
                });
            }
        });
        rounds.push(start.elapsed());
    }
    println!("{CLIENTS} connections were made and reset in {rounds:?}");
    let best = rounds.iter().min().unwrap();
    assert!(*best < LONGEST, "{rounds:?}");
    watch.end(&mut target, "2000 resets", Bounds::of_a_crowd(STRANGER));
}

#[test]
fn five_thousand_clients_that_never_speak() {
    const CLIENTS: usize = 5000;
    need_descriptors(CLIENTS + 500);
    // Long enough for all to come, and some to be asked, before the first is ended.
    let mut target = Target::open("\"login-timeout\": 15,");
    let watch = target.watch();
    let silent: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| connect_from(HERE, target.plain).unwrap())
        .collect();
    wait_until("the places are taken", || {
        target.log().contains("max-clients (1024) are connected")
    });
    // Somebody from elsewhere gets in meanwhile.
    for host in 1..=3 {
        let elsewhere = connect_from(Ipv4Addr::new(127, 9, 9, host), target.plain).unwrap();
        Client::over(elsewhere).logged_in("admin").must("noop");
    }
    // The driver ends them all, whatever they do not do.
    wait_until("all have been ended", || {
        watch.descriptors_now() <= watch.descriptors_before()
    });
    let (mut greeted, mut told) = (0, 0);
    for mut stream in silent {
        let mut text = Vec::new();
        // Whoever was closed without a word may see a reset.
        let _ = stream.read_to_end(&mut text);
        greeted += usize::from(text.starts_with(b"Welcome"));
        told += usize::from(text.starts_with(b"-OK - Max number of clients"));
    }
    println!("{greeted} were greeted, {told} told that there is no place");
    assert!(greeted >= MAX_CLIENTS - 2 && told >= cost(FAREWELL).descriptors);
    watch.end(
        &mut target,
        "5000 silent clients",
        Bounds::of_a_crowd(STRANGER),
    );
}

#[test]
fn five_thousand_clients_that_stop_in_the_middle_of_a_handshake() {
    const CLIENTS: usize = 5000;
    // From the connection on, whatever comes in.
    const HANDSHAKE: Duration = Duration::from_secs(10);
    need_descriptors(CLIENTS + 500);
    let ours = Authority::new("ours");
    let certificate = ours.identity_in_one_file("localhost");
    let mut target =
        Target::open_secure(&format!("\"tls\": {{\"certificate\": {certificate:?}}},"));
    let watch = target.watch();
    let secure = target.secure.unwrap();
    let hello = client_hello(&ours);
    let half = &hello[..hello.len() / 2];
    let start = Instant::now();
    let crowd: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = connect_from(HERE, secure).unwrap();
            // Most find no place, and are closed without a word.
            let _ = stream.write_all(half);
            stream
        })
        .collect();
    let all_here = start.elapsed();
    wait_until("the places are taken", || {
        target.log().contains("max-clients (1024) are connected")
    });
    // Somebody from elsewhere gets in meanwhile, with TLS and without.
    for host in 1..=3 {
        let from = Ipv4Addr::new(127, 9, 9, host);
        Client::over(connect_from(from, target.plain).unwrap())
            .logged_in("admin")
            .must("noop");
        let mut stream = over(connect_from(from, secure).unwrap(), &ours);
        stream
            .write_all(b"user admin\r\npass secret\r\nnoop\r\nquit\r\n")
            .unwrap();
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        assert_eq!(said.matches("+OK - Success.").count(), 3, "{said}");
    }
    let others_were_in = start.elapsed();
    wait_until("all have been ended", || {
        watch.descriptors_now() <= watch.descriptors_before()
    });
    let took = start.elapsed();
    println!(
        "all were here after {all_here:?}, others in after {others_were_in:?}, ended {took:?}"
    );
    assert!(took >= HANDSHAKE, "they had their time: {took:?}");
    assert!(took < all_here + HANDSHAKE + PATIENCE / 2, "{took:?}");
    for mut stream in crowd {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        assert!(!text.windows(2).any(|two| two == b"OK"), "{text:?}");
    }
    // All who had a place, but for those who made room.
    let log = target.log();
    let late = log.lines().filter(|line| {
        line.contains("no TLS with this client") && line.contains("client=127.0.0.1:")
    });
    let late = late.count();
    println!("{late} of them were too slow");
    assert!(late >= MAX_CLIENTS - 10, "{late}");
    watch.end(
        &mut target,
        "5000 halves of a handshake",
        Bounds::of_a_crowd(STRANGER_WITH_TLS),
    );
}

#[test]
fn a_driver_that_runs_out_of_descriptors() {
    const MOST: usize = 64;
    let mut target = Target::open_small(MOST);
    let watch = target.watch();
    let crowd: Vec<TcpStream> = (0..200)
        .map(|_| connect_from(HERE, target.plain).unwrap())
        .collect();
    wait_until("there is none left", || {
        target.log().contains("cannot accept a client")
    });
    // Some may have been handed to it by whoever started the test.
    assert!(watch.descriptors_now() >= MOST);
    // Those who are in go on, and the host.
    for _ in 0..20 {
        assert_eq!(target.host.ask("write 0 20 4 0 0 0 3"), "code 0");
        thread::sleep(Duration::from_millis(20));
    }
    // And when the crowd is gone, the next one comes in.
    crowd.into_iter().for_each(reset);
    Client::log_in(target.plain).must("noop");
    let bounds = Bounds {
        descriptors: MOST,
        ..Bounds::of(MOST, STRANGER)
    };
    watch.end(&mut target, "64 descriptors", bounds);
}

/// Begins a connection and does not wait for it.
fn knock(to: SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let _ = socket.connect(&to.into());
}

#[test]
fn a_scan_of_both_ports() {
    let ours = Authority::new("ours");
    let certificate = ours.identity_in_one_file("localhost");
    let mut target =
        Target::open_secure(&format!("\"tls\": {{\"certificate\": {certificate:?}}},"));
    let watch = target.watch();
    for to in [target.plain, target.secure.unwrap()] {
        for n in 0..1000 {
            let source = Ipv4Addr::new(127, 3, 0, (n % 250) as u8);
            match n % 4 {
                0 => knock(to),
                1 => drop(connect_from(source, to).unwrap()),
                2 => reset(connect_from(source, to).unwrap()),
                _ => {
                    // One that looks who is there.
                    let mut stream = connect_from(source, to).unwrap();
                    let short = Some(Duration::from_millis(1));
                    stream.set_read_timeout(short).unwrap();
                    let _ = stream.read(&mut [0; 64]);
                }
            }
        }
    }
    watch.end(&mut target, "a scan", Bounds::of_a_crowd(STRANGER_WITH_TLS));
}

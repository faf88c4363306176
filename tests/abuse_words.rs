//! Clients that say too little, too much or something else, and that do not listen.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

mod support;

use support::abuse::{Bounds, PASSING, Target, connect_from};
use support::certificates::Authority;
use support::client::Client;
use support::tools::{PATIENCE, need, wait_until};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What one client can make the driver keep: a line of 64 KiB in a buffer that has grown to twice
/// that, as much of answers, and what is under way in between.
const KIB_EACH: usize = 512;

/// The time until the other side has closed.
fn until_closed(start: Instant, mut stream: &TcpStream) -> Duration {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return start.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return start.elapsed(),
            Err(error) => panic!("it is not closed: {error}"),
        }
        assert!(start.elapsed() < PATIENCE, "it goes on and on");
    }
}

/// Writes the same again and again until the other side has closed.
fn write_for_ever(mut stream: &TcpStream, bytes: &[u8], pause: Duration) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE && stream.write_all(bytes).is_ok() {
        thread::sleep(pause);
    }
}

#[test]
fn whatever_dribbles_in_the_login_deadline_ends_it() {
    const DEADLINE: Duration = Duration::from_secs(3);
    let target = Target::open("\"login-timeout\": 3,");
    let watch = target.watch();
    let slow = Duration::from_secs(1);
    let noops = b"noop\r\n".repeat(1000);
    let help = b"help\r\n".repeat(1000);
    let tries: Vec<(&str, &[u8], Duration)> = vec![
        ("a letter every second", b"u", slow),
        ("a line every second", b"\r\n", slow),
        ("a command every second", b"user admin\r\n", slow),
        ("letters without a pause", &[b'x'; 8192], Duration::ZERO),
        ("commands without a pause", &noops, Duration::ZERO),
        ("long answers without a pause", &help, Duration::ZERO),
    ];
    let most = tries.len() * 4;
    thread::scope(|scope| {
        for (what, bytes, pause) in tries.iter().cycle().take(most) {
            let start = Instant::now();
            let stream = connect_from(HERE, target.plain).unwrap();
            scope.spawn(move || {
                thread::scope(|scope| {
                    scope.spawn(|| write_for_ever(&stream, bytes, *pause));
                    let lasted = until_closed(start, &stream);
                    assert!(lasted >= DEADLINE, "{what}: ended after {lasted:?}");
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                });
            });
        }
        // One that takes its answers in small pieces, each in good time.
        let start = Instant::now();
        let mut sips = small_window(target.plain);
        sips.write_all(&help).unwrap();
        scope.spawn(move || {
            while matches!(sips.read(&mut [0; 2048]), Ok(1..)) {
                assert!(start.elapsed() < PATIENCE, "small pieces for ever");
                thread::sleep(Duration::from_millis(20));
            }
            assert!(start.elapsed() >= DEADLINE);
        });
    });
    let bounds = Bounds {
        kib: KIB_EACH * (most + 1),
        descriptors: most + 1 + PASSING,
    };
    watch.end("dribbles", &bounds);
}

/// A connection that takes little at a time.
fn small_window(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn who_never_reads_is_disconnected() {
    const DEAF: usize = 8;
    const EVENTS: usize = 6000;
    // An event of full size: itself, its text, and how each of those who wait holds it.
    const KIB_OF_EVENT: usize = 5;
    let target = Target::open("\"response-timeout\": 2000,");
    let watch = target.watch();
    let mut deaf = Vec::new();
    let help = b"help\r\n".repeat(20_000);
    for n in 0..2 * DEAF {
        let mut stream = small_window(target.plain);
        stream.write_all(b"user admin\r\npass secret\r\n").unwrap();
        if n % 2 == 0 {
            stream.write_all(b"rcvloop\r\n").unwrap();
        } else {
            // The driver does not take it all: it waits for its answers to be read.
            let help = help.clone();
            let mut writer = stream.try_clone().unwrap();
            thread::spawn(move || {
                let _ = writer.write_all(&help);
            });
        }
        deaf.push(stream);
    }
    let mut talker = Client::log_in(target.plain);
    let data = vec!["255"; 512].join(",");
    for _ in 0..EVENTS {
        talker.must(&format!("send 0,20,4,,,,-,{data}"));
    }
    wait_until("all are disconnected", || {
        let said = "did not read for 2s and is disconnected";
        target.log().matches(said).count() == 2 * DEAF
    });
    drop(talker);
    // The host's queue holds the events as well: the test's host takes none.
    let bounds = Bounds {
        kib: EVENTS * KIB_OF_EVENT + 2 * DEAF * KIB_EACH,
        descriptors: 2 * DEAF + 1 + PASSING,
    };
    watch.end("who never reads", &bounds);
    drop(deaf);
}

#[test]
fn sixteen_mebibytes_without_the_end_of_a_line() {
    const CLIENTS: usize = 4;
    let target = Target::open("");
    let watch = target.watch();
    let flood = |client: &mut Client| {
        for _ in 0..16 * 16 {
            client.send(&[b'x'; 64 * 1024]);
        }
        assert_eq!(client.ask(""), ["-OK - Invalid parameter or format"]);
        client.must("version");
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(target.plain);
                flood(&mut client);
                let mut client = client.logged_in("admin");
                flood(&mut client);
            });
        }
    });
    let bounds = Bounds {
        kib: CLIENTS * KIB_EACH,
        descriptors: CLIENTS + PASSING,
    };
    watch.end("16 MiB in a line", &bounds);
}

#[test]
fn other_protocols_on_either_port() {
    const CLIENTS: usize = 200;
    let ours = Authority::new("ours");
    let certificate = ours.identity_in_one_file("localhost");
    let target = Target::open_secure(&format!("\"tls\": {{\"certificate\": {certificate:?}}},"));
    let watch = target.watch();
    let secure = target.secure.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\n";
    // The head of a ClientHello, and the rest by chance: bytes of all kinds, ends of lines too.
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend((0..506_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    for n in 0..CLIENTS {
        let mut stream = connect_from(HERE, target.plain).unwrap();
        let words: &[u8] = if n % 2 == 0 { request } else { &hello };
        stream.write_all(words).unwrap();
        if n % 2 == 0 {
            // Each line is no command, and that is all; the session goes on.
            let mut client = Client::over(stream);
            for _ in 0..3 {
                assert!(client.reply().last().unwrap().starts_with("-OK"));
            }
            client.must("noop");
        }
        // Lines in clear on the port of TLS: never a word of the protocol.
        let mut stream = connect_from(HERE, secure).unwrap();
        let words: &[u8] = if n % 2 == 0 {
            b"user admin\r\npass secret\r\nnoop\r\n"
        } else {
            request
        };
        let _ = stream.write_all(words);
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        assert!(!text.windows(2).any(|two| two == b"OK"), "{text:?}");
    }
    // A real client of TLS on the plain port.
    let openssl = Command::new(need("openssl"))
        .args(["s_client", "-connect", &target.plain.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(!openssl.unwrap().success());
    let bounds = Bounds {
        // They come one after the other; few are at their end at a time.
        kib: PASSING * KIB_EACH,
        descriptors: 2 * CLIENTS + PASSING,
    };
    watch.end("other protocols", &bounds);
}

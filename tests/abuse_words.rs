//! Clients that say too little, too much or something else, and that do not listen.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::any::Any;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use vscpl2drv_link::wire::binary::Strength;

mod support;

use support::abuse::{
    BUSY, Bounds, EVENT, FILE, STRANGER, Target, connect_from, cost, need_descriptors,
};
use support::binary::{Binary, cipher, key_file};
use support::certificates::Authority;
use support::client::Client;
use support::mosquitto::free_port;
use support::secure::over;
use support::tools::{PATIENCE, need, wait_until};
use support::websocket;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Files of `web-root` that are read at a time.
const FILES: usize = 64;

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
    let mut target = Target::open("\"login-timeout\": 3,");
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
    watch.end(&mut target, "dribbles", Bounds::of(most + 1, BUSY));
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

/// A client that is logged in, has asked for more than fits on the way to it, and reads nothing of
/// it, whatever it speaks. It is there as long as what this gives.
fn deaf(kind: usize, target: &Target, authority: &Authority) -> Box<dyn Any> {
    let login = b"user admin\r\npass secret\r\n";
    if kind == 3 {
        let mut stream = over(small_window(target.secure.unwrap()), authority);
        stream.write_all(login).unwrap();
        stream.write_all(b"rcvloop\r\n").unwrap();
        return Box::new(stream);
    }
    let mut stream = small_window(target.plain);
    match kind {
        0 => {
            stream.write_all(login).unwrap();
            stream.write_all(b"rcvloop\r\n").unwrap();
        }
        1 => {
            stream.write_all(login).unwrap();
            // The driver does not take it all: it waits for its answers to be read.
            let mut writer = stream.try_clone().unwrap();
            thread::spawn(move || writer.write_all(&b"help\r\n".repeat(20_000)));
        }
        _ => {
            let mut client = Binary::over(stream, cipher(Strength::Aes256)).logged_in();
            // The receive loop.
            client.command(7, b"");
            return Box::new(client);
        }
    }
    Box::new(stream)
}

#[test]
fn who_never_reads_is_disconnected() {
    const DEAF: usize = 20;
    const EVENTS: usize = 6000;
    let ours = Authority::new("ours");
    let (certificate, keys) = (
        ours.identity_in_one_file("localhost"),
        TempDir::new().unwrap(),
    );
    let mut target = Target::open_secure(&format!(
        "\"response-timeout\": 2000, \"tls\": {{\"certificate\": {certificate:?}}}, \
         \"encryption\": \"aes256\", \"key-file\": {:?},",
        key_file(keys.path())
    ));
    let watch = target.watch();
    let all: Vec<Box<dyn Any>> = (0..DEAF).map(|n| deaf(n % 4, &target, &ours)).collect();
    let mut talker = Client::log_in(target.plain);
    let data = vec!["255"; 512].join(",");
    for _ in 0..EVENTS {
        talker.must(&format!("send 0,20,4,,,,-,{data}"));
    }
    wait_until("all are disconnected", || {
        let said = "did not read for 2s and is disconnected";
        target.log().matches(said).count() == DEAF
    });
    drop(talker);
    // The queues of the host and of the witnesses hold the events as well.
    let mut bounds = Bounds::of(DEAF + 1, BUSY);
    bounds.kib += EVENTS * cost(EVENT).kib;
    watch.end(&mut target, "who never reads", bounds);
    drop(all);
}

#[test]
fn sixteen_mebibytes_without_the_end_of_a_line() {
    const CLIENTS: usize = 4;
    let mut target = Target::open("");
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
    watch.end(&mut target, "16 MiB in a line", Bounds::of(CLIENTS, BUSY));
}

#[test]
fn other_protocols_on_either_port() {
    const CLIENTS: usize = 200;
    let ours = Authority::new("ours");
    let certificate = ours.identity_in_one_file("localhost");
    let mut target =
        Target::open_secure(&format!("\"tls\": {{\"certificate\": {certificate:?}}},"));
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
            // The first line is no command but a request, and the end of the session.
            let mut client = Client::over(stream);
            assert_eq!(client.reply(), ["-OK - Unknown command"]);
            assert_eq!(client.line(), None);
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
        kib: Bounds::of(8, BUSY).kib,
        ..Bounds::of(2 * CLIENTS, BUSY)
    };
    watch.end(&mut target, "other protocols", bounds);
}

#[test]
fn five_hundred_clients_that_ask_for_a_file_and_do_not_read() {
    const CLIENTS: usize = 500;
    need_descriptors(CLIENTS + 500);
    let place = TempDir::new().unwrap();
    let root = place.path().join("www");
    fs::create_dir(&root).unwrap();
    let large = fs::File::create(root.join("large")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    let key = websocket::with_key(&"5a".repeat(32));
    let web = SocketAddr::from((HERE, free_port()));
    let mut target = Target::open(&format!(
        "\"response-timeout\": 3000, \"key-file\": {:?}, \"websocket\": {{\"interface\": \
         \"ws://{web}\", \"enable-static\": true, \"web-root\": {root:?}}},",
        key.path().join("key")
    ));
    let watch = target.watch();
    let crowd: Vec<(TcpStream, bool)> = (0..CLIENTS)
        .map(|_| {
            let mut stream = connect_from(HERE, web).unwrap();
            let ask = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
            stream.write_all(ask).unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            (stream, &status == b"HTTP/1.1 200")
        })
        .collect();
    let reading = crowd.iter().filter(|(_, reads)| *reads).count();
    println!("{reading} of them are given the file");
    let each = cost(FILE).kib;
    wait_until("they are given up", || {
        watch.descriptors_now() <= watch.descriptors_before() + CLIENTS - reading
    });
    drop(crowd);
    let mut bounds = Bounds::of(CLIENTS, STRANGER);
    bounds.kib += FILES * each;
    bounds.descriptors += FILES * cost(FILE).descriptors;
    watch.end(&mut target, "500 downloads", bounds);
    assert!(reading >= FILES, "{reading}");
}

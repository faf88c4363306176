//! Defects of the C++ websocket driver: its files, its keys, its TLS, and what it left behind.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};
use tokio_tungstenite::tungstenite::{self, Message};
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::client::{self as requests, Said};

mod support;

use support::certificates::Authority;
use support::client::Client as LinkClient;
use support::dialogue;
use support::host::{Host, Layout, compile};
use support::mosquitto::free_port;
use support::raw::{Raw, request};
use support::secure::joined;
use support::tools::{root, wait_until};
use support::websocket::{Client, KEY, Server, flat, opening, path, with_key, ws2};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

#[test]
fn websockets_with_tls() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let place = with_key(&"0123456789abcdef".repeat(2));
    let config = flat(
        &place,
        &format!("\"tls\": {{\"certificate\": {certificate:?}}},"),
    );
    let server = Server::open(place, config.replace("ws://", "wss://"));
    let mut roots = RootCertStore::empty();
    let pem = fs::read(ours.file()).unwrap();
    roots
        .add(CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let key = 0x0123_4567_89AB_CDEF_u64.to_be_bytes();
    let key: [u8; 16] = [key, key].concat().try_into().unwrap();
    for dialect in BOTH {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(&config), name).unwrap();
        let stream = TcpStream::connect(server.address()).unwrap();
        stream
            .set_read_timeout(Some(support::tools::PATIENCE))
            .unwrap();
        let stream = StreamOwned::new(tls, stream);
        let request = opening(server.address(), path(dialect));
        let (mut socket, _) = tungstenite::client(request, stream).unwrap();
        let greeting = socket.read().unwrap().into_text().unwrap();
        let at = greeting.find("AUTH0").unwrap();
        let digits: String = greeting[at + 5..]
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
        let sid = std::array::from_fn(byte);
        let auth = requests::auth(dialect, &key, &sid, "admin", "secret");
        for (message, answer) in [
            (auth, "AUTH"),
            (requests::open(dialect), "OPEN"),
            (requests::noop(dialect), "NOOP"),
        ] {
            socket.send(Message::from(message)).unwrap();
            let text = socket.read().unwrap().into_text().unwrap();
            assert!(text.contains('+') && text.contains(answer), "{text}");
        }
        server.write("0,20,3,,,,::1,7");
        let text = socket.read().unwrap().into_text().unwrap();
        assert!(
            text.starts_with("E;") || text.contains("\"EVENT\""),
            "{text}"
        );
        socket.close(None).unwrap();
    }
    // In clear text there is nothing.
    let mut plain = Raw::connect(server.address());
    plain.send(request("GET /ws1", &support::raw::OPENING));
    let rest = plain.rest_or_reset();
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    server.driver.close();
}

#[test]
fn key_files_of_any_length_count_and_bad_ones_are_said() {
    let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        digits.clone(),
        digits.to_uppercase(),
        format!("{digits}\n"),
        format!("{digits}{}\r\n", "5A".repeat(16)),
        // As many as the file has that is shipped.
        format!("{digits}{}", "5a".repeat(240)),
        format!("{} {}\n", &digits[..16], &digits[16..]),
    ] {
        let place = with_key(&text);
        let config = flat(&place, "");
        let server = Server::open(place, config);
        for dialect in BOTH {
            Client::log_in(server.address(), dialect, "admin").must("OPEN");
        }
        server.driver.close();
        assert!(!server.log().contains("key"), "{}", server.log());
    }
    let short = &digits[..30];
    for (text, words) in [
        ("", "has 0 hexadecimal digits"),
        (short, "has 30 hexadecimal digits"),
        ("xyz", "no hexadecimal digit"),
    ] {
        let place = with_key(text);
        let file = place.path().join("key");
        let config = flat(&place, "");
        let config = config.replace("\"ws://", "\"tcp://127.0.0.1:0, ws://");
        let server = Server::open(place, config);
        // Without a key there is no server for websockets.
        assert_eq!(server.driver.addresses().len(), 1);
        server.logged(&format!("{} is not usable", file.display()), 1);
        server.logged(words, 1);
        LinkClient::log_in(server.link()).must("noop");
        server.driver.close();
    }
    // No file at all, and none named.
    let place = with_key("");
    let config = flat(&place, "").replace("/key\"", "/none\"");
    let server = Server::open(place, config);
    assert!(server.driver.addresses().is_empty());
    server.logged("Websockets are not served", 1);
    server.driver.close();
    let place = TempDir::new().unwrap();
    let config = flat(&place, "").replace("\"key-file\"", "\"_key-file\"");
    let server = Server::open(place, config);
    assert!(server.driver.addresses().is_empty());
    server.logged("there is no key-file", 1);
    server.driver.close();
}

#[test]
fn keys_that_everybody_has_are_said_and_the_specifications_example_logs_in() {
    let known = [
        "2DBB079A38985AF00EBEEFE22F9FFA0E",
        "A4A86F7D7E119BA3F0CD06881E371B98",
    ];
    for key in known {
        let place = with_key(key);
        let config = flat(&place, "\"websocket\": {\"allow-foreign-iv\": true},");
        let server = Server::open(place, config);
        server.logged("holds a key that everybody has", 1);
        let mut client = Client::connect(server.address(), Ws2);
        let args = ", \"args\": {\"iv\": \"5A475C082C80DCDF7F2DFBD976253B24\", \
                     \"crypto\": \"69B1180D2F4809D39BE34E19C750107F\"}";
        let answer = client.ask(&ws2("AUTH", args));
        assert_eq!(
            answer.contains("\"type\" : \"+\""),
            key == known[1],
            "{answer}"
        );
        server.driver.close();
        // Where encryption is asked for it is none.
        let place = with_key(key);
        let config = flat(&place, "\"require-encryption\": true,");
        let server = Server::open(place, config);
        assert!(server.driver.addresses().is_empty());
        server.logged("Websockets are not served", 1);
        server.driver.close();
    }
}

#[test]
fn without_its_users_file_the_driver_does_not_start_and_says_why() {
    let place = with_key(&"0123456789abcdef".repeat(2));
    for text in [
        None,
        Some("no json"),
        Some("{\"users\": [{\"name\": \"x\"}]}"),
    ] {
        let file = place.path().join("users.json");
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let users = format!("{:?}", dialogue::users());
        let config = flat(&place, "").replace(&users, &format!("{file:?}"));
        let guid = Guid::ZERO;
        assert!(Driver::open(Source { config, guid }).is_none(), "{text:?}");
        let log = fs::read_to_string(place.path().join("log")).unwrap();
        assert!(log.contains("users.json"), "{log}");
    }
}

#[test]
fn the_files_of_the_other_driver_work_with_no_more_than_paths_and_port_changed() {
    let documented = root().join("tests/documented/websocksrv");
    // As many digits as the key has that is shipped with them, which begins like this.
    let digits = "2DBB079A38985AF00EBEEFE22F9FFA0E".repeat(16);
    let key = 0x2DBB_079A_3898_5AF0_0EBE_EFE2_2F9F_FA0E_u128.to_be_bytes();
    for name in ["standard", "installed", "debug"] {
        let place = with_key(&digits);
        let users = place.path().join("users.json");
        fs::copy(documented.join("users.json"), &users).unwrap();
        let config = fs::read_to_string(documented.join(format!("{name}.json"))).unwrap();
        let mut parsed: serde_json::Value = serde_json::from_str(&config).unwrap();
        let port = free_port();
        let (key_file, log) = (place.path().join("key"), place.path().join("log"));
        parsed["interface"] = format!("ws://localhost:{port}").into();
        parsed["path-users"] = users.to_str().into();
        parsed["key-file"] = key_file.to_str().into();
        parsed["logging"]["file-path"] = log.to_str().into();
        let server = Server::open(place, parsed.to_string());
        for dialect in BOTH {
            for (user, hash) in [
                ("admin", true),
                ("user", true),
                ("vscp", true),
                ("special1", false),
            ] {
                let mut client = Client::connect(server.address(), dialect);
                client.send(&requests::auth(dialect, &key, &client.sid, user, "secret"));
                // One of them has a password that nobody knows.
                let entered = matches!(client.said(), Said::Done { .. });
                assert_eq!(entered, hash, "{name} {dialect:?} {user}");
                if entered {
                    client.must("OPEN");
                    server.write("0,20,3,,,,::1,7");
                    assert_eq!(client.event().data[..], [7], "{name} {dialect:?} {user}");
                    assert_eq!(client.send_event("0,20,3,,,,-,8"), Ok(()));
                    assert_eq!(server.data(), [8], "{name} {dialect:?} {user}");
                }
            }
        }
        server.driver.close();
    }
}

#[test]
fn sessions_leave_nothing_behind() {
    let place = with_key("00112233445566778899aabbccddeeff");
    let program = compile(Layout::V2, place.path());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = flat(&place, "").replace("ws://127.0.0.1:0", &format!("ws://{address}"));
    let mut command = Command::new(&program);
    let exact = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
    command.env("GLIBC_TUNABLES", exact);
    let mut host = Host::start_as(command, &config);
    let key = 0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF_u128.to_be_bytes();
    let round = |host: &mut Host, count: usize| {
        for n in 0..count {
            let mut client = Client::connect(address, BOTH[n % 2]);
            let auth = requests::auth(client.dialect, &key, &client.sid, "admin", "secret");
            assert!(client.ask(&auth).contains('+'));
            client.must("OPEN");
        }
        wait_until("all have gone", || host.descriptors() <= 64);
        let heap = host.ask("heap");
        let heap = heap.strip_prefix("heap ").unwrap();
        heap.parse::<usize>().unwrap()
    };
    let before = round(&mut host, 100);
    let descriptors = host.descriptors();
    let after = round(&mut host, 700);
    // Each has had buffers of many kilobytes.
    assert!(after < before + 500_000, "{before} bytes, then {after}");
    wait_until("the descriptors are back", || {
        host.descriptors() <= descriptors + 2
    });
    host.end();
}

#[test]
fn events_that_are_dropped_or_thrown_away_leave_nothing_behind() {
    let place = with_key("00112233445566778899aabbccddeeff");
    let program = compile(Layout::V2, place.path());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = flat(&place, "\"max-client-queue-size\": 500,")
        .replace("ws://127.0.0.1:0", &format!("ws://{address}"));
    let mut command = Command::new(&program);
    let exact = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
    command.env("GLIBC_TUNABLES", exact);
    let mut host = Host::start_as(command, &config);
    let key = 0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF_u128.to_be_bytes();
    let mut clients = BOTH.map(|dialect| {
        let mut client = Client::connect(address, dialect);
        let auth = requests::auth(dialect, &key, &client.sid, "admin", "secret");
        assert!(client.ask(&auth).contains('+'));
        client
    });
    let mut round = |host: &mut Host| {
        // The first 500 wait, and the others find no room.
        for _ in 0..1000 {
            assert_eq!(host.ask("write 0 20 3 0 1700000000 0 512"), "code 0");
        }
        for client in &mut clients {
            client.must("CLRQ");
        }
        let heap = host.ask("heap");
        let heap = heap.strip_prefix("heap ").unwrap();
        heap.parse::<usize>().unwrap()
    };
    round(&mut host);
    let before = round(&mut host);
    let after = (0..5).map(|_| round(&mut host)).last().unwrap();
    // The data of those that waited, or of the others, would be 1.2 MB.
    assert!(after < before + 300_000, "{before} bytes, then {after}");
    for client in &mut clients {
        client.must("OPEN");
        client.must("NOOP");
    }
    drop(clients);
    host.end();
}

#[test]
fn the_log_has_the_address_of_the_client() {
    let server = Server::start("", "");
    for dialect in BOTH {
        let mut client = Client::connect(server.address(), dialect);
        let from = client.socket.get_ref().local_addr().unwrap();
        assert!(!client.try_log_in("nobody", "secret"));
        server.logged(&format!("login refused client={from} user=nobody"), 1);
        client.challenge();
        assert!(client.try_log_in("admin", "secret"));
        server.logged(&format!("logged in client={from} user=admin"), 1);
        drop(client);
        server.logged(&format!("logged out client={from}"), 1);
    }
    server.driver.close();
}

#[test]
fn a_logging_section_of_any_shape_starts_or_is_refused_and_the_host_lives() {
    let place = with_key(&"0123456789abcdef".repeat(2));
    for (logging, starts) in [
        // Without the section the other driver ended its host.
        (None, true),
        (Some("{}"), true),
        (Some("{\"file-enable-log\": false}"), true),
        (
            Some("{\"file-enable-log\": false, \"file-max-size\": 1000000}"),
            true,
        ),
        (Some("{\"file-path\": \"LOG\"}"), true),
        (
            Some("{\"file-path\": \"LOG\", \"file-max-size\": 0}"),
            false,
        ),
        (
            Some("{\"file-path\": \"LOG\", \"file-log-level\": \"what\"}"),
            false,
        ),
        (Some("{\"file-path\": \"/proc/nowhere/log\"}"), false),
        (Some("[]"), false),
        (Some("5"), false),
    ] {
        let config = flat(&place, "");
        let (head, _) = config.split_once("\"logging\"").unwrap();
        let head = head.trim_end().trim_end_matches(',');
        let log = place.path().join("log").display().to_string();
        let config = match logging {
            Some(logging) => {
                let logging = logging.replace("LOG", &log);
                format!("{head}, \"logging\": {logging}}}")
            }
            None => format!("{head}}}"),
        };
        let guid = Guid::ZERO;
        let opened = Driver::open(Source { config, guid });
        assert_eq!(opened.is_some(), starts, "{logging:?}");
        if let Some(driver) = opened {
            let mut raw = Raw::ws1(driver.addresses()[0]);
            assert_eq!(raw.ask("C;NOOP"), "+;NOOP", "{logging:?}");
            driver.close();
        }
    }
}

#[test]
fn nothing_of_the_working_directory_is_served() {
    // As the C++ driver's own defaults and samples have it.
    for members in [
        "",
        "\"enable-static\": true,",
        "\"web-root\": \".\",",
        "\"enable-static\": true, \"web-root\": \".\",",
        "\"enable-static\": true, \"web-root\": \"\",",
    ] {
        let place = with_key(&"0123456789abcdef".repeat(2));
        let config = flat(&place, members);
        let server = Server::open(place, config);
        for path in ["/Cargo.toml", "/", "/src/lib.rs", "/./Cargo.toml"] {
            let mut raw = Raw::connect(server.address());
            raw.send(request(&format!("GET {path}"), &[("Host", "x")]));
            let response = raw.response();
            assert_eq!(response.status, 404, "{members} {path}");
            assert!(!response.text().contains("package"), "{members} {path}");
        }
        server.driver.close();
    }
}

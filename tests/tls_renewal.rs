//! Certificates that are renewed while the driver runs.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

mod support;

use support::certificates::{Authority, Identity};
use support::secure::{LOGIN, Server, joined, openssl};
use support::tools::{need, wait_until};

const NEW: &str = "new certificates are in use";

fn times(server: &Server, words: &str) -> usize {
    server.log().matches(words).count()
}

/// Nobody connects meanwhile.
fn wait_for_times(server: &Server, words: &str, number: usize) {
    wait_until(words, || times(server, words) >= number);
    assert_eq!(times(server, words), number, "{}", server.log());
}

fn errors(server: &Server) -> usize {
    let log = server.log();
    log.lines().filter(|line| line.starts_with("error")).count()
}

/// True where a client finds a certificate there that this authority vouches for.
fn vouches(authority: &Authority, address: SocketAddr) -> bool {
    Command::new(need("openssl"))
        .args(["s_client", "-verify_return_error", "-connect"])
        .arg(address.to_string())
        .arg("-CAfile")
        .arg(authority.file())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// In one step, as programs that renew certificates do.
fn replace(path: &Path, by: &Path) {
    fs::rename(by, path).unwrap();
}

#[test]
fn links_and_websockets_have_the_new_ones_and_sessions_go_on() {
    let (ours, next) = (Authority::new("ours"), Authority::new("next"));
    let Identity { certificate, key } = ours.identity("localhost");
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("key");
    fs::write(&secret, "00112233445566778899aabbccddeeff").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::with(&format!(
        "\"interface\": [\"stcp://127.0.0.1:0\", \"wss://127.0.0.1:0\"], \"key-file\": {secret:?}, \
         \"tls\": {{\"certificate\": {certificate:?}, \"key\": {key:?}, \"short-trust\": true}}"
    ));
    let addresses = server.driver.addresses();
    assert_eq!(addresses.len(), 2);
    let mut process = Command::new(need("openssl"))
        .args(["s_client", "-quiet", "-verify_return_error", "-connect"])
        .arg(server.address().to_string())
        .arg("-CAfile")
        .arg(ours.file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(LOGIN.as_bytes()).unwrap();
    wait_until("it is logged in", || {
        times(&server, "logged in client=") == 1
    });

    let new = next.identity("localhost");
    replace(&certificate, &new.certificate);
    replace(&key, &new.key);
    wait_for_times(&server, NEW, 1);
    for address in addresses {
        assert!(vouches(&next, address), "{address}");
        assert!(!vouches(&ours, address), "{address}");
    }
    input.write_all(b"chid\r\nquit\r\n").unwrap();
    let mut text = String::new();
    let mut output = process.stdout.take().unwrap();
    output.read_to_string(&mut text).unwrap();
    process.wait().unwrap();
    assert!(text.contains("\r\n1\r\n+OK - Success.\r\n"), "{text}");
    server.driver.close();
}

#[test]
fn a_broken_one_is_said_though_nobody_connects() {
    let (ours, next) = (Authority::new("ours"), Authority::new("next"));
    let certificate = joined(&ours.identity("localhost"));
    let server = Server::start(&format!("\"certificate\": {certificate:?}"));
    fs::write(&certificate, "nonsense").unwrap();
    wait_for_times(&server, "the old ones stay", 1);
    assert!(vouches(&ours, server.address()), "the old one stays");
    replace(&certificate, &joined(&next.identity("localhost")));
    wait_for_times(&server, NEW, 1);
    assert!(vouches(&next, server.address()));
    assert!(!vouches(&ours, server.address()));
    assert_eq!(errors(&server), 1, "{}", server.log());
    server.driver.close();
}

#[test]
fn who_may_vouch_for_clients_is_renewed_as_well() {
    let (ours, next) = (Authority::new("ours"), Authority::new("next"));
    let certificate = joined(&ours.identity("localhost"));
    let place = tempfile::tempdir().unwrap();
    let trusted = place.path().join("ca.pem");
    fs::copy(ours.file(), &trusted).unwrap();
    let server = Server::start(&format!(
        "\"certificate\": {certificate:?}, \"verify-peer\": true, \"ca-file\": {trusted:?}"
    ));
    let gets_in = |authority: &Authority| {
        let Identity { certificate, key } = authority.identity("somebody");
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let more = ["-cert", &certificate, "-key", &key];
        openssl(server.address(), &ours.file(), &more, LOGIN).0
    };
    assert!(gets_in(&ours) && !gets_in(&next));
    fs::copy(next.file(), &trusted).unwrap();
    wait_for_times(&server, NEW, 1);
    assert!(gets_in(&next) && !gets_in(&ours));
    server.driver.close();
}

/// A file whose section is another is looked at from then on, and the one before no more.
#[test]
fn files_of_a_changed_section_are_looked_at() {
    let (ours, next) = (Authority::new("ours"), Authority::new("next"));
    let bench = support::reload::Bench::start("\"interface\": \"tcp://127.0.0.1:0\"");
    let put = |name: &str, authority: &Authority| {
        let file = joined(&authority.identity("localhost"));
        replace(&bench.path(name), &file);
    };
    let members = |certificate: &str| {
        format!(
            "\"interface\": \"stcp://127.0.0.1:0\", \
             \"tls\": {{\"certificate\": \"PLACE/{certificate}\"}}"
        )
    };
    put("first.pem", &ours);
    put("second.pem", &ours);
    bench.edit(&members("first.pem"));
    bench.wait_for("configuration changed: tls");
    put("first.pem", &ours);
    bench.wait_for(NEW);
    bench.edit(&members("second.pem"));
    bench.wait_for_times("configuration changed: tls", 2);
    put("first.pem", &ours);
    for authority in [&next, &ours] {
        put("second.pem", authority);
        wait_until("it is in use", || vouches(authority, bench.addresses()[0]));
    }
    // Twice it has looked since, and so would another.
    bench.wait_for_times(NEW, 3);
    assert_eq!(bench.log().matches(NEW).count(), 3, "{}", bench.log());
    bench.edit("\"interface\": \"tcp://127.0.0.1:0\"");
    bench.wait_for_times("configuration changed: tls", 3);
    bench.driver().close();
}

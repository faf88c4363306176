//! TLS on the link interface, with openssl's own client and an authority made for the test.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vscpl2drv_link::config::model::{TlsServer, TlsVersions};
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::net::tls::server::Acceptor;

mod support;

use support::certificates::{Authority, Identity};
use support::client::Client;
use support::program;
use support::secure::{LOGIN, Server, joined, openssl};
use support::tools::{PATIENCE, need, wait_until};

const DEFAULTS: Defaults = Defaults {
    now: 1,
    obid: 0,
    guid: Guid::ZERO,
};

#[test]
fn plain_and_secure_side_by_side() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let tls = format!("\"certificate\": {certificate:?}");
    let interface = "[\"stcp://127.0.0.1:0\", \"tcp://127.0.0.1:0\"]";
    let server = Server::try_start(interface, &tls).unwrap();
    let (secure, plain) = (server.driver.addresses()[0], server.driver.addresses()[1]);
    for version in ["-tls1_2", "-tls1_3"] {
        let lines = format!("{LOGIN}wcyd\r\nsend 0,20,3,,,,-,7\r\n");
        let (success, text) = openssl(secure, &ours.file(), &[version], &lines);
        assert!(success, "{version}: {text}");
        assert!(text.contains("00-00-00-00-00-00-80-38"), "{text}");
        assert_eq!(text.matches("+OK - Success.").count(), 4, "{text}");
        // What the host gets of it.
        assert_eq!(*server.driver.read(PATIENCE).unwrap().data, [7]);
    }
    let mut client = Client::log_in(plain);
    client.must("noop");
    older_versions_are_refused(secure, &ours);
    // Another authority's word does not count.
    let (success, text) = openssl(secure, &Authority::new("other").file(), &[], LOGIN);
    assert!(!success, "{text}");
    assert!(server.log().contains("with TLS"));
    server.driver.close();
}

/// By the server, and not by a client that does not want them itself.
fn older_versions_are_refused(address: SocketAddr, ours: &Authority) {
    for (version, spoken) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true)] {
        let more = [version, "-cipher", "ALL:@SECLEVEL=0"];
        let (success, text) = openssl(address, &ours.file(), &more, LOGIN);
        assert_eq!(success, spoken, "{version}: {text}");
        // Of the server's: that it is the version, or that there is no suite for both.
        let alert = ["SSL alert number 70", "SSL alert number 40"];
        assert!(
            spoken || alert.iter().any(|alert| text.contains(alert)),
            "{version}: {text}"
        );
    }
}

/// What the sockets have no room for waits inside the TLS, until somebody asks for it.
#[test]
fn a_long_answer_arrives_to_its_end() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let server = Server::start(&format!("\"certificate\": {certificate:?}"));
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
        server.log().contains("logged in client=")
    });
    let data = vec!["255"; 500].join(",");
    for _ in 0..4000 {
        let event = format!("0,20,4,,2020-02-20T20:20:20Z,1,::1,{data}");
        server.driver.write(parse(&event, &DEFAULTS).unwrap());
    }
    input.write_all(b"retr -1\r\n").unwrap();
    // By now the answer is as far as it gets while nobody reads.
    std::thread::sleep(Duration::from_millis(500));
    let mut output = process.stdout.take().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut text, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
        while let Ok(count @ 1..) = output.read(&mut piece) {
            text.extend_from_slice(&piece[..count]);
            if text.ends_with(b"0xFF\r\n+OK - Success.\r\n") {
                let _ = tell.send(text.iter().filter(|byte| **byte == b'\n').count());
            }
        }
    });
    let lines = told.recv_timeout(PATIENCE);
    drop(input);
    process.kill().unwrap();
    process.wait().unwrap();
    reader.join().unwrap();
    assert!(lines.expect("the whole answer") >= 4001);
    server.driver.close();
}

#[test]
fn the_key_may_have_a_file_of_its_own() {
    let ours = Authority::new("ours");
    let identity = ours.identity("localhost");
    let (certificate, key) = (&identity.certificate, &identity.key);
    let server = Server::start(&format!("\"cert\": {certificate:?}, \"key\": {key:?}"));
    let (success, text) = openssl(server.address(), &ours.file(), &[], LOGIN);
    assert!(success, "{text}");
    server.driver.close();
    let missing = format!("\"certificate\": {certificate:?}, \"key\": \"/nowhere/key.pem\"");
    let error = Server::try_start("\"stcp://127.0.0.1:0\"", &missing)
        .err()
        .unwrap();
    assert!(error.contains("tls.key"), "{error}");
}

#[test]
fn only_clients_with_the_right_certificate() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let certificate = joined(&ours.identity("localhost"));
    for trusted in [
        format!("\"ca-file\": {:?}", ours.file()),
        format!("\"ca-path\": {:?}", ours.folder()),
    ] {
        let tls = format!("\"certificate\": {certificate:?}, \"verify-peer\": true, {trusted}");
        let server = Server::start(&tls);
        let with = |identity: &Identity| {
            let certificate = identity.certificate.display().to_string();
            let key = identity.key.display().to_string();
            openssl(
                server.address(),
                &ours.file(),
                &["-cert", &certificate, "-key", &key],
                LOGIN,
            )
        };
        let (success, text) = with(&ours.identity("somebody"));
        assert!(success, "{text}");
        for (who, identity) in [
            ("from another authority", other.identity("somebody")),
            ("of its own", ours.own("somebody")),
            ("expired", ours.expired("somebody")),
        ] {
            let (success, text) = with(&identity);
            assert!(!success, "{who}: {text}");
        }
        let (success, text) = openssl(server.address(), &ours.file(), &[], LOGIN);
        assert!(!success, "without one: {text}");
        wait_until("it is said", || {
            server.log().contains("no TLS with this client")
        });
        server.driver.close();
    }
}

#[test]
fn a_certificate_logs_in_whom_it_names() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let tls = format!(
        "\"certificate\": {certificate:?}, \"verify-peer\": true, \"ca-file\": {:?}, \
         \"user-from-certificate\": true",
        ours.file()
    );
    let server = Server::start(&tls);
    let ask = |name: &str, lines: &str| {
        let identity = ours.identity(name);
        let certificate = identity.certificate.display().to_string();
        let key = identity.key.display().to_string();
        let more = ["-cert", &certificate, "-key", &key];
        openssl(server.address(), &ours.file(), &more, lines).1
    };
    let text = ask("admin", "chid\r\ninterface list\r\n");
    assert!(text.contains("\r\n1\r\n+OK - Success."), "{text}");
    assert!(text.contains("1,4,"), "with the rights of admin: {text}");
    // Nobody of that name, not from this host, and not for this interface: no login, but one
    // with a password is as good as ever.
    for (name, reason) in [
        ("nobody", "unknown user"),
        ("elsewhere", "not from this host"),
        ("web", "no right to use this interface"),
    ] {
        let text = ask(name, "chid\r\n");
        assert!(text.contains("-OK - Need to log in"), "{name}: {text}");
        wait_until("the refusal is in the log", || {
            server
                .log()
                .contains(&format!("user={name} reason={reason}"))
        });
        let text = ask(name, &format!("{LOGIN}chid\r\n"));
        assert!(text.contains("\r\n1\r\n+OK - Success."), "{name}: {text}");
    }
    assert!(server.log().contains("user=admin by=certificate"));
    server.driver.close();
    let tls = format!("\"certificate\": {certificate:?}, \"user-from-certificate\": true");
    let log = Server::try_start("\"stcp://127.0.0.1:0\"", &tls)
        .err()
        .unwrap();
    assert!(log.contains("this needs verify-peer"), "{log}");
}

#[test]
fn who_speaks_something_else_disturbs_nobody() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let server = Server::start(&format!("\"certificate\": {certificate:?}"));
    // Some that say nothing, and one that speaks no TLS.
    let silent: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"user admin\r\npass secret\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, or nothing; never a word of the protocol.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.windows(3).any(|word| word == b"+OK"));
    let (success, text) = openssl(server.address(), &ours.file(), &[], LOGIN);
    assert!(success, "{text}");
    drop(silent);
    server.driver.close();
}

/// With the clock stopped: it goes on when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_handshake_takes_ten_seconds_at_most() {
    let ours = Authority::new("ours");
    let config = TlsServer {
        certificate: joined(&ours.identity("localhost")),
        key: None,
        chain: None,
        verify_peer: false,
        user_from_certificate: false,
        ca_file: None,
        ca_path: None,
        verify_depth: 9,
        versions: TlsVersions::From12,
        ciphers: Vec::new(),
    };
    let acceptor = Acceptor::new(config).unwrap();
    let (silent, stream) = tokio::io::duplex(1024);
    let start = tokio::time::Instant::now();
    let error = acceptor.accept(stream).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 10);
    drop(silent);
}

#[test]
fn what_cannot_be_honoured_does_not_start() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let only = ours.identity("without-key").certificate;
    let place = tempfile::tempdir().unwrap();
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(place.path().join("odd.pem"), text).unwrap();
    let odd = |key: &str, path: &Path| {
        format!("\"certificate\": {certificate:?}, \"verify-peer\": true, \"{key}\": {path:?}")
    };
    let nobody = "no certificate was found to verify clients with";
    for (tls, why) in [
        (
            odd("ca-file", &place.path().join("odd.pem")),
            &*format!("tls.ca-file: {nobody}"),
        ),
        (
            odd("ca-path", place.path()),
            &format!("tls.ca-path: {nobody}"),
        ),
        (String::new(), "tls.certificate"),
        (
            "\"certificate\": \"/nowhere.pem\"".to_owned(),
            "/nowhere.pem",
        ),
        (format!("\"certificate\": {only:?}"), "private key"),
        (
            format!("\"certificate\": {certificate:?}, \"verify-peer\": true"),
            "ca-file or a ca-path",
        ),
        (
            format!(
                "\"certificate\": {certificate:?}, \"verify-peer\": true, \"ca-file\": \"/no\""
            ),
            "/no",
        ),
    ] {
        let Err(log) = Server::try_start("\"127.0.0.1:0s\"", &tls) else {
            panic!("{tls} starts");
        };
        assert!(log.contains(why), "{tls}: {log}");
    }
    // Versions that are not spoken any more, whichever is asked for.
    for version in 0..4 {
        let server = Server::start(&format!(
            "\"certificate\": {certificate:?}, \"protocol-version\": {version}"
        ));
        older_versions_are_refused(server.address(), &ours);
        assert!(server.log().contains("TLS 1.2"), "{}", server.log());
        server.driver.close();
    }
    // The documentation's own list has no cipher that is safe: safe ones are used, and that is said.
    let server = Server::start(&format!(
        "\"certificate\": {certificate:?}, \"protocol-version\": 3, \
         \"cipher-list\": \"DES-CBC3-SHA:AES128-SHA:AES128-GCM-SHA256\""
    ));
    assert!(openssl(server.address(), &ours.file(), &[], LOGIN).0);
    let log = server.log();
    assert!(
        log.contains("none is available") && log.contains("TLS 1.2"),
        "{log}"
    );
    server.driver.close();
}

/// `vscp-link send` with more arguments: whether it succeeded, and what it said.
fn send(address: SocketAddr, more: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
        .args(["send", "--user", "admin", "--password", "secret", "--host"])
        .arg(format!("stcp://localhost:{}", address.port()))
        .args(more)
        .arg("0,20,3,,,,-,7")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), words)
}

#[test]
fn the_program_speaks_tls() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let authority = ours.file().display().to_string();
    let server = Server::start(&format!(
        "\"certificate\": {certificate:?}, \"verify-peer\": true, \"ca-file\": {:?}",
        ours.file()
    ));
    let own = joined(&ours.identity("somebody")).display().to_string();
    let (success, words) = send(
        server.address(),
        &["--ca-file", &authority, "--certificate", &own],
    );
    assert!(success, "{words}");
    assert_eq!(*server.driver.read(PATIENCE).unwrap().data, [7]);
    assert!(send(server.address(), &["--insecure", "--certificate", &own]).0);
    let (success, words) = send(server.address(), &["--certificate", &own]);
    assert!(!success && words.contains("UnknownIssuer"), "{words}");
    assert!(!send(server.address(), &["--ca-file", &authority]).0);
    let (success, words) = send(server.address(), &["--ca-file", "/nowhere.pem"]);
    assert!(!success && words.contains("/nowhere.pem"), "{words}");

    let host = format!("stcp://localhost:{}", server.address().port());
    let args = ["--ca-file", &authority, "--certificate", &own];
    let mut monitor = program::start("monitor --user admin --count 1", &host, &args);
    wait_until("the monitor has one", || {
        let line = "0,20,4,,2020-02-20T20:20:20Z,1,::1,77";
        server.driver.write(parse(line, &DEFAULTS).unwrap());
        monitor.try_wait().unwrap().is_some()
    });
    let (code, stdout, stderr) = program::end(monitor);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "2020-02-20T20:20:20Z 0 CLASS1.INFORMATION INFORMATION_OFF \
         FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01 4D\n"
    );
    let args = ["--ca-file", &authority, "--once"];
    let (code, stdout, stderr) = program::run("monitor --user admin", &host, &args);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    server.driver.close();
}

//! The TLS interface as stunnel and Python's `ssl` see it, with and without client certificates.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

mod support;

use support::certificates::{Authority, Identity};
use support::mosquitto::free_port;
use support::secure::{Server, joined};
use support::tools::{PATIENCE, need, wait_until};

const LINES: &str = "user admin\r\npass secret\r\nchid\r\nquit\r\n";
const ANSWER: &str = "\r\n1\r\n+OK - Success.\r\n+OK - Connection closed by client.\r\n";

/// What comes back through stunnel for some lines.
fn stunnel(address: SocketAddr, authority: &Path, identity: Option<&Identity>) -> String {
    let place = TempDir::new().unwrap();
    let port = free_port();
    let own = identity.map_or(String::new(), |identity| {
        format!(
            "cert = {}\nkey = {}\n",
            identity.certificate.display(),
            identity.key.display()
        )
    });
    let config = format!(
        "foreground = yes\npid =\nsyslog = no\n[link]\nclient = yes\naccept = 127.0.0.1:{port}\n\
         connect = {address}\nverifyChain = yes\ncheckHost = localhost\nCAfile = {}\n{own}",
        authority.display()
    );
    let file = place.path().join("stunnel.conf");
    fs::write(&file, config).unwrap();
    let mut process = Command::new(need("stunnel"))
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = None;
    wait_until("stunnel listens", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(LINES.as_bytes());
    let mut text = Vec::new();
    // It may end with a reset where the driver says no.
    let _ = stream.read_to_end(&mut text);
    process.kill().unwrap();
    process.wait().unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

const PYTHON: &str = "
import socket, ssl, sys
host, port, authority, certificate, key = sys.argv[1:6]
context = ssl.create_default_context(cafile=authority)
if certificate:
    context.load_cert_chain(certificate, key)
try:
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname='localhost') as stream:
            stream.sendall(sys.argv[6].encode())
            text = b''
            while True:
                more = stream.recv(4096)
                if not more:
                    break
                text += more
    sys.stdout.write(text.decode())
except (OSError, ssl.SSLError) as error:
    sys.stdout.write('no: %s' % error)
";

/// What Python gets for some lines.
fn python(address: SocketAddr, authority: &Path, identity: Option<&Identity>) -> String {
    let name = |path: Option<&Path>| path.map_or(String::new(), |path| path.display().to_string());
    let output = Command::new(need("python3"))
        .args(["-c", PYTHON, "127.0.0.1", &address.port().to_string()])
        .arg(authority)
        .arg(name(
            identity.map(|identity| identity.certificate.as_path()),
        ))
        .arg(name(identity.map(|identity| identity.key.as_path())))
        .arg(LINES)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout)
        .replace("\n", "\r\n")
        .replace("\r\r", "\r")
}

type Client = fn(SocketAddr, &Path, Option<&Identity>) -> String;
const CLIENTS: [(&str, Client); 2] = [("stunnel", stunnel), ("python", python)];

#[test]
fn without_client_certificates() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let certificate = joined(&ours.identity("localhost"));
    let server = Server::start(&format!("\"certificate\": {certificate:?}"));
    for (name, client) in CLIENTS {
        let text = client(server.address(), &ours.file(), None);
        assert!(text.ends_with(ANSWER), "{name}: {text}");
        // One that nobody asks for does no harm.
        let text = client(server.address(), &ours.file(), Some(&other.identity("x")));
        assert!(text.ends_with(ANSWER), "{name}: {text}");
        // The client does not trust the server.
        let text = client(server.address(), &other.file(), None);
        assert!(!text.contains("+OK"), "{name}: {text}");
    }
    server.driver.close();
}

#[test]
fn with_client_certificates_only_the_right_ones_get_in() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let certificate = joined(&ours.identity("localhost"));
    let server = Server::start(&format!(
        "\"certificate\": {certificate:?}, \"verify-peer\": true, \"ca-file\": {:?}",
        ours.file()
    ));
    for (name, client) in CLIENTS {
        let text = client(
            server.address(),
            &ours.file(),
            Some(&ours.identity("somebody")),
        );
        assert!(text.ends_with(ANSWER), "{name}: {text}");
        for (who, identity) in [
            ("none", None),
            ("expired", Some(ours.expired("somebody"))),
            ("from another authority", Some(other.identity("somebody"))),
            ("of its own", Some(ours.own("somebody"))),
        ] {
            let text = client(server.address(), &ours.file(), identity.as_ref());
            assert!(!text.contains("+OK"), "{name}, {who}: {text}");
        }
    }
    server.driver.close();
}

//! TLS with keys and certificates as openssl makes them: RSA, and files of PKCS#1 and SEC 1.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

mod support;

use support::secure::{LOGIN, Server, openssl};
use support::tools::{need, run};

/// What keys are made with, and the first line of the file.
const RSA: (&[&str], &str) = (
    &["genrsa", "-traditional", "2048"],
    "-----BEGIN RSA PRIVATE KEY-----",
);
const EC: (&[&str], &str) = (
    &["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
    "-----BEGIN EC PRIVATE KEY-----",
);
/// With the curve before the key, as it is where nobody says otherwise.
const EC_WITH_CURVE: (&[&str], &str) = (
    &["ecparam", "-name", "prime256v1", "-genkey"],
    "-----BEGIN EC PARAMETERS-----",
);

/// An authority of openssl's, with an RSA key.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        let ours = Self(place);
        let mut make = openssl_program(&["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
        make.args(["-days", "30", "-subj", "/CN=ours", "-keyout"]);
        make.arg(ours.path("ca.key"))
            .arg("-out")
            .arg(ours.path("ca.pem"));
        run(make.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]));
        ours
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A key of its kind, and the certificate; both in a file of their own.
    fn identity(&self, name: &str, (make, first): (&[&str], &str)) -> (PathBuf, PathBuf) {
        let [key, request, certificate, extensions] =
            ["key", "csr", "crt", "ext"].map(|ending| self.path(&format!("{name}.{ending}")));
        let text = run(&mut openssl_program(make));
        assert_eq!(text.lines().next(), Some(first));
        fs::write(&key, text).unwrap();
        let mut ask = openssl_program(&["req", "-new", "-subj"]);
        ask.arg(format!("/CN={name}")).arg("-key").arg(&key);
        run(ask.arg("-out").arg(&request));
        fs::write(&extensions, format!("subjectAltName = DNS:{name}\n")).unwrap();
        let mut sign = openssl_program(&["x509", "-req", "-days", "30", "-CAcreateserial", "-in"]);
        sign.arg(&request)
            .arg("-CA")
            .arg(self.path("ca.pem"))
            .arg("-CAkey")
            .arg(self.path("ca.key"));
        run(sign
            .arg("-extfile")
            .arg(&extensions)
            .arg("-out")
            .arg(&certificate));
        (certificate, key)
    }
}

fn openssl_program(args: &[&str]) -> Command {
    let mut command = Command::new(need("openssl"));
    command.args(args);
    command
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn keys_and_certificates_of_openssl() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let clients = [("rsa", RSA), ("ec", EC)].map(|(name, kind)| ours.identity(name, kind));
    let stranger = theirs.identity("stranger", RSA);
    for (kind, cipher) in [
        (RSA, "ECDHE-RSA-AES128-GCM-SHA256"),
        (EC, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (EC_WITH_CURVE, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ] {
        let (certificate, key) = ours.identity("localhost", kind);
        let both = ours.path("both.pem");
        let pieces = [&certificate, &key].map(|path| fs::read_to_string(path).unwrap());
        fs::write(&both, pieces.concat()).unwrap();
        // In one file, and in two.
        for files in [
            format!("\"certificate\": {both:?}"),
            format!("\"certificate\": {certificate:?}, \"key\": {key:?}"),
        ] {
            let server = Server::start(&format!(
                "{files}, \"verify-peer\": true, \"ca-file\": {:?}",
                ours.path("ca.pem")
            ));
            let ask = |(certificate, key): &(PathBuf, PathBuf), more: &[&str]| {
                let (certificate, key) = (text(certificate), text(key));
                let mut all = vec!["-cert", &certificate, "-key", &key];
                all.extend(more);
                openssl(server.address(), &ours.path("ca.pem"), &all, LOGIN)
            };
            for version in [&["-tls1_2", "-cipher", cipher][..], &["-tls1_3"]] {
                for client in &clients {
                    let (success, text) = ask(client, version);
                    assert!(success, "{cipher} {version:?} {client:?}: {text}");
                }
                let (success, text) = ask(&stranger, version);
                assert!(!success, "{cipher} {version:?}: {text}");
            }
            server.driver.close();
        }
    }
}

//! TLS between the driver and a real mosquitto, with an authority made for the test.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use vscpl2drv_link::driver::{Driver, Source};

mod support;

use support::bench::{bytes_of, number, open_with};
use support::certificates::{Authority, Identity, encrypted};
use support::client::Client;
use support::mosquitto::{Mosquitto, Subscriber, free_port};
use support::tools::wait_until;

/// A broker that speaks TLS on a second port, with an identity, perhaps for known clients alone.
struct Secure {
    broker: Mosquitto,
    port: u16,
}

fn secure(authority: &Authority, identity: &Identity, more: &str) -> Secure {
    let port = free_port();
    let broker = Mosquitto::with(&format!(
        "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n{more}",
        authority.file().display(),
        identity.certificate.display(),
        identity.key.display(),
    ));
    Secure { broker, port }
}

fn section(port: u16, tls: &str) -> String {
    format!(
        "{{\"host\": \"localhost\", \"port\": {port}, \"clientid\": \"tls\", \
          \"reconnect\": {{\"delay\": 1, \"delay-max\": 1}}, {tls}, \
          \"publish\": [{{\"topic\": \"numbered\", \"qos\": 1, \"format\": \"string\"}}]}}"
    )
}

/// Events reach the broker.
fn works(secure: &Secure, tls: &str) {
    let bench = open_with("", &section(secure.port, tls));
    let subscriber = Subscriber::start(secure.broker.port(), "numbered", 1);
    let mut client = Client::log_in(bench.address);
    for n in 0..50 {
        client.must(&format!("send 0,20,3,,,,-,{}", bytes_of(n)));
    }
    for n in 0..50 {
        assert_eq!(number(&subscriber.message().1), n, "{tls}");
    }
    assert!(bench.log().contains("tls=true"), "{}", bench.log());
    bench.host.end();
}

/// The broker is not trusted, for this reason; nothing is sent to it, and what waits is kept.
fn refused(secure: &Secure, tls: &str, why: &str) {
    let bench = open_with("", &section(secure.port, tls));
    let mut client = Client::log_in(bench.address);
    client.must("send 0,20,3,,,,-,1,2,3");
    wait_until(why, || bench.log().contains(why));
    assert!(!bench.log().contains("tls=true"), "{}", bench.log());
    assert!(
        client
            .ask("test")
            .iter()
            .any(|line| line.contains("1 events wait"))
    );
    bench.host.end();
}

/// The driver does not start, and says this.
fn does_not_start(tls: &str, why: &str) {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:{}\", \"logging\": {{\"file-path\": {log:?}}}, \"mqtt\": {}}}",
        0,
        section(1, tls)
    );
    let source = Source {
        config,
        guid: "::1".parse().unwrap(),
    };
    assert!(Driver::open(source).is_none(), "{tls}");
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains(why), "{tls}: {said}");
}

#[test]
fn who_is_trusted() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let broker = secure(&ours, &ours.identity("localhost"), "");
    let (file, folder) = (ours.file(), ours.folder());
    works(&broker, &format!("\"tls\": {{\"cafile\": {file:?}}}"));
    works(&broker, &format!("\"tls\": {{\"capath\": {folder:?}}}"));
    works(
        &broker,
        &format!("\"cafile\": {file:?}, \"protocol-version\": 500"),
    );
    works(
        &broker,
        &format!("\"tls\": {{\"cafile\": {file:?}, \"version\": \"tlsv1.3\"}}"),
    );
    let suite = "ECDHE-ECDSA-AES256-GCM-SHA384:DES-CBC3-SHA";
    works(
        &broker,
        &format!(
            "\"tls\": {{\"cafile\": {file:?}, \"ciphers\": \"{suite}:TLS_AES_128_GCM_SHA256\"}}"
        ),
    );
    // A list about TLS 1.2 takes nothing of TLS 1.3 away.
    works(
        &broker,
        &format!(
            "\"tls\": {{\"cafile\": {file:?}, \"ciphers\": \"{suite}\", \"version\": \"tlsv1.3\"}}"
        ),
    );
    works(
        &broker,
        "\"host\": \"mqtts://localhost\", \"tls\": {\"cert-reqs\": 0}",
    );
    let wrong = other.file();
    refused(
        &broker,
        &format!("\"tls\": {{\"cafile\": {wrong:?}}}"),
        "UnknownIssuer",
    );
    // Whatever the system trusts, it is not this broker.
    refused(
        &broker,
        "\"mqtt-options\": {\"tls-use-os-certs\": 1}, \"tls\": {\"capath\": \"\"}",
        "UnknownIssuer",
    );
}

#[test]
fn whose_certificate_it_is() {
    let ours = Authority::new("ours");
    let broker = secure(&ours, &ours.identity("elsewhere.example"), "");
    let file = ours.file();
    refused(
        &broker,
        &format!("\"tls\": {{\"cafile\": {file:?}}}"),
        "not valid for name",
    );
    works(
        &broker,
        &format!("\"tls\": {{\"cafile\": {file:?}, \"no-hostname-checking\": true}}"),
    );
    // Without the name, still not any certificate.
    let other = Authority::new("other");
    let wrong = other.file();
    refused(
        &broker,
        &format!("\"tls\": {{\"cafile\": {wrong:?}, \"no-hostname-checking\": true}}"),
        "UnknownIssuer",
    );
}

#[test]
fn a_certificate_that_nobody_else_vouches_for() {
    let ours = Authority::new("ours");
    let (own, file) = (ours.own("localhost"), ours.file());
    let broker = secure(&ours, &own, "");
    let known = &own.certificate;
    works(&broker, &format!("\"tls\": {{\"cafile\": {known:?}}}"));
    refused(
        &broker,
        &format!("\"tls\": {{\"cafile\": {file:?}}}"),
        "UnknownIssuer",
    );
    let named = secure(&ours, &ours.own("elsewhere.example"), "");
    refused(
        &named,
        &format!("\"tls\": {{\"cafile\": {:?}}}", own.certificate),
        "not valid for name",
    );
}

#[test]
fn who_the_driver_is() {
    let ours = Authority::new("ours");
    let broker = secure(
        &ours,
        &ours.identity("localhost"),
        "require_certificate true",
    );
    let (file, driver) = (ours.file(), ours.identity("driver"));
    let (certificate, key) = (&driver.certificate, &driver.key);
    let with = |key: &std::path::Path, phrase: &str| {
        format!(
            "\"tls\": {{\"cafile\": {file:?}, \"certfile\": {certificate:?}, \"keyfile\": {key:?}, \
             \"pwkeyfile\": \"{phrase}\"}}"
        )
    };
    works(&broker, &with(key, ""));
    let locked = encrypted(key, "open sesame", false);
    works(&broker, &with(&locked, "open sesame"));
    let phrase = key.with_extension("phrase");
    std::fs::write(&phrase, "open sesame\n").unwrap();
    works(&broker, &with(&locked, &phrase.display().to_string()));
    does_not_start(&with(&locked, "wrong"), "pass phrase");
    does_not_start(&with(&locked, ""), "pwkeyfile is not set");
    does_not_start(
        &with(&encrypted(key, "x", true), "x"),
        "openssl pkcs8 -topk8",
    );
    does_not_start(&with(&ours.file(), ""), "private key");
    // Without a certificate the broker does not let it in.
    let bare = format!("\"tls\": {{\"cafile\": {file:?}}}");
    let bench = open_with("", &section(broker.port, &bare));
    let mut client = Client::log_in(bench.address);
    client.must("send 0,20,3,,,,-,1,2,3");
    wait_until("it is not let in", || bench.log().contains("ertificate"));
    assert!(client.ask("info")[0].starts_with("1,"));
    bench.host.end();
}

#[test]
fn what_cannot_be_set_up_does_not_start() {
    does_not_start(
        "\"tls\": {\"cafile\": \"/nowhere/ca.pem\"}",
        "/nowhere/ca.pem",
    );
    does_not_start("\"tls\": {\"capath\": \"/nowhere\"}", "/nowhere");
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path();
    does_not_start(
        &format!("\"tls\": {{\"capath\": {folder:?}}}"),
        "no certificate",
    );
    // Events never go in the clear where TLS is asked for.
    let broker = Mosquitto::start();
    let bench = open_with(
        "",
        &section(
            broker.port(),
            "\"host\": \"mqtts://localhost\", \"tls\": {\"cert-reqs\": 0}",
        ),
    );
    wait_until("the broker speaks no TLS", || {
        bench.log().contains("cannot connect")
    });
    bench.host.end();
}

//! The keys of `tls`, one by one and in every spelling, as openssl's client finds them to work.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::path::Path;
use std::process::{Command, Stdio};

mod support;

use support::certificates::{Authority, Identity};
use support::secure::{LOGIN, Server, joined, openssl};
use support::tools::{need, wait_until};

const FIRST: &str = "ECDHE-ECDSA-AES256-GCM-SHA384";
const OTHER: &str = "ECDHE-ECDSA-AES128-GCM-SHA256";

fn times(server: &Server, words: &str) -> usize {
    server.log().matches(words).count()
}

#[test]
fn a_list_of_ciphers_leaves_what_it_names() {
    let ours = Authority::new("ours");
    let certificate = joined(&ours.identity("localhost"));
    let start = |list: &str| {
        Server::start(&format!(
            "\"certificate\": {certificate:?}, \"cipher-list\": \"{list}\""
        ))
    };
    let speaks = |server: &Server, more: &[&str]| {
        let (success, text) = openssl(server.address(), &ours.file(), more, LOGIN);
        assert!(
            success
                || text.contains("alert handshake failure")
                || text.contains("alert protocol version"),
            "{text}"
        );
        success
    };
    let server = start(&format!("DES-CBC3-SHA:{FIRST}"));
    assert!(speaks(&server, &["-tls1_2", "-cipher", FIRST]));
    assert!(!speaks(&server, &["-tls1_2", "-cipher", OTHER]));
    // It is about TLS 1.2.
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"] {
        assert!(speaks(&server, &["-tls1_3", "-ciphersuites", suite]));
    }
    let log = server.log();
    assert!(
        log.contains("tls.cipher-list: \"DES-CBC3-SHA\" is not available"),
        "{log}"
    );
    assert_eq!(times(&server, "cipher-list"), 1, "{log}");
    server.driver.close();

    let server = start(&format!("{OTHER} TLS_AES_256_GCM_SHA384,{FIRST}"));
    for (suite, spoken) in [
        ("TLS_AES_256_GCM_SHA384", true),
        ("TLS_AES_128_GCM_SHA256", false),
    ] {
        let more = ["-tls1_3", "-ciphersuites", suite];
        assert_eq!(speaks(&server, &more), spoken, "{suite}");
    }
    for suite in [FIRST, OTHER] {
        assert!(speaks(&server, &["-tls1_2", "-cipher", suite]), "{suite}");
    }
    assert_eq!(times(&server, "cipher-list"), 0, "{}", server.log());
    server.driver.close();

    // None of these is for the key of the certificate.
    let server = start("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384");
    assert!(!speaks(&server, &["-tls1_2"]));
    assert!(speaks(&server, &["-tls1_3"]));
    let log = server.log();
    assert!(
        log.contains("works with the certificate's key (ECDSA), so TLS 1.3 alone is spoken"),
        "{log}"
    );
    assert_eq!(times(&server, "cipher-list"), 1, "{log}");
    server.driver.close();

    let server = start("TLS_AES_256_GCM_SHA384");
    assert!(!speaks(&server, &["-tls1_2"]));
    assert!(speaks(&server, &["-tls1_3"]));
    assert_eq!(times(&server, "cipher-list"), 0, "{}", server.log());
    server.driver.close();
}

/// What openssl's client needs to show a certificate and, where it is told more, those of who
/// vouches for it.
fn shows(who: &Identity, chain: Option<&Authority>) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let mut all = vec!["-cert".to_owned(), text(&who.certificate)];
    all.extend(["-key".to_owned(), text(&who.key)]);
    if let Some(chain) = chain {
        all.extend(["-cert_chain".to_owned(), text(&chain.file())]);
    }
    all
}

/// Whether that client, which trusts this authority alone, gets in.
fn gets_in(server: &Server, trusted: &Authority, shown: &[String], more: &[&str]) -> bool {
    let mut all: Vec<&str> = shown.iter().map(String::as_str).collect();
    all.extend(more);
    openssl(server.address(), &trusted.file(), &all, LOGIN).0
}

/// How many certificates the server shows.
fn shown(server: &Server) -> usize {
    let output = Command::new(need("openssl"))
        .args(["s_client", "-showcerts", "-connect"])
        .arg(server.address().to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // One line each about its issuer.
    text.lines()
        .filter(|line| line.starts_with("   i:"))
        .count()
}

#[test]
fn a_chain_may_be_as_long_as_verify_depth_allows() {
    let root = Authority::new("root");
    let between = root.intermediate("between");
    let certificate = joined(&root.identity("localhost"));
    let (far, near) = (between.identity("somebody"), root.identity("somebody"));
    for name in ["verify-depth", "verify_depth"] {
        for depth in [0, 1] {
            let server = Server::start(&format!(
                "\"certificate\": {certificate:?}, \"verify-peer\": true, \
                 \"ca-file\": {:?}, \"{name}\": {depth}",
                root.file()
            ));
            let here = gets_in(&server, &root, &shows(&far, Some(&between)), &[]);
            assert_eq!(here, depth == 1, "{name} {depth}");
            // One that is trusted stands between nothing, though it comes along.
            for chain in [None, Some(&root)] {
                let shown = shows(&near, chain);
                assert!(gets_in(&server, &root, &shown, &[]), "{name} {depth}");
            }
            if depth == 0 {
                let why = "certificates between the client's and a trusted one: 1, \
                           and verify-depth is 0";
                wait_until(why, || server.log().contains(why));
                assert!(!server.log().contains("UnknownIssuer"));
            }
            // It says no more than how many there may be.
            let shown = shows(&far, None);
            assert!(!gets_in(&server, &root, &shown, &[]), "{name} {depth}");
            wait_until("it is said", || server.log().contains("UnknownIssuer"));
            server.driver.close();
        }
    }
}

#[test]
fn the_chain_may_have_a_file_of_its_own() {
    let root = Authority::new("root");
    let between = root.intermediate("between");
    let leaf = between.identity("localhost");
    let certificate = joined(&Identity {
        certificate: leaf.alone(),
        key: leaf.key.clone(),
    });
    let chain = |name: &str, path: &Path| format!(", \"{name}\": {path:?}");
    for (more, number) in [
        (String::new(), 1),
        (chain("certificate-chain", &between.file()), 2),
        (chain("certificate_chain", &between.file()), 2),
        // It begins with the certificate itself.
        (chain("certificate-chain", &leaf.certificate), 2),
    ] {
        let server = Server::start(&format!("\"certificate\": {certificate:?}{more}"));
        assert_eq!(shown(&server), number, "{more}");
        assert_eq!(gets_in(&server, &root, &[], &[]), number == 2, "{more}");
        server.driver.close();
    }
}

/// All keys at a time, each with something else in it; `members` writes them as a file has them.
fn each_lands_in_its_place(verify_peer: &str, members: impl Fn(&[(&str, String)]) -> String) {
    let [root, ours, theirs] = ["root", "ours", "theirs"].map(Authority::new);
    let (between, below) = (root.intermediate("between"), ours.intermediate("below"));
    let leaf = between.identity("localhost");
    let certificate = joined(&Identity {
        certificate: leaf.alone(),
        key: leaf.key,
    });
    let path = |path: &Path| format!("{path:?}");
    let members = members(&[
        ("certificate", path(&certificate)),
        ("certificate-chain", path(&between.file())),
        ("verify-peer", verify_peer.to_owned()),
        ("ca-path", path(&theirs.folder())),
        ("ca-file", path(&ours.file())),
        ("verify-depth", "0".to_owned()),
        ("default-verify-paths", "true".to_owned()),
        ("cipher-list", format!("\"{FIRST}\"")),
        ("protocol-version", "3".to_owned()),
        ("short-trust", "true".to_owned()),
    ]);
    let server = Server::with(&format!("\"interface\": \"stcp://127.0.0.1:0\", {members}"));
    // The chain is shown to clients, and nobody in it vouches for them.
    assert_eq!(shown(&server), 2, "{members}");
    for (who, authority, good) in [
        ("of ca-file", &ours, true),
        ("of ca-path", &theirs, true),
        ("of the server's root", &root, false),
        ("of the server's chain", &between, false),
    ] {
        let shown = shows(&authority.identity("somebody"), None);
        let here = gets_in(&server, &root, &shown, &[]);
        assert_eq!(here, good, "{who}: {members}");
    }
    assert!(!gets_in(&server, &root, &[], &[]), "without one: {members}");
    let far = shows(&below.identity("somebody"), Some(&below));
    assert!(!gets_in(&server, &root, &far, &[]), "too far: {members}");
    // Those who vouch for clients do not vouch for the server.
    let good = shows(&ours.identity("somebody"), None);
    assert!(!gets_in(&server, &ours, &good, &[]), "{members}");
    for (cipher, spoken) in [(FIRST, true), (OTHER, false)] {
        let more = ["-tls1_2", "-cipher", cipher];
        let here = gets_in(&server, &root, &good, &more);
        assert_eq!(here, spoken, "{cipher}: {members}");
    }
    assert_eq!(times(&server, "before TLS 1.2 are not spoken"), 1);
    server.driver.close();
}

fn written<'a>(all: impl Iterator<Item = (String, &'a String)>) -> String {
    let all = all.map(|(name, value)| format!("\"{name}\": {value}"));
    all.collect::<Vec<_>>().join(", ")
}

fn ssl(name: &str) -> String {
    format!("ssl_{}", name.replace('-', "_"))
}

#[test]
fn keys_of_the_section_land_in_their_places() {
    for verify_peer in ["true", "1"] {
        each_lands_in_its_place(verify_peer, |all| {
            let keys = all.iter().map(|(name, value)| ((*name).to_owned(), value));
            format!("\"tls\": {{{}}}", written(keys))
        });
    }
}

#[test]
fn keys_of_the_top_of_the_file_land_in_their_places() {
    for verify_peer in ["true", "1"] {
        each_lands_in_its_place(verify_peer, |all| {
            written(all.iter().map(|(name, value)| (ssl(name), value)))
        });
    }
}

#[test]
fn keys_of_the_top_that_are_in_the_section_land_in_their_places() {
    each_lands_in_its_place("true", |all| {
        let keys = all.iter().map(|(name, value)| (ssl(name), value));
        format!("\"tls\": {{{}, \"ssl_cache_timeout\": -1}}", written(keys))
    });
}

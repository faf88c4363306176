//! The keys of `tls`, one by one and in every spelling, as openssl's client finds them to work.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::path::Path;

mod support;

use support::certificates::{Authority, Identity};
use support::secure::{LOGIN, Server, joined, openssl};
use support::tools::wait_until;

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

/// Whether a client gets in with this certificate and, where it is told more, with those of who
/// vouches for it.
fn gets_in(
    server: &Server,
    trusted: &Authority,
    who: &Identity,
    chain: Option<&Authority>,
) -> bool {
    let text = |path: &Path| path.display().to_string();
    let mut more = vec!["-cert".to_owned(), text(&who.certificate)];
    more.extend(["-key".to_owned(), text(&who.key)]);
    if let Some(chain) = chain {
        more.extend(["-cert_chain".to_owned(), text(&chain.file())]);
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    openssl(server.address(), &trusted.file(), &more, LOGIN).0
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
            let here = gets_in(&server, &root, &far, Some(&between));
            assert_eq!(here, depth == 1, "{name} {depth}");
            // One that is trusted stands between nothing, though it comes along.
            for chain in [None, Some(&root)] {
                assert!(gets_in(&server, &root, &near, chain), "{name} {depth}");
            }
            if depth == 0 {
                let why = "certificates between the client's and a trusted one: 1, \
                           and verify-depth is 0";
                wait_until(why, || server.log().contains(why));
                assert!(!server.log().contains("UnknownIssuer"));
            }
            // It says no more than how many there may be.
            assert!(!gets_in(&server, &root, &far, None), "{name} {depth}");
            wait_until("it is said", || server.log().contains("UnknownIssuer"));
            server.driver.close();
        }
    }
}

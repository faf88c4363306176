//! The section `tls`, and its keys at the top of the file.

use super::model::{TlsServer, TlsVersions};
use super::*;

/// The names of a key in the section, that at the top of the file, a value, and what it changes.
type Row = (
    &'static [&'static str],
    &'static str,
    &'static str,
    fn(&mut TlsServer),
);

/// What the documentation says, under each of its names, in the section and at the top of the file.
#[test]
fn keys_of_tls_in_every_spelling() {
    let rows: &[Row] = &[
        (
            &["certificate", "cert"],
            "ssl_certificate",
            "\"/x.pem\"",
            |tls| tls.certificate = "/x.pem".into(),
        ),
        (
            &["certificate-chain", "certificate_chain"],
            "ssl_certificate_chain",
            "\"/x.pem\"",
            |tls| tls.chain = Some("/x.pem".into()),
        ),
        (&["ca-path"], "ssl_ca_path", "\"/x\"", |tls| {
            tls.ca_path = Some("/x".into());
        }),
        (&["ca-file", "ca"], "ssl_ca_file", "\"/x.pem\"", |tls| {
            tls.ca_file = Some("/x.pem".into());
        }),
        (&["verify-peer"], "ssl_verify_peer", "true", |tls| {
            tls.verify_peer = true;
        }),
        (&["verify-peer"], "ssl_verify_peer", "1", |tls| {
            tls.verify_peer = true;
        }),
        (&["verify-peer"], "ssl_verify_peer", "0", |_| {}),
        (
            &["verify-depth", "verify_depth"],
            "ssl_verify_depth",
            "3",
            |tls| tls.verify_depth = 3,
        ),
        (&["cipher-list"], "ssl_cipher_list", "\"A:B,C D\"", |tls| {
            tls.ciphers = ["A", "B", "C", "D"].map(str::to_owned).into()
        }),
        (&["protocol-version"], "ssl_protocol_version", "4", |_| {}),
        (
            &["default-verify-paths"],
            "ssl_default_verify_paths",
            "true",
            |_| {},
        ),
        (&["short-trust"], "ssl_short_trust", "true", |_| {}),
        (&["short-trust"], "ssl_short_trust", "1", |_| {}),
        (&[], "ssl_cache_timeout", "-1", |_| {}),
        (
            &["user-from-certificate"],
            "ssl_user_from_certificate",
            "true",
            |tls| tls.user_from_certificate = true,
        ),
    ];
    let plain = TlsServer {
        certificate: "/c.pem".into(),
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
    for (names, top, value, expect) in rows {
        let mut expected = plain.clone();
        expect(&mut expected);
        let mut section = String::new();
        let mut needed = |key: &str, value: &str| section += &format!(", \"{key}\": {value}");
        // What the key cannot be without.
        if !names.contains(&"certificate") {
            needed("certificate", "\"/c.pem\"");
        }
        if expected.user_from_certificate {
            needed("verify-peer", "true");
            expected.verify_peer = true;
        }
        if expected.verify_peer {
            needed("ca-file", "\"/ca.pem\"");
            expected.ca_file = Some("/ca.pem".into());
        }
        let member = |name: &str| format!(", \"{name}\": {value}");
        let is_so = |above: &str, below: &str| {
            let below = format!("{section}{below}");
            let below = below.trim_start_matches(", ");
            let text =
                format!("{{\"interface\": \"stcp://localhost\"{above}, \"tls\": {{{below}}}}}");
            let (config, warnings) = driver(&text);
            assert_eq!(config.tls.as_ref(), Some(&expected), "{text}");
            assert!(warnings.is_empty(), "{text}: {warnings:?}");
        };
        for name in names.iter().chain([top]) {
            is_so("", &member(name));
        }
        is_so(&member(top), "");
    }
}

#[test]
fn keys_of_tls_that_are_there_more_than_once() {
    let with = |above: &str, below: &str| {
        let text = format!(
            "{{\"interface\": \"stcp://localhost\"{above}, \"tls\": {{\"cert\": \"/c.pem\"{below}}}}}"
        );
        let (config, warnings) = driver(&text);
        (config.tls.unwrap(), warnings.join("\n"))
    };
    let (tls, warnings) = with(
        ", \"ssl_ca_file\": \"/3\", \"ssl_verify_depth\": 3",
        ", \"ssl_ca_file\": \"/2\", \"ca-file\": \"/1\", \"ssl_verify_depth\": 2",
    );
    assert_eq!(tls.ca_file, Some("/1".into()));
    assert_eq!(tls.verify_depth, 2);
    for words in [
        "tls.ssl_ca_file: tls.ca-file says the same and counts",
        "warning: ssl_ca_file: tls.ca-file says the same and counts",
        "warning: ssl_verify_depth: tls.ssl_verify_depth says the same and counts",
    ] {
        assert!(warnings.contains(words), "{warnings}");
    }
    assert_eq!(warnings.lines().count(), 3, "{warnings}");
    // Blanks, as in the documentation's own file, say nothing.
    let (tls, warnings) = with(
        ", \"ssl_certificate_chain\": \"/x\", \"ssl_ca_path\": \"/y\"",
        ", \"ca-file\": \"\", \"ssl_ca_file\": \"/z\", \"certificate-chain\": \"\", \"ca-path\": \"\"",
    );
    assert_eq!(
        (tls.chain, tls.ca_path, tls.ca_file),
        (Some("/x".into()), Some("/y".into()), Some("/z".into()))
    );
    assert_eq!(warnings, "");
    for version in 0..=3 {
        for (above, below) in [
            (
                format!(", \"ssl_protocol_version\": {version}"),
                String::new(),
            ),
            (
                String::new(),
                format!(", \"ssl_protocol_version\": {version}"),
            ),
            (String::new(), format!(", \"protocol-version\": {version}")),
        ] {
            let (_, warnings) = with(&above, &below);
            assert!(warnings.contains("TLS 1.2 are not spoken"), "{warnings}");
        }
    }
}

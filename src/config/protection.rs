//! Settings that ask for protection: encryption, and TLS of the link interface.

use std::path::PathBuf;

use super::driver::text_if_set;
use super::model::{TlsServer, TlsVersions};
use super::node::Node;
use super::object::Object;
use super::report::Report;

/// `encryption` and `require-encryption`, which are not there yet.
pub(super) fn encryption(object: &mut Object<'_>, report: &mut Report) {
    let ciphers = ["none", "aes128", "aes192", "aes256"];
    if let Some((node, cipher)) = text_if_set(object.take("encryption"), report) {
        if !ciphers.contains(&cipher.to_ascii_lowercase().as_str()) {
            report.error(
                &node,
                format!("{cipher:?} is none of {}", ciphers.join(", ")),
            );
        } else if cipher != "none" {
            report.warn(
                &node,
                "the binary mode is not available in this version: the link is in clear text",
            );
        }
    }
    if let Some(node) = object.take("require-encryption")
        && node.truth(report) == Some(true)
    {
        report.error(
            &node,
            "encryption is not available in this version; with this set the driver does not start",
        );
    }
}

/// The members of `tls`, under the names of the section and under those at the top of the file.
struct Members<'a> {
    certificate: Option<(Node<'a>, String)>,
    chain: Option<(Node<'a>, String)>,
    verify_peer: Option<Node<'a>>,
    ca_path: Option<(Node<'a>, String)>,
    ca_file: Option<(Node<'a>, String)>,
    verify_depth: u64,
    version: Option<(Node<'a>, u64)>,
    ciphers: Option<(Node<'a>, String)>,
}

impl<'a> Members<'a> {
    fn read(object: &mut Object<'a>, report: &mut Report) -> Self {
        let node = object.take("tls");
        let mut section = node.and_then(|node| Object::new(&node, report));
        let mut member = |names: &[&'static str], top: &'static str, report: &mut Report| {
            let below = section.as_mut().and_then(|tls| tls.take_any(names, report));
            let above = object.take_alias(top);
            below.or(above)
        };
        let certificate = member(&["certificate"], "ssl_certificate", report);
        let chain = member(
            &["certificate-chain", "certificate_chain"],
            "ssl_certificate_chain",
            report,
        );
        let verify_peer = member(&["verify-peer"], "ssl_verify_peer", report);
        let ca_path = member(&["ca-path"], "ssl_ca_path", report);
        let ca_file = member(&["ca-file"], "ssl_ca_file", report);
        let depth = member(
            &["verify-depth", "verify_depth"],
            "ssl_verify_depth",
            report,
        );
        let version = member(&["protocol-version"], "ssl_protocol_version", report);
        let ciphers = member(&["cipher-list"], "ssl_cipher_list", report);
        for (name, top) in [
            ("default-verify-paths", "ssl_default_verify_paths"),
            ("short-trust", "ssl_short_trust"),
        ] {
            if let Some(node) = member(&[name], top, report) {
                node.flag(report);
            }
        }
        if let Some(section) = section {
            section.finish(report);
        }
        let number = |node: Option<Node<'a>>, most, report: &mut Report| {
            let node = node?;
            let number = node.number(0, most, report)?;
            Some((node, number))
        };
        Self {
            certificate: text_if_set(certificate, report),
            chain: text_if_set(chain, report),
            verify_peer: verify_peer.filter(|node| node.flag(report) == Some(true)),
            ca_path: text_if_set(ca_path, report),
            ca_file: text_if_set(ca_file, report),
            verify_depth: number(depth, 100, report).map_or(9, |(_, depth)| depth),
            version: number(version, 4, report),
            ciphers: text_if_set(ciphers, report),
        }
    }
}

/// The words of a list.
pub(super) fn words(list: &str, between: &[char]) -> Vec<String> {
    let words = list.split(between).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Reads `tls`; `secure` is where interfaces stand of which one speaks it.
pub(super) fn tls(
    object: &mut Object<'_>,
    secure: Option<Node<'_>>,
    report: &mut Report,
) -> Option<TlsServer> {
    let found = Members::read(object, report);
    let Some(secure) = secure else {
        let asked = [
            &found.certificate,
            &found.chain,
            &found.ca_path,
            &found.ca_file,
        ];
        let asked = asked.into_iter().flatten().map(|(node, _)| node);
        for node in asked.chain(&found.verify_peer) {
            report.warn(
                node,
                "no interface speaks TLS, so this has no effect; write one as stcp://",
            );
        }
        return None;
    };
    let Some((_, certificate)) = found.certificate else {
        report.error(
            &secure,
            "TLS needs tls.certificate: a PEM file with certificate and key",
        );
        return None;
    };
    if let (Some(node), None, None) = (&found.verify_peer, &found.ca_file, &found.ca_path) {
        report.error(
            node,
            "this needs a ca-file or a ca-path: public authorities do not vouch for clients",
        );
    }
    if let Some((node, 0..=3)) = &found.version {
        report.warn(
            node,
            "versions before TLS 1.2 are not spoken; it is the oldest",
        );
    }
    let path = |found: Option<(Node<'_>, String)>| found.map(|(_, path)| PathBuf::from(path));
    Some(TlsServer {
        certificate: PathBuf::from(certificate),
        chain: path(found.chain),
        verify_peer: found.verify_peer.is_some(),
        ca_file: path(found.ca_file),
        ca_path: path(found.ca_path),
        verify_depth: usize::try_from(found.verify_depth).unwrap_or(9),
        versions: TlsVersions::From12,
        ciphers: found
            .ciphers
            .map(|(_, list)| words(&list, &[':', ',', ' ']))
            .unwrap_or_default(),
    })
}

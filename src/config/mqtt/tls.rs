//! TLS to the broker.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::nested;
use crate::config::driver::text_if_set;
use crate::config::model::{TlsClient, TlsVersions};
use crate::config::node::Node;
use crate::config::object::Object;
use crate::config::protection::words;
use crate::config::report::Report;

/// Reads `tls` and what `mqtt-options` say about it. TLS is on where the protocol in `host` asks
/// for it, and where something is there to verify the broker with; an object of blanks means none.
pub(in crate::config) fn tls<'a>(
    o: &mut Object<'a>,
    options: &mut Option<Object<'a>>,
    secure: bool,
    place: &str,
    report: &mut Report,
) -> Option<TlsClient> {
    let os_certs = nested(options, o, "tls-use-os-certs");
    let os_certs = os_certs.and_then(|node| node.flag(report)).unwrap_or(false);
    let alpn = text_if_set(nested(options, o, "tls-alpn"), report);
    refuse_options(o, options, report);
    let mut section = super::inner(o, "tls", report);
    let mut text = |key, report: &mut Report| text_if_set(nested(&mut section, o, key), report);
    let ca_file = text("cafile", report);
    let ca_path = text("capath", report);
    let certificate = text("certfile", report);
    let key = text("keyfile", report);
    let pass_phrase = text("pwkeyfile", report);
    let version = text("version", report);
    let ciphers = text("ciphers", report);
    if let Some((node, _)) = &version {
        report.words(node, VERSIONS);
    }
    for name in ["psk", "psk-identity"] {
        if let Some((node, _)) = text(name, report) {
            report.never(
                &node,
                "keys that both sides know before are not available; use certificates",
            );
        }
    }
    let no_check = nested(&mut section, o, "no-hostname-checking");
    let no_check = no_check.and_then(|node| node.flag(report)).unwrap_or(false);
    let requirement = nested(&mut section, o, "cert-reqs");
    let requirement = requirement
        .and_then(|node| node.number(0, 2, report))
        .unwrap_or(1);
    if let Some(section) = section {
        section.finish(report);
    }
    let on = secure || os_certs || ca_file.is_some() || ca_path.is_some();
    if !on {
        let asked = [&certificate, &key, &pass_phrase, &version, &ciphers, &alpn];
        for (node, _) in asked.into_iter().flatten() {
            report.error(
                node,
                "this asks for TLS; write the host as mqtts:// (a broker) or stcp:// (a link), or give \
                 a cafile or capath",
            );
        }
        return None;
    }
    match (&certificate, &key) {
        (Some((node, _)), None) => report.error(node, "a certfile needs a keyfile"),
        (None, Some((node, _))) => report.error(node, "a keyfile needs a certfile"),
        _ => {}
    }
    let path = |found: Option<(Node<'_>, String)>| found.map(|(_, path)| PathBuf::from(path));
    Some(TlsClient {
        place: place.to_owned(),
        ca_file: path(ca_file),
        ca_path: path(ca_path),
        os_certs,
        certificate: path(certificate),
        key: path(key),
        pass_phrase: pass_phrase.map(|(_, text)| Zeroizing::new(text)),
        check_host: !no_check,
        check_certificate: requirement != 0,
        versions: versions(version, report),
        ciphers: ciphers
            .map(|(_, list)| words(&list, &[':', ',', ' ']))
            .unwrap_or_default(),
        alpn: alpn
            .map(|(_, list)| words(&list, &[',', ' ']))
            .unwrap_or_default(),
    })
}

const VERSIONS: [&str; 5] = ["tlsv1.2", "tlsv1.3", "tlsv1.1", "tlsv1.0", "tlsv1"];

/// The oldest version that is spoken.
fn versions(found: Option<(Node<'_>, String)>, report: &mut Report) -> TlsVersions {
    let Some((node, text)) = found else {
        return TlsVersions::default();
    };
    match text.to_ascii_lowercase().as_str() {
        "tlsv1.3" => TlsVersions::Only13,
        "tlsv1.2" => TlsVersions::From12,
        "tlsv1.1" | "tlsv1.0" | "tlsv1" => {
            report.warn(
                &node,
                "versions before TLS 1.2 are not spoken; it is the oldest",
            );
            TlsVersions::From12
        }
        _ => {
            report.error(&node, "tlsv1.2 or tlsv1.3 was expected");
            TlsVersions::From12
        }
    }
}

/// What cannot be honoured and would protect, or is another library's.
fn refuse_options<'a>(o: &mut Object<'a>, options: &mut Option<Object<'a>>, report: &mut Report) {
    if let Some(node) = nested(options, o, "tls-ocsp-required")
        && node.flag(report) == Some(true)
    {
        report.never(&node, "OCSP is not available; remove it");
    }
    // Defaults are always in place.
    let defaults = nested(options, o, "ssl-ctx-with-defaults");
    defaults.and_then(|node| node.flag(report));
    for key in ["tls-engine", "tls-keyform", "tls-kpass-sha1"] {
        if let Some((node, _)) = text_if_set(nested(options, o, key), report) {
            report.never(&node, "keys in engines are not available; use keyfile");
        }
    }
}

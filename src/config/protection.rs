//! Settings that ask for protection: encryption, and TLS of the link interface.

use std::path::{Path, PathBuf};

use super::driver::text_if_set;
use super::key;
use super::model::{Interface, TlsServer, TlsVersions};
use super::node::Node;
use super::object::Object;
use super::report::Report;
use crate::error::with_causes;
/// How to make a key, for messages.
pub(super) use crate::os::MAKE_KEY as MAKE;
use crate::wire::binary::{Cipher, Strength};

/// What a driver does about clear text.
pub(super) struct Encryption<'a> {
    /// The cipher of the binary mode, where there is a usable key.
    pub(super) cipher: Option<Cipher>,
    /// The key file, usable or not, and where it is named.
    pub(super) key_file: Option<(Node<'a>, String)>,
    /// Why it is not usable for the cipher, where one is asked for.
    pub(super) key_trouble: Option<String>,
    /// Why it is not usable for websocket logins, where they are asked for.
    pub(super) login_key_trouble: Option<String>,
    /// In clear text nobody logs in.
    pub(super) required: bool,
}

/// `encryption`, `key-file` and `require-encryption`, for these interfaces of the link. With
/// `patient` a key file that is not usable is no error: somebody may be writing it, and there is
/// one that counts.
pub(super) fn encryption<'a>(
    object: &mut Object<'a>,
    interfaces: &[Interface],
    patient: bool,
    report: &mut Report,
) -> Encryption<'a> {
    let plain = interfaces.iter().any(|interface| !interface.secure);
    let file = text_if_set(object.take("key-file"), report);
    let mut cipher = None;
    let mut why_not = None;
    let mut key_trouble = None;
    if let Some((node, known)) = strength(object, report) {
        match (known, &file) {
            (None, _) => {}
            (Some(_), _) if interfaces.is_empty() => report.warn(
                &node,
                "there is no interface of the link, so this has no effect: websocket logins are \
                 AES-128 always",
            ),
            (Some(_), None) => why_not = Some((node, format!("there is no key-file; {MAKE}"))),
            (Some(strength), Some((at, path))) => match key::load(Path::new(path), strength) {
                Ok(made) => cipher = Some(made),
                Err(error) => {
                    let why = format!("{path} is not usable: {}; {MAKE}", with_causes(&error));
                    key_trouble = Some(why.clone());
                    why_not = Some((at.clone(), why));
                }
            },
        }
    }
    if let Some((node, why)) = &why_not {
        let text = format!("{why}. BINARY is not offered, and the link is in clear text");
        report.warn(node, &text);
    }
    let mut required = false;
    if let Some(node) = object.take("require-encryption")
        && node.truth(report) == Some(true)
    {
        required = true;
        if plain && cipher.is_none() && !(patient && key_trouble.is_some()) {
            report.error(
                &node,
                "this needs a usable key-file and encryption: aes256, or TLS (stcp://) on all \
                 interfaces",
            );
        }
    }
    Encryption {
        cipher,
        key_file: file,
        key_trouble,
        login_key_trouble: None,
        required,
    }
}

/// `encryption`, unless it is `none`; without a strength where it is a word that nobody knows, which
/// is reported.
pub(super) fn strength<'a>(
    object: &mut Object<'a>,
    report: &mut Report,
) -> Option<(Node<'a>, Option<Strength>)> {
    let (node, name) = text_if_set(object.take("encryption"), report)?;
    let names = Strength::ALL.map(Strength::name);
    report.words(&node, ["none"].into_iter().chain(names));
    if name.eq_ignore_ascii_case("none") {
        return None;
    }
    let mut known = Strength::ALL.into_iter();
    let known = known.find(|one| one.name().eq_ignore_ascii_case(&name));
    if known.is_none() {
        let names = names.join(", ");
        report.error(&node, format!("{name:?} is not one of none, {names}"));
    }
    Some((node, known))
}

/// The members of `tls`, under the names of the section and under those at the top of the file.
struct Members<'a> {
    certificate: Option<(Node<'a>, String)>,
    key: Option<(Node<'a>, String)>,
    chain: Option<(Node<'a>, String)>,
    verify_peer: Option<Node<'a>>,
    user_from: Option<Node<'a>>,
    ca_path: Option<(Node<'a>, String)>,
    ca_file: Option<(Node<'a>, String)>,
    verify_depth: u64,
    version: Option<(Node<'a>, u64)>,
    ciphers: Option<(Node<'a>, String)>,
}

/// Of a key's names the first that says something; of others that do, a warning.
fn first<'a>(found: Vec<Node<'a>>, report: &mut Report) -> Option<Node<'a>> {
    let counts = found.iter().position(|node| !node.is_blank()).unwrap_or(0);
    let chosen = found.get(counts).cloned()?;
    for node in found
        .iter()
        .skip(counts + 1)
        .filter(|node| !node.is_blank())
    {
        report.warn(node, &format!("{} says the same and counts", chosen.path()));
    }
    Some(chosen)
}

impl<'a> Members<'a> {
    fn read(object: &mut Object<'a>, report: &mut Report) -> Self {
        let node = object.take("tls");
        let mut section = node.and_then(|node| Object::new(&node, report));
        let key = section.as_mut().and_then(|tls| tls.take("key"));
        // Some files have the names of the top in the section.
        let mut member = |name, more: &[&'static str], top, report: &mut Report| {
            let mut found = Vec::new();
            if let Some(section) = &mut section {
                found.extend(section.take(name));
                let more = more.iter().chain([&top]);
                found.extend(more.filter_map(|name| section.take_alias(name)));
            }
            found.extend(object.take_alias(top));
            first(found, report)
        };
        let certificate = member("certificate", &["cert"], "ssl_certificate", report);
        let chain = member(
            "certificate-chain",
            &["certificate_chain"],
            "ssl_certificate_chain",
            report,
        );
        let verify_peer = member("verify-peer", &[], "ssl_verify_peer", report);
        let user_from = member(
            "user-from-certificate",
            &[],
            "ssl_user_from_certificate",
            report,
        );
        let ca_path = member("ca-path", &[], "ssl_ca_path", report);
        let ca_file = member("ca-file", &["ca"], "ssl_ca_file", report);
        let depth = member(
            "verify-depth",
            &["verify_depth"],
            "ssl_verify_depth",
            report,
        );
        let version = member("protocol-version", &[], "ssl_protocol_version", report);
        let ciphers = member("cipher-list", &[], "ssl_cipher_list", report);
        for (name, top) in [
            ("default-verify-paths", "ssl_default_verify_paths"),
            ("short-trust", "ssl_short_trust"),
        ] {
            if let Some(node) = member(name, &[], top, report) {
                node.flag(report);
            }
        }
        object.pass_over(&["ssl_cache_timeout"]);
        if let Some(mut section) = section {
            section.pass_over(&["ssl_cache_timeout"]);
            section.finish(report);
        }
        let number = |node: Option<Node<'a>>, most, report: &mut Report| {
            let node = node?;
            let number = node.number(0, most, report)?;
            Some((node, number))
        };
        Self {
            certificate: text_if_set(certificate, report),
            key: text_if_set(key, report),
            chain: text_if_set(chain, report),
            verify_peer: verify_peer.filter(|node| node.flag(report) == Some(true)),
            user_from: user_from.filter(|node| node.flag(report) == Some(true)),
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

/// Reads `tls`; `secure` is where interfaces stand of which one speaks it, and `used` says that
/// the section is for something else as well.
pub(super) fn tls(
    object: &mut Object<'_>,
    secure: Option<Node<'_>>,
    used: bool,
    report: &mut Report,
) -> Option<TlsServer> {
    let found = Members::read(object, report);
    let Some(secure) = secure else {
        let asked = [
            &found.certificate,
            &found.key,
            &found.chain,
            &found.ca_path,
            &found.ca_file,
        ];
        let asked = asked.into_iter().flatten().map(|(node, _)| node);
        let asked = asked.chain(&found.verify_peer).chain(&found.user_from);
        for node in asked.filter(|_| !used) {
            report.warn(
                node,
                "no interface speaks TLS, so this has no effect; write one as stcp:// or wss://",
            );
        }
        return None;
    };
    let Some((_, certificate)) = found.certificate else {
        report.error(
            &secure,
            "TLS needs tls.certificate: a PEM file with certificate and key, or tls.key as well",
        );
        return None;
    };
    if let (Some(node), None, None) = (&found.verify_peer, &found.ca_file, &found.ca_path) {
        report.error(
            node,
            "this needs a ca-file or a ca-path: public authorities do not vouch for clients",
        );
    }
    if let (Some(node), None) = (&found.user_from, &found.verify_peer) {
        report.error(
            node,
            "this needs verify-peer: a certificate that nobody checks is nobody's",
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
        key: path(found.key),
        chain: path(found.chain),
        verify_peer: found.verify_peer.is_some(),
        user_from_certificate: found.user_from.is_some(),
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

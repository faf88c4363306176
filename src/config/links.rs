//! `links`, a list of other servers to link to, and `remote`, which is one of them as the C++ link
//! driver's own file has it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::driver::{QUEUE, filters, text_if_set};
use super::form;
use super::key;
use super::model::{
    LINK_PORT, LinkConfig, LinkDirection, LinkMode, Reconnect, TlsClient, TlsVersions,
};
use super::mqtt::connection::{Schemes, address, reconnect};
use super::mqtt::tls::tls;
use super::node::Node;
use super::object::Object;
use super::protection::{MAKE, strength, words};
use super::report::Report;
use crate::error::with_causes;
use crate::event::FilterPair;
use crate::os;
use crate::wire::binary::Cipher;

/// What stands before the host of a link.
const LINK: Schemes = Schemes {
    plain: (&["tcp"], LINK_PORT),
    secure: (&["stcp"], LINK_PORT),
};
/// Links of a driver; more are an error.
const MOST: usize = 64;
/// How long a far end may take for an answer.
const RESPONSE: Duration = Duration::from_secs(5);
/// Bytes of a password, far more than any server takes.
const PASSWORD_MAX: u64 = 4096;
/// Bytes of a link's name.
const NAME_MAX: usize = 64;

/// Reads the list.
pub(super) fn read(node: Option<Node<'_>>, file: &str, report: &mut Report) -> Vec<LinkConfig> {
    let Some(node) = node else {
        return Vec::new();
    };
    let entries = match node.is_list() {
        true => (node.list_of_at_most(MOST, "links", report)).unwrap_or_default(),
        // One alone needs no brackets.
        false => vec![node.clone()],
    };
    let mut found: Vec<LinkConfig> = Vec::new();
    for entry in entries.into_iter().take(MOST) {
        let Some(mut o) = Object::new(&entry, report) else {
            continue;
        };
        let link = one(&entry, &mut o, file, report);
        o.finish(report);
        if found.iter().any(|other| other.name == link.name) {
            report.error(
                &entry,
                format!(
                    "another link has the name {:?}: give each its own",
                    link.name
                ),
            );
        }
        found.push(link);
    }
    found
}

fn one(entry: &Node<'_>, o: &mut Object<'_>, file: &str, report: &mut Report) -> LinkConfig {
    let place = format!("{file}: {}", entry.path());
    let address = address(o, &LINK, report);
    report.needs(entry, &["host"]);
    if address.at.is_none() {
        report.error(entry, "there is no host: where is the other server?");
    }
    let tls = tls(o, &mut None, address.secure, &place, report);
    let user = text_if_set(o.take("user"), report).map(|(_, user)| user);
    let password = password(o, report);
    report.needs(entry, &["user"]);
    if user.is_none() {
        report.error(entry, "there is no user to log in there");
    }
    let mode = mode(o, report);
    let direction = direction(o, report);
    if mode == LinkMode::OnDemand && !direction.outward {
        report.error(
            entry,
            "mode on-demand is for events that leave, and direction in lets none",
        );
    }
    let (filter_in, filter_out) = filters(o.take("filter"), report);
    let name = text_if_set(o.take("name"), report);
    let default = format!("{}:{}", address.host, address.port);
    let name = name.map_or(default, |(node, name)| {
        let fits = |name: &str| {
            name.len() <= NAME_MAX
                && !name.starts_with('.')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
        };
        report.form(&node, || form::name(NAME_MAX));
        if !fits(&name) {
            report.error(
                &node,
                format!("a name has letters, digits, and . _ - : alone, {NAME_MAX} at the most, and does not \
                     begin with a dot"),
            );
        }
        name
    });
    let cipher = cipher(o, report);
    let mut count = |key, report: &mut Report| {
        usize::try_from(o.number(key, QUEUE, 32_000, report)).unwrap_or(32_000)
    };
    let max_in_queue = count("max-in-queue", report);
    let max_out_queue = count("max-out-queue", report);
    LinkConfig {
        place,
        name,
        host: address.host,
        port: address.port,
        tls,
        user: user.unwrap_or_default(),
        password,
        mode,
        direction,
        filter_in,
        filter_out,
        cipher,
        max_in_queue,
        max_out_queue,
        response_timeout: response_timeout(o, report),
        reconnect: reconnect(o, report),
    }
}

fn response_timeout(o: &mut Object<'_>, report: &mut Report) -> Duration {
    match o.number("response-timeout", 0..=3_600_000, 0, report) {
        0 => RESPONSE,
        millis => Duration::from_millis(millis),
    }
}

/// `password`, or the first line of `password-file`.
fn password(o: &mut Object<'_>, report: &mut Report) -> Zeroizing<String> {
    let text = o.take("password").and_then(|node| node.text(report));
    let text = text.map(Zeroizing::new).filter(|text| !text.is_empty());
    let Some((node, path)) = text_if_set(o.take("password-file"), report) else {
        return text.unwrap_or_default();
    };
    report.secret(&path);
    if text.is_some() {
        report.warn(&node, "password says the same and counts");
        return text.unwrap_or_default();
    }
    let mut found = Zeroizing::new(String::new());
    let read = os::open_regular(Path::new(&path))
        .and_then(|file| file.take(PASSWORD_MAX).read_to_string(&mut found));
    if let Err(error) = read {
        report.error(&node, format!("{path} cannot be read: {error}"));
    }
    Zeroizing::new(found.lines().next().unwrap_or_default().to_owned())
}

/// `mode`, and `interval`, which is in seconds.
fn mode(o: &mut Object<'_>, report: &mut Report) -> LinkMode {
    let modes = [
        ("persistent", LinkMode::Persistent),
        ("poll", LinkMode::Poll(Duration::ZERO)),
        ("on-demand", LinkMode::OnDemand),
    ];
    let mode = o.word("mode", &modes, LinkMode::Persistent, report);
    let interval = o.number("interval", 1..=86_400, 60, report);
    match mode {
        LinkMode::Poll(_) => LinkMode::Poll(Duration::from_secs(interval)),
        mode => mode,
    }
}

fn direction(o: &mut Object<'_>, report: &mut Report) -> LinkDirection {
    let way = |inward, outward| LinkDirection { inward, outward };
    let ways = [
        ("both", way(true, true)),
        ("in", way(true, false)),
        ("out", way(false, true)),
    ];
    o.word("direction", &ways, way(true, true), report)
}

/// `encryption` with `key-file`: without a usable key there is no link, as it would be in clear
/// text.
pub(super) fn cipher(o: &mut Object<'_>, report: &mut Report) -> Option<Cipher> {
    let file = text_if_set(o.take("key-file"), report);
    if let Some((_, path)) = &file {
        report.secret(path);
    }
    let (node, known) = strength(o, report)?;
    match (known, file) {
        (None, _) => None,
        (Some(_), None) => {
            report.error(&node, format!("there is no key-file; {MAKE}"));
            None
        }
        (Some(strength), Some((at, path))) => match key::load(Path::new(&path), strength) {
            Ok(cipher) => Some(cipher),
            Err(error) => {
                let why = format!("{path} is not usable: {}; {MAKE}", with_causes(&error));
                report.error(&at, why);
                None
            }
        },
    }
}

/// A file of the C++ link driver: there is no interface in it, and its filter and its TLS are those
/// of the link.
pub(super) struct Remote {
    /// The link.
    pub(super) link: LinkConfig,
    /// It speaks TLS.
    pub(super) secure: bool,
}

/// Reads `remote`. `section` is the `tls` of the same file.
pub(super) fn remote(
    node: &Node<'_>,
    section: Option<Node<'_>>,
    filters: (FilterPair, FilterPair),
    file: &str,
    report: &mut Report,
) -> Option<Remote> {
    let mut object = Object::new(node, report)?;
    let o = &mut object;
    let place = format!("{file}: {}", node.path());
    let address = address(o, &LINK, report);
    report.needs(node, &["host"]);
    if address.at.is_none() {
        report.error(node, "there is no host: where is the other server?");
    }
    let user = text_if_set(o.take("user"), report).map(|(_, user)| user);
    report.needs(node, &["user"]);
    if user.is_none() {
        report.error(node, "there is no user to log in there");
    }
    let password = password(o, report);
    let response_timeout = response_timeout(o, report);
    object.finish(report);
    let tls = address.secure.then(|| remote_tls(section, &place, report));
    let link = LinkConfig {
        name: format!("{}:{}", address.host, address.port),
        place,
        host: address.host,
        port: address.port,
        tls,
        user: user.unwrap_or_default(),
        password,
        mode: LinkMode::Persistent,
        direction: LinkDirection::default(),
        filter_in: filters.0,
        filter_out: filters.1,
        cipher: None,
        max_in_queue: 32_000,
        max_out_queue: 32_000,
        response_timeout,
        reconnect: Reconnect::default(),
    };
    let secure = address.secure;
    Some(Remote { link, secure })
}

/// The names of that file stand for what a client of TLS needs: whom it trusts, and who it is.
fn remote_tls(section: Option<Node<'_>>, place: &str, report: &mut Report) -> TlsClient {
    let mut section = section.and_then(|node| Object::new(&node, report));
    let mut path = |key, report: &mut Report| {
        let node = section.as_mut().and_then(|section| section.take(key));
        text_if_set(node, report).map(|(_, path)| PathBuf::from(path))
    };
    let ca_file = path("ca-file", report);
    let ca_path = path("ca-path", report);
    let certificate = path("certificate", report);
    let ciphers = section
        .as_mut()
        .and_then(|section| section.take("cipher-list"));
    let ciphers = text_if_set(ciphers, report);
    TlsClient {
        place: place.to_owned(),
        ca_file,
        ca_path,
        os_certs: false,
        // One file holds both.
        key: certificate.clone(),
        certificate,
        pass_phrase: None,
        check_host: true,
        check_certificate: true,
        versions: TlsVersions::default(),
        ciphers: ciphers
            .map(|(_, list)| words(&list, &[':', ',', ' ']))
            .unwrap_or_default(),
        alpn: Vec::new(),
    }
}

#[cfg(test)]
mod tests;

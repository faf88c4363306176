//! The websocket server: the section `websocket`, and the keys that the C++ websocket driver has
//! at the top of its file.

mod values;

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::driver::{QUEUE, addresses, text_if_set};
use super::form;
use super::key;
use super::model::{Interface, WebsocketConfig};
use super::node::Node;
use super::object::Object;
use super::protection::{Encryption, MAKE};
use super::report::Report;
use crate::error::with_causes;
use crate::event::json::Generation;
use crate::event::number::clip;
use crate::os::PRIVATELY;

/// Clients at a time where nothing else is said.
const MAX_CLIENTS: usize = 1024;
/// Clients at a time where the file says that there is no limit.
const NO_LIMIT: usize = 65_535;
/// Events that wait for one client where nothing else is said.
const MAX_QUEUE: usize = 32_000;

/// A websocket server that still has no key.
pub(super) struct Draft<'a> {
    /// Where its interfaces stand.
    at: Node<'a>,
    config: WebsocketConfig,
}

/// The section, and the top of the file beside it.
struct Keys<'o, 'a> {
    section: Object<'a>,
    top: &'o mut Object<'a>,
    /// What was found at the top.
    flat: Vec<Node<'a>>,
}

/// A value, and where it stands.
struct Found<'a> {
    node: Node<'a>,
    /// At the top of the file: that may be one that was made for another driver, and has to work.
    flat: bool,
}

impl<'a> Keys<'_, 'a> {
    /// What the section says; the top of the file where it says nothing.
    fn take(&mut self, key: &'static str, report: &mut Report) -> Option<Found<'a>> {
        let below = self.section.take(key);
        let above = self.top.take_alias(key);
        let Some(node) = below else {
            let node = above?;
            self.flat.push(node.clone());
            return Some(Found { node, flat: true });
        };
        if let Some(above) = above {
            report.warn(&above, &format!("{} says the same and counts", node.path()));
        }
        Some(Found { node, flat: false })
    }

    fn truth(&mut self, key: &'static str, default: bool, report: &mut Report) -> bool {
        let found = self.take(key, report);
        found
            .and_then(|found| found.node.truth(report))
            .unwrap_or(default)
    }
}

/// Reads everything but the key. `listed` are the interfaces of the top of the file, which stand
/// at `at`; `alone` is true where there are no others.
pub(super) fn read<'a>(
    top: &mut Object<'a>,
    at: Option<&Node<'a>>,
    listed: Vec<Interface>,
    alone: bool,
    report: &mut Report,
) -> Option<Draft<'a>> {
    let node = top.take("websocket");
    let section = node.as_ref().and_then(|node| Object::new(node, report));
    let known = section.is_some();
    let mut keys = Keys {
        section: section.unwrap_or_else(|| Object::absent("websocket")),
        top,
        flat: Vec::new(),
    };
    let place = interfaces(&mut keys, node.as_ref(), at, listed, report);
    let (ws1, ws2) = paths(&mut keys, report);
    let names = [
        ("vscp", Generation::Classic),
        ("plain", Generation::V2),
        ("both", Generation::Both),
    ];
    let config = WebsocketConfig {
        interfaces: Vec::new(),
        ws1,
        ws2,
        web_root: web_root(&mut keys, report),
        max_clients: max_clients(&mut keys, alone, report),
        max_queue: {
            let found = keys.take("max-client-queue-size", report);
            count(found, &QUEUE, report).unwrap_or(MAX_QUEUE)
        },
        filter: {
            let found = keys.take("rx-filter", report);
            values::filter(found.map(|found| found.node), report)
        },
        foreign_iv: keys.section.truth("allow-foreign-iv", false, report),
        origins: values::origins(keys.section.take("origins"), report),
        generation: (keys.section).word("event-names", &names, Generation::Classic, report),
        key: Zeroizing::default(),
    };
    rest(&mut keys, report);
    if known {
        keys.section.finish(report);
    }
    let Some((at, interfaces)) = place else {
        for node in &keys.flat {
            report.warn(
                node,
                "there is no websocket interface, so this has no effect; write one as ws://",
            );
        }
        return None;
    };
    if config.ws1.is_none() && config.ws2.is_none() && config.web_root.is_none() {
        report.warn(&at, "neither ws1 nor ws2 nor files are served there");
    }
    let config = WebsocketConfig {
        interfaces,
        ..config
    };
    Some(Draft { at, config })
}

impl<'a> Draft<'a> {
    /// Where the interfaces stand, if one of them speaks TLS.
    pub(super) fn secure(&self) -> Option<Node<'a>> {
        let secure = self.config.interfaces.iter().any(|one| one.secure);
        secure.then(|| self.at.clone())
    }

    /// The server, where there is a key for its logins.
    pub(super) fn with_key(
        mut self,
        encryption: &mut Encryption<'_>,
        report: &mut Report,
    ) -> Option<WebsocketConfig> {
        let plain = self.config.interfaces.iter().any(|one| !one.secure);
        if encryption.required && plain {
            report.warn(
                &self.at,
                "with require-encryption nobody can log in at ws://; write it as wss://",
            );
        }
        let Some((node, file)) = &encryption.key_file else {
            let text = "there is no key-file, which logins are encrypted with, so websockets are \
                        not served";
            report.warn(&self.at, &format!("{text}; {MAKE}"));
            return None;
        };
        let found = match key::load_login(Path::new(file)) {
            Ok(found) if found.well_known && encryption.required => Err(key::KeyError::WellKnown),
            found => found,
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let why = format!("{file} is not usable: {}; {MAKE}", with_causes(&error));
                report.warn(node, &format!("{why}. Websockets are not served"));
                encryption.login_key_trouble = Some(why);
                return None;
            }
        };
        if found.well_known {
            let text = format!(
                "{file} holds a key that everybody has: who sees a websocket login can read the \
                 password; {MAKE}, and give its first 32 digits to the pages and scripts that \
                 log in"
            );
            report.warn(node, &text);
        }
        if let Some(others) = found.readable {
            let text = format!(
                "others can read {file} ({others}), and with it the password of a websocket \
                 login that they see: {PRIVATELY}, and make a new key"
            );
            report.warn(node, &text);
        }
        self.config.key = found.bytes;
        Some(self.config)
    }
}

/// Where to listen: the section's interfaces, else those of the top of the file.
fn interfaces<'a>(
    keys: &mut Keys<'_, 'a>,
    section: Option<&Node<'a>>,
    top: Option<&Node<'a>>,
    listed: Vec<Interface>,
    report: &mut Report,
) -> Option<(Node<'a>, Vec<Interface>)> {
    let node = keys.section.take("interface");
    let mut own = Vec::new();
    if let Some(node) = &node {
        report.form(node, || form::interfaces(&["ws", "wss"]));
        for one in addresses(node, report) {
            match Interface::websocket(&one) {
                Ok(interface) => own.push(interface),
                Err(error) => report.refuse(node, &error),
            }
        }
    }
    let listed = top
        .cloned()
        .filter(|_| !listed.is_empty())
        .zip(Some(listed));
    match (node, own.is_empty(), listed) {
        (Some(node), false, listed) => {
            if let Some((top, _)) = listed {
                report.warn(
                    &top,
                    "websocket.interface says where websockets are served and counts; ws:// and \
                     wss:// have no effect here",
                );
            }
            Some((node, own))
        }
        (_, true, Some(listed)) => Some(listed),
        (None, ..) => {
            if let Some(section) = section.filter(|section| section.is_object()) {
                report.warn(
                    section,
                    "there is no interface in it, so websockets are not served; write one as \
                     \"interface\": \"ws://localhost:8884\"",
                );
            }
            None
        }
        (Some(_), true, None) => None,
    }
}

/// The paths of ws1 and ws2.
fn paths(keys: &mut Keys<'_, '_>, report: &mut Report) -> (Option<String>, Option<String>) {
    let (ws1, first) = path(keys, ["enable-ws1", "url-ws1"], "/ws1", report);
    let (ws2, second) = path(keys, ["enable-ws2", "url-ws2"], "/ws2", report);
    if let (Some(path), true, Some(node)) = (&ws1, ws1 == ws2, second.or(first)) {
        report.error(&node, format!("ws1 and ws2 cannot both be at {path}"));
    }
    (ws1, ws2)
}

/// A path, where it is on, and where it is written.
fn path<'a>(
    keys: &mut Keys<'_, 'a>,
    [enable, url]: [&'static str; 2],
    default: &str,
    report: &mut Report,
) -> (Option<String>, Option<Node<'a>>) {
    let on = keys.truth(enable, true, report);
    let written = keys.take(url, report).map(|found| found.node);
    let Some((node, text)) = text_if_set(written, report) else {
        return (on.then(|| default.to_owned()), None);
    };
    report.form(&node, form::path);
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '*' | '#');
    if !text.chars().all(good) {
        let found = clip(&text);
        report.error(
            &node,
            format!(
                "a path like {default} was expected, {found:?} was found: it is compared as it \
                 is, so blanks, ?, * and # have no place in it"
            ),
        );
        return (None, None);
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    (on.then(|| format!("{slash}{text}")), Some(node))
}

/// The folder whose files are served. Only a path that is somebody's intention is one: never the
/// working directory, whatever that of the host is.
fn web_root(keys: &mut Keys<'_, '_>, report: &mut Report) -> Option<PathBuf> {
    const ABSOLUTE: &str = "the absolute path of a folder was expected, like /srv/www";
    let enable = keys.take("enable-static", report);
    let root = keys.take("web-root", report);
    let written = enable.as_ref().and_then(|found| found.node.truth(report));
    let flat_root = root.as_ref().is_some_and(|found| found.flat);
    let root = text_if_set(root.map(|found| found.node), report);
    let relative = |path: &str| !Path::new(path).is_absolute();
    if let (Some((node, path)), false) = (&root, flat_root) {
        report.form(node, form::absolute);
        if relative(path) {
            report.error(node, format!("{ABSOLUTE}, {:?} was found", clip(path)));
            return None;
        }
    }
    match (written, root) {
        (Some(true), root) => {
            let root = root.filter(|(_, path)| !relative(path));
            if let (None, Some(enable)) = (&root, enable) {
                if enable.flat {
                    let text = "no file is served, as this needs web-root: ";
                    report.warn(&enable.node, &format!("{text}{ABSOLUTE}"));
                } else {
                    report.error(&enable.node, format!("this needs web-root: {ABSOLUTE}"));
                }
            }
            root.map(|(_, path)| PathBuf::from(path))
        }
        (None, Some((node, _))) => {
            report.warn(&node, "no file is served without enable-static: true");
            None
        }
        (Some(false), _) | (None, None) => None,
    }
}

/// The top of the file has this key for the link server, unless there is none.
fn max_clients(keys: &mut Keys<'_, '_>, alone: bool, report: &mut Report) -> usize {
    let found = if alone {
        keys.take("max-clients", report)
    } else {
        let own = keys.section.take("max-clients");
        own.map(|node| Found { node, flat: false })
    };
    match count(found, &(0..=NO_LIMIT as u64), report) {
        Some(0) => NO_LIMIT,
        Some(most) => most,
        None => MAX_CLIENTS,
    }
}

fn count(
    found: Option<Found<'_>>,
    bounds: &std::ops::RangeInclusive<u64>,
    report: &mut Report,
) -> Option<usize> {
    let number = (found?.node).number(*bounds.start(), *bounds.end(), report)?;
    usize::try_from(number).ok()
}

/// What the C++ driver has and this one has not.
fn rest(keys: &mut Keys<'_, '_>, report: &mut Report) {
    for object in [&mut keys.section, &mut *keys.top] {
        if let Some(node) = object.take_alias("enable-rest")
            && node.truth(report) == Some(true)
        {
            report.warn(&node, "there is no REST interface; this has no effect");
        }
        object.pass_over(&["url-rest", "mongoose-debug"]);
    }
}

#[cfg(test)]
mod tests;

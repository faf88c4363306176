//! `status`: whether, where and to whom it is shown how the driver is.

use super::driver::{remotes, text_if_set};
use super::form;
use super::model::{Interface, InterfaceHost, StatusConfig};
use super::node::Node;
use super::object::Object;
use super::report::Report;

/// Reads the section; `None` where it is absent, or has no interface.
pub(super) fn read(node: Option<Node<'_>>, report: &mut Report) -> Option<StatusConfig> {
    let node = node?;
    let mut o = Object::new(&node, report)?;
    let interface = text_if_set(o.take("interface"), report);
    let allowed = o.take("allow");
    let allow = remotes(allowed.clone(), report);
    o.finish(report);
    if let Some((node, _)) = &interface {
        report.form(node, || form::interface(&["http"], "r?"));
    }
    let Some((node, text)) = interface else {
        if let Some(allowed) = allowed.filter(|_| !allow.is_empty()) {
            report.warn(&allowed, "it has no effect without interface");
        }
        return None;
    };
    let interface = match Interface::status(&text) {
        Ok(interface) => interface,
        Err(error) => {
            report.refuse(&node, &error);
            return None;
        }
    };
    if interface.secure {
        report.error(&node, "there is no TLS here; a proxy can add it");
    } else if allow.is_empty() && !is_here(&interface.host) {
        report.error(
            &node,
            "others could look there: list who may in status.allow (\"*\" is everybody), or use \
             localhost",
        );
    }
    Some(StatusConfig { interface, allow })
}

/// True where nobody but this machine can connect, whatever names are looked up to.
fn is_here(host: &InterfaceHost) -> bool {
    match host {
        InterfaceHost::Localhost => true,
        InterfaceHost::Address(address) => address.to_canonical().is_loopback(),
        InterfaceHost::AllV4 | InterfaceHost::All | InterfaceHost::Name(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_driver;

    fn read(members: &str) -> Result<(Option<StatusConfig>, Vec<String>), String> {
        let text = format!("{{\"status\": {{{members}}}}}");
        load_driver(&text)
            .map(|(config, warnings)| (config.status, warnings))
            .map_err(|error| error.to_string())
    }

    fn good(members: &str) -> StatusConfig {
        let (config, warnings) = read(members).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        config.unwrap()
    }

    #[test]
    fn nothing_is_shown_unless_that_is_wanted() {
        assert!(load_driver("{}").unwrap().0.status.is_none());
        assert_eq!(read("").unwrap(), (None, vec![]));
        assert_eq!(read("\"interface\": \"\"").unwrap(), (None, vec![]));
        assert_eq!(read("\"allow\": []").unwrap(), (None, vec![]));
        let (config, warnings) = read("\"allow\": [\"10.0.0.0/8\"]").unwrap();
        assert!(config.is_none());
        assert!(
            warnings[0].contains("status.allow: it has no effect without interface"),
            "{warnings:?}"
        );
    }

    #[test]
    fn this_machine_may_look_without_a_list() {
        for (text, port) in [
            ("localhost:9600", 9600),
            ("localhost", 9599),
            ("http://127.0.0.1:0", 0),
            ("127.8.9.10:1", 1),
            ("[::1]:2", 2),
            ("[::ffff:127.0.0.1]:3", 3),
        ] {
            let config = good(&format!("\"interface\": {text:?}"));
            assert_eq!(config.interface.port, port, "{text}");
            assert!(config.allow.is_empty());
        }
    }

    #[test]
    fn others_may_look_where_it_is_said_who() {
        for text in [
            "9600",
            "+9600",
            ":9600",
            "0.0.0.0:9600",
            "[::]:9600",
            "192.168.1.8:9600",
            // Who knows what it is looked up to.
            "here.example:9600",
            "localhost.:9600",
        ] {
            for allow in ["[]", "\"\"", "[\" \"]"] {
                let error = read(&format!("\"interface\": {text:?}, \"allow\": {allow}"));
                let error = error.unwrap_err();
                assert!(error.contains("status.interface: others could"), "{error}");
            }
            good(&format!("\"interface\": {text:?}, \"allow\": \"*\""));
        }
        let config = good("\"interface\": \"9600\", \"allow\": [\"127.0.0.1\", \"192.168.1.*\"]");
        for (address, may) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("192.168.1.77", true),
            ("192.168.2.77", false),
            ("::ffff:192.168.1.77", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(config.allow.allows(address.parse().unwrap()), may);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (members, problem) in [
            ("\"interface\": \"https://localhost\"", "not a protocol"),
            ("\"interface\": \"tcp://localhost:1\"", "not a protocol"),
            (
                "\"interface\": \"localhost:1s\"",
                "status.interface: there is no TLS",
            ),
            ("\"interface\": \"localhost:65536\"", "not a port"),
            ("\"interface\": \"a b:1\"", "not an address"),
            ("\"interface\": 9600", "status.interface"),
            (
                "\"interface\": \"9600\", \"allow\": [\"neighbours\"]",
                "status.allow: entry 1",
            ),
        ] {
            let error = read(members).unwrap_err();
            assert!(error.contains(problem), "{members}: {error}");
        }
    }
}

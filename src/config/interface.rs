//! Addresses to listen on, as people write them.

use std::str::FromStr;

use thiserror::Error;

use super::model::{Interface, InterfaceHost, LINK_PORT, STATUS_PORT, WEBSOCKET_PORT};

/// Why a text is not an address to listen on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InterfaceError {
    /// A protocol that is none.
    #[error("{0:?} is not a protocol of this interface; {1} was expected")]
    Scheme(String, &'static str),
    /// A port that is none.
    #[error("{0:?} is not a port from 0 to 65535")]
    Port(String),
    /// An IPv6 address that cannot be told from its port.
    #[error("{0:?} is not an address; one of IPv6 stands in brackets, as in [::1]:9598")]
    Brackets(String),
    /// A host that is none.
    #[error("{0:?} is not an address or a host name")]
    Host(String),
}

/// What is spoken at an interface.
struct Protocol {
    plain: &'static str,
    /// The same with TLS.
    secure: &'static str,
    /// Where none is written.
    port: u16,
    expected: &'static str,
}

const LINK: Protocol = Protocol {
    plain: "tcp",
    secure: "stcp",
    port: LINK_PORT,
    expected: "tcp:// or stcp://, or ws:// or wss:// for websockets,",
};

const WEBSOCKET: Protocol = Protocol {
    plain: "ws",
    secure: "wss",
    port: WEBSOCKET_PORT,
    expected: "ws:// or wss://",
};

const DATAGRAMS: Protocol = Protocol {
    plain: "udp",
    secure: "",
    port: LINK_PORT,
    expected: "udp://",
};

const STATUS: Protocol = Protocol {
    plain: "http",
    secure: "",
    port: STATUS_PORT,
    expected: "http://",
};

/// `tcp://host:port`, `host:port`, `host`, `port`, `+port`, `[v6]:port`, `[v6]`; with TLS
/// `stcp://…`, or an `s` behind the port.
impl FromStr for Interface {
    type Err = InterfaceError;

    fn from_str(text: &str) -> Result<Self, InterfaceError> {
        Self::read(text, &LINK)
    }
}

impl Interface {
    /// As [`FromStr`], for websockets: `ws://…`, with TLS `wss://…`, and port
    /// [`WEBSOCKET_PORT`] where none is written.
    ///
    /// # Errors
    /// [`InterfaceError`].
    pub fn websocket(text: &str) -> Result<Self, InterfaceError> {
        Self::read(text, &WEBSOCKET)
    }

    /// As [`FromStr`], for datagrams: `udp://…`, without TLS.
    ///
    /// # Errors
    /// [`InterfaceError`].
    pub fn datagrams(text: &str) -> Result<Self, InterfaceError> {
        Self::read(text, &DATAGRAMS)
    }

    /// As [`FromStr`], for the status pages: `http://…`, without TLS, and port [`STATUS_PORT`]
    /// where none is written.
    ///
    /// # Errors
    /// [`InterfaceError`].
    pub fn status(text: &str) -> Result<Self, InterfaceError> {
        Self::read(text, &STATUS)
    }

    fn read(text: &str, protocol: &Protocol) -> Result<Self, InterfaceError> {
        let text = text.trim();
        let (scheme_secure, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(protocol.plain) => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(protocol.secure) => (true, rest),
            Some((scheme, _)) => {
                let scheme = crate::event::number::clip(scheme);
                return Err(InterfaceError::Scheme(scheme, protocol.expected));
            }
        };
        let made = |host, (port, suffix)| Self {
            host,
            port,
            secure: scheme_secure || suffix,
            text: text.to_owned(),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(port) = rest.strip_prefix('+') {
            return Ok(made(InterfaceHost::All, read_port(port)?));
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let bad = || InterfaceError::Host(crate::event::number::clip(rest));
            let (address, after) = inner.split_once(']').ok_or_else(bad)?;
            let address = address.parse().map_err(|_| bad())?;
            let port = match after.strip_prefix(':') {
                Some(port) => read_port(port)?,
                None if after.is_empty() => (protocol.port, false),
                None => return Err(bad()),
            };
            return Ok(made(
                InterfaceHost::Address(std::net::IpAddr::V6(address)),
                port,
            ));
        }
        match rest.rsplit_once(':') {
            Some(("" | "*", port)) => Ok(made(InterfaceHost::AllV4, read_port(port)?)),
            Some((host, port)) => {
                let bare = |_| InterfaceError::Brackets(crate::event::number::clip(rest));
                let host = match host.contains(':') {
                    true => read_host(host).map_err(bare)?,
                    false => read_host(host)?,
                };
                Ok(made(host, read_port(port)?))
            }
            None if rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('.') => {
                Ok(made(InterfaceHost::AllV4, read_port(rest)?))
            }
            None => Ok(made(read_host(rest)?, (protocol.port, false))),
        }
    }
}

/// True for `ws://…` and `wss://…`, which are nothing of the link server's.
pub(super) fn is_websocket(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.trim());
    scheme.is_some_and(|scheme| {
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        is(WEBSOCKET.plain) || is(WEBSOCKET.secure)
    })
}

/// A port, and whether TLS is asked for: the C++ drivers' suffixes are `s` for that, and `r` for
/// nothing that matters here.
fn read_port(text: &str) -> Result<(u16, bool), InterfaceError> {
    let bad = || InterfaceError::Port(crate::event::number::clip(text));
    let (digits, secure) = match text.strip_suffix(['s', 'S']) {
        Some(digits) => (digits, true),
        None => (text.strip_suffix('r').unwrap_or(text), false),
    };
    if digits.starts_with('+') {
        return Err(bad());
    }
    let port = digits.parse().map_err(|_| bad())?;
    Ok((port, secure))
}

fn read_host(text: &str) -> Result<InterfaceHost, InterfaceError> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(InterfaceHost::Localhost);
    }
    if let Ok(address) = text.parse() {
        return Ok(InterfaceHost::Address(address));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if text.is_empty() || text.len() > 253 || numeric || !text.chars().all(is_name) {
        return Err(InterfaceError::Host(crate::event::number::clip(text)));
    }
    Ok(InterfaceHost::Name(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling() {
        use InterfaceHost::{Address, All, AllV4, Localhost, Name};
        let v4 = || Address("127.0.0.1".parse().unwrap());
        let v6 = || Address("::1".parse().unwrap());
        for (text, host, port) in [
            ("9598", AllV4, 9598),
            ("*:9598", AllV4, 9598),
            ("+9598", All, 9598),
            ("tcp://9598", AllV4, 9598),
            ("localhost:1", Localhost, 1),
            ("tcp://localhost:9598", Localhost, 9598),
            ("TCP://LocalHost", Localhost, 9598),
            ("127.0.0.1:0", v4(), 0),
            ("127.0.0.1", v4(), 9598),
            ("127.0.0.1:77r", v4(), 77),
            ("tcp://[::1]:5", v6(), 5),
            ("[::1]", v6(), 9598),
            (" vscp.example ", Name("vscp.example".to_owned()), 9598),
        ] {
            let found: Interface = text.parse().unwrap();
            assert_eq!((found.host, found.port), (host, port), "{text}");
        }
    }

    #[test]
    fn where_tls_is_asked_for() {
        for (text, port, secure) in [
            ("stcp://localhost", 9598, true),
            ("STCP://127.0.0.1:443", 443, true),
            ("9598s", 9598, true),
            ("127.0.0.1:443s", 443, true),
            ("+443S", 443, true),
            ("[::1]:443s", 443, true),
            ("tcp://localhost:1", 1, false),
            ("9598r", 9598, false),
        ] {
            let found: Interface = text.parse().unwrap();
            assert_eq!((found.port, found.secure), (port, secure), "{text}");
        }
    }

    #[test]
    fn websockets() {
        use InterfaceHost::{AllV4, Localhost};
        for (text, host, port, secure) in [
            ("ws://localhost:80", Localhost, 80, false),
            ("WS://localhost/", Localhost, 8884, false),
            ("wss://localhost", Localhost, 8884, true),
            ("localhost", Localhost, 8884, false),
            ("ws://:8884", AllV4, 8884, false),
            ("8885s", AllV4, 8885, true),
        ] {
            let found = Interface::websocket(text).unwrap();
            assert_eq!((found.host, found.port), (host, port), "{text}");
            assert_eq!(found.secure, secure, "{text}");
        }
        assert_eq!(Interface::websocket("ws://[::1]").unwrap().port, 8884);
        for text in ["tcp://localhost", "http://x", "ws://", "ws://localhost/ws1"] {
            assert!(Interface::websocket(text).is_err(), "{text}");
        }
        assert!(is_websocket(" Wss://x") && !is_websocket("tcp://ws") && !is_websocket("ws"));
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "tcp://",
            "http://x:1",
            "ws://x:1",
            "x:y",
            "65536",
            "localhost:65536",
            "[::1",
            "[::1]5",
            "[x]:5",
            "1.2.3:5",
            "1.2.3.4.5",
            "a b:5",
            "::1:5:",
            "localhost:+5",
            "+",
        ] {
            assert!(text.parse::<Interface>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<Interface>();
        }
    }
}

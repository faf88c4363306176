//! Where a server is, and which protocol it speaks there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tokio_tungstenite::tungstenite::http::uri::PathAndQuery;
use vscpl2drv_link::config::model::{LINK_PORT, STATUS_PORT};
use vscpl2drv_link::wire::ws::Dialect;

/// The port of websocket servers.
const WEBSOCKET_PORT: u16 = 8884;

/// A host and a port, not looked up yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// TLS is spoken there.
    pub(crate) secure: bool,
    /// A websocket is opened there; else it is a link.
    pub(crate) web: Option<Place>,
}

/// Where on a web server the websocket is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// What is spoken there.
    pub(crate) dialect: Dialect,
    /// It begins with a slash.
    pub(crate) path: PathAndQuery,
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum AddressError {
    #[error("a host was expected, as in localhost:9598, [::1]:9598 or ws1://localhost:8884")]
    Host,
    #[error("{0:?} is not a port, 1 to 65535")]
    Port(String),
    #[error("{0:?} is not the path of a websocket")]
    Path(String),
    #[error(
        "{0}:// needs the path /ws1 or /ws2; for another path, or none, write {0}1:// or {0}2://"
    )]
    Dialect(String),
    #[error("{0}:// cannot be spoken to the status pages, only http:// can")]
    PageScheme(String),
    #[error("{0}:// cannot be spoken to a broker, only mqtt:// and mqtts:// can")]
    BrokerScheme(String),
    #[error(
        "{0}:// cannot be spoken, only tcp:// and stcp:// can, and ws1://, ws2://, wss1:// and \
         wss2:// for websockets"
    )]
    Scheme(String),
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address, with `tcp://`
/// before it or not, or with `stcp://` for TLS. With `ws1://`, `ws2://`, `wss1://` or `wss2://`,
/// and a path behind it or not, it is a websocket; with `ws://` and `wss://` the path tells which.
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let (secure, dialect) = match scheme {
            "tcp" => return Self::read(rest, LINK_PORT, false, None),
            "stcp" => return Self::read(rest, LINK_PORT, true, None),
            "ws" => (false, None),
            "wss" => (true, None),
            "ws1" => (false, Some(Dialect::Ws1)),
            "wss1" => (true, Some(Dialect::Ws1)),
            "ws2" => (false, Some(Dialect::Ws2)),
            "wss2" => (true, Some(Dialect::Ws2)),
            _ => return Err(AddressError::Scheme(scheme.to_owned())),
        };
        let (rest, path) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        };
        let dialect = match (dialect, path) {
            (Some(dialect), _) => dialect,
            (None, Some("/ws1")) => Dialect::Ws1,
            (None, Some("/ws2")) => Dialect::Ws2,
            (None, _) => return Err(AddressError::Dialect(scheme.to_owned())),
        };
        let path = match path {
            Some(path) => path.to_owned(),
            None => format!("/{}", dialect.name()),
        };
        // What is behind a # would be left out without a word.
        let place = match path.parse::<PathAndQuery>() {
            Ok(read) if read == *path => Place {
                dialect,
                path: read,
            },
            _ => return Err(AddressError::Path(path)),
        };
        Self::read(rest, WEBSOCKET_PORT, secure, Some(place))
    }
}

impl Address {
    fn read(text: &str, port: u16, secure: bool, web: Option<Place>) -> Result<Self, AddressError> {
        let (host, given) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(AddressError::Host)?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if rest.is_empty() => (host, None),
                    None => return Err(AddressError::Host),
                }
            }
            // More than one colon: an IPv6 address without a port.
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(AddressError::Host);
        }
        let port = match given {
            None => port,
            Some(text) => match text.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(AddressError::Port(text.to_owned())),
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            secure,
            web,
        })
    }

    /// The scheme that asks for the same with TLS.
    pub(crate) fn with_tls(&self) -> &'static str {
        match self.web.as_ref().map(|place| place.dialect) {
            None => "stcp",
            Some(Dialect::Ws1) => "wss1",
            Some(Dialect::Ws2) => "wss2",
        }
    }
}

/// Where a broker is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broker(pub(crate) Address);

/// As an [`Address`], with `mqtt://` before it or not, or with `mqtts://` for TLS.
impl FromStr for Broker {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let (port, secure) = match scheme {
            "mqtt" | "tcp" => (1883, false),
            "mqtts" | "stcp" => (8883, true),
            _ => return Err(AddressError::BrokerScheme(scheme.to_owned())),
        };
        Address::read(rest, port, secure, None).map(Self)
    }
}

/// Where the status of a driver is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page(pub(crate) Address);

/// As an [`Address`], with `http://` before it or not.
impl FromStr for Page {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if scheme != "http" {
            return Err(AddressError::PageScheme(scheme.to_owned()));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        Address::read(rest, STATUS_PORT, false, None).map(Self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("localhost", "localhost:9598"),
            ("tcp://broker.example:1", "broker.example:1"),
            ("10.0.0.1:65535", "10.0.0.1:65535"),
            ("[::1]:9598", "[::1]:9598"),
            ("[::1]", "[::1]:9598"),
            ("::1", "[::1]:9598"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn addresses_that_are_none() {
        for text in ["", ":9598", "[::1", "[::1]9598", "two words", "[]"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Host), "{text}");
        }
        for text in ["a:0", "a:", "a:65536", "a:b"] {
            assert!(
                matches!(text.parse::<Address>(), Err(AddressError::Port(_))),
                "{text}"
            );
        }
        assert_eq!(
            "http://a".parse::<Address>(),
            Err(AddressError::Scheme("http".into()))
        );
        assert!("stcp://a".parse::<Address>().unwrap().secure);
        assert!(!"tcp://a".parse::<Address>().unwrap().secure);
    }

    #[test]
    fn addresses_of_websockets() {
        for (text, shown, dialect, path, secure) in [
            ("ws1://a", "a:8884", Dialect::Ws1, "/ws1", false),
            ("ws2://a:1", "a:1", Dialect::Ws2, "/ws2", false),
            ("wss1://[::1]:2", "[::1]:2", Dialect::Ws1, "/ws1", true),
            ("wss2://::1", "[::1]:8884", Dialect::Ws2, "/ws2", true),
            ("ws://a/ws1", "a:8884", Dialect::Ws1, "/ws1", false),
            ("wss://a:3/ws2", "a:3", Dialect::Ws2, "/ws2", true),
            ("ws1://a/ws2", "a:8884", Dialect::Ws1, "/ws2", false),
            (
                "ws2://[::1]/x/y?z=1",
                "[::1]:8884",
                Dialect::Ws2,
                "/x/y?z=1",
                false,
            ),
            ("ws1://a/", "a:8884", Dialect::Ws1, "/", false),
        ] {
            let address: Address = text.parse().unwrap();
            let place = address.web.as_ref().unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(
                (place.dialect, place.path.as_str()),
                (dialect, path),
                "{text}"
            );
            assert_eq!(address.secure, secure, "{text}");
        }
        assert_eq!("a".parse::<Address>().unwrap().web, None);
    }

    #[test]
    fn addresses_of_brokers() {
        for (text, shown, secure) in [
            ("localhost", "localhost:1883", false),
            ("mqtt://[::1]:1", "[::1]:1", false),
            ("mqtts://broker.example", "broker.example:8883", true),
            ("stcp://broker.example:1", "broker.example:1", true),
        ] {
            let Broker(address) = text.parse().unwrap();
            assert_eq!((&*address.to_string(), address.secure), (shown, secure));
        }
        assert!("ws1://a".parse::<Broker>().is_err());
        assert!("a:0".parse::<Broker>().is_err());
    }

    #[test]
    fn addresses_of_no_websocket() {
        for text in [
            "ws://a",
            "wss://a:1",
            "ws://a/",
            "ws://a/ws3",
            "ws://a/ws1/",
        ] {
            assert!(
                matches!(text.parse::<Address>(), Err(AddressError::Dialect(_))),
                "{text}"
            );
        }
        for text in ["ws1://a/b#c", "ws1://a/two words"] {
            assert!(
                matches!(text.parse::<Address>(), Err(AddressError::Path(_))),
                "{text}"
            );
        }
        for text in ["ws1://", "ws1:///ws1", "ws2://:1"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Host), "{text}");
        }
        assert!("ws3://a".parse::<Address>().is_err());
    }
}

//! Why a websocket is none, and what to do about it.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::uri::PathAndQuery;
use tokio_tungstenite::tungstenite::http::{StatusCode, header};

use crate::address::{Address, Place};
use crate::client::ClientError;
use crate::messages::MessageError;
use crate::stream::is_late;
use crate::websocket::MESSAGE_MAX;

/// Why a websocket is none, or not one of a VSCP server.
#[derive(Debug, Error)]
pub(crate) enum WebError {
    /// A web server that opens no websocket.
    #[error("the server opens no websocket at {path}: HTTP {status}; {advice}")]
    Http {
        /// What was asked for.
        path: PathAndQuery,
        /// What was answered.
        status: StatusCode,
        /// What to do.
        advice: String,
    },
    /// Something else than a web server.
    #[error(
        "{0} is no websocket server, its answer is not HTTP: give the port of its websocket \
         interface, 8884 where it has no other, and {1}:// where that speaks TLS"
    )]
    NotHttp(Address, &'static str),
    /// TLS was expected.
    #[error("{0} does not speak TLS: write ws1:// or ws2:// without it, or give the port with TLS")]
    NoTls(Address),
    /// It ends before it begins.
    #[error(
        "{0} closed the connection instead of opening a websocket: it has no room for another \
         client, it is none, or it speaks TLS there ({1}://)"
    )]
    Hung(Address, &'static str),
    /// The request is not answered.
    #[error(
        "{0} did not answer the request for a websocket within {n} seconds: give the port of its \
         websocket interface, 8884 where it has no other, and {2}:// where that speaks TLS",
        n = .1.as_secs()
    )]
    Unanswered(Address, Duration, &'static str),
    /// The first message does not come.
    #[error(
        "the server opened a websocket at {0}, but did not say AUTH0 within {n} seconds: it is no \
         VSCP server, or has its websockets at another path",
        n = .1.as_secs()
    )]
    NoGreeting(PathAndQuery, Duration),
    /// It goes before the first message.
    #[error(
        "the server opened a websocket at {0} and closed it before it said AUTH0: it has no room \
         for another client, or is no VSCP server"
    )]
    NotGreeted(PathAndQuery),
    /// Wrong user, password or key, or this machine may not log in.
    #[error(
        "the login was refused: {0}; the user, the password or the first 32 digits of --key-file \
         are not those that the server knows, or this user may not log in here this way: the \
         server's log tells which"
    )]
    Login(String),
    /// The connection is gone, and the server said why.
    #[error("the server closed the connection: {0}")]
    Closed(String),
    /// Too much.
    #[error("the server sent a message of more than {MESSAGE_MAX} bytes")]
    TooLong,
    /// What came is no websocket's.
    #[error("the server does not keep to the websocket protocol")]
    Protocol(#[source] tungstenite::Error),
    /// What came is no VSCP server's.
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl WebError {
    /// What may be better the next time.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Http { status, .. } => status.is_server_error(),
            Self::Message(error) => matches!(error, MessageError::Unwelcome(_)),
            Self::Hung(..) | Self::Unanswered(..) | Self::NoGreeting(..) | Self::NotGreeted(_) => {
                true
            }
            Self::Closed(_) | Self::Protocol(_) => true,
            Self::NotHttp(..) | Self::NoTls(_) | Self::Login(_) | Self::TooLong => false,
        }
    }
}

/// Why the request for a websocket was of no use.
pub(crate) fn refusal(
    error: tungstenite::Error,
    address: &Address,
    place: &Place,
    timeout: Duration,
) -> ClientError {
    let (there, tls) = (|| address.clone(), address.with_tls());
    let why = match error {
        tungstenite::Error::Http(response) => WebError::Http {
            path: place.path.clone(),
            status: response.status(),
            advice: advice(&response, address, place),
        },
        tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            WebError::Hung(there(), tls)
        }
        tungstenite::Error::Protocol(ProtocolError::HttparseError(_))
        | tungstenite::Error::HttpFormat(_)
        | tungstenite::Error::AttackAttempt
        | tungstenite::Error::Capacity(_) => WebError::NotHttp(there(), tls),
        tungstenite::Error::Io(error) if is_late(&error) => {
            WebError::Unanswered(there(), timeout, tls)
        }
        tungstenite::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => WebError::Hung(there(), tls),
            io::ErrorKind::InvalidData if speaks_no_tls(&error) => WebError::NoTls(there()),
            _ => return error.into(),
        },
        error => WebError::Protocol(error),
    };
    why.into()
}

fn speaks_no_tls(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(rustls::Error::InvalidMessage(_)))
}

/// What to do about an answer that is not a websocket.
fn advice(response: &Response, address: &Address, place: &Place) -> String {
    let name = place.dialect.name();
    match response.status() {
        StatusCode::NOT_FOUND => format!(
            "give the path that the server has for {name}, as in {name}://HOST:PORT/PATH, or the \
             port of its websocket interface"
        ),
        StatusCode::UPGRADE_REQUIRED => {
            "it wants another version of websockets, or a proxy before it does not pass them on"
                .to_owned()
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "it, or a proxy before it, lets nobody in from here, or at this path: see its settings"
                .to_owned()
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "it has no room for another client, or is just starting or ending: try again".to_owned()
        }
        StatusCode::BAD_REQUEST if !address.secure => {
            format!("it may speak TLS there: write {}://", address.with_tls())
        }
        status if status.is_redirection() => {
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            format!(
                "it is elsewhere: {}",
                location.unwrap_or("it does not say where")
            )
        }
        status if status.is_server_error() => "try again, and see the server's log".to_owned(),
        _ => "there is a web server, but no websocket at this path".to_owned(),
    }
}

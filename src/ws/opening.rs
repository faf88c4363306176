//! The request that opens a websocket: who may, and the answer.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::Settings;
use crate::gate::audit;
use crate::net::http::{Body, set, text};
use crate::wire::ws::Dialect;

/// The answer that opens a websocket (RFC 6455, section 4.2), or the one that does not.
pub(super) fn open(
    request: &Request<Incoming>,
    peer: SocketAddr,
    dialect: Dialect,
    settings: &Settings,
) -> Result<Response<Body>, Box<Response<Body>>> {
    let refuse = |status, words: &'static str| Err(Box::new(text(status, words)));
    if !request.headers().contains_key(header::UPGRADE) {
        let mut refusal = text(StatusCode::UPGRADE_REQUIRED, "WS upgrade expected\n");
        set(&mut refusal, header::UPGRADE, "websocket");
        set(&mut refusal, header::CONNECTION, "upgrade");
        return Err(Box::new(refusal));
    }
    if !request.body().is_end_stream() {
        // What of it would be the body, and what the websocket's?
        return refuse(StatusCode::BAD_REQUEST, "a websocket request has no body\n");
    }
    for (name, words) in [
        (header::HOST, "one Host is needed\n"),
        (
            header::SEC_WEBSOCKET_KEY,
            "one Sec-WebSocket-Key is needed\n",
        ),
        (header::SEC_WEBSOCKET_VERSION, "one version is asked for\n"),
    ] {
        // Of several, somebody on the way may have gone by another one.
        let count = request.headers().get_all(&name).iter().count();
        if count > 1 || count == 0 && name != header::SEC_WEBSOCKET_VERSION {
            return refuse(StatusCode::BAD_REQUEST, words);
        }
    }
    let mut response = match create_response_with_body(&settled(request), empty) {
        Ok(response) => response,
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "GET opens a websocket\n");
            set(&mut refusal, header::ALLOW, "GET");
            return Err(Box::new(refusal));
        }
        Err(Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader)) => {
            let mut refusal = text(StatusCode::UPGRADE_REQUIRED, "version 13 is spoken here\n");
            set(&mut refusal, header::SEC_WEBSOCKET_VERSION, "13");
            set(&mut refusal, header::UPGRADE, "websocket");
            set(&mut refusal, header::CONNECTION, "upgrade");
            return Err(Box::new(refusal));
        }
        Err(_) => return refuse(StatusCode::BAD_REQUEST, "not a websocket request\n"),
    };
    if !may_connect(request, &settings.origins) {
        let told = request.headers().get(header::ORIGIN);
        let origin = told.and_then(|origin| origin.to_str().ok());
        audit::page_refused(peer, origin.unwrap_or_default());
        let mut refusal = text(StatusCode::FORBIDDEN, "not from pages of this origin\n");
        // Who goes on asking has to connect again, and fills the log no faster than by that.
        set(&mut refusal, header::CONNECTION, "close");
        return Err(Box::new(refusal));
    }
    let name = match dialect {
        Dialect::Ws1 => "vscp-std",
        Dialect::Ws2 => "vscp-json",
    };
    if list(request, header::SEC_WEBSOCKET_PROTOCOL).any(|one| one == name) {
        set(&mut response, header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    Ok(response)
}

/// The head as the library reads it, which looks at one header of a name: what `Connection` says in
/// one place, and of `Upgrade` what is meant. Both are lists, which may stand in several headers
/// (RFC 9110, section 5.3).
fn settled(request: &Request<Incoming>) -> Request<()> {
    let mut settled = Request::new(());
    *settled.method_mut() = request.method().clone();
    *settled.version_mut() = request.version();
    let headers = settled.headers_mut();
    *headers = request.headers().clone();
    let connection: Vec<_> = list(request, header::CONNECTION).collect();
    if let Ok(value) = HeaderValue::from_str(&connection.join(", ")) {
        headers.insert(header::CONNECTION, value);
    }
    if list(request, header::UPGRADE).any(|one| one.eq_ignore_ascii_case("websocket")) {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    settled
}

/// The members of a list.
fn list(request: &Request<Incoming>, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = request.headers().get_all(name).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Browsers tell where a page is from. Other clients say nothing, and may connect.
fn may_connect(request: &Request<Incoming>, origins: &[String]) -> bool {
    origins.is_empty() || is_from(request, |origin| is_among(origins, origin))
}

/// A browser shows its certificate whichever page asks. It counts for those of `origins`, and for
/// those that came from here.
pub(super) fn is_vouched(request: &Request<Incoming>, origins: &[String]) -> bool {
    let host = request.headers().get(header::HOST);
    let here = host
        .and_then(|host| host.to_str().ok())
        .map(|host| format!("https://{host}"));
    is_from(request, |origin| {
        is_among(here.as_slice(), origin) || is_among(origins, origin)
    })
}

/// True where a page is from where it may be, or it is no page.
fn is_from(request: &Request<Incoming>, may_be: impl Fn(&str) -> bool) -> bool {
    let mut told = request.headers().get_all(header::ORIGIN).iter();
    told.all(|origin| origin.to_str().is_ok_and(&may_be))
}

fn is_among(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|one| one.eq_ignore_ascii_case(origin))
}

fn empty() -> Body {
    Full::default()
        .map_err(|never| match never {})
        .boxed_unsync()
}

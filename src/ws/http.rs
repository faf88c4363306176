//! One client's connection before it is a websocket: HTTP requests, each with its answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::perform::Performer;
use super::{Context, Settings, connection, pages};
use crate::gate::Seat;
use crate::wire::ws::Dialect;

/// Bytes that the head of a request may have.
const MOST_HEAD: usize = 16 * 1024;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// What is sent after a head.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request that opens a websocket, on its way.
type Opening = Arc<Mutex<Option<(OnUpgrade, Dialect)>>>;

/// Serves one client until it leaves, or for `login-timeout` unless it opens a websocket.
pub(super) async fn run<S>(
    stream: S,
    peer: SocketAddr,
    secure: bool,
    context: Arc<Context>,
    seat: Seat,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let opening = Opening::default();
    let patience = context.gate.rules().limits.login_timeout;
    let service = service_fn(|request| {
        let (context, opening) = (Arc::clone(&context), Arc::clone(&opening));
        async move { Ok::<_, Infallible>(answer(request, &context, &opening).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD)
        .half_close(true);
    let served = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    match tokio::time::timeout(patience, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(client = %peer, "an HTTP connection broke: {error}"),
        Err(_) => tracing::debug!(client = %peer, "an HTTP connection lasted too long"),
    }
    let opened = opening
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some((upgrade, dialect)) = opened else {
        return;
    };
    match upgrade.await {
        Ok(stream) => {
            let performer = Performer::new(context, peer, seat, secure);
            connection::run(TokioIo::new(stream), dialect, performer).await;
        }
        Err(error) => tracing::debug!(client = %peer, "a websocket did not open: {error}"),
    }
}

async fn answer(
    mut request: Request<Incoming>,
    context: &Context,
    opening: &Opening,
) -> Response<Body> {
    let settings = context.settings();
    let path = request.uri().path();
    if let Some(dialect) = settings.dialect(path) {
        return match open(&request, dialect, &settings) {
            Ok(response) => {
                let upgrade = hyper::upgrade::on(&mut request);
                let mut opening = opening.lock().unwrap_or_else(PoisonError::into_inner);
                *opening = Some((upgrade, dialect));
                response
            }
            Err(refusal) => *refusal,
        };
    }
    match path {
        "/healthz" => health(request.method(), context),
        path if path == "/rest" || path.starts_with("/rest/") => {
            let words = "{\"error\": \"there is no REST interface here\"}\n";
            let mut response = text(StatusCode::NOT_FOUND, words);
            set(&mut response, header::CONTENT_TYPE, "application/json");
            response
        }
        _ => match &settings.web_root {
            Some(root) => pages::serve(request, root).await,
            None => text(StatusCode::NOT_FOUND, "not found\n"),
        },
    }
}

/// The answer that opens a websocket (RFC 6455, section 4.2), or the one that does not.
fn open(
    request: &Request<Incoming>,
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
        return refuse(StatusCode::FORBIDDEN, "not from pages of this origin\n");
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
    let known = |origin: &str| origins.iter().any(|one| one.eq_ignore_ascii_case(origin));
    let mut told = request.headers().get_all(header::ORIGIN).iter();
    origins.is_empty() || told.all(|origin| origin.to_str().is_ok_and(known))
}

/// Well where all uplinks are up; else the ones that are not, and why.
fn health(method: &Method, context: &Context) -> Response<Body> {
    if method != Method::GET && method != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "GET tells the health\n");
        set(&mut refusal, header::ALLOW, "GET, HEAD");
        return refusal;
    }
    let mut words = String::new();
    for uplink in context.gate.hub.uplinks().iter() {
        let status = uplink.status();
        if !status.up {
            let why = match status.trouble.as_str() {
                "" => "not connected yet",
                trouble => trouble,
            };
            words.push_str(&format!("{} is down: {why}\n", uplink.name()));
        }
    }
    let mut response = match words.is_empty() {
        true => text(StatusCode::OK, "ok\n"),
        false => text(StatusCode::SERVICE_UNAVAILABLE, words),
    };
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

/// An answer of some words.
pub(super) fn text(status: StatusCode, words: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(words.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    set(
        &mut response,
        header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    );
    response
}

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

fn empty() -> Body {
    Full::default()
        .map_err(|never| match never {})
        .boxed_unsync()
}

//! One client's connection before it is a websocket: HTTP requests, each with its answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::pace::{Answer, Pace, Paced};
use super::perform::Performer;
use super::{Context, Ends, connection, opening, pages};
use crate::error::with_causes;
use crate::gate::{Beneath, Seat, audit};
use crate::net::presence::Presence;
use crate::wire::ws::Dialect;

/// Bytes that the head of a request may have.
const MOST_HEAD: usize = 16 * 1024;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// What is sent after a head.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request that opens a websocket, on its way.
type Opening = Arc<Mutex<Option<Opened>>>;

/// What it said.
struct Opened {
    upgrade: OnUpgrade,
    dialect: Dialect,
    /// The client's certificate may log it in.
    vouched: bool,
}

/// Serves one client until it leaves. After `login-timeout` it gets no further answer, unless it
/// has opened a websocket; the one that it reads then it may read to its end, however long that
/// takes, if it stops nowhere for as long as `response-timeout`.
pub(super) async fn run<S>(
    stream: S,
    peer: SocketAddr,
    mut beneath: Beneath,
    context: Arc<Context>,
    seat: Seat,
    ends: Ends,
) where
    S: AsyncRead + AsyncWrite + Presence + Unpin + Send + Sync + 'static,
{
    let opening = Opening::default();
    let limits = context.gate.rules().limits.clone();
    let pace = Arc::new(Pace::default());
    let service = service_fn(|request| {
        let (context, opening) = (Arc::clone(&context), Arc::clone(&opening));
        let _busy = pace.begin();
        async move {
            let answer = answer(request, peer, &context, &opening).await;
            Ok::<_, Infallible>(answer.map(|body| Answer { body, _busy }))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD)
        .half_close(true);
    let stream = Paced::new(stream, Arc::clone(&pace), limits.response_timeout);
    let served = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let in_time = async {
        let mut served = pin!(served);
        match tokio::time::timeout(limits.login_timeout, served.as_mut()).await {
            Err(_) if pace.is_busy() => {
                served.as_mut().graceful_shutdown();
                Ok(served.await)
            }
            end => end,
        }
    };
    let end = tokio::select! {
        () = ends.end.cancelled() => return,
        end = in_time => end,
    };
    match end {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = with_causes(&error);
            tracing::debug!(client = %peer, "an HTTP connection broke: {error}");
        }
        Err(_) => tracing::debug!(client = %peer, "an HTTP connection lasted too long"),
    }
    let opened = opening
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(opened) = opened else {
        return;
    };
    if let Beneath::Tls(name) = &mut beneath
        && let Some(name) = name.take_if(|_| !opened.vouched)
    {
        let reason = "it is a page of another origin, and none of origins";
        audit::not_by_certificate(peer, &name, &reason);
    }
    match opened.upgrade.await {
        Ok(stream) => {
            // It is what it was made of; a websocket has deadlines of its own.
            let Ok(parts) = stream.downcast::<TokioIo<Paced<S>>>() else {
                return;
            };
            let stream = parts.io.into_inner().into_inner();
            let performer = Performer::new(context, peer, seat, beneath);
            connection::run(stream, parts.read_buf, opened.dialect, performer, ends).await;
        }
        Err(error) => tracing::debug!(client = %peer, "a websocket did not open: {error}"),
    }
}

async fn answer(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    context: &Context,
    opening: &Opening,
) -> Response<Body> {
    if !is_for_us(request.uri()) {
        return text(StatusCode::BAD_REQUEST, "a path is asked for\n");
    }
    let settings = context.settings();
    let path = request.uri().path();
    if let Some(dialect) = settings.dialect(path) {
        return match opening::open(&request, peer, dialect, &settings) {
            Ok(response) => {
                let opened = Opened {
                    vouched: opening::is_vouched(&request, &settings.origins),
                    upgrade: hyper::upgrade::on(&mut request),
                    dialect,
                };
                let mut opening = opening.lock().unwrap_or_else(PoisonError::into_inner);
                *opening = Some(opened);
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
            Some(root) => pages::serve(request, root, &context.readers).await,
            None => text(StatusCode::NOT_FOUND, "not found\n"),
        },
    }
}

/// True for a path, with a server before it or not (RFC 9112, section 3.2): the other forms are for
/// proxies, and for a server as a whole.
fn is_for_us(target: &Uri) -> bool {
    let scheme = target.scheme_str();
    let http = scheme.is_none_or(|scheme| matches!(scheme, "http" | "https"));
    http && target.path().starts_with('/')
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

#[cfg(test)]
mod tests;

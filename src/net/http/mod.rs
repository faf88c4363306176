//! HTTP/1.1 as servers speak it here: requests that are small and come in time, each with its
//! answer, which may be read slowly but has to be read.

mod pace;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::with_causes;
use pace::{Pace, Paced};

/// Bytes that the head of a request may have.
const MOST_HEAD: usize = 16 * 1024;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// What is sent after a head.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How long one connection may last, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long requests are taken. The answer that is read then may be read to its end.
    pub requests: Duration,
    /// How long nothing of an answer may be read.
    pub patience: Duration,
    /// The connection ends after the first answer.
    pub once: bool,
}

/// Serves one client until it leaves, or its time is over, or it has sent a request that turns the
/// connection into something else.
pub async fn converse<S, A>(
    stream: S,
    peer: SocketAddr,
    bounds: Bounds,
    answer: impl Fn(Request<Incoming>) -> A,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Future<Output = Response<Body>>,
{
    let pace = Arc::new(Pace::default());
    let service = service_fn(|request| {
        let busy = pace.begin();
        let answer = answer(request);
        async move {
            let answer = answer.await;
            Ok::<_, Infallible>(answer.map(|body| Guarded::new(body, busy)))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD)
        .keep_alive(!bounds.once)
        .half_close(true);
    let stream = Paced::new(stream, Arc::clone(&pace), bounds.patience);
    let served = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let end = match tokio::time::timeout(bounds.requests, served.as_mut()).await {
        Err(_) if pace.is_busy() => {
            served.as_mut().graceful_shutdown();
            Ok(served.await)
        }
        end => end,
    };
    match end {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = with_causes(&error);
            tracing::debug!(client = %peer, "an HTTP connection broke: {error}");
        }
        Err(_) => tracing::debug!(client = %peer, "an HTTP connection lasted too long"),
    }
}

/// The stream that [`converse`] was given, once it speaks something else, and what was read of it
/// already.
#[must_use]
pub fn upgraded<S>(stream: Upgraded) -> Option<(S, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let parts = stream.downcast::<TokioIo<Paced<S>>>().ok()?;
    Some((parts.io.into_inner().into_inner(), parts.read_buf))
}

/// True for a path, with a server before it or not (RFC 9112, section 3.2): the other forms are for
/// proxies, and for a server as a whole.
#[must_use]
pub fn is_path(target: &Uri) -> bool {
    let scheme = target.scheme_str();
    let http = scheme.is_none_or(|scheme| matches!(scheme, "http" | "https"));
    http && target.path().starts_with('/')
}

/// What somebody is told who does more than to look; `words` say what can be done.
#[must_use]
pub fn only_looks(method: &Method, words: &'static str) -> Option<Response<Body>> {
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, words);
    set(&mut refusal, header::ALLOW, "GET, HEAD");
    Some(refusal)
}

/// The answer to a question for the health; `trouble` is what is wrong, in lines.
#[must_use]
pub fn health(method: &Method, trouble: &str) -> Response<Body> {
    if let Some(refusal) = only_looks(method, "GET tells the health\n") {
        return refusal;
    }
    let mut response = match trouble {
        "" => text(StatusCode::OK, "ok\n"),
        trouble => text(StatusCode::SERVICE_UNAVAILABLE, trouble.to_owned()),
    };
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

/// An answer of some words.
pub fn text(status: StatusCode, words: impl Into<Bytes>) -> Response<Body> {
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

/// Gives an answer another header.
pub fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

/// A body, and what is held until it is sent or dropped.
#[derive(Debug)]
pub struct Guarded<G> {
    body: Body,
    _guard: G,
}

impl<G> Guarded<G> {
    /// Holds `guard` as long as the body.
    pub fn new(body: Body, guard: G) -> Self {
        Self {
            body,
            _guard: guard,
        }
    }
}

impl<G: Unpin> HttpBody for Guarded<G> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

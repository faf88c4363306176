//! One client's connection before it is a websocket: HTTP requests, each with its answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::header;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::perform::Performer;
use super::{Context, Ends, connection, opening, pages};
use crate::gate::{Beneath, Seat, audit};
use crate::net::http::{self, Body, Bounds, set, text};
use crate::net::presence::Presence;
use crate::wire::ws::Dialect;

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
    let bounds = {
        let limits = &context.gate.rules().limits;
        Bounds {
            requests: limits.login_timeout,
            patience: limits.response_timeout,
            once: false,
        }
    };
    let requests = http::converse(stream, peer, bounds, |request| {
        let (context, opening) = (Arc::clone(&context), Arc::clone(&opening));
        async move { answer(request, peer, &context, &opening).await }
    });
    tokio::select! {
        () = ends.end.cancelled() => return,
        () = requests => {}
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
            let Some((stream, ahead)) = http::upgraded::<S>(stream) else {
                return;
            };
            let performer = Performer::new(context, peer, seat, beneath);
            connection::run(stream, ahead, opened.dialect, performer, ends).await;
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
    if !http::is_path(request.uri()) {
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
        "/healthz" => http::health(request.method(), &context.gate.hub.trouble()),
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

#[cfg(test)]
mod tests;

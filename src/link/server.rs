//! Accepting clients.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Context, connection};
use crate::gate::Beneath;
use crate::net::accept;
use crate::net::presence::Presence;
use crate::net::tls::server::Acceptor;
use crate::wire::link::reply;

/// Accepts clients until `stop`; their sessions end with it too, and are among `tasks`. With `tls`
/// they speak TLS before anything else.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
    context: Arc<Context>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let admit = |stream, peer| admit(stream, peer, tls.as_ref(), &context, &tasks, &stop);
    accept::serve(listener, stop.clone(), admit).await;
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&Arc<Acceptor>>,
    context: &Arc<Context>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let end = stop.child_token();
    match (context.seats.take(peer.ip(), end.clone()), tls) {
        (Some(seat), Some(tls)) => {
            let (tls, context) = (Arc::clone(tls), Arc::clone(context));
            tasks.spawn(async move {
                let accepted = tokio::select! {
                    () = end.cancelled() => return,
                    accepted = tls.accept(stream) => accepted,
                };
                match accepted {
                    Ok(stream) => {
                        let beneath = Beneath::Tls(tls.user_of(&stream));
                        connection::run(stream, peer, beneath, context, end, Some(seat)).await;
                    }
                    Err(error) => {
                        tracing::info!(client = %peer, "no TLS with this client: {error}");
                    }
                }
            });
        }
        (Some(seat), None) => {
            let context = Arc::clone(context);
            let session = connection::run(stream, peer, Beneath::Plain, context, end, Some(seat));
            tasks.spawn(session);
        }
        // One that expects TLS would not understand the words.
        (None, Some(_)) => {
            let most = context.gate.rules().limits.max_clients;
            tracing::warn!(client = %peer, "client refused: max-clients ({most}) are connected");
        }
        (None, None) => {
            let most = context.gate.rules().limits.max_clients;
            tracing::warn!(client = %peer, "client refused: max-clients ({most}) are connected");
            let words = reply::TOO_MANY.text().as_bytes();
            context.farewells.say(stream, words, tasks, stop.clone());
        }
    }
}

/// Serves one client on a stream that is connected already.
pub async fn serve_stream<S>(
    stream: S,
    peer: SocketAddr,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Presence + Unpin,
{
    connection::run(stream, peer, Beneath::Plain, context, stop, None).await;
}

//! Accepting clients.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Context, Ends, http};
use crate::gate::Beneath;
use crate::net::accept;
use crate::net::tls::server::Acceptor;

/// What those are told for whom there is no place.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 17\r\n\r\ntoo many clients\n";

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
    let Some(seat) = context.seats.take(peer.ip(), end.clone()) else {
        let most = context.settings().max_clients;
        tracing::warn!(client = %peer, "websocket client refused: max-clients ({most}) are connected");
        // One that expects TLS would not understand the words.
        if tls.is_none() {
            context.farewells.say(stream, TOO_MANY, tasks, stop.clone());
        }
        return;
    };
    let context = Arc::clone(context);
    let ends = Ends {
        end,
        stop: stop.clone(),
    };
    match tls.cloned() {
        None => {
            let served = http::run(stream, peer, Beneath::Plain, context, seat, ends);
            drop(tasks.spawn(served));
        }
        Some(tls) => drop(tasks.spawn(async move {
            let accepted = tokio::select! {
                () = ends.end.cancelled() => return,
                accepted = tls.accept(stream) => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let beneath = Beneath::Tls(tls.user_of(&stream));
                    http::run(stream, peer, beneath, context, seat, ends).await;
                }
                Err(error) => {
                    tracing::info!(client = %peer, "no TLS with this client: {error}");
                }
            }
        })),
    }
}

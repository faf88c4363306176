//! Accepting clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Beneath;
use super::{Context, connection};
use crate::net::tls::server::Acceptor;
use crate::wire::link::reply;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts clients until `stop`; their sessions end with it too, and are among `tasks`. With `tls`
/// they speak TLS before anything else.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
    context: Arc<Context>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                admit(stream, peer, tls.as_ref(), &context, &tasks, &stop);
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                // Out of descriptors, most likely: those who are in go on, and it passes.
                tracing::warn!("cannot accept a client, waiting {pause:?}: {error}");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&Arc<Acceptor>>,
    context: &Arc<Context>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    // Replies are small and each is one write: waiting for more would only delay them.
    if let Err(error) = stream.set_nodelay(true).and_then(|()| keep_alive(&stream)) {
        tracing::debug!(client = %peer, "the client left at once: {error}");
        return;
    }
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
            // Each holds a descriptor for a while: in a flood some are closed at once.
            let Ok(farewells) = Arc::clone(&context.farewells).try_acquire_owned() else {
                return;
            };
            let mut stream = stream;
            let stop = stop.clone();
            tasks.spawn(async move {
                let farewell = async {
                    stream.write_all(reply::TOO_MANY.text().as_bytes()).await?;
                    connection::linger(&mut stream).await
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = tokio::time::timeout(connection::LINGER, farewell) => {}
                }
                drop(farewells);
            });
        }
    }
}

/// Finds peers that have gone without a word, within about two minutes.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let settings = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    socket2::SockRef::from(stream).set_tcp_keepalive(&settings)
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Serves one client on a stream that is connected already.
pub async fn serve_stream<S>(
    stream: S,
    peer: SocketAddr,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    connection::run(stream, peer, Beneath::Plain, context, stop, None).await;
}

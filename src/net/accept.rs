//! Accepting clients, whatever they speak.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::os;

/// How long the last words may take.
pub const LINGER: Duration = Duration::from_secs(1);
/// Clients that are told that there is no place for them at a time; more are closed without a
/// word.
const FAREWELLS: usize = 64;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts clients until `stop`, and hands each to `admit`.
pub async fn serve(
    listener: TcpListener,
    stop: CancellationToken,
    mut admit: impl FnMut(TcpStream, SocketAddr),
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
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                // Replies are small and each is one write: waiting for more would only delay them.
                match stream.set_nodelay(true).and_then(|()| keep_alive(&stream)) {
                    Ok(()) => admit(stream, peer),
                    Err(error) => {
                        tracing::debug!(client = %peer, "the client left at once: {error}")
                    }
                }
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

/// Silence after which the system asks whether the peer is still there, how often it asks again,
/// and after how many questions without an answer the connection breaks.
const ASK_AFTER: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(15);
const QUESTIONS: u32 = 4;

/// Finds peers that have gone without a word, within two minutes.
pub(super) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    os::ask_silent(&socket, ASK_AFTER, ASK_AGAIN, QUESTIONS)
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Closes so that the last words arrive: bytes that were not read would turn the close into a
/// reset, which loses them.
///
/// # Errors
/// Where the connection is broken already.
pub async fn linger<S>(stream: &mut S) -> io::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await
}

/// Tells clients that there is no place for them.
#[derive(Debug)]
pub struct Farewells(Arc<Semaphore>);

impl Default for Farewells {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FAREWELLS)))
    }
}

impl Farewells {
    /// Says these words and closes. Each holds a descriptor for a while: in a flood some are
    /// closed at once.
    pub fn say(
        &self,
        mut stream: TcpStream,
        words: &'static [u8],
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            return;
        };
        tasks.spawn(async move {
            let farewell = async {
                stream.write_all(words).await?;
                linger(&mut stream).await
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = tokio::time::timeout(LINGER, farewell) => {}
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn who_is_gone_without_a_word_is_found_within_two_minutes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (accepted, mut streams) = tokio::sync::mpsc::channel(1);
        let serving = serve(listener, stop.clone(), move |stream, _| {
            accepted.try_send(stream).unwrap();
        });
        let serving = tokio::spawn(serving);
        let _client = TcpStream::connect(address).await.unwrap();
        let stream = streams.recv().await.unwrap();
        // As the system has it.
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        let questions = socket.tcp_keepalive_retries().unwrap();
        let found = socket.tcp_keepalive_time().unwrap()
            + socket.tcp_keepalive_interval().unwrap() * questions;
        assert_eq!(found, Duration::from_secs(120));
        stop.cancel();
        serving.await.unwrap();
    }
}

//! Whether the other side of a connection is still there, though not all that it sent was read.

use std::time::Duration;

use tokio::io::{DuplexStream, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// How often somebody who may have ended the connection in order is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How the other side has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The connection is broken.
    Broken,
    /// It sends no more, but may still read.
    Ended,
}

/// A connection that tells when the other side leaves.
pub trait Presence {
    /// Returns when the other side has left, whatever of it waits to be read.
    fn left(&self) -> impl Future<Output = Left> + Send;
}

impl Presence for TcpStream {
    async fn left(&self) -> Left {
        let any = Interest::READABLE | Interest::ERROR;
        loop {
            let ready = tokio::select! {
                ready = self.ready(Interest::ERROR) => ready,
                // While there is something to read it is always ready.
                ready = async { tokio::time::sleep(LOOK).await; self.ready(any).await } => ready,
            };
            match ready {
                Ok(ready) if ready.is_error() => return Left::Broken,
                Ok(ready) if ready.is_read_closed() => return Left::Ended,
                Ok(_) => {}
                Err(_) => return Left::Broken,
            }
        }
    }
}

impl<S: Presence + Send + Sync> Presence for TlsStream<S> {
    async fn left(&self) -> Left {
        self.get_ref().0.left().await
    }
}

/// In memory nobody knows before it is read.
impl Presence for DuplexStream {
    async fn left(&self) -> Left {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The two ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, accepted) = tokio::join!(near, listener.accept());
        (near.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn who_leaves_is_noticed_behind_what_was_not_read() {
        for (resets, left) in [(true, Left::Broken), (false, Left::Ended)] {
            let (mut near, mut far) = pair().await;
            near.write_all(&[b'x'; 10_000]).await.unwrap();
            // A part of it is.
            far.read_exact(&mut [0; 100]).await.unwrap();
            let stays = tokio::time::timeout(3 * LOOK, far.left()).await;
            assert!(stays.is_err(), "{stays:?}");
            match resets {
                true => {
                    socket2::SockRef::from(&near)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                    drop(near);
                }
                false => near.shutdown().await.unwrap(),
            }
            let found = tokio::time::timeout(Duration::from_secs(30), far.left()).await;
            assert_eq!(found, Ok(left));
        }
    }
}

//! How an answer over HTTP gets on: one that is being read may take its time, one that is not read
//! may not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Pace {
    answers: AtomicUsize,
    blocked: AtomicBool,
}

impl Pace {
    /// A request has come; until the answer is written, or dropped, it is busy.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.answers.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// True while there is something to write.
    pub(super) fn is_busy(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 0 || self.blocked.load(Ordering::Relaxed)
    }
}

/// An answer is on its way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Pace>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream on which every write gets on within `patience`.
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
    patience: Duration,
    /// Armed while nothing can be written.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>, patience: Duration) -> Self {
        Self {
            stream,
            pace,
            patience,
            alarm: None,
        }
    }

    /// The stream alone.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Writes, as far as that goes and in time.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), cx) {
            self.alarm = None;
            self.pace.blocked.store(false, Ordering::Relaxed);
            return Poll::Ready(done);
        }
        self.pace.blocked.store(true, Ordering::Relaxed);
        let end = Instant::now() + self.patience;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        ready!(alarm.as_mut().poll(cx));
        let words = format!("the client did not read for {:?}", self.patience);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, words)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn writing_goes_on_as_long_as_somebody_reads() {
        let (mut near, far) = tokio::io::duplex(10);
        let pace = Arc::new(Pace::default());
        let mut far = Paced::new(far, Arc::clone(&pace), PATIENCE);
        let start = Instant::now();
        let reader = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(PATIENCE - Duration::from_millis(100)).await;
                near.read_exact(&mut [0; 10]).await.unwrap();
            }
            near
        });
        far.write_all(&[0; 110]).await.unwrap();
        assert!(start.elapsed() > 9 * PATIENCE && !pace.is_busy());
        let _near = reader.await.unwrap();
        let blocked = Instant::now();
        let error = far.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(blocked.elapsed() >= PATIENCE && blocked.elapsed() < 2 * PATIENCE);
        assert!(pace.is_busy());
    }

    #[test]
    fn it_is_busy_until_the_answer_is_gone() {
        let pace = Arc::new(Pace::default());
        let (first, second) = (pace.begin(), pace.begin());
        drop(first);
        assert!(pace.is_busy());
        drop(second);
        assert!(!pace.is_busy());
    }
}

//! Noticing that a file has changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::link::Control;

/// How often files are looked at, told of or not: some file systems tell nothing.
const LOOK: Duration = Duration::from_secs(1);
/// A file has to stay the same for so long: it may be half written.
const SETTLE: Duration = Duration::from_millis(100);
/// One that never stays the same is read all the same.
const MOST_SETTLES: usize = 8;
/// How long a change that could not be applied waits for the next try.
const AGAIN: Duration = Duration::from_secs(5);

/// What a file looks like from outside.
type Stamp = Option<(SystemTime, u64, u64)>;

/// Asks for a reload whenever one of the files has changed, until `stop`. `since` is when they
/// were read. It is called in the context of a runtime; what it opens is open when it returns.
pub(super) fn watch(
    mut files: watch::Receiver<Vec<PathBuf>>,
    since: SystemTime,
    control: mpsc::Sender<Control>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let mut notices = Notices::new(&files.borrow_and_update());
    let all = async move {
        let mut known = stamps(&files.borrow());
        // One that changed while it was read is read again.
        let mut due = known
            .iter()
            .flatten()
            .any(|(written, ..)| *written >= since)
            .then(Instant::now);
        loop {
            if files.has_changed().unwrap_or(false) {
                notices = Notices::new(&files.borrow_and_update());
                known = stamps(&files.borrow());
                // A new one may have changed before it was watched.
                due = Some(Instant::now() + LOOK);
            }
            tokio::select! {
                () = notices.one() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            // Other files may change in these folders, all the time.
            tokio::time::sleep(SETTLE).await;
            let mut now = stamps(&files.borrow());
            let again = due.is_some_and(|due| Instant::now() >= due);
            if now == known && !again {
                continue;
            }
            for _ in 0..MOST_SETTLES {
                tokio::time::sleep(SETTLE).await;
                let later = stamps(&files.borrow());
                if later == now {
                    break;
                }
                now = later;
            }
            known = now;
            let (answer, answered) = oneshot::channel();
            if control.send(Control::Reload(answer)).await.is_err() {
                return;
            }
            let applied = answered.await.unwrap_or(true);
            due = (!applied).then(|| Instant::now() + AGAIN);
        }
    };
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = all => {}
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let stamp = |file: &PathBuf| {
        let about = fs::metadata(file).ok()?;
        Some((about.modified().ok()?, about.len(), about.ino()))
    };
    files.iter().map(stamp).collect()
}

/// What the system tells of the folders that files lie in: a file that is replaced is another.
struct Notices(Option<EventStream<[u8; ROOM]>>);

/// Bytes of notices that are read at a time.
const ROOM: usize = 4096;

impl Notices {
    fn new(files: &[PathBuf]) -> Self {
        let made = Self::make(files);
        if let Err(error) = &made {
            tracing::debug!("files are looked at every second: {error}");
        }
        Self(made.ok())
    }

    fn make(files: &[PathBuf]) -> io::Result<EventStream<[u8; ROOM]>> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::ATTRIB;
        for file in files {
            // Where it is, and where it really is. A folder that is not there tells nothing.
            let real = fs::canonicalize(file).ok();
            for path in real.iter().chain([file]) {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                let _ = inotify
                    .watches()
                    .add(folder.unwrap_or_else(|| Path::new(".")), mask);
            }
        }
        inotify.into_event_stream([0; ROOM])
    }

    /// Returns when something has happened in one of the folders.
    async fn one(&mut self) {
        let Some(stream) = &mut self.0 else {
            return std::future::pending().await;
        };
        if let Some(Err(error)) = stream.next().await {
            tracing::debug!("files are looked at every second: {error}");
            self.0 = None;
        }
    }
}

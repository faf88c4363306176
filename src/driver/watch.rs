//! Noticing that a file has changed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
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

/// What a file looks like from outside. The time of the inode is one that nobody can set: a file
/// may be replaced by one that is older, or become readable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    access: (u32, u32, u32),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// How files looked once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
}

impl Seen {
    pub(super) fn now(files: &[PathBuf]) -> Self {
        Self {
            files: files.to_vec(),
            stamps: files.iter().map(|file| stamp(file)).collect(),
        }
    }

    /// True where they look the same now.
    pub(super) fn is_still_so(&self) -> bool {
        *self == Self::now(&self.files)
    }
}

/// From now on these are watched. Nothing happens where they are the same as before.
pub(super) fn set(files: &watch::Sender<Vec<PathBuf>>, now: Vec<PathBuf>) {
    files.send_if_modified(|known| {
        let others = *known != now;
        *known = now;
        others
    });
}

/// Asks for a reload whenever one of the files has changed, until `stop`, and once at first: they
/// may have changed since they were read. It is called in the context of a runtime; what it opens
/// is open when it returns.
pub(super) fn watch(
    mut files: watch::Receiver<Vec<PathBuf>>,
    control: mpsc::Sender<Control>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let mut notices = Notices::new(&files.borrow_and_update());
    let all = async move {
        let mut known = Seen::now(&files.borrow());
        let mut due = Some(Instant::now());
        loop {
            if files.has_changed().unwrap_or(false) {
                notices = Notices::new(&files.borrow_and_update());
                known = Seen::now(&files.borrow());
                // A new one may have changed before it was watched.
                due = Some(Instant::now() + LOOK);
            }
            tokio::select! {
                () = notices.one() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            // Other files may change in these folders, all the time.
            tokio::time::sleep(SETTLE).await;
            let mut now = Seen::now(&files.borrow());
            let again = due.is_some_and(|due| Instant::now() >= due);
            if now == known && !again {
                continue;
            }
            for _ in 0..MOST_SETTLES {
                tokio::time::sleep(SETTLE).await;
                let later = Seen::now(&files.borrow());
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

fn stamp(file: &Path) -> Option<Stamp> {
    let about = fs::metadata(file).ok()?;
    Some(Stamp {
        place: (about.dev(), about.ino()),
        access: (about.mode(), about.uid(), about.gid()),
        size: about.len(),
        written: (about.mtime(), about.mtime_nsec()),
        changed: (about.ctime(), about.ctime_nsec()),
    })
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_try_has_its_pause() {
        let place = tempfile::tempdir().unwrap();
        let list = vec![place.path().join("file")];
        let (files, watched) = watch::channel(list.clone());
        let (control, mut requests) = mpsc::channel(1);
        tokio::spawn(watch(watched, control, CancellationToken::new()));
        for _ in 0..3 {
            let Some(Control::Reload(answer)) = requests.recv().await else {
                panic!("a reload is asked for");
            };
            // As a reload does that could not apply everything.
            set(&files, list.clone());
            let answered = Instant::now();
            answer.send(false).unwrap();
            let next = requests.recv().await;
            assert!(answered.elapsed() >= AGAIN, "{:?}", answered.elapsed());
            let Some(Control::Reload(answer)) = next else {
                panic!("another reload is asked for");
            };
            answer.send(false).unwrap();
        }
    }

    #[test]
    fn whatever_happens_to_a_file_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let [file, other] = ["file", "other"].map(|name| place.path().join(name));
        fs::write(&file, "one").unwrap();
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        let mut seen = Seen::now(&[file.clone(), other.clone()]);
        let mut is_seen = |what: &str| {
            assert!(!seen.is_still_so(), "{what}");
            seen = Seen::now(&[file.clone(), other.clone()]);
            assert!(seen.is_still_so());
        };
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        is_seen("another mode");
        // As long and as old as before.
        fs::write(&other, "two").unwrap();
        let copy = fs::File::options().append(true).open(&other).unwrap();
        copy.set_modified(written).unwrap();
        is_seen("another file");
        fs::rename(&other, &file).unwrap();
        is_seen("a file in its place");
        fs::remove_file(&file).unwrap();
        is_seen("none any more");
    }
}

//! Noticing that a file has changed.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::files::{SETTLE, Seen, settled};
use crate::link::Control;
use crate::os;

/// How often files are looked at, told of or not: some file systems tell nothing.
const LOOK: Duration = Duration::from_secs(1);
/// How long a change that could not be applied waits for the next try.
const AGAIN: Duration = Duration::from_secs(5);

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
    files: watch::Receiver<Vec<PathBuf>>,
    control: mpsc::Sender<Control>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    watch_and_look(files, control, stop, LOOK)
}

/// The same, and they are looked at so often.
fn watch_and_look(
    mut files: watch::Receiver<Vec<PathBuf>>,
    control: mpsc::Sender<Control>,
    stop: CancellationToken,
    often: Duration,
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
                due = Some(Instant::now() + often);
            }
            tokio::select! {
                () = notices.one() => {}
                () = tokio::time::sleep(often) => {}
            }
            // Other files may change in these folders, all the time.
            tokio::time::sleep(SETTLE).await;
            let now = Seen::now(&files.borrow());
            let again = due.is_some_and(|due| Instant::now() >= due);
            if now == known && !again {
                continue;
            }
            let look = || std::future::ready(Seen::now(&files.borrow()));
            known = settled(now, look).await;
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

/// What the system tells of the folders that files lie in, where it tells anything.
struct Notices(Option<os::Notices>);

impl Notices {
    fn new(files: &[PathBuf]) -> Self {
        let made = os::Notices::new(files);
        if let Err(error) = &made {
            tracing::debug!("files are looked at every second: {error}");
        }
        Self(made.ok())
    }

    /// Returns when something has happened in one of the folders.
    async fn one(&mut self) {
        let Some(notices) = &mut self.0 else {
            return std::future::pending().await;
        };
        if let Err(error) = notices.one().await {
            tracing::debug!("files are looked at every second: {error}");
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    /// By the clock of the wall: the system's word is waited for.
    #[tokio::test]
    async fn the_system_tells_of_a_change_before_anybody_looks() {
        const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
        const SOON: Duration = Duration::from_secs(2);
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let (_files, watched) = watch::channel(vec![file.clone()]);
        let (control, mut requests) = mpsc::channel(1);
        tokio::spawn(watch_and_look(
            watched,
            control,
            CancellationToken::new(),
            NEVER,
        ));
        // Written in place, and another that takes the name. The first of all is asked for anyway.
        let write = |n: usize| fs::write(&file, "x".repeat(n)).unwrap();
        let replace = |n: usize| {
            let new = place.path().join("new");
            fs::write(&new, "y".repeat(n)).unwrap();
            fs::rename(new, &file).unwrap();
        };
        let changes: [&dyn Fn(usize); 3] = [&write, &write, &replace];
        for (number, change) in changes.iter().enumerate() {
            let mut in_time = false;
            // The machine may have something else to do at times.
            for n in 1..=10 {
                let start = Instant::now();
                change(20 * number + n);
                let asked = tokio::time::timeout(30 * SOON, requests.recv()).await;
                let Ok(Some(Control::Reload(answer))) = asked else {
                    panic!("a reload is asked for");
                };
                in_time = start.elapsed() < SOON;
                answer.send(true).unwrap();
                if in_time {
                    break;
                }
            }
            assert!(in_time, "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_noticed_within_two_seconds() {
        for settles in [true, false] {
            let place = tempfile::tempdir().unwrap();
            // Nothing is told of a folder that is made later.
            let folder = place.path().join("folder");
            let file = folder.join("file");
            let (_files, watched) = watch::channel(vec![file.clone()]);
            let (control, mut requests) = mpsc::channel(1);
            tokio::spawn(watch(watched, control, CancellationToken::new()));
            let mut next = async || match requests.recv().await {
                Some(Control::Reload(answer)) => answer.send(true).unwrap(),
                _ => panic!("a reload is asked for"),
            };
            // As they are at first.
            next().await;
            fs::create_dir(&folder).unwrap();
            fs::write(&file, "one").unwrap();
            let changed = Instant::now();
            let writes = async {
                loop {
                    tokio::time::sleep(SETTLE / 3).await;
                    let longer = fs::read_to_string(&file).unwrap() + "x";
                    fs::write(&file, longer).unwrap();
                }
            };
            tokio::select! {
                () = next() => {}
                () = writes, if !settles => {}
            }
            let took = changed.elapsed();
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
    }
}

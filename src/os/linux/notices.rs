//! What the kernel tells of folders: inotify.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};

/// Bytes of notices that are read at a time.
const ROOM: usize = 4096;

/// What the system tells of the folders that files lie in: a file that is replaced is another.
#[allow(missing_debug_implementations)] // there is nothing to see in it
pub struct Notices(EventStream<[u8; ROOM]>);

impl Notices {
    /// Of the folders of these files. Called in the context of a runtime; what is opened is open
    /// when it returns.
    ///
    /// # Errors
    /// Where the system tells nothing.
    pub fn new(files: &[PathBuf]) -> io::Result<Self> {
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
        inotify.into_event_stream([0; ROOM]).map(Self)
    }

    /// Returns when something has happened in one of the folders.
    ///
    /// # Errors
    /// Where the system tells nothing any more.
    pub async fn one(&mut self) -> io::Result<()> {
        match self.0.next().await {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

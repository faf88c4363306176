//! An outbox on disk that comes to another place, or is written otherwise from now on.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::{FILE, Spool, SpoolError, record};
use crate::event::{Event, Tag};

impl Spool {
    /// Takes events that have numbers, and lets go of those here that are in `gone`, in one step:
    /// no other number is in both. `last` is the last number that was given where they come from.
    /// Gives the last one that counts as given from now on.
    pub fn adopt<'a>(
        &self,
        gone: impl IntoIterator<Item = u64>,
        events: impl IntoIterator<Item = (u64, &'a Event, Option<Tag>)>,
        last: u64,
    ) -> u64 {
        let records = events
            .into_iter()
            .map(|(number, event, tag)| (number, record::write(event, tag)));
        let mut changes = self.shared.changes();
        changes.removes.extend(gone);
        changes.puts.extend(records);
        // Another one, so that it is waited for.
        changes.last = changes.last.max(last) + 1;
        let last = changes.last;
        drop(changes);
        self.shared.changed.notify_one();
        last
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// True where what is written is on the disk, not only with the system.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.shared.sync.load(Ordering::Relaxed)
    }

    /// From now on what is written is on the disk, or only with the system.
    pub fn set_sync(&self, sync: bool) {
        self.shared.sync.store(sync, Ordering::Relaxed);
    }

    /// Ends it and deletes it; the folder too where nothing else is in it.
    ///
    /// # Errors
    /// [`SpoolError`] where it is still there.
    pub fn discard(&self) -> Result<(), SpoolError> {
        self.close();
        let path = self.folder.join(FILE);
        fs::remove_file(&path).map_err(|source| SpoolError::Io { path, source })?;
        // A broken file that was set aside is for people to look at.
        let _ = fs::remove_dir(&self.folder);
        Ok(())
    }
}

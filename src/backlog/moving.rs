//! A backlog that comes to another folder, or to none, while it is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spool::{Kept, KeptEvent, Spool, SpoolError};
use super::{Backlog, HEARD, Heard, Numbered, QUEUE, State, WANTED, WHO};
use crate::hub::SharedEvent;

impl Backlog {
    /// The folder that it is in, and whether what is written there is on the disk.
    #[must_use]
    pub fn place(&self) -> Option<(PathBuf, bool)> {
        let spool = self.spool()?;
        Some((spool.folder().to_owned(), spool.is_synced()))
    }

    /// From now on what waits is in that folder, or in memory alone, and numbers go on. What waits
    /// there already comes behind it; where it was nothing is left. Gives how many wait.
    ///
    /// # Errors
    /// [`SpoolError`]: where it is not [there](Self::place), nothing has happened; else what was
    /// in the folder before is still there too.
    pub async fn move_to(
        &self,
        place: Option<(&Path, bool)>,
        who: &str,
    ) -> Result<usize, SpoolError> {
        let (here, waiting) = (self.place(), self.len());
        let opened = match (here, place) {
            (None, None) => return Ok(waiting),
            (Some((here, _)), Some((folder, sync))) if here == folder => {
                if let Some(spool) = self.spool() {
                    spool.set_sync(sync);
                }
                return Ok(waiting);
            }
            (_, place) => place.map(|(folder, sync)| Spool::open(folder, sync)),
        };
        let opened = opened.transpose()?;
        let (before, waiting) = {
            let mut state = self.state();
            let spool = opened.map(|(spool, kept)| {
                begin(&mut state, &spool, kept, who);
                Arc::new(spool)
            });
            self.count(&state);
            let before = std::mem::replace(&mut state.spool, spool);
            (before, state.events.len())
        };
        self.changed.notify_waiters();
        let Some(before) = before else {
            return Ok(waiting);
        };
        if !self.secured().await {
            return Err(SpoolError::Unwritten);
        }
        before.discard()?;
        Ok(waiting)
    }

    /// Takes what waits in another folder, of which nothing is left; gives how many these were.
    ///
    /// # Errors
    /// [`SpoolError`] where the other folder, or this one's own disk, cannot be used. Then they
    /// are still there.
    pub async fn take_over(&self, folder: &Path) -> Result<usize, SpoolError> {
        let (spool, kept) = Spool::open(folder, true)?;
        let count = kept.events.len();
        let heard = kept.notes.get(HEARD).and_then(|bytes| Heard::read(bytes));
        self.inherit(kept.notes.contains_key(WANTED), heard);
        for event in kept.events {
            self.put(SharedEvent::tagged(event.event, None, event.tag));
        }
        if !self.secured().await {
            return Err(SpoolError::Unwritten);
        }
        spool.discard()?;
        Ok(count)
    }

    /// What another one knew of the other side, where this one does not.
    pub(super) fn inherit(&self, wanted: bool, heard: Option<Heard>) {
        if wanted {
            self.want();
        }
        let mut state = self.state();
        let new = state.heard.is_none() && heard.is_some();
        if new {
            state.heard = heard;
        }
        drop(state);
        if new {
            self.note_heard();
        }
    }
}

/// Puts all into a folder, in one step; what it held comes behind it.
fn begin(state: &mut State, spool: &Spool, kept: Kept, who: &str) {
    let mut last = state.last.max(kept.last);
    let gone: Vec<u64> = kept.events.iter().map(|kept| kept.number).collect();
    let behind = kept.events.into_iter().map(|KeptEvent { event, tag, .. }| {
        last += 1;
        Numbered {
            number: last,
            event: SharedEvent::tagged(event, None, tag),
        }
    });
    state.events.extend(behind);
    spool.note(QUEUE, state.queue.to_be_bytes().to_vec());
    spool.note(WHO, who.as_bytes().to_vec());
    if let Some(noted) = state.noted {
        spool.note(HEARD, noted.write());
    }
    if state.wanted {
        spool.note(WANTED, Vec::new());
    }
    let events = state
        .events
        .iter()
        .map(|one| (one.number, one.event.event(), one.event.tag()));
    state.last = spool.adopt(gone, events, last);
}

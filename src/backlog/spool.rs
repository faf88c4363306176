//! Events on disk, so that they survive the host.
//!
//! An embedded database keeps what waits, under numbers that only grow. A thread of its own writes:
//! whatever came while it wrote goes into its next transaction, and an event that is acknowledged
//! before it is written never reaches the disk. Who wants to say that an event is safe waits until
//! its number is written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;
use tokio::sync::watch;

mod backend;
mod moving;
mod record;

use backend::Backend;

use crate::error::with_causes;
use crate::event::{Event, Tag};
use crate::os::{Opening, Readers, create_own_folder, open_own, with_signals_blocked};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");
/// The note that holds the last number given.
const LAST: &str = "last";
/// Numbers that nobody has had are passed over at each opening: more than can be given between two
/// writes.
const AHEAD: u64 = 1 << 32;
const FILE: &str = "outbox.redb";
/// What the database may keep in memory.
const CACHE: usize = 4 * 1024 * 1024;
/// How long acknowledged events may stay on the disk while nothing new comes.
const LINGER: Duration = Duration::from_millis(50);
/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end waits for the disk.
pub const LAST_WRITE: Duration = Duration::from_millis(700);
/// How long anybody waits for the disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that cannot be used.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// It cannot be made, opened or written.
    #[error("{path} cannot be used")]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another driver has it.
    #[error("{0} is in use by another driver")]
    InUse(PathBuf),
    /// It does not take what it should.
    #[error("they are not written in the new folder yet, and may come twice")]
    Unwritten,
    /// What is there makes no sense.
    #[error("{0} is broken")]
    Broken(PathBuf),
    /// What is there cannot be opened.
    #[error("{path} cannot be opened")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
}

/// The numbers up to which everything is written, and whether writing fails.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    written: u64,
    failing: bool,
}

/// What is to be written next.
#[derive(Debug, Default)]
struct Changes {
    puts: BTreeMap<u64, Vec<u8>>,
    removes: Vec<u64>,
    notes: BTreeMap<&'static str, Vec<u8>>,
    /// The last number given.
    last: u64,
    /// The last number when the writer looked.
    seen: u64,
    closing: bool,
}

#[derive(Debug)]
struct Shared {
    changes: Mutex<Changes>,
    changed: Condvar,
    progress: watch::Sender<Progress>,
    /// What is written is on the disk, not only with the system.
    sync: Arc<AtomicBool>,
}

/// An outbox on disk.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    folder: PathBuf,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What a folder held.
#[derive(Debug, Default)]
pub struct Kept {
    /// In order.
    pub events: Vec<KeptEvent>,
    /// The last number that counts as given.
    pub last: u64,
    /// What was written beside them, by its name.
    pub notes: BTreeMap<String, Vec<u8>>,
}

/// An event that a folder held.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptEvent {
    /// Its number there.
    pub number: u64,
    /// The event.
    pub event: Event,
    /// What it goes by between drivers.
    pub tag: Option<Tag>,
}

impl Spool {
    /// Opens a folder, or makes it, and gives the events that wait in it, in order. With `sync` what
    /// is written is on the disk, else with the system.
    ///
    /// # Errors
    /// [`SpoolError`] names the file.
    pub fn open(folder: &Path, sync: bool) -> Result<(Self, Kept), SpoolError> {
        let file = folder.join(FILE);
        create_own_folder(folder, true).map_err(|source| SpoolError::Io {
            path: folder.to_owned(),
            source,
        })?;
        let sync = Arc::new(AtomicBool::new(sync));
        let (database, mut kept, last) = match open(&file, &sync) {
            Err(error @ (SpoolError::Database { .. } | SpoolError::Broken(_))) => {
                set_aside(&file, &error)?;
                open(&file, &sync)?
            }
            opened => opened?,
        };
        kept.last = last;
        let shared = Arc::new(Shared {
            changes: Mutex::new(Changes {
                last,
                seen: last,
                ..Changes::default()
            }),
            changed: Condvar::new(),
            progress: watch::Sender::new(Progress {
                written: last,
                failing: false,
            }),
            sync,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            file: file.clone(),
            database: Some(database),
        };
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        // Signals are the host's.
        let writer = with_signals_blocked(|| {
            std::thread::Builder::new()
                .name("vscp-link-disk".to_owned())
                .spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || writer.run());
                })
        })
        .map_err(|source| SpoolError::Io { path: file, source })?;
        let spool = Self {
            shared,
            folder: folder.to_owned(),
            writer: Mutex::new(Some(writer)),
        };
        Ok((spool, kept))
    }

    /// Whether a folder can be used, as far as that can be seen without opening what is in it.
    ///
    /// # Errors
    /// [`SpoolError`] names the file.
    pub fn check(folder: &Path) -> Result<(), SpoolError> {
        let path = folder.join(FILE);
        crate::os::can_append(&path).map_err(|source| SpoolError::Io { path, source })
    }

    /// Takes an event, and what it goes by between drivers; gives its number.
    pub fn put(&self, event: &Event, tag: Option<Tag>) -> u64 {
        let record = record::write(event, tag);
        let mut changes = self.shared.changes();
        changes.last += 1;
        let number = changes.last;
        let first = changes.puts.is_empty();
        changes.puts.insert(number, record);
        drop(changes);
        if first {
            self.shared.changed.notify_one();
        }
        number
    }

    /// Writes something beside the events, in the place of what was there by this name. It is on
    /// the disk soon, not at once.
    pub fn note(&self, name: &'static str, value: Vec<u8>) {
        self.shared.changes().notes.insert(name, value);
    }

    /// Lets go of events.
    pub fn remove(&self, numbers: impl IntoIterator<Item = u64>) {
        let mut changes = self.shared.changes();
        for number in numbers {
            // One that was not written yet never needs to be.
            if changes.puts.remove(&number).is_none() {
                changes.removes.push(number);
            }
        }
    }

    /// True while the disk takes nothing.
    pub fn failing(&self) -> bool {
        self.shared.progress.borrow().failing
    }

    /// Waits until all events that were put are written; false where that fails.
    pub fn secured(&self) -> impl Future<Output = bool> + Send + use<> {
        let last = self.shared.changes().last;
        let mut progress = self.shared.progress.subscribe();
        async move {
            let written = progress.wait_for(|now| now.written >= last || now.failing);
            match tokio::time::timeout(PATIENCE, written).await {
                Ok(Ok(now)) => now.written >= last,
                _ => false,
            }
        }
    }

    /// Tells the thread to write everything and to end.
    pub fn begin_close(&self) {
        self.shared.changes().closing = true;
        self.shared.changed.notify_one();
    }

    /// Ends the thread. One that hangs in the disk cannot be ended: it is left behind, and said so.
    pub fn close(&self) {
        self.close_until(Instant::now() + LAST_WRITE);
    }

    /// The same until a moment that several share.
    pub fn close_until(&self, deadline: Instant) {
        self.begin_close();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(writer) = writer else { return };
        while !writer.is_finished() {
            if Instant::now() >= deadline {
                tracing::error!("the disk does not answer; what waits may not be written");
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // A thread that panicked has said so.
        let _ = writer.join();
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        // Every change is whole: there is no half-done state behind a poisoned lock.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    file: PathBuf,
    database: Option<Database>,
}

/// One transaction's worth.
#[derive(Debug, Default)]
struct Batch {
    puts: BTreeMap<u64, Vec<u8>>,
    removes: Vec<u64>,
    notes: BTreeMap<&'static str, Vec<u8>>,
    last: u64,
    closing: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let batch = self.next();
            let closing = batch.closing;
            let mut attempts = 0;
            while let Err(error) = self.write(&batch) {
                attempts += 1;
                self.failed(&error, attempts);
                // What is closing has no time to wait for a disk that is full.
                if closing || self.closes_within(RETRY) {
                    return;
                }
            }
            let recovered = self.shared.progress.borrow().failing;
            if recovered {
                tracing::info!(file = %self.file.display(), "the outbox can be written again");
            }
            self.shared.progress.send_replace(Progress {
                written: batch.last,
                failing: false,
            });
            if closing {
                return;
            }
        }
    }

    /// Waits; true where it is told to close meanwhile.
    fn closes_within(&self, pause: Duration) -> bool {
        let changes = self.shared.changes();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(changes, pause, |changes| !changes.closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// Waits for something to do.
    fn next(&self) -> Batch {
        let mut changes = self.shared.changes();
        let mut lingering: Option<Instant> = None;
        loop {
            let due = lingering.is_some_and(|since| since.elapsed() >= LINGER);
            // Somebody may wait for an event that was acknowledged before it could be written.
            let put = changes.last != changes.seen;
            let more = !changes.removes.is_empty() || !changes.notes.is_empty();
            if put || changes.closing || (due && more) {
                changes.seen = changes.last;
                return Batch {
                    puts: std::mem::take(&mut changes.puts),
                    removes: std::mem::take(&mut changes.removes),
                    notes: std::mem::take(&mut changes.notes),
                    last: changes.last,
                    closing: changes.closing,
                };
            }
            lingering = Some(lingering.filter(|_| !due).unwrap_or_else(Instant::now));
            changes = self
                .shared
                .changed
                .wait_timeout(changes, LINGER)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<(), SpoolError> {
        if batch.puts.is_empty() && batch.removes.is_empty() && batch.notes.is_empty() {
            return Ok(());
        }
        // After an error the database answers nothing until it is opened anew.
        let database = self.database.take();
        let (file, sync) = (&self.file, &self.shared.sync);
        let stored = guarded(file, || {
            let database = match database {
                Some(database) => database,
                None => database_of(file, sync)?,
            };
            store(&database, batch).map_err(|source| SpoolError::Database {
                path: file.clone(),
                source: Box::new(source),
            })?;
            Ok(database)
        })?;
        self.database = Some(stored);
        Ok(())
    }

    fn failed(&self, error: &SpoolError, attempts: u32) {
        if attempts == 1 {
            tracing::error!(
                "the outbox cannot be written, and no event is taken until it can: {}",
                with_causes(error)
            );
        }
        self.shared
            .progress
            .send_modify(|progress| progress.failing = true);
    }
}

fn store(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for number in &batch.removes {
            table.remove(number)?;
        }
        for (number, record) in &batch.puts {
            table.insert(number, record.as_slice())?;
        }
        let mut notes = transaction.open_table(NOTES)?;
        notes.insert(LAST, batch.last.to_be_bytes().as_slice())?;
        for (name, value) in &batch.notes {
            notes.insert(*name, value.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The database takes some damage of its file for impossible, and panics.
fn guarded<T>(file: &Path, work: impl FnOnce() -> Result<T, SpoolError>) -> Result<T, SpoolError> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(SpoolError::Broken(file.to_owned())))
}

/// Opens a file and reads what is in it; gives the last number besides.
fn open(file: &Path, sync: &Arc<AtomicBool>) -> Result<(Database, Kept, u64), SpoolError> {
    guarded(file, || {
        let database = database_of(file, sync)?;
        let (kept, last) = load(&database).map_err(|source| SpoolError::Database {
            path: file.to_owned(),
            source: Box::new(source),
        })?;
        Ok((database, kept, last))
    })
}

fn load(database: &Database) -> Result<(Kept, u64), redb::Error> {
    // Makes the table where there is none yet.
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.open_table(NOTES)?;
    transaction.commit()?;
    let reading = database.begin_read()?;
    let table = reading.open_table(TABLE)?;
    let mut kept = Kept::default();
    for row in reading.open_table(NOTES)?.iter()? {
        let (name, value) = row?;
        kept.notes
            .insert(name.value().to_owned(), value.value().to_owned());
    }
    // Numbers go on growing though nothing waits any more, and though the last ones that were given
    // never came to the disk.
    let last = kept
        .notes
        .remove(LAST)
        .and_then(|bytes| bytes.try_into().ok());
    let mut last = last.map_or(0, u64::from_be_bytes);
    for row in table.iter()? {
        let (number, record) = row?;
        let number = number.value();
        last = last.max(number);
        match record::read(record.value()) {
            Some((event, tag)) => kept.events.push(KeptEvent { number, event, tag }),
            None => tracing::error!(
                number,
                "an event in the outbox cannot be read; it stays there"
            ),
        }
    }
    let last = last.saturating_add(AHEAD);
    let transaction = database.begin_write()?;
    transaction
        .open_table(NOTES)?
        .insert(LAST, last.to_be_bytes().as_slice())?;
    transaction.commit()?;
    Ok((kept, last))
}

fn database_of(file: &Path, sync: &Arc<AtomicBool>) -> Result<Database, SpoolError> {
    let opened =
        open_own(file, Opening::Change, Readers::Owner).map_err(|source| SpoolError::Io {
            path: file.to_owned(),
            source,
        })?;
    let failed = |error: DatabaseError| match error {
        DatabaseError::DatabaseAlreadyOpen => SpoolError::InUse(file.to_owned()),
        DatabaseError::Storage(redb::StorageError::Io(source))
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            SpoolError::Io {
                path: file.to_owned(),
                source,
            }
        }
        error => SpoolError::Database {
            path: file.to_owned(),
            source: Box::new(error.into()),
        },
    };
    let backend = Backend::new(opened, Arc::clone(sync)).map_err(failed)?;
    Database::builder()
        .set_cache_size(CACHE)
        .create_with_backend(backend)
        .map_err(failed)
}

/// A broken file is kept for people to look at, and a new one begun.
fn set_aside(file: &Path, error: &SpoolError) -> Result<(), SpoolError> {
    let now = crate::os::now() / 1_000_000_000;
    let aside = file.with_extension(format!("broken-{now}"));
    tracing::error!(
        file = %file.display(),
        "the outbox cannot be read ({}); it is kept as {}, and a new one begins",
        with_causes(error),
        aside.display()
    );
    fs::rename(file, &aside).map_err(|source| SpoolError::Io {
        path: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;

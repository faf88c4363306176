//! Files, as Linux knows them.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use crate::os::{Exposure, Opening, Readers, regular};

/// What a file looks like from outside. The time of the inode is one that nobody can set: a file
/// may be replaced by one that is older, or become readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    access: (u32, u32, u32),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// How a file looks now; `None` where it is not there, or nobody may look.
#[must_use]
pub fn stamp(file: &Path) -> Option<Stamp> {
    let about = fs::metadata(file).ok()?;
    Some(Stamp {
        place: (about.dev(), about.ino()),
        access: (about.mode(), about.uid(), about.gid()),
        size: about.len(),
        written: (about.mtime(), about.mtime_nsec()),
        changed: (about.ctime(), about.ctime_nsec()),
    })
}

/// What is opened so is not waited for: a pipe would keep whoever opens it waiting.
pub(in crate::os) fn without_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(libc::O_NONBLOCK)
}

/// Opens a file to read, and nothing else: a pipe would keep whoever reads it waiting.
///
/// # Errors
/// As [`File::open`], and for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    without_wait(OpenOptions::new().read(true))
        .open(path)
        .and_then(regular)
}

/// Opens a file that is not for everybody, and makes it where it is not there.
///
/// # Errors
/// What the system says.
pub fn open_own(path: &Path, how: Opening, readers: Readers) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A daemon may have cleared its umask.
    options.mode(match readers {
        Readers::Owner => 0o600,
        Readers::Group => 0o640,
    });
    match how {
        Opening::New => options.write(true).create_new(true),
        // A pipe that nobody reads is an error, and no wait.
        Opening::Append => without_wait(options.append(true).create(true)),
        Opening::Change => options.read(true).write(true).create(true).truncate(false),
    };
    options.open(path)
}

/// Makes a folder that only its owner can look into. With `recursive` it may be there, and those
/// above it are made too.
///
/// # Errors
/// What the system says.
pub fn create_own_folder(path: &Path, recursive: bool) -> io::Result<()> {
    DirBuilder::new()
        .recursive(recursive)
        .mode(0o700)
        .create(path)
}

/// How to make a key file, for people.
pub const MAKE_KEY: &str = "make one with: (umask 077; openssl rand -hex 32 > FILE)";

/// What makes a file private, for people who have one that others can read.
pub const PRIVATELY: &str = "chmod 600 it";

/// Who else can read a file, or change it; `None` where nobody can.
///
/// # Errors
/// What the system says.
pub fn exposure(file: &File) -> io::Result<Option<Exposure>> {
    let mode = file.metadata()?.mode() & 0o7777;
    Ok((mode & 0o077 != 0).then(|| Exposure(format!("mode {mode:04o}"))))
}

/// Gives a new file the owner and the mode of the one whose place it takes with [`replace`].
///
/// # Errors
/// What the system says.
pub fn keep_access(new: &File, old: &Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}

/// Lets a group read a file; its owner stays the only one who writes it.
///
/// # Errors
/// What the system says.
pub fn let_group_read(file: &File, group: u32) -> io::Result<()> {
    fchown(file, None, Some(group))?;
    file.set_permissions(fs::Permissions::from_mode(0o640))
}

/// Puts a file in the place of another one, in one step.
///
/// # Errors
/// What the system says; then both are as they were.
pub fn replace(new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)
}

/// Holds others back who change a file as we do, until it is dropped.
#[derive(Debug)]
pub struct Lock(Option<File>);

/// Takes the lock of a file's folder; `None` where somebody else has it. Some network file systems
/// know no locks, and a folder may be one that nobody may read: then nobody is held back.
#[must_use]
pub fn try_lock(file: &Path) -> Option<Lock> {
    let folder = file.parent().filter(|path| !path.as_os_str().is_empty());
    let Ok(folder) = File::open(folder.unwrap_or_else(|| Path::new("."))) else {
        return Some(Lock(None));
    };
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => None,
        _ => Some(Lock(Some(folder))),
    }
}

impl Lock {
    /// That a file has another one's place is on the disk when this returns, where the system
    /// tells files from their names.
    pub fn sync(&self) {
        if let Some(folder) = &self.0 {
            let _ = folder.sync_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::can_append;

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(can_append(&path).is_err());
        assert!(open_own(&path, Opening::Append, Readers::Group).is_err());
        assert!(open_regular(&path).is_err());
    }

    #[test]
    fn what_is_made_is_not_for_everybody() {
        let place = tempfile::tempdir().unwrap();
        for (how, readers, mode) in [
            (Opening::New, Readers::Owner, 0o600),
            (Opening::Change, Readers::Owner, 0o600),
            (Opening::Append, Readers::Group, 0o640),
        ] {
            let path = place.path().join(format!("{how:?}"));
            let file = open_own(&path, how, readers).unwrap();
            let found = file.metadata().unwrap().mode() & 0o777;
            assert_eq!(found & !mode, 0, "{how:?}: {found:o}");
            assert_eq!(exposure(&file).unwrap().is_some(), found & 0o77 != 0);
            let again = open_own(&path, how, readers);
            assert_eq!(again.is_ok(), how != Opening::New, "{again:?}");
        }
        let folder = place.path().join("a/b");
        assert!(create_own_folder(&folder, false).is_err());
        create_own_folder(&folder, true).unwrap();
        create_own_folder(&folder, true).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o077, 0);
    }
}

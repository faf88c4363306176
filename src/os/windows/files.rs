//! Files, as Windows knows them: who can read one stands in its access list.

use std::borrow::Cow;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::Path;
use std::ptr::null;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_SHARING_VIOLATION, GENERIC_READ,
    GENERIC_WRITE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL,
    FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_DELETE_ON_CLOSE, FILE_READ_ATTRIBUTES,
    FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FileBasicInfo,
    GetFileInformationByHandle, GetFileInformationByHandleEx, ReplaceFileW,
};

use super::access::Private;
use crate::os::{Opening, Readers, regular};

pub use super::access::{PRIVATELY, exposure};

/// How to make a key file, for people. What PowerShell writes by itself is no such text.
pub const MAKE_KEY: &str = "make one with openssl rand -hex 32, or as docs/windows.md says";

/// What a file looks like from outside. The time of its last change, of its access list too, is
/// one that nobody sets: a file may be replaced by one that is older, or become readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    place: (u32, u32, u32),
    size: (u32, u32),
    attributes: u32,
    written: i64,
    changed: i64,
}

/// How a file looks now; `None` where it is not there, or nobody may look.
#[must_use]
pub fn stamp(file: &Path) -> Option<Stamp> {
    let file = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(file)
        .ok()?;
    let handle = file.as_raw_handle();
    let mut place = BY_HANDLE_FILE_INFORMATION::default();
    let mut times = FILE_BASIC_INFO::default();
    // SAFETY: the file is open, and there is as much room as is said.
    let told = unsafe {
        GetFileInformationByHandle(handle, &raw mut place) != 0
            && GetFileInformationByHandleEx(
                handle,
                FileBasicInfo,
                (&raw mut times).cast(),
                size_of_val(&times) as u32,
            ) != 0
    };
    told.then_some(Stamp {
        place: (
            place.dwVolumeSerialNumber,
            place.nFileIndexHigh,
            place.nFileIndexLow,
        ),
        size: (place.nFileSizeHigh, place.nFileSizeLow),
        attributes: times.FileAttributes,
        written: times.LastWriteTime,
        changed: times.ChangeTime,
    })
}

/// Nothing here is waited for.
pub(in crate::os) fn without_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Opens a file to read, and nothing else.
///
/// # Errors
/// As [`File::open`], and for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    File::open(path).and_then(regular)
}

/// Opens a file that is not for everybody, and makes it where it is not there: for this user, the
/// administrators and the system, whoever reads the folder.
///
/// # Errors
/// What the system says.
pub fn open_own(path: &Path, how: Opening, _readers: Readers) -> io::Result<File> {
    let made = create(path);
    let mut options = OpenOptions::new();
    match how {
        Opening::New => return made,
        Opening::Append => options.append(true),
        Opening::Change => options.read(true).write(true),
    };
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => options.open(path),
    }
}

fn create(path: &Path) -> io::Result<File> {
    let path = wide(path)?;
    let private = Private::new(false)?;
    // SAFETY: the path ends with a zero, and everything that is named lives until the call returns.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            GENERIC_READ | GENERIC_WRITE,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            &raw const private.attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            std::ptr::null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else has it.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Makes a folder for this user, the administrators and the system, as is what is made in it. With
/// `recursive` it may be there, and those above it are made too.
///
/// # Errors
/// What the system says.
pub fn create_own_folder(path: &Path, recursive: bool) -> io::Result<()> {
    if let (true, Some(above)) = (recursive, path.parent()) {
        fs::create_dir_all(above)?;
    }
    let name = wide(path)?;
    let private = Private::new(true)?;
    // SAFETY: the path ends with a zero, and the attributes live until the call returns.
    match unsafe { CreateDirectoryW(name.as_ptr(), &raw const private.attributes) } {
        0 => match io::Error::last_os_error() {
            _ if recursive && path.is_dir() => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

/// Nothing: [`replace`] keeps the access list. The owner is who has made the new one.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)] // as where something is to be done
pub fn keep_access(_new: &File, _old: &Metadata) -> io::Result<()> {
    Ok(())
}

/// There are no groups of files here.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)] // as where something is to be done
pub fn let_group_read(_file: &File, _group: u32) -> io::Result<()> {
    Ok(())
}

/// Puts a file in the place of another one, in one step, with the access list of that one.
///
/// # Errors
/// What the system says; then both are as they were.
pub fn replace(new: &Path, path: &Path) -> io::Result<()> {
    let mut name = new.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    let old = new.with_file_name(name);
    let [from, to, kept] = [wide(new)?, wide(path)?, wide(&old)?];
    // SAFETY: the paths end with a zero; the others may be null.
    let done =
        unsafe { ReplaceFileW(to.as_ptr(), from.as_ptr(), kept.as_ptr(), 0, null(), null()) };
    if done != 0 {
        // It has the other's access list, where somebody who looks at it lets nobody remove it.
        let _ = fs::remove_file(old);
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if path.exists() {
        return Err(error);
    }
    // It stopped half way, with the old one under its other name; or there was none.
    if fs::rename(old, path).is_err() && is(&error, ERROR_FILE_NOT_FOUND) {
        return fs::rename(new, path);
    }
    Err(error)
}

/// Holds others back who change a file as we do, until it is dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Option<File>); // it is there to be dropped

/// Takes the lock of a file: another one beside it that goes when it is closed, and that nobody
/// else can open meanwhile. `None` where somebody has it.
#[must_use]
pub fn try_lock(file: &Path) -> Option<Lock> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .share_mode(0)
        .custom_flags(FILE_FLAG_DELETE_ON_CLOSE)
        .open(file.with_file_name(name));
    match opened {
        // The latter while one that was closed goes.
        Err(error) if is(&error, ERROR_SHARING_VIOLATION) || is(&error, ERROR_ACCESS_DENIED) => {
            None
        }
        opened => Some(Lock(opened.ok())),
    }
}

impl Lock {
    /// That a file has another one's place is in the file system's own journal.
    pub fn sync(&self) {}
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error().map(i32::cast_unsigned) == Some(code)
}

/// As the system wants paths. Their folders are written out, for such as are longer than 260
/// characters.
fn wide(path: &Path) -> io::Result<Vec<u16>> {
    let folder = path.parent().map(fs::canonicalize);
    let path = match (folder, path.file_name()) {
        (Some(Ok(folder)), Some(name)) => Cow::Owned(folder.join(name)),
        _ => Cow::Borrowed(path),
    };
    let mut text: Vec<u16> = path.as_os_str().encode_wide().collect();
    if text.contains(&0) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    text.push(0);
    Ok(text)
}

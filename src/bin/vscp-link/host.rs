//! A host of the driver: loads the library and calls it as the VSCP daemon does, with a read loop
//! of 50 ms on one thread and writes from another.
#![allow(unsafe_code)] // calling a C library is what this module is for

use std::ffi::{CString, c_char, c_int, c_long, c_uchar, c_ulong, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use libloading::Library;
use vscpl2drv_link::abi::{ClassicEvent, V2Event};
use vscpl2drv_link::driver::Layout;
use vscpl2drv_link::event::Guid;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(windows)]
use windows as system;

use system::{INSTALLED, LIBRARIES};
pub(crate) use system::{
    Supervisor, keep_end_signals, let_end_signals_through, quoted, raise_descriptors, wait_for_end,
};

type OpenFn = unsafe extern "C" fn(*const c_char, *const c_uchar) -> c_long;
type CloseFn = unsafe extern "C" fn(c_long) -> c_int;
type WriteFn = unsafe extern "C" fn(c_long, *const c_void, c_ulong) -> c_int;
type ReadFn = unsafe extern "C" fn(c_long, *mut c_void, c_ulong) -> c_int;
type VersionFn = unsafe extern "C" fn() -> c_ulong;

/// A driver that looks at its host finds this in it: events of this host have the new layout.
#[used]
static LAYOUT_MARK: &[u8; 12] = b"timestamp_ns";

/// How long the daemon lets a read wait, in milliseconds.
const READ_TIMEOUT: c_ulong = 50;
/// What the daemon says a write may take, in milliseconds.
const WRITE_TIMEOUT: c_ulong = 500;

/// The functions of a loaded library.
pub(crate) struct Functions {
    open: OpenFn,
    close: CloseFn,
    write: WriteFn,
    read: ReadFn,
    version: VersionFn,
    _library: Library,
}

/// Why a driver is not running.
#[derive(Debug)]
pub(crate) enum HostError {
    Load(PathBuf, libloading::Error),
    Nul,
    Refused,
    Thread(std::io::Error),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(path, error) => write!(f, "cannot load {}: {error}", path.display()),
            Self::Nul => f.write_str("the configuration holds a NUL byte"),
            Self::Refused => f.write_str(
                "the driver refused to start; its log (file, console or the system's) says why",
            ),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl Functions {
    /// Loads a library and looks up what every host needs.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, HostError> {
        let failed = |error| HostError::Load(path.to_owned(), error);
        // SAFETY: a driver's constructors do nothing but set up their own statics; this is how
        // every host loads one.
        let library = unsafe { Library::new(path) }.map_err(failed)?;
        // SAFETY: the types are those of the level II driver interface.
        let functions = unsafe {
            Self {
                open: *library.get::<OpenFn>(b"VSCPOpen\0").map_err(failed)?,
                close: *library.get::<CloseFn>(b"VSCPClose\0").map_err(failed)?,
                write: *library.get::<WriteFn>(b"VSCPWrite\0").map_err(failed)?,
                read: *library.get::<ReadFn>(b"VSCPRead\0").map_err(failed)?,
                version: *library
                    .get::<VersionFn>(b"VSCPGetVersion\0")
                    .map_err(failed)?,
                _library: library,
            }
        };
        Ok(Arc::new(functions))
    }

    /// `major.minor.release` of the library.
    pub(crate) fn version(&self) -> String {
        // SAFETY: takes nothing, gives a number.
        let version = unsafe { (self.version)() };
        format!(
            "{}.{}.{}",
            version >> 24 & 0xFF,
            version >> 16 & 0xFF,
            version >> 8 & 0xFF
        )
    }
}

/// An event in the host's memory, with data of its own.
#[derive(Clone, Copy)]
#[repr(C)]
union HostEvent {
    classic: ClassicEvent,
    v2: V2Event,
}

/// Owns the block that VSCPRead gave with an event.
struct OwnedEvent(HostEvent, Layout);

// SAFETY: the data block belongs to this value alone.
unsafe impl Send for OwnedEvent {}

impl Drop for OwnedEvent {
    fn drop(&mut self) {
        // SAFETY: VSCPRead filled it in, in this layout.
        let data = unsafe {
            match self.1 {
                Layout::Classic => self.0.classic.pdata,
                Layout::V2 => self.0.v2.pdata,
            }
        };
        // SAFETY: null, or from malloc and ours since VSCPRead.
        unsafe { libc::free(data.cast()) };
    }
}

/// A running driver.
pub(crate) struct Host {
    functions: Arc<Functions>,
    handle: c_long,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Host {
    /// Opens a driver and starts the threads of its host. What the driver hands out comes back to
    /// it, as it would from a broker whose publish and subscribe topics are the same.
    pub(crate) fn start(
        functions: &Arc<Functions>,
        config: &str,
        guid: Guid,
        layout: Layout,
    ) -> Result<Self, HostError> {
        std::hint::black_box(LAYOUT_MARK);
        let config = CString::new(config).map_err(|_| HostError::Nul)?;
        // SAFETY: a C string and sixteen bytes.
        let handle = unsafe { (functions.open)(config.as_ptr(), guid.bytes().as_ptr()) };
        if handle == 0 {
            return Err(HostError::Refused);
        }
        let mut host = Self {
            functions: Arc::clone(functions),
            handle,
            stop: Arc::default(),
            threads: Vec::new(),
        };
        let (to_writer, from_reader) = sync_channel(1024);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(body)
                .map_err(HostError::Thread)
        };
        let reader = {
            let (functions, stop) = (Arc::clone(functions), Arc::clone(&host.stop));
            Box::new(move || read_loop(&functions, handle, layout, &stop, &to_writer))
        };
        let writer = {
            let functions = Arc::clone(functions);
            Box::new(move || write_loop(&functions, handle, &from_reader))
        };
        host.threads.push(spawn("host-read", reader)?);
        host.threads.push(spawn("host-write", writer)?);
        Ok(host)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        // SAFETY: any handle may be closed.
        unsafe { (self.functions.close)(self.handle) };
    }
}

fn read_loop(
    functions: &Functions,
    handle: c_long,
    layout: Layout,
    stop: &AtomicBool,
    to_writer: &SyncSender<OwnedEvent>,
) {
    while !stop.load(Ordering::Acquire) {
        // SAFETY: both layouts are numbers, and pointers that may be null.
        let mut event: HostEvent = unsafe { std::mem::zeroed() };
        let place = (&raw mut event).cast::<c_void>();
        // SAFETY: room for an event of either layout.
        let code = unsafe { (functions.read)(handle, place, READ_TIMEOUT) };
        if code != 0 {
            continue;
        }
        // Where the writer has fallen far behind, a host drops too.
        let _ = to_writer.try_send(OwnedEvent(event, layout));
    }
}

fn write_loop(functions: &Functions, handle: c_long, from_reader: &Receiver<OwnedEvent>) {
    while let Ok(event) = from_reader.recv() {
        let place = (&raw const event.0).cast::<c_void>();
        // SAFETY: an event that VSCPRead filled in, with its data.
        unsafe { (functions.write)(handle, place, WRITE_TIMEOUT) };
    }
}

/// Where the library may be, best first: beside this program, as a build leaves it, or where a
/// package puts it.
pub(crate) fn library_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(directory) = std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
    {
        places.extend(LIBRARIES.iter().map(|name| directory.join(name)));
        places.extend(
            LIBRARIES
                .iter()
                .map(|name| directory.join("deps").join(name)),
        );
    }
    places.extend(INSTALLED.map(PathBuf::from));
    places
}

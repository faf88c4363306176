//! The C ABI: what a host loads and calls. Checks, a guard against panics, and a call into the
//! driver; nothing else.
//!
//! The functions, their ownership rules and their return codes are documented for C in
//! `include/vscpl2drv-link.h` (VSCP specification, "level II driver interface").
#![allow(unsafe_code)]

mod event;
mod guard;
mod handles;

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_ulong, c_void};
use std::time::Duration;

pub use event::{ClassicEvent, V2Event, V2Time};
use guard::guarded;

use crate::driver::{Driver, ReadError, Source};
use crate::event::Guid;
use crate::os::{now, stay_loaded};

/// Return codes, shared by the `CANAL_ERROR_…` and `VSCP_ERROR_…` families.
pub mod code {
    use std::ffi::c_int;

    /// Done.
    pub const SUCCESS: c_int = 0;
    /// No event came in time.
    pub const TIMEOUT: c_int = 32;
    /// The driver is closing.
    pub const NOT_OPEN: c_int = 33;
    /// A pointer that is null, or an event that cannot be one.
    pub const PARAMETER: c_int = 34;
    /// A handle that is none, or no memory.
    pub const MEMORY: c_int = 35;
    /// Something of ours went wrong.
    pub const INTERNAL: c_int = 36;
}

/// Opens a driver.
///
/// `config` is the path of the driver's configuration file, or the configuration itself where it
/// begins with `{`. `guid` points to sixteen bytes, most significant first, or is null for
/// all zeros. Gives a handle, or 0 with the reason in the log.
///
/// # Safety
/// `config` must be null or a C string, `guid` null or point to sixteen bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VSCPOpen(config: *const c_char, guid: *const c_uchar) -> c_long {
    guarded(0, || {
        if config.is_null() {
            crate::driver::report("VSCPOpen was called without a configuration");
            return 0;
        }
        // SAFETY: not null, and the caller promises a C string.
        let config = unsafe { CStr::from_ptr(config) };
        let Ok(config) = config.to_str() else {
            crate::driver::report("the path of the configuration is not UTF-8");
            return 0;
        };
        let guid = if guid.is_null() {
            Guid::ZERO
        } else {
            // SAFETY: not null, and the caller promises sixteen bytes.
            Guid::from(unsafe { guid.cast::<[u8; 16]>().read_unaligned() })
        };
        match Driver::open(Source {
            config: config.to_owned(),
            guid,
        }) {
            Some(driver) => {
                stay_loaded();
                handles::insert(driver)
            }
            None => 0,
        }
    })
}

/// Closes a driver: it drains for three seconds at most and has returned all threads and sockets
/// within five. An unknown handle is no error.
#[unsafe(no_mangle)]
pub extern "C" fn VSCPClose(handle: c_long) -> c_int {
    guarded(code::INTERNAL, || {
        if let Some(driver) = handles::remove(handle) {
            driver.close();
        }
        code::SUCCESS
    })
}

/// Hands an event to the clients. It is copied; it never waits, so `timeout` has no meaning.
///
/// # Safety
/// `event` must be null or point to an event of the host's layout, whose `pdata` points to
/// `sizeData` bytes where that is 1 to 512.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VSCPWrite(
    handle: c_long,
    event: *const c_void,
    _timeout: c_ulong,
) -> c_int {
    guarded(code::INTERNAL, || {
        if event.is_null() {
            return code::PARAMETER;
        }
        let Some(driver) = handles::get(handle) else {
            return code::MEMORY;
        };
        // SAFETY: not null, and the caller promises an event of the host's layout.
        match unsafe { event::read(event, driver.layout(), now()) } {
            Some(event) => {
                driver.write(event);
                code::SUCCESS
            }
            None => code::PARAMETER,
        }
    })
}

/// Waits at most `timeout` milliseconds for the next event from a client; 0 polls. `pdata` is
/// null or a block from `malloc` that is the caller's from then on.
///
/// # Safety
/// `event` must be null or point to an event of the host's layout that may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VSCPRead(handle: c_long, event: *mut c_void, timeout: c_ulong) -> c_int {
    guarded(code::INTERNAL, || {
        if event.is_null() {
            return code::PARAMETER;
        }
        let Some(driver) = handles::get(handle) else {
            return code::MEMORY;
        };
        #[allow(clippy::useless_conversion)] // 32 bits wide on some machines
        match driver.read(Duration::from_millis(u64::from(timeout))) {
            // SAFETY: not null, and the caller promises room for an event of the host's layout.
            Ok(found) => match unsafe { event::write(event, driver.layout(), &found) } {
                Ok(()) => code::SUCCESS,
                Err(event::NoMemory) => code::MEMORY,
            },
            Err(ReadError::Timeout) => code::TIMEOUT,
            Err(ReadError::Closed) => code::NOT_OPEN,
        }
    })
}

/// `major << 24 | minor << 16 | release << 8 | build`.
#[unsafe(no_mangle)]
pub extern "C" fn VSCPGetVersion() -> c_ulong {
    guarded(0, || {
        let part = |text: &str| text.parse::<c_ulong>().unwrap_or(0) & 0xFF;
        part(env!("CARGO_PKG_VERSION_MAJOR")) << 24
            | part(env!("CARGO_PKG_VERSION_MINOR")) << 16
            | part(env!("CARGO_PKG_VERSION_PATCH")) << 8
    })
}

/// Who made this driver: a constant C string.
#[unsafe(no_mangle)]
pub extern "C" fn VSCPGetVendorString() -> *const c_char {
    c"vscpl2drv-link, https://www.vscp.org".as_ptr()
}

//! The program's process, on Windows.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};

/// What the library is called: as it is installed, and as a build leaves it.
pub(super) const LIBRARIES: &[&str] = &["vscpl2drv-link.dll", "vscpl2drv_link.dll"];
/// It has no place of its own there.
pub(super) const INSTALLED: Option<&str> = None;

/// Whether the end has been asked for.
static ENDING: Mutex<bool> = Mutex::new(false);
static ASKED: Condvar = Condvar::new();

/// Ends that the console asks for are taken from now on, for [`wait_for_end`] to find.
pub(crate) fn keep_end_signals() {
    // SAFETY: the function is one for this, and lives as long as the process.
    unsafe { SetConsoleCtrlHandler(Some(asked), 1) };
}

/// Called by the system on a thread of its own.
unsafe extern "system" fn asked(event: u32) -> windows_sys::core::BOOL {
    *ENDING.lock().unwrap_or_else(PoisonError::into_inner) = true;
    ASKED.notify_all();
    if !matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        // The window is closed, or the user leaves: the process ends as soon as this returns, or
        // after some seconds. It ends by itself.
        loop {
            std::thread::park();
        }
    }
    1
}

/// Waits for Ctrl-C, or for the window to be closed.
pub(crate) fn wait_for_end() {
    let asked = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = ASKED.wait_while(asked, |ending| !*ending);
    drop(asked.unwrap_or_else(PoisonError::into_inner));
}

/// Undoes [`keep_end_signals`]: another Ctrl-C ends the program at once.
pub(crate) fn let_end_signals_through() {
    // SAFETY: the function is the one that was given.
    unsafe { SetConsoleCtrlHandler(Some(asked), 0) };
}

/// Sockets have no limit here but memory.
pub(crate) fn raise_descriptors() {}

/// Nobody: a service would have to speak with the service manager, which this program does not.
pub(crate) struct Supervisor;

impl Supervisor {
    pub(crate) fn of_this_process() -> Self {
        Self
    }

    pub(crate) fn ready(&self) -> Result<(), Infallible> {
        Ok(())
    }

    pub(crate) fn stopping(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// As the command prompt and PowerShell take it for one word.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "\\/._-+:".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("\"{text}\""),
    }
}

//! Windows. There are no signals to block, no groups that files belong to, and nothing is told of
//! folders: files that change are found by looking at them.

mod access;
pub(super) mod files;
pub(super) mod journal;
pub(super) mod net;
pub(super) mod notices;

use std::ffi::{CStr, OsString};
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::HMODULE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
    RegisterEventSourceW, ReportEventW,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleFileNameW,
    GetModuleHandleExW,
};
use windows_sys::Win32::System::ProcessStatus::K32EnumProcessModules;
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RRF_SUBKEY_WOW6464KEY, RegGetValueW,
};
use windows_sys::Win32::System::SystemInformation::{
    ComputerNamePhysicalDnsHostname, GetComputerNameExW,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetCurrentThreadId};
use windows_sys::w;

use super::Priority;

/// Characters of a name that the system gives.
const NAME: usize = 256;
/// Characters of a path.
const PATH: usize = 1 << 15;

/// Runs `make`. Signals are the host's; here are none.
pub fn with_signals_blocked<R>(make: impl FnOnce() -> R) -> R {
    make()
}

/// Keeps this library in memory after the host has unloaded it: a thread of the host's may still
/// be within a call, or come too late.
pub fn stay_loaded() {
    let mut module: HMODULE = null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    // SAFETY: an address of this library, and room for the answer.
    unsafe {
        GetModuleHandleExW(
            flags,
            (stay_loaded as fn() as *const u16).cast(),
            &mut module,
        )
    };
}

/// The words of the command line, the program's name first.
#[must_use]
pub fn command_line() -> Vec<String> {
    std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Where the host's program can be read.
#[must_use]
pub fn program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// The files of the libraries that this process has loaded.
#[must_use]
pub fn libraries() -> Vec<PathBuf> {
    // Processes have tens of them, seldom hundreds.
    let mut modules: Vec<HMODULE> = vec![null_mut(); 1024];
    let room = size_of_val(&modules[..]) as u32;
    let mut needed = 0;
    // SAFETY: there is as much room as is said.
    let found = unsafe {
        K32EnumProcessModules(
            GetCurrentProcess(),
            modules.as_mut_ptr(),
            room,
            &raw mut needed,
        )
    };
    if found == 0 {
        return Vec::new();
    }
    modules.truncate(needed.min(room) as usize / size_of::<HMODULE>());
    let mut name = vec![0; PATH];
    let file = |module: HMODULE| {
        // SAFETY: there is as much room as is said; a module that has gone has no name.
        let length = unsafe { GetModuleFileNameW(module, name.as_mut_ptr(), PATH as u32) };
        PathBuf::from(OsString::from_wide(&name[..length as usize]))
    };
    modules.into_iter().map(file).collect()
}

/// Where a daemon has its file that was told nothing of it, best first.
#[must_use]
pub fn daemon_files(daemon: &str) -> Vec<PathBuf> {
    let names: &[&str] = match daemon {
        "vscpd" => &["vscpd.json", "vscpd.conf"],
        "mqttvscpd" => &["mqttvscpd.json"],
        _ => &[],
    };
    names.iter().map(|name| data().join(name)).collect()
}

/// Where the log is that nobody has said a place for.
#[must_use]
pub fn log_file() -> PathBuf {
    data().join("log").join("vscpl2drv-link.log")
}

/// What belongs to no user.
fn data() -> PathBuf {
    let programs = std::env::var_os("ProgramData").unwrap_or_else(|| "C:\\ProgramData".into());
    PathBuf::from(programs).join("vscp")
}

/// True where a name in an URL is that of one file, and of no other by another way of writing it:
/// a stream of a file (`a.txt:b`), its short name (`HIDDEN~1`), or one with dots or blanks behind
/// it, which the system takes off. Nor is that of a device a file's, whatever comes behind a dot.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    !name.contains([':', '~', '*', '?', '"', '<', '>', '|'])
        && !name.ends_with(['.', ' '])
        && !is_device(&stem.to_ascii_uppercase())
}

/// True for the name of a device, in capitals, which a file of that name is in each folder.
fn is_device(name: &str) -> bool {
    let port = name.strip_prefix("COM").or(name.strip_prefix("LPT"));
    match port.map(|number| number.chars().collect::<Vec<_>>()) {
        Some(number) => matches!(number[..], ['0'..='9' | '¹' | '²' | '³']),
        None => matches!(name, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"),
    }
}

/// The name of a file as the system compares names: without a difference of case.
#[must_use]
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().to_lowercase()
}

/// What tells this machine from all others, over restarts.
#[must_use]
pub fn machine_id() -> Option<String> {
    let mut text = [0_u16; NAME];
    let mut size = size_of_val(&text) as u32;
    // SAFETY: there is as much room as is said.
    let code = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            w!("SOFTWARE\\Microsoft\\Cryptography"),
            w!("MachineGuid"),
            RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY,
            null_mut(),
            text.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    Some(until_nul(&text)).filter(|id| code == 0 && !id.is_empty())
}

/// What this machine is called; nothing where it has no name.
#[must_use]
pub fn machine_name() -> Option<String> {
    let mut text = [0; NAME];
    let mut length = NAME as u32;
    // SAFETY: there is as much room as is said.
    let told = unsafe {
        GetComputerNameExW(
            ComputerNamePhysicalDnsHostname,
            text.as_mut_ptr(),
            &raw mut length,
        )
    };
    Some(until_nul(&text)).filter(|name| told != 0 && !name.is_empty())
}

/// The system's number of this thread.
#[must_use]
pub fn thread_id() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { GetCurrentThreadId() }.into()
}

/// Files have no groups here: there is none of any name.
#[must_use]
pub fn group(_name: &CStr) -> Option<u32> {
    None
}

/// Whether this process may give files to others is nothing that counts here.
#[must_use]
pub fn is_root() -> bool {
    false
}

/// Says something to the system's event log. Nothing is kept open in the process.
pub fn syslog(priority: Priority, ident: &str, message: &str) {
    const MOST: usize = 2000;
    let clean = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST);
    let message = wide(&without_inserts(&clean.collect::<String>()));
    let ident = wide(ident);
    let kind = match priority {
        Priority::Error => EVENTLOG_ERROR_TYPE,
        Priority::Warning => EVENTLOG_WARNING_TYPE,
        Priority::Info => EVENTLOG_INFORMATION_TYPE,
    };
    // SAFETY: both strings end with a zero and live until the calls return.
    unsafe {
        let log = RegisterEventSourceW(null(), ident.as_ptr());
        if log.is_null() {
            return;
        }
        let lines = [message.as_ptr()];
        ReportEventW(log, kind, 0, 1, null_mut(), 1, 0, lines.as_ptr(), null());
        DeregisterEventSource(log);
    }
}

/// A text in which the viewer finds nothing to put another text for, as it does for `%1`.
fn without_inserts(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if before == '%' && c.is_ascii_digit() {
            clean.push(' ');
        }
        clean.push(c);
        before = c;
    }
    clean
}

/// As the system wants texts.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn until_nul(text: &[u16]) -> String {
    let end = text.iter().position(|&c| c == 0).unwrap_or(text.len());
    String::from_utf16_lossy(&text[..end])
}

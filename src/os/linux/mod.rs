//! Linux.

pub(super) mod files;
pub(super) mod journal;
pub(super) mod net;
pub(super) mod notices;

use std::ffi::CStr;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::Priority;

/// Runs `make` with all signals blocked in this thread: threads that it starts block them for
/// ever. Signals are the host's.
pub fn with_signals_blocked<R>(make: impl FnOnce() -> R) -> R {
    struct Restore(libc::sigset_t);

    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask is the one that was in force before.
            unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
            };
        }
    }

    // SAFETY: both sets are made whole by the calls before they are used.
    let _restore = unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        Restore(before)
    };
    make()
}

/// Keeps this library in memory after the host has unloaded it. Here the linker has seen to that
/// (`build.rs`).
pub fn stay_loaded() {}

/// The words of the command line, the program's name first.
#[must_use]
pub fn command_line() -> Vec<String> {
    // A library is not told by all C runtimes.
    let words = fs::read("/proc/self/cmdline").unwrap_or_default();
    words
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Where the host's program can be read, though another file may have its name by now.
#[must_use]
pub fn program() -> Option<PathBuf> {
    Some(PathBuf::from("/proc/self/exe"))
}

/// The files of the libraries that this process has loaded, and of what else it has mapped.
#[must_use]
pub fn libraries() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    mapped(&maps)
}

/// The files in a memory map.
fn mapped(maps: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])))
        .collect();
    found.dedup();
    found
}

/// Where a daemon has its file that was told nothing of it, best first.
#[must_use]
pub fn daemon_files(daemon: &str) -> Vec<PathBuf> {
    let places: &[&str] = match daemon {
        "vscpd" => &["/etc/vscp/vscpd.json", "/etc/vscp/vscpd.conf"],
        "mqttvscpd" => &["/etc/vscp/mqttvscpd.json"],
        _ => &[],
    };
    places.iter().map(PathBuf::from).collect()
}

/// Where the log is that nobody has said a place for.
#[must_use]
pub fn log_file() -> PathBuf {
    PathBuf::from("/var/log/vscp/vscpl2drv-link.log")
}

/// True where a name in an URL is that of one file, and of no other by another way of writing it.
#[must_use]
pub fn is_plain_name(_name: &str) -> bool {
    true
}

/// The name of a file as the system compares names.
#[must_use]
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What tells this machine from all others, over restarts.
#[must_use]
pub fn machine_id() -> Option<String> {
    let text = fs::read_to_string("/etc/machine-id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// What this machine is called; nothing where it has no name.
#[must_use]
pub fn machine_name() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

/// The kernel's number of this thread.
#[must_use]
pub fn thread_id() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    u64::try_from(unsafe { libc::gettid() }).unwrap_or(0)
}

/// The number of a group, where there is one of that name.
#[must_use]
pub fn group(name: &CStr) -> Option<u32> {
    // Groups with many members have long lines.
    const MOST: usize = 1 << 20;
    let mut buffer = vec![0; 1 << 12];
    loop {
        // SAFETY: numbers, and pointers that may be null.
        let mut found: libc::group = unsafe { std::mem::zeroed() };
        let mut result = std::ptr::null_mut();
        // SAFETY: everything that is named lives until the call returns, and the length is right.
        let code = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut found,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut result,
            )
        };
        if code != libc::ERANGE || buffer.len() >= MOST {
            return (!result.is_null()).then_some(found.gr_gid);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

/// True where this process may give files to others.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Says something to the system's log, as far as there is one. Nothing is kept open in the
/// process, and nothing waits.
pub fn syslog(priority: Priority, ident: &str, message: &str) {
    const DAEMON: u8 = 3 << 3;
    const MOST: usize = 2000;
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    let clean: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect();
    let line = format!(
        "<{}>{ident}[{}]: {clean}",
        DAEMON | priority as u8,
        std::process::id()
    );
    // Where nobody listens there is nobody left to tell.
    let _ = socket.set_nonblocking(true);
    let _ = socket.send_to(line.as_bytes(), "/dev/log");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn blocked(signal: i32) -> bool {
        // SAFETY: the set is made whole by the call.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
            libc::sigismember(&raw const set, signal) == 1
        }
    }

    #[test]
    fn signals_are_blocked_inside_and_in_threads_and_not_after() {
        let before = blocked(libc::SIGTERM);
        with_signals_blocked(|| {
            assert!(blocked(libc::SIGTERM) && blocked(libc::SIGPIPE));
            assert!(
                std::thread::spawn(|| blocked(libc::SIGPIPE))
                    .join()
                    .unwrap()
            );
        });
        assert_eq!(blocked(libc::SIGTERM), before);
        let unwound = std::panic::catch_unwind(|| with_signals_blocked(|| panic!("of a test")));
        assert!(unwound.is_err());
        assert_eq!(blocked(libc::SIGTERM), before);
    }

    #[test]
    fn groups_have_numbers() {
        assert_eq!(group(c"root"), Some(0));
        assert_eq!(group(c"no such group"), None);
    }

    #[test]
    fn what_a_process_has_mapped() {
        let maps = "7f00-7f01 r-xp 0 08:01 1 /usr/lib/libvscphelper.so.15\n\
                    7f01-7f02 r--p 0 08:01 1 /usr/lib/libvscphelper.so.15\n\
                    7f05-7f06 rw-p 0 00:00 0 [heap]\n";
        assert_eq!(mapped(maps), [Path::new("/usr/lib/libvscphelper.so.15")]);
        assert!(program().is_some_and(|path| path.exists()));
    }
}

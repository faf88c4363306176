//! The program's process, on Linux.

use std::path::Path;

pub(crate) use crate::notify::Supervisor;

/// What the library is called, as a build leaves it.
pub(super) const LIBRARIES: &[&str] = &["libvscpl2drv_link.so"];
/// Where a package puts it.
pub(super) const INSTALLED: Option<&str> =
    Some("/var/lib/vscp/drivers/level2/libvscpl2drv-link.so");

/// Ctrl-C, a polite request, and a terminal that closes.
const END_SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Blocks the signals that end a program, in this thread and in all that it starts: for
/// [`wait_for_end`] to find.
pub(crate) fn keep_end_signals() {
    let set = end_signals();
    // SAFETY: the set is whole; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Waits for Ctrl-C, or for a polite request to end.
pub(crate) fn wait_for_end() {
    let set = end_signals();
    let mut signal = 0;
    // SAFETY: the set is whole, and there is room for the answer.
    unsafe { libc::sigwait(&raw const set, &raw mut signal) };
}

/// Undoes [`keep_end_signals`] for this thread: another one ends the program at once, in the
/// background of a script too, where a shell has them ignored.
pub(crate) fn let_end_signals_through() {
    for signal in END_SIGNALS {
        // SAFETY: nobody has a handler for it.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let set = end_signals();
    // SAFETY: the set is whole; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Lets this process have as many descriptors as it may. Where that is not allowed either, they
/// run out, which is an error of its own.
pub(crate) fn raise_descriptors() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: there is room for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the limit is one that the system has given.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

fn end_signals() -> libc::sigset_t {
    // SAFETY: a set is made whole by sigemptyset before anything else is done with it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in END_SIGNALS {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// As a shell takes it for one word.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

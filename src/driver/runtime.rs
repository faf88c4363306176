//! The tokio runtime of one driver.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tracing::Dispatch;

/// A runtime whose threads log to this driver's log, and take no signal of the host's: those are
/// for the host, and a client that vanishes must not raise SIGPIPE in it.
pub(super) fn build(dispatch: &Dispatch) -> io::Result<Runtime> {
    const MOST_WORKERS: usize = 4;
    /// Threads for password checks, of which a few at a time run, and for looks at certificates.
    const MOST_BLOCKING: usize = 8;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let dispatch = dispatch.clone();
    crate::os::with_signals_blocked(|| {
        Builder::new_multi_thread()
            .worker_threads(cores.min(MOST_WORKERS))
            .max_blocking_threads(MOST_BLOCKING)
            .thread_name("vscp-link")
            .on_thread_start(move || {
                // Until the thread ends: what undoes it is dropped with the thread's own values.
                std::mem::forget(tracing::dispatcher::set_default(&dispatch));
            })
            .enable_io()
            .enable_time()
            .build()
    })
}

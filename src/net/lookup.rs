//! Name lookup that cannot hold anybody up.
//!
//! The system's resolver may hang for minutes and cannot be told to stop. So each lookup runs on a
//! thread of its own, which touches nothing of the driver and which nobody waits for at the end.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::os::with_signals_blocked;

/// The addresses of a host name or a literal address, if they are known within `patience`.
///
/// # Errors
/// What the resolver says, that the name has no address, or that it took too long.
pub async fn addresses(host: &str, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = oneshot::channel();
    let name = host.to_owned();
    // Signals are the host's, and this may be one of its threads.
    with_signals_blocked(|| {
        std::thread::Builder::new()
            .name("vscp-link-dns".to_owned())
            .spawn(move || {
                let found = (name.as_str(), port)
                    .to_socket_addrs()
                    .map(Iterator::collect::<Vec<_>>);
                // Nobody may be waiting any more.
                let _ = answer.send(found);
            })
    })?;
    let failed = |kind, what: &str| io::Error::new(kind, format!("{what} {host:?}"));
    match tokio::time::timeout(patience, answered).await {
        Ok(Ok(Ok(found))) if !found.is_empty() => Ok(found),
        Ok(Ok(Ok(_))) => Err(failed(io::ErrorKind::NotFound, "no address for")),
        Ok(Ok(Err(error))) => Err(error),
        Ok(Err(_)) => Err(failed(io::ErrorKind::Other, "the lookup broke off for")),
        Err(_) => Err(failed(
            io::ErrorKind::TimedOut,
            "the lookup took too long for",
        )),
    }
}

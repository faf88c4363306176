//! A small MQTT 3.1.1 broker for trying things out, and `vscp-link broker`.
//!
//! | module | what |
//! |---|---|
//! | [`topic`] | names and filters |
//! | [`router`] | who gets a message |
//! | [`queue`] | where it waits |
//! | [`session`] | one connection |
//!
//! Sessions are always clean ones. QoS 2 is taken from publishers and given to nobody. There are
//! no users. Everything is bounded, see the constants.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::BrokerArgs;
use crate::failure::{Failure, complain};

use router::Router;

mod queue;
mod router;
mod session;
mod topic;

/// The pause after an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections at a time, those that have not said who they are included.
const CONNECTIONS_MAX: usize = 512;

/// A running broker. Dropping it stops it, without waiting.
pub(crate) struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the sessions share.
struct Shared {
    router: Mutex<Router>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    /// Never held over an `.await`: nothing in the router waits.
    fn router(&self) -> MutexGuard<'_, Router> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Listens on `address`, port 0 for any, and serves clients on `runtime`.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub(crate) fn start(runtime: &Handle, address: SocketAddr) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared {
            router: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared
            .tasks
            .spawn_on(accept(listener, Arc::clone(&shared)), runtime);
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Messages that somebody subscribed to and was too slow for.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.router().dropped()
    }

    /// Closes all connections, and waits until they are closed.
    pub(crate) async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            // The accept task is one of the tasks.
            Ok(_) if shared.tasks.len() > CONNECTIONS_MAX => {}
            Ok((stream, _)) => {
                shared
                    .tasks
                    .spawn(session::run(stream, Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// `vscp-link broker`.
pub(crate) fn run(args: &BrokerArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io("the broker cannot be started".into(), e))?;
    let broker = Broker::start(runtime.handle(), args.listen)
        .map_err(|e| Failure::Io(format!("{} cannot be listened on", args.listen), e))?;
    let address = broker.local_addr();
    if !address.ip().is_loopback() {
        complain("everyone who reaches this machine can use the broker");
    }
    writeln!(io::stdout().lock(), "listening on {address}").map_err(Failure::Output)?;
    if !args.until_eof {
        runtime.block_on(std::future::pending::<()>());
    }
    // Reading blocks, and cannot be given up: hence a thread that nobody waits for.
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        drop(ended);
    });
    runtime.block_on(async {
        let _ = end.await;
        match broker.dropped() {
            0 => {}
            dropped => complain(&format!("{dropped} messages were dropped for slow clients")),
        }
        broker.stop().await;
    });
    Ok(())
}

#[cfg(test)]
mod tests;

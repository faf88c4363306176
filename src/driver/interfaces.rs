//! The addresses that clients are served at, each of which can be opened and closed alone.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::model::{Interface, InterfaceHost, TlsServer};
use crate::error::with_causes;
use crate::link::{self, Context};
use crate::net::listener::{self, BindError};
use crate::net::tls::TlsError;
use crate::net::tls::server::Acceptor;
use crate::wire::link::reply::Capabilities;

/// An interface of the configuration, bound and not served yet.
pub(super) struct Bound {
    interface: Interface,
    listeners: Vec<TcpListener>,
}

/// An interface that is served.
struct Open {
    interface: Interface,
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    accepting: Vec<JoinHandle<()>>,
}

/// All of them.
pub(super) struct Interfaces {
    open: Vec<Open>,
    tls: Option<Arc<Acceptor>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Binds an interface; all its addresses or none.
pub(super) async fn bind(interface: &Interface) -> Result<Bound, BindError> {
    Ok(Bound {
        interface: interface.clone(),
        listeners: listener::bind(interface).await?,
    })
}

/// What the addresses stand for in WCYD.
pub(super) fn capabilities(addresses: &[SocketAddr], secure: bool) -> Capabilities {
    let mut all = Capabilities::TCPIP.with(Capabilities::TWO_CONNECTIONS);
    if secure {
        all = all.with(Capabilities::SSL);
    }
    // An unspecified IPv6 address listens for IPv4 as well.
    if addresses
        .iter()
        .any(|a| a.is_ipv4() || a.ip().is_unspecified())
    {
        all = all.with(Capabilities::IPV4);
    }
    if addresses.iter().any(SocketAddr::is_ipv6) {
        all = all.with(Capabilities::IPV6);
    }
    all
}

impl Bound {
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|l| l.local_addr().ok())
    }

    pub(super) fn is_secure(&self) -> bool {
        self.interface.secure
    }
}

impl Interfaces {
    /// None yet. All end with `stop`, and their tasks are among `tasks`.
    pub(super) fn new(
        tls: Option<Arc<Acceptor>>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            open: Vec::new(),
            tls,
            stop,
            tasks,
        }
    }

    /// Serves clients there.
    pub(super) fn serve(&mut self, bound: Bound, context: &Arc<Context>) {
        let addresses: Vec<SocketAddr> = bound.addresses().collect();
        let Bound {
            interface,
            listeners,
        } = bound;
        let tls = self.tls.as_ref().filter(|_| interface.secure);
        let how = if interface.secure { " with TLS" } else { "" };
        for address in &addresses {
            tracing::info!("listening on {address}{how}");
        }
        let stop = self.stop.child_token();
        let accept = |listener| {
            let (tasks, stop) = (self.tasks.clone(), stop.clone());
            let serve =
                link::server::serve(listener, tls.cloned(), Arc::clone(context), tasks, stop);
            self.tasks.spawn(serve)
        };
        let accepting = listeners.into_iter().map(accept).collect();
        self.open.push(Open {
            interface,
            addresses,
            stop,
            accepting,
        });
    }

    /// Where clients are served.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let open = self.open.iter();
        open.flat_map(|open| open.addresses.iter().copied())
            .collect()
    }

    /// What does the handshakes.
    pub(super) fn tls(&self) -> Option<Arc<Acceptor>> {
        self.tls.clone()
    }

    /// What does the handshakes of `tls`; where it is the `same` as before nothing is read.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn acceptor(
        &self,
        tls: Option<&TlsServer>,
        same: bool,
    ) -> Result<Option<Arc<Acceptor>>, TlsError> {
        if same { Ok(self.tls()) } else { acceptor(tls) }
    }

    /// Which of those that are not open cannot be opened. Of one whose port is open here nothing
    /// can be said, and a name takes its time to be looked up.
    pub(super) async fn taken(&self, wanted: &[Interface]) -> Vec<String> {
        let mut taken = Vec::new();
        for interface in wanted {
            let ours = |open: &Open| {
                open.interface == *interface
                    || open.addresses.iter().any(|at| at.port() == interface.port)
            };
            let named = matches!(interface.host, InterfaceHost::Name(_));
            if !named
                && !self.open.iter().any(ours)
                && let Err(error) = bind(interface).await
            {
                taken.push(with_causes(&error));
            }
        }
        taken
    }

    /// True where all of these are open, and no others.
    pub(super) fn are(&self, wanted: &[Interface]) -> bool {
        let open = |one: &Interface| self.open.iter().any(|open| open.interface == *one);
        wanted.iter().all(open) && self.open.len() <= wanted.len()
    }

    /// True where one of them speaks TLS.
    pub(super) fn any_secure(&self) -> bool {
        self.open.iter().any(|open| open.interface.secure)
    }

    /// Makes them those of `wanted`: closes what is not there or has to begin again, then opens
    /// what is missing. Sessions of the others go on.
    pub(super) async fn change(
        &mut self,
        wanted: &[Interface],
        again: impl Fn(&Interface) -> bool,
        tls: Option<Arc<Acceptor>>,
        context: &Arc<Context>,
    ) {
        let stays = |open: &Open| wanted.contains(&open.interface) && !again(&open.interface);
        let (stay, go): (Vec<Open>, Vec<Open>) =
            std::mem::take(&mut self.open).into_iter().partition(stays);
        self.open = stay;
        self.tls = tls;
        for open in go {
            tracing::info!(interface = %open.interface.text, "configuration changed: closing");
            open.stop.cancel();
            for accepting in open.accepting {
                // Then its port is free.
                let _ = accepting.await;
            }
        }
        for interface in wanted {
            if self.open.iter().any(|open| open.interface == *interface) {
                continue;
            }
            match bind(interface).await {
                Ok(bound) => self.serve(bound, context),
                Err(error) => tracing::error!("{}", with_causes(&error)),
            }
        }
    }
}

/// What does the handshakes.
///
/// # Errors
/// [`TlsError`].
pub(super) fn acceptor(tls: Option<&TlsServer>) -> Result<Option<Arc<Acceptor>>, TlsError> {
    let made = tls.cloned().map(Acceptor::new).transpose()?;
    Ok(made.map(Arc::new))
}

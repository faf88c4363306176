//! The addresses that clients are served at, each of which can be opened and closed alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::settings::cipher;
use crate::auth::Service;
use crate::config::model::{DriverConfig, Interface, InterfaceHost, TlsServer};
use crate::error::with_causes;
use crate::net::listener::{self, BindError};
use crate::net::tls::TlsError;
use crate::net::tls::server::Acceptor;
use crate::wire::discovery::Service as Found;
use crate::wire::link::reply::Capabilities;
use crate::{link, ws};

/// An interface of the configuration, and what clients find there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) service: Service,
    pub(super) interface: Interface,
}

/// All interfaces of a configuration, those of the link server first.
pub(super) fn places(config: &DriverConfig) -> Vec<Place> {
    let of = |service, interfaces: &[Interface]| {
        let place = |interface: &Interface| Place {
            service,
            interface: interface.clone(),
        };
        interfaces.iter().map(place).collect::<Vec<_>>()
    };
    let websocket = config.websocket.as_ref();
    let websocket = websocket.map_or(&[][..], |config| &config.interfaces);
    let mut all = of(Service::Link, &config.interfaces);
    all.extend(of(Service::Websocket, websocket));
    all
}

/// What serves clients.
pub(super) struct Servers {
    pub(super) link: Arc<link::Context>,
    pub(super) websocket: Arc<ws::Context>,
}

/// A place that is bound and not served yet.
pub(super) struct Bound {
    place: Place,
    listeners: Vec<TcpListener>,
}

/// A place that is served.
struct Open {
    place: Place,
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    accepting: Vec<JoinHandle<()>>,
}

/// All of them.
pub(super) struct Interfaces {
    open: Vec<Open>,
    tls: Option<Arc<Acceptor>>,
    /// Ends the looks at its files.
    looks: Option<DropGuard>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Binds a place; all its addresses or none.
pub(super) async fn bind(place: &Place) -> Result<Bound, BindError> {
    Ok(Bound {
        place: place.clone(),
        listeners: listener::bind(&place.interface).await?,
    })
}

/// What places stand for in WCYD.
fn capabilities<'a>(places: impl Iterator<Item = (&'a Place, Vec<SocketAddr>)>) -> Capabilities {
    let mut all = Capabilities::TCPIP.with(Capabilities::TWO_CONNECTIONS);
    let mut addresses = Vec::new();
    for (place, its) in places {
        if place.interface.secure {
            all = all.with(Capabilities::SSL);
        }
        if place.service == Service::Websocket {
            all = all.with(Capabilities::WEBSOCKET);
        }
        addresses.extend(its);
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

/// What one service can, wherever it is.
fn alone(service: Service, secure: bool, config: &DriverConfig) -> Capabilities {
    let it = match service {
        Service::Link => Capabilities::TCPIP
            .with(Capabilities::TWO_CONNECTIONS)
            .with(cipher(config)),
        Service::Websocket => Capabilities::WEBSOCKET,
    };
    match secure {
        true => it.with(Capabilities::SSL),
        false => it,
    }
}

/// It listens at this address too.
fn add(found: &mut Found, address: IpAddr) {
    let ipv4 = match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => {
            found.capabilities = found.capabilities.with(Capabilities::IPV6);
            // An unspecified IPv6 address listens for IPv4 as well.
            address.is_unspecified().then_some(Ipv4Addr::UNSPECIFIED)
        }
    };
    if let Some(address) = ipv4 {
        found.capabilities = found.capabilities.with(Capabilities::IPV4);
        found.at.push(address);
    }
}

impl Bound {
    fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.listeners.iter().filter_map(|l| l.local_addr().ok());
        addresses.collect()
    }

    /// What all of them stand for in WCYD.
    pub(super) fn capabilities(all: &[Self]) -> Capabilities {
        capabilities(all.iter().map(|one| (&one.place, one.addresses())))
    }
}

impl Interfaces {
    /// None yet. All end with `stop`, and their tasks are among `tasks`.
    pub(super) fn new(
        tls: Option<Arc<Acceptor>>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let mut none = Self {
            open: Vec::new(),
            tls: None,
            looks: None,
            stop,
            tasks,
        };
        none.secure(tls);
        none
    }

    /// From now on this does the handshakes, and its files are looked at.
    fn secure(&mut self, tls: Option<Arc<Acceptor>>) {
        let same = match (&self.tls, &tls) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        if same {
            return;
        }
        self.looks = tls.as_ref().map(|tls| {
            let stop = self.stop.child_token();
            self.tasks.spawn(Arc::clone(tls).renew(stop.clone()));
            stop.drop_guard()
        });
        self.tls = tls;
    }

    /// Serves clients there.
    pub(super) fn serve(&mut self, bound: Bound, servers: &Servers) {
        let addresses = bound.addresses();
        let Bound { place, listeners } = bound;
        let secure = place.interface.secure;
        let tls = self.tls.as_ref().filter(|_| secure);
        let what = match place.service {
            Service::Link => "",
            Service::Websocket => " for websockets",
        };
        let how = if secure { " with TLS" } else { "" };
        for address in &addresses {
            tracing::info!("listening on {address}{what}{how}");
        }
        let stop = self.stop.child_token();
        let accept = |listener| {
            let (tls, tasks, stop) = (tls.cloned(), self.tasks.clone(), stop.clone());
            match place.service {
                Service::Link => {
                    let context = Arc::clone(&servers.link);
                    let serve = link::server::serve(listener, tls, context, tasks, stop);
                    self.tasks.spawn(serve)
                }
                Service::Websocket => {
                    let context = Arc::clone(&servers.websocket);
                    let serve = ws::server::serve(listener, tls, context, tasks, stop);
                    self.tasks.spawn(serve)
                }
            }
        };
        let accepting = listeners.into_iter().map(accept).collect();
        self.open.push(Open {
            place,
            addresses,
            stop,
            accepting,
        });
    }

    /// What they stand for in WCYD.
    pub(super) fn capabilities(&self) -> Capabilities {
        capabilities(
            self.open
                .iter()
                .map(|one| (&one.place, one.addresses.clone())),
        )
    }

    /// What can be found there by IPv4, what is the link server's first.
    pub(super) fn services(&self, config: &DriverConfig) -> Vec<Found> {
        let mut found: Vec<((Service, bool, u16), Found)> = Vec::new();
        for open in &self.open {
            for address in &open.addresses {
                let (service, secure) = (open.place.service, open.place.interface.secure);
                let key = (service, secure, address.port());
                let at = found.iter().position(|(known, _)| *known == key);
                let at = at.unwrap_or_else(|| {
                    let new = Found {
                        capabilities: alone(service, secure, config),
                        port: address.port(),
                        at: Vec::new(),
                    };
                    found.push((key, new));
                    found.len() - 1
                });
                add(&mut found[at].1, address.ip());
            }
        }
        found.sort_by_key(|((service, ..), _)| *service == Service::Websocket);
        found.into_iter().map(|(_, found)| found).collect()
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
    pub(super) async fn taken(&self, wanted: &[Place]) -> Vec<String> {
        let mut taken = Vec::new();
        for place in wanted {
            let ours = |open: &Open| {
                open.place == *place
                    || open
                        .addresses
                        .iter()
                        .any(|at| at.port() == place.interface.port)
            };
            let named = matches!(place.interface.host, InterfaceHost::Name(_));
            if !named
                && !self.open.iter().any(ours)
                && let Err(error) = bind(place).await
            {
                taken.push(with_causes(&error));
            }
        }
        taken
    }

    /// True where all of these are open, and no others.
    pub(super) fn are(&self, wanted: &[Place]) -> bool {
        let open = |one: &Place| self.open.iter().any(|open| open.place == *one);
        wanted.iter().all(open) && self.open.len() <= wanted.len()
    }

    /// Makes them those of `wanted`: closes what is not there or has to begin again, then opens
    /// what is missing. Sessions of the others go on. Gives what could not be opened.
    pub(super) async fn change(
        &mut self,
        wanted: &[Place],
        again: impl Fn(&Place) -> bool,
        tls: Option<Arc<Acceptor>>,
        servers: &Servers,
    ) -> Vec<String> {
        let stays = |open: &Open| wanted.contains(&open.place) && !again(&open.place);
        let (stay, go): (Vec<Open>, Vec<Open>) =
            std::mem::take(&mut self.open).into_iter().partition(stays);
        self.open = stay;
        self.secure(tls);
        for open in go {
            tracing::info!(interface = %open.place.interface.text, "configuration changed: closing");
            open.stop.cancel();
            for accepting in open.accepting {
                // Then its port is free.
                let _ = accepting.await;
            }
        }
        let mut missing = Vec::new();
        for place in wanted {
            if self.open.iter().any(|open| open.place == *place) {
                continue;
            }
            match bind(place).await {
                Ok(bound) => self.serve(bound, servers),
                Err(error) => missing.push(with_causes(&error)),
            }
        }
        missing
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

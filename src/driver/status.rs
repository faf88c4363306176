//! Where it is shown how the driver is.

use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::model::{DriverConfig, InterfaceHost, StatusConfig};
use crate::error::with_causes;
use crate::net::listener::{self, BindError};
use crate::status::{Context, server};

/// Why it cannot be shown there.
#[derive(Debug, Error)]
#[error("the status cannot be shown")]
pub(super) struct StatusError(#[from] BindError);

/// What is running, if anything.
pub(super) struct Status {
    context: Arc<Context>,
    running: Option<Running>,
    serving: CancellationToken,
    tasks: TaskTracker,
}

struct Running {
    config: StatusConfig,
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    accepting: Vec<JoinHandle<()>>,
}

/// What is bound and not served yet.
pub(super) struct Bound {
    config: StatusConfig,
    listeners: Vec<TcpListener>,
}

/// The addresses, where some are wanted. With `any` what cannot be had is said, and no error.
pub(super) async fn bind(config: &DriverConfig, any: bool) -> Result<Option<Bound>, StatusError> {
    let Some(config) = config.status.clone() else {
        return Ok(None);
    };
    match listener::bind(&config.interface).await {
        Ok(listeners) => Ok(Some(Bound { config, listeners })),
        Err(error) if any => {
            tracing::error!("{}", with_causes(&StatusError(error)));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

impl Running {
    /// Closes it; gives what it was.
    async fn closed(self) -> StatusConfig {
        self.stop.cancel();
        for accepting in self.accepting {
            // Then its port is free.
            let _ = accepting.await;
        }
        self.config
    }
}

impl Status {
    /// Nothing yet. It ends with `serving`, and its tasks are among `tasks`.
    pub(super) fn new(
        context: Arc<Context>,
        serving: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            context,
            running: None,
            serving,
            tasks,
        }
    }

    /// Shows it there.
    pub(super) fn start(&mut self, bound: Bound) {
        let Bound { config, listeners } = bound;
        let addresses: Vec<_> = listeners.iter().flat_map(TcpListener::local_addr).collect();
        for address in &addresses {
            tracing::info!("the status is at http://{address}");
        }
        self.context.allow(config.allow.clone());
        let stop = self.serving.child_token();
        let accept = |listener| {
            let (context, tasks, stop) =
                (Arc::clone(&self.context), self.tasks.clone(), stop.clone());
            self.tasks
                .spawn(server::serve(listener, context, tasks, stop))
        };
        let accepting = listeners.into_iter().map(accept).collect();
        self.running = Some(Running {
            config,
            addresses,
            stop,
            accepting,
        });
    }

    /// Where it is shown.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let running = self.running.as_ref();
        running.map_or_else(Vec::new, |running| running.addresses.clone())
    }

    /// True where it is as the file says.
    pub(super) fn is(&self, config: &DriverConfig) -> bool {
        self.running.as_ref().map(|running| &running.config) == config.status.as_ref()
    }

    /// Whether it can be as the file says. Of a port that is open here nothing can be said, and a
    /// name takes its time to be looked up.
    pub(super) async fn check(&self, config: &DriverConfig) -> Result<(), StatusError> {
        let Some(wanted) = config.status.as_ref().map(|status| &status.interface) else {
            return Ok(());
        };
        let named = matches!(wanted.host, InterfaceHost::Name(_));
        if !named && !self.has(wanted.port) {
            listener::bind(wanted).await?;
        }
        Ok(())
    }

    fn has(&self, port: u16) -> bool {
        self.addresses()
            .iter()
            .any(|address| address.port() == port)
    }

    /// Makes it as the file says. Where the address is another, what is open is closed, and those
    /// who look at it have to look again.
    pub(super) async fn change(&mut self, config: &DriverConfig) -> Result<(), StatusError> {
        if self.is(config) {
            return Ok(());
        }
        let wanted = config.status.as_ref();
        if let (Some(running), Some(wanted)) = (&mut self.running, wanted)
            && running.config.interface == wanted.interface
        {
            self.context.allow(wanted.allow.clone());
            running.config = wanted.clone();
            return Ok(());
        }
        // Where it cannot be had nothing has happened, but for a port that is ours until then.
        let ours = wanted.is_some_and(|wanted| self.has(wanted.interface.port));
        let mut bound = None;
        if !ours {
            bound = bind(config, false).await?;
        }
        let mut before = None;
        if let Some(running) = self.running.take() {
            tracing::info!("configuration changed: the status is not shown any more where it was");
            before = Some(running.closed().await);
        }
        let made = match bound {
            None if ours => bind(config, false).await,
            bound => Ok(bound),
        };
        match made {
            Ok(Some(bound)) => self.start(bound),
            Ok(None) => {}
            Err(error) => {
                // As it was, where that can be had again.
                if let Some(config) = before
                    && let Ok(listeners) = listener::bind(&config.interface).await
                {
                    self.start(Bound { config, listeners });
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

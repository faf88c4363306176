//! How this driver is found: the port that questions come to, and who answers them.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::loaded::Loaded;
use crate::config::model::{DiscoveryConfig, DriverConfig};
use crate::discovery::{Answers, Port, PortError, serve};
use crate::error::with_causes;
use crate::hub::Hub;
use crate::wire::discovery::Service;
use crate::wire::link::reply::Capabilities;

/// What is running, if anything.
pub(super) struct Discovery {
    running: Option<Running>,
    serving: CancellationToken,
    tasks: TaskTracker,
}

struct Running {
    config: DiscoveryConfig,
    name: Option<String>,
    answers: Arc<Answers>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The port, where one is wanted. With `any` one that cannot be had is said, and no error.
pub(super) fn bind(config: &DriverConfig, any: bool) -> Result<Option<Port>, PortError> {
    let wanted = config.discovery.as_ref();
    let bound = wanted.map(|wanted| Port::bind(wanted.interface, wanted.group));
    match bound.transpose() {
        Err(error) if any => {
            tracing::error!("{}", with_causes(&error));
            Ok(None)
        }
        bound => bound,
    }
}

/// What the server is called where it announces itself.
fn name(loaded: &Loaded) -> Option<String> {
    loaded
        .config
        .discovery
        .as_ref()
        .filter(|one| one.announce)?;
    let entry = loaded.daemon.as_ref().map(|entry| entry.name.clone());
    let entry = entry.filter(|name| !name.is_empty());
    let name = entry.or_else(crate::os::machine_name);
    Some(name.unwrap_or_else(|| "vscpl2drv-link".to_owned()))
}

/// What is said of the services of a server that announces itself by this name, or does not.
fn announced(mut services: Vec<Service>, name: Option<&str>) -> Vec<Service> {
    if name.is_some() {
        for service in &mut services {
            service.capabilities = service.capabilities.with(Capabilities::ANNOUNCES);
        }
    }
    services
}

impl Discovery {
    /// Nothing yet. It ends with `serving`, and its task is among `tasks`.
    pub(super) fn new(serving: CancellationToken, tasks: TaskTracker) -> Self {
        Self {
            running: None,
            serving,
            tasks,
        }
    }

    /// Answers what comes to the port, and by channels and uplinks.
    pub(super) fn start(
        &mut self,
        port: Port,
        loaded: &Loaded,
        services: Vec<Service>,
        hub: &Arc<Hub>,
    ) {
        let Some(config) = loaded.config.discovery.clone() else {
            return;
        };
        let stop = self.serving.child_token();
        tracing::info!(
            "answering who asks for servers at udp://{}, group {}",
            port.address(),
            port.group().ip()
        );
        let allow = config.allow.clone();
        let name = name(loaded);
        let services = announced(services, name.as_deref());
        let answers = Answers::new(hub.guid(), allow, services, stop.clone());
        hub.set_responder(Some(Arc::clone(&answers) as _));
        let serve = serve(port, Arc::clone(&answers), name.clone(), stop.clone());
        self.running = Some(Running {
            config,
            name,
            answers,
            stop,
            task: self.tasks.spawn(serve),
        });
    }

    /// True where it is as the files say.
    pub(super) fn is(&self, loaded: &Loaded) -> bool {
        let running = self.running.as_ref().map(|one| (&one.config, &one.name));
        let name = name(loaded);
        running
            == loaded
                .config
                .discovery
                .as_ref()
                .map(|config| (config, &name))
    }

    /// Whether it can be as the files say.
    pub(super) fn check(&self, loaded: &Loaded) -> Result<(), PortError> {
        match self.is(loaded) {
            true => Ok(()),
            false => bind(&loaded.config, false).map(drop),
        }
    }

    /// Makes it as the files say: the port is opened anew where they say something else, and else
    /// nothing happens but that other services are told of. What cannot be stays as it was.
    pub(super) async fn change(
        &mut self,
        loaded: &Loaded,
        services: Vec<Service>,
        hub: &Arc<Hub>,
    ) -> Result<(), PortError> {
        if self.is(loaded) {
            if let Some(running) = &self.running {
                let services = announced(services, running.name.as_deref());
                running.answers.set_services(services);
            }
            return Ok(());
        }
        // The port may be the same: several have room at one.
        let port = bind(&loaded.config, false)?;
        if let Some(running) = self.running.take() {
            tracing::info!("configuration changed: nobody is answered at the port of before");
            hub.set_responder(None);
            running.stop.cancel();
            let _ = running.task.await;
        }
        if let Some(port) = port {
            self.start(port, loaded, services, hub);
        }
        Ok(())
    }
}

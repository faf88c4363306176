//! The links of a driver, started and stopped together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backlog::spool::LAST_WRITE;
use crate::config::model::{DriverConfig, LinkConfig};
use crate::event::text::TextForm;
use crate::hub::Hub;
use crate::remote::{Disk, Link, LinkError, Unsent};

/// What runs, in the order of the configuration.
#[derive(Default)]
pub(super) struct Links(Vec<Running>);

struct Running {
    link: Arc<Link>,
    form: TextForm,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn is(&self, config: &LinkConfig, form: TextForm) -> bool {
        self.link.config() == config && self.form == form
    }
}

/// What was made and does not run yet: until it does, nothing comes of it.
#[derive(Default)]
pub(super) struct Made(Vec<Idle>);

struct Idle {
    link: Arc<Link>,
    form: TextForm,
    stop: CancellationToken,
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Idle {
    fn make(
        config: &LinkConfig,
        form: TextForm,
        hub: &Arc<Hub>,
        disk: Option<&Disk>,
    ) -> Result<Self, LinkError> {
        let stop = CancellationToken::new();
        let (link, task) = Link::start(config, hub, form, disk, stop.clone())?;
        Ok(Self {
            link,
            form,
            stop,
            task: Box::pin(task),
        })
    }

    /// Goes on with what waited for the link of its name.
    fn run(self, waiting: &mut Vec<Unsent>) -> Running {
        let name = &self.link.config().name;
        for unsent in waiting.extract_if(.., |unsent| unsent.name == *name) {
            unsent
                .left
                .into_iter()
                .for_each(|left| self.link.put_back(left));
        }
        Running {
            link: self.link,
            form: self.form,
            stop: self.stop,
            task: tokio::spawn(self.task),
        }
    }
}

impl Made {
    /// Makes them all, or none.
    pub(super) fn make(config: &DriverConfig, hub: &Arc<Hub>) -> Result<Self, LinkError> {
        let mut made = Self::default();
        let disk = disk_of(config);
        for link in &config.links {
            match Idle::make(link, config.event_format, hub, disk.as_ref()) {
                Ok(idle) => made.0.push(idle),
                Err(error) => {
                    made.abandon();
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// None of them was there.
    pub(super) fn abandon(self) {
        for Idle { link, .. } in self.0 {
            link.begin_close();
            let _ = link.take_waiting(Instant::now() + LAST_WRITE);
        }
    }

    /// Starts them; each has what waited for it before.
    pub(super) fn run(self, mut waiting: Vec<Unsent>) -> Links {
        let links = self
            .0
            .into_iter()
            .map(|idle| idle.run(&mut waiting))
            .collect();
        waiting.into_iter().for_each(say_lost);
        Links(links)
    }
}

impl Links {
    /// Whether those that do not run yet can be made, as far as that can be seen.
    pub(super) fn check(&self, config: &DriverConfig) -> Result<(), LinkError> {
        let known = |link: &&LinkConfig| self.0.iter().any(|one| one.link.config() == *link);
        let mut new = config.links.iter().filter(|link| !known(link));
        new.try_for_each(Link::check)
    }

    /// Makes them those of `config`: only what has changed is stopped and started, and what waits
    /// for a link goes along to the one with its name.
    pub(super) async fn change(
        &mut self,
        config: &DriverConfig,
        hub: &Arc<Hub>,
    ) -> Result<(), LinkError> {
        let form = config.event_format;
        let wanted = |running: &Running| config.links.iter().any(|link| running.is(link, form));
        let (stay, go): (Vec<Running>, Vec<Running>) =
            std::mem::take(&mut self.0).into_iter().partition(wanted);
        self.0 = stay;
        for running in &go {
            tracing::info!(
                link = running.link.config().name,
                "configuration changed: the link is ended"
            );
        }
        let mut waiting = Self(go).stop(Instant::now()).await;
        let disk = disk_of(config);
        let mut failed = Ok(());
        for link in &config.links {
            if !self.0.iter().any(|running| running.is(link, form)) {
                match Idle::make(link, form, hub, disk.as_ref()) {
                    Ok(idle) => self.0.push(idle.run(&mut waiting)),
                    // The others go on all the same.
                    Err(error) => failed = failed.and(Err(error)),
                }
            }
        }
        waiting.into_iter().for_each(say_lost);
        let place = |running: &Running| {
            let mut all = config.links.iter();
            all.position(|link| running.is(link, form))
        };
        self.0.sort_by_key(place);
        failed
    }

    /// Lets the far ends take what waits, until the deadline, and ends. Gives what is left.
    pub(super) async fn stop(self, deadline: Instant) -> Vec<Unsent> {
        const GRACE: Duration = Duration::from_millis(300);
        for running in &self.0 {
            running.link.drain(deadline).await;
        }
        self.0.iter().for_each(|running| running.stop.cancel());
        let mut left = Vec::new();
        for running in self.0 {
            let _ = tokio::time::timeout(GRACE, running.task).await;
            running.link.begin_close();
            left.push(running.link);
        }
        // All disks at the same time.
        let deadline = Instant::now() + LAST_WRITE;
        left.iter()
            .map(|link| link.take_waiting(deadline))
            .collect()
    }
}

fn say_lost(
    Unsent {
        name,
        left,
        on_disk,
    }: Unsent,
) {
    let lost = left.map_or(0, |left| left.len());
    if lost > 0 {
        tracing::error!("{lost} events have no way out: there is no link {name} any more");
    }
    if on_disk > 0 {
        tracing::error!("{on_disk} events stay on the disk: there is no link {name} any more");
    }
}

/// Where links keep what waits, beside what waits for brokers.
fn disk_of(config: &DriverConfig) -> Option<Disk> {
    let path = config.outbox.path.as_ref()?;
    Some(Disk {
        folder: path.join("links"),
        sync: config.outbox.sync,
    })
}

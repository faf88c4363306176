//! The links of a driver, started and stopped together.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backlog::spool::{LAST_WRITE, SpoolError};
use crate::config::model::{DriverConfig, LinkConfig};
use crate::error::with_causes;
use crate::event::text::TextForm;
use crate::hub::Hub;
use crate::remote::{Disk, Link, LinkError, Unsent};

/// How long a task may take to end.
const GRACE: Duration = Duration::from_millis(300);

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

    /// The same link by another configuration: no event misses it meanwhile. Where that one cannot
    /// be had it goes on as it is.
    async fn change(&mut self, config: &LinkConfig, form: TextForm) -> Result<(), LinkError> {
        let stop = CancellationToken::new();
        let (link, task) = self.link.heir(config, form, stop.clone())?;
        tracing::info!(
            link = config.name,
            "configuration changed: the link begins anew"
        );
        self.stop.cancel();
        let _ = tokio::time::timeout(GRACE, &mut self.task).await;
        link.succeed(&self.link);
        *self = Self {
            link,
            form,
            stop,
            task: tokio::spawn(task),
        };
        Ok(())
    }

    /// What waits is kept there from now on. Where that cannot be it stays where it is.
    async fn move_to(
        &self,
        disk: Option<&Disk>,
        abort: &CancellationToken,
    ) -> Result<(), LinkError> {
        let link = &self.link;
        let folder = link.folder();
        let moved = tokio::select! {
            moved = link.move_to(disk) => moved,
            // A disk that takes its time does not hold up the end.
            () = abort.cancelled() => Err(SpoolError::Unwritten),
        };
        match (moved, folder) {
            (Err(error), Some(folder)) if link.is_at(disk) => {
                say_left(&link.config().name, &folder, &error);
                Ok(())
            }
            (moved, _) => Ok(moved?),
        }
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
    async fn run(self, waiting: &mut Vec<Unsent>, abort: &CancellationToken) -> Running {
        let name = &self.link.config().name;
        for mut unsent in waiting.extract_if(.., |unsent| unsent.name == *name) {
            let folder = unsent.folder.take();
            self.link.put_back(unsent);
            if let Some(folder) = folder {
                let taken = tokio::select! {
                    taken = self.link.take_over(&folder) => taken,
                    // A disk that takes its time does not hold up the end.
                    () = abort.cancelled() => Err(SpoolError::Unwritten),
                };
                if let Err(error) = taken {
                    say_left(name, &folder, &error);
                }
            }
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
    pub(super) async fn run(self, mut waiting: Vec<Unsent>, abort: &CancellationToken) -> Links {
        let mut links = Vec::new();
        for idle in self.0 {
            links.push(idle.run(&mut waiting, abort).await);
        }
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

    /// Whether what waits can be kept where that says, as far as that can be seen.
    pub(super) fn check_disk(&self, config: &DriverConfig) -> Result<(), LinkError> {
        let Some(disk) = disk_of(config) else {
            return Ok(());
        };
        let here = |link: &LinkConfig| {
            let mut all = self.0.iter().map(|running| &running.link);
            all.any(|one| one.config().name == link.name && one.is_at(Some(&disk)))
        };
        let mut new = config.links.iter().filter(|link| !here(link));
        new.try_for_each(|link| Link::check_disk(link, &disk))
    }

    /// True where what waits for each is kept where that says.
    pub(super) fn are_at(&self, config: &DriverConfig) -> bool {
        let disk = disk_of(config);
        let mut all = self.0.iter();
        all.all(|running| running.link.is_at(disk.as_ref()))
    }

    /// Makes them those of `config`: only what has changed is stopped and started, and what waits
    /// for a link goes along to the one with its name.
    pub(super) async fn change(
        &mut self,
        config: &DriverConfig,
        hub: &Arc<Hub>,
        abort: &CancellationToken,
    ) -> Result<(), LinkError> {
        let form = config.event_format;
        let named = |running: &Running, link: &LinkConfig| running.link.config().name == link.name;
        let wanted = |running: &Running| config.links.iter().any(|link| named(running, link));
        let (stay, go): (Vec<Running>, Vec<Running>) =
            std::mem::take(&mut self.0).into_iter().partition(wanted);
        self.0 = stay;
        for running in &go {
            tracing::info!(
                link = running.link.config().name,
                "configuration changed: the link is ended"
            );
        }
        let gone = Self(go).stop(Instant::now()).await;
        gone.into_iter().for_each(say_lost);
        let disk = disk_of(config);
        let mut failed = Ok(());
        for link in &config.links {
            let done = match self.0.iter_mut().find(|running| named(running, link)) {
                Some(running) => {
                    let same = running.is(link, form);
                    let done = match same {
                        true => Ok(()),
                        false => running.change(link, form).await,
                    };
                    done.and(running.move_to(disk.as_ref(), abort).await)
                }
                None => match Idle::make(link, form, hub, disk.as_ref()) {
                    Ok(idle) => {
                        self.0.push(idle.run(&mut Vec::new(), abort).await);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            // The others go on all the same.
            failed = failed.and(done);
        }
        let place = |running: &Running| {
            let mut all = config.links.iter();
            all.position(|link| named(running, link))
        };
        self.0.sort_by_key(place);
        failed
    }

    /// Lets the far ends take what waits, until the deadline, and ends. Gives what is left.
    pub(super) async fn stop(self, deadline: Instant) -> Vec<Unsent> {
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

/// What was in a folder is still there, and goes along all the same as far as that is known.
fn say_left(link: &str, folder: &Path, error: &SpoolError) {
    tracing::warn!(
        link,
        "events stay in {}: {}",
        folder.display(),
        with_causes(error)
    );
}

fn say_lost(unsent: Unsent) {
    let Unsent {
        name,
        left,
        on_disk,
        received,
        ..
    } = unsent;
    let lost = left.map_or(0, |left| left.len());
    if lost > 0 {
        tracing::error!("{lost} events have no way out: there is no link {name} any more");
    }
    if on_disk > 0 {
        tracing::error!("{on_disk} events stay on the disk: there is no link {name} any more");
    }
    say_lost_here(&name, received.len());
}

/// What had come from the far end and is handed on by nobody.
pub(super) fn say_lost_here(link: &str, lost: usize) {
    if lost > 0 {
        tracing::warn!(link, "{lost} events from the far end had found no room");
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

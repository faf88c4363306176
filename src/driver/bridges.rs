//! The bridges of a driver, one for each broker: started and stopped together.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::document::report;
use super::layout::Layout;
use super::loaded::Loaded;
use super::plan::{self, Plan};
use crate::backlog::spool::SpoolError;
use crate::config::model::{DaemonEntry, MqttConfig, OutboxConfig};
use crate::error::with_causes;
use crate::event::Guid;
use crate::hub::{Downlink, Hub, SharedEvent, Uplink, UplinkStatus};
use crate::mqtt::{BridgeNames, BridgeParts, Directions, Leftover, MqttBridge, MqttError};

/// What runs, in the order of the configuration.
pub(super) struct Bridges(Vec<Running>);

struct Running {
    config: MqttConfig,
    bridge: Arc<MqttBridge>,
    publishes: bool,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// One that does not work yet.
struct Made {
    running: Running,
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why brokers cannot be others.
pub(super) enum ChangeError {
    /// Nothing has happened.
    Refused(MqttError),
    /// Some have been stopped, and this is what waited for them.
    Stranded(MqttError, Vec<Leftover>),
}

/// What bridges are told about the driver.
#[derive(Clone, PartialEq)]
pub(super) struct About {
    guid: Guid,
    layout: Layout,
    daemon: Option<(Option<Guid>, String)>,
    outbox: OutboxConfig,
    publish: bool,
    subscribe: bool,
}

impl About {
    pub(super) fn new(guid: Guid, layout: Layout, loaded: &Loaded) -> Self {
        let about = |entry: &DaemonEntry| (entry.server_guid, entry.name.clone());
        Self {
            guid,
            layout,
            daemon: loaded.daemon.as_ref().map(about),
            outbox: loaded.config.outbox.clone(),
            publish: loaded.plan.publish.driver,
            subscribe: loaded.plan.subscribe.driver,
        }
    }

    fn directions(&self, mqtt: &MqttConfig) -> Directions {
        Directions {
            publish: self.publish && !mqtt.publish.is_empty(),
            subscribe: self.subscribe,
        }
    }

    fn folder(&self, mqtt: &MqttConfig) -> Option<PathBuf> {
        MqttBridge::folder_of(mqtt, &self.outbox, self.directions(mqtt))
    }

    fn parts(&self, mqtt: &MqttConfig, hub: &Arc<Hub>, stop: CancellationToken) -> BridgeParts {
        let (server_guid, driver_name) = self.daemon.clone().unwrap_or_default();
        BridgeParts {
            names: BridgeNames {
                driver_guid: self.guid,
                server_guid,
                driver_name,
                machine_id: crate::os::machine_id().unwrap_or_default(),
            },
            directions: self.directions(mqtt),
            outbox: self.outbox.clone(),
            generation: plan::generation(mqtt.generation, self.layout, self.daemon.is_some()),
            downlink: Arc::clone(hub) as Arc<dyn Downlink>,
            report: report(hub),
            stop,
        }
    }
}

/// True where events of one broker wait that is gone, and one has come that nothing waits for: it
/// is the same one, under another address.
fn one_has_moved(made: &[Made], waiting: &[Leftover]) -> bool {
    let mut come = made.iter().filter(|made| made.running.publishes);
    let mut gone = waiting
        .iter()
        .filter(|leftover| !leftover.events.is_empty() || leftover.on_disk > 0);
    let (Some(come), None) = (come.next(), come.next()) else {
        return false;
    };
    let (Some(gone), None) = (gone.next(), gone.next()) else {
        return false;
    };
    let moved = gone.place != come.running.bridge.place();
    if moved {
        tracing::info!(
            "what waits for the broker {} goes to {}",
            gone.place,
            come.running.bridge.place()
        );
    }
    moved
}

impl Bridges {
    /// Starts a bridge for each broker of the plan, and gives each what waited for its broker.
    pub(super) async fn start(
        plan: &Plan,
        about: &About,
        hub: &Arc<Hub>,
        waiting: Vec<Leftover>,
        abort: &CancellationToken,
    ) -> Result<Self, MqttError> {
        let mut bridges = Self(Vec::new());
        let made = make_all(&plan.mqtt, about, hub)?;
        bridges.run(made, plan, hub, waiting, abort).await;
        bridges.uplinks().for_each(|uplink| hub.add_uplink(uplink));
        let on_disk = |running: &Running| running.bridge.folder().is_some();
        if about.outbox.path.is_some() && !bridges.0.iter().any(on_disk) {
            tracing::warn!("outbox.path: nothing is published, so nothing is kept there");
        }
        Ok(bridges)
    }

    /// Whether those of the plan that do not run yet can be made, as far as that can be seen;
    /// with `all` those that run as well.
    ///
    /// # Errors
    /// [`MqttError`] names the key of what cannot be used.
    pub(super) fn check(
        &self,
        plan: &Plan,
        about: &About,
        all: bool,
        hub: &Arc<Hub>,
    ) -> Result<(), MqttError> {
        let known = |mqtt: &&MqttConfig| self.0.iter().any(|running| running.config == **mqtt);
        let mut new = plan.mqtt.iter().filter(|mqtt| all || !known(mqtt));
        new.try_for_each(|mqtt| {
            MqttBridge::check(mqtt, about.parts(mqtt, hub, CancellationToken::new()))
        })
    }

    /// Lets those that were made work, and gives each what waited for its broker.
    async fn run(
        &mut self,
        made: Vec<Made>,
        plan: &Plan,
        hub: &Hub,
        mut waiting: Vec<Leftover>,
        abort: &CancellationToken,
    ) {
        let moved = one_has_moved(&made, &waiting);
        for Made { running, task } in made {
            let its = |leftover: &mut Leftover| {
                (leftover.place == running.bridge.place() || moved) && running.publishes
            };
            for leftover in waiting.extract_if(.., its) {
                running.bridge.put_back(&leftover.events);
                hand_over(&leftover, &running.bridge, abort).await;
            }
            if !running.publishes {
                hub.add_source(Arc::clone(&running.bridge) as _);
            }
            self.0.push(Running {
                task: Some(tokio::spawn(task)),
                ..running
            });
        }
        waiting.iter().for_each(say_lost);
        let place = |running: &Running| plan.mqtt.iter().position(|one| *one == running.config);
        self.0.sort_by_key(place);
    }

    /// Makes them those of `plan`. Only what has changed is stopped and started; meanwhile SEND
    /// is told that there is no room. `all` stops all of them.
    ///
    /// # Errors
    /// [`ChangeError`] where one cannot be made.
    pub(super) async fn change(
        &mut self,
        plan: &Plan,
        about: &About,
        all: bool,
        hub: &Arc<Hub>,
        host: Option<Arc<dyn Uplink>>,
        abort: &CancellationToken,
    ) -> Result<(), ChangeError> {
        const DRAIN: Duration = Duration::from_millis(200);
        let stays = |running: &Running| !all && plan.mqtt.contains(&running.config);
        let known = |mqtt: &MqttConfig| {
            let mut running = self.0.iter();
            running.any(|running| stays(running) && running.config == *mqtt)
        };
        let new: Vec<MqttConfig> = plan.mqtt.iter().filter(|m| !known(m)).cloned().collect();
        if new.is_empty() && self.0.iter().all(stays) {
            return Ok(());
        }
        // One whose folder nobody here has is made while the others still work: where it cannot
        // be, nothing has happened.
        let has = |mqtt: &MqttConfig| {
            let folder = about.folder(mqtt);
            let mut go = self.0.iter().filter(|running| !stays(running));
            folder.is_some_and(|folder| go.any(|go| go.bridge.folder() == Some(&folder)))
        };
        let (later, now): (Vec<_>, Vec<_>) = new.into_iter().partition(has);
        let mut made = make_all(&now, about, hub).map_err(ChangeError::Refused)?;
        let (stay, go): (Vec<Running>, Vec<Running>) =
            std::mem::take(&mut self.0).into_iter().partition(stays);
        self.0 = stay;
        let mut uplinks: Vec<Arc<dyn Uplink>> = host.iter().cloned().collect();
        uplinks.extend(self.uplinks());
        uplinks.push(Arc::new(Meanwhile));
        hub.set_uplinks(uplinks);
        let gone = Self(go);
        for running in &gone.0 {
            tracing::info!(
                "configuration changed: the broker {}",
                running.bridge.place()
            );
            hub.remove_source(&(Arc::clone(&running.bridge) as _));
        }
        let waiting = gone.stop(DRAIN).await;
        match make_all(&later, about, hub) {
            Ok(more) => made.extend(more),
            // Until all starts anew there is no room.
            Err(error) => return Err(ChangeError::Stranded(error, waiting)),
        }
        self.run(made, plan, hub, waiting, abort).await;
        let mut uplinks: Vec<Arc<dyn Uplink>> = host.into_iter().collect();
        uplinks.extend(self.uplinks());
        hub.set_uplinks(uplinks);
        Ok(())
    }

    fn uplinks(&self) -> impl Iterator<Item = Arc<dyn Uplink>> {
        let publishing = self.0.iter().filter(|running| running.publishes);
        publishing.map(|running| Arc::clone(&running.bridge) as Arc<dyn Uplink>)
    }

    /// Lets the brokers take what waits, for `drain` at most, and ends. Gives what is left.
    pub(super) async fn stop(mut self, drain: Duration) -> Vec<Leftover> {
        const GRACE: Duration = Duration::from_millis(500);
        // Of an event in flight nobody knows whether the broker has it, and it would go there once
        // more. So there are few at a time, and the last part of it is for their acknowledgements.
        const FEW: usize = 100;
        const LANDING: Duration = Duration::from_millis(500);
        let deadline = Instant::now() + drain.max(LANDING);
        let last = deadline - LANDING;
        let narrow = |window| self.0.iter().for_each(|one| one.bridge.narrow(window));
        narrow(FEW);
        for running in &self.0 {
            running.bridge.drain(last).await;
        }
        narrow(0);
        for running in &self.0 {
            running.bridge.land(deadline).await;
        }
        self.0.iter().for_each(|running| running.stop.cancel());
        let end = tokio::time::Instant::now() + GRACE;
        for task in self
            .0
            .iter_mut()
            .filter_map(|running| running.task.as_mut())
        {
            let _ = tokio::time::timeout_at(end, task).await;
        }
        // All disks at the same time.
        self.0
            .iter()
            .for_each(|running| running.bridge.begin_close());
        self.0
            .iter()
            .map(|running| running.bridge.take_waiting())
            .collect()
    }
}

/// Makes a bridge for each, or none.
fn make_all(all: &[MqttConfig], about: &About, hub: &Arc<Hub>) -> Result<Vec<Made>, MqttError> {
    let make = |mqtt: &MqttConfig| {
        let stop = CancellationToken::new();
        let parts = about.parts(mqtt, hub, stop.clone());
        let publishes = parts.directions.publish;
        let (bridge, task) = MqttBridge::start(mqtt, parts)?;
        let running = Running {
            config: mqtt.clone(),
            bridge,
            publishes,
            stop,
            task: None,
        };
        Ok(Made {
            running,
            task: Box::pin(task),
        })
    };
    all.iter().map(make).collect()
}

/// In the place of bridges that are being changed: has no room.
#[derive(Debug)]
struct Meanwhile;

impl Uplink for Meanwhile {
    fn name(&self) -> &str {
        "a broker that is being changed"
    }

    fn reserve(&self, _: &SharedEvent) -> bool {
        false
    }

    fn commit(&self, _: Arc<SharedEvent>) {}

    fn release(&self, _: &SharedEvent) {}

    fn status(&self) -> UplinkStatus {
        UplinkStatus::default()
    }
}

/// What waits in another folder than the bridge's own.
async fn hand_over(leftover: &Leftover, bridge: &MqttBridge, abort: &CancellationToken) {
    let Some(folder) = leftover.folder.as_deref().filter(|_| leftover.on_disk > 0) else {
        return;
    };
    if bridge.folder() == Some(folder) {
        return;
    }
    let (uplink, waiting) = (bridge.place(), leftover.on_disk);
    let taken = tokio::select! {
        taken = bridge.take_over(folder) => taken,
        // A disk that takes its time does not hold up the end.
        () = abort.cancelled() => Err(SpoolError::Unwritten),
    };
    let folder = folder.display();
    match taken {
        Ok(events) => tracing::info!(uplink, events, "what waited in {folder} goes along"),
        Err(error) => tracing::warn!(
            uplink,
            "{waiting} events stay in {folder}: {}",
            with_causes(&error)
        ),
    }
}

fn say_lost(leftover: &Leftover) {
    let Leftover {
        place,
        events,
        on_disk,
        folder,
    } = leftover;
    let lost = events.len();
    if lost > 0 {
        tracing::error!("{lost} events have no way out: there is no broker {place} any more");
    }
    if *on_disk > 0 {
        let folder = folder.as_deref().unwrap_or_else(|| Path::new("")).display();
        tracing::error!("{on_disk} events stay in {folder}: there is no broker {place} any more");
    }
}

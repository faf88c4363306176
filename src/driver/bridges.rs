//! The bridges of a driver, one for each broker: started and stopped together.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::layout::Layout;
use super::plan::{self, Plan};
use crate::config::model::{DaemonEntry, OutboxConfig};
use crate::event::Guid;
use crate::hub::{Downlink, Hub};
use crate::mqtt::{BridgeNames, BridgeParts, Directions, Leftover, MqttBridge, MqttError, Report};

/// What runs.
pub(super) struct Bridges {
    list: Vec<Arc<MqttBridge>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What bridges are told about the driver.
pub(super) struct About<'a> {
    pub(super) guid: Guid,
    pub(super) layout: Layout,
    pub(super) daemon: Option<&'a DaemonEntry>,
    pub(super) outbox: &'a OutboxConfig,
}

impl Bridges {
    /// Starts a bridge for each broker of the plan, and gives each what waited for its broker.
    pub(super) fn start(
        plan: &Plan,
        about: &About<'_>,
        hub: &Arc<Hub>,
        mut waiting: Vec<Leftover>,
    ) -> Result<Self, MqttError> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let names = BridgeNames {
            driver_guid: about.guid,
            server_guid: about.daemon.and_then(|entry| entry.server_guid),
            driver_name: about
                .daemon
                .map(|entry| entry.name.clone())
                .unwrap_or_default(),
            machine_id: crate::os::machine_id().unwrap_or_default(),
        };
        let report = report(hub);
        let mut made = Vec::new();
        for mqtt in &plan.mqtt {
            let parts = BridgeParts {
                names: names.clone(),
                directions: Directions {
                    publish: plan.publish.driver && !mqtt.publish.is_empty(),
                    subscribe: plan.subscribe.driver,
                },
                outbox: about.outbox.clone(),
                generation: plan::generation(mqtt.generation, about.layout, about.daemon.is_some()),
                downlink: Arc::clone(hub) as Arc<dyn Downlink>,
                report: Arc::clone(&report),
                stop: stop.clone(),
            };
            let publishes = parts.directions.publish;
            let (bridge, task) = MqttBridge::start(mqtt, parts)?;
            made.push((bridge, task, publishes));
        }
        let mut list = Vec::new();
        // All or none.
        for (bridge, task, publishes) in made {
            waiting.retain(|leftover| {
                let its = leftover.place == bridge.place() && publishes;
                if its {
                    bridge.put_back(&leftover.events);
                }
                !its
            });
            tasks.spawn(task);
            if publishes {
                hub.add_uplink(Arc::clone(&bridge) as _);
            }
            list.push(bridge);
        }
        for Leftover {
            place,
            events,
            on_disk,
        } in waiting
        {
            let lost = events.len();
            if lost > 0 {
                tracing::error!(
                    "{lost} events have no way out: there is no broker {place} any more"
                );
            }
            if on_disk > 0 {
                tracing::error!(
                    "{on_disk} events stay on disk: there is no broker {place} any more"
                );
            }
        }
        if about.outbox.path.is_some() && !list.iter().any(|bridge| bridge.is_on_disk()) {
            tracing::warn!("outbox.path: nothing is published, so nothing is kept there");
        }
        Ok(Self { list, stop, tasks })
    }

    /// Lets the brokers take what waits, for `drain` at most, and ends. Gives what is left.
    pub(super) async fn stop(&self, drain: Duration) -> Vec<Leftover> {
        const GRACE: Duration = Duration::from_millis(500);
        let deadline = Instant::now() + drain;
        for bridge in &self.list {
            bridge.drain(deadline).await;
        }
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(GRACE, self.tasks.wait()).await;
        self.list
            .iter()
            .map(|bridge| bridge.take_waiting())
            .collect()
    }
}

/// What a status document says of the driver.
fn report(hub: &Arc<Hub>) -> Report {
    let hub = Arc::downgrade(hub);
    Arc::new(move || {
        let mut members = Map::new();
        let Some(hub) = hub.upgrade() else {
            return members;
        };
        let totals = hub.totals();
        members.insert("clients".to_owned(), hub.channels().len().into());
        members.insert(
            "events".to_owned(),
            json!({
                "submitted": totals.submitted.load(Relaxed),
                "refused": totals.refused.load(Relaxed),
                "filtered": totals.filtered.load(Relaxed),
                "delivered": totals.delivered.load(Relaxed),
                "dropped": totals.dropped.load(Relaxed),
                "malformed": totals.malformed.load(Relaxed),
            }),
        );
        members
    })
}

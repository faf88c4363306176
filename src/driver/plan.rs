//! Who carries events in which direction, from what the configuration says.

use thiserror::Error;

use super::layout::Layout;
use crate::config::model::{BridgeConfig, DaemonEntry, GenerationChoice, MqttConfig, Owner};
use crate::event::json::Generation;

/// The outcome: each direction by the driver's own client, by the host, by both or by nobody.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// The driver's own clients, where they have something to do.
    pub(super) mqtt: Vec<MqttConfig>,
    pub(super) publish: Carriers,
    pub(super) subscribe: Carriers,
}

/// Who carries one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carriers {
    pub(super) driver: bool,
    pub(super) host: bool,
}

/// A direction that was given to a client that has nothing to go by.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum PlanError {
    #[error("bridge.{0} asks for the driver's own MQTT client, but no mqtt section was found")]
    NoSection(&'static str),
    #[error("bridge.{0} asks for the driver's own MQTT client, but {1} has no topic under \"{0}\"")]
    NoTopic(&'static str, String),
}

impl Plan {
    /// The driver's own sections go before the daemon's.
    pub(super) fn new(
        bridge: &BridgeConfig,
        own: &[MqttConfig],
        daemon: Option<&DaemonEntry>,
    ) -> Result<Self, PlanError> {
        let daemons = daemon.and_then(|entry| entry.mqtt.as_ref());
        let mqtt = match own {
            [] => daemons.map(std::slice::from_ref).unwrap_or_default(),
            own => own,
        };
        let publish = carriers(bridge.publish, "publish", mqtt, |mqtt| mqtt.publish.len())?;
        let subscribe = carriers(bridge.subscribe, "subscribe", mqtt, |mqtt| {
            mqtt.subscribe.len()
        })?;
        let needed = |mqtt: &&MqttConfig| {
            publish.driver && !mqtt.publish.is_empty()
                || subscribe.driver && !mqtt.subscribe.is_empty()
        };
        Ok(Self {
            mqtt: mqtt.iter().filter(needed).cloned().collect(),
            publish,
            subscribe,
        })
    }
}

fn carriers(
    owner: Owner,
    key: &'static str,
    mqtt: &[MqttConfig],
    topics: impl Fn(&MqttConfig) -> usize,
) -> Result<Carriers, PlanError> {
    let possible = match mqtt {
        [] => Err(PlanError::NoSection(key)),
        [first, ..] if mqtt.iter().all(|mqtt| topics(mqtt) == 0) => {
            Err(PlanError::NoTopic(key, first.place.clone()))
        }
        _ => Ok(()),
    };
    let (driver, host) = match owner {
        Owner::Auto => (possible.is_ok(), possible.is_err()),
        Owner::Driver => (possible.map(|()| true)?, false),
        Owner::Host => (false, true),
        Owner::Both => (possible.map(|()| true)?, true),
        Owner::Off => (false, false),
    };
    Ok(Carriers { driver, host })
}

/// The names and times that payloads are written with.
pub(super) fn generation(choice: GenerationChoice, layout: Layout, daemon: bool) -> Generation {
    match choice {
        GenerationChoice::Classic => Generation::Classic,
        GenerationChoice::V2 => Generation::V2,
        GenerationChoice::Both => Generation::Both,
        GenerationChoice::Auto if daemon && layout == Layout::Classic => Generation::Classic,
        GenerationChoice::Auto => Generation::V2,
    }
}

//! The bridge to an MQTT broker.
//!
//! | module | what |
//! |---|---|
//! | `bridge` | the uplink as the hub sees it: room, counters, state |
//! | `worker` | the task that connects, publishes and delivers |
//! | `outbox` | events on their way; pure |
//! | `client` | one connection; the only place that names rumqttc |
//! | `plan` | the section, its templates rendered: who connects where, with what |
//! | `backoff` | pauses between attempts; pure |

mod backoff;
mod bridge;
mod client;
mod outbox;
mod plan;
mod worker;

pub use bridge::MqttBridge;
pub use plan::{BridgeNames, Directions, MqttError};

//! The bridge to an MQTT broker.
//!
//! | module | what |
//! |---|---|
//! | `bridge` | the uplink as the hub sees it: room, counters, state |
//! | `worker` | the task that connects, publishes and delivers |
//! | `outbox` | events on their way; pure |
//! | `session` | packet identifiers, and how far each message has got; pure |
//! | `connection` | a socket, with TLS or without, and packets on it |
//! | `codec` | packets and bytes; the only place that names rumqttc |
//! | `plan` | the section, its templates rendered: who connects where, with what |
//! | `pulse` | whether the broker is still there |
//! | `status` | the document about the driver |
//! | `inquiry` | what a broker keeps, for somebody who asks once |

mod bridge;
mod codec;
mod connection;
mod inquiry;
mod outbox;
mod plan;
mod pulse;
mod session;
mod status;
mod worker;

pub use bridge::{BridgeParts, Leftover, MqttBridge};
pub use inquiry::{Inquiry, InquiryError};
pub use plan::{BridgeNames, Directions, MqttError};
pub use status::Report;

//! The router between client channels and uplinks.

mod shared;
mod uplink;

pub use shared::SharedEvent;
pub use uplink::{Uplink, UplinkStatus};

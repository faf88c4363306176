//! What a configuration says about being watched.

use super::Interface;
use crate::auth::Remotes;

/// The port of the status pages where none is written.
pub const STATUS_PORT: u16 = 9599;

/// `status`, where it has an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// Where it is served (`interface`), in clear text; port 0 lets the system choose.
    pub interface: Interface,
    /// Who may look (`allow`); empty where only this machine can.
    pub allow: Remotes,
}

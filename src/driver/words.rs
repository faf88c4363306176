//! What a driver says when it starts.

use super::interfaces::places;
use super::layout::Layout;
use super::loaded::Loaded;
use super::plan;
use crate::config::model::{Interface, InterfaceHost};
use crate::event::Guid;

/// One line about what was started, and warnings about what is open to all.
pub(super) fn tell(loaded: &Loaded, layout: Layout, guid: Guid) {
    let Loaded {
        config,
        plan,
        users,
        ..
    } = loaded;
    let carriers = |carriers: plan::Carriers| match (carriers.driver, carriers.host) {
        (true, true) => "driver and host",
        (true, false) => "driver",
        (false, true) => "host",
        (false, false) => "nobody",
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %guid,
        abi = ?layout,
        publish = carriers(plan.publish),
        subscribe = carriers(plan.subscribe),
        users = users.len(),
        "starting"
    );
    if users.is_empty() {
        tracing::warn!("path-users: there are no users, so nobody can log in");
    }
    if config.cipher.is_some() && !config.encrypted_only {
        tracing::warn!(
            "encryption: clients may use BINARY, and clear text as well; \
             require-encryption: true forbids that"
        );
    }
    let open = |address: &&Interface| {
        !matches!(&address.host, InterfaceHost::Localhost)
            && !matches!(&address.host, InterfaceHost::Address(a) if a.is_loopback())
    };
    let places = places(config);
    let open = places
        .iter()
        .map(|place| &place.interface)
        .filter(|one| !one.secure && !config.encrypted_only)
        .filter(open);
    for interface in open {
        tracing::warn!(
            interface = %interface.text,
            "passwords and events cross the network in clear text"
        );
    }
}

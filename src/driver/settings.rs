//! What the files say, as the parts of a running driver want it.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::interfaces::Servers;
use super::loaded::Loaded;
use crate::config::model::DriverConfig;
use crate::event::FilterPair;
use crate::event::json::Generation;
use crate::gate::{Gate, Rules};
use crate::hub::Routing;
use crate::link::standing::{Place, Standings};
use crate::link::{Context, Control, Settings};
use crate::wire::binary::Strength;
use crate::wire::link::Terms;
use crate::wire::link::reply::Capabilities;
use crate::ws;

/// What the hub goes by.
pub(super) fn routing(config: &DriverConfig) -> Routing {
    Routing {
        max_out_queue: config.limits.max_out_queue,
        max_websocket_queue: config
            .websocket
            .as_ref()
            .map_or(config.limits.max_out_queue, |websocket| websocket.max_queue),
        receive_sent_events: config.receive_sent_events,
        interconnect: config.interconnect,
        filter_in: config.filter_in,
        filter_out: config.filter_out,
    }
}

/// What serves clients; `addresses` is what WCYD tells of the places.
pub(super) fn servers(
    gate: Arc<Gate>,
    control: mpsc::Sender<Control>,
    loaded: &Loaded,
    addresses: Capabilities,
    standings: Arc<Standings>,
) -> Servers {
    let settings = settings(loaded, addresses);
    Servers {
        link: Context::new(Arc::clone(&gate), control, settings, standings),
        websocket: ws::Context::new(gate, websocket_settings(loaded)),
    }
}

/// Where what waits for links of other drivers is kept.
pub(super) fn standing_place(config: &DriverConfig) -> Place {
    let folder = config.outbox.path.as_ref();
    Place {
        folder: folder.map(|path| path.join("links-here")),
        sync: config.outbox.sync,
    }
}

/// Who may come in.
pub(super) fn rules(loaded: &Loaded) -> Rules {
    let config = &loaded.config;
    Rules {
        limits: config.limits.clone(),
        users: Arc::new(loaded.users.clone()),
        remotes: config.remotes.clone(),
        upgrade: config.path_users.clone().filter(|_| config.write),
    }
}

/// What sessions of the link server go by.
pub(super) fn settings(loaded: &Loaded, addresses: Capabilities) -> Settings {
    let config = &loaded.config;
    let announces = config.discovery.as_ref().is_some_and(|one| one.announce);
    let announces = announces.then_some(Capabilities::ANNOUNCES);
    Settings {
        event_format: config.event_format,
        capabilities: addresses
            .with(cipher(config))
            .with(announces.unwrap_or_default()),
        terms: Arc::new(Terms {
            variables: config.variables.clone(),
            cipher: config.cipher.clone(),
            encrypted_only: config.encrypted_only,
        }),
    }
}

/// The cipher of the binary mode, in WCYD.
pub(super) fn cipher(config: &DriverConfig) -> Capabilities {
    let strength = config.cipher.as_ref().map(|cipher| cipher.strength());
    match strength {
        None => Capabilities::default(),
        Some(Strength::Aes128) => Capabilities::AES128,
        Some(Strength::Aes192) => Capabilities::AES192,
        Some(Strength::Aes256) => Capabilities::AES256,
    }
}

/// What sessions of the websocket server go by; without one nothing is spoken there.
pub(super) fn websocket_settings(loaded: &Loaded) -> ws::Settings {
    let config = loaded.config.websocket.as_ref();
    ws::Settings {
        ws1: config.and_then(|config| config.ws1.clone()),
        ws2: config.and_then(|config| config.ws2.clone()),
        web_root: config.and_then(|config| config.web_root.clone()),
        origins: config.map_or_else(Vec::new, |config| config.origins.clone()),
        max_clients: config.map_or(0, |config| config.max_clients),
        filter: config.map_or_else(FilterPair::default, |config| config.filter),
        encrypted_only: loaded.config.encrypted_only,
        terms: Arc::new(ws::Terms {
            key: config.map_or_else(Default::default, |config| config.key.clone()),
            foreign_iv: config.is_some_and(|config| config.foreign_iv),
            generation: config.map_or(Generation::Classic, |config| config.generation),
        }),
    }
}

//! A websocket server for tests, without its sockets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{Context, Settings};
use crate::auth::Remotes;
use crate::config::model::Limits;
use crate::config::parse_users;
use crate::event::json::Generation;
use crate::event::{FilterPair, Guid};
use crate::gate::{Gate, Rules, Seat, Seats};
use crate::hub::{Hub, Routing};
use crate::wire::ws::Terms;

/// What logins are encrypted with.
pub(super) const KEY: [u8; 16] = *b"0123456789abcdef";
/// Where the client is.
pub(super) const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 4711);

/// The user `admin` with the password `secret`, ws1 at `/ws1`, and perhaps pages.
pub(super) fn context(limits: Limits, web_root: Option<PathBuf>, foreign_iv: bool) -> Arc<Context> {
    let routing = Routing {
        max_out_queue: 10,
        max_websocket_queue: 10,
        receive_sent_events: true,
        interconnect: false,
        filter_in: FilterPair::default(),
        filter_out: FilterPair::default(),
    };
    let users = "{\"users\": [{\"name\": \"admin\", \"rights\": \"admin\", \
                 \"password\": \"2d1e4f91dae49cd08eaba2293e422273\"}]}";
    let rules = Rules {
        limits,
        users: Arc::new(parse_users(users).unwrap().0),
        remotes: Remotes::default(),
        upgrade: None,
    };
    let gate = Gate::new(Hub::new(Guid::ZERO, routing), rules).unwrap();
    let settings = Settings {
        ws1: Some("/ws1".to_owned()),
        ws2: None,
        web_root,
        origins: Vec::new(),
        max_clients: 1,
        filter: FilterPair::default(),
        encrypted_only: false,
        terms: Arc::new(Terms {
            key: Zeroizing::new(KEY),
            foreign_iv,
            generation: Generation::Classic,
        }),
    };
    Context::new(gate, settings)
}

/// The only place of a server.
pub(super) fn seat() -> Seat {
    let peer = SocketAddr::from(PEER);
    let seat = Seats::new(1).take(peer.ip(), CancellationToken::new());
    seat.expect("there is one")
}

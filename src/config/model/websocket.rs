//! The websocket server's part of the model.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::Interface;
use crate::event::FilterPair;
use crate::event::json::Generation;

/// The port of the websocket server where none is written.
pub const WEBSOCKET_PORT: u16 = 8884;

/// The websocket server (`websocket`). It is there only with an interface and a usable key.
#[derive(Clone, PartialEq)]
pub struct WebsocketConfig {
    /// Where to listen (`interface`); at least one, `secure` where it is `wss://`.
    pub interfaces: Vec<Interface>,
    /// The path of ws1, with its `/`, compared as it is (`enable-ws1`, `url-ws1`).
    pub ws1: Option<String>,
    /// The path of ws2 (`enable-ws2`, `url-ws2`); never that of ws1.
    pub ws2: Option<String>,
    /// The folder whose files are served, absolute (`enable-static`, `web-root`).
    pub web_root: Option<PathBuf>,
    /// Clients at a time, at least 1 (`max-clients`).
    pub max_clients: usize,
    /// Events that wait for one client, at least 1 (`max-client-queue-size`).
    pub max_queue: usize,
    /// Which events of clients go any further (`rx-filter`).
    pub filter: FilterPair,
    /// A login may use a vector of its own instead of the session's (`allow-foreign-iv`).
    pub foreign_iv: bool,
    /// The origins whose pages may connect, as a browser writes them: lower case, without the
    /// port that the scheme stands for. Empty lets all in, and so do clients without one
    /// (`origins`).
    pub origins: Vec<String>,
    /// How ws2 writes events (`event-names`).
    pub generation: Generation,
    /// What logins are encrypted with: the beginning of the key file (`key-file`).
    pub key: Zeroizing<[u8; 16]>,
}

impl fmt::Debug for WebsocketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key has no place in a log.
        f.debug_struct("WebsocketConfig")
            .field("interfaces", &self.interfaces)
            .field("ws1", &self.ws1)
            .field("ws2", &self.ws2)
            .field("web_root", &self.web_root)
            .field("max_clients", &self.max_clients)
            .field("max_queue", &self.max_queue)
            .field("filter", &self.filter)
            .field("foreign_iv", &self.foreign_iv)
            .field("origins", &self.origins)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

//! What a configuration says about links to other servers.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Reconnect, TlsClient};
use crate::event::FilterPair;
use crate::wire::binary::Cipher;

/// An entry of `links`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Where it stands, for messages: a file and a key path.
    pub place: String,
    /// What it is called, in the log and at the far end (`name`).
    pub name: String,
    /// Host name or address of the far end.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS, where it is on.
    pub tls: Option<TlsClient>,
    /// Who logs in there.
    pub user: String,
    /// With what; never logged.
    pub password: Zeroizing<String>,
    /// When it is connected (`mode`).
    pub mode: LinkMode,
    /// Which way events go (`direction`).
    pub direction: LinkDirection,
    /// What comes from the far end.
    pub filter_in: FilterPair,
    /// What goes to the far end.
    pub filter_out: FilterPair,
    /// The cipher of the binary mode, which is spoken where there is one (`encryption`,
    /// `key-file`).
    pub cipher: Option<Cipher>,
    /// Events from the far end that may wait for room here (`max-in-queue`).
    pub max_in_queue: usize,
    /// Events that may wait for the far end (`max-out-queue`).
    pub max_out_queue: usize,
    /// How long the far end may take for an answer (`response-timeout`).
    pub response_timeout: Duration,
    /// The delay between two attempts (`reconnect`).
    pub reconnect: Reconnect,
}

/// When a link is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkMode {
    /// Always: one connection to send, one to receive.
    #[default]
    Persistent,
    /// From time to time, to send what waits and to fetch what is there (`interval`).
    Poll(Duration),
    /// For each event that waits.
    OnDemand,
}

/// Which way events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkDirection {
    /// From the far end.
    pub inward: bool,
    /// To the far end.
    pub outward: bool,
}

impl Default for LinkDirection {
    fn default() -> Self {
        Self {
            inward: true,
            outward: true,
        }
    }
}

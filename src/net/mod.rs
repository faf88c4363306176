//! Sockets: addresses to listen on, names to look up, TLS.

pub mod accept;
pub mod listener;
pub mod lookup;
pub mod tls;

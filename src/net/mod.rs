//! Sockets: addresses to listen on, names to look up, servers to reach, TLS, and who is still there.

pub mod accept;
pub mod backoff;
pub mod http;
pub mod listener;
pub mod lookup;
pub mod place;
pub mod presence;
pub mod stream;
pub mod tls;

//! Sockets: addresses to listen on, and names to look up.

pub mod listener;
pub mod lookup;

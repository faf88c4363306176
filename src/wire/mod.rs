//! Wire formats: bytes and values in, values and bytes out. No sockets, no clock.

pub mod binary;
pub mod discovery;
pub mod line;
pub mod link;
pub mod payload;
pub mod topic;
pub mod ws;

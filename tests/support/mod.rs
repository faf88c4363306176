//! What the tests share.

// Each test program uses a part of it; in tests a panic is the way to fail.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

pub(crate) mod abuse;
pub(crate) mod bench;
pub(crate) mod binary;
pub(crate) mod certificates;
pub(crate) mod chromium;
pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod datagrams;
pub(crate) mod dialogue;
pub(crate) mod far_end;
pub(crate) mod host;
pub(crate) mod hosted;
pub(crate) mod linked;
pub(crate) mod lossy;
pub(crate) mod mosquitto;
pub(crate) mod network;
pub(crate) mod program;
pub(crate) mod raw;
pub(crate) mod reload;
pub(crate) mod scripted;
pub(crate) mod secure;
pub(crate) mod tools;
pub(crate) mod watched;
pub(crate) mod websocket;

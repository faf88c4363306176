//! What is shown of a driver to those who watch it.

use std::net::SocketAddr;

use serde_json::Value;

use super::raw::{Raw, Response, request};
use super::reload::Bench;

/// A status section on loopback, and a link server beside it.
pub const WATCHED: &str =
    "\"interface\": \"tcp://127.0.0.1:0\", \"status\": {\"interface\": \"127.0.0.1:0\"}";

/// Where the only page is.
pub fn address(bench: &Bench) -> SocketAddr {
    let addresses = bench.driver().status_addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0]
}

/// The answer to a request; the connection has to end behind it.
pub fn ask(address: SocketAddr, line: &str) -> Response {
    let mut raw = Raw::connect(address);
    raw.send(request(line, &[("Host", "x")]));
    let response = raw.response_to(line.starts_with("HEAD"));
    assert_eq!(raw.rest(), b"", "one connection is one answer");
    response
}

/// The document.
pub fn status(address: SocketAddr) -> Value {
    let response = ask(address, "GET /status.json");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_str(response.text()).unwrap()
}

//! Many websocket clients at once. How fast that goes is for `cargo bench` to say.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

mod support;

use support::abuse::need_descriptors;
use support::crowd::{Crowd, event};
use support::tools::PATIENCE;
use support::websocket::Server;

#[test]
fn a_thousand_clients_miss_none_of_a_thousand_events() {
    need_descriptors(3000);
    let server = Server::start("", "");
    let crowd = Crowd::open(server.address(), 1000);
    crowd.count(1000, 4 * PATIENCE, || {
        for number in 0..1000 {
            server.write(&event(number));
        }
    });
    let log = server.log();
    assert!(!log.contains("events to it are dropped"), "{log}");
    server.driver.close();
}

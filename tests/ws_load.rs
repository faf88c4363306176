//! Many websocket clients at once: none of them misses anything. Whether they get it as fast as it
//! is written is a matter of the machine, which `cargo bench websockets` looks at and `tests/full`
//! asks for.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

mod support;

use support::abuse::need_descriptors;
use support::crowd::{Crowd, event, paced};
use support::tools::PATIENCE;
use support::websocket::Server;

const CLIENTS: usize = 1000;

/// One at a time: each has the machine to itself.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_thousand_clients_miss_none_of_a_thousand_events_at_once() {
    const EVENTS: usize = 1000;
    crowded(EVENTS, |server| {
        for number in 0..EVENTS {
            server.write(&event(number));
        }
    });
}

#[test]
fn a_thousand_clients_miss_none_of_a_thousand_events_a_second() {
    const RATE: usize = 1000;
    const EVENTS: usize = 5 * RATE;
    let ((wrote, last), end) = crowded(EVENTS, |server| {
        paced(EVENTS, RATE, |number| server.write(&event(number)))
    });
    let lag = end - last;
    let rate = EVENTS as f64 / (wrote + lag).as_secs_f64();
    println!("{EVENTS} events in {wrote:.3?}, the last with {CLIENTS} clients {lag:.3?} later");
    println!("so each had {rate:.0} events/s");
    // By the clock, not in a burst; how late they are is not asked here.
    assert!(wrote >= Duration::from_millis(4980), "{wrote:?}");
    assert!(lag < PATIENCE, "{lag:?}");
}

/// All clients have to get all events that `write` writes. Gives what that gives, and when they
/// had them.
fn crowded<T: Send>(events: usize, write: impl FnOnce(&Server) -> T + Send) -> (T, Instant) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    need_descriptors(2 * CLIENTS + 500);
    let server = Server::start("", "");
    let crowd = Crowd::open(server.address(), CLIENTS);
    let (_, written) = crowd.count(events, 4 * PATIENCE, || write(&server));
    let end = Instant::now();
    // So says the driver too.
    server.logged(&format!("transmitted={events} overruns=0"), CLIENTS);
    let log = server.log();
    for words in ["events to it are dropped", "did not read for"] {
        assert!(!log.contains(words), "{log}");
    }
    server.driver.close();
    (written, end)
}

//! How much goes through the driver, and how fast, beside what the broker does without it. Run it
//! with `cargo bench --bench throughput`: it takes some minutes, and needs mosquitto. A word behind
//! that does one part alone: `broker`, `link`, `latency`, `idle` or `websockets`.
//!
//! Everything runs on one machine: mosquitto, the driver, clients that write as fast as they can,
//! and a subscriber that does nothing but count. What the figures are to be is in `README.md`
//! beside this folder. Only the part of the websockets fails where it is too slow: a thousand
//! clients are to get a thousand events a second each.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for developers

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

#[path = "../../tests/support/mod.rs"]
mod support;

mod broker;
mod client;
mod idle;
mod latency;
mod through;

use support::abuse::need_descriptors;
use support::crowd::{Crowd, event, paced};
use support::tools::PATIENCE;
use support::websocket::Server;

/// Events of one run.
const COUNT: usize = 500_000;
/// Events a second to each of a thousand websocket clients.
const RATE: usize = 1000;

/// A part has a name, and is fast enough or not.
type Part = (&'static str, fn() -> bool);

const PARTS: [Part; 5] = [
    ("broker", through::broker),
    ("link", through::link),
    ("latency", latency::both_ways),
    ("idle", idle::clients),
    ("websockets", to_a_crowd),
];

fn main() -> ExitCode {
    // Cargo has words of its own, which begin with dashes.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |part: &&Part| only.as_deref().is_none_or(|only| part.0 == only);
    let parts: Vec<&Part> = PARTS.iter().filter(wanted).collect();
    if parts.is_empty() {
        let names = PARTS.map(|(name, _)| name).join(", ");
        println!("the parts are {names}");
        return ExitCode::FAILURE;
    }
    let mut good = true;
    for (name, part) in parts {
        println!("-- {name}");
        good &= part();
    }
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// From the host to websocket clients, half of them ws1 and half ws2: as fast as they can, then at
/// the rate that they have to bear. True where they bear it.
fn to_a_crowd() -> bool {
    const CLIENTS: usize = 1000;
    const EVENTS: usize = 10 * RATE;
    need_descriptors(2 * CLIENTS + 500);
    let server = Server::start("", "");
    let (took, ()) = Crowd::open(server.address(), CLIENTS).count(EVENTS, 2 * PATIENCE, || {
        for number in 0..EVENTS {
            server.write(&event(number));
        }
    });
    let most = EVENTS as f64 / took.as_secs_f64();
    say(
        &format!("host to {CLIENTS} websocket clients, none missed"),
        most,
        "events/s to each",
    );
    let crowd = Crowd::open(server.address(), CLIENTS);
    let (_, (wrote, last)) = crowd.count(EVENTS, 2 * PATIENCE, || {
        paced(EVENTS, RATE, |number| server.write(&event(number)))
    });
    let lag = last.elapsed();
    let rate = EVENTS as f64 / wrote.as_secs_f64();
    say("the same at a steady rate", rate, "events/s to each");
    say(
        "    until all had the last one",
        lag.as_secs_f64() * 1000.0,
        "ms",
    );
    server.driver.close();
    // Whoever gets fewer than are written falls behind, by more each second.
    let good = most >= RATE as f64 && wrote + lag < Duration::from_secs(11);
    if !good {
        println!("    too slow: {RATE} events/s to each were to be reached");
    }
    good
}

/// A figure.
fn say(what: &str, figure: f64, unit: &str) {
    println!("{what:60} {figure:>11.0} {unit}");
}

/// A figure beside that of the broker alone.
fn beside(part: f64, whole: f64, wanted: &str) {
    println!(
        "{:60} {:>11.2} (wanted: {wanted})",
        "    of what the broker does without us",
        part / whole
    );
}

/// Events a second, of the best of three runs, each of so many.
fn rate(what: &str, count: usize, run: impl Fn() -> Duration) -> f64 {
    let best = (0..3)
        .map(|at| {
            if at > 0 {
                // What is left of the run before is over.
                thread::sleep(Duration::from_millis(300));
            }
            run()
        })
        .min()
        .unwrap();
    let rate = count as f64 / best.as_secs_f64();
    say(what, rate, "events/s");
    rate
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

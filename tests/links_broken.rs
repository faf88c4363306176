//! Links between drivers of this kind over connections that break without a word: far ends that are
//! stopped, holes that swallow what is in mid-stream. Nothing is lost, and nothing comes twice.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

mod support;

use support::bench;
use support::client::Client;
use support::linked::{Seen, Server, send};
use support::mosquitto::{Mosquitto, Proxy, Subscriber};
use support::tools::{need, run, wait_until};

/// Half of these have been sent when it breaks.
const COUNT: usize = 10_000;
/// Of links: how soon an answer that does not come is noticed.
const IMPATIENT: &str = ", \"response-timeout\": 1000";

/// A hole, which swallows what passes while it is there and gives it back at its end.
#[derive(Default)]
struct Hole {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Hole {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| *open).unwrap());
    }
}

fn all_come_once(subscribers: &[Subscriber], different: usize) {
    for subscriber in subscribers {
        let mut seen = Seen::default();
        seen.collect(subscriber, different);
        seen.each_once();
    }
}

#[test]
fn holes_in_mid_stream() {
    let brokers = [Mosquitto::start(), Mosquitto::start()];
    let subscribers = [&brokers[0], &brokers[1]].map(|one| Subscriber::start(one.port(), "ev", 1));
    let mut far = Server::start(2, brokers[1].port(), &[], "");
    let hole = Arc::new(Hole::default());
    let tap = Arc::clone(&hole);
    let proxy = Proxy::with_tap(far.port(), Arc::new(move |_, _, _: &[u8]| tap.pass()));
    let mut near = Server::start(
        1,
        brokers[0].port(),
        &[("far", proxy.port(), IMPATIENT)],
        "",
    );
    near.is_linked();
    // What was swallowed is given back when there are other connections by then, which have been
    // swallowed too, and one after the other says that it goes on.
    for round in 0..2 {
        let range = round * COUNT..(round + 1) * COUNT;
        let (one, other) = (near.address(), far.address());
        let [one, other] = [one, other].map(|address| {
            let range = range.clone();
            thread::spawn(move || assert_eq!(bench::persist(address, range, |_| ()), None))
        });
        wait_until("it is in mid-stream", || {
            near.sent("far") > round * COUNT + 500
        });
        hole.set(true);
        wait_until("the side that sends has noticed", || {
            near.left("said nothing for 1 s") > round
        });
        wait_until("the side that receives has noticed", || {
            near.left("said nothing for 10 s") > round
        });
        hole.set(false);
        one.join().unwrap();
        other.join().unwrap();
        near.is_linked();
    }
    all_come_once(&subscribers, 4 * COUNT);
    near.close();
    far.close();
}

fn signal(name: &str, pid: u32) {
    run(Command::new(need("/bin/kill")).args([name, &pid.to_string()]));
}

/// The process of the far end is stopped for a while, so that its sockets are there, and silent.
#[test]
fn a_far_end_that_is_stopped() {
    let brokers = [Mosquitto::start(), Mosquitto::start()];
    let subscribers = [&brokers[0], &brokers[1]].map(|one| Subscriber::start(one.port(), "ev", 1));
    let topics = "\"publish\": [{\"topic\": \"ev\", \"qos\": 1, \"format\": \"string\"}], \
                  \"subscribe\": [{\"topic\": \"ev\", \"qos\": 1}]";
    let far = bench::open(brokers[1].port(), "\"max-out-queue\": 1000000,", topics);
    drop(far.client());
    let links = [("far", far.address.port(), IMPATIENT)];
    let mut near = Server::start(1, brokers[0].port(), &links, "");
    near.is_linked();
    let (here, there) = (send(&near, COUNT), bench::flood(far.address, COUNT));
    wait_until("it is in mid-stream", || near.sent("far") > 500);
    signal("-STOP", far.host.pid());
    for why in ["said nothing for 1 s", "said nothing for 10 s"] {
        wait_until("each side has noticed", || near.left(why) > 0);
    }
    signal("-CONT", far.host.pid());
    near.is_linked();
    here.join().unwrap();
    there.join().unwrap();
    all_come_once(&subscribers, 2 * COUNT);
    near.close();
    assert_eq!(Client::log_in(far.address).must("noop"), ["+OK - Success."]);
    far.host.end();
}

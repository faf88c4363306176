//! Links, and what waits for their far ends, when the configuration changes while the driver runs.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

mod support;

use support::client::Client;
use support::far_end::{FarEnd, Said};
use support::reload::{Bench, PLAIN};
use support::tools::{PATIENCE, wait_until};

const NEAR: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:01:00:00:00:00";
const FAR: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:02:00:00:00:00";
const QUIET: Duration = Duration::from_millis(500);

/// Members of a driver with one link.
fn members(outbox: &str, far: SocketAddr, password: &str, delay: usize, more: &str) -> String {
    format!(
        "{PLAIN}, \"outbox\": {{{outbox}}}, \"links\": [{{\"name\": \"far\", \"host\": \"{}\", \
          \"port\": {}, \"user\": \"admin\", \"password\": \"{password}\", \
          \"reconnect\": {{\"delay\": {delay}, \"delay-max\": {delay}}} {more}}}]",
        far.ip(),
        far.port()
    )
}

fn write(bench: &Bench, number: u32) {
    let [a, b, c, d] = number.to_be_bytes();
    bench.write(&format!("0,20,3,,,,::1,{a},{b},{c},{d}"));
}

/// The number of the event that the host gets next.
fn next(bench: &Bench) -> u32 {
    let event = bench.driver().read(PATIENCE).unwrap();
    u32::from_be_bytes(event.data[..].try_into().unwrap())
}

fn nothing_more(bench: &Bench) {
    assert_eq!(bench.driver().read(QUIET).ok(), None);
}

/// Its channel stays where it is, so that it has what comes between the old one and the new.
#[test]
fn no_event_misses_a_link_that_changes() {
    const CHANGES: usize = 6;
    let far = Bench::with_guid(FAR, PLAIN);
    let address = far.addresses()[0];
    let outbox = "\"path\": \"PLACE/box\"";
    let near = Bench::with_guid(NEAR, &members(outbox, address, "secret", 1, ""));
    near.wait_for("connected to send");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !over.load(Ordering::SeqCst) {
                write(&near, sent);
                sent += 1;
                thread::sleep(Duration::from_micros(500));
            }
            sent
        });
        let receiver = scope.spawn(|| {
            let mut got = 0;
            // What comes in the end is behind all others, and has no number.
            while let Ok(event) = far.driver().read(PATIENCE)
                && let Ok(number) = event.data[..].try_into()
            {
                assert_eq!(u32::from_be_bytes(number), got, "in order, and each once");
                got += 1;
            }
            got
        });
        for change in 1..=CHANGES {
            // In between the far end does not let it in.
            let password = ["secret", "wrong"][change % 2];
            near.edit(&members(outbox, address, password, 1 + change % 2, ""));
            near.wait_for_times("configuration changed: the link begins anew", change);
        }
        over.store(true, Ordering::SeqCst);
        let sent = sender.join().unwrap();
        near.write("0,20,3,,,,::1,1");
        assert_eq!(receiver.join().unwrap(), sent);
    });
    nothing_more(&far);
    near.driver().close();
    far.driver().close();
}

/// What had come from a far end that keeps nothing, and found no room, is there for the link that
/// goes on: of another configuration, without a way in, and of another start.
#[test]
fn what_found_no_room_goes_along_to_the_link_that_goes_on() {
    let far = FarEnd::start(|_, command| match command {
        line if line.starts_with('X') => Said::Text("-OK - Unknown command\r\n".to_owned()),
        _ => Said::Text("+OK - Success.\r\n".to_owned()),
    });
    let with = |delay, direction: &str| {
        let more = format!(", \"direction\": \"{direction}\"");
        let members = members("", far.address(), "secret", delay, &more);
        format!("\"max-in-queue\": 10, {members}")
    };
    let near = Bench::with_guid(NEAR, &with(1, "in"));
    wait_until("it receives", || !far.heard_of("RCVLOOP").is_empty());
    let mut lines: String = (0..30_u32)
        .map(|n| format!("0,20,3,9,,,::5,0,0,0,{n}\r\n"))
        .collect();
    // One of ours, come back: it is counted, and shows that those before it are here.
    lines += &format!("0,20,3,9,,,{NEAR},1\r\n");
    far.say(0, &lines);
    wait_until("all of it is here", || {
        let status = Client::log_in(near.addresses()[0]).ask("test").join("\n");
        status.contains(" 1 suppressed")
    });
    near.edit(&with(2, "in"));
    near.wait_for("configuration changed: the link begins anew");
    let take = |range: std::ops::Range<u32>| range.for_each(|n| assert_eq!(next(&near), n));
    take(0..5);
    near.edit(&with(2, "out"));
    near.wait_for_times("configuration changed: the link begins anew", 2);
    take(5..10);
    Client::log_in(near.addresses()[0]).must("restart");
    near.wait_for_times("starting version", 2);
    take(10..30);
    nothing_more(&near);
    near.driver().close();
}

/// How many files of an outbox there are below a folder.
fn outboxes(bench: &Bench, folder: &str) -> usize {
    let links = fs::read_dir(bench.path(folder)).into_iter().flatten();
    let links = links
        .flatten()
        .map(|entry| entry.path().join("outbox.redb"));
    links.filter(|file| file.exists()).count()
}

/// What waits is nowhere but where the file says, and each of it reaches the far end once.
#[test]
fn what_waits_for_a_far_end_moves_to_another_folder() {
    let far = Bench::with_guid(FAR, PLAIN);
    let address = far.addresses()[0];
    far.driver().close();
    let with = |outbox: &str| members(outbox, address, "secret", 1, "");
    let mut near = Bench::with_guid(NEAR, &with("\"path\": \"PLACE/one\""));
    near.wait_for("next attempt in");
    (0..10).for_each(|n| write(&near, n));
    near.edit(&with("\"path\": \"PLACE/two\", \"sync\": true"));
    near.wait_for("what waited in");
    assert_eq!(outboxes(&near, "one/links"), 0);
    (10..20).for_each(|n| write(&near, n));
    // To memory, and to the disk again: it is the same link all the time.
    near.edit(&with(""));
    near.wait_for_times("what waited in", 2);
    assert_eq!(outboxes(&near, "two/links"), 0);
    near.edit(&with("\"path\": \"PLACE/three\""));
    wait_until("it is there", || outboxes(&near, "three/links") == 1);
    assert!(!near.log().contains("begins anew"), "{}", near.log());
    (20..30).for_each(|n| write(&near, n));
    // A folder that cannot be had, and one that somebody else has.
    near.edit(&with("\"path\": \"/proc/nowhere\""));
    near.wait_for("/proc/nowhere");
    let other = Bench::with_guid(FAR, &with("\"path\": \"PLACE/box\""));
    near.edit(&with(&format!("\"path\": {:?}", other.path("box"))));
    near.wait_for("in use by another driver");
    assert_eq!(outboxes(&near, "three/links"), 1);
    write(&near, 30);
    other.driver().close();
    near.wait_for_times("what waited in", 3);
    assert_eq!(outboxes(&near, "three/links"), 0);
    // It is on the disk there, for another start.
    near.open_again();
    let far = Bench::with_guid(FAR, &format!("\"interface\": \"tcp://{address}\""));
    (0..=30).for_each(|n| assert_eq!(next(&far), n));
    nothing_more(&far);
    // And where the start is by another folder, as something else is another that takes a start.
    far.driver().close();
    near.wait_for_times("next attempt in", 4);
    (31..35).for_each(|n| write(&near, n));
    start_anew(&near, &with("\"path\": \"PLACE/four\""), 3);
    near.wait_for_times("what waited in", 4);
    near.driver().close();
    near.open_again();
    let far = Bench::with_guid(FAR, &format!("\"interface\": \"tcp://{address}\""));
    (31..35).for_each(|n| assert_eq!(next(&far), n));
    nothing_more(&far);
    near.driver().close();
}

/// Other members, and another pattern for the log, which takes a start.
fn start_anew(bench: &Bench, members: &str, starts: usize) {
    let text = bench.text(members).replace("%l %v", "%l: %v");
    bench.replace("link.json", &text);
    bench.wait_for_times("starting version", starts);
    wait_until("it is there again", || {
        let mut addresses = bench.addresses().into_iter();
        addresses.any(support::bench::answers)
    });
}

/// The far end keeps what comes for a link that is away, and one that is here goes on.
#[test]
fn what_waits_for_a_link_that_logs_in_moves_to_another_folder() {
    let address = SocketAddr::from(([127, 0, 0, 1], support::mosquitto::free_port()));
    let with = |name: &str| {
        let outbox = format!("\"outbox\": {{\"path\": \"PLACE/{name}\"}}");
        format!("\"interface\": \"tcp://{address}\", {outbox}")
    };
    let far = Bench::with_guid(FAR, &with("one"));
    let here = members("", address, "secret", 1, "");
    let near = Bench::with_guid(NEAR, &here);
    near.wait_for("connected to receive");
    wait_until("it is remembered", || outboxes(&far, "one/links-here") == 1);
    // Before it has asked for them nothing waits for it.
    wait_until("events come", || {
        far.write("0,20,3,,,,::1,0");
        near.driver().read(Duration::from_millis(50)).is_ok()
    });
    while near.driver().read(QUIET).is_ok() {}
    (0..10).for_each(|n| write(&far, n));
    far.edit(&with("two"));
    far.wait_for("what waited in");
    (10..20).for_each(|n| write(&far, n));
    (0..20).for_each(|n| assert_eq!(next(&near), n));
    assert!(!near.log().contains("next attempt in"), "{}", near.log());
    assert_eq!(outboxes(&far, "one/links-here"), 0);
    near.edit(PLAIN);
    near.wait_for("the link is ended");
    (20..30).for_each(|n| write(&far, n));
    far.edit(&with("three"));
    far.wait_for_times("what waited in", 2);
    (30..40).for_each(|n| write(&far, n));
    start_anew(&far, &with("four"), 2);
    far.wait_for_times("what waited in", 3);
    assert_eq!(outboxes(&far, "three/links-here"), 0);
    assert_eq!(outboxes(&far, "four/links-here"), 1);
    near.edit(&here);
    (20..40).for_each(|n| assert_eq!(next(&near), n));
    nothing_more(&near);
    near.driver().close();
    far.driver().close();
}

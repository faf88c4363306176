//! Files that change while the driver runs.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs::{self, Permissions};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use vscpl2drv_link::wire::binary::Strength;

mod support;

use support::binary::{Binary, key_file};
use support::certificates::Authority;
use support::client::Client;
use support::dialogue;
use support::mosquitto::{Mosquitto, Subscriber, free_port};
use support::reload::{Bench, PLAIN, log_in, mqtt, without};
use support::tools::wait_until;

#[test]
fn users_come_go_and_change_at_once() {
    let bench = Bench::start(PLAIN);
    let address = bench.addresses()[0];
    let mut admin = Client::log_in(address);
    let mut sender = log_in(address, "sender", "secret").unwrap();
    sender.must("send 0,20,3,,,,-,1");
    let mut gone = log_in(address, "user", "secret").unwrap();
    gone.must("rcvloop");
    assert!(log_in(address, "new", "secret").is_none());

    // One is renamed, and another has no rights to send any more.
    bench.edit_users(|text| {
        text.replace("\"name\": \"user\"", "\"name\": \"other\"")
            .replace("send-events", "receive-events")
    });
    wait_until("the user who is gone is cut off", || gone.line().is_none());
    bench.wait_for("configuration changed: user user=sender");
    assert_eq!(
        sender.ask("send 0,20,3,,,,-,1"),
        ["-OK - User does not have rights to perform this operation."]
    );
    bench.wait_for("configuration changed: user removed user=user");
    assert!(log_in(address, "user", "secret").is_none());
    admin.must("noop");

    // A host that may not be here any more.
    bench.edit_users(|text| {
        let place = text.find("\"reader\"").unwrap();
        let (head, tail) = text.split_at(place);
        let tail = tail.replacen(
            "\"rights\"",
            "\"remotes\": [\"+192.0.2.0/24\"], \"rights\"",
            1,
        );
        format!("{head}{tail}")
    });
    bench.wait_for("configuration changed: user user=reader");
    assert!(log_in(address, "reader", "secret").is_none());
    admin.must("noop");
    assert_eq!(bench.log().matches("session ended").count(), 1);
    bench.driver().close();
}

#[test]
fn who_is_removed_is_gone_before_anything_else_changes() {
    let broker = free_port();
    let (one, two) = (free_port(), free_port());
    let members = |port: u16, topic: &str| {
        let interface =
            format!("\"interface\": [\"tcp://127.0.0.1:{port}\", \"tcp://127.0.0.1:0\"]");
        format!("{interface}, \"mqtt\": {}", mqtt(broker, topic))
    };
    let bench = Bench::start(&members(one, "old"));
    let mut gone = log_in(bench.addresses()[0], "user", "secret").unwrap();
    fs::write(bench.path("others.json"), without(&bench, "user")).unwrap();
    let other = bench
        .text(&members(two, "new"))
        .replace("users.json", "others.json");
    bench.replace("link.json", &other);
    wait_until("the user who is gone is cut off", || gone.line().is_none());
    bench.wait_for(&format!("listening on 127.0.0.1:{two}"));
    let log = bench.log();
    let at = |words: &str| log.find(words).unwrap_or_else(|| panic!("{words}: {log}"));
    assert!(
        at("session ended") < at("configuration changed: the broker"),
        "{log}"
    );
    assert!(
        at("session ended") < at("configuration changed: closing"),
        "{log}"
    );
    bench.driver().close();
}

#[test]
fn certificates_that_cannot_be_read_keep_nobody_here() {
    let ours = Authority::new("ours");
    let identity = ours.identity("localhost");
    let bench = Bench::start("\"interface\": \"tcp://127.0.0.1:0\"");
    let pem = |name: &str| {
        let parts =
            [&identity.certificate, &identity.key].map(|part| fs::read_to_string(part).unwrap());
        fs::write(bench.path(name), parts.concat()).unwrap();
    };
    let members = |certificate: &str| {
        format!(
            "\"interface\": [\"tcp://127.0.0.1:0\", \"stcp://127.0.0.1:0\"], \
             \"tls\": {{\"certificate\": \"PLACE/{certificate}\"}}"
        )
    };
    pem("first.pem");
    bench.edit(&members("first.pem"));
    bench.wait_for("with TLS");
    let plain = bench.addresses()[0];
    let mut admin = Client::log_in(plain);
    let mut gone = log_in(plain, "user", "secret").unwrap();
    let mut reader = log_in(plain, "reader", "secret").unwrap();

    // The section is the same, so its files do not matter.
    fs::rename(bench.path("first.pem"), bench.path("away.pem")).unwrap();
    bench.replace("users.json", &without(&bench, "user"));
    wait_until("the user who is gone is cut off", || gone.line().is_none());
    assert!(log_in(plain, "user", "secret").is_none());
    assert!(
        !bench.log().contains("a part of the changed configuration"),
        "{}",
        bench.log()
    );

    // Another section whose files are not there, and somebody else who goes.
    bench.replace("users.json", &without(&bench, "reader"));
    bench.edit(&members("second.pem"));
    bench.wait_for("a part of the changed configuration cannot be used");
    wait_until("the other is cut off as well", || reader.line().is_none());
    assert_eq!(bench.addresses().len(), 2);
    admin.must("noop");
    // It is tried again, though no file that is watched has changed.
    pem("second.pem");
    bench.wait_for("configuration changed: tls");
    bench.wait_for_times("with TLS", 2);
    admin.must("noop");
    bench.driver().close();
}

#[test]
fn what_takes_a_start_is_looked_at_before_anything_stops() {
    let bench = Bench::start(PLAIN);
    let address = bench.addresses()[0];
    let mut admin = Client::log_in(address);
    let mut gone = log_in(address, "user", "secret").unwrap();
    // A log that cannot be, and a user who goes.
    let text = bench.text(PLAIN).replace(
        &bench.path("log").display().to_string(),
        "/proc/nowhere/log",
    );
    bench.replace("users.json", &without(&bench, "user"));
    bench.replace("link.json", &text);
    bench.wait_for("/proc/nowhere/log");
    wait_until("the user who is gone is cut off", || gone.line().is_none());
    admin.must("noop");
    // Brokers where there were none, and a file that is not there yet.
    let section =
        mqtt(free_port(), "a").replacen('{', "{\"tls\": {\"cafile\": \"PLACE/ca.pem\"}, ", 1);
    bench.edit(&format!("{PLAIN}, \"mqtt\": {section}"));
    bench.wait_for("ca.pem");
    admin.must("noop");
    assert!(!bench.log().contains("starts anew"), "{}", bench.log());
    // Once it is there the driver starts, though no file that is watched has changed.
    fs::copy(Authority::new("ours").file(), bench.path("ca.pem")).unwrap();
    bench.wait_for("so the driver starts anew");
    wait_until("it is there again", || {
        bench
            .addresses()
            .first()
            .is_some_and(|at| support::bench::answers(*at))
    });
    bench.driver().close();
}

#[test]
fn a_start_waits_for_an_address_that_is_taken() {
    let (one, two) = (free_port(), free_port());
    let bench = Bench::start(&format!("\"interface\": \"tcp://127.0.0.1:{one}\""));
    let mut admin = Client::log_in(bench.addresses()[0]);
    let taken = std::net::TcpListener::bind(("127.0.0.1", two)).unwrap();
    let both = format!("\"interface\": [\"tcp://127.0.0.1:{one}\", \"tcp://127.0.0.1:{two}\"]");
    let text = bench.text(&both).replace("%l %v", "%l: %v");
    bench.replace("link.json", &text);
    bench.wait_for("cannot be used");
    bench.wait_for(&format!("cannot listen on tcp://127.0.0.1:{two}"));
    admin.must("noop");
    assert!(!bench.log().contains("starts anew"), "{}", bench.log());
    drop(taken);
    bench.wait_for("so the driver starts anew");
    wait_until("both are there", || {
        [one, two]
            .iter()
            .all(|port| support::bench::answers(([127, 0, 0, 1], *port).into()))
    });
    bench.driver().close();
}

#[test]
fn files_that_are_named_first_and_made_later_are_noticed() {
    let bench = Bench::start(PLAIN);
    let address = bench.addresses()[0];
    let mut gone = log_in(address, "user", "secret").unwrap();
    let later = without(&bench, "user");
    let text = bench.text(PLAIN).replace("users.json", "later.json");
    bench.replace("link.json", &text);
    bench.wait_for("later.json: error: cannot be read");
    gone.must("noop");
    fs::write(bench.path("later.json"), later).unwrap();
    wait_until("the user who is gone is cut off", || gone.line().is_none());
    // And what counts still does where the new one is not good.
    bench.edit(&format!(
        "{PLAIN}, \"bridge\": {{\"vscpd-config\": \"PLACE/vscpd.json\"}}"
    ));
    bench.wait_for("vscpd.json: error: cannot be read");
    let entry = format!(
        "{{\"drivers\": {{\"level2\": [{{\"path-config\": {:?}, \"guid\": \"::1\"}}]}}}}",
        bench.file()
    );
    fs::write(bench.path("vscpd.json"), entry).unwrap();
    bench.wait_for("configuration changed: new user user=user");
    drop(log_in(address, "user", "secret").unwrap());
    bench.driver().close();
}

#[test]
fn where_a_start_fails_after_all_it_goes_on_as_before() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let (one, events) = (free_port(), mqtt(broker.port(), "a"));
    let address = SocketAddr::from(([127, 0, 0, 1], one));
    let members = |host: &str| format!("\"interface\": \"tcp://{host}:{one}\", \"mqtt\": {events}");
    let bench = Bench::start(&members("127.0.0.1"));
    let mut client = Client::log_in(address);
    for n in 1..=3 {
        client.must(&format!("send 0,20,3,,,,-,{n}"));
    }
    // Whether all addresses are free nobody can say while one of them is open.
    let taken = std::net::TcpListener::bind(("127.0.0.2", one)).unwrap();
    bench.replace("users.json", &without(&bench, "user"));
    let text = bench.text(&members("0.0.0.0")).replace("%l %v", "%l: %v");
    bench.replace("link.json", &text);
    bench.wait_for("the driver goes on as before until a file changes");
    wait_until("it is there again", || support::bench::answers(address));
    let mut client = Client::log_in(address);
    client.must("send 0,20,3,,,,-,4");
    assert!(
        log_in(address, "user", "secret").is_none(),
        "who was removed stays so"
    );
    // A file changes, and this time it does.
    drop(taken);
    bench.replace("link.json", &text);
    bench.wait_for("listening on 0.0.0.0");
    wait_until("it is there again", || support::bench::answers(address));
    assert_eq!(
        bench.log().matches("starts anew").count(),
        2,
        "{}",
        bench.log()
    );
    broker.go();
    let all = Subscriber::start(broker.port(), "a", 1);
    let found: Vec<String> = (1..=4).map(|_| all.message().1).collect();
    for (n, payload) in (1..).zip(&found) {
        assert!(payload.ends_with(&format!(",0x{n:02X}")), "{found:?}");
    }
    bench.driver().close();
}

/// Whether it can be had is only known once the one before is closed: nobody is cut off for that
/// again and again.
#[test]
fn an_interface_that_cannot_be_had_leaves_the_one_before() {
    let one = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], one));
    let bench = Bench::start(&format!("\"interface\": \"tcp://127.0.0.1:{one}\""));
    let taken = std::net::TcpListener::bind(("127.0.0.2", one)).unwrap();
    let wider = format!("\"interface\": \"tcp://0.0.0.0:{one}\", \"max-clients\": 7");
    bench.edit(&wider);
    bench.wait_for("the interfaces stay as they were until a file changes: cannot listen on");
    let mut client = Client::log_in(address);
    // Longer than what cannot be had waits for another try.
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_secs(7) {
        client.must("noop");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(bench.log().matches("closing interface").count(), 1);
    assert!(bench.log().contains("configuration changed: limits"));
    drop(taken);
    bench.edit(&format!("{wider}, \"debug\": true"));
    bench.wait_for("listening on 0.0.0.0");
    client = Client::log_in(address);
    client.must("noop");
    bench.driver().close();
}

#[test]
fn a_broken_file_changes_nothing_and_is_reported() {
    let bench = Bench::start(PLAIN);
    let address = bench.addresses()[0];
    let mut admin = Client::log_in(address);
    bench.replace("users.json", "{\"users\": [{\"name\": \"admin\"");
    bench.wait_for("a file has changed and has errors; all stays as it was");
    bench.wait_for("users.json:1:");
    admin.must("noop");
    drop(Client::log_in(address));
    // The driver file too, and a value that only the MQTT part looks at.
    bench.edit("\"interface\": \"tcp://127.0.0.1:0\", \"max-clients\": \"many\"");
    bench.wait_for("max-clients");
    fs::copy(dialogue::users(), bench.path("users.json")).unwrap();
    let broker = free_port();
    bench.edit(&format!(
        "{PLAIN}, \"bridge\": {{\"publish\": \"both\"}}, \"mqtt\": {{\"host\": \"127.0.0.1\", \
         \"port\": {broker}, \"publish\": [{{\"topic\": \"a/{{{{unknown}}}}\"}}]}}"
    ));
    bench.wait_for("unknown");
    admin.must("noop");
    // And a good one again: the session has seen none of all this.
    bench.edit("\"interface\": \"tcp://127.0.0.1:0\", \"variables\": {\"on\": \"0,20,3,,,,-,1\"}");
    bench.wait_for("configuration changed: variables");
    Client::log_in(address).must("send $on");
    admin.must("noop");
    bench.driver().close();
}

#[test]
fn filters_limits_and_log_levels_are_applied_to_those_who_are_there() {
    let bench = Bench::start(PLAIN);
    let address = bench.addresses()[0];
    let mut admin = Client::log_in(address);
    bench.edit(&format!(
        "{PLAIN}, \"filter\": {{\"in-filter\": \"0,20,0,-\", \"in-mask\": \"0,0xFFFF,0,-\"}}, \
         \"max-clients\": 2, \"max-out-queue\": 1, \"debug\": true, \
         \"remotes\": [\"+127.0.0.0/8\"]"
    ));
    for part in ["limits", "remotes", "filter", "logging"] {
        bench.wait_for(&format!("configuration changed: {part}"));
    }
    bench.write("0,10,6,,,,::1,1");
    for n in 1..=3 {
        bench.write(&format!("0,20,3,,,,::1,{n}"));
    }
    assert_eq!(admin.ask("cdta"), ["1", "+OK - Success."]);
    assert!(admin.ask("stat")[0].starts_with("0,0,2,"));
    // The bound on clients counts for whoever comes now.
    let second = Client::log_in(address);
    let mut third = String::new();
    TcpStream::connect(address)
        .unwrap()
        .read_to_string(&mut third)
        .unwrap();
    assert_eq!(third, "-OK - Max number of clients connected.\r\n");
    // Debug is written since.
    drop(second);
    bench.wait_for("debug the session ended");
    bench.driver().close();
}

#[test]
fn an_interface_goes_on_where_its_new_address_is_taken() {
    let (one, other) = (free_port(), free_port());
    let at = |port| format!("\"interface\": \"tcp://127.0.0.1:{port}\"");
    let bench = Bench::start(&at(one));
    let mut client = Client::log_in(bench.addresses()[0]);
    let taken = std::net::TcpListener::bind(("127.0.0.1", other)).unwrap();
    bench.edit(&at(other));
    bench.wait_for("cannot be used, stays as it was");
    client.must("noop");
    assert_eq!(bench.addresses(), [([127, 0, 0, 1], one).into()]);
    drop(taken);
    wait_until("it is there", || {
        bench.addresses() == [([127, 0, 0, 1], other).into()]
    });
    bench.driver().close();
}

#[test]
fn an_interface_is_opened_and_closed_alone() {
    let (one, two, three) = (free_port(), free_port(), free_port());
    let interface = |ports: &[u16]| {
        let list: Vec<String> = ports
            .iter()
            .map(|port| format!("\"tcp://127.0.0.1:{port}\""))
            .collect();
        format!("\"interface\": [{}]", list.join(", "))
    };
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let bench = Bench::start(&interface(&[one, two]));
    let mut stays = Client::log_in(address(one));
    let mut goes = Client::log_in(address(two));
    bench.edit(&interface(&[one, three]));
    wait_until("the session of the closed one ends", || {
        goes.line().is_none()
    });
    wait_until("the new one is open", || {
        TcpStream::connect(address(three)).is_ok()
    });
    assert!(TcpStream::connect(address(two)).is_err());
    stays.must("noop");
    Client::log_in(address(three)).must("noop");
    // One that is taken is tried again.
    let taken = std::net::TcpListener::bind(address(two)).unwrap();
    bench.edit(&interface(&[one, two]));
    bench.wait_for("cannot listen on");
    stays.must("noop");
    drop(taken);
    wait_until("it is open once it is free", || {
        TcpStream::connect(address(two)).is_ok()
    });
    stays.must("noop");
    bench.driver().close();
}

#[test]
fn other_terms_of_encryption_hold_for_everybody() {
    let bench = Bench::start(PLAIN);
    key_file(bench.place.path());
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let plain = format!("\"interface\": \"tcp://127.0.0.1:{port}\"");
    bench.edit(&plain);
    bench.wait_for(&format!("listening on {address}"));
    let mut clear = Client::log_in(address);
    bench.edit(&format!(
        "{plain}, \"encryption\": \"aes256\", \"key-file\": \"PLACE/key\", \
         \"require-encryption\": true"
    ));
    wait_until("the session in clear text ends", || clear.line().is_none());
    // Not the old listener's queue.
    bench.wait_for_times(&format!("listening on {address}"), 2);
    let mut client = Binary::log_in(address, Strength::Aes256);
    // Another key.
    let key = fs::read_to_string(bench.path("key")).unwrap();
    fs::write(bench.path("key"), key.replace('0', "1")).unwrap();
    assert_eq!(client.frame(), None, "the session with the old key ends");
    bench.wait_for_times("configuration changed: encryption", 2);
    bench.driver().close();
}

#[test]
fn a_key_that_is_required_and_comes_later_is_noticed_and_holds_up_no_user() {
    let bench = Bench::start(PLAIN);
    let key = bench.path("key");
    let required = format!(
        "{PLAIN}, \"encryption\": \"aes256\", \"key-file\": {key:?}, \"require-encryption\": true"
    );
    bench.edit(&required);
    bench.wait_for("cannot be used, stays as it was");
    let address = bench.addresses()[0];
    assert!(log_in(address, "admin", "secret").is_some(), "as before");
    key_file(bench.place.path());
    bench.wait_for("configuration changed: encryption");
    wait_until("clear text is over", || {
        let mut client = Client::connect(bench.addresses()[0]);
        client.ask("user admin")[0].contains("encrypted connection")
    });
    // A key that goes away later keeps nobody here.
    let mut admin = Binary::log_in(bench.addresses()[0], Strength::Aes256);
    fs::remove_file(&key).unwrap();
    fs::write(bench.path("users.json"), without(&bench, "admin")).unwrap();
    assert_eq!(admin.frame(), None, "the session ends");
    bench.driver().close();
}

#[test]
fn a_key_that_is_being_written_ends_nothing() {
    let bench = Bench::start(PLAIN);
    let key = key_file(bench.place.path());
    let mode = |mode| fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let (one, two) = (free_port(), free_port());
    let members = |port: u16| {
        format!(
            "\"interface\": \"tcp://127.0.0.1:{port}\", \"encryption\": \"aes256\", \
             \"key-file\": \"PLACE/key\""
        )
    };
    bench.edit(&members(one));
    bench.wait_for("others can read it");
    // Another mode is enough to be noticed.
    mode(0o600);
    bench.wait_for("configuration changed: encryption");
    let address = SocketAddr::from(([127, 0, 0, 1], one));
    bench.wait_for_times(&format!("listening on {address}"), 2);
    let mut clear = Client::log_in(address);
    let mut client = Binary::log_in(address, Strength::Aes256);
    // Half of it, none, and one that others can read; something else changes as ever.
    let whole = fs::read_to_string(&key).unwrap();
    fs::write(&key, &whole[..10]).unwrap();
    bench.wait_for("hexadecimal digits");
    fs::remove_file(&key).unwrap();
    bench.wait_for("it cannot be read");
    let mut gone = log_in(address, "user", "secret").unwrap();
    bench.replace("users.json", &without(&bench, "user"));
    wait_until("the user who is gone is cut off", || gone.line().is_none());
    clear.must("noop");
    assert_eq!(client.ask(0, b""), (0, 0, Vec::new()));
    drop(Binary::log_in(address, Strength::Aes256));
    // The old one again is no change, and a new one is.
    key_file(bench.place.path());
    bench.edit(&members(two));
    bench.wait_for(&format!("listening on 127.0.0.1:{two}"));
    let address = SocketAddr::from(([127, 0, 0, 1], two));
    let mut client = Binary::log_in(address, Strength::Aes256);
    fs::write(&key, whole.replace('0', "1")).unwrap();
    assert_eq!(client.frame(), None, "the session with the old key ends");
    bench.wait_for_times("configuration changed: encryption", 2);
    bench.driver().close();
}

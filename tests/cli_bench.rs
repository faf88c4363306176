//! `vscp-link bench`: what it reports is what has happened, with this driver and mosquitto, and with
//! a server that loses, doubles and reorders as a test says.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

mod support;

use support::bench::wait_for_broker;
use support::certificates::Authority;
use support::client::Client;
use support::hosted::Server;
use support::lossy::{Lossy, Script};
use support::mosquitto::{Mosquitto, free_port, publish};
use support::program::{End, bench, end, interrupt, run, start};
use support::tools::{root, wait_until};

const EVENT: &str = "0,20,3,,,,00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:01,0,1";

/// A driver that publishes under `out` and hears what is said under `in`, once it does.
fn bridged(broker: &Mosquitto, qos: u8, format: &str) -> Server {
    let port = broker.port();
    let server = Server::start(
        1,
        &format!(
            "\"max-out-queue\": 100000, \"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {port}, \
             \"publish\": [{{\"topic\": \"out\", \"qos\": {qos}, \"format\": \"{format}\"}}], \
             \"subscribe\": [{{\"topic\": \"in\", \"qos\": {qos}}}]}},"
        ),
    );
    let mut client = Client::log_in(server.address());
    wait_for_broker(&mut client);
    wait_until("the driver hears the broker", || {
        publish(port, "in", EVENT);
        client.must("cdta")[0] != "0"
    });
    server
}

/// The only way, each of whose events came once and in order.
fn all_came(report: &Value, from: &str, to: &str, expected: u64) {
    assert_eq!(report["paths"].as_array().unwrap().len(), 1, "{report}");
    way_is_good(&report["paths"][0], from, to, expected);
}

fn way_is_good(path: &Value, from: &str, to: &str, expected: u64) {
    assert_eq!((&path["from"], &path["to"]), (&from.into(), &to.into()));
    assert_eq!(path["expected"], expected, "{path}");
    assert_eq!(path["received"], expected, "{path}");
    assert_eq!(path["latency_us"]["count"], expected, "{path}");
    for trouble in [
        "lost",
        "doubled",
        "out_of_order",
        "stale",
        "foreign",
        "refused",
        "unanswered",
        "unaccepted",
        "under_way",
    ] {
        assert_eq!(path[trouble], 0, "{trouble} in {path}");
    }
    let latency = &path["latency_us"];
    let names = ["min", "p50", "p90", "p99", "p999", "max"];
    let times = names.map(|name| latency[name].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted(), "{latency}");
    assert!(path["received_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn send_counts_answers_and_what_a_subscriber_gets() {
    let broker = Mosquitto::start();
    let to = format!("--broker 127.0.0.1:{} --subscribe out", broker.port());
    for (qos, format) in [(0, "json"), (1, "string"), (0, "binary"), (0, "xml")] {
        let server = bridged(&broker, qos, format);
        let words = format!("send --count 5000 --rate 50000 {to} --qos {qos}");
        let report = bench(&words, server.address(), 0);
        all_came(&report, "client", "broker", 5000);
        assert_eq!(report["ended"], "count");
        assert_eq!(report["paths"][0]["accepted"], 5000);
        assert_eq!(report["paths"][0]["answer_us"]["count"], 5000);
    }
    let server = Server::start(2, "\"interconnect\": true,");
    let report = bench("send --count 20000 --window 64", server.address(), 0);
    let path = &report["paths"][0];
    assert_eq!(
        (&path["from"], &path["to"]),
        (&"client".into(), &Value::Null)
    );
    assert_eq!(
        (&path["accepted"], &path["receivers"]),
        (&20000.into(), &0.into())
    );
    assert!(path["accepted_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(path["behind_us"], Value::Null);
}

#[test]
fn receive_from_a_broker_and_from_a_client() {
    let broker = Mosquitto::start();
    let server = bridged(&broker, 1, "json");
    let from = format!("--broker 127.0.0.1:{} --publish in", broker.port());
    for more in ["--format json", "--format string", "--qos 1 --window 50"] {
        let words = format!("receive --count 3000 --rate 30000 {from} {more}");
        all_came(
            &bench(&words, server.address(), 0),
            "broker",
            "client",
            3000,
        );
    }
    let server = Server::start(2, "\"interconnect\": true, \"max-out-queue\": 100000,");
    let report = bench("receive --count 3000", server.address(), 0);
    all_came(&report, "client", "client", 3000);
}

#[test]
fn fanout_counts_all_clients() {
    let server = Server::start(2, "\"interconnect\": true, \"max-out-queue\": 100000,");
    let report = bench("fanout --clients 7 --count 1000", server.address(), 0);
    all_came(&report, "client", "client", 7000);
    assert_eq!(report["paths"][0]["receivers"], 7);
    assert_eq!(report["paths"][0]["accepted"], 1000);
}

#[test]
fn latency_of_every_way() {
    let broker = Mosquitto::start();
    let port = broker.port();
    let server = bridged(&broker, 0, "json");
    let topics = format!("--broker 127.0.0.1:{port} --subscribe out --publish in");
    let words =
        format!("latency --rate 2000 --count 1000 --path client-broker,broker-client {topics}");
    let report = bench(&words, server.address(), 0);
    let paths = report["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 2);
    way_is_good(&paths[0], "client", "broker", 1000);
    way_is_good(&paths[1], "broker", "client", 1000);
    // The rate is kept, not passed: 1000 take half a second, and a bit less where the first is late.
    for path in paths {
        assert!(path["send_seconds"].as_f64().unwrap() > 0.25, "{path}");
        assert!(path["behind_us"].as_f64().unwrap() >= 0.0, "{path}");
    }
    let server = Server::start(2, "\"interconnect\": true,");
    let report = bench("latency --rate 2000 --count 1000", server.address(), 0);
    all_came(&report, "client", "client", 1000);
}

#[test]
fn idle_clients_and_what_the_process_takes() {
    let server = Server::start(2, "");
    let words = format!(
        "idle --clients 40 --seconds 8 --rcvloop --pid {}",
        std::process::id()
    );
    let host = server.address().to_string();
    let child = start(&format!("bench {words} --user admin --json"), &host, &[]);
    wait_until("the clients are there", || server.channels() == 41);
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, &*stderr), (0, ""));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let clients = &report["clients"];
    assert_eq!(
        [&clients["wanted"], &clients["open"], &clients["closed"]],
        [40, 40, 0]
    );
    let process = &report["process"];
    assert_eq!(process["pid"], std::process::id());
    for name in ["rss_before", "rss_after"] {
        assert!(process[name].as_u64().unwrap() > 1_000_000, "{process}");
    }
    assert!(process["rss_per_client"].is_u64() && process["cpu_percent"].is_f64());
    assert_eq!(report["paths"], Value::Array(Vec::new()));

    // Those that are put out are told, not missed.
    let server = Lossy::start(|_| Script::Lose);
    let host = server.address().to_string();
    let words = "bench idle --clients 10 --seconds 600 --user admin --json";
    let child = start(words, &host, &[]);
    wait_until("the clients are there", || server.logins() == 10);
    server.close();
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, &*stderr), (3, ""), "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let clients = &report["clients"];
    assert_eq!([&clients["open"], &clients["closed"]], [10, 10]);

    // More than there is room for: what there was is told.
    let server = Server::start(2, "\"max-clients\": 5,");
    let report = bench("idle --clients 40 --seconds 1", server.address(), 1);
    assert_eq!(report["clients"]["open"], 5);
    assert_eq!(report["ended"], "trouble");
    assert!(
        report["trouble"]
            .as_str()
            .unwrap()
            .contains("refuses connections")
    );
}

#[test]
fn what_a_server_loses_doubles_and_reorders_is_told_exactly() {
    // Of 1000 events 10, 20 ... 50 are lost, 100 to 102 come twice, 200 comes three times, 300 and
    // 400 after the next one, 999 twice at the end.
    let server = Lossy::start(|number| match number {
        10 | 20 | 30 | 40 | 50 => Script::Lose,
        100..=102 | 999 => Script::Copies(2),
        200 => Script::Copies(3),
        300 | 400 => Script::Later,
        _ => Script::Copies(1),
    });
    let words = "receive --count 1000 --drain 1";
    let report = bench(words, server.address(), 3);
    let path = &report["paths"][0];
    let found = |path: &Value| {
        [
            "expected",
            "received",
            "lost",
            "doubled",
            "out_of_order",
            "stale",
            "foreign",
        ]
        .map(|name| path[name].as_u64().unwrap())
    };
    assert_eq!(found(path), [1000, 1001, 5, 6, 2, 0, 0], "{path}");
    assert_eq!(path["latency_us"]["count"], 995);
    assert_eq!(report["ended"], "count");
    // Each of three clients.
    let report = bench(
        "fanout --clients 3 --count 1000 --drain 1",
        server.address(),
        3,
    );
    let path = &report["paths"][0];
    assert_eq!(found(path), [3000, 3003, 15, 18, 6, 0, 0], "{path}");
    // For people, and each alone.
    let table = |script: fn(u32) -> Script, code: i32| {
        let server = Lossy::start(script);
        let host = server.address().to_string();
        let (found, stdout, _) = run(
            "bench receive --user admin --count 500 --drain 1",
            &host,
            &[],
        );
        assert_eq!(found, code, "{stdout}");
        let line = stdout
            .lines()
            .find(|line| line.starts_with("client to client"));
        let words: Vec<String> = line
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        // Behind the rate.
        [&words[3..5], &words[6..10]].concat().join(" ")
    };
    let lose = |number| {
        if number == 499 {
            Script::Lose
        } else {
            Script::Copies(1)
        }
    };
    assert_eq!(table(lose, 3), "500 499 1 0 0 0");
    let double = |number| Script::Copies(if number == 0 { 2 } else { 1 });
    assert_eq!(table(double, 3), "500 501 0 1 0 0");
    // Late is not lost.
    let late = |number| {
        if number == 7 {
            Script::Later
        } else {
            Script::Copies(1)
        }
    };
    assert_eq!(table(late, 0), "500 500 0 0 1 0");
}

#[test]
fn refused_events_are_not_lost() {
    let server = Lossy::start(|number| match number % 10 {
        3 => Script::Refuse("-OK - Buffer Full"),
        _ => Script::Copies(1),
    });
    let report = bench("receive --count 300 --window 20", server.address(), 0);
    let path = &report["paths"][0];
    assert_eq!(
        (&path["accepted"], &path["lost"]),
        (&300.into(), &0.into()),
        "{path}"
    );
    let refused = path["refused"].as_u64().unwrap();
    assert!((30..=36).contains(&refused), "{path}");
    assert_eq!(path["sent"], 300 + refused);
    // What is refused for good is not tried for ever.
    let server = Lossy::start(|_| Script::Refuse("-OK - Not allowed"));
    let report = bench("send --count 300", server.address(), 1);
    let trouble = report["trouble"].as_str().unwrap();
    assert_eq!(trouble, "SEND was refused: -OK - Not allowed");
}

#[test]
fn servers_that_go_or_say_nothing() {
    let server = Lossy::start(|number| match number {
        100.. => Script::Close,
        _ => Script::Copies(1),
    });
    let report = bench("send --count 1000 --window 10", server.address(), 1);
    assert_eq!(report["trouble"], "the server closed the connection");
    assert_eq!(report["paths"][0]["accepted"], 100);
    let silent = Lossy::start(|number| match number {
        5.. => Script::Silence,
        _ => Script::Copies(1),
    });
    let report = bench("send --count 1000 --timeout 1", silent.address(), 1);
    assert_eq!(report["trouble"], "the server said nothing for 1 seconds");
    assert_eq!(report["paths"][0]["accepted"], 5);
    assert_eq!(report["ended"], "trouble");
    // One that leaves its clients.
    let report = bench("receive --count 1000 --window 10", server.address(), 1);
    assert_eq!(report["ended"], "trouble");

    let none = |words: &str, host: SocketAddr| -> End {
        run(
            &format!("bench {words} --user admin"),
            &host.to_string(),
            &[],
        )
    };
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, stdout, stderr) = none("send", gone);
    assert_eq!((code, &*stdout), (1, ""));
    assert!(
        stderr.contains(&format!("no connection to {gone}")),
        "{stderr}"
    );
    let (code, _, stderr) = none(
        &format!("send --broker {gone} --subscribe x"),
        silent.address(),
    );
    assert_eq!(code, 1);
    assert!(
        stderr.contains(&format!("the broker {gone}: no connection to {gone}")),
        "{stderr}"
    );
    let (code, _, stderr) = none("send --pid 4294967295", silent.address());
    assert_eq!(code, 1);
    assert!(
        stderr.contains("there is no process 4294967295"),
        "{stderr}"
    );
}

#[test]
fn brokers_that_ask_for_a_password() {
    let broker = Mosquitto::with_login("me", "word");
    let server = Server::start(2, "");
    let words = format!(
        "bench send --user admin --count 10 --drain 1 --broker 127.0.0.1:{} --subscribe out",
        broker.port()
    );
    let host = server.address().to_string();
    let (code, _, stderr) = run(&words, &host, &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("refuses the connection"), "{stderr}");
    let (code, _, stderr) = run(&words, &host, &["--broker-user", "me"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--broker-password-file"), "{stderr}");
    // Right: then all is lost, since nothing publishes.
    let (code, _, stderr) = run(
        &words,
        &host,
        &["--broker-user", "me", "--broker-password", "word"],
    );
    assert_eq!((code, &*stderr), (3, ""));
}

#[test]
fn over_tls() {
    let authority = Authority::new("bench");
    let identity = authority.identity_in_one_file("localhost");
    let server = Server::at(
        "stcp://127.0.0.1:0",
        2,
        &format!(
            "\"interconnect\": true, \"max-out-queue\": 100000, \"tls\": {{\"certificate\": {identity:?}}},"
        ),
    );
    let host = format!("stcp://localhost:{}", server.address().port());
    let words = format!(
        "receive --count 2000 --ca-file {}",
        authority.file().display()
    );
    all_came(&bench(&words, host, 0), "client", "client", 2000);
}

#[test]
fn a_broker_with_tls_beside_a_server_without() {
    let authority = Authority::new("broker");
    let identity = authority.identity("localhost");
    let port = free_port();
    let broker = Mosquitto::with(&format!(
        "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}",
        authority.file().display(),
        identity.certificate.display(),
        identity.key.display()
    ));
    let server = bridged(&broker, 0, "json");
    let words = format!(
        "send --count 500 --rate 10000 --broker mqtts://localhost:{port} --subscribe out --ca-file {}",
        authority.file().display()
    );
    all_came(&bench(&words, server.address(), 0), "client", "broker", 500);
    // Who is not trusted is not talked to.
    let words = words.split(" --ca-file").next().unwrap();
    let words = format!("bench {words} --user admin");
    let (code, _, stderr) = run(&words, &server.address().to_string(), &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("UnknownIssuer"), "{stderr}");
}

#[test]
fn time_and_ctrl_c_end_it() {
    let server = Server::start(2, "\"interconnect\": true,");
    let report = bench("receive --seconds 1 --rate 200", server.address(), 0);
    assert_eq!(report["ended"], "seconds");
    let sent = report["paths"][0]["sent"].as_u64().unwrap();
    assert!((1..=201).contains(&sent), "{report}");
    let host = server.address().to_string();
    let child = start(
        "bench receive --user admin --rate 200 --seconds 600 --json",
        &host,
        &[],
    );
    wait_until("it runs", || server.channels() == 3);
    thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, &*stderr), (0, ""), "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["ended"], "interrupted");
    assert_eq!(report["paths"][0]["lost"], 0);
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    // After the first it waits for what is under way, a second at most: a machine may need more
    // for the second one.
    let by_signal = (0..5).any(|_| {
        let sent = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&sent);
        let server = Lossy::start(move |_| {
            seen.store(true, Ordering::SeqCst);
            Script::Lose
        });
        let host = server.address().to_string();
        let mut child = start(
            "bench receive --user admin --count 1 --drain 600",
            &host,
            &[],
        );
        wait_until("it runs", || sent.load(Ordering::SeqCst));
        wait_until("it has ended", || {
            interrupt(&child);
            child.try_wait().unwrap().is_some()
        });
        child.wait().unwrap().signal() == Some(2)
    });
    assert!(by_signal);
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let server = Server::start(2, "");
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/python/terminal.py"))
        .args(["accepted, ", "", "--", env!("CARGO_BIN_EXE_vscp-link")])
        .args([
            "bench", "send", "--user", "admin", "--rate", "100", "--count", "100",
        ])
        .args(["--host", &server.address().to_string()])
        .env("VSCP_LINK_PASSWORD", "secret")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("of 100 accepted, ") && text.contains("ACCEPTED"),
        "{text}"
    );
    // Nothing is left of the line.
    let (_, after) = text.rsplit_once("of 100 accepted").unwrap();
    assert!(after.contains("\r\x1b[KFROM"), "{text:?}");
}

#[test]
fn what_cannot_be_measured_is_refused_at_once() {
    for (words, host, complaint) in [
        ("send", "ws1://localhost", "no websocket"),
        ("send --key-file x", "localhost", "no --key-file"),
        (
            "send --broker localhost",
            "localhost",
            "--subscribe is needed",
        ),
        (
            "receive --broker localhost",
            "localhost",
            "--publish is needed",
        ),
        (
            "latency --broker localhost",
            "localhost",
            "--subscribe or --publish is needed",
        ),
        (
            "latency --path broker-client",
            "localhost",
            "needs --broker and --publish",
        ),
        ("send --subscribe x", "localhost", "--broker"),
        (
            "fanout --broker localhost --publish a/#",
            "localhost",
            "without + and #",
        ),
        ("send --rate 0", "localhost", "0.001"),
        ("send --event 1", "localhost", "510,0"),
        ("send --count 0", "localhost", "0"),
        ("receive --qos 2", "localhost", "2"),
        ("idle --broker localhost", "localhost", "--broker"),
        ("send --ca-file x", "localhost", "stcp://"),
    ] {
        let (code, stdout, stderr) = run(&format!("bench {words} --user admin"), host, &[]);
        assert_eq!((code, &*stdout), (2, ""), "{words}: {stderr}");
        assert!(stderr.contains(complaint), "{words}: {stderr}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_vscp-link"));
    command
        .args(["bench", "send", "--user", "admin"])
        .env_remove("VSCP_LINK_PASSWORD");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--password-file"), "{stderr}");
}

//! What the log says of logins and refusals, and that fail2ban reads it.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::wire::binary::Strength;
use vscpl2drv_link::wire::ws::Dialect::{Ws1, Ws2};

mod support;

use support::binary::{Binary, cipher, event_frame, key_file};
use support::certificates::Authority;
use support::client::Client;
use support::dialogue;
use support::reload::{Bench, PLAIN, log_in};
use support::tools::{need, root, run, wait_until};
use support::websocket::{self, Server, ws2};

/// What fail2ban makes of a log: hits of each expression, and whom it would keep out, line by line.
fn fail2ban(log: &Path) -> (Vec<usize>, Vec<String>) {
    let filter = root().join("contrib/fail2ban/filter.d/vscp-link.conf");
    let regex = |more: &[&str]| {
        let mut command = Command::new(need("fail2ban-regex"));
        run(command.args(more).arg(log).arg(&filter))
    };
    let output = regex(&[]);
    let (_, hits) = output.split_once("Failregex: ").unwrap();
    let (hits, _) = hits.split_once("Ignoreregex: ").unwrap();
    // "|   2) [5] ^.*": the number of the expression and its hits.
    let hits = hits.lines().filter_map(|line| {
        let (number, rest) = line.trim_start_matches(['|', ' ']).split_once(") [")?;
        number.parse::<usize>().ok()?;
        rest.split_once(']')?.0.parse().ok()
    });
    let addresses = regex(&["--out", "ip"]);
    (
        hits.collect(),
        addresses.lines().map(str::to_owned).collect(),
    )
}

#[test]
fn every_refusal_is_a_line_that_fail2ban_reads() {
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    let ours = Authority::new("ours");
    // The pattern that is used where none is configured.
    let config = format!(
        "{{\"interface\": [\"tcp://127.0.0.1:0\", \"tcp://[::1]:0\", \"stcp://127.0.0.1:0\"], \
          \"abi\": \"v2\", \"path-users\": {:?}, \"encryption\": \"aes256\", \"key-file\": {:?}, \
          \"tls\": {{\"certificate\": {:?}}}, \"logging\": {{\"file-path\": {log:?}}}}}",
        dialogue::users(),
        key_file(place.path()),
        ours.identity_in_one_file("localhost"),
    );
    let guid = "::1".parse().unwrap();
    let driver = Driver::open(Source { config, guid }).unwrap();
    let [address, six, secure] = driver.addresses()[..] else {
        panic!("three interfaces");
    };
    let forged =
        "x client=192.0.2.9:1 user=y reason=wrong password login refused client=192.0.2.9:1";
    for (address, user, password) in [
        (address, "admin", "wrong"),
        (address, "nobody", "secret"),
        (address, "elsewhere", "secret"),
        (address, "web", "secret"),
        (
            address,
            forged,
            "login refused client=192.0.2.9:1 user=z reason=wrong password",
        ),
        (six, "admin", "wrong"),
    ] {
        let mut client = Client::connect(address);
        client.must(&format!("user {user}"));
        assert_eq!(
            client.ask(&format!("pass {password}")),
            ["-OK - Invalid username or password."]
        );
    }
    let mut client = Client::connect(address);
    client.ask("retr 1");
    client.must("user reader");
    client.must("pass secret");
    for _ in 0..30 {
        client.ask("send 0,20,3,,,,-,1");
    }
    client.must("quit");
    // No frame, from either.
    for address in [address, six] {
        let mut client = Binary::connect(address, Strength::Aes256);
        client.send(b"user admin\r\n");
        assert_eq!(client.frame(), None);
    }
    // And no TLS.
    let mut stream = TcpStream::connect(secure).unwrap();
    stream.write_all(b"user admin\r\n").unwrap();
    let text = || fs::read_to_string(&log).unwrap();
    for words in ["commands refused", "no TLS with this client"] {
        wait_until(words, || text().contains(words));
    }
    driver.close();
    let text = text();
    let with = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!(with("login refused client=127.0.0.1:"), 5, "{text}");
    assert_eq!(with("login refused client=[::1]:"), 1, "{text}");
    for (user, reason) in [
        ("nobody", "unknown user"),
        ("elsewhere", "not from this host"),
        ("web", "no right to use this interface"),
    ] {
        assert_eq!(with(&format!("user={user} reason={reason}")), 1, "{text}");
    }
    assert_eq!(with("user=admin reason=wrong password"), 2, "{text}");
    assert_eq!(with("[info] logged in client=127.0.0.1:"), 1, "{text}");
    assert_eq!(with("command refused client=127.0.0.1:"), 20, "{text}");
    assert_eq!(
        with("user=- command=RETR reason=Need to log in"),
        1,
        "{text}"
    );
    assert_eq!(with("commands refused client=127.0.0.1:"), 1, "{text}");
    assert_eq!(with("frame refused client=127.0.0.1:"), 1, "{text}");
    assert_eq!(with("frame refused client=[::1]:"), 1, "{text}");
    assert_eq!(with("no TLS with this client"), 1, "{text}");
    assert!(with("more=11") == 1 && !text.contains("secret"), "{text}");

    // Both expressions, and nobody whom somebody else has named. Not who spoke no TLS.
    let (hits, mut addresses) = fail2ban(&log);
    assert_eq!(hits, [6, 2], "{text}");
    addresses.sort();
    let four = std::iter::repeat_n("127.0.0.1", 6);
    let six = std::iter::repeat_n("::1", 2);
    assert_eq!(addresses, four.chain(six).collect::<Vec<_>>());
}

#[test]
fn a_frame_whose_rest_does_not_come_is_a_line_too() {
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"encryption\": \"aes256\", \"key-file\": {:?}, \"response-timeout\": 2000, \
          \"logging\": {{\"file-path\": {log:?}}}}}",
        dialogue::users(),
        key_file(place.path()),
    );
    let guid = "::1".parse().unwrap();
    let driver = Driver::open(Source { config, guid }).unwrap();
    let strength = Strength::Aes256;
    let line = format!("0,20,3,,,,-,{}", vec!["7"; 512].join(","));
    let frame = event_frame(&line, Generation::V2, [7; 16], &cipher(strength));
    let refused = || {
        let text = fs::read_to_string(&log).unwrap();
        let lines = text.lines().filter(|line| {
            line.contains("[warning] frame refused client=127.0.0.1:")
                && line.ends_with(
                    " user=admin reason=the rest of it did not come within response-timeout",
                )
        });
        lines.count()
    };
    let mut half = Binary::log_in(driver.addresses()[0], strength);
    half.send(&frame[..frame.len() / 2]);
    assert_eq!(half.frame(), None);
    wait_until("it is said", || refused() == 1);
    // A byte, and before long another: all of it would take a minute.
    let mut slow = Binary::log_in(driver.addresses()[0], strength);
    for byte in &frame {
        slow.try_send(&[*byte]);
        if refused() > 1 {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(refused(), 2);
    assert_eq!(slow.frame(), None);
    assert!(driver.read(Duration::ZERO).is_err());
    driver.close();
    assert_eq!(fail2ban(&log).1, ["127.0.0.1"; 2]);
}

#[test]
fn names_of_the_users_file_cannot_look_like_lines_either() {
    const NAME: &str = "x login refused client=192.0.2.9:1 user=y";
    const SHOWN: &str = "user=x_login_refused_client_192.0.2.9_1_user_y";
    let bench = Bench::start(PLAIN);
    let credential = Credential::derive(NAME, "secret").unwrap();
    let with_rights = |rights: &str| {
        format!(
            "{{\"users\": [{{\"name\": {NAME:?}, \"password\": \"{credential}\", \
              \"rights\": \"{rights}\"}}]}}"
        )
    };
    bench.replace("users.json", &with_rights("admin"));
    bench.wait_for(&format!("configuration changed: new user {SHOWN}"));
    let address = bench.addresses()[0];
    drop(log_in(address, NAME, "secret").unwrap());
    bench.wait_for("logged out client=127.0.0.1:");
    let mut here = log_in(address, NAME, "secret").unwrap();
    bench.replace("users.json", &with_rights("user"));
    bench.wait_for(&format!("configuration changed: user {SHOWN}"));
    bench.replace("users.json", "{\"users\": []}");
    wait_until("the session ends", || here.line().is_none());
    bench.wait_for(&format!("configuration changed: user removed {SHOWN}"));
    bench.driver().close();
    let text = bench.log();
    for what in ["logged in", "logged out", "session ended"] {
        let mut lines = text.lines().filter(|line| line.contains(what));
        let line = lines.next().unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(line.contains(SHOWN), "{line}");
    }
    assert_eq!(fail2ban(&bench.path("log")), (Vec::new(), Vec::new()));
}

#[test]
fn refused_commands_of_a_websocket_are_lines_too() {
    let server = Server::start("", "");
    let refused = ["-;SF;7;", "\"command\" : \"SF\",  \"errcode\" : 7,"];
    let commands = ["C;SF;0,0,0,-;0,0,0,-", &ws2("SF", "")];
    for ((dialect, refused), command) in [Ws1, Ws2].into_iter().zip(refused).zip(commands) {
        let mut client = websocket::Client::log_in(server.address(), dialect, "reader");
        let here = client.socket.get_ref().local_addr().unwrap();
        for _ in 0..25 {
            let answer = client.ask(command);
            assert!(answer.contains(refused), "{answer}");
        }
        // One that may be asked is none of them.
        client.must("OPEN");
        drop(client);
        server.logged(&format!("commands refused client={here} "), 1);
        let log = server.log();
        let of = |words: &str| {
            let mut lines = log.lines().filter(|line| line.contains(words));
            let first = lines.next().unwrap_or_default().to_owned();
            (first, 1 + lines.count())
        };
        assert_eq!(
            of(&format!("command refused client={here} ")),
            (
                format!(
                    "info command refused client={here} user=reader command=SETFILTER \
                     reason=Not allowed to do that (check privileges)"
                ),
                20
            )
        );
        assert_eq!(
            of(&format!("commands refused client={here} ")),
            (
                format!("info commands refused client={here} user=reader more=5"),
                1
            )
        );
    }
    server.driver.close();
}

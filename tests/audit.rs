//! What the log says of logins and refusals, and that fail2ban reads it.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::wire::ws::Dialect::{Ws1, Ws2};

mod support;

use support::client::Client;
use support::dialogue;
use support::tools::{need, root, run, wait_until};
use support::websocket::{self, Server, ws2};

#[test]
fn every_refusal_is_a_line_that_fail2ban_reads() {
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    // The pattern that is used where none is configured.
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"logging\": {{\"file-path\": {log:?}}}}}",
        dialogue::users(),
    );
    let guid = "::1".parse().unwrap();
    let driver = Driver::open(Source { config, guid }).unwrap();
    let address = driver.addresses()[0];
    let forged =
        "x client=192.0.2.9:1 user=y reason=wrong password login refused client=192.0.2.9:1";
    for (user, password) in [
        ("admin", "wrong"),
        ("nobody", "secret"),
        ("elsewhere", "secret"),
        ("web", "secret"),
        (
            forged,
            "login refused client=192.0.2.9:1 user=z reason=wrong password",
        ),
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
    let text = || fs::read_to_string(&log).unwrap();
    wait_until("the session is summed up", || {
        text().contains("commands refused")
    });
    driver.close();
    let text = text();
    let with = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!(with("login refused client=127.0.0.1:"), 5, "{text}");
    for (user, reason) in [
        ("admin", "wrong password"),
        ("nobody", "unknown user"),
        ("elsewhere", "not from this host"),
        ("web", "no right to use this interface"),
    ] {
        assert_eq!(with(&format!("user={user} reason={reason}")), 1, "{text}");
    }
    assert_eq!(with("[info] logged in client=127.0.0.1:"), 1, "{text}");
    assert_eq!(with("command refused client=127.0.0.1:"), 20, "{text}");
    assert_eq!(
        with("user=- command=RETR reason=Need to log in"),
        1,
        "{text}"
    );
    assert_eq!(with("commands refused client=127.0.0.1:"), 1, "{text}");
    assert!(with("more=11") == 1 && !text.contains("secret"), "{text}");

    let output = run(Command::new(need("fail2ban-regex"))
        .arg("--print-all-matched")
        .arg(&log)
        .arg(root().join("contrib/fail2ban/filter.d/vscp-link.conf")));
    assert!(output.contains("5 matched"), "{output}");
    assert!(!output.contains("192.0.2.9 "), "{output}");
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

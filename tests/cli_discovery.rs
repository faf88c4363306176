//! `vscp-link discover` and `links`, against drivers that run.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::process::{Command, Output};

mod support;

use support::certificates::Authority;
use support::datagrams::{GUID, port_of};
use support::far_end::{FarEnd, Said};
use support::mosquitto::{Mosquitto, free_port, publish};
use support::network::{self, Neighbour};
use support::program::End;
use support::reload::Bench;
use support::tools::wait_until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vscp-link");

fn end(output: Output) -> End {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn vscp_link(words: &str) -> End {
    let mut command = Command::new(PROGRAM);
    command
        .args(words.split(' '))
        .env_remove("VSCP_LINK_PASSWORD");
    end(command.output().unwrap())
}

fn row(cells: [&str; 5], widths: [usize; 4]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line += &format!("{cell:<width$}  ");
    }
    line + cells[4] + "\n"
}

#[test]
fn servers_that_answer_are_listed_once() {
    let members = "\"interface\": \"127.0.0.1:0\", \
                   \"discovery\": {\"enable\": true, \"interface\": \"udp://127.0.0.1:0\"}";
    let bench = Bench::with_guid(GUID, members);
    bench.wait_for("answering who asks");
    let at = port_of(&bench.log()).unwrap().port();
    let words = format!("discover --interface 127.0.0.1 --timeout 1 --port {at}");
    let (code, stdout, stderr) = vscp_link(&words);
    let link = bench.addresses()[0].port().to_string();
    let widths = [9, 5.max(link.len()), 7, 18];
    let header = ["ADDRESS", "PORT", "SERVICE", "CAPABILITIES", "GUID"];
    let found = ["127.0.0.1", &link, "link", "IPv4, many clients", GUID];
    assert_eq!(stdout, row(header, widths) + &row(found, widths));
    assert_eq!((code, &*stderr), (0, ""));
    // By name alone: that group has no member.
    let words = words.replace("discover", "discover --group 239.1.2.3");
    let (code, named, _) = vscp_link(&format!("{words} localhost"));
    assert_eq!((code, named), (0, stdout));
}

#[test]
fn nobody_is_an_error() {
    let nobody = free_port();
    let words = format!("discover --interface 127.0.0.1 --timeout 1 --port {nobody}");
    let (code, stdout, stderr) = vscp_link(&words);
    assert_eq!((code, &*stdout), (1, ""));
    assert_eq!(stderr, "vscp-link: no server answers\n");
    for (words, expected) in [
        ("discover --group 10.0.0.1", "224.0.0.0 to 239.255.255.255"),
        ("discover --port 0", "'--port <PORT>'"),
        ("discover --timeout 0", "'--timeout <SECONDS>'"),
        ("discover --interface ::1", "'--interface <ADDRESS>'"),
    ] {
        let (code, _, stderr) = vscp_link(words);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(expected), "{words}: {stderr}");
    }
    let (code, _, stderr) = vscp_link("discover --interface 203.0.113.1");
    assert_eq!(code, 1);
    assert!(
        stderr.contains("203.0.113.1 cannot be asked from"),
        "{stderr}"
    );
}

/// From another machine, over a network of its own.
#[test]
fn a_neighbour_finds_the_server_by_broadcast_and_by_the_group() {
    network::apart(
        "a_neighbour_finds_the_server_by_broadcast_and_by_the_group",
        || {
            let members =
                "\"interface\": \"9598\", \"debug\": true, \"discovery\": {\"enable\": true}";
            let bench = Bench::with_guid(GUID, members);
            bench.wait_for("answering who asks");
            // It comes later than the driver, which is a member there some seconds later.
            let neighbour = Neighbour::new("192.168.7.1/24", "192.168.7.2/24");
            let ask = |words: &str| {
                let mut command = neighbour.command(PROGRAM);
                end(command.args(words.split(' ')).output().unwrap())
            };
            let broadcast = "discover --timeout 1 --group 239.1.2.3";
            wait_until("it is found by broadcast", || ask(broadcast).0 == 0);
            let (_, stdout, stderr) = ask(broadcast);
            let widths = [11, 4, 7, 18];
            let header = ["ADDRESS", "PORT", "SERVICE", "CAPABILITIES", "GUID"];
            let found = ["192.168.7.1", "9598", "link", "IPv4, many clients", GUID];
            assert_eq!(
                stdout,
                row(header, widths) + &row(found, widths),
                "{stderr}"
            );
            bench.wait_for("a member of 224.0.23.158 at 192.168.7.1");
            let before = bench.log().matches("asked for servers").count();
            let (_, stdout, _) = ask("discover --timeout 2");
            assert_eq!(stdout, row(header, widths) + &row(found, widths));
            // Twice by broadcast, twice by the group.
            bench.wait_for_times("heard=192.168.7.1", before + 4);
        },
    );
}

fn status(port: u16, more: &str) -> String {
    format!(
        "\"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {port}, {more} \
          \"status\": {{\"topic\": \"vscp/{{{{ifguid}}}}/status\", \"interval\": 1}}, \
          \"publish\": [\"events\"]}}"
    )
}

#[test]
fn links_are_shown() {
    let broker = Mosquitto::start();
    let far = FarEnd::start(|_, _| Said::Text("+OK - Success.\r\n".to_owned()));
    let nobody = free_port();
    let links = format!(
        "\"links\": [{{\"name\": \"cabin\", \"host\": \"{}\", \"user\": \"me\", \"password\": \"it\"}}, \
          {{\"name\": \"gone\", \"host\": \"127.0.0.1:{nobody}\", \"user\": \"me\", \"password\": \"it\"}}]",
        far.address()
    );
    let members = format!(
        "\"interface\": \"127.0.0.1:0\", {}",
        status(broker.port(), "")
    );
    let bench = Bench::with_guid(GUID, &format!("{members}, {links}"));
    let other = Bench::with_guid("::7", &members);
    let words = format!("links --broker 127.0.0.1:{}", broker.port());
    let mut shown = Default::default();
    wait_until("both are there, and the link is up", || {
        shown = vscp_link(&words);
        shown.1.contains(", no links") && shown.1.contains(" yes ") && shown.1.contains("refused")
    });
    let (code, stdout, stderr) = shown;
    assert_eq!((code, &*stderr), (0, ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], format!("{GUID} online"));
    let cells =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(
        cells(lines[1]),
        [
            "NAME", "PLACE", "UP", "WAITING", "SENT", "RECEIVED", "DROPPED", "TROUBLE"
        ]
    );
    let place = far.address().to_string();
    assert_eq!(
        cells(lines[2]),
        ["cabin", &place, "yes", "0", "0", "0", "0"]
    );
    let gone = cells(lines[3]);
    let place = format!("127.0.0.1:{nobody}");
    assert_eq!(gone[..7], ["gone", &place, "no", "0", "0", "0", "0"]);
    assert!(lines[3].contains("no connection: "), "{stdout}");
    assert_eq!(lines[4], "");
    assert_eq!(
        lines[5],
        "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:07 online, no links"
    );
    assert_eq!(lines.len(), 6);
    // One alone, by its own topic.
    let (code, stdout, _) = vscp_link(&format!("{words} --topic vscp/{GUID}/status"));
    assert_eq!((code, stdout.lines().count()), (0, 4));
    drop((bench, other));
    let (code, stdout, _) = vscp_link(&format!("{words} --topic vscp/{GUID}/status"));
    assert_eq!((code, stdout), (0, format!("{GUID} offline\n")));
}

#[test]
fn where_there_is_no_status_that_is_said() {
    let broker = Mosquitto::start();
    let words = format!("links --broker 127.0.0.1:{}", broker.port());
    let (code, stdout, stderr) = vscp_link(&words);
    assert_eq!((code, &*stdout), (1, ""));
    assert!(
        stderr.contains("keeps no status document under vscp/+/status"),
        "{stderr}"
    );
    publish_retained(broker.port(), "a/b", "{\"state\": 1}");
    publish(broker.port(), "a/c", "{\"state\": \"online\"}");
    let (code, _, stderr) = vscp_link(&format!("{words} --topic a/#"));
    assert_eq!(code, 1);
    assert!(stderr.contains("a/b is no status document"), "{stderr}");
    let nobody = free_port();
    let (code, _, stderr) = vscp_link(&format!("links --broker 127.0.0.1:{nobody}"));
    assert_eq!(code, 1);
    assert!(
        stderr.contains("the broker 127.0.0.1:") && stderr.contains("refused"),
        "{stderr}"
    );
    let (code, _, stderr) = vscp_link("links --broker http://a");
    assert_eq!(code, 2);
    assert!(stderr.contains("only mqtt:// and mqtts:// can"), "{stderr}");
    let (code, _, stderr) = vscp_link("links --insecure");
    assert_eq!(code, 2);
    assert!(
        stderr.contains("write the broker as mqtts://HOST"),
        "{stderr}"
    );
}

fn publish_retained(port: u16, topic: &str, payload: &str) {
    let port = port.to_string();
    let mut command = Command::new(support::tools::need("mosquitto_pub"));
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-r",
        "-q",
        "1",
        "-t",
        topic,
        "-m",
        payload,
    ]);
    assert!(command.status().unwrap().success());
}

#[test]
fn the_broker_may_want_a_login_and_tls() {
    let document = format!("{{\"state\": \"online\", \"guid\": \"{GUID}\"}}");
    let broker = Mosquitto::with_login("me", "secret");
    let words = format!(
        "links --broker 127.0.0.1:{} --topic t --user me",
        broker.port()
    );
    let port = broker.port().to_string();
    let mut command = Command::new(support::tools::need("mosquitto_pub"));
    command.args(["-h", "127.0.0.1", "-p", &port, "-u", "me", "-P", "secret"]);
    command.args(["-r", "-q", "1", "-t", "t", "-m", &document]);
    assert!(command.status().unwrap().success());
    let (code, stdout, stderr) = vscp_link(&format!("{words} --password secret"));
    assert_eq!(stdout, format!("{GUID} online, no links\n"));
    assert_eq!((code, &*stderr), (0, ""));
    let (code, _, stderr) = vscp_link(&format!("{words} --password wrong"));
    assert_eq!(code, 1);
    assert!(
        stderr.contains("the broker refused the connection"),
        "{stderr}"
    );
    let authority = Authority::new("ours");
    let identity = authority.identity("localhost");
    let secure = free_port();
    let secured = Mosquitto::with(&format!(
        "allow_anonymous true\nlistener {secure} 127.0.0.1\ncertfile {}\nkeyfile {}",
        identity.certificate.display(),
        identity.key.display()
    ));
    publish_retained(secured.port(), "t", &document);
    let words = format!("links --broker mqtts://localhost:{secure} --topic t");
    let ca = authority.file();
    let (code, stdout, stderr) = vscp_link(&format!("{words} --ca-file {}", ca.display()));
    assert_eq!(stdout, format!("{GUID} online, no links\n"), "{stderr}");
    assert_eq!(code, 0);
    let other = Authority::new("other");
    let file = other.file();
    let (code, _, stderr) = vscp_link(&format!("{words} --ca-file {}", file.display()));
    assert_eq!(code, 1);
    assert!(stderr.contains("UnknownIssuer"), "{stderr}");
}

//! `vscp-link run` and `check`, as people start them.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

mod support;

use support::client::Client;
use support::dialogue;
use support::mosquitto::{Subscriber, free_port};
use support::program::key_file;
use support::tools::{PATIENCE, library, root, wait_until};

struct Running {
    process: Child,
    /// What it printed up to `Ctrl-C ends it.`
    printed: Vec<String>,
}

impl Running {
    fn start(words: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
            .arg("run")
            .arg("--library")
            .arg(library())
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let mut running = Self {
            process,
            printed: Vec::new(),
        };
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            if line == "Ctrl-C ends it." {
                return running;
            }
            running.printed.push(line);
        }
        panic!("it ended: {:?}", running.printed);
    }

    fn value(&self, key: &str) -> &str {
        let line = self.printed.iter().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in {:?}", self.printed))
    }

    /// Ctrl-C.
    fn interrupt(mut self) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_supervisor_is_told_when_clients_can_come_and_when_it_ends() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vscp-link"));
    command.arg("run").arg("--library").arg(library());
    command.args(["--port", &port.to_string()]);
    command.stdout(Stdio::null()).env("NOTIFY_SOCKET", &path);
    let running = Running {
        process: command.spawn().unwrap(),
        printed: Vec::new(),
    };
    let heard = || {
        let mut buffer = [0; 64];
        let length = supervisor.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    Client::log_in(([127, 0, 0, 1], port).into());
    running.interrupt();
    assert_eq!(heard(), "STOPPING=1");
}

#[test]
fn the_demonstration_needs_nothing_and_lets_two_clients_meet() {
    let port = free_port().to_string();
    let running = Running::start(&["--port", &port]);
    let address: SocketAddr = running.value("clients: ").parse().unwrap();
    let broker: SocketAddr = running.value("broker: ").parse().unwrap();
    assert_eq!(
        (running.value("user: "), running.value("password: ")),
        ("admin", "secret")
    );
    assert_eq!(
        running
            .printed
            .iter()
            .filter(|line| line.starts_with("  "))
            .count(),
        3
    );
    let subscriber = Subscriber::start(broker.port(), "vscp/#", 0);
    let (mut one, mut two) = (Client::log_in(address), Client::log_in(address));
    two.must("rcvloop");
    one.must("send 0,20,3,,,,-,0,1,35");
    assert!(two.event().ends_with(",0x00,0x01,0x23"));
    assert!(
        subscriber
            .message()
            .0
            .starts_with("vscp/FF:FF:FF:FF:FF:FF:FF:F5")
    );
    let place = std::env::temp_dir().join(format!("vscp-link-{}", running.process.id()));
    assert!(place.is_dir());
    running.interrupt();
    assert!(!place.exists(), "nothing is left behind");
}

#[test]
fn a_daemons_file_is_run_as_the_daemon_would() {
    let place = TempDir::new().unwrap();
    let (driver, daemon) = (
        place.path().join("link.json"),
        place.path().join("vscpd.json"),
    );
    let port = free_port();
    let own = format!(
        "{{\"interface\": \"127.0.0.1:{port}\", \"path-users\": {:?}, \
          \"logging\": {{\"file-path\": {:?}}}}}",
        dialogue::users(),
        place.path().join("log"),
    );
    fs::write(&driver, own).unwrap();
    let entry = |mqtt: &str| daemons_file(&driver, mqtt);
    // No broker is named: there is one while this runs.
    fs::write(&daemon, entry("")).unwrap();
    let running = Running::start(&[daemon.to_str().unwrap()]);
    let mut client = Client::log_in(([127, 0, 0, 1], port).into());
    assert!(client.must("ggid")[0].starts_with("FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:01"));
    client.must("rcvloop");
    client.must("send 0,20,3,,,,-,5");
    assert!(client.event().ends_with(",0x05"));
    running.interrupt();
    // The entry's own section is found by path and GUID.
    let broker = support::mosquitto::Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), "of/#", 1);
    let mqtt = format!(
        ", \"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {}, \"clientid\": \"d\", \
           \"publish\": [{{\"topic\": \"of/{{{{ifguid[15]}}}}/{{{{driver-name}}}}\", \"qos\": 1}}], \
           \"subscribe\": []}}",
        broker.port()
    );
    fs::write(&daemon, entry(&mqtt)).unwrap();
    let running = Running::start(&[daemon.to_str().unwrap()]);
    let mut client = Client::log_in(([127, 0, 0, 1], port).into());
    client.must("send 0,20,3,,,,-,5");
    assert_eq!(subscriber.message().0, "of/9/link");
    // Half a file is no file without an entry: nothing changes, and the session goes on.
    let log = || fs::read_to_string(place.path().join("log")).unwrap();
    fs::write(&daemon, &entry(&mqtt)[..150]).unwrap();
    wait_until("the broken file is noticed", || {
        log().contains("a file has changed and has errors")
    });
    client.must("send 0,20,3,,,,-,5");
    assert_eq!(subscriber.message().0, "of/9/link");
    fs::write(&daemon, entry(&mqtt.replace("driver-name", "class"))).unwrap();
    wait_until("the new topic is used", || {
        log().contains("configuration changed: the broker")
    });
    wait_until("an event is taken", || {
        client.ask("send 0,20,3,,,,-,5") == ["+OK - Success."]
    });
    assert_eq!(subscriber.message().0, "of/9/20");
    running.interrupt();
}

/// A daemon's file whose only entry has this file as its driver's.
fn daemons_file(driver: &Path, more: &str) -> String {
    format!(
        "{{\"drivers\": {{\"level1\": [], \"level2\": [{{\"enable\": true, \"name\": \"link\", \
          \"path-driver\": \"/nowhere/libvscpl2drv-link.so\", \"path-config\": {driver:?}, \
          \"guid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:09\"{more}}}]}}}}"
    )
}

#[test]
fn the_commands_that_it_prints_work() {
    let place = TempDir::new().unwrap();
    let (driver, daemon) = (
        place.path().join("link.json"),
        place.path().join("vscpd.json"),
    );
    let key = key_file(place.path(), "a key", &"5a".repeat(16), 0o600);
    fs::write(&daemon, daemons_file(&driver, "")).unwrap();
    let web = format!("ws://localhost:{}", free_port());
    for (interface, hosts) in [
        (web.clone(), &["ws1://"][..]),
        (format!("127.0.0.1:{}, {web}", free_port()), &["127", "ws1"]),
    ] {
        let own = format!(
            "{{\"interface\": {interface:?}, \"path-users\": {:?}, \"key-file\": {key:?}, \
              \"logging\": {{\"file-enable-log\": false}}}}",
            dialogue::users(),
        );
        fs::write(&driver, own).unwrap();
        let running = Running::start(&[daemon.to_str().unwrap()]);
        let sends = running
            .printed
            .iter()
            .filter(|line| line.contains(" send "));
        let sends: Vec<&String> = sends.collect();
        assert_eq!(sends.len(), hosts.len(), "{:?}", running.printed);
        for (send, host) in sends.iter().zip(hosts) {
            assert!(send.contains(&format!(" --host {host}")), "{send}");
            let monitor = send.replace(" send ", " monitor ");
            let monitor = monitor.rsplit_once(' ').unwrap().0;
            assert!(running.printed.iter().any(|line| line == monitor));
            // As somebody copies it, with a name.
            let command = send.replace("NAME", "admin --password secret");
            let sent = Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(sent.stdout, b"+OK - Success.\n", "{command}: {sent:?}");
        }
        // Who speaks to a websocket by telnet gets no answer.
        let telnet = running.printed.iter().any(|line| line.contains("telnet"));
        assert_eq!(telnet, hosts.len() == 2, "{:?}", running.printed);
        running.interrupt();
    }
}

fn check(files: &[&Path]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vscp-link"));
    let output = command.arg("check").args(files).output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

#[test]
fn check_prints_every_problem_with_its_place() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("link.json");
    fs::write(
        &file,
        "{\n  \"interface\": \"stcp://x\",\n  \"max-client\": 3\n}",
    )
    .unwrap();
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let (text, code) = check(&[&file]);
    let name = file.display();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(&format!("{name}:2:16: error: interface: TLS")),
        "{text}"
    );
    assert!(
        lines[1].starts_with(&format!("{name}:3:17: warning: max-client:")),
        "{text}"
    );
    assert_eq!(lines[2], "1 file: 1 error, 1 warning");
    assert_eq!(code, Some(1));
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
    let users = root().join("config-samples/users.json");
    assert_eq!(
        check(&[&users]),
        ("1 file: 0 errors, 0 warnings\n".to_owned(), Some(0))
    );
    let (text, code) = check(&[Path::new("/nowhere.json")]);
    assert!(
        text.starts_with("/nowhere.json: error: cannot be read"),
        "{text}"
    );
    assert_eq!(code, Some(1));
}

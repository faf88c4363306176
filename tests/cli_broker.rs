//! The program's broker, as mosquitto's clients see it.

// Tests may fail where they like; the lint only knows functions that are marked as tests.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

struct Broker {
    child: Child,
    stdin: Option<ChildStdin>,
    port: String,
}

impl Broker {
    fn new() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
            .args(["broker", "--listen", "127.0.0.1:0", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim_end()
            .strip_prefix("listening on 127.0.0.1:")
            .unwrap();
        Self {
            port: port.to_owned(),
            stdin: child.stdin.take(),
            child,
        }
    }

    fn client(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port])
            .args(args);
        command
    }

    fn publish(&self, args: &[&str]) {
        let status = self.client("mosquitto_pub", args).status();
        assert!(status.expect(INSTALL).success(), "{args:?}");
    }

    /// Ends it the way that a script does.
    fn stop(&mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// A client that does not outlive its test: mosquitto_pub would try for ever to connect again.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const INSTALL: &str = "mosquitto's clients must be installed: apt-get install mosquitto-clients";

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn retained_messages_of_every_qos() {
    let mut broker = Broker::new();
    for qos in ["0", "1", "2"] {
        broker.publish(&["-t", &format!("vscp/{qos}"), "-q", qos, "-r", "-m", qos]);
    }
    // A QoS 0 PUBLISH has no answer: this waits until the broker has read it.
    broker.publish(&["-t", "vscp/0", "-q", "1", "-r", "-m", "0"]);
    let args = ["-v", "-t", "vscp/#", "-q", "2", "-C", "3", "-W", "20"];
    let output = broker
        .client("mosquitto_sub", &args)
        .output()
        .expect(INSTALL);
    assert_eq!(text(&output), "vscp/0 0\nvscp/1 1\nvscp/2 2\n");
    broker.stop();
}

#[test]
fn live_messages_in_their_order_and_the_will() {
    let mut broker = Broker::new();
    broker.publish(&["-t", "a/ready", "-q", "1", "-r", "-m", "now"]);
    let mut subscriber = broker
        .client(
            "mosquitto_sub",
            &[
                "-v", "-t", "a/+", "-t", "will", "-q", "1", "-C", "203", "-W", "20",
            ],
        )
        .stdout(Stdio::piped())
        .spawn()
        .expect(INSTALL);
    let mut messages = BufReader::new(subscriber.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    // The retained message says that the subscription stands.
    assert_eq!(messages.next().as_deref(), Some("a/ready now"));

    let publish = |args: &[&str]| {
        let all = [&["-t", "a/b", "-q", "1", "-l"], args].concat();
        let mut child = broker
            .client("mosquitto_pub", &all)
            .stdin(Stdio::piped())
            .spawn()
            .expect(INSTALL);
        (child.stdin.take().unwrap(), Killed(child))
    };
    let (mut input, mut publisher) = publish(&[]);
    for n in 0..200 {
        writeln!(input, "{n}").unwrap();
    }
    drop(input);
    for n in 0..200 {
        assert_eq!(messages.next(), Some(format!("a/b {n}")));
    }
    assert!(publisher.0.wait().unwrap().success());

    let (mut input, publisher) = publish(&["--will-topic", "will", "--will-payload", "gone"]);
    writeln!(input, "here").unwrap();
    assert_eq!(messages.next().as_deref(), Some("a/b here"));
    drop(publisher);
    assert_eq!(messages.next().as_deref(), Some("will gone"));
    subscriber.wait().unwrap();
    broker.stop();
}

#[test]
fn large_messages_arrive() {
    let mut broker = Broker::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    let payload = vec![b'x'; 1_000_000];
    std::fs::write(file.path(), &payload).unwrap();
    let path = file.path().to_str().unwrap();
    broker.publish(&["-t", "large", "-q", "1", "-r", "-f", path]);
    let args = ["-N", "-t", "large", "-C", "1", "-W", "20"];
    let output = broker
        .client("mosquitto_sub", &args)
        .output()
        .expect(INSTALL);
    assert_eq!(output.stdout, payload);
    broker.stop();
}

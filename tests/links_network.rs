//! A link between two machines, and a wire between them that is cut: each in a network of its own.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

mod support;

use support::bench;
use support::client::Client;
use support::dialogue;
use support::linked::{Seen, Server};
use support::mosquitto::{Mosquitto, Subscriber};
use support::network::{self, Neighbour, ip};
use support::tools::{PATIENCE, need, root, wait_until};

const COUNT: usize = 5000;
const FAR: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 7, 2)),
    9598,
);

/// A program of the neighbour's, which ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A broker and a driver, run by the program, on another machine.
fn far(neighbour: &Neighbour, place: &Path) -> [Program; 3] {
    let start = |program: &str, args: &[&str], output: &str| {
        let mut command = neighbour.command(need(program).to_str().unwrap());
        let output = File::create(place.join(output)).unwrap();
        let child = command.args(args).stdout(output).spawn().unwrap();
        Program(child)
    };
    let settings = place.join("mosquitto.conf");
    let lines = "listener 1883 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n";
    fs::write(&settings, lines).unwrap();
    let broker = start("mosquitto", &["-c", settings.to_str().unwrap()], "broker");
    let events = ["-h", "127.0.0.1", "-t", "ev", "-q", "1", "-i", "seen", "-c"];
    wait_until("its broker is there", || {
        let mut one = neighbour.command(need("mosquitto_sub").to_str().unwrap());
        one.args(events).arg("-E").status().unwrap().success()
    });
    let seen = start("mosquitto_sub", &events, "seen");
    let driver = format!(
        "{{\"interface\": \"tcp://{FAR}\", \"path-users\": {:?}, \"max-out-queue\": 1000000, \
           \"mqtt\": {{\"host\": \"127.0.0.1\", \"reconnect\": {{\"delay\": 1}}, \
             \"publish\": [{{\"topic\": \"ev\", \"qos\": 1, \"format\": \"string\"}}], \
             \"subscribe\": [{{\"topic\": \"ev\", \"qos\": 1}}]}}, \
           \"logging\": {{\"file-path\": {:?}}}}}",
        dialogue::users(),
        place.join("log"),
    );
    fs::write(place.join("link.json"), driver).unwrap();
    let daemon = format!(
        "{{\"drivers\": {{\"level2\": [{{\"enable\": true, \"name\": \"far\", \
           \"path-driver\": {:?}, \"path-config\": {:?}, \
           \"guid\": \"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:02:00:00:00:00\"}}]}}}}",
        support::tools::library(),
        place.join("link.json"),
    );
    fs::write(place.join("vscpd.json"), daemon).unwrap();
    let run = neighbour
        .command(env!("CARGO_BIN_EXE_vscp-link"))
        .args(["run", place.join("vscpd.json").to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(File::create(place.join("run")).unwrap())
        .current_dir(root())
        .spawn()
        .unwrap();
    [broker, seen, Program(run)]
}

/// Somebody there publishes numbered events, as if they came in at that driver.
fn publish_there(neighbour: &Neighbour) -> Child {
    let mut publisher: Child = neighbour
        .command(need("mosquitto_pub").to_str().unwrap())
        .args(["-h", "127.0.0.1", "-t", "ev", "-q", "1", "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = publisher.stdin.take().unwrap();
    thread::spawn(move || {
        for n in 0..COUNT {
            let guid = "FF:FF:FF:FF:FF:FF:FF:FC:00:00:00:02:00:00:00:07";
            let data = format!("{:#04x},{:#04x},{:#04x}", n >> 16, n >> 8 & 255, n & 255);
            let line = format!("0,20,3,0,2026-01-02T03:04:05Z,0,{guid},{data}\n");
            input.write_all(line.as_bytes()).unwrap();
        }
    });
    publisher
}

#[test]
fn a_wire_that_is_cut_in_mid_stream() {
    network::apart("a_wire_that_is_cut_in_mid_stream", || {
        let place = tempfile::TempDir::new().unwrap();
        let neighbour = Neighbour::new("192.168.7.1/24", "192.168.7.2/24");
        let _programs = far(&neighbour, place.path());
        let broker = Mosquitto::start();
        let subscriber = Subscriber::start(broker.port(), "ev", 1);
        wait_until("the far driver is there", || bench::answers(FAR));
        wait_until("it has its broker", || {
            Client::log_in(FAR)
                .ask("test")
                .iter()
                .any(|line| line.contains("uplink") && line.contains("passed"))
        });
        let members = ", \"response-timeout\": 1000";
        let host = FAR.ip().to_string();
        let mut near = Server::start_to(&host, 1, broker.port(), &[("far", FAR.port(), members)]);
        near.is_linked();
        let mut publisher = publish_there(&neighbour);
        let address = near.address();
        let half = COUNT / 2;
        let sender = thread::spawn(move || {
            assert_eq!(bench::persist(address, 0..half, |_| ()), None);
            // The rest while there is no wire.
            thread::sleep(Duration::from_secs(2));
            assert_eq!(bench::persist(address, half..COUNT, |_| ()), None);
        });
        wait_until("it is in mid-stream", || near.sent("far") > 500);
        // What is sent now goes nowhere, and nobody says so.
        let cut = |how: &str| {
            let mut command: Command = neighbour.command(need("ip").to_str().unwrap());
            assert!(
                command
                    .args(["link", "set", "far", how])
                    .status()
                    .unwrap()
                    .success()
            );
        };
        cut("down");
        for why in ["said nothing for 1 s", "said nothing for 10 s"] {
            wait_until("each side has noticed", || near.left(why) > 0);
        }
        cut("up");
        ip("neigh flush dev near");
        near.is_linked();
        sender.join().unwrap();
        assert!(publisher.wait().unwrap().success());
        let mut seen = Seen::default();
        seen.collect(&subscriber, 2 * COUNT);
        seen.each_once();
        let there = place.path().join("seen");
        let all = || {
            let mut seen = Seen::default();
            let text = fs::read_to_string(&there).unwrap();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().for_each(|line| seen.note(line));
            seen
        };
        let begun = Instant::now();
        while all().different() < 2 * COUNT {
            assert!(begun.elapsed() < PATIENCE, "{}", all().gaps());
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(1500));
        all().each_once();
        near.close();
    });
}

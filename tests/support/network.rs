//! A network of a test's own, where it may have the addresses that it likes.

use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use super::tools::{need, run};

/// Says that this is the inside.
const INSIDE: &str = "VSCP_LINK_TEST_NETWORK";

/// Runs the test with this name in a network of its own: the test program is started again there,
/// with nothing but this test in it.
pub fn apart(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return test();
    }
    let mut command = Command::new(need("unshare"));
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "in a network namespace, which takes root, or a system that lets its users have their own \
         (unshare --user --map-root-user --net true): {}\n{text}\n{errors}",
        output.status
    );
}

/// `ip`, with these words.
pub fn ip(words: &str) {
    run(Command::new(need("ip")).args(words.split(' ')));
}

/// Another machine: a network of its own again, with a wire to this one.
pub struct Neighbour {
    process: Child,
}

impl Neighbour {
    /// `near` is our address on the wire, `far` is theirs, each with the length of its prefix.
    pub fn new(near: &str, far: &str) -> Self {
        let process = Command::new(need("unshare"))
            .args(["--net", "--", "sh", "-c", "echo; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut neighbour = Self { process };
        let mut ready = [0; 1];
        let output = neighbour.process.stdout.as_mut().unwrap();
        std::io::Read::read_exact(output, &mut ready).unwrap();
        let pid = neighbour.process.id();
        ip("link add near type veth peer name far");
        ip(&format!("link set far netns {pid}"));
        ip(&format!("addr add {near} broadcast + dev near"));
        ip("link set near up");
        let theirs = |words: &str| {
            run(neighbour
                .command(need("ip").to_str().unwrap())
                .args(words.split(' ')));
        };
        theirs("link set lo up");
        theirs(&format!("addr add {far} broadcast + dev far"));
        theirs("link set far up");
        neighbour
    }

    /// A program that runs there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(need("nsenter"));
        command
            .args(["--net", "--target", &self.process.id().to_string(), "--"])
            .arg(program);
        command
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

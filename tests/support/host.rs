//! The C host, compiled by the system's compiler.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::tools::{library, need, root, run};

/// The two layouts of `vscpEvent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Classic,
    V2,
}

/// Compiles the host for a layout, into a directory of the test's.
pub fn compile(layout: Layout, into: &Path) -> PathBuf {
    let program = into.join(match layout {
        Layout::Classic => "host-classic",
        Layout::V2 => "host-v2",
    });
    let mut compiler = Command::new(need("gcc"));
    compiler.args([
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        "-g",
        "-O1",
    ]);
    if layout == Layout::V2 {
        compiler.arg("-DVSCP_LINK_ABI_V2");
    }
    compiler
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("tests/host/host.c"));
    run(compiler.arg("-o").arg(&program).args(["-ldl", "-lpthread"]));
    program
}

/// A host in `serve` mode: the library as the daemon sees it.
pub struct Host {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Host {
    /// Opens a driver with a configuration, a path or JSON.
    pub fn start(program: &Path, config: &str) -> Self {
        Self::start_as(Command::new(program), config)
    }

    /// The same in a process that cannot make a file larger than so many blocks of 512 bytes.
    pub fn start_with_small_files(program: &Path, config: &str, blocks: u32) -> Self {
        Self::start_after(
            &format!("trap '' XFSZ; ulimit -f {blocks}"),
            program,
            config,
        )
    }

    /// The same in a process that can open so many descriptors.
    pub fn start_with_descriptors(program: &Path, config: &str, most: usize) -> Self {
        Self::start_after(&format!("ulimit -n {most}"), program, config)
    }

    /// The same where the shell has done something to the process before.
    fn start_after(prelude: &str, program: &Path, config: &str) -> Self {
        let script = format!("{prelude}; exec \"$0\" \"$@\"");
        let mut shell = Command::new(need("dash"));
        shell.args(["-c", &script]).arg(program);
        Self::start_as(shell, config)
    }

    /// The same by a command that has been given what the host shall find.
    pub fn start_as(mut command: Command, config: &str) -> Self {
        let mut process = command
            .arg("serve")
            .arg(library())
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the host starts");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("a pipe was asked for"));
        let mut host = Self {
            process,
            input,
            output,
        };
        assert_eq!(host.line(), "ready");
        host
    }

    /// Stands where a host was and another one will be.
    pub fn start_later() -> Self {
        let mut process = Command::new("true")
            .stdout(Stdio::piped())
            .spawn()
            .expect("true is there");
        let output = BufReader::new(process.stdout.take().expect("a pipe was asked for"));
        Self {
            process,
            input: None,
            output,
        }
    }

    /// The process, to look at or to kill.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(folder).expect("the host runs").count()
    }

    /// How often its threads have been put to work.
    pub fn switches(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid()));
        let tasks = tasks.expect("the host runs").flatten();
        let of_one = |task: std::fs::DirEntry| -> u64 {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let counts = status
                .lines()
                .filter(|line| line.contains("voluntary_ctxt_switches"));
            counts
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum()
        };
        tasks.map(of_one).sum()
    }

    /// Says something and gives the answer.
    pub fn ask(&mut self, line: &str) -> String {
        let input = self.input.as_mut().expect("the host listens");
        writeln!(input, "{line}").expect("the host listens");
        self.line()
    }

    /// The host calls VSCPRead until an event comes.
    pub fn read(&mut self) -> String {
        let answer = self.ask("read 20000");
        answer
            .strip_prefix("event ")
            .unwrap_or_else(|| panic!("no event: {answer}"))
            .to_owned()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the host speaks");
        line.trim_end().to_owned()
    }

    /// Ends the host, which must end well.
    pub fn end(mut self) {
        drop(self.input.take());
        let status = self.process.wait().expect("the host ends");
        assert!(status.success(), "{status}");
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

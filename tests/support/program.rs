//! The program `vscp-link`, as people call it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// What a program left behind: exit code, stdout, stderr.
pub type End = (i32, String, String);

/// Starts `send` or `monitor`; `words` are divided at blanks.
pub fn start(words: &str, host: &str, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vscp-link"))
        .args(words.split(' '))
        .args(["--host", host])
        .args(args)
        .env("VSCP_LINK_PASSWORD", "secret")
        .env_remove("VSCP_LINK_USER")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for its end.
pub fn end(child: Child) -> End {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        stderr,
    )
}

/// Runs it to its end.
pub fn run(words: &str, host: &str, args: &[&str]) -> End {
    end(start(words, host, args))
}

/// Ctrl-C.
pub fn interrupt(child: &Child) {
    let mut kill = Command::new("kill");
    kill.arg("-INT").arg(child.id().to_string());
    assert!(kill.status().unwrap().success());
}

/// Runs the load generator with these words, to its end, which must have this code: its report.
pub fn bench(words: &str, host: impl ToString, code: i32) -> Value {
    let host = host.to_string();
    let words = format!("bench {words} --user admin --json");
    let (found, stdout, stderr) = run(&words, &host, &[]);
    assert_eq!(found, code, "{stdout}{stderr}");
    // No terminal: no progress.
    assert_eq!(stderr.lines().count(), usize::from(code == 1), "{stderr}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    serde_json::from_str(&stdout).unwrap()
}

/// A key file.
pub fn key_file(place: &Path, name: &str, digits: &str, mode: u32) -> PathBuf {
    let path = place.join(name);
    fs::write(&path, digits).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

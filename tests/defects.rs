//! What older drivers got wrong: that each has its test, and the tests that have no better place.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod support;

use support::client::Client;
use support::tools::root;

/// Where a test of this name may be: `control::name`, `driver::tests::name`.
fn places(path: &[&str]) -> Vec<PathBuf> {
    let first = path[0];
    let module = path.join("/");
    let outer = path[..path.len() - 1].join("/");
    [
        format!("tests/{first}.rs"),
        format!("src/{module}.rs"),
        format!("src/{module}/mod.rs"),
        format!("src/{outer}.rs"),
        format!("src/{outer}/mod.rs"),
    ]
    .iter()
    .map(|place| root().join(place))
    .filter(|place| place.is_file())
    .collect()
}

fn exists(name: &str) -> bool {
    if let Some(dialogue) = name.strip_suffix(".txt") {
        return root()
            .join(format!("tests/dialogues/{dialogue}.txt"))
            .is_file();
    }
    let path: Vec<&str> = name.split("::").collect();
    let Some((test, module)) = path.split_last().filter(|(_, module)| !module.is_empty()) else {
        return false;
    };
    let has = |place: &Path| {
        fs::read_to_string(place)
            .unwrap()
            .contains(&format!("fn {test}("))
    };
    places(module).iter().any(|place| has(place))
}

#[test]
fn every_defect_has_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let (_, section) = text
        .split_once("## What the C++ drivers got wrong")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| defect"))
        .collect();
    assert!(rows.len() >= 33, "{} rows", rows.len());
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            assert!(exists(name), "there is no test {name}");
        }
    }
    assert!(!exists("control::no_such_test") && !exists("no-such.txt"));
}

/// Times that the threads of a process have waited for something so far.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok())
        .filter_map(|status| {
            let line = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}

#[test]
fn idle_clients_wake_nobody() {
    const CLIENTS: u64 = 100;
    let bench = support::bench::open_with(
        "\"bridge\": {\"publish\": \"off\", \"subscribe\": \"off\"},",
        "[]",
    );
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = Client::log_in(bench.address);
            client.must("rcvloop");
            client
        })
        .collect();
    let (before, start) = (switches(bench.host.pid()), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let switches = switches(bench.host.pid()) - before;
    // One that polls wakes a hundred times a second for each of them. Ours writes a line every
    // two seconds; a few more are for the host's own reads and the clock.
    let most = 3 * CLIENTS * start.elapsed().as_secs().max(1);
    assert!(switches < most, "{switches} of at most {most}");
    drop(clients);
}

#[test]
fn session_ids_are_never_the_same() {
    let bench = support::bench::open_with(
        "\"bridge\": {\"publish\": \"off\", \"subscribe\": \"off\"},",
        "[]",
    );
    let mut seen = HashSet::new();
    for _ in 0..4 {
        let mut client = Client::connect(bench.address);
        for _ in 0..500 {
            let reply = client.must("challenge 1234");
            let sid = reply[0].strip_prefix("+OK - ").unwrap().to_owned();
            assert_eq!(sid.len(), 32);
            assert!(
                sid.bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            );
            assert!(seen.insert(sid), "the same id twice");
        }
    }
}

//! Layers are one-way, and what is dangerous stays where it belongs.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::path::{Path, PathBuf};

mod support;

use support::tools::root;

/// Each layer, and the layers that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("files", &["os"]),
    ("event", &[]),
    ("catalog", &["event"]),
    ("auth", &["event"]),
    ("wire", &["event", "catalog", "auth", "error"]),
    ("config", &["event", "auth", "wire", "os", "error"]),
    ("os", &["event"]),
    ("log", &["config", "os"]),
    ("hub", &["event", "auth", "wire"]),
    ("net", &["config", "os", "files", "error"]),
    ("gate", &["auth", "config", "hub", "os", "error"]),
    ("backlog", &["event", "hub", "os", "error"]),
    (
        "link",
        &[
            "event", "auth", "config", "wire", "hub", "net", "gate", "backlog", "os", "error",
        ],
    ),
    (
        "ws",
        &[
            "event", "auth", "config", "wire", "hub", "net", "gate", "os", "error",
        ],
    ),
    (
        "mqtt",
        &[
            "event", "config", "wire", "hub", "net", "backlog", "os", "error",
        ],
    ),
    (
        "remote",
        &[
            "event", "auth", "config", "wire", "hub", "net", "backlog", "os",
        ],
    ),
    ("discovery", &["event", "config", "wire", "hub", "os"]),
    ("status", &["auth", "hub", "net", "gate", "os"]),
    (
        "driver",
        &[
            "event",
            "auth",
            "config",
            "wire",
            "hub",
            "net",
            "gate",
            "link",
            "ws",
            "mqtt",
            "remote",
            "discovery",
            "status",
            "backlog",
            "log",
            "os",
            "files",
            "error",
        ],
    ),
    ("abi", &["event", "driver", "os"]),
];

fn sources(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn no_module_uses_one_above_it() {
    let mut edges = 0;
    for (layer, below) in LAYERS {
        let folder = root().join("src").join(layer);
        let files = if folder.is_dir() {
            sources(&folder)
        } else {
            vec![folder.with_extension("rs")]
        };
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let code = line.split("//").next().unwrap_or_default();
                for used in code.split("crate::").skip(1) {
                    let used: String = used
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    if used == *layer || !LAYERS.iter().any(|(known, _)| *known == used) {
                        continue;
                    }
                    edges += 1;
                    let allowed = below.contains(&used.as_str());
                    assert!(allowed, "{}:{number}: {layer} uses {used}", name(&file));
                }
            }
        }
    }
    assert!(edges > 50, "the test sees what it looks for: {edges}");
}

#[test]
fn every_module_has_its_layer() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for line in text.lines() {
        if let Some(module) = line.strip_prefix("pub mod ") {
            let module = module.trim_end_matches(';');
            assert!(LAYERS.iter().any(|(known, _)| *known == module), "{module}");
        }
    }
}

#[test]
fn what_is_dangerous_has_its_place() {
    let words = [
        (
            "unsafe ",
            &["src/abi/", "src/os/", "src/bin/vscp-link/host"][..],
        ),
        (
            "rumqttc::",
            &[
                "src/mqtt/codec",
                "src/bin/vscp-link/broker/",
                "src/bin/vscp-link/bench/mqtt.rs",
            ][..],
        ),
        ("process::exit", &[][..]),
        ("process::abort", &[][..]),
        ("set_global_default", &[][..]),
        ("println!", &[][..]),
    ];
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            for (word, places) in words {
                let here = name(&file);
                let allowed = places.iter().any(|place| here.starts_with(place));
                assert!(!code.contains(word) || allowed, "{here}:{number}: {word}");
            }
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for file in sources(&root().join("src")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{}: {lines} lines", name(&file));
    }
}

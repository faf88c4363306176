//! Every sample configuration loads, and the full one has every key.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::BTreeSet;
use std::fs;

use vscpl2drv_link::config;

mod support;

use support::tools::root;

/// What is not there before it is made.
const INSTALLED: &[&str] = &[
    "key-file",
    "require-encryption",
    "tls.certificate",
    "drivers.level2[0].path-config",
];

#[test]
fn every_sample_is_good() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("config-samples")).unwrap() {
        let path = entry.unwrap().path();
        let report = config::check_file(&path);
        // The samples name users, keys and certificates where they will be installed, not where they
        // are now.
        let own: Vec<String> = report
            .problems()
            .iter()
            .filter(|problem| problem.file == path)
            .filter(|problem| !INSTALLED.contains(&problem.key.as_str()))
            .map(ToString::to_string)
            .collect();
        assert!(own.is_empty(), "{own:?}");
        count += 1;
    }
    assert!(count >= 11);
}

/// Whoever installs a sample gets no secret that others have.
#[test]
fn no_sample_has_a_secret_that_everybody_has() {
    let mut files = Vec::new();
    let mut folders = ["config-samples", "contrib"]
        .map(|name| root().join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 13, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("PRIVATE KEY"), "{path:?}");
        // However the digits stand.
        let digits: String = text
            .chars()
            .filter(|c| c.is_alphanumeric())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        for known in [
            // The keys of the distributions and of the specification's examples, and the hash of
            // the C++ drivers' `admin` with the password `secret`.
            "2DBB079A38985AF00EBEEFE22F9FFA0E",
            "A4A86F7D7E119BA3F0CD06881E371B98",
            "2D1E4F91DAE49CD08EABA2293E422273",
        ] {
            assert!(!digits.contains(known), "{path:?} has {known}");
        }
    }
}

#[test]
fn the_full_sample_and_the_readme_have_every_key() {
    let path = root().join("config-samples/full.json");
    let report = config::check_file(&path);
    let value: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut present = BTreeSet::new();
    collect("", &value, &mut present);
    let known: BTreeSet<String> = report
        .known_keys()
        .iter()
        .map(|key| (0..9).fold(key.clone(), |key, n| key.replace(&format!("[{n}]"), "[]")))
        .collect();
    let missing: Vec<_> = known.difference(&present).collect();
    assert!(missing.is_empty(), "not in full.json: {missing:?}");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let unknown: Vec<&str> = known
        .iter()
        .filter_map(|key| key.rsplit('.').next())
        .filter(|word| !readme.contains(*word))
        .collect();
    assert!(unknown.is_empty(), "not in the README: {unknown:?}");
}

fn collect(path: &str, value: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                let separator = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{separator}{name}");
                collect(&path, value, keys);
                keys.insert(path);
            }
        }
        serde_json::Value::Array(values) => {
            values
                .iter()
                .for_each(|value| collect(&format!("{path}[]"), value, keys));
        }
        _ => {}
    }
}

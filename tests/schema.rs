//! The JSON schemas in `contrib/schema` are what the readers read, and say of files what
//! `vscp-link check` says.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vscpl2drv_link::config;

#[path = "schema/describe.rs"]
mod describe;
mod support;
#[path = "schema/values.rs"]
mod values;
#[path = "schema/verdicts.rs"]
mod verdicts;

use describe::Described;
use support::tools::root;
use verdicts::{CHECK_ONLY, Complaints, schema, validated};

/// Set, it lets the test write what it would compare.
const WRITE: &str = "VSCP_LINK_WRITE_SCHEMA";

const KINDS: [&str; 2] = ["driver", "users"];

/// What the readers read, with what README says of it.
fn generated() -> [(&'static str, Value); 2] {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let described = Described::read(&readme);
    let of = |key: &str| described.of(key);
    let found = [
        ("driver", config::schema::driver(&of)),
        ("users", config::schema::users(&of)),
    ];
    let stale = described.stale();
    assert!(stale.is_empty(), "short texts of nothing: {stale:?}");
    found
}

#[test]
fn the_schemas_are_what_the_readers_read() {
    for (kind, value) in generated() {
        let mut text = serde_json::to_string_pretty(&value).unwrap();
        text.push('\n');
        let path = schema(kind);
        if std::env::var_os(WRITE).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            continue;
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{path:?} is not up to date: {WRITE}=1 cargo test --test schema readers writes it"
        );
    }
}

#[test]
fn every_key_that_is_not_deprecated_is_described() {
    for (kind, value) in generated() {
        let mut missing = Vec::new();
        described(&value, kind, &mut missing);
        assert!(missing.is_empty(), "{kind}: {missing:?}");
    }
}

fn described(value: &Value, path: &str, missing: &mut Vec<String>) {
    if let Some(keys) = value["properties"].as_object() {
        for (key, value) in keys {
            let said = value["description"].is_string() || value["deprecated"].is_boolean();
            if !said {
                missing.push(format!("{path}.{key}"));
            }
        }
    }
    // What an object has to have is said of keys that are described already.
    for (name, value) in value.as_object().into_iter().flatten() {
        if name == "allOf" {
            continue;
        }
        described(value, &format!("{path}/{name}"), missing);
    }
    for value in value.as_array().into_iter().flatten() {
        described(value, path, missing);
    }
}

#[test]
fn the_program_prints_them() {
    for kind in KINDS {
        let output = Command::new(env!("CARGO_BIN_EXE_vscp-link"))
            .args(["schema", kind])
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(output.stdout == fs::read(schema(kind)).unwrap(), "{kind}");
    }
}

#[test]
fn a_file_may_name_its_schema() {
    let file = |name: &str, more: &str| {
        format!("{{\"$schema\": \"file:///usr/share/x/{name}.schema.json\"{more}}}")
    };
    let driver = file("driver", "");
    let users = file("users", ", \"users\": []");
    assert!(config::parse_driver(&driver).unwrap().1.is_empty());
    assert!(config::parse_users(&users).unwrap().1.is_empty());
    let found = validated([("driver", driver.as_str()), ("users", users.as_str())]);
    assert!(found.iter().all(Vec::is_empty), "{found:?}");
}

/// The files of a folder, each a driver file or a users file.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Which schema a file has; `None` for a daemon's.
fn kind(text: &str) -> Option<&'static str> {
    let value: Value = serde_json::from_str(text).unwrap();
    match value {
        value if value.get("drivers").is_some() || value.get("path-driver").is_some() => None,
        value if value.get("users").is_some() => Some("users"),
        _ => Some("driver"),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_sample_is_good_for_both() {
    let folders = ["config-samples", "debian/etc"];
    let paths: Vec<PathBuf> = folders.into_iter().flat_map(files).collect();
    let texts = paths.iter().map(|path| (path, read(path)));
    let texts = texts.filter_map(|(path, text)| Some((path, kind(&text)?, text)));
    let texts: Vec<(&PathBuf, &str, String)> = texts.collect();
    let kinds: BTreeSet<&str> = texts.iter().map(|(_, kind, _)| *kind).collect();
    assert!(texts.len() >= 10 && kinds.len() == 2, "{}", texts.len());
    let found = validated(texts.iter().map(|(_, kind, text)| (*kind, text.as_str())));
    for ((path, _, _), wrong) in texts.iter().zip(found) {
        assert!(wrong.is_empty(), "{path:?}: {wrong:?}");
        // They name files where they will be installed.
        let complaints = Complaints::of_file(path);
        let left = complaints.of_schema();
        assert!(left.is_empty(), "{path:?}: {left:#?}");
    }
}

#[test]
fn both_say_the_same_of_what_is_documented() {
    for folder in ["tests/documented", "tests/documented/websocksrv"] {
        for text in files(folder).iter().map(|path| read(path)) {
            if let Some(kind) = kind(&text) {
                compare(kind, &[text]);
            }
        }
    }
}

#[test]
fn every_broken_file_is_refused_by_both() {
    for kind in KINDS {
        let paths = files(&format!("tests/broken/{kind}"));
        let texts: Vec<String> = paths.iter().map(|path| read(path)).collect();
        let found = validated(texts.iter().map(|text| (kind, text.as_str())));
        for (path, wrong) in paths.iter().zip(found) {
            let complaints = Complaints::of_file(path);
            assert!(!complaints.none(), "check takes {path:?}");
            assert!(
                !wrong.is_empty(),
                "the schema takes {path:?}: {complaints:#?}"
            );
            // They do not only refuse it, but for the same key.
            assert!(
                complaints.name(&wrong),
                "{path:?}: check says {complaints:#?}, the schema {wrong:?}"
            );
        }
    }
}

#[test]
fn what_check_alone_finds_is_known() {
    let mut used = BTreeSet::new();
    for kind in KINDS {
        let paths = files(&format!("tests/broken/check-only/{kind}"));
        let texts: Vec<String> = paths.iter().map(|path| read(path)).collect();
        let found = validated(texts.iter().map(|text| (kind, text.as_str())));
        for (path, wrong) in paths.iter().zip(found) {
            assert!(
                wrong.is_empty(),
                "the schema does see it: {path:?}: {wrong:?}"
            );
            let complaints = Complaints::of_file(path);
            assert!(!complaints.none(), "check takes {path:?}");
            let left = complaints.of_schema();
            assert!(left.is_empty(), "{path:?}: {left:#?}");
            let rules = CHECK_ONLY.iter().map(|(rule, _)| *rule);
            let says = |rule: &&str| complaints.lines.iter().any(|line| line.contains(*rule));
            used.extend(rules.filter(says));
        }
    }
    let rules = CHECK_ONLY.iter().map(|(rule, _)| *rule);
    let unused: Vec<&str> = rules.filter(|rule| !used.contains(rule)).collect();
    assert!(unused.is_empty(), "no file shows {unused:?}");
}

/// Compares what both say of texts, and gives how many were good and bad for both.
fn compare(kind: &str, texts: &[String]) -> (usize, usize) {
    let verdicts = validated(texts.iter().map(|text| (kind, text.as_str())));
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for (text, keys) in texts.iter().zip(verdicts) {
        let complaints = Complaints::of_text(kind, text);
        match (complaints.none(), keys.is_empty()) {
            (true, true) => good += 1,
            (false, false) => bad += 1,
            (true, false) if complaints.doubled => {}
            (true, false) => {
                wrong.push(format!("check takes, the schema does not: {text} {keys:?}"))
            }
            (false, true) if complaints.of_schema().is_empty() => {}
            (false, true) => wrong.push(format!(
                "the schema takes, check does not: {text} {:?}",
                complaints.lines
            )),
        }
    }
    let count = wrong.len();
    wrong.truncate(40);
    assert!(wrong.is_empty(), "{count}:\n{}", wrong.join("\n"));
    (good, bad)
}

#[test]
fn both_agree_on_every_key_with_every_kind_of_value() {
    for (kind, least) in [("driver", 5000), ("users", 300)] {
        let schema: Value = serde_json::from_str(&read(&schema(kind))).unwrap();
        let texts: Vec<String> = values::files(&schema)
            .iter()
            .map(Value::to_string)
            .collect();
        let (good, bad) = compare(kind, &texts);
        assert!(
            good > least && bad > least,
            "{kind}: {good} good, {bad} bad"
        );
    }
}

/// With all else that there can be: some keys are looked at only beside others.
#[test]
fn both_agree_on_every_value_of_the_full_sample_in_the_place_of_which_another_stands() {
    let sample: Value =
        serde_json::from_str(&read(&root().join("config-samples/full.json"))).unwrap();
    let texts: Vec<String> = values::changed(&sample)
        .iter()
        .map(Value::to_string)
        .collect();
    let (good, bad) = compare("driver", &texts);
    assert!(good > 500 && bad > 2000, "{good} good, {bad} bad");
}

#[test]
fn of_a_second_name_the_schema_alone_says_whether_its_value_is_good() {
    let text = r#"{"logging": {"file-path": "/x.log", "file-log-path": 5}}"#;
    let complaints = Complaints::of_text("driver", text);
    assert!(complaints.none() && complaints.doubled);
    assert_eq!(validated([("driver", text)]), [["logging.file-log-path"]]);
}

#[test]
fn both_agree_on_what_fuzzing_has_found() {
    for (kind, corpus) in [("driver", "driver_file"), ("users", "users_file")] {
        let entries = fs::read_dir(root().join("fuzz/corpus").join(corpus)).unwrap();
        let bytes = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap());
        let texts = bytes.filter_map(|bytes| String::from_utf8(bytes).ok());
        // What is no JSON is nothing for a schema.
        let is_json = |text: &String| serde_json::from_str::<Value>(text).is_ok();
        let texts: Vec<String> = texts.filter(is_json).collect();
        assert!(texts.len() > 10, "{corpus}: {}", texts.len());
        compare(kind, &texts);
    }
}

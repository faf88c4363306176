//! What an editor makes of the schemas: VS Code's language service, as npm has it.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

mod support;

use support::tools::{need, root};

fn schema(kind: &str) -> PathBuf {
    root().join(format!("contrib/schema/{kind}.schema.json"))
}

/// What the editor says of each file.
fn look(files: &[Value]) -> Vec<Value> {
    assert!(
        root()
            .join("tests/node/node_modules/vscode-json-languageservice")
            .is_dir(),
        "vscode-json-languageservice is missing: run `tests/setup all`"
    );
    let mut node = Command::new("timeout")
        .arg("120")
        .arg(need("node"))
        .arg(root().join("tests/node/editor.js"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!(files).to_string();
    // It answers when it has read all.
    node.stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), files.len());
    found
}

#[test]
fn an_editor_refuses_what_is_broken_and_nothing_else() {
    let folders = [
        ("config-samples", None, true),
        ("debian/etc", None, true),
        ("tests/broken/driver", Some("driver"), false),
        ("tests/broken/users", Some("users"), false),
        ("tests/broken/check-only/driver", Some("driver"), true),
        ("tests/broken/check-only/users", Some("users"), true),
    ];
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for (folder, kind, good) in folders {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            // A daemon's file has no schema.
            if value.get("drivers").is_some() {
                continue;
            }
            let users = if value.get("users").is_some() {
                "users"
            } else {
                "driver"
            };
            files.push(json!({"text": text, "schema": schema(kind.unwrap_or(users))}));
            // To this one 1.0 is no whole number, as it is none to the driver.
            expected.push((
                path.clone(),
                good && !path.ends_with("a-number-with-a-point.json"),
            ));
        }
    }
    assert!(files.len() > 150, "{}", files.len());
    for (found, (path, good)) in look(&files).iter().zip(expected) {
        let problems = found["problems"].as_array().unwrap();
        assert_eq!(problems.is_empty(), good, "{path:?}: {problems:?}");
    }
}

/// Offers at each `^` of a file that names its schema.
fn offers(text: &str) -> Vec<Vec<String>> {
    let address = format!("file://{}", schema("driver").display());
    let text = format!("{{\"$schema\": {address:?}, {text}}}");
    let parts: Vec<&str> = text.split('^').collect();
    let mut at = Vec::new();
    for part in &parts[..parts.len() - 1] {
        at.push(at.last().copied().unwrap_or(0) + part.len());
    }
    let found = look(&[json!({"text": parts.concat(), "at": at})]);
    serde_json::from_value(found[0]["offers"].clone()).unwrap()
}

#[test]
fn an_editor_offers_keys_and_words() {
    let found = offers(
        "\"abi\": ^, \"mqtt\": [{\"qos\": 1, ^ \"publish\": [{\"topic\": \"a\", ^}]}], \
         \"links\": [{\"mode\": ^}]",
    );
    let has = |at: usize, word: &str| found[at].iter().any(|offer| offer == word);
    for word in ["\"auto\"", "\"classic\"", "\"v2\""] {
        assert!(has(0, word), "{found:?}");
    }
    // Those that are there already are not, nor are the names of older files.
    assert!(has(1, "host") && has(1, "will") && !has(1, "qos") && !has(1, "cafile"));
    assert!(has(2, "retain") && has(2, "format") && !has(2, "bretain") && !has(2, "topic"));
    assert!(has(3, "\"persistent\"") && has(3, "\"on-demand\""));
}

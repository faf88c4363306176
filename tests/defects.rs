//! The lists of defects of older drivers, and of differences, in `docs/compatibility.md`, and what can only be seen in
//! the sources.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;

mod support;

use support::tools::root;

#[test]
fn secrets_are_compared_in_constant_time() {
    for file in ["src/auth/credential.rs", "src/auth/verifier.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(".ct_eq("), "{file}");
    }
    let text = fs::read_to_string(root().join("src/auth/credential.rs")).unwrap();
    for declaration in [
        "pub struct Credential ",
        "pub struct Credential(",
        "enum Stored ",
    ] {
        let Some((before, _)) = text.split_once(declaration) else {
            continue;
        };
        let derived = before.rsplit("\n\n").next().unwrap();
        assert!(
            !derived.contains("PartialEq"),
            "{declaration}: `==` is not constant"
        );
    }
}

/// The tests that the rows of a table name, in their last column.
fn named(table: &str) -> Vec<String> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.map(|row| row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned))
        .collect()
}

/// Is there a test of this path? `a::b::name` is in `tests/a.rs`, `src/a/b.rs` or beside it.
fn is_there(path: &str) -> bool {
    if path.ends_with(".txt") {
        return root().join("tests/dialogues").join(path).is_file();
    }
    let Some((module, name)) = path.rsplit_once("::") else {
        return false;
    };
    let module = module.replace("::", "/");
    let files = [
        format!("tests/{module}.rs"),
        format!("src/{module}.rs"),
        format!("src/{module}/mod.rs"),
    ];
    files.iter().any(|file| {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        let attributes = text
            .split_once(&format!("fn {name}("))
            .and_then(|(before, _)| before.rsplit(['}', ';']).next());
        attributes.is_some_and(|lines| lines.contains("#[test]") || lines.contains("#[tokio::test"))
    })
}

#[test]
fn every_test_that_the_lists_of_defects_name_is_there() {
    let text = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    for (heading, rows, least) in [
        ("What older drivers do wrong", 1..=33, 80),
        ("What the C++ websocket driver does wrong", 0..=41, 50),
        ("Where ws1 and ws2 differ on purpose", 1..=36, 40),
    ] {
        let (_, section) = text.split_once(&format!("\n## {heading}")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let tests = named(section);
        for row in rows {
            assert!(section.contains(&format!("\n| {row} | ")), "row {row}");
        }
        assert!(tests.len() > least, "{} tests", tests.len());
        for path in tests {
            assert!(is_there(&path), "docs/compatibility.md names {path}");
        }
    }
    // And it would be seen if one were not.
    assert!(!is_there("defects::is_there") && !is_there("nowhere.txt"));
}

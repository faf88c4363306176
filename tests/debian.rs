//! What the Debian package brings along is good, and of this version. `tests/package` tries the
//! package itself.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;

use vscpl2drv_link::config;

mod support;

use support::tools::root;

#[test]
fn the_package_has_the_version_of_the_program() {
    let changelog = fs::read_to_string(root().join("debian/changelog")).unwrap();
    let newest = changelog.lines().next().unwrap();
    let wanted = format!("vscpl2drv-link ({}) ", env!("CARGO_PKG_VERSION"));
    assert!(newest.starts_with(&wanted), "{newest}");
}

#[test]
fn the_configuration_of_the_package_is_good_and_lets_nobody_in() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("debian/etc")).unwrap() {
        let path = entry.unwrap().path();
        let report = config::check_file(&path);
        // They name each other where they will be installed.
        let own: Vec<String> = report
            .problems()
            .iter()
            .filter(|problem| problem.file == path)
            .filter(|problem| !problem.to_string().contains("there is no file /etc/vscp/"))
            .map(ToString::to_string)
            .collect();
        assert!(own.is_empty(), "{own:?}");
        count += 1;
    }
    assert_eq!(count, 3);
    let users = root().join("debian/etc/link-users.json");
    assert_eq!(config::load_users(&users).unwrap().0.len(), 0);
}

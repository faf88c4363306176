//! The users file: `vscp-link user`, and passwords that are stored anew.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::driver::{Driver, Source};

mod support;

use support::client::Client;
use support::tools::{need, root, run, wait_until};

fn user(words: &[&str], file: &Path, more: &[&str], password: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vscp-link"));
    command.arg("user").args(words).arg(file).args(more);
    command.env_remove("VSCP_LINK_PASSWORD");
    if let Some(password) = password {
        command.env("VSCP_LINK_PASSWORD", password);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn open(users: &Path, members: &str) -> Driver {
    let log = users.with_file_name("log");
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {users:?}, {members} \
          \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\"}}}}"
    );
    let guid = "::1".parse().unwrap();
    Driver::open(Source { config, guid }).unwrap()
}

fn may_log_in(driver: &Driver, name: &str, password: &str) -> bool {
    let mut client = Client::connect(driver.addresses()[0]);
    client.must(&format!("user {name}"));
    client.ask(&format!("pass {password}")) == ["+OK - Success."]
}

#[test]
fn users_are_added_changed_and_removed_while_the_driver_runs() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("users.json");
    let made = user(
        &["add"],
        &file,
        &["anna", "--rights", "admin"],
        Some("first"),
    );
    assert!(made.status.success(), "{}", text(&made));
    // Where root makes it the daemon's group may read it.
    let mode = fs::metadata(&file).unwrap().mode() & 0o777;
    assert!(mode == 0o600 || mode == 0o640, "{mode:o}");
    assert!(fs::read_to_string(&file).unwrap().contains("\"anna\""));
    assert!(is_salt_and_hash(&stored(&file)));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    // Only root may give files away; the tests of everybody else keep their own.
    let owners = if chown(&file, Some(1234), Some(5678)).is_ok() {
        (1234, 5678)
    } else {
        let own = fs::metadata(&file).unwrap();
        (own.uid(), own.gid())
    };

    let driver = open(&file, "");
    assert!(may_log_in(&driver, "anna", "first"));
    assert!(
        user(&["passwd"], &file, &["anna"], Some("second"))
            .status
            .success()
    );
    wait_until("the new password counts", || {
        may_log_in(&driver, "anna", "second")
    });
    assert!(!may_log_in(&driver, "anna", "first"));
    assert!(
        user(&["add"], &file, &["ben"], Some("third"))
            .status
            .success()
    );
    wait_until("the new user comes in", || {
        may_log_in(&driver, "ben", "third")
    });
    assert!(
        user(&["rights"], &file, &["ben", "receive-events"], None)
            .status
            .success()
    );
    let listed = text(&user(&["list"], &file, &[], None));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        listed.starts_with("anna  privilege 15  rights admin"),
        "{listed}"
    );
    let mut ben = Client::connect(driver.addresses()[0]);
    ben.must("user ben");
    ben.must("pass third");
    assert!(user(&["remove"], &file, &["ben"], None).status.success());
    wait_until("ben is out", || ben.line().is_none());
    let about = fs::metadata(&file).unwrap();
    assert_eq!(about.mode() & 0o777, 0o640);
    assert_eq!((about.uid(), about.gid()), owners);
    driver.close();
}

/// `vscp-link user add` as root, of a system whose file of groups is this.
fn added_by_root(groups: &str, file: &Path) -> u32 {
    let list = file.with_extension("groups");
    fs::write(&list, groups).unwrap();
    let script = "mount --bind \"$0\" /etc/group && exec \"$@\"";
    let mut command = Command::new(need("unshare"));
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.arg(&list).arg(env!("CARGO_BIN_EXE_vscp-link"));
    command.args(["user", "add"]).arg(file).arg("anna");
    run(command.env("VSCP_LINK_PASSWORD", "first"));
    fs::metadata(file).unwrap().mode() & 0o777
}

#[test]
fn what_root_makes_the_daemon_reads() {
    let place = TempDir::new().unwrap();
    let mode = |name: &str, groups: &str| added_by_root(groups, &place.path().join(name));
    assert_eq!(mode("a.json", "root:x:0:\nvscp:x:0:\n"), 0o640);
    assert_eq!(mode("b.json", "root:x:0:\n"), 0o600);
}

/// The same on a terminal, where two passwords are typed.
fn typed(word: &str, file: &Path, name: &str, passwords: [&str; 2]) -> Output {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(root().join("tests/python/terminal.py"));
    command.args([&format!("New password of {name}: "), passwords[0]]);
    command.args(["The same again: ", passwords[1]]);
    command.args(["--", env!("CARGO_BIN_EXE_vscp-link"), "user", word]);
    command.arg(file).arg(name).env_remove("VSCP_LINK_PASSWORD");
    command.output().unwrap()
}

/// What the file has for the only user.
fn stored(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let password = document["users"][0]["password"].as_str();
    password.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// `^[0-9A-F]{32};[0-9A-F]{64}$`
fn is_salt_and_hash(text: &str) -> bool {
    let digits = |text: &str, count| {
        text.len() == count
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
    };
    text.split_once(';')
        .is_some_and(|(salt, hash)| digits(salt, 32) && digits(hash, 64))
}

#[test]
fn passwords_are_typed_twice_without_an_echo() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("users.json");
    let mut before = String::new();
    for (word, password) in [("add", "typed-0nce"), ("passwd", "typed-tw1ce")] {
        let output = typed(word, &file, "anna", [password; 2]);
        let shown = text(&output);
        assert!(output.status.success(), "{shown}");
        assert!(shown.contains("New password of anna: "), "{shown}");
        assert!(shown.contains("The same again: "), "{shown}");
        assert!(!shown.contains(password), "{shown}");
        let stored = stored(&file);
        assert!(is_salt_and_hash(&stored), "{stored}");
        assert_ne!(stored, before);
        let credential: Credential = stored.parse().unwrap();
        assert!(credential.verify("anna", password), "{stored}");
        before = stored;
    }
    let kept = fs::read_to_string(&file).unwrap();
    for (word, name) in [("add", "ben"), ("passwd", "anna")] {
        let output = typed(word, &file, name, ["typed-th1s", "typed-th4t"]);
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains("these were two passwords"), "{shown}");
        assert!(!shown.contains("typed-th"), "{shown}");
        assert_eq!(fs::read_to_string(&file).unwrap(), kept);
    }
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("users.json");
    assert!(
        user(&["add"], &file, &["anna"], Some("first"))
            .status
            .success()
    );
    let before = fs::read_to_string(&file).unwrap();
    for (words, more, password, code, why) in [
        (
            &["add"],
            &["anna"][..],
            Some("x"),
            1,
            "there is a user \"anna\" already",
        ),
        (
            &["passwd"],
            &["nobody"],
            Some("x"),
            1,
            "there is no user \"nobody\"",
        ),
        (
            &["remove"],
            &["nobody"],
            None,
            1,
            "there is no user \"nobody\"",
        ),
        (&["rights"], &["anna", "everything"], None, 2, "everything"),
        (&["add"], &["a:b"], Some("x"), 2, "no user name"),
        (&["add"], &["ben"], Some(" x"), 1, "no blanks around it"),
        (&["add"], &["ben"], None, 2, "a password is needed"),
    ] {
        let output = user(words, &file, more, password);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(why), "{}", text(&output));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    fs::write(&file, "{\"users\": [").unwrap();
    let output = user(&["add"], &file, &["ben"], Some("x"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"users\": [");
}

#[test]
fn passwords_stored_as_md5_are_stored_anew_where_the_driver_may_write() {
    for write in [false, true] {
        let place = TempDir::new().unwrap();
        let file = place.path().join("users.json");
        let old = "{\"users\": [\n {\"name\":\"admin\",  \"note\": \"kept\", \
                   \"password\":\"2d1e4f91dae49cd08eaba2293e422273\",\"rights\":\"admin\"}]}";
        fs::write(&file, old).unwrap();
        let driver = open(&file, &format!("\"write\": {write},"));
        assert!(!may_log_in(&driver, "admin", "wrong"));
        assert_eq!(fs::read_to_string(&file).unwrap(), old);
        assert!(may_log_in(&driver, "admin", "secret"));
        let now = fs::read_to_string(&file).unwrap();
        if write {
            assert!(!now.contains("2d1e4f91dae49cd08eaba2293e422273"), "{now}");
            assert!(is_salt_and_hash(&stored(&file)), "{now}");
            assert!(
                now.contains("\"name\":\"admin\",  \"note\": \"kept\""),
                "{now}"
            );
            let log = fs::read_to_string(place.path().join("log")).unwrap_or_default();
            assert!(!log.contains("secret"));
            wait_until("the change is read", || {
                fs::read_to_string(place.path().join("log"))
                    .unwrap()
                    .contains("configuration changed: user user=admin")
            });
        } else {
            assert_eq!(now, old);
        }
        assert!(may_log_in(&driver, "admin", "secret"));
        driver.close();
    }
}

#[test]
fn a_user_has_as_many_sessions_as_max_sessions_allows() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("users.json");
    let text = "{\"users\": [{\"name\":\"admin\", \"max-sessions\": 2, \
                \"password\":\"2d1e4f91dae49cd08eaba2293e422273\",\"rights\":\"admin\"},\
                {\"name\":\"user\", \"password\":\"8c3088f1b27432344f14d82033749797\"}]}";
    fs::write(&file, text).unwrap();
    let driver = open(&file, "");
    let address = driver.addresses()[0];
    let first = Client::log_in(address);
    let second = Client::log_in(address);
    let mut third = Client::connect(address);
    third.must("user admin");
    assert_eq!(
        third.ask("pass secret"),
        ["-OK - Max number of clients connected."]
    );
    assert!(third.line().is_none());
    // Who says QUIT and comes back before the connection is closed finds the place free.
    let mut leaving = second;
    leaving.must("quit");
    assert!(may_log_in(&driver, "admin", "secret"));
    // Others are not concerned, and a place is free again when its session ends.
    assert!(may_log_in(&driver, "user", "secret"));
    drop(first);
    wait_until("there is room again", || {
        may_log_in(&driver, "admin", "secret")
    });
    driver.close();
}

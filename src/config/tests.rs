mod tls;

use std::time::Duration;

use proptest::prelude::*;

use super::model::{AbiChoice, InterfaceHost, LogLevel, Owner, ReadFormat, WriteFormat};
use super::*;
use crate::event::text::TextForm;

/// The documentation's own examples, as people have copied them.
const DRIVER: &str = include_str!("../../tests/documented/driver.json");
const USERS: &str = include_str!("../../tests/documented/users.json");
const ENTRY: &str = include_str!("../../tests/documented/entry.json");

fn driver(text: &str) -> (DriverConfig, Vec<String>) {
    load_driver(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The errors of a driver file, without the name that text has instead of a file.
fn refused(text: &str) -> Vec<String> {
    let error = load_driver(text).expect_err(text).to_string();
    error
        .lines()
        .map(|line| line.trim_start_matches("(configuration):").to_owned())
        .collect()
}

fn warned(text: &str) -> Vec<String> {
    let warnings = driver(text).1;
    warnings
        .iter()
        .map(|line| line.trim_start_matches("(configuration):").to_owned())
        .collect()
}

#[test]
fn an_empty_file_has_the_defaults() {
    let (config, warnings) = driver("{}");
    assert!(warnings.is_empty());
    assert_eq!(config.interfaces[0].host, InterfaceHost::Localhost);
    assert_eq!(config.interfaces[0].port, 9598);
    assert_eq!(config.limits, model::Limits::default());
    assert_eq!(
        (config.abi, config.event_format),
        (AbiChoice::Auto, TextForm::Legacy)
    );
    assert!(config.receive_sent_events && !config.interconnect && config.mqtt.is_empty());
    assert_eq!(config.bridge.publish, Owner::Auto);
    assert_eq!(config.outbox.max_events, 100_000);
    assert!(config.logging.console.is_none() && !config.logging.file.unwrap().required);
}

#[test]
fn the_documented_driver_file_works_as_it_stands() {
    let (config, warnings) = driver(DRIVER);
    assert_eq!(config.interfaces[0].host, InterfaceHost::AllV4);
    assert!(config.debug);
    let file = config.logging.file.unwrap();
    assert_eq!(
        (file.sink.level, file.max_size),
        (LogLevel::Debug, 5_242_880)
    );
    assert!(config.logging.console.is_some());
    assert_eq!(config.filter_in, Default::default());
    let text = warnings.join("\n");
    assert_eq!(text.matches("placeholder").count(), 4, "{text}");
    assert!(
        text.contains("key-file: /etc/vscp/vscp.key is not usable: it cannot be read"),
        "{text}"
    );
    assert_eq!(warnings.len(), 5, "{text}");
}

#[test]
fn the_documented_users_log_in_as_they_stand() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("users.json");
    std::fs::write(&path, USERS).unwrap();
    let (users, warnings) = load_users(&path).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    for name in ["admin", "user"] {
        let user = users.get(name).unwrap();
        assert!(user.credential.verify(name, "secret"));
        assert!(user.remotes.allows("127.0.0.1".parse().unwrap()));
    }
}

#[test]
fn the_documented_entry_is_found_and_understood() {
    let file =
        format!("{{\"guid\": \"::1\", \"drivers\": {{\"level1\": [], \"level2\": [{ENTRY}]}}}}");
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vscpd.json");
    std::fs::write(&path, file).unwrap();
    let bridge = BridgeConfig {
        vscpd_config: Some(path),
        ..BridgeConfig::default()
    };
    let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01"
        .parse()
        .unwrap();
    let found = find_daemon(&bridge, "/etc/vscp/websocksrv.json", &guid).unwrap();
    let (entry, warnings) = found.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(entry.server_guid, Some("::1".parse().unwrap()));
    let mqtt = entry.mqtt.unwrap();
    assert_eq!((mqtt.host.as_str(), mqtt.port), ("test.mqtt.org", 1883));
    assert!(mqtt.shared_with_daemon && !mqtt.clean_session && mqtt.nodelay);
    assert_eq!(mqtt.keep_alive, Duration::from_secs(60));
    assert_eq!(mqtt.will.unwrap().topic, "vscp-daemon/{{srvguid}}/will");
    assert_eq!(mqtt.publish[0].qos, 1);
    assert_eq!(mqtt.publish[0].format, WriteFormat::Json);
    assert_eq!(mqtt.subscribe[0].format, ReadFormat::Auto);
    let other = find_daemon(&bridge, "/etc/vscp/other.json", &guid).unwrap_err();
    assert!(other.to_string().contains("no level2 entry"), "{other}");
}

#[test]
fn an_entry_takes_from_the_main_section_what_it_does_not_say() {
    let entry = |mqtt: &str| {
        let file = format!(
            "{{\"mqtt\": {{\"host\": \"mqtts://main\", \"user\": \"vscp\", \"password\": \"x\", \
              \"clientid\": \"daemon\", \"keepalive\": 7, \"publish-format\": \"xml\", \
              \"tls\": {{\"cafile\": \"/ca.pem\"}}, \"publish\": [\"main\"], \"subscribe\": [\"main/#\"]}}, \
              \"drivers\": {{\"level2\": [{{\"name\": \"x\", \"path-config\": \"/x\", \"guid\": \"::1\", \
              \"mqtt\": {{{mqtt}}}}}]}}}}"
        );
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("vscpd.json");
        std::fs::write(&path, file).unwrap();
        let bridge = BridgeConfig {
            vscpd_config: Some(path),
            ..BridgeConfig::default()
        };
        let guid = "::1".parse().unwrap();
        let (entry, _) = find_daemon(&bridge, "/x", &guid).unwrap().unwrap();
        entry.mqtt.unwrap()
    };
    let all = entry("\"publish\": [\"own\"]");
    assert_eq!((all.host.as_str(), all.port), ("main", 8883));
    assert!(all.tls.is_some() && all.user.is_some() && all.password.is_some());
    assert_eq!(all.keep_alive, Duration::from_secs(7));
    // What is each client's own stays its own.
    assert_eq!((all.client_id.as_str(), all.subscribe.len()), ("", 0));
    assert_eq!(all.publish[0].topic, "own");
    assert_eq!(all.publish[0].format, WriteFormat::Xml);
    // A blank says nothing; anything else about a broker means another one.
    assert_eq!(entry("\"host\": \"\"").host, "main");
    for own in [
        "\"port\": 1884",
        "\"user\": \"me\"",
        "\"tls\": {\"cafile\": \"\"}",
    ] {
        let config = entry(own);
        assert_eq!(
            (config.host.as_str(), config.password),
            ("localhost", None),
            "{own}"
        );
    }
    let other = entry("\"host\": \"other\", \"keepalive\": 9");
    assert_eq!((other.host.as_str(), other.port), ("other", 1883));
    assert!(other.tls.is_none() && other.user.is_none() && other.password.is_none());
    assert_eq!(other.keep_alive, Duration::from_secs(9));
}

#[test]
fn errors_name_key_line_and_column() {
    let text = "{\n  \"interface\": 5,\n\t\"debug\": \"yes\",\n  \"filter\": {\"in-mask\": \"9\"},\n  \
                \"mqtt\": {\"subscribe\": [{\"topic\": \"a\", \"qos\": 3}]}\n}";
    assert_eq!(
        refused(text),
        [
            "2:16: error: interface: a string or a list of strings was expected, a number was found",
            "3:11: error: debug: true or false was expected, a string was found",
            "4:25: error: filter.in-mask: the priority of a filter or mask cannot be read: 9 is more than 7",
            "5:48: error: mqtt.subscribe[0].qos: a whole number from 0 to 2 was expected, 3 was found",
        ]
    );
}

#[test]
fn what_is_not_json() {
    for (text, expected) in [
        (
            "{",
            "1:1: error: not valid JSON: EOF while parsing an object",
        ),
        (
            "{\"debug\": true,}",
            "1:16: error: not valid JSON: key must be a string",
        ),
        (
            "{\n // remark\n}",
            "2:2: error: not valid JSON: key must be a string (JSON has no comments)",
        ),
    ] {
        assert_eq!(refused(text), [expected]);
    }
    let missing = load_driver("/nowhere/link.json").unwrap_err().to_string();
    assert!(
        missing.starts_with("/nowhere/link.json: error: cannot be read:"),
        "{missing}"
    );
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("x.json");
    for (bytes, expected) in [
        (
            &b"{\"a\": \"\xff\"}"[..],
            "is not UTF-8: byte 7 is out of place",
        ),
        (b"[]", "an object was expected, a list was found"),
        (b"", "not valid JSON"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = load_driver(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn unknown_keys_warn_with_the_nearest_known_one() {
    assert_eq!(
        warned("{\"max-client\": 5, \"zzz\": 1, \"logging\": {\"file-pat\": \"x\"}}"),
        [
            "1:16: warning: max-client: the key is not known and has no effect; did you mean \"max-clients\"?",
            "1:26: warning: zzz: the key is not known and has no effect",
            "1:53: warning: logging.file-pat: the key is not known and has no effect; did you mean \"file-path\"?",
        ]
    );
    let word = warned("{\"users\": \"/etc/vscp/users.json\"}");
    assert!(
        word[0].ends_with("did you mean \"path-users\"?"),
        "{word:?}"
    );
    let twice = warned("{\"debug\": false, \"debug\": true}");
    assert!(twice[0].contains("second time"), "{twice:?}");
}

#[test]
fn what_protects_is_never_ignored() {
    for text in [
        "{\"interface\": \"stcp://localhost:9598\"}",
        "{\"interface\": \"9598s\"}",
        "{\"interface\": [\"9598\", \"stcp://x\"]}",
        "{\"require-encryption\": true}",
        "{\"encryption\": \"aes999\"}",
    ] {
        let errors = refused(text);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    }
    for text in [
        "{\"encryption\": \"aes256\"}",
        "{\"tls\": {\"certificate\": \"/x.pem\"}}",
        "{\"tls\": {\"verify-peer\": true}}",
        "{\"ssl_certificate\": \"/x.pem\"}",
        "{\"encryption\": \"none|aes128|aes192|aes256\"}",
    ] {
        assert_eq!(warned(text).len(), 1, "{text}");
    }
    assert!(warned("{\"encryption\": \"none\", \"key-file\": \"/etc/vscp/vscp.key\"}").is_empty());
}

#[test]
fn values_out_of_bounds() {
    for text in [
        "{\"max-clients\": 0}",
        "{\"max-clients\": 70000}",
        "{\"max-out-queue\": -1}",
        "{\"max-out-queue\": 1.5}",
        "{\"max-in-queue\": \"5\"}",
        "{\"event-format\": \"xml\"}",
        "{\"abi\": \"v3\"}",
        "{\"remotes\": [\"+nonsense\"]}",
        "{\"variables\": {\"x\": \"0,20\"}}",
        "{\"logging\": {\"file-log-level\": \"loud\"}}",
        "{\"logging\": {\"file-max-size\": 0}}",
        "{\"bridge\": {\"publish\": \"me\"}}",
        "{\"mqtt\": {\"publish\": [{\"qos\": 1}]}}",
        "{\"mqtt\": {\"port\": 0}}",
        "{\"mqtt\": {\"bcleansession\": false}}",
        "{\"mqtt\": {\"host\": \"a:b\"}}",
        "{\"mqtt\": 5}",
        "{\"mqtt\": {\"publish\": [{\"topic\": \"a/{{clas}}\"}]}}",
        "{\"mqtt\": {\"publish\": [{\"topic\": \"a/#\"}]}}",
        "{\"mqtt\": {\"subscribe\": [{\"topic\": \"a/{{#guid}}\"}]}}",
        "{\"mqtt\": {\"subscribe\": [{\"topic\": \"a/#/b\"}]}}",
        "{\"mqtt\": {\"will\": {\"topic\": \"a/+\", \"payload\": \"x\"}}}",
    ] {
        let errors = refused(text);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    }
}

#[test]
fn a_whole_number_is_one_however_it_is_written() {
    for text in ["100", "100.0", "1e2", "1E+2", "1000e-1"] {
        let config = driver(&format!("{{\"max-clients\": {text}}}")).0;
        assert_eq!(config.limits.max_clients, 100, "{text}");
    }
    for text in ["100.5", "-1e2", "1e400", "1e300"] {
        let errors = refused(&format!("{{\"max-clients\": {text}}}"));
        assert!(
            errors[0].contains(&format!("{text} was found")),
            "{errors:?}"
        );
    }
}

#[test]
fn half_a_character_is_said_to_be_one() {
    for text in [
        "{\"path-users\": \"\\ud800\"}",
        "{\"mqtt\": {\"\\udc00\": 1}}",
    ] {
        let errors = refused(text);
        assert!(errors[0].contains("half of a character"), "{errors:?}");
    }
}

#[test]
fn many_problems_are_a_thousand_and_errors_are_seen_behind_warnings() {
    let strange: String = (0..5000).map(|n| format!("\"x{n}\": 1, ")).collect();
    let warnings = warned(&format!("{{{strange} \"write\": true}}"));
    assert_eq!(warnings.len(), 1000);
    let wrong: String = (0..5000).map(|n| format!("\"x{n}\": \"\", ")).collect();
    let text = format!("{{{strange} \"variables\": {{{wrong} \"y\": \"\"}}}}");
    let errors = refused(&text);
    assert_eq!(errors.len(), 2000);
}

#[test]
fn brokers() {
    let at = |host: &str| {
        let mqtt = driver(&format!("{{\"mqtt\": {{{host}}}}}"))
            .0
            .mqtt
            .remove(0);
        (mqtt.host, mqtt.port)
    };
    assert_eq!(at(""), ("localhost".to_owned(), 1883));
    assert_eq!(
        at("\"host\": \"mqtt://b.example:77\""),
        ("b.example".to_owned(), 77)
    );
    assert_eq!(at("\"host\": \"b:77\", \"port\": 78"), ("b".to_owned(), 78));
    assert_eq!(at("\"host\": \"::1\""), ("::1".to_owned(), 1883));
    assert_eq!(at("\"host\": \"tcp://[::1]:5\""), ("::1".to_owned(), 5));
    // Where the daemon looks for nested keys they are read as well.
    let text = "{\"mqtt\": {\"delay\": 5, \"reconnect\": {\"delay-max\": 3}, \"tcp-nodelay\": 0}}";
    let mqtt = driver(text).0.mqtt.remove(0);
    assert_eq!(mqtt.reconnect.delay, Duration::from_secs(5));
    assert_eq!(
        mqtt.reconnect.delay_max,
        Duration::from_secs(5),
        "never below the first delay"
    );
    assert!(!mqtt.nodelay);
}

#[test]
fn users_in_every_spelling() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("users.json");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load_users(&path)
            .map(|(users, _)| users)
            .map_err(|error| error.to_string())
    };
    let md5 = "2d1e4f91dae49cd08eaba2293e422273";
    let users = read(&format!(
        "{{\"users\": [{{\"user\": \"admin\", \"credentials\": \"{md5}\", \"full-name\": \"x\", \
          \"rights\": [\"send-events\", \"receive-events/test\"], \"privilege\": 4, \
          \"allow-events\": [{{\"class\": 20, \"type\": -1, \"dir\": \"tx\", \"max-priority\": 3}}], \
          \"remotes\": \"+127.0.0.1,-10.0.0.0/8\", \"filter\": \"0,20\", \"mask\": \"0,0xFFFF\"}}]}}"
    ));
    let users = users.unwrap();
    let user = users.get("admin").unwrap();
    assert!(user.credential.verify("admin", "secret"));
    assert_eq!(user.rights.bits(), 0x1011_0000);
    assert_eq!((user.privilege.level(), user.full_name.as_str()), (4, "x"));
    assert_eq!(user.allowed.may_send(20, 5, 0), Some(3));
    assert_eq!(user.allowed.may_send(21, 5, 0), None);
    assert_eq!(user.filter.filter.class, 20);
    for (text, expected) in [
        ("{}", "there is no list \"users\""),
        ("{\"users\": {}}", "a list was expected"),
        ("{\"users\": [{\"name\": \"x\"}]}", "needs a password"),
        ("{\"users\": [{\"password\": \"MD5\"}]}", "needs a name"),
        (
            "{\"users\": [{\"name\": \"x\", \"password\": \"zz\"}]}",
            "users[0].password",
        ),
        (
            "{\"users\": [{\"name\": \"x\", \"password\": \"MD5\", \"rights\": \"boss\"}]}",
            "boss",
        ),
        (
            "{\"users\": [{\"name\": \"x\", \"password\": \"MD5\"}, {\"name\": \"x\", \"password\": \"MD5\"}]}",
            "two users",
        ),
        (
            "{\"users\": [{\"name\": \"x\", \"password\": \"MD5\", \"remotes\": [\"x\"]}]}",
            "remotes",
        ),
        (
            "{\"users\": [{\"name\": \"x\", \"password\": \"MD5\", \"privilege\": 16}]}",
            "0 to 15",
        ),
    ] {
        let error = read(&text.replace("MD5", md5)).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
        assert!(
            !error.contains("zz"),
            "a password has no place in a message"
        );
    }
    let number =
        format!("{{\"users\": [{{\"name\": \"x\", \"password\": \"{md5}\", \"rights\": 65536}}]}}");
    assert_eq!(
        read(&number).unwrap().get("x").unwrap().rights.bits(),
        0x10000
    );
}

#[test]
fn a_user_without_a_password_is_read_to_the_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("users.json");
    let text = "{\"users\": [{\"name\": \"x\", \"privilege\": 16, \"note\": \"y\"}]}";
    std::fs::write(&path, text).unwrap();
    let report = check_file(&path);
    let problems: Vec<&str> = report.problems().iter().map(|p| p.key.as_str()).collect();
    assert_eq!(problems, ["users[0]", "users[0].privilege"]);
}

#[test]
fn a_password_is_never_shown() {
    let (config, _) = driver("{\"mqtt\": {\"user\": \"u\", \"password\": \"hunter2\"}}");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!refused("{\"mqtt\": {\"password\": [\"hunter2\"]}}")[0].contains("hunter2"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = load_driver(&format!("{{{text}"));
    }

    #[test]
    fn no_json_makes_it_panic(text in "[\\[\\]{}:,\"0-9a-z -]{0,100}") {
        for key in ["interface", "mqtt", "logging", "filter", "outbox", "tls", "variables"] {
            let _ = load_driver(&format!("{{\"{key}\": {text}}}"));
        }
    }
}

#[test]
fn a_daemons_file_that_names_itself_is_checked_once() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vscpd.json");
    let text = format!(
        "{{\"drivers\": {{\"level2\": [{{\"enable\": true, \"name\": \"x\", \
          \"path-driver\": \"x.so\", \"path-config\": {path:?}, \"guid\": \"::1\"}}]}}}}"
    );
    std::fs::write(&path, text).unwrap();
    assert!(!check_file(&path).has_errors());
    assert!(!check_json(&path).has_errors());
}

#[test]
fn an_entry_of_a_daemon_without_its_file_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vscpd.json");
    let check = |driver: &str, config: &str| {
        let text = format!(
            "{{\"drivers\": {{\"level2\": [{{\"enable\": true, \"name\": \"x\", \
              \"path-driver\": \"/x/{driver}.so\", {config} \"guid\": \"::1\"}}]}}}}"
        );
        std::fs::write(&path, text).unwrap();
        let report = check_file(&path);
        let problems: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
        problems.join("\n")
    };
    for name in ["libvscpl2drv-link", "libvscpl2drv_link"] {
        let missing = check(name, "\"config-path\": \"/x/link.json\",");
        assert!(missing.contains("1:25: error: "), "{missing}");
        assert!(missing.contains("path-config is missing"), "{missing}");
        let nowhere = check(name, "\"path-config\": \"/nowhere/link.json\",");
        assert!(nowhere.contains("warning: "), "{nowhere}");
        assert!(
            nowhere.contains("there is no file /nowhere/link.json"),
            "{nowhere}"
        );
    }
    assert_eq!(check("libvscpl2drv-other", ""), "");
}

#[test]
fn a_driver_is_known_by_what_its_name_links_to() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::write(path("libvscpl2drv-link.so"), "").unwrap();
    std::fs::write(path("libvscpl2drv-websocksrv.so"), "").unwrap();
    let link = path("libvscpl2drv-tcpipsrv.so");
    std::os::unix::fs::symlink("libvscpl2drv-link.so", &link).unwrap();
    assert!(is_driver(&link));
    assert!(is_driver(&path("libvscpl2drv-link.so")));
    assert!(!is_driver(&path("libvscpl2drv-websocksrv.so")));
    assert!(!is_driver(Path::new("/nowhere/libvscpl2drv-tcpipsrv.so")));
}

#[test]
fn a_pipe_is_no_file() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("users.json");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let error = load_users(&path).unwrap_err().to_string();
    assert!(error.contains("it is no regular file"), "{error}");
}

//! The section, its key file and TLS.

mod flat;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::config::model::{DriverConfig, InterfaceHost, WEBSOCKET_PORT};
use crate::config::parse_driver;
use crate::event::FilterPair;

const OWN: &str = "00112233445566778899AABBCCDDEEFF";
const KNOWN: [&str; 2] = [
    "2DBB079A38985AF00EBEEFE22F9FFA0E",
    "A4A86F7D7E119BA3F0CD06881E371B98",
];

/// A key file, and where it is.
fn key(text: &str, mode: u32) -> (TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vscp.key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (place, path)
}

fn plain(lines: &[String]) -> Vec<String> {
    let lines = lines.iter();
    lines
        .map(|line| line.trim_start_matches("(configuration):").to_owned())
        .collect()
}

/// A file with these keys and a good key file, and its warnings.
fn with(keys: &str) -> (DriverConfig, Vec<String>) {
    let (_place, path) = key(OWN, 0o600);
    let text = format!("{{{keys}, \"key-file\": \"{path}\"}}");
    let (config, warnings) = parse_driver(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (config, plain(&warnings))
}

/// The server of a section with these keys and an interface, and the warnings.
fn section(keys: &str) -> (WebsocketConfig, Vec<String>) {
    let (config, warnings) = with(&format!(
        "\"websocket\": {{\"interface\": \"ws://localhost\"{keys}}}"
    ));
    (config.websocket.expect(keys), warnings)
}

/// The server of a section without anything to warn of.
fn quiet(keys: &str) -> WebsocketConfig {
    let (config, warnings) = section(keys);
    assert!(warnings.is_empty(), "{keys}: {warnings:?}");
    config
}

/// The errors of a file.
fn refused(text: &str) -> Vec<String> {
    let error = parse_driver(text).expect_err(text).to_string();
    plain(&error.lines().map(str::to_owned).collect::<Vec<_>>())
}

/// The one error of a section with these keys.
fn fault(keys: &str) -> String {
    let text = format!("{{\"websocket\": {{\"interface\": \"8884\"{keys}}}}}");
    let errors = refused(&text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

#[test]
fn defaults() {
    let config = quiet("");
    assert_eq!(config.interfaces[0].host, InterfaceHost::Localhost);
    assert_eq!(config.interfaces[0].port, WEBSOCKET_PORT);
    assert!(!config.interfaces[0].secure);
    assert_eq!(config.ws1.as_deref(), Some("/ws1"));
    assert_eq!(config.ws2.as_deref(), Some("/ws2"));
    assert_eq!((config.max_clients, config.max_queue), (1024, 32_000));
    assert_eq!(config.generation, Generation::Classic);
    assert_eq!(config.filter, FilterPair::default());
    assert!(config.web_root.is_none() && config.origins.is_empty() && !config.foreign_iv);
    assert_eq!((config.key[0], config.key[15]), (0x00, 0xFF));
    assert!(!format!("{config:?}").contains("key"));
}

#[test]
fn every_key() {
    let config = quiet(
        ", \"enable-ws1\": false, \"url-ws1\": \"a\", \"url-ws2\": \" b/c \", \
         \"enable-static\": true, \"web-root\": \"/srv/www\", \"max-clients\": 7, \
         \"max-client-queue-size\": 8, \"allow-foreign-iv\": true, \"event-names\": \"Plain\", \
         \"rx-filter\": \"1,20,3,-;7,0xFFFF,1,-\", \"url-rest\": \"/x\", \"enable-rest\": false",
    );
    assert_eq!((config.ws1, config.ws2.as_deref()), (None, Some("/b/c")));
    assert_eq!(config.web_root, Some(PathBuf::from("/srv/www")));
    assert_eq!((config.max_clients, config.max_queue), (7, 8));
    assert_eq!(
        (config.foreign_iv, config.generation),
        (true, Generation::V2)
    );
    assert_eq!(
        (config.filter.filter.class, config.filter.mask.class),
        (20, 0xFFFF)
    );
    assert_eq!(quiet(", \"max-clients\": 0").max_clients, 65_535);
    let both = quiet(", \"event-names\": \"both\"");
    assert_eq!(both.generation, Generation::Both);
}

#[test]
fn interfaces_of_the_section() {
    let ports = |interface: &str| {
        let (config, _) = with(&format!("\"websocket\": {{\"interface\": {interface}}}"));
        assert_eq!(config.interfaces[0].port, 9598, "the link's stays");
        let found = config.websocket.map(|found| found.interfaces);
        found
            .unwrap_or_default()
            .iter()
            .map(|one| one.port)
            .collect::<Vec<_>>()
    };
    assert_eq!(ports("\"ws://localhost, 127.0.0.1:5\""), [8884, 5]);
    assert_eq!(ports("[\"ws://[::1]:1\", \"+2\"]"), [1, 2]);
    assert!(ports("\"\"").is_empty() && ports("[]").is_empty());
    let (config, warnings) = with("\"websocket\": {\"interface\": \"\"}");
    assert!(config.websocket.is_none() && warnings.is_empty(), "off");
    let (config, warnings) = with("\"websocket\": {\"enable-ws1\": true}");
    assert!(config.websocket.is_none());
    assert_eq!(
        warnings,
        [
            "1:15: warning: websocket: there is no interface in it, so websockets are not \
             served; write one as \"interface\": \"ws://localhost:8884\""
        ]
    );
}

#[test]
fn what_is_wrong_with_a_section() {
    for (keys, expected) in [
        (
            ", \"interface\": \"tcp://x\"",
            "error: websocket.interface: \"tcp\" is not a protocol of this interface; ws:// or \
             wss:// was expected",
        ),
        (
            ", \"url-ws1\": \"/w*\"",
            "1:48: error: websocket.url-ws1: a path like /ws1 was expected, \"/w*\" was found: it \
             is compared as it is, so blanks, ?, * and # have no place in it",
        ),
        (", \"url-ws1\": \"/a b\"", "a path like /ws1 was expected"),
        (
            ", \"url-ws2\": \"a?b\", \"enable-ws2\": false",
            "a path like /ws2 was expected",
        ),
        (", \"url-ws2\": \"/a#\"", "websocket.url-ws2: a path like"),
        (
            ", \"url-ws2\": \"ws1\"",
            "websocket.url-ws2: ws1 and ws2 cannot both be at /ws1",
        ),
        (
            ", \"url-ws1\": \"ws2\"",
            "websocket.url-ws1: ws1 and ws2 cannot both be at /ws2",
        ),
        (
            ", \"enable-static\": true",
            "websocket.enable-static: this needs web-root: the absolute path of a folder was \
             expected, like /srv/www",
        ),
        (
            ", \"enable-static\": true, \"web-root\": \".\"",
            "websocket.web-root: the absolute path of a folder was expected, like /srv/www, \
             \".\" was found",
        ),
        (", \"web-root\": \"www\"", "\"www\" was found"),
        (
            ", \"max-clients\": 65536",
            "a whole number from 0 to 65535 was expected",
        ),
        (
            ", \"max-client-queue-size\": 0",
            "a whole number from 1 to 10000000",
        ),
        (
            ", \"rx-filter\": \"9,0,0,-;0,0,0,-\"",
            "websocket.rx-filter: the priority",
        ),
        (
            ", \"rx-filter\": \"0,0,0,-,0,x,0,-\"",
            "websocket.rx-filter: the class",
        ),
        (
            ", \"rx-filter\": \"1,2,3,-,1,2,3,-,0,0\"",
            "6 fields were found",
        ),
        (
            ", \"event-names\": \"v3\"",
            "\"v3\" is none of vscp, plain, both",
        ),
        (
            ", \"allow-foreign-iv\": 1",
            "true or false was expected, a number was found",
        ),
        (
            ", \"enable-ws1\": \"yes\"",
            "true or false was expected, a string was found",
        ),
        (
            ", \"origins\": [\"example.org\"]",
            "websocket.origins: \"example.org\" is no origin; scheme://host, scheme://host:port, \
             null, or * for all was expected",
        ),
        (", \"origins\": \"http://x/path\"", "is no origin"),
        (", \"origins\": [\"http://x:port\"]", "is no origin"),
        (", \"origins\": [\"://x\"]", "is no origin"),
        (
            ", \"origins\": 5",
            "a string or a list of strings was expected",
        ),
    ] {
        // The key that stands there a second time counts.
        let found = fault(keys);
        assert!(found.contains(expected), "{keys}: {found}");
    }
    let errors = refused("{\"websocket\": 5}");
    assert_eq!(
        errors,
        ["1:15: error: websocket: an object was expected, a number was found"]
    );
}

#[test]
fn what_is_warned_of_in_a_section() {
    for (keys, expected) in [
        (
            ", \"urls\": 1",
            "websocket.urls: the key is not known and has no effect",
        ),
        (
            ", \"event-name\": 1",
            "the key is not known and has no effect; did you mean \"event-names\"?",
        ),
        (
            ", \"web-root\": \"/srv/www\"",
            "websocket.web-root: no file is served without enable-static: true",
        ),
        (
            ", \"rx-filter\": \"0,20,0,-\"",
            "websocket.rx-filter: a filter without a mask has no effect; write the mask behind \
             it: FILTER;MASK",
        ),
        (
            ", \"enable-rest\": true",
            "websocket.enable-rest: there is no REST interface; this has no effect",
        ),
        (
            ", \"enable-ws1\": false, \"enable-ws2\": false",
            "websocket.interface: neither ws1 nor ws2 nor files are served there",
        ),
    ] {
        let (_, warnings) = section(keys);
        assert_eq!(warnings.len(), 1, "{keys}: {warnings:?}");
        assert!(warnings[0].contains(expected), "{keys}: {warnings:?}");
    }
    quiet(", \"web-root\": \"/srv/www\", \"enable-static\": false");
}

#[test]
fn filters_in_every_form() {
    let guid = "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF";
    for text in [
        format!("3,20,5,-;7,65535,255,{guid}"),
        format!("3,20,5,-,7,65535,255,{guid}"),
        format!(" 0x3 , 20 , 5 , - , 7 , 65535 , 255 , {guid} "),
    ] {
        let pair = quiet(&format!(", \"rx-filter\": \"{text}\"")).filter;
        let (filter, mask) = (pair.filter, pair.mask);
        assert_eq!(
            (filter.priority, filter.class, filter.vscp_type),
            (3, 20, 5)
        );
        assert_eq!((mask.priority, mask.class, mask.vscp_type), (7, 65535, 255));
        assert_eq!((filter.guid.bytes()[0], mask.guid.bytes()[15]), (0, 0xFF));
    }
    assert_eq!(quiet(", \"rx-filter\": \"\"").filter, FilterPair::default());
    let (config, _) = section(", \"rx-filter\": \"0,20,0,-,5\"");
    assert_eq!(
        (config.filter.filter.class, config.filter.mask.class),
        (20, 0)
    );
}

#[test]
fn origins_as_browsers_write_them() {
    let found = |list: &str| quiet(&format!(", \"origins\": {list}")).origins;
    assert_eq!(
        found(
            "[\"HTTPS://Panel.example:443\", \"http://localhost:80\", \"http://[::1]:8080\", \
             \"http://[::1]\", \"https://x:80\", \"null\"]"
        ),
        [
            "https://panel.example",
            "http://localhost",
            "http://[::1]:8080",
            "http://[::1]",
            "https://x:80",
            "null",
        ]
    );
    assert!(found("\"*\"").is_empty() && found("[]").is_empty() && found("\"\"").is_empty());
    assert!(found("[\"http://x\", \"*\"]").is_empty());
}

#[test]
fn without_a_usable_key_there_is_no_server() {
    let file = |path: &str| {
        let text = format!(
            "{{\"key-file\": \"{path}\", \"websocket\": {{\"interface\": \"ws://[::1]\"}}}}"
        );
        let (config, warnings) = parse_driver(&text).unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(config.interfaces.len(), 1);
        (config, warnings[0].clone())
    };
    let make = "make one with: (umask 077; openssl rand -hex 32 > FILE)";
    let (config, warning) = file("");
    assert!(config.websocket.is_none());
    let expected = "warning: websocket.interface: there is no key-file, which logins are \
                    encrypted with, so websockets are not served; ";
    assert!(
        warning.contains(expected) && warning.ends_with(make),
        "{warning}"
    );
    for (text, why) in [
        (
            OWN.get(1..),
            "it has 31 hexadecimal digits, aes128 needs 32",
        ),
        (Some("secret"), "byte 1 of it is no hexadecimal digit"),
        (Some(""), "it has 0 hexadecimal digits"),
        (None, "it cannot be read: No such file"),
    ] {
        let (place, path) = key(text.unwrap_or_default(), 0o600);
        if text.is_none() {
            place.close().unwrap();
        }
        let (config, warning) = file(&path);
        assert!(config.websocket.is_none());
        assert_eq!(config.key_file, Some(PathBuf::from(&path)), "it may come");
        let expected = format!("key-file: {path} is not usable: {why}");
        assert!(warning.contains(&expected), "{warning}");
        assert!(warning.ends_with(&format!("{make}. Websockets are not served")));
        assert!(!warning.contains("secret"));
    }
}

#[test]
fn keys_that_others_have_are_taken_and_said() {
    let file = |path: &str, more: &str| {
        let text = format!(
            "{{\"key-file\": \"{path}\", \"websocket\": {{\"interface\": \"ws://[::1]\"}}{more}}}"
        );
        parse_driver(&text).unwrap()
    };
    for known in KNOWN {
        // The file that is handed out has 512 digits.
        let (_place, path) = key(&format!("{}\n", known.repeat(16)), 0o600);
        let (config, warnings) = file(&path, "");
        assert!(config.websocket.is_some());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("holds a key that everybody has"),
            "{warnings:?}"
        );
        let (config, warnings) = file(&path, ", \"interface\": \"ws://x\"");
        assert_eq!(config.websocket.unwrap().key[15], config_end(known));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        // Who asks for encryption means one that is.
        let tls = ", \"interface\": \"ws://y\", \"require-encryption\": true";
        let (config, warnings) = file(&path, tls);
        assert!(config.websocket.is_none() && config.encrypted_only);
        let text = warnings.join("\n");
        assert!(
            text.contains("is not usable: it holds the key that is in every"),
            "{text}"
        );
    }
    let (_place, path) = key(OWN, 0o644);
    let (config, warnings) = file(&path, "");
    assert!(config.websocket.is_some());
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("others can read") && warnings[0].contains("(mode 0644)"));
    let (_place, path) = key(&format!(" {}\n{}\n", &OWN[..16], &OWN[16..]), 0o600);
    assert!(file(&path, "").1.is_empty(), "white space is nothing");
}

fn config_end(key: &str) -> u8 {
    u8::from_str_radix(&key[30..32], 16).unwrap()
}

#[test]
fn encryption_that_is_required() {
    let (_place, path) = key(OWN, 0o600);
    let text = format!(
        "{{\"key-file\": \"{path}\", \"require-encryption\": true, \"encryption\": \"aes256\", \
          \"interface\": \"ws://localhost, wss://localhost:1\", \"tls\": {{\"cert\": \"/x.pem\"}}}}"
    );
    let (config, warnings) = parse_driver(&text).unwrap();
    assert!(config.encrypted_only && config.websocket.is_some() && config.cipher.is_none());
    let warnings = warnings.join("\n");
    assert!(
        warnings.contains(
            "interface: with require-encryption nobody can log in at ws://; write it as wss://"
        ),
        "{warnings}"
    );
    assert!(
        warnings.contains(
            "encryption: there is no interface of the link, so this has no effect: websocket \
             logins are AES-128 always"
        ),
        "{warnings}"
    );
}

#[test]
fn tls() {
    for text in [
        "{\"websocket\": {\"interface\": \"wss://localhost\"}}",
        "{\"interface\": \"wss://localhost\"}",
        "{\"interface\": [\"9598\", \"wss://localhost\"]}",
        "{\"interface\": \"stcp://localhost\"}",
    ] {
        let errors = refused(text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].ends_with(
                "interface: TLS needs tls.certificate: a PEM file with certificate and key, or \
                 tls.key as well"
            ),
            "{errors:?}"
        );
    }
    let tls = "\"tls\": {\"cert\": \"/c.pem\", \"key\": \"/k.pem\", \"ca\": \"/a.pem\"}";
    let (config, warnings) = with(&format!("\"interface\": \"wss://localhost\", {tls}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(config.websocket.unwrap().interfaces[0].secure);
    let found = config.tls.unwrap();
    assert_eq!(found.certificate, PathBuf::from("/c.pem"));
    assert_eq!(found.key, Some(PathBuf::from("/k.pem")));
    assert_eq!(found.ca_file, Some(PathBuf::from("/a.pem")));
    let (config, warnings) = with(&format!("\"interface\": \"ws://localhost\", {tls}"));
    assert_eq!((config.tls, warnings.len()), (None, 3), "{warnings:?}");
    assert!(
        warnings[0].contains("write one as stcp:// or wss://"),
        "{warnings:?}"
    );
}

#[test]
fn secrets_are_not_served() {
    let (place, path) = key(OWN, 0o600);
    let file = |root: &str| {
        format!(
            "{{\"key-file\": \"{path}\", \"path-users\": \"/etc/vscp/users.json\", \"websocket\": \
              {{\"interface\": \"ws://localhost\", \"enable-static\": true, \"web-root\": \"{root}\"}}}}"
        )
    };
    let root = place.path().to_str().unwrap();
    for (root, what) in [(root, path.as_str()), ("/etc", "/etc/vscp/users.json")] {
        let errors = refused(&file(root));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].contains(what) && errors[0].contains("web-root"),
            "{errors:?}"
        );
    }
    assert!(parse_driver(&file("/srv/www")).is_ok());
}

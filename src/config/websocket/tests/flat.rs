//! Websocket keys at the top of the file.

use super::*;

/// A file as people have it from the C++ websocket driver.
const FLAT: &str = include_str!("../../../../tests/documented/websocksrv.json");

#[test]
fn interfaces_of_the_top_are_told_apart() {
    let (config, warnings) = with(
        "\"interface\": [\"9598\", \"WS://localhost\", \"wss://[::1]:1, tcp://localhost:2\"], \
         \"tls\": {\"certificate\": \"/c.pem\"}, \"max-clients\": 3",
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    let ports = |list: &[Interface]| list.iter().map(|one| one.port).collect::<Vec<_>>();
    assert_eq!(ports(&config.interfaces), [9598, 2]);
    let websocket = config.websocket.unwrap();
    assert_eq!(ports(&websocket.interfaces), [8884, 1]);
    // It is the link's where there is one.
    assert_eq!(
        (config.limits.max_clients, websocket.max_clients),
        (3, 1024)
    );
    let (config, _) = with("\"interface\": \"ws://localhost\", \"max-clients\": 0");
    assert!(config.interfaces.is_empty());
    assert_eq!(config.limits.max_clients, 1024);
    assert_eq!(config.websocket.unwrap().max_clients, 65_535);
    assert_eq!(with("\"interface\": []").0.interfaces.len(), 1);
    let errors = refused("{\"interface\": \"http://x\"}");
    assert!(
        errors[0].ends_with(
            "\"http\" is not a protocol of this interface; tcp:// or stcp://, or ws:// or wss:// \
             for websockets, was expected"
        ),
        "{errors:?}"
    );
    assert!(refused("{\"interface\": \"9598\", \"max-clients\": 0}")[0].contains("from 1 to"));
}

#[test]
fn the_file_of_the_other_driver_works_as_it_stands() {
    let (_place, path) = key(&KNOWN[0].repeat(16), 0o644);
    let (config, warnings) = parse_driver(&FLAT.replace("KEY-FILE", &path)).unwrap();
    assert!(config.interfaces.is_empty() && config.tls.is_none());
    let websocket = config.websocket.unwrap();
    assert_eq!(websocket.interfaces[0].port, 8884);
    assert_eq!(websocket.ws1.as_deref(), Some("/ws1"));
    assert_eq!(websocket.ws2.as_deref(), Some("/ws2"));
    assert_eq!((websocket.max_clients, websocket.max_queue), (100, 16_000));
    assert_eq!(websocket.web_root, None, "never the working directory");
    let keys: Vec<_> = plain(&warnings)
        .iter()
        .filter_map(|line| line.split(": ").nth(2).map(str::to_owned))
        .collect();
    assert_eq!(
        keys,
        [
            "enable-rest",
            "enable-static",
            "key-file",
            "key-file",
            "encryption",
            "tls.ca",
            "tls.cert",
            "tls.key",
        ],
        "{warnings:?}"
    );
}

#[test]
fn files_of_flat_keys() {
    let flat = |keys: &str| {
        let (config, warnings) = with(&format!("\"interface\": \"ws://localhost\", {keys}"));
        (config.websocket.unwrap().web_root, warnings.len())
    };
    let root = || Some(PathBuf::from("/srv/www"));
    for (keys, expected) in [
        (
            "\"enable-static\": true, \"web-root\": \"/srv/www\"",
            (root(), 0),
        ),
        ("\"enable-static\": false, \"web-root\": \"www\"", (None, 0)),
        ("\"enable-static\": true", (None, 1)),
        ("\"enable-static\": true, \"web-root\": \".\"", (None, 1)),
        ("\"web-root\": \"/srv/www\"", (None, 1)),
    ] {
        assert_eq!(flat(keys), expected, "{keys}");
    }
}

#[test]
fn flat_keys_beside_a_section() {
    let (config, warnings) = with(
        "\"interface\": [\"9598\", \"ws://localhost:1\"], \"url-ws1\": \"/top\", \
         \"url-ws2\": \"/top2\", \"websocket\": {\"interface\": \"ws://localhost:2\", \
         \"url-ws1\": \"/section\"}",
    );
    let websocket = config.websocket.unwrap();
    assert_eq!(websocket.interfaces[0].port, 2);
    assert_eq!(websocket.interfaces.len(), 1);
    assert_eq!(websocket.ws1.as_deref(), Some("/section"));
    assert_eq!(
        websocket.ws2.as_deref(),
        Some("/top2"),
        "the section says nothing of it"
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("interface: websocket.interface says where"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains("url-ws1: websocket.url-ws1 says the same and counts"),
        "{warnings:?}"
    );
    // A section without an interface is about those of the top.
    let (config, warnings) = with(
        "\"interface\": \"ws://localhost:1\", \"max-clients\": 5, \
         \"websocket\": {\"event-names\": \"both\", \"max-clients\": 6}",
    );
    let websocket = config.websocket.unwrap();
    assert_eq!(
        (websocket.generation, websocket.max_clients),
        (Generation::Both, 6)
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn flat_keys_without_an_interface_warn() {
    let (config, warnings) =
        with("\"interface\": \"9598\", \"url-ws1\": \"/x\", \"enable-ws2\": true");
    assert!(config.websocket.is_none());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for warning in &warnings {
        assert!(
            warning.ends_with(
                "there is no websocket interface, so this has no effect; write one as ws://"
            ),
            "{warning}"
        );
    }
    assert!(with("\"mongoose-debug\": true").1.is_empty());
}

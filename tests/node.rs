//! A client that nobody of this project wrote: node-vscp-tcp, as npm has it.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::process::Command;

use serde_json::{Value, json};
use vscpl2drv_link::driver::{Driver, Source};

mod support;

use support::dialogue;
use support::tools::{need, root, run};

#[test]
fn the_released_node_client() {
    assert!(
        root()
            .join("tests/node/node_modules/node-vscp-tcp")
            .is_dir(),
        "node-vscp-tcp is missing: run `tests/setup all`"
    );
    // Clients meet without a broker.
    let config = format!(
        "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"interconnect\": true, \"bridge\": {{\"publish\": \"off\", \"subscribe\": \"off\"}}, \
          \"logging\": {{\"file-enable-log\": false}}}}",
        dialogue::users(),
    );
    let guid = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01"
        .parse()
        .unwrap();
    let driver = Driver::open(Source { config, guid }).unwrap();
    let port = driver.addresses()[0].port().to_string();
    let mut node = Command::new("timeout");
    node.arg("60")
        .arg(need("node"))
        .arg(root().join("tests/node/client.js"))
        .arg(port);
    let output = run(&mut node);
    let line = output.lines().last().unwrap();
    let seen: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {output}"));
    assert_eq!(seen["version"]["major"], env!("CARGO_PKG_VERSION_MAJOR"));
    assert_eq!(seen["channel"], 1);
    assert_eq!(
        seen["guid"],
        "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:01:00:00"
    );
    assert_eq!(seen["can"].as_array().unwrap().len(), 8);
    assert_eq!(seen["pending"], 0);
    let interface = &seen["interfaces"][0];
    assert_eq!(
        (&interface["index"], &interface["type"]),
        (&json!(1), &json!(4))
    );
    let started = interface["started"].as_str().unwrap();
    assert!(
        started.starts_with("20") && started.len() == 19,
        "{started}"
    );
    let guid = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
    let channel = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:01:00:00";
    assert_eq!(
        seen["events"],
        json!([
            {"class": 10, "type": 6, "guid": guid, "data": [1, 2, 3, 4, 5, 6, 7, 8]},
            {"class": 20, "type": 3, "guid": guid, "data": [9]},
            {"class": 20, "type": 4, "guid": channel, "data": []},
        ])
    );
    driver.close();
}

//! What is shown of a driver to those who watch it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::raw::{Raw, Response, request};
use super::reload::Bench;
use super::tools::root;

/// A status section on loopback.
pub const STATUS: &str = "\"status\": {\"interface\": \"127.0.0.1:0\"}";

/// The same, and a link server beside it.
pub const WATCHED: &str =
    "\"interface\": \"tcp://127.0.0.1:0\", \"status\": {\"interface\": \"127.0.0.1:0\"}";

/// Where the only page is.
pub fn address(bench: &Bench) -> SocketAddr {
    let addresses = bench.driver().status_addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0]
}

/// The answer to a request; the connection has to end behind it.
pub fn ask(address: SocketAddr, line: &str) -> Response {
    let mut raw = Raw::connect(address);
    raw.send(request(line, &[("Host", "localhost")]));
    let response = raw.response_to(line.starts_with("HEAD"));
    assert_eq!(raw.rest(), b"", "one connection is one answer");
    response
}

/// The document.
pub fn status(address: SocketAddr) -> Value {
    let response = ask(address, "GET /status.json");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_str(response.text()).unwrap()
}

/// What Prometheus has read.
pub struct Metrics {
    /// Of each family: counter, gauge or histogram.
    pub kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Asks for them, and lets Prometheus' own parser read the answer.
    pub fn get(address: SocketAddr) -> Self {
        let response = ask(address, "GET /metrics");
        assert_eq!(response.status, 200);
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(response.header("content-type"), Some(kind));
        let mut parser = Command::new("/usr/bin/python3")
            .arg(root().join("tests/python/metrics.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there: run `tests/setup all`");
        parser
            .stdin
            .take()
            .unwrap()
            .write_all(&response.body)
            .unwrap();
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", response.text());
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut kinds = BTreeMap::new();
        for (name, family) in read["families"].as_object().unwrap() {
            assert!(family["help"].as_str().unwrap().len() > 5, "{name}");
            let kind = family["type"].as_str().unwrap().to_owned();
            kinds.insert(name.clone(), kind);
        }
        let mut samples = BTreeMap::new();
        for sample in read["samples"].as_array().unwrap() {
            let labels: BTreeMap<String, String> =
                serde_json::from_value(sample[1].clone()).unwrap();
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let name = format!("{}{{{}}}", sample[0].as_str().unwrap(), labels.join(","));
            let twice = samples.insert(name.clone(), sample[2].as_f64().unwrap());
            assert!(twice.is_none(), "{name} twice");
        }
        Self { kinds, samples }
    }

    /// The value of a sample; labels are in the order of their names: `a{b=1,c=2}`.
    pub fn value(&self, sample: &str) -> f64 {
        let sample = match sample.contains('{') {
            true => format!("vscp_link_{sample}"),
            false => format!("vscp_link_{sample}{{}}"),
        };
        let found = self.samples.get(&sample);
        *found.unwrap_or_else(|| panic!("{sample} is none of {:#?}", self.samples))
    }

    /// All samples.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }
}

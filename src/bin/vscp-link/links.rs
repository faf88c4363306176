//! `vscp-link links`: how the links of running drivers are.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;
use vscpl2drv_link::mqtt::Inquiry;

use crate::args::LinksArgs;
use crate::failure::{Failure, chain, complain, printable};
use crate::login;
use crate::table;

const COLUMNS: [(&str, &str); 8] = [
    ("NAME", "name"),
    ("PLACE", "place"),
    ("UP", "up"),
    ("WAITING", "waiting"),
    ("SENT", "sent"),
    ("RECEIVED", "received"),
    ("DROPPED", "dropped"),
    ("TROUBLE", "trouble"),
];

/// Asks the broker for status documents, and prints what they say of links.
pub(crate) fn run(args: &LinksArgs) -> Result<(), Failure> {
    let broker = &args.broker.0;
    let tls = login::tls(&args.tls, broker.secure, "mqtts", "--broker")?;
    let login = match &args.user {
        None => None,
        Some(user) => {
            let (said, file) = (args.password.as_deref(), args.password_file.as_deref());
            Some((user.clone(), login::password(user, said, file)?))
        }
    };
    let inquiry = Inquiry {
        host: broker.host.clone(),
        port: broker.port,
        tls,
        login,
        patience: Duration::from_secs(args.timeout),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io("the broker cannot be asked".into(), e))?;
    let documents = runtime
        .block_on(inquiry.retained(&args.topic))
        .map_err(|e| Failure::problem(format!("the broker {broker}: {}", chain(&e))))?;
    let mut shown = 0;
    for (topic, payload) in documents.iter().filter(|(_, payload)| !payload.is_empty()) {
        match serde_json::from_slice::<Value>(payload) {
            Ok(document) if document["state"].is_string() => {
                if shown > 0 {
                    writeln!(io::stdout().lock()).map_err(Failure::Output)?;
                }
                show(&document)?;
                shown += 1;
            }
            _ => complain(&format!("{} is no status document", printable(topic))),
        }
    }
    match shown {
        0 => Err(Failure::problem(format!(
            "the broker {broker} keeps no status document under {}: has the driver a status.topic \
             in its mqtt section?",
            printable(&args.topic)
        ))),
        _ => Ok(()),
    }
}

fn show(document: &Value) -> Result<(), Failure> {
    let member = |name: &str| cell(&document[name]);
    let links = document["links"].as_array().map_or(&[][..], Vec::as_slice);
    let mut line = format!("{} {}", member("guid"), member("state"));
    if document["state"] == "online" && links.is_empty() {
        line.push_str(", no links");
    }
    writeln!(io::stdout().lock(), "{}", printable(&line)).map_err(Failure::Output)?;
    io::stdout()
        .lock()
        .write_all(self::links(document).as_bytes())
        .map_err(Failure::Output)
}

/// What a status document says of links, as a table; nothing where there are none.
pub(crate) fn links(document: &Value) -> String {
    let links = document["links"].as_array().map_or(&[][..], Vec::as_slice);
    if links.is_empty() {
        return String::new();
    }
    let mut rows = vec![COLUMNS.map(|(title, _)| title.to_owned())];
    let row = |link: &Value| COLUMNS.map(|(_, name)| cell(&link[name]));
    rows.extend(links.iter().map(row));
    table::render(&rows)
}

/// A member as people read it.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

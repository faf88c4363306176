//! Every key of a schema, with every kind of value.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// What an object has to have.
const NEEDED: &[(&str, &str)] = &[
    ("links", "{\"host\": \"h\", \"user\": \"u\"}"),
    ("remote", "{\"host\": \"h\", \"user\": \"u\"}"),
    ("mqtt.publish", "{\"topic\": \"t\"}"),
    ("mqtt.subscribe", "{\"topic\": \"t\"}"),
    ("mqtt.status", "{\"topic\": \"t\"}"),
    (
        "users",
        "{\"name\": \"n\", \"password\": \"2d1e4f91dae49cd08eaba2293e422273\"}",
    ),
];

/// Other names of what an object has to have.
const OTHER: &[(&str, &str)] = &[("user", "name"), ("credentials", "password")];

/// Texts that mean something somewhere, and some that mean nothing anywhere.
const TEXTS: &[&str] = &[
    "",
    " ",
    "x",
    "5",
    "a b",
    "*",
    "-1",
    "/x",
    "?",
    "9598",
    " 9598s ",
    "+9598",
    "localhost:1",
    "TCP://[::1]:5,wss://x/",
    "ws://:8884",
    "udp://0.0.0.0:1",
    "http://127.0.0.1",
    "mqtts://h:1",
    "x://h",
    "::1",
    "10.0.0.1",
    "+127.0.0.0/8, -fe80::/10,192.168.*",
    "Host,-mqtt",
    "224.0.0.9",
    "0,20,3,-",
    "1,0x14,3,{00:01},9",
    "3,20,5,-;7,65535,255,-",
    "0,0,0,-,0,0,0,-",
    "8,0,0,-",
    "20:3, *:-1",
    "[TX;20;*;3]",
    "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01",
    "2d1e4f91dae49cd08eaba2293e422273",
    "0839DD1BE692164847B601E6520CE23B;3E1B4D950F04EA3BFA2C43160B9D98ECC76B249F79A1062F041C526978591BA3",
    "https://Panel.example:443",
    "null",
    "admin, Send-Events/0x10",
    "NO_LOCAL | send_retain_new",
    "0,20,3,,,,-,0,1,35",
    "outgoing filter",
    " none|aes128|aes192|aes256 ",
    "true",
    "a.b_c-d:1",
];

const NUMBERS: &[i64] = &[-2, -1, 0, 1, 2, 3, 4, 5, 16, 101, 310, 500, 1001, 65_536];

/// A file for each key and value.
pub(crate) fn files(schema: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    walk(schema, schema, &mut Vec::new(), &mut found);
    found
}

/// The sections of a file, each by itself, with another value in the place of each of theirs.
pub(crate) fn changed(file: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for (name, section) in file.as_object().unwrap() {
        let mut places = Vec::new();
        pointers(section, &format!("/{name}"), &mut places);
        for place in places {
            for text in OTHERS {
                let mut file = json!({name: section});
                *file.pointer_mut(&place).unwrap() = serde_json::from_str(text).unwrap();
                found.push(file);
            }
        }
    }
    found
}

const OTHERS: &[&str] = &[
    "null",
    "true",
    "0",
    "3",
    "70000",
    "\"\"",
    "\"none of all\"",
    "\"/x\"",
    "\"10.0.0.1\"",
    "[]",
    "[\"x\"]",
    "{}",
    "{\"zzz\": 1}",
];

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    for (key, value) in value.as_object().into_iter().flatten() {
        pointers(value, &format!("{at}/{key}"), found);
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        pointers(value, &format!("{at}/{index}"), found);
    }
}

#[derive(Clone)]
enum Step {
    Key(String),
    One,
}

/// What a reference leads to, and each of several.
fn parts<'s>(schema: &'s Value, at: &'s Value) -> Vec<&'s Value> {
    let mut found = vec![at];
    if let Some(name) = at["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        found.extend(parts(schema, schema.pointer(pointer).unwrap()));
    }
    for either in at["anyOf"].as_array().into_iter().flatten() {
        // What an object has to have is no value.
        if either.get("required").is_none() {
            found.extend(parts(schema, either));
        }
    }
    found
}

fn walk(schema: &Value, at: &Value, way: &mut Vec<Step>, found: &mut Vec<Value>) {
    let parts = parts(schema, at);
    found.extend(values(&parts).into_iter().map(|value| file(way, value)));
    let objects: Vec<&Map<String, Value>> = parts
        .iter()
        .filter_map(|part| part["properties"].as_object())
        .collect();
    for (key, below) in objects.iter().flat_map(|object| object.iter()) {
        way.push(Step::Key(key.clone()));
        walk(schema, below, way, found);
        way.pop();
    }
    for part in &parts {
        if part["additionalProperties"].is_object() {
            way.push(Step::Key("any".to_owned()));
            walk(schema, &part["additionalProperties"], way, found);
            way.pop();
        }
        // One that needs no list is looked at without.
        if part["items"].is_object() && objects.is_empty() {
            way.push(Step::One);
            walk(schema, &part["items"], way, found);
            way.pop();
        }
    }
}

/// Values at and beyond what the schema allows, and others.
fn values(parts: &[&Value]) -> Vec<Value> {
    let mut numbers: BTreeSet<i128> = NUMBERS.iter().map(|&number| number.into()).collect();
    let mut all: Vec<Value> = ["null", "true", "false", "1.0", "1.5", "[]", "{}"]
        .iter()
        .chain(&[
            "[\"x\"]",
            "[\"\"]",
            "[1]",
            "[null]",
            "[{}]",
            "[[]]",
            "{\"zzz\": 1}",
        ])
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    all.extend(TEXTS.iter().map(|text| json!(text)));
    for part in parts {
        for bound in [&part["minimum"], &part["maximum"]] {
            let bound = bound
                .as_u64()
                .map(i128::from)
                .or_else(|| bound.as_i64().map(i128::from));
            numbers.extend(bound.into_iter().flat_map(|bound| bound - 1..=bound + 1));
        }
        for word in part["enum"].as_array().into_iter().flatten() {
            if let Some(word) = word.as_str() {
                for text in [word, &word.to_uppercase(), &format!(" {word} ")] {
                    all.push(json!(text));
                    all.push(json!([text]));
                }
                all.push(json!(format!("{word}x")));
            }
            if let Some(number) = word.as_i64() {
                numbers.extend(i128::from(number) - 1..=i128::from(number) + 1);
            }
        }
        if let Some(most) = part["maxItems"].as_u64() {
            let one = json!({"topic": "t"});
            all.push(json!(vec![one; usize::try_from(most).unwrap() + 1]));
        }
    }
    let numbers = numbers
        .into_iter()
        .map(|number| match u64::try_from(number) {
            Ok(number) => json!(number),
            Err(_) => i64::try_from(number).map_or_else(|_| json!(1e20), |number| json!(number)),
        });
    all.extend(numbers);
    all
}

/// A file with nothing but a value, and what the objects around it have to have.
fn file(way: &[Step], value: Value) -> Value {
    let (mut file, mut path) = (Value::Null, String::new());
    let mut at = &mut file;
    for step in way {
        match step {
            Step::Key(key) => {
                if at.is_null() {
                    *at = needed(&path);
                }
                for (_, name) in OTHER.iter().filter(|(other, _)| other == key) {
                    at.as_object_mut().unwrap().remove(*name);
                }
                let dot = if path.is_empty() { "" } else { "." };
                path.push_str(&format!("{dot}{key}"));
                at = &mut at[key.as_str()];
                *at = Value::Null;
            }
            Step::One => {
                *at = json!([null]);
                at = &mut at[0];
            }
        }
    }
    *at = value;
    file
}

fn needed(path: &str) -> Value {
    let found = NEEDED.iter().find(|(of, _)| *of == path);
    found.map_or_else(
        || json!({}),
        |(_, text)| serde_json::from_str(text).unwrap(),
    )
}

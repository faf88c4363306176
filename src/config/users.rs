//! The users file.

use std::collections::HashSet;

use super::ask::Ask;
use super::driver::{filter, remotes, text_if_set};
use super::form;
use super::node::Node;
use super::object::Object;
use super::report::Report;
use crate::auth::{
    AllowedEvent, AllowedEvents, Credential, Direction, Privilege, Rights, User, UserTable,
};
use crate::event::FilterPair;

/// Reads a users file. What is wrong is reported; with an error the values mean nothing.
pub(super) fn read(root: &Node<'_>, report: &mut Report) -> Option<UserTable> {
    let mut object = Object::new(root, report)?;
    // An editor's.
    object.text("$schema", report);
    let list = object.take("users");
    object.finish(report);
    report.needs(root, &["users"]);
    let Some(list) = list else {
        report.error(root, "there is no list \"users\" in it");
        return None;
    };
    let mut users: Vec<User> = Vec::new();
    let mut names = HashSet::new();
    for node in list.list(report)? {
        let Some(user) = user(&node, report) else {
            continue;
        };
        if !names.insert(user.name.clone()) {
            report.error(&node, format!("there are two users {:?}", user.name));
            continue;
        }
        users.push(user);
    }
    report.sort();
    UserTable::new(users)
        .map_err(|error| report.error(&list, error.to_string()))
        .ok()
}

fn user(node: &Node<'_>, report: &mut Report) -> Option<User> {
    let mut o = Object::new(node, report)?;
    let name = o.take_any(&["name", "user"], report);
    let name = text_if_set(name, report).map(|(_, name)| name);
    report.needs(node, &["name", "user"]);
    if name.is_none() {
        report.error(node, "a user needs a name");
    }
    let password = o.take_any(&["password", "credentials"], report);
    report.needs(node, &["password", "credentials"]);
    let credential = match text_if_set(password, report) {
        None => {
            report.error(
                node,
                "a user needs a password: SALT;HASH, or MD5 of user:password",
            );
            None
        }
        Some((node, text)) => {
            report.form(&node, form::credential);
            let parsed = text.parse::<Credential>();
            parsed.map_err(|error| report.refuse(&node, &error)).ok()
        }
    };
    let full_name = o.take_any(&["fullname", "full-name"], report);
    let full_name = full_name.and_then(|node| node.text(report));
    let note = o.text("note", report).unwrap_or_default();
    let rights = rights(o.take("rights"), report);
    let level = o.number("privilege", 0..=15, 15, report);
    let remotes = remotes(o.take("remotes"), report);
    let most = o.number("max-sessions", 0..=65_535, 0, report);
    let allowed = allowed(o.take_any(&["events", "allow-events"], report), report);
    let filter = FilterPair {
        filter: filter(o.take("filter"), report),
        mask: filter(o.take("mask"), report),
    };
    o.finish(report);
    Some(User {
        name: name.unwrap_or_default(),
        credential: credential?,
        full_name: full_name.unwrap_or_default(),
        note,
        rights,
        privilege: Privilege::new(level as u8).unwrap_or_default(),
        remotes,
        max_sessions: u16::try_from(most).ok().filter(|&most| most > 0),
        allowed,
        filter,
    })
}

/// Names in a string or a list, or the bits as a number. Absent, they are those of `user`.
fn rights(node: Option<Node<'_>>, report: &mut Report) -> Rights {
    let Some(node) = node else {
        return Rights::USER;
    };
    if node.is_number() {
        return node
            .number(0, u64::MAX, report)
            .map_or(Rights::NONE, Rights::from_bits);
    }
    report.ask(node.path(), || Ask::WordList {
        words: Rights::words().map(str::to_owned).collect(),
        between: "[,/\\s]",
        or: Some(form::NUMBER),
    });
    let names = node.texts(report).unwrap_or_default();
    let rights = Rights::parse_list(names.iter().map(String::as_str)).unwrap_or_else(|error| {
        report.refuse(&node, &error);
        Rights::NONE
    });
    if rights.is_empty() {
        report.warn(
            &node,
            "a user without any right can log in and do next to nothing",
        );
    }
    rights
}

fn allowed(node: Option<Node<'_>>, report: &mut Report) -> AllowedEvents {
    let Some(node) = node else {
        return AllowedEvents::default();
    };
    let objects = node.is_list()
        && node
            .list(report)
            .is_some_and(|list| list.iter().any(Node::is_object));
    if objects {
        let list = node.list(report).unwrap_or_default();
        return list
            .iter()
            .filter_map(|node| allowed_object(node, report))
            .collect();
    }
    report.form(&node, form::events);
    let texts = node.texts(report).unwrap_or_default();
    AllowedEvents::parse(texts.iter().map(String::as_str)).unwrap_or_else(|error| {
        report.refuse(&node, &error);
        AllowedEvents::default()
    })
}

/// How people write that anything will do.
const ANY: [&str; 3] = ["", "*", "-1"];

/// `{"class": 20, "type": -1, "dir": "tx", "max-priority": 3}`.
fn allowed_object(node: &Node<'_>, report: &mut Report) -> Option<AllowedEvent> {
    let mut o = Object::new(node, report)?;
    let mut number = |key, most, report: &mut Report| {
        let node: Node<'_> = o.take(key)?;
        // -1, as a number or as a text, is any.
        let any = node.is_string() && ANY.contains(&node.text(report)?.trim());
        report.words(&node, ANY);
        if any || node.is_minus_one() {
            None
        } else {
            node.number(0, most, report)
        }
    };
    let class = number("class", 0xFFFF, report).map(|n| n as u16);
    let vscp_type = number("type", 0xFFFF, report).map(|n| n as u16);
    let priority = number("max-priority", 7, report).map(|n| n as u8);
    let direction = match text_if_set(o.take("dir"), report) {
        None => Direction::Both,
        Some((node, text)) => {
            report.words(&node, ["rx", "tx", "both"]);
            Direction::parse(&text).unwrap_or_else(|| {
                report.error(&node, "rx, tx or both was expected");
                Direction::Both
            })
        }
    };
    o.finish(report);
    Some(AllowedEvent::new(direction, class, vscp_type, priority))
}

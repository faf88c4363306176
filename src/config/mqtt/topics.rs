//! What is published and subscribed to, and the messages about the driver itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::ask::Ask;
use crate::config::driver::text_if_set;
use crate::config::form;
use crate::config::model::{
    Message, MqttVersion, Publication, ReadFormat, Retained, Status, SubscribeOptions,
    Subscription, WriteFormat,
};
use crate::config::node::Node;
use crate::config::object::Object;
use crate::config::report::Report;
use crate::event::{Filter, FilterPair, Guid};
use crate::wire::topic::{Settings, Template, TemplateError};

/// Copies of an event that are followed one by one.
const MOST_PUBLICATIONS: usize = 64;

/// What publish and subscribe entries take where they do not say.
pub(super) struct Entry {
    qos: u8,
    retain: Option<bool>,
    write: Option<WriteFormat>,
    read: Option<ReadFormat>,
}

impl Entry {
    pub(super) fn read(o: &mut Object<'_>, report: &mut Report) -> Self {
        let format = o.take_alias("format");
        let format = format.and_then(|node| write_format(&node, report));
        Self {
            qos: o.number("qos", 0..=2, 0, report) as u8,
            retain: o
                .take_any(&["bretain", "retain"], report)
                .and_then(|n| n.truth(report)),
            write: o
                .take("publish-format")
                .and_then(|n| write_format(&n, report))
                .or(format),
            read: o
                .take("subscribe-format")
                .and_then(|n| read_format(&n, report)),
        }
    }
}

pub(super) fn publications(
    o: &mut Object<'_>,
    defaults: &Entry,
    names: &Settings,
    escapes: bool,
    report: &mut Report,
) -> Vec<Publication> {
    let check = |text: &str| {
        let template = if escapes {
            Template::for_publishing(text, names)
        } else {
            Template::literal(text)
        };
        template.map(drop)
    };
    let most = Some((MOST_PUBLICATIONS, "topics to publish to"));
    let node = o.take("publish");
    entries(node, most, report, check, |o, topic, report| Publication {
        topic,
        qos: o.number("qos", 0..=2, defaults.qos.into(), report) as u8,
        retain: o
            .take_any(&["retain", "bretain"], report)
            .and_then(|node| node.truth(report))
            .or(defaults.retain)
            .unwrap_or(false),
        format: o
            .take("format")
            .and_then(|node| write_format(&node, report))
            .or(defaults.write)
            .unwrap_or_default(),
    })
}

pub(super) fn subscriptions(
    o: &mut Object<'_>,
    defaults: &Entry,
    names: &Settings,
    version: MqttVersion,
    report: &mut Report,
) -> Vec<Subscription> {
    let check = |text: &str| Template::filter(text, names).map(drop);
    let node = o.take("subscribe");
    entries(node, None, report, check, |o, topic, report| Subscription {
        topic,
        qos: o.number("qos", 0..=2, defaults.qos.into(), report) as u8,
        format: o
            .take("format")
            .and_then(|node| read_format(&node, report))
            .or(defaults.read)
            .unwrap_or_default(),
        options: o
            .take("v5-options")
            .map(|node| options(&node, version, report))
            .unwrap_or_default(),
    })
}

/// An entry is an object, or nothing but its topic. There may be at most so many of what is named.
fn entries<T>(
    node: Option<Node<'_>>,
    most: Option<(usize, &str)>,
    report: &mut Report,
    check: impl Fn(&str) -> Result<(), TemplateError>,
    mut make: impl FnMut(&mut Object<'_>, String, &mut Report) -> T,
) -> Vec<T> {
    let list = node.and_then(|node| match most {
        Some((most, of)) => node.list_of_at_most(most, of, report),
        None => node.list(report),
    });
    let mut found = Vec::new();
    for node in list.unwrap_or_default() {
        let (mut o, topic) = if node.is_string() {
            let topic = text_if_set(Some(node.clone()), report);
            (Object::empty(&node), topic)
        } else {
            let Some(mut o) = Object::new(&node, report) else {
                continue;
            };
            let topic = text_if_set(o.take("topic"), report);
            (o, topic)
        };
        report.needs(&node, &["topic"]);
        if let Some((place, topic)) = topic {
            if let Err(error) = check(&topic) {
                report.refuse(&place, &error);
            }
            found.push(make(&mut o, topic, report));
        } else {
            report.error(&node, "an entry needs a topic");
            make(&mut o, String::new(), report);
        }
        o.finish(report);
    }
    found
}

const OPTIONS: [&str; 5] = [
    "NO_LOCAL",
    "RETAIN_AS_PUBLISHED",
    "SEND_RETAIN_ALWAYS",
    "SEND_RETAIN_NEW",
    "SEND_RETAIN_NEVER",
];

/// The options of MQTT 5 as a number of bits, or as words between commas, or as a list of them.
fn options(node: &Node<'_>, version: MqttVersion, report: &mut Report) -> SubscribeOptions {
    let mut options = SubscribeOptions::default();
    if node.is_number() {
        let bits = node.number(0, 0x3F, report).unwrap_or(0) as u8;
        options.no_local = bits & 0x04 != 0;
        options.retain_as_published = bits & 0x08 != 0;
        options.retained = match bits & 0x30 {
            0x00 => Retained::Always,
            0x10 => Retained::New,
            0x20 => Retained::Never,
            _ => {
                report.never(
                    node,
                    "SEND_RETAIN_NEW and SEND_RETAIN_NEVER do not go together",
                );
                Retained::Always
            }
        };
        if bits & 0x03 != 0 {
            report.warn(
                node,
                "the QoS has its own key; these two bits have no effect",
            );
        }
    } else {
        report.ask(node.path(), || Ask::WordList {
            words: OPTIONS.map(str::to_owned).to_vec(),
            between: "[,| ]",
            or: None,
        });
        let words = if node.is_list() {
            node.texts(report).unwrap_or_default()
        } else {
            node.text(report).into_iter().collect()
        };
        for word in words
            .iter()
            .flat_map(|words| words.split([',', '|', ' ']))
            .filter(|word| !word.is_empty())
        {
            match word.to_ascii_uppercase().as_str() {
                "NO_LOCAL" => options.no_local = true,
                "RETAIN_AS_PUBLISHED" => options.retain_as_published = true,
                "SEND_RETAIN_ALWAYS" => options.retained = Retained::Always,
                "SEND_RETAIN_NEW" => options.retained = Retained::New,
                "SEND_RETAIN_NEVER" => options.retained = Retained::Never,
                _ => report.error(
                    node,
                    format!(
                        "{:?} is none of {}",
                        crate::event::number::clip(word),
                        OPTIONS.join(", ")
                    ),
                ),
            }
        }
    }
    if options != SubscribeOptions::default() && version != MqttVersion::V5 {
        report.warn(node, "this needs protocol-version 5 and has no effect");
    }
    options
}

const FORMATS: [&str; 5] = ["auto", "json", "xml", "string", "binary"];

fn write_format(node: &Node<'_>, report: &mut Report) -> Option<WriteFormat> {
    match format(node, &FORMATS[1..], report)?.as_str() {
        "json" => Some(WriteFormat::Json),
        "xml" => Some(WriteFormat::Xml),
        "string" => Some(WriteFormat::Text),
        "binary" => Some(WriteFormat::Binary),
        other => unknown_format(node, other, &FORMATS[1..], report),
    }
}

fn read_format(node: &Node<'_>, report: &mut Report) -> Option<ReadFormat> {
    match format(node, &FORMATS, report)?.as_str() {
        "auto" => Some(ReadFormat::Auto),
        "json" => Some(ReadFormat::Json),
        "xml" => Some(ReadFormat::Xml),
        "string" => Some(ReadFormat::Text),
        "binary" => Some(ReadFormat::Binary),
        other => unknown_format(node, other, &FORMATS, report),
    }
}

/// The name of a format; the daemon also takes numbers.
fn format(node: &Node<'_>, known: &[&str], report: &mut Report) -> Option<String> {
    if node.is_number() {
        return node
            .number(0, 3, report)
            .map(|number| FORMATS[1..][number as usize].to_owned());
    }
    report.words(node, known.iter().copied());
    let text = node.text(report)?.trim().to_ascii_lowercase();
    (!text.is_empty()).then_some(text)
}

fn unknown_format<T>(
    node: &Node<'_>,
    name: &str,
    known: &[&str],
    report: &mut Report,
) -> Option<T> {
    let name = crate::event::number::clip(name);
    report.error(node, format!("{name:?} is none of {}", known.join(", ")));
    None
}

/// What a message takes where it does not say.
pub(super) struct Absent {
    pub(super) qos: u8,
    pub(super) topic: Option<&'static str>,
    pub(super) payload: Option<&'static str>,
}

/// `will` or `birth`. One that has neither topic nor payload is none.
pub(super) fn message(
    o: &mut Object<'_>,
    key: &'static str,
    absent: &Absent,
    names: &Settings,
    report: &mut Report,
) -> Option<Message> {
    let node = o.take(key)?;
    let mut o = Object::new(&node, report)?;
    let topic = topic(&mut o, names, report);
    let payload = o.take("payload").and_then(|node| {
        let payload = node.text(report).filter(|payload| !payload.is_empty())?;
        super::must_fit(&node, &payload, report);
        Some(payload)
    });
    let qos = o.number("qos", 0..=2, absent.qos.into(), report) as u8;
    let retain = o.truth("retain", true, report);
    o.finish(report);
    if topic.is_none() && payload.is_none() {
        return None;
    }
    let text = |text: &str| text.to_owned();
    match (
        topic.or_else(|| absent.topic.map(text)),
        payload.or_else(|| absent.payload.map(text)),
    ) {
        (Some(topic), Some(payload)) => Some(Message {
            topic,
            payload,
            qos,
            retain,
        }),
        _ => {
            report.warn(&node, "this needs both topic and payload; there is none");
            None
        }
    }
}

fn topic(o: &mut Object<'_>, names: &Settings, report: &mut Report) -> Option<String> {
    let (node, topic) = text_if_set(o.take("topic"), report)?;
    if let Err(error) = Template::topic(&topic, names) {
        report.refuse(&node, &error);
    }
    Some(topic)
}

/// `status`.
pub(super) fn status(o: &mut Object<'_>, names: &Settings, report: &mut Report) -> Option<Status> {
    let node = o.take("status")?;
    let mut o = Object::new(&node, report)?;
    let topic = topic(&mut o, names, report);
    let interval = Duration::from_secs(o.number("interval", 1..=86_400, 60, report));
    let qos = o.number("qos", 0..=2, 1, report) as u8;
    o.finish(report);
    report.needs(&node, &["topic"]);
    let Some(topic) = topic else {
        report.error(&node, "the status needs a topic");
        return None;
    };
    Some(Status {
        topic,
        interval,
        qos,
    })
}

/// `filter`: which events of this broker's are taken, member by member.
pub(super) fn filter(o: &mut Object<'_>, report: &mut Report) -> FilterPair {
    let Some(mut o) = super::inner(o, "filter", report) else {
        return FilterPair::default();
    };
    let mut half = |keys: [&'static str; 4]| {
        let mut number = |key, most| o.number(key, 0..=most, 0, report);
        let priority = number(keys[0], 7) as u8;
        let class = number(keys[1], 0xFFFF) as u16;
        let vscp_type = number(keys[2], 0xFFFF) as u16;
        let guid = text_if_set(o.take(keys[3]), report).map(|(node, text)| {
            report.form(&node, form::guid);
            text.parse().unwrap_or_else(|error| {
                report.refuse(&node, &error);
                Guid::ZERO
            })
        });
        Filter {
            priority,
            class,
            vscp_type,
            guid: guid.unwrap_or(Guid::ZERO),
        }
    };
    let pair = FilterPair {
        filter: half([
            "priority-filter",
            "class-filter",
            "type-filter",
            "guid-filter",
        ]),
        mask: half(["priority-mask", "class-mask", "type-mask", "guid-mask"]),
    };
    o.finish(report);
    pair
}

pub(super) fn escapes(node: Option<Node<'_>>, report: &mut Report) -> BTreeMap<String, String> {
    let members = node
        .and_then(|node| node.members(report))
        .unwrap_or_default();
    members
        .into_iter()
        .filter_map(|(name, node)| Some((name, node.text(report)?)))
        .collect()
}

use vscpl2drv_link::event::text::parse;
use vscpl2drv_link::event::{Event, Guid};
use vscpl2drv_link::wire::payload::{Style, WriteFormat};
use vscpl2drv_link::wire::topic::{Scope, Settings, Template, check_filter, check_topic, matches};

use super::defaults;

/// Events with and without what topics ask for: a temperature, a level II measurement in digits,
/// zones, no data, and a class that nobody knows.
const EVENTS: [&str; 5] = [
    "0,10,6,3,2001-11-02T18:00:01Z,817923,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0x89,0x82,0xFE,0xFE",
    "96,1040,6,3,,1004724001817923000,-,1,2,3,1,0x31,0x2E,0x35",
    "0,20,3,3,2001-11-02T18:00:01Z,0,::1,0,1,35",
    "0,20,9,3,0001-01-01T00:00:00Z,0,::1",
    "65535,65535,65535,4294967295,9999-12-31T23:59:59Z,4294967295,::,255,255,255,255",
];

/// Topic templates: what compiles renders, a topic that is accepted is one, and no value changes
/// the shape of a topic. The lowest bit of the first byte asks for topics as the daemon makes them.
pub fn topic(bytes: &[u8]) {
    let Some((&how, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let as_daemon = how & 1 == 1;
    let (plain, hostile) = (settings("x", as_daemon), settings("/+#\0\u{e9}", as_daemon));
    for settings in [&plain, &hostile] {
        fixed(text, settings);
    }
    let Ok(template) = Template::compile(text, &plain) else {
        assert!(Template::for_publishing(text, &plain).is_err());
        return;
    };
    let events = EVENTS.map(|line| parse(line, &defaults()).expect("the events are good"));
    for event in &events {
        let topic = template.text(&scope(&plain, event));
        if !text.contains("{{") {
            assert_eq!(topic, text);
        }
        let under_attack = template.text(&scope(&hostile, event));
        if !as_daemon {
            assert_eq!(shape(&topic), shape(&under_attack));
        }
    }
    match Template::literal(text) {
        Ok(literal) => assert_eq!(literal.text(&scope(&plain, &events[0])), text),
        Err(_) => assert!(check_topic(text).is_err()),
    }
}

/// Topics and filters that are rendered once.
fn fixed(text: &str, settings: &Settings) {
    if let Ok(filter) = Template::filter(text, settings) {
        assert_eq!(check_filter(&filter), Ok(()));
    }
    if let Ok(topic) = Template::topic(text, settings) {
        assert_eq!(check_topic(&topic), Ok(()));
        assert!(matches(&topic, &topic));
        assert!(matches("#", &topic) || topic.starts_with('$'));
    }
    let _ = Template::for_publishing(text, settings);
}

fn shape(topic: &str) -> Vec<char> {
    let is_shape = |c: &char| matches!(c, '/' | '+' | '#' | '\0');
    topic.chars().filter(is_shape).collect()
}

fn scope<'a>(settings: &'a Settings, event: &'a Event) -> Scope<'a> {
    Scope {
        settings,
        event: Some(event),
        format: Some(WriteFormat::Json),
    }
}

/// Settings with the same words everywhere.
fn settings(word: &str, as_daemon: bool) -> Settings {
    Settings {
        driver_guid: defaults().guid,
        server_guid: Guid::from([0xFF; 16]),
        client_id: word.to_owned(),
        user: word.to_owned(),
        host: word.to_owned(),
        port: 1883,
        driver_name: word.to_owned(),
        rnd: word.to_owned(),
        // What the user wrote may hold levels.
        escapes: [("place".to_owned(), "house/hall".to_owned())].into(),
        as_daemon,
        style: Style::default(),
    }
}

use proptest::prelude::*;

use super::*;
use crate::event::Guid;
use crate::event::json::Generation;
use crate::event::text::{Defaults, parse};
use crate::wire::payload::Style;

fn settings() -> Settings {
    Settings {
        driver_guid: "::1".parse().unwrap(),
        server_guid: "::2".parse().unwrap(),
        client_id: "me".to_owned(),
        user: "a/b".to_owned(),
        host: "broker".to_owned(),
        port: 1883,
        driver_name: "link".to_owned(),
        rnd: "0011223344556677".to_owned(),
        escapes: [("site".to_owned(), "home/ground".to_owned())].into(),
        as_daemon: false,
        style: Style::default(),
    }
}

fn event() -> Event {
    let line = "0x60,20,3,7,2001-11-02T18:00:01Z,817923,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:0A:0B,0,1,35";
    parse(
        line,
        &Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        },
    )
    .unwrap()
}

fn render(template: &str) -> String {
    let settings = settings();
    let event = event();
    let scope = Scope {
        settings: &settings,
        event: Some(&event),
        format: Some(WriteFormat::Json),
    };
    Template::compile(template, &settings).unwrap().text(&scope)
}

#[test]
fn every_variable() {
    for (name, value) in [
        ("guid", "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:0A:0B"),
        ("ifguid", "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01"),
        ("srvguid", "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:02"),
        ("guid[15]", "11"),
        ("xguid[15]", "0B"),
        ("guid.msb", "255"),
        ("guid.lsb", "11"),
        ("xguid.lsb", "0B"),
        ("srvguid[15]", "2"),
        ("xifguid[0]", "FF"),
        ("nickname", "2571"),
        ("nodeid", "2571"),
        ("xnickname", "0A0B"),
        ("class", "20"),
        ("xclass", "14"),
        ("type", "3"),
        ("xtype", "03"),
        ("class-token", "CLASS1.INFORMATION"),
        ("type-token", "VSCP_TYPE_INFORMATION_ON"),
        ("head", "96"),
        ("xhead", "0060"),
        ("obid", "7"),
        ("xobid", "00000007"),
        ("timestamp", "817923"),
        ("xtimestamp", "000C7B03"),
        ("datetime", "2001-11-02T18:00:01Z"),
        ("year", "2001"),
        ("month", "11"),
        ("day", "2"),
        ("hour", "18"),
        ("minute", "0"),
        ("second", "1"),
        ("local-datetime", "2001-11-02T18:00:01Z"),
        ("sizedata", "3"),
        ("xsizedata", "0003"),
        ("data[2]", "35"),
        ("xdata[2]", "23"),
        ("data[3]", ""),
        ("index", "0"),
        ("sensor-index", "0"),
        ("zone", "1"),
        ("subzone", "35"),
        ("is-measurement", "false"),
        ("measurement-value", ""),
        ("clientid", "me"),
        ("user", "a_b"),
        ("host", "broker"),
        ("port", "1883"),
        ("fmtpublish", "json"),
        ("driver-name", "link"),
        ("driver-level", "level2"),
        ("rnd", "0011223344556677"),
        ("site", "home/ground"),
        ("server-name", ""),
    ] {
        assert_eq!(render(&format!("{{{{{name}}}}}")), value, "{name}");
    }
}

#[test]
fn a_measurement_has_its_values() {
    let settings = settings();
    let line = "0,10,6,0,2001-11-02T18:00:01Z,0,-,0x8A,0x82,0x1B,0x22";
    let event = parse(
        line,
        &Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        },
    )
    .unwrap();
    let scope = Scope {
        settings: &settings,
        event: Some(&event),
        format: Some(WriteFormat::Json),
    };
    let template = "{{is-measurement}} {{measurement-value}} {{measurement-unit}} {{sensor-index}}";
    let template = Template::compile(template, &settings).unwrap();
    assert_eq!(template.text(&scope), "true 69.46 1 2");
}

#[test]
fn the_syntax() {
    assert_eq!(
        render("vscp/{{ class }}/{{{type}}}/{{&nodeid}}/x"),
        "vscp/20/3/2571/x"
    );
    assert_eq!(render("a{{! nothing }}b"), "ab");
    assert_eq!(
        render("{{#zone}}z{{zone}}{{/zone}}{{^zone}}none{{/zone}}"),
        "z1"
    );
    assert_eq!(
        render("{{#is-measurement}}m{{/is-measurement}}{{^is-measurement}}e{{/is-measurement}}"),
        "e"
    );
    assert_eq!(
        render("{{#zone}}{{^data[9]}}{{#class}}deep{{/class}}{{/data[9]}}{{/zone}}"),
        "deep"
    );
    assert_eq!(render("no template"), "no template");
}

#[test]
fn subscriptions_have_the_drivers_guid() {
    let settings = settings();
    let scope = Scope {
        settings: &settings,
        event: None,
        format: None,
    };
    let text = |template| Template::compile(template, &settings).unwrap().text(&scope);
    assert_eq!(
        text("vscp/{{guid[15]}}/{{ifguid[15]}}/{{srvguid[15]}}/{{class}}/#"),
        "vscp/1/1/2//#"
    );
}

#[test]
fn what_is_refused() {
    let compile = |text: &str| Template::compile(text, &settings());
    assert_eq!(compile("ab{{class"), Err(TemplateError::Open(3)));
    assert_eq!(
        compile("å{{clas}}"),
        Err(TemplateError::Unknown {
            name: "clas".to_owned(),
            at: 2
        })
    );
    for bad in [
        "{{}}",
        "{{guid[16]}}",
        "{{guid[]}}",
        "{{guid[+1]}}",
        "{{xguid}}",
        "{{data[512]}}",
        "{{#class}}",
        "{{/class}}",
        "{{#class}}{{/type}}",
        "{{{class}}",
        "{{> partial}}",
        "{{=<% %>=}}",
    ] {
        assert!(compile(bad).is_err(), "{bad}");
    }
    let nested = |depth| {
        let (begin, end) = ("{{^class}}".repeat(depth), "{{/class}}".repeat(depth));
        compile(&format!("{begin}a{end}"))
    };
    assert!(nested(32).is_ok());
    assert_eq!(nested(33), Err(TemplateError::Nested(321)));
    assert_eq!(compile(&"a".repeat(65536)), Err(NameError::Long.into()));
}

/// Rendered as the daemon does.
fn as_daemon(template: &str, event: &Event, format: WriteFormat, generation: Generation) -> String {
    let settings = Settings {
        as_daemon: true,
        user: "a<b>&'c\"".to_owned(),
        style: Style {
            generation,
            measurement_block: true,
        },
        ..settings()
    };
    let scope = Scope {
        settings: &settings,
        event: Some(event),
        format: Some(format),
    };
    Template::compile(template, &settings).unwrap().text(&scope)
}

#[test]
fn as_the_daemon_does() {
    let event = event();
    let render =
        |template: &str| as_daemon(template, &event, WriteFormat::Json, Generation::Classic);
    for (template, expected) in [
        (
            "{{guid}}",
            "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:0A:0B",
        ),
        ("{{guid[14]}}|{{guid[15]}}|{{guid[01]}}", "10||"),
        ("{{xguid[14]}}|{{xsrvguid[14]}}|{{ifguid[0]}}", "0A|FF|255"),
        ("{{guid.msb}}|{{guid.lsb}}|{{xguid.lsb}}", "||"),
        (
            "{{nickname}}|{{nodeid}}|{{xnickname}}|{{port}}|{{rnd}}",
            "2571||||",
        ),
        ("{{class}}/{{xclass}}/{{type}}/{{xtype}}", "20/14/3/03"),
        (
            "{{class-token}}/{{type-token}}",
            "CLASS1.INFORMATION/VSCP_TYPE_INFORMATION_ON",
        ),
        ("{{head}}|{{xhead}}", "96|0060"),
        (
            "{{obid}}|{{xobid}}|{{timestamp}}|{{xtimestamp}}",
            "7l|00000007|817923l|000C7B03",
        ),
        (
            "{{datetime}}|{{local-datetime}}",
            "2001-11-02T18:00:01Z|2001-11-02T18:00:01Z",
        ),
        (
            "{{year}}-{{month}}-{{day}} {{hour}}:{{minute}}:{{local-second}}",
            "2001-11-2 18:0:1",
        ),
        ("{{sizedata}}|{{xsizedata}}", "3|0003"),
        ("{{data[2]}}|{{xdata[2]}}|{{data[3]}}", "35|23|"),
        (
            "{{clientid}}|{{host}}|{{driver-name}}|{{driver-level}}",
            "me|broker|link|level2",
        ),
        ("{{site}}/{{fmtpublish}}", "home/ground/json"),
        (
            "{{is-measurement}}|{{measurement-value}}|{{zone}}|{{index}}",
            "false|||",
        ),
        ("{{server-name}}|{{server-version}}|{{whatever}}", "||"),
        // Two braces escape as in HTML, three do not.
        (
            "{{user}}|{{{user}}}|{{&user}}|{{ user }}",
            "a&lt;b&gt;&amp;&apos;c&quot;|a<b>&'c\"|a<b>&'c\"|a&lt;b&gt;&amp;&apos;c&quot;",
        ),
        // A section stands where its variable is there, whatever it says.
        (
            "{{#is-measurement}}m{{/is-measurement}}{{^nodeid}}n{{/nodeid}}",
            "mn",
        ),
        ("{{#nodeid}}m{{/nodeid}}{{^class}}n{{/class}}|", "|"),
        ("a{{! nothing }}b{{> part}}c", "abc"),
        (
            "{{=<% %>=}}<%class%>{{class}}<%={{ }}=%>{{type}}",
            "20{{class}}3",
        ),
    ] {
        assert_eq!(render(template), expected, "{template}");
    }
}

#[test]
fn nanosecond_events_have_no_date_for_the_daemon() {
    let mut event = event();
    event.time = EventTime::Unix {
        nanos: 1_004_724_001_817_923_000,
    };
    // 0x0DF17F28_09AA8DB8: the lower half lies where day to second would.
    let template = "{{datetime}} {{year}} {{month}} {{day}} {{hour}} {{minute}} {{second}} \
                    {{timestamp}} {{head}}";
    assert_eq!(
        as_daemon(template, &event, WriteFormat::Json, Generation::V2),
        "2001-11-02T18:00:01.817923000Z 65535 255 184 141 170 9 233930536l 352"
    );
    assert_eq!(
        as_daemon(template, &event, WriteFormat::Json, Generation::Classic),
        "2001-11-02T18:00:01Z 2001 11 2 18 0 1 817923l 96"
    );
}

#[test]
fn measurements_for_the_daemon() {
    let of = |class: u16, data: &str| {
        let line = format!("0,{class},6,0,2001-11-02T18:00:01,0,::1,{data}");
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        parse(&line, &defaults).unwrap()
    };
    let template = "{{is-measurement}} {{measurement-value}} {{measurement-unit}} \
                    {{measurement-sensorindex}} {{measurement-zone}} {{measurement-subzone}}";
    let json = |event: &Event| as_daemon(template, event, WriteFormat::Json, Generation::V2);
    assert_eq!(
        json(&of(10, "0x8A,0x82,0x1B,0x22")),
        "true 69.460000 1 2 0 0"
    );
    assert_eq!(
        json(&of(60, "0x40,0x09,0x21,0xFB,0x54,0x44,0x2D,0x18")),
        "true 0.000000 0 0 0 0"
    );
    assert_eq!(json(&of(65, "9,2,3,0x60,5")), "true 5.000000 1 -1 0 0");
    assert_eq!(
        json(&of(1040, "4,5,6,1,45,49,46,53")),
        "true -1.500000 1 4 6 6"
    );
    assert_eq!(json(&of(11, "0x8A,0x82,0x1B,0x22")), "false     ");
    let xml = as_daemon(
        template,
        &of(10, "0x60,1"),
        WriteFormat::Xml,
        Generation::V2,
    );
    assert_eq!(xml, "false     ");
}

#[test]
fn subscriptions_know_nothing_for_the_daemon() {
    let settings = Settings {
        as_daemon: true,
        ..settings()
    };
    let filter = |text| Template::filter(text, &settings).unwrap();
    assert_eq!(filter("vscp/websocksrv/{{guid}}/#"), "vscp/websocksrv//#");
    assert_eq!(
        filter("in/{{ifguid}}/{{#class}}a{{/class}}{{^class}}b{{/class}}/#"),
        "in//b/#"
    );
    // A will knows who sends it.
    assert_eq!(
        Template::topic("w/{{guid}}/{{srvguid[14]}}/{{site}}", &settings).unwrap(),
        "w//255/home/ground"
    );
}

#[test]
fn names() {
    assert_eq!(check_topic("a/b"), Ok(()));
    assert_eq!(check_topic(""), Err(NameError::Empty));
    assert_eq!(check_topic("a/#"), Err(NameError::Wildcard));
    assert_eq!(check_topic("a\0"), Err(NameError::Nul));
    assert_eq!(check_topic(&"a".repeat(65_536)), Err(NameError::Long));
    for good in ["#", "+", "a/+/b", "a/#", "+/+/#", "/"] {
        assert_eq!(check_filter(good), Ok(()), "{good}");
    }
    for bad in ["a#", "a/#/b", "a+/b", "##"] {
        assert_eq!(check_filter(bad), Err(NameError::Shape), "{bad}");
    }
}

#[test]
fn matching() {
    for (filter, topic) in [
        ("#", "a/b"),
        ("a/#", "a"),
        ("a/#", "a/b/c"),
        ("a/+/c", "a/b/c"),
        ("+", "a"),
        ("a/b", "a/b"),
        ("/+", "/a"),
        ("$SYS/#", "$SYS/x"),
        ("a/+", "a/"),
    ] {
        assert!(matches(filter, topic), "{filter} {topic}");
    }
    for (filter, topic) in [
        ("a", "a/b"),
        ("a/+", "a"),
        ("a/+", "a/b/c"),
        ("#", "$SYS/x"),
        ("+/x", "$SYS/x"),
        ("a/b", "a"),
        ("b/#", "a"),
    ] {
        assert!(!matches(filter, topic), "{filter} {topic}");
    }
}

proptest! {
    #[test]
    fn compiling_never_panics(text in "[{}#^/!& a-z\\[\\]0-9å]{0,40}") {
        let settings = settings();
        let event = event();
        if let Ok(template) = Template::compile(&text, &settings) {
            let _ = template.text(&Scope { settings: &settings, event: Some(&event), format: None });
        }
    }

    #[test]
    fn a_value_never_changes_the_shape(user in "\\PC*") {
        let settings = Settings { user, ..settings() };
        let template = Template::compile("a/{{user}}/b", &settings).unwrap();
        let text = template.text(&Scope { settings: &settings, event: None, format: None });
        prop_assert_eq!(text.matches('/').count(), 2);
        prop_assert_eq!(check_topic(&text), Ok(()));
    }
}

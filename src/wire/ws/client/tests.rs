use proptest::prelude::*;

use super::*;
use crate::event::Guid;
use crate::event::tests::any_event;
use crate::wire::ws::{Code, answer};

const DEFAULTS: Defaults = Defaults {
    now: 1_700_000_000_123_456_789,
    obid: 0,
    guid: Guid::ZERO,
};
const SID: Sid = [0xA5; 16];

fn get(dialect: Dialect, message: &str) -> Said {
    read(dialect, message, &DEFAULTS).unwrap_or_else(|error| panic!("{message}: {error}"))
}

fn done(word: &str, args: &str) -> Said {
    Said::Done {
        word: word.to_owned(),
        args: args.to_owned(),
    }
}

fn refused(word: &str, code: u32, text: &str) -> Said {
    Said::Refused {
        word: word.to_owned(),
        code,
        text: text.to_owned(),
    }
}

#[test]
fn requests() {
    use Dialect::{Ws1, Ws2};
    assert_eq!(noop(Ws1), "C;NOOP");
    assert_eq!(open(Ws1), "C;OPEN");
    assert_eq!(close(Ws1), "C;CLOSE");
    let pair = FilterPair {
        filter: "1,20,3,-".parse().unwrap(),
        mask: "7,0xffff,0,-".parse().unwrap(),
    };
    let zeros = Guid::ZERO;
    assert_eq!(
        set_filter(Ws1, &pair),
        format!("C;SF;1,20,3,{zeros};7,65535,0,{zeros}")
    );
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(
        value(&open(Ws2)),
        json!({"type": "CMD", "command": "OPEN", "args": null})
    );
    let filter = value(&set_filter(Ws2, &pair));
    assert_eq!(filter["args"]["mask_class"], 65535);
    assert_eq!(filter["args"]["filter_guid"], zeros.to_string());
    let auth = value(&auth(Ws2, &[1; 16], &SID, "admin", "secret"));
    assert_eq!(auth["args"]["iv"], "A5".repeat(16));
}

#[test]
fn answers_of_ws1() {
    let get = |message: &str| get(Dialect::Ws1, message);
    assert_eq!(
        get(&format!("+;AUTH0;{}", "a5".repeat(16))),
        Said::Auth0(SID)
    );
    assert_eq!(get("+;NOOP"), done("NOOP", ""));
    assert_eq!(
        get("+;VERSION;15.2.0-0;1.0.0.0"),
        done("VERSION", "15.2.0-0;1.0.0.0")
    );
    for (message, word, code, text) in [
        ("-;OPEN;5;Not authorised.", "OPEN", 5, "Not authorised."),
        ("-;3;Transmit buffer full.", "", 3, "Transmit buffer full."),
        ("-;AUTH;8,Not authorized", "AUTH", 8, "Not authorized"),
        ("-;OPEN;5", "OPEN", 5, ""),
        ("-;5", "", 5, ""),
        ("-;1F;2;Unknown command.", "1F", 2, "Unknown command."),
        ("-;15;2;Unknown command.", "15", 2, "Unknown command."),
    ] {
        assert_eq!(get(message), refused(word, code, text), "{message}");
    }
    for message in [
        "",
        "+",
        "C;NOOP",
        "+;AUTH0;xyz",
        "-;OPEN",
        "-;OPEN;x;y",
        "E;1,2",
    ] {
        assert_eq!(read(Dialect::Ws1, message, &DEFAULTS), Err(NotUnderstood));
    }
}

#[test]
fn answers_of_ws2() {
    let get = |message: &str| get(Dialect::Ws2, message);
    assert_eq!(
        get(r#"{ "type" : "+",  "command" : "NOOP",  "args" : null}"#),
        done("NOOP", "")
    );
    assert_eq!(
        get(r#"{"type": "+", "command": "VER", "args": {"version": "1.0.0-0"}}"#),
        done("VER", r#"{"version": "1.0.0-0"}"#)
    );
    assert_eq!(
        get(r#"{"type": "-", "command": "AUTH", "error-code": 8, "error-str": "x"}"#),
        refused("AUTH", 8, "x")
    );
    for message in [
        "",
        "{}",
        "+;NOOP",
        r#"{"type": "-"}"#,
        r#"{"type": "EVENT", "event": 5}"#,
    ] {
        assert_eq!(read(Dialect::Ws2, message, &DEFAULTS), Err(NotUnderstood));
    }
}

#[test]
fn what_the_server_says_is_understood() {
    for dialect in [Dialect::Ws1, Dialect::Ws2] {
        let mut out = String::new();
        answer::greet(dialect, &SID, &mut out);
        assert_eq!(get(dialect, &out), Said::Auth0(SID));
        out.clear();
        answer::positive(dialect, "CHALLENGE", answer::Answer::Sid(SID), &mut out);
        assert_eq!(get(dialect, &out), Said::Auth0(SID));
        for code in Code::ALL {
            out.clear();
            answer::negative(dialect, "OPEN", code, &mut out);
            let want = refused("OPEN", code.number().into(), code.text());
            assert_eq!(get(dialect, &out), want);
        }
    }
}

proptest! {
    #[test]
    fn events_come_back(ev in any_event()) {
        for dialect in [Dialect::Ws1, Dialect::Ws2] {
            let Said::Event(back) = get(dialect, &event(dialect, &ev)) else {
                panic!("no event");
            };
            prop_assert_eq!(&Event { time: back.time, ..ev.clone() }, &back);
        }
    }

    #[test]
    fn never_panics(message in "([-+CE];|\\{\"type\": \"\\+\", )?[-+;,{}\\[\\]\":a-zA-Z0-9 ]{0,60}") {
        for dialect in [Dialect::Ws1, Dialect::Ws2] {
            let _ = read(dialect, &message, &DEFAULTS);
        }
    }
}

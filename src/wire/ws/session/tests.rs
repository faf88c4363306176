use proptest::prelude::*;

use super::super::{client, unhex, write_event};
use super::*;
use crate::auth::{AllowedEvents, Privilege, Remotes};
use crate::event::{Event, EventTime};

mod auth;
mod events;
mod filters;

const NOW: u64 = 1_762_942_272_123_456_000;
const KEY: &str = "2DBB079A38985AF00EBEEFE22F9FFA0E";
const SID: &str = "100EAACB2AE27FA01214A97D94CDCFA3";
const NEW_SID: &str = "1C8CAE9B6B2CAD02479E3E5C3571DC11";
const CHANNEL: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:07:00:00";

const WS1: Dialect = Dialect::Ws1;
const WS2: Dialect = Dialect::Ws2;

fn sixteen(digits: &str) -> [u8; 16] {
    unhex(digits).unwrap().try_into().unwrap()
}

fn terms() -> Terms {
    Terms {
        key: Zeroizing::new(sixteen(KEY)),
        foreign_iv: false,
        generation: Generation::Classic,
    }
}

/// Users with rights by their names; all have the password `secret`.
pub(in crate::wire::ws) fn user(name: &str) -> Arc<User> {
    let (rights, events, privilege) = match name {
        "admin" => ("admin", "", 15),
        "guest" => ("receive-events", "", 15),
        "sender" => ("send-events", "TX;20;*;3,0:*,512:*,1024:*,1028:*", 15),
        "low" => ("admin", "", 0),
        _ => ("user", "", 15),
    };
    Arc::new(User {
        name: name.to_owned(),
        credential: "00000000000000000000000000000000".parse().unwrap(),
        full_name: String::new(),
        note: String::new(),
        rights: rights.parse().unwrap(),
        privilege: Privilege::new(privilege).unwrap(),
        remotes: Remotes::default(),
        allowed: AllowedEvents::parse([events]).unwrap(),
        max_sessions: None,
        filter: FilterPair::default(),
    })
}

/// A session, and a server that does what it asks for.
struct Bench {
    session: Session,
    submitted: Vec<Event>,
    /// What the server answers to all but a login, if it does not do it.
    trouble: Option<Code>,
}

impl Bench {
    fn with(dialect: Dialect, terms: Terms) -> Self {
        Self {
            session: Session::new(dialect, Arc::new(terms), sixteen(SID)),
            submitted: Vec::new(),
            trouble: None,
        }
    }

    fn new(dialect: Dialect) -> Self {
        Self::with(dialect, terms())
    }

    /// With somebody logged in.
    fn of(dialect: Dialect, name: &str) -> Self {
        let mut bench = Self::new(dialect);
        bench.log_in(name);
        bench
    }

    fn log_in(&mut self, name: &str) {
        self.session.log_in(Identity {
            user: user(name),
            userid: 0,
            channel: 7,
            guid: CHANNEL.parse().unwrap(),
        });
    }

    /// The one answer to a message; empty where there is none.
    fn say(&mut self, message: &str) -> String {
        let mut out = String::new();
        let Some(request) = self.session.handle(message, NOW, &mut out) else {
            return out;
        };
        assert_eq!(out, "", "{message}: answered before it was done");
        match request {
            Request::Login { user, password, .. } => {
                if user == "admin" && &**password == "secret" {
                    self.log_in(&user);
                    self.session.grant(&mut out);
                } else {
                    self.session.log_out(sixteen(NEW_SID));
                    self.session.refuse(Code::NotAuthorised, &mut out);
                }
                return out;
            }
            Request::NoLogin(code) => {
                self.session.log_out(sixteen(NEW_SID));
                self.session.refuse(code, &mut out);
                return out;
            }
            Request::Submit(event) => self.submitted.push(event),
            _ => {}
        }
        match self.trouble {
            None => self.session.grant(&mut out),
            Some(code) => self.session.refuse(code, &mut out),
        }
        out
    }

    /// Plays lines of a dialogue: `>` from the client, `<` from the server.
    fn play(&mut self, dialogue: &str) {
        let mut said = String::new();
        self.session.greet(&mut said);
        for line in dialogue.lines().map(str::trim_start) {
            if let Some(message) = line.strip_prefix("> ") {
                assert_eq!(said, "", "not in the dialogue, before {line}");
                said = self.say(message);
            } else if let Some(answer) = line.strip_prefix("< ") {
                assert_eq!(said, answer);
                said.clear();
            }
        }
        assert_eq!(said, "", "not in the dialogue");
    }
}

fn ws1_error(word: &str, code: Code) -> String {
    let mut out = String::new();
    answer::negative(WS1, word, code, &mut out);
    out
}

fn ws2_error(word: &str, code: Code) -> String {
    let mut out = String::new();
    answer::negative(WS2, word, code, &mut out);
    out
}

fn ws2_done(word: &str) -> String {
    format!("{{ \"type\" : \"+\",  \"command\" : \"{word}\",  \"args\" : null}}")
}

#[test]
fn codes_have_their_numbers_and_texts() {
    for (number, text) in [
        (1, "Syntax error."),
        (2, "Unknown command."),
        (3, "Transmit buffer full."),
        (4, "Having problems to allocate memory."),
        (5, "Not authorised."),
        (6, "Not allowed to send event."),
        (7, "Not allowed to do that (check privileges)"),
        (8, "Parse error, invalid format."),
        (9, "Unknown type, only know 'COMMAND' and 'EVENT'."),
        (10, "Exception or other general error."),
    ] {
        let code = Code::ALL[number - 1];
        assert_eq!((usize::from(code.number()), code.text()), (number, text));
    }
}

#[test]
fn a_whole_session_of_ws1() {
    Bench::new(WS1).play(
        "< +;AUTH0;100EAACB2AE27FA01214A97D94CDCFA3
         > C;CHALLENGE
         < +;AUTH0;100EAACB2AE27FA01214A97D94CDCFA3
         > C;AUTH;100EAACB2AE27FA01214A97D94CDCFA3;2D1CA5D6F8308F58E5412362114A66C3
         < +;AUTH1;0;admin;********;;0,0,0,00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00;0,0,0,00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00;11111111111111111111111111111111;;;
         > C;CHALLENGE
         < +;AUTH0;100EAACB2AE27FA01214A97D94CDCFA3
         > C;SF;0,20,3,-;0,0xffff,0xffff,-
         < +;SF
         > C;SETFILTER;1,2,3,4
         < -;SF;1;Syntax error.
         > C;OPEN
         < +;OPEN
         > E;0,20,3,,,,0:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15,0,1,35
         < +;EVENT
         > C;CLRQUEUE
         < +;CLRQ
         > C;CLOSE
         < +;CLOSE",
    );
}

#[test]
fn a_whole_session_of_ws2() {
    Bench::new(WS2).play(
        "< {    \"type\" : \"+\",     \"args\" : [\"AUTH0\",\"100EAACB2AE27FA01214A97D94CDCFA3\"]}
         > {\"type\": \"CMD\", \"command\": \"CHALLENGE\", \"args\": null}
         < { \"type\" : \"+\",  \"command\" : \"CHALLENGE\",  \"args\" : {\"sid\": \"100EAACB2AE27FA01214A97D94CDCFA3\"}}
         > {\"type\": \"CMD\", \"command\": \"OPEN\"}
         < { \"type\" : \"-\",  \"command\" : \"OPEN\",  \"errcode\" : 5,  \"errstr\" : \"Not authorised.\" }
         > {\"type\": \"CMD\", \"command\": \"AUTH\", \"args\": {\"iv\": \"100eaacb2ae27fa01214a97d94cdcfa3\", \"crypto\": \"2d1ca5d6f8308f58e5412362114a66c3\"}}
         < { \"type\" : \"+\",  \"command\" : \"AUTH\",  \"args\" : null}
         > {\"type\": \"CMD\", \"command\": \"SETFILTER\", \"args\": {\"mask_priority\": 0, \"mask_class\": 65535, \"mask_type\": 65535, \"mask_guid\": \"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\", \"filter_priority\": 0, \"filter_class\": 30, \"filter_type\": 5, \"filter_guid\": \"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\"}}
         < { \"type\" : \"+\",  \"command\" : \"SETFILTER\",  \"args\" : null}
         > {\"type\": \"COMMAND\", \"command\": \"open\", \"args\": {}}
         < { \"type\" : \"+\",  \"command\" : \"OPEN\",  \"args\" : null}
         > {\"type\": \"EVENT\", \"event\": {\"vscpClass\": 1024, \"vscpType\": 1}}
         < { \"type\" : \"+\",  \"command\" : \"EVENT\",  \"args\" : null}
         > {\"type\": \"C\", \"command\": \"CLRQ\", \"args\": []}
         < { \"type\" : \"+\",  \"command\" : \"CLRQ\",  \"args\" : null}
         > {\"type\": \"cmd\", \"command\": \" sf \", \"args\": {}}
         < { \"type\" : \"+\",  \"command\" : \"SF\",  \"args\" : null}
         > {\"type\": \"CMD\", \"command\": \"CLOSE\", \"args\": null}
         < { \"type\" : \"+\",  \"command\" : \"CLOSE\",  \"args\" : null}",
    );
}

#[test]
fn version_and_copyright() {
    let version = env!("CARGO_PKG_VERSION");
    let mut ws1 = Bench::new(WS1);
    assert_eq!(
        ws1.say("C;VERSION"),
        format!("+;VERSION;{version}-0;1.0.0.0")
    );
    assert_eq!(
        ws1.say("C;COPYRIGHT"),
        format!("+;COPYRIGHT;{}", answer::copyright())
    );
    let mut ws2 = Bench::new(WS2);
    for word in ["VERSION", "VER"] {
        assert_eq!(
            ws2.say(&client::command(WS2, word)),
            format!(
                "{{ \"type\" : \"+\",  \"command\" : \"{word}\",  \
                 \"args\" : {{ \"version\" : \"{version}-0\" }}}}"
            )
        );
    }
    assert_eq!(
        ws2.say(&client::command(WS2, "copyright")),
        format!(
            "{{ \"type\" : \"+\",  \"command\" : \"COPYRIGHT\",  \
             \"args\" : {{ \"copyright\" : \"{}\" }}}}",
            answer::copyright()
        )
    );
}

#[test]
fn what_ws1_answers_before_a_login() {
    let long = "x".repeat(100);
    for (message, answer) in [
        ("C;NOOP", "+;NOOP"),
        ("C;NOOP\r\n", "+;NOOP"),
        ("  c;noop;1;2", "+;NOOP"),
        ("C; NoOp ", "+;NOOP"),
        ("C ;NOOP", "+;NOOP"),
        ("C;CLOSE", "+;CLOSE"),
        ("C;OPEN", "-;OPEN;5;Not authorised."),
        ("C;SETFILTER;0,0,0,-;0,0,0,-", "-;SF;5;Not authorised."),
        ("C;SF", "-;SF;5;Not authorised."),
        ("C;CLRQUEUE", "-;CLRQ;5;Not authorised."),
        ("C;CLRQ", "-;CLRQ;5;Not authorised."),
        ("E;0,20,3,,,,-,1", "-;EVENT;5;Not authorised."),
        ("E", "-;EVENT;5;Not authorised."),
        ("C;bogus;1", "-;BOGUS;2;Unknown command."),
        ("C;NOOPXYZ", "-;NOOPXYZ;2;Unknown command."),
        ("C;VER", "-;VER;2;Unknown command."),
        ("C;a\u{1}b\tc\u{7f}", "-;ABC;2;Unknown command."),
        (
            &format!("C;{long}"),
            &format!("-;{};2;Unknown command.", "X".repeat(64)),
        ),
        ("C", "-;C;2;Unknown command."),
        ("c", "-;C;2;Unknown command."),
        ("C;", "-;1;Syntax error."),
        ("C; ;NOOP", "-;1;Syntax error."),
        ("C;\u{1}", "-;1;Syntax error."),
        ("CxNOOP", "-;1;Syntax error."),
        ("CNOOP;1", "-;1;Syntax error."),
        ("E,0,20,3", "-;1;Syntax error."),
        ("X;1", "-;9;Unknown type, only know 'COMMAND' and 'EVENT'."),
        (";", "-;9;Unknown type, only know 'COMMAND' and 'EVENT'."),
        (
            "{\"type\": \"+\"}",
            "-;9;Unknown type, only know 'COMMAND' and 'EVENT'.",
        ),
        ("", ""),
        (" \r\n", ""),
        ("+", ""),
        ("-", ""),
        ("+;NOOP", ""),
        ("-;1;x", ""),
    ] {
        assert_eq!(Bench::new(WS1).say(message), answer, "{message}");
    }
}

#[test]
fn what_ws2_answers_before_a_login() {
    let long = format!(r#"{{"type": "C", "command": "{}"}}"#, "é".repeat(100));
    let deep = format!(
        r#"{{"type": "C", "command": "NOOP", "args": {}"#,
        "[".repeat(9000)
    );
    let deep_args = format!(
        r#"{{"type": "C", "command": "NOOP", "args": {}{}}}"#,
        "[".repeat(9000),
        "]".repeat(9000)
    );
    let unknown = ws2_error("EVENT", Code::UnknownType);
    for (message, answer) in [
        (r#"{"type": "C", "command": "NOOP"}"#, ws2_done("NOOP")),
        (
            r#"{"type": " cmd ", "command": "noop", "args": {}}"#,
            ws2_done("NOOP"),
        ),
        (
            r#"{"type": "COMMAND", "command": "NOOP", "args": [1, null]}"#,
            ws2_done("NOOP"),
        ),
        (
            r#"{"x": [{}], "type": "C", "command": "\u004eOOP"}"#,
            ws2_done("NOOP"),
        ),
        (
            r#"{"type": "C", "command": "CLOSE", "args": null}"#,
            ws2_done("CLOSE"),
        ),
        (
            r#"{"type": "C", "command": "OPEN"}"#,
            ws2_error("OPEN", Code::NotAuthorised),
        ),
        (
            r#"{"type": "C", "command": "sf"}"#,
            ws2_error("SF", Code::NotAuthorised),
        ),
        (
            r#"{"type": "C", "command": "SETFILTER"}"#,
            ws2_error("SETFILTER", Code::NotAuthorised),
        ),
        (
            r#"{"type": "C", "command": "CLRQ"}"#,
            ws2_error("CLRQ", Code::NotAuthorised),
        ),
        (
            r#"{"type": "C", "command": "CLRQUEUE"}"#,
            ws2_error("CLRQUEUE", Code::NotAuthorised),
        ),
        (
            r#"{"type": "E", "event": {"class": 20}}"#,
            ws2_error("EVENT", Code::NotAuthorised),
        ),
        (
            r#"{"type": "C", "command": "NOOP", "args": "x"}"#,
            ws2_error("NOOP", Code::Parse),
        ),
        (
            r#"{"type": "C", "command": "NOOP", "args": ["x"]}"#,
            ws2_error("NOOP", Code::Parse),
        ),
        (
            r#"{"type": "C", "command": "NOOP", "args": 5}"#,
            ws2_error("NOOP", Code::Parse),
        ),
        (&deep_args, ws2_error("NOOP", Code::Parse)),
        (
            r#"{"type": "C", "command": "bogus"}"#,
            ws2_error("BOGUS", Code::UnknownCommand),
        ),
        (
            r#"{"type": "C", "command": ""}"#,
            ws2_error("", Code::UnknownCommand),
        ),
        (
            r#"{"type": "C", "command": "a\"\\\n\u0001b"}"#,
            "{ \"type\" : \"-\",  \"command\" : \"A\\\"\\\\\\n\\u0001B\",  \"errcode\" : 2,  \
             \"errstr\" : \"Unknown command.\" }"
                .to_owned(),
        ),
        (&long, ws2_error(&"é".repeat(64), Code::UnknownCommand)),
        ("{", unknown.clone()),
        ("C;NOOP", unknown.clone()),
        ("[]", unknown.clone()),
        (r#"["C", "NOOP"]"#, unknown.clone()),
        (r#""x""#, unknown.clone()),
        ("5", unknown.clone()),
        ("{}", unknown.clone()),
        (r#"{"command": "NOOP"}"#, unknown.clone()),
        (r#"{"type": 5, "command": "NOOP"}"#, unknown.clone()),
        (r#"{"type": null}"#, unknown.clone()),
        (r#"{"type": "C"}"#, unknown.clone()),
        (r#"{"type": "C", "command": 5}"#, unknown.clone()),
        (r#"{"type": "C", "command": null}"#, unknown.clone()),
        (r#"{"type": "X", "command": "NOOP"}"#, unknown.clone()),
        (r#"{"TYPE": "C", "command": "NOOP"}"#, unknown.clone()),
        (
            r#"{"type": "C", "type": "C", "command": "NOOP"}"#,
            unknown.clone(),
        ),
        (r#"{"type": "C", "command": "NOOP"} x"#, unknown.clone()),
        (&deep, unknown),
        ("", String::new()),
        (" \n", String::new()),
        (
            r#"{"type": "+", "command": "NOOP", "args": null}"#,
            String::new(),
        ),
        (r#"{"type": "-"}"#, String::new()),
        (r#"{"type": "variable", "variable": 5}"#, String::new()),
    ] {
        assert_eq!(Bench::new(WS2).say(message), answer, "{message}");
    }
}

#[test]
fn rights_are_needed_and_refusals_are_noted() {
    let noted = |name: &str, message: &str| {
        let mut bench = Bench::of(WS1, name);
        (bench.say(message), bench.session.take_refused())
    };
    let (filter, event) = ("C;SF;0;0", "E;0,20,3,,,,-,1");
    for (name, message, word, code) in [
        ("guest", filter, "SETFILTER", Code::NoRight),
        ("guest", event, "EVENT", Code::NoRight),
        ("low", filter, "SETFILTER", Code::NoRight),
        ("low", event, "EVENT", Code::NoRight),
        ("low", "C;CLRQ", "CLRQUEUE", Code::NoRight),
    ] {
        let said = match word {
            "SETFILTER" => "SF",
            "CLRQUEUE" => "CLRQ",
            word => word,
        };
        assert_eq!(
            noted(name, message),
            (ws1_error(said, code), Some((word, code))),
            "{name}: {message}"
        );
    }
    assert_eq!(noted("guest", "C;OPEN"), ("+;OPEN".to_owned(), None));
    assert_eq!(noted("low", "C;OPEN"), ("+;OPEN".to_owned(), None));
    assert_eq!(noted("guest", "C;CLRQ"), ("+;CLRQ".to_owned(), None));
    let mut bench = Bench::new(WS1);
    bench.say("C;CLRQ");
    assert_eq!(
        bench.session.take_refused(),
        Some(("CLRQUEUE", Code::NotAuthorised))
    );
    assert_eq!(bench.session.take_refused(), None);
    bench.say(event);
    bench.say("C;NOOP");
    assert_eq!(
        bench.session.take_refused(),
        None,
        "that was the message before"
    );
    // Rights that are taken away are gone.
    let mut bench = Bench::of(WS1, "admin");
    assert_eq!(bench.say(filter), "+;SF");
    bench.session.set_user(user("guest"));
    assert_eq!(bench.say(filter), ws1_error("SF", Code::NoRight));
}

#[test]
fn open_and_closed() {
    for dialect in [WS1, WS2] {
        let mut bench = Bench::of(dialect, "admin");
        assert!(!bench.session.is_open());
        bench.say(&client::open(dialect));
        assert!(bench.session.is_open());
        bench.say(&client::close(dialect));
        assert!(!bench.session.is_open());
        bench.trouble = Some(Code::General);
        bench.say(&client::open(dialect));
        assert!(!bench.session.is_open());
    }
}

#[test]
fn an_answer_is_given_once_and_only_where_one_is_due() {
    let mut bench = Bench::of(WS1, "admin");
    let mut out = String::new();
    bench.session.grant(&mut out);
    bench.session.refuse(Code::General, &mut out);
    assert_eq!(out, "");
    assert!(bench.session.handle("C;OPEN", NOW, &mut out).is_some());
    bench.session.grant(&mut out);
    bench.session.grant(&mut out);
    bench.session.refuse(Code::General, &mut out);
    assert_eq!(out, "+;OPEN");
    // A login without anybody is none.
    out.clear();
    let auth = client::auth(WS1, &sixteen(KEY), &sixteen(SID), "admin", "secret");
    let mut session = Bench::new(WS1).session;
    session.handle(&auth, NOW, &mut out);
    session.grant(&mut out);
    assert_eq!(out, ws1_error("AUTH", Code::General));
}

#[test]
fn the_key_is_not_shown() {
    let shown = format!("{:?}", Bench::new(WS1).session);
    assert!(
        !shown.contains("45, 187") && !shown.contains("key"),
        "{shown}"
    );
}

/// Pieces of messages, and anything else.
fn any_message() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("C;".to_owned()),
        Just("E;".to_owned()),
        Just("OPEN".to_owned()),
        Just("CLOSE".to_owned()),
        Just("SF;".to_owned()),
        Just("0,20,3,,,,-,1".to_owned()),
        Just(client::auth(
            WS1,
            &sixteen(KEY),
            &sixteen(SID),
            "admin",
            "secret"
        )),
        Just(client::auth(
            WS2,
            &sixteen(KEY),
            &sixteen(SID),
            "admin",
            "secret"
        )),
        Just(r#"{"type": "C", "command": "SF", "args": {"mask_class": "#.to_owned()),
        Just(r#"{"type": "C", "command": ""#.to_owned()),
        Just(r#"{"type": "EVENT", "event": {"class": "#.to_owned()),
        Just("}".to_owned()),
        Just("\"".to_owned()),
        "[-+;,{}\\[\\]\":a-zA-Z0-9 ]{0,12}",
        "\\PC{0,4}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_message_has_one_answer(
        ws2: bool,
        messages in proptest::collection::vec(any_message(), 1..12),
    ) {
        let dialect = if ws2 { WS2 } else { WS1 };
        let mut bench = Bench::new(dialect);
        for message in messages {
            let before = bench.session.logged_in();
            let answer = bench.say(&message);
            prop_assert!(before || bench.submitted.is_empty());
            let defaults = Defaults { now: NOW, obid: 0, guid: Guid::ZERO };
            let silent = answer.is_empty();
            if silent {
                let trimmed = message.trim();
                let quiet = trimmed.is_empty() || trimmed.starts_with(['+', '-', '{']);
                prop_assert!(quiet, "{message}");
            } else {
                let said = client::read(dialect, &answer, &defaults);
                prop_assert!(said.is_ok(), "{message}: {answer}");
                prop_assert!(!matches!(said, Ok(client::Said::Event(_))));
            }
        }
    }
}

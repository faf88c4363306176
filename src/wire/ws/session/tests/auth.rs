//! Logins, right and wrong.

use super::*;
use crate::wire::ws::hex;

/// The examples of the specification, each with its own key.
#[test]
fn the_examples_log_in() {
    for (dialect, key, sid, message) in [
        (
            WS1,
            KEY,
            "55BCA4DC7C1FD9C3E6967F37C8747698",
            "C;AUTH;55BCA4DC7C1FD9C3E6967F37C8747698;42273E9F3440DABA5B0CC05242F742B2",
        ),
        (
            WS2,
            "A4A86F7D7E119BA3F0CD06881E371B98",
            "5A475C082C80DCDF7F2DFBD976253B24",
            r#"{"type": "COMMAND", "command": "AUTH", "args": {"iv": "5A475C082C80DCDF7F2DFBD976253B24",
                "crypto": "69B1180D2F4809D39BE34E19C750107F"}}"#,
        ),
    ] {
        for message in [
            message.to_owned(),
            message.replace(sid, &sid.to_lowercase()),
        ] {
            let terms = Terms {
                key: Zeroizing::new(sixteen(key)),
                ..terms()
            };
            let mut bench = Bench::with(dialect, terms);
            bench.session.log_out(sixteen(sid));
            bench.say(&message);
            assert!(bench.session.logged_in(), "{message}");
        }
    }
}

#[test]
fn a_captured_login_with_a_vector_of_the_clients() {
    let terms = Terms {
        foreign_iv: true,
        ..terms()
    };
    let mut bench = Bench::with(WS2, terms);
    let message = r#"{"type": "CMD", "command": "AUTH", "args": {"iv": "00112233445566778899aabbccddeeff", "crypto": "3c378ed1f8cc54eb417b3780cc1019cd"}}"#;
    assert_eq!(bench.say(message), ws2_done("AUTH"));
    assert!(bench.session.logged_in());
}

#[test]
fn names_and_passwords_of_every_length() {
    for (user, password) in [
        ("a", "b"),
        ("åäö", "lösenord-på-svenska"),
        ("user", "p:w:x"),
        ("long", &"x".repeat(251)),
    ] {
        for dialect in [WS1, WS2] {
            let mut session = Bench::new(dialect).session;
            let message = client::auth(dialect, &sixteen(KEY), &sixteen(SID), user, password);
            let request = session.handle(&message, NOW, &mut String::new());
            let Some(Request::Login {
                user: name,
                password: word,
                ..
            }) = request
            else {
                panic!("no login of {user}");
            };
            assert_eq!((&*name, &**word), (user, password));
        }
    }
    let mut bench = Bench::new(WS1);
    let message = client::auth(WS1, &sixteen(KEY), &sixteen(SID), "long", &"x".repeat(252));
    assert_eq!(bench.say(&message), "-;AUTH;1;Syntax error.");
}

#[test]
fn nobody_stays_who_is_refused() {
    let mut bench = Bench::of(WS1, "admin");
    let message = client::auth(WS1, &sixteen(KEY), &sixteen(SID), "admin", "secret");
    let mut out = String::new();
    bench.say("C;OPEN");
    assert!(bench.session.handle(&message, NOW, &mut out).is_some());
    bench.session.refuse(Code::General, &mut out);
    assert_eq!(out, ws1_error("AUTH", Code::General));
    assert!(!bench.session.logged_in() && !bench.session.is_open());
}

#[test]
fn auth_that_is_no_auth() {
    let cipher = "2D1CA5D6F8308F58E5412362114A66C3";
    for fields in [
        String::new(),
        format!(";{SID}"),
        format!(";{SID};"),
        format!(";;{cipher}"),
        format!(";{SID};{cipher};x"),
        format!(";{};{cipher}", &SID[2..]),
        format!(";{SID}0;{cipher}"),
        format!(";{NEW_SID};{cipher}"),
        format!(";{SID};{}", &cipher[2..]),
        format!(";{SID};{}", &cipher[1..]),
        format!(";{SID};{}", cipher.repeat(17)),
        format!(";{SID};x{}", &cipher[1..]),
        format!(";x{};{cipher}", &SID[1..]),
        format!(";é{};{cipher}", &SID[2..]),
    ] {
        let mut bench = Bench::new(WS1);
        let answer = bench.say(&format!("C;AUTH{fields}"));
        assert_eq!(answer, "-;AUTH;1;Syntax error.", "{fields}");
        // As after any wrong login.
        assert_eq!(bench.say("C;CHALLENGE"), format!("+;AUTH0;{NEW_SID}"));
    }
    for (args, code) in [
        ("null".to_owned(), Code::NotAuthorised),
        ("{}".to_owned(), Code::NotAuthorised),
        ("[5]".to_owned(), Code::Parse),
        ("5".to_owned(), Code::Parse),
        (r#"["x"]"#.to_owned(), Code::Parse),
        (
            format!(r#"{{"iv": "{SID}", "iv": "{SID}", "crypto": "{cipher}"}}"#),
            Code::Parse,
        ),
        (format!(r#"{{"iv": "{SID}"}}"#), Code::NotAuthorised),
        (format!(r#"{{"crypto": "{cipher}"}}"#), Code::NotAuthorised),
        (
            format!(r#"{{"iv": "", "crypto": "{cipher}"}}"#),
            Code::NotAuthorised,
        ),
        (
            format!(r#"{{"iv": "{SID}", "crypto": null}}"#),
            Code::NotAuthorised,
        ),
        (format!(r#"{{"iv": "{SID}", "crypto": 5}}"#), Code::Parse),
        (
            format!(r#"{{"iv": "{SID}", "crypto": "{cipher}00"}}"#),
            Code::Parse,
        ),
        (
            format!(r#"{{"iv": "{SID}", "crypto": "x{cipher}"}}"#),
            Code::Parse,
        ),
        (
            format!(r#"{{"iv": "{SID}00", "crypto": "{cipher}"}}"#),
            Code::Parse,
        ),
        (
            format!(r#"{{"iv": "{NEW_SID}", "crypto": "{cipher}"}}"#),
            Code::NotAuthorised,
        ),
    ] {
        let mut bench = Bench::new(WS2);
        let message = format!(r#"{{"type": "C", "command": "AUTH", "args": {args}}}"#);
        assert_eq!(bench.say(&message), ws2_error("AUTH", code), "{args}");
        assert_eq!(bench.session.sid(), sixteen(NEW_SID), "{args}");
    }
}

#[test]
fn a_wrong_login_closes_the_channel_and_the_next_one_needs_the_new_id() {
    for (dialect, challenge) in [
        (WS1, format!("+;AUTH0;{NEW_SID}")),
        (
            WS2,
            format!(
                "{{ \"type\" : \"+\",  \"command\" : \"CHALLENGE\",  \
                 \"args\" : {{\"sid\": \"{NEW_SID}\"}}}}"
            ),
        ),
    ] {
        let key = sixteen(KEY);
        let auth = |sid, word| client::auth(dialect, &key, &sixteen(sid), "admin", word);
        let mut bench = Bench::new(dialect);
        assert!(bench.say(&auth(SID, "secret")).contains('+'));
        bench.say(&client::open(dialect));
        assert!(bench.session.is_open());
        let wrong = match dialect {
            Dialect::Ws1 => ws1_error("AUTH", Code::NotAuthorised),
            Dialect::Ws2 => ws2_error("AUTH", Code::NotAuthorised),
        };
        assert_eq!(bench.say(&auth(SID, "wrong")), wrong);
        assert!(!bench.session.is_open() && !bench.session.logged_in());
        assert_eq!(bench.say(&client::command(dialect, "CHALLENGE")), challenge);
        bench.say(&auth(SID, "secret"));
        assert!(!bench.session.logged_in());
        bench.say(&auth(NEW_SID, "secret"));
        assert!(bench.session.logged_in() && !bench.session.is_open());
        // A right one begins with a closed channel as well.
        bench.say(&client::open(dialect));
        bench.say(&auth(NEW_SID, "secret"));
        assert!(bench.session.logged_in() && !bench.session.is_open());
    }
}

#[test]
fn what_decrypts_to_nothing_is_a_wrong_login() {
    for dialect in [WS1, WS2] {
        let mut session = Bench::new(dialect).session;
        let mut out = String::new();
        let message = client::auth(dialect, &[0; 16], &sixteen(SID), "admin", "secret");
        let Some(Request::Login {
            user,
            password,
            mark,
        }) = session.handle(&message, NOW, &mut out)
        else {
            panic!("no login");
        };
        assert_eq!((&*user, &**password, mark[0]), ("", "", sixteen(SID)));
        assert_eq!((&*out, session.take_refused()), ("", None));
        session.log_out(sixteen(NEW_SID));
        session.refuse(Code::NotAuthorised, &mut out);
        assert!(out.contains("Not authorised."));
    }
}

#[test]
fn the_vector_is_the_session_id_unless_foreign_ones_are_allowed() {
    let iv = sixteen("00112233445566778899AABBCCDDEEFF");
    for (dialect, foreign_iv) in [(WS1, false), (WS1, true), (WS2, false), (WS2, true)] {
        let terms = Terms {
            foreign_iv,
            ..terms()
        };
        let mut session = Bench::with(dialect, terms).session;
        let mut out = String::new();
        let message = client::auth(dialect, &sixteen(KEY), &iv, "admin", "secret");
        let request = session.handle(&message, NOW, &mut out);
        // It is no command that somebody may not use.
        assert_eq!((&*out, session.take_refused()), ("", None));
        match (dialect, foreign_iv, request) {
            (Dialect::Ws2, true, Some(Request::Login { user, mark, .. })) => {
                assert_eq!((&*user, mark[0]), ("admin", iv));
                assert!(message.contains(&hex(&mark[1])));
            }
            (Dialect::Ws2, false, Some(Request::NoLogin(Code::NotAuthorised)))
            | (Dialect::Ws1, _, Some(Request::NoLogin(Code::Syntax))) => {}
            (.., request) => panic!("{dialect:?} {foreign_iv}: {request:?}"),
        }
    }
}

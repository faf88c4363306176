//! Greetings, commands and lines.

use super::*;

const SID: &str = "55BCA4DC7C1FD9C3E6967F37C8747698";
const LAMP: &str = "E;0,20,3,0,2001-11-02T18:00:01Z,5,::1,0x01";

fn key() -> Key {
    Zeroizing::new(*b"0123456789abcdef")
}

fn ws1() -> Messages {
    Messages::new(Dialect::Ws1, key(), &format!("+;AUTH0;{SID}")).unwrap()
}

#[test]
fn only_a_session_id_is_a_greeting() {
    let ws2 = format!("{{\"type\": \"+\", \"args\": [\"AUTH0\", \"{SID}\"]}}");
    assert!(Messages::new(Dialect::Ws2, key(), &ws2).is_ok());
    for (dialect, greeting, words) in [
        (Dialect::Ws1, ws2, "speaks ws2 at this path, not ws1"),
        (
            Dialect::Ws2,
            format!("+;AUTH0;{SID}"),
            "speaks ws1 at this path, not ws2",
        ),
        (
            Dialect::Ws1,
            "-;AUTH0;3;Full\u{1b}.".to_owned(),
            "refuses connections: -OK - Full\\u{1b}. (error 3)",
        ),
        (
            Dialect::Ws1,
            "hello".to_owned(),
            "says \"hello\", which is nothing of ws1",
        ),
        (
            Dialect::Ws2,
            "+;NOOP".to_owned(),
            "says \"+;NOOP\", which is nothing of ws2",
        ),
    ] {
        let error = Messages::new(dialect, key(), &greeting).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn commands_are_messages() {
    let mut messages = ws1();
    let mut say = |words: &[&str]| messages.command(words).unwrap();
    assert_eq!(say(&["USER", "admin"]), None);
    let auth = say(&["PASS", "secret"]).unwrap();
    assert!(auth.starts_with(&format!("C;AUTH;{SID};")), "{auth}");
    assert_eq!(say(&["RCVLOOP"]).unwrap(), "C;OPEN");
    let event = say(&["SEND", "0,20,3,,2001-11-02T18:00:01Z,5,-,1"]).unwrap();
    assert!(event.starts_with("E;0,20,3,0,2001-11-02T18:00:01Z,5,00:"));
    let zero = "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00";
    say(&["SMSK", &format!("0,65535,0,{zero}")]);
    assert_eq!(
        say(&["SFLT", &format!("0,10,0,{zero}")]).unwrap(),
        format!("C;SF;0,10,0,{zero};0,65535,0,{zero}")
    );
    assert!(matches!(
        messages.command(&["SHUTDOWN"]),
        Err(MessageError::Command(_))
    ));
}

#[test]
fn messages_are_lines() {
    let mut messages = ws1();
    assert_eq!(messages.line("+;AUTH1;0;admin").unwrap(), "+OK - Success.");
    assert_eq!(messages.line(&format!("+;AUTH0;{SID}")).unwrap(), "");
    assert_eq!(
        messages
            .line("-;EVENT;6;Not allowed to send event.")
            .unwrap(),
        "-OK - Not allowed to send event. (error 6)"
    );
    assert!(messages.line("what\r\n").is_err());
    messages.open = true;
    assert_eq!(messages.line("what\r\n").unwrap(), "what");
    assert!(messages.line(LAMP).unwrap().contains(",20,3,"));
    messages.wanted.mask.class = u16::MAX;
    assert_eq!(messages.line(LAMP).unwrap(), "", "it does not pass");
}

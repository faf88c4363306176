use std::sync::Arc;

use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::{Event, FilterPair};
use vscpl2drv_link::wire::ws::client::{self, Said};
use vscpl2drv_link::wire::ws::{Code, Dialect, Identity, Request, Session, Terms, write_event};

use super::{NOW, defaults, same};

const KEY: [u8; 16] = *b"no secret at all";
const SIDS: [[u8; 16]; 2] = [*b"the session's id", *b"and the next one"];

/// The most that an answer has beside what the client sent: the record of a user.
const MOST_ANSWER: usize = 1024;

/// The dialogue of a ws1 client.
pub fn ws1(bytes: &[u8]) {
    play(Dialect::Ws1, bytes);
}

/// The dialogue of a ws2 client.
pub fn ws2(bytes: &[u8]) {
    play(Dialect::Ws2, bytes);
}

/// Messages, with a zero byte between them: each is answered once, and nobody gets at anything
/// without a login or a right. `admin`, `guest` and `nobody` stand for a login of theirs, because
/// no fuzzer gets beyond the cipher.
fn play(dialect: Dialect, bytes: &[u8]) {
    let terms = Terms {
        key: KEY.into(),
        foreign_iv: bytes.len() % 2 == 1,
        generation: Generation::Classic,
    };
    let mut sid = SIDS[0];
    let mut session = Session::new(dialect, Arc::new(terms), sid);
    let mut greeting = String::new();
    session.greet(&mut greeting);
    assert_eq!(said(dialect, &greeting), Said::Auth0(sid));
    let mut guest = false;
    for message in bytes.split(|&byte| byte == 0) {
        let message = String::from_utf8_lossy(message);
        let message = match &*message {
            "admin" | "guest" | "nobody" => {
                client::auth(dialect, &KEY, &sid, &message, "secret").into()
            }
            _ => message,
        };
        let before = (session.logged_in(), session.is_open());
        let mut out = String::new();
        let request = session.handle(&message, NOW, &mut out);
        assert_eq!(before, (session.logged_in(), session.is_open()));
        if session.take_refused().is_some() {
            assert!(request.is_none() && !out.is_empty());
        }
        let Some(request) = request else {
            answer(dialect, &message, &out);
            continue;
        };
        assert_eq!(out, "", "answered before it is done");
        allowed(&request, before.0, guest);
        match request {
            Request::Login { user, password, .. } => match identity(&user) {
                Some(who) if &**password == "secret" => {
                    guest = user == "guest";
                    session.log_in(who);
                    session.grant(&mut out);
                }
                _ => {
                    sid = if sid == SIDS[0] { SIDS[1] } else { SIDS[0] };
                    session.log_out(sid);
                    session.refuse(Code::NotAuthorised, &mut out);
                    assert!(!session.logged_in() && !session.is_open());
                }
            },
            Request::NoLogin(code) => {
                sid = if sid == SIDS[0] { SIDS[1] } else { SIDS[0] };
                session.log_out(sid);
                session.refuse(code, &mut out);
                assert!(!session.logged_in() && !session.is_open());
            }
            Request::Submit(event) => {
                written(dialect, &event);
                session.grant(&mut out);
            }
            Request::Open => {
                session.grant(&mut out);
                assert!(session.is_open());
            }
            Request::Close => {
                session.grant(&mut out);
                assert!(!session.is_open());
            }
            Request::Clear => session.grant(&mut out),
            Request::SetFilter(pair) => {
                filtered(pair);
                session.grant(&mut out);
            }
        }
        assert!(!out.is_empty(), "no answer");
        answer(dialect, &message, &out);
        let mut more = String::new();
        session.grant(&mut more);
        session.refuse(Code::General, &mut more);
        assert_eq!(more, "", "answered twice");
    }
}

fn identity(name: &str) -> Option<Identity> {
    let who = super::session::identity(name)?;
    Some(Identity {
        user: who.user,
        userid: 0,
        channel: who.channel,
        guid: who.guid,
    })
}

/// An answer is one that a client understands, and no event; only what asks for nothing has none.
fn answer(dialect: Dialect, message: &str, out: &str) {
    assert!(out.len() <= MOST_ANSWER, "{} bytes", out.len());
    assert!(!out.contains(['\r', '\n']), "{out}");
    if out.is_empty() {
        let start = message.trim().chars().next();
        let quiet = match dialect {
            Dialect::Ws1 => matches!(start, None | Some('+' | '-')),
            Dialect::Ws2 => matches!(start, None | Some('{')),
        };
        assert!(quiet, "no answer");
    } else {
        assert!(!matches!(said(dialect, out), Said::Event(_)));
    }
}

fn said(dialect: Dialect, message: &str) -> Said {
    client::read(dialect, message, &defaults()).unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// What may be asked for before a login, and by somebody who may only receive.
fn allowed(request: &Request, logged_in: bool, guest: bool) {
    let open = matches!(request, Request::Login { .. } | Request::NoLogin(_));
    assert!(logged_in || open, "{request:?} without a login");
    let forbidden = matches!(request, Request::Submit(_) | Request::SetFilter(_));
    assert!(!guest || !forbidden, "{request:?} without a right");
}

/// An event goes out as it came in, in both dialects and with all names.
fn written(dialect: Dialect, event: &Event) {
    assert_eq!(event.obid, 1, "the channel's");
    for generation in [Generation::Classic, Generation::V2, Generation::Both] {
        let mut out = Vec::new();
        write_event(dialect, event, generation, &mut out);
        let text = String::from_utf8(out).expect("messages are text");
        let Said::Event(back) = said(dialect, &text) else {
            panic!("no event: {text}");
        };
        same(&back, event);
    }
}

/// A filter goes to another server as it is.
fn filtered(pair: FilterPair) {
    for dialect in [Dialect::Ws1, Dialect::Ws2] {
        let terms = Terms {
            key: KEY.into(),
            foreign_iv: false,
            generation: Generation::V2,
        };
        let mut session = Session::new(dialect, Arc::new(terms), SIDS[0]);
        session.log_in(identity("admin").expect("the user is there"));
        let mut out = String::new();
        let request = session.handle(&client::set_filter(dialect, &pair), NOW, &mut out);
        assert!(
            matches!(request, Some(Request::SetFilter(back)) if back == pair),
            "{out}"
        );
    }
}

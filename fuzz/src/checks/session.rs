use std::collections::BTreeMap;
use std::sync::Arc;

use vscpl2drv_link::config::parse_users;
use vscpl2drv_link::wire::line::{Line, LineReader, clean};
use vscpl2drv_link::wire::link::{Identity, Request, Session, Terms, command};

use super::{NOW, defaults};

/// Help is the longest answer that does not depend on what the client sent; the history is bounded.
const MOST_ANSWER: usize = 16 * 1024;

/// Users of the dialogue, both with the password `secret`: one who may do everything, and one who
/// may only receive.
const USERS: &str = r#"{"users": [
    {"name": "admin", "password": "00000000000000000000000000000000", "rights": "admin"},
    {"name": "guest", "password": "00000000000000000000000000000000", "rights": "receive-events",
     "privilege": 2}
]}"#;

/// The dialogue of a client: bytes to lines, lines to answers and requests. The answers are the
/// same however the bytes come, nobody gets at anything without a login or a right, and a client
/// finds the one status line of each answer. The first byte is the size of the pieces.
pub fn session(bytes: &[u8]) {
    let Some((&size, stream)) = bytes.split_first() else {
        return;
    };
    let whole = play(stream, stream.len().max(1));
    let pieces = play(stream, usize::from(size) + 1);
    assert_eq!(whole, pieces);
}

/// Everything that a client is told until its session ends, and what was asked for.
fn play(stream: &[u8], size: usize) -> String {
    let variables = [
        ("door", "0,20,3,,,,-,0,1,35"),
        ("broken", "0,20,3,,,,1:2,0"),
    ];
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, line)| ((*name).to_owned(), (*line).to_owned()))
        .collect();
    let terms = Terms {
        variables,
        ..Terms::default()
    };
    let mut session = Session::new(Arc::new(terms), false);
    let mut lines = LineReader::default();
    let mut told = String::new();
    let mut guest = false;
    let mut secrets = Some(Vec::new());
    for piece in stream.chunks(size) {
        lines.push(piece);
        while let Some(line) = lines.next_line(session.line_cap()) {
            let line = match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            };
            let before = session.logged_in();
            let mut out = Vec::new();
            let input = line.as_deref().map_or(Line::TooLong, Line::Text);
            let request = session.handle(input, NOW, &mut out);
            let out = String::from_utf8(out).expect("answers are text");
            answer(line.as_deref(), &out, request.as_ref());
            if let Some(text) = line.as_deref().and_then(clean) {
                forgotten(&text, &out, &mut secrets);
            }
            assert_eq!(
                session.logged_in(),
                before,
                "a line alone logs nobody in or out"
            );
            assert!(before || !session.looping());
            told.push_str(&out);
            if let Some(request) = request {
                told.push_str(&format!("{request:?}\n"));
                allowed(&request, before, guest);
                match request {
                    Request::Login { users, passwords } => {
                        assert_eq!((users.len(), passwords.len()), (1, 1));
                        let (user, password) = (&users[0], &passwords[0]);
                        let Some(identity) = identity(user).filter(|_| &**password == "secret")
                        else {
                            return told;
                        };
                        guest = user == "guest";
                        session.log_in(identity);
                    }
                    Request::Close => return told,
                    _ => {}
                }
            }
        }
    }
    told
}

pub(super) fn identity(name: &str) -> Option<Identity> {
    let (users, _) = parse_users(USERS).expect("the users are good");
    Some(Identity {
        user: Arc::clone(users.get(name)?),
        channel: 1,
        guid: defaults().guid,
    })
}

/// The answer to a line has one status line, its last one, unless somebody else is to say it.
fn answer(line: Option<&[u8]>, out: &str, request: Option<&Request>) {
    let text = line.map_or(Some(String::new()), |line| {
        clean(line).map(|text| text.into_owned())
    });
    let length = line.map_or(0, <[u8]>::len);
    assert!(out.len() <= length + MOST_ANSWER, "{} bytes", out.len());
    assert!(out.is_empty() || out.ends_with("\r\n"));
    let answered = match request {
        None => line.is_none() || text.as_deref() != Some(""),
        Some(
            Request::Clear
            | Request::SetGuid(_)
            | Request::SetFilter(_)
            | Request::PlainLink { .. }
            | Request::Mistake(_)
            | Request::Close,
        ) => true,
        Some(_) => false,
    };
    let rows: Vec<&str> = out.split_terminator("\r\n").collect();
    let rows = if answered {
        let (last, rows) = rows.split_last().expect("an answer");
        assert!(last.starts_with("+OK") || last.starts_with("-OK"), "{out}");
        rows
    } else {
        &rows[..]
    };
    for row in rows {
        assert!(!row.contains("+OK") && !row.contains("-OK"), "{out}");
        assert!(!row.contains(['\r', '\n']), "{out}");
    }
}

/// `++` lists no line with a password.
fn forgotten(text: &str, out: &str, secrets: &mut Option<Vec<String>>) {
    let is_pass = |line| {
        command::parse(line).is_some_and(|(entry, _)| entry.command == command::Command::Pass)
    };
    if text.contains(char::is_control) {
        // Printed with a blank, an unknown command may look like PASS.
        *secrets = None;
    }
    let Some(secrets) = secrets else { return };
    if is_pass(text) {
        secrets.push(text.to_owned());
    } else if text == "++" {
        let listed = out.lines().filter_map(|row| row.split_once(" - "));
        for (_, line) in listed {
            assert!(!secrets.iter().any(|secret| secret == line), "{out}");
        }
    }
}

/// What may be asked for before a login, and by somebody who may only receive.
pub(super) fn allowed(request: &Request, logged_in: bool, guest: bool) {
    let open = matches!(
        request,
        Request::Login { .. } | Request::Challenge | Request::Capabilities | Request::Close
    );
    assert!(logged_in || open, "{request:?} without a login");
    let forbidden = matches!(
        request,
        Request::Submit(_)
            | Request::SetGuid(_)
            | Request::SetFilter(_)
            | Request::Interfaces
            | Request::CloseInterface(_)
            | Request::Test
            | Request::Shutdown
            | Request::Restart
            | Request::Link { .. }
            | Request::LinkEvent(_)
            | Request::LinkReceive { .. }
            | Request::LinkAcknowledge(_)
    );
    assert!(!guest || !forbidden, "{request:?} without a right");
    assert!(!logged_in || !matches!(request, Request::Login { .. }));
}

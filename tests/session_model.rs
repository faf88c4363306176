//! Random dialogues, in text and in frames and from one to the other, against a model of what a
//! session may answer.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::mem::discriminant;
use std::sync::Arc;

use proptest::prelude::*;
use vscpl2drv_link::config::parse_users;
use vscpl2drv_link::wire::binary::{Cipher, Frame, FrameReader, Strength};
use vscpl2drv_link::wire::line::Line;
use vscpl2drv_link::wire::link::reply::{self, Status};
use vscpl2drv_link::wire::link::{Identity, Request, Session, Terms};

#[path = "session_model/model.rs"]
mod model;
#[path = "session_model/steps.rs"]
mod steps;

use model::{CHANNEL, CHANNEL_GUID, Model, Outcome, USERS};
use steps::{NOW, ON, Step, line, steps, wire};

/// The same thing, and about the same.
fn same(wanted: &Request, found: &Request) -> bool {
    match (wanted, found) {
        (Request::Submit(wanted), Request::Submit(found)) => wanted == found,
        (Request::Retrieve(wanted), Request::Retrieve(found)) => wanted == found,
        (Request::SetGuid(wanted), Request::SetGuid(found)) => wanted == found,
        (Request::SetFilter(wanted), Request::SetFilter(found)) => wanted == found,
        (Request::CloseInterface(wanted), Request::CloseInterface(found)) => wanted == found,
        (Request::Mistake(_), Request::Mistake(text)) => !text.is_empty(),
        // In a frame there may be more than one way to read them; one is what was sent.
        (
            Request::Login {
                users: wanted,
                passwords: secret,
            },
            Request::Login { users, passwords },
        ) => users.contains(&wanted[0]) && passwords.contains(&secret[0]),
        _ => discriminant(wanted) == discriminant(found),
    }
}

/// What a client is told that may not do what it asked for, and what the log hears of.
fn is_refusal(status: Status) -> bool {
    [
        reply::NEED_ENCRYPTION,
        reply::NEED_LOGIN,
        reply::NO_RIGHT,
        reply::LOW_PRIVILEGE,
        reply::EVENT_REFUSED,
    ]
    .contains(&status)
}

fn one_frame(bytes: &[u8], cipher: &Cipher) -> Frame {
    let mut reader = FrameReader::default();
    reader.push(bytes);
    let (frame, _) = reader.next_frame(cipher, true).unwrap().unwrap();
    assert_eq!(reader.ahead(), 0, "one frame, and nothing behind it");
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sessions_do_what_the_model_says(
        steps in steps(),
        has_cipher in prop::bool::weighted(0.8),
        encrypted_only in any::<bool>(),
        secure in any::<bool>(),
    ) {
        let (users, _) = parse_users(USERS).unwrap();
        let cipher = Cipher::new(Strength::Aes256, &[7; 32]).unwrap();
        let terms = Terms {
            variables: [("on".to_owned(), ON.to_owned())].into(),
            cipher: has_cipher.then(|| cipher.clone()),
            encrypted_only,
        };
        let mut session = Session::new(Arc::new(terms), secure);
        let mut model = Model::new(has_cipher, encrypted_only, secure);
        for (number, step) in (0..).zip(steps) {
            let was_binary = model.binary;
            if !step.exists(was_binary) {
                continue;
            }
            let lines = model.lines(step);
            let mut out = Vec::new();
            let request = if was_binary {
                let frame = one_frame(&wire(step, number, &cipher), &cipher);
                session.handle_frame(frame, NOW, &mut out).unwrap()
            } else if step == Step::TooLong {
                session.handle(Line::TooLong, NOW, &mut out)
            } else {
                model.keep(step);
                session.handle(Line::Text(line(step).as_bytes()), NOW, &mut out)
            };
            let guid = model.guid;
            let expected = model.outcome(step);
            let status = match &expected {
                Outcome::Said(status) | Outcome::SaidAnd(status, _) => Some(*status),
                Outcome::Nothing | Outcome::Asked(_) => None,
            };
            if was_binary {
                match status {
                    None => prop_assert!(out.is_empty(), "{:?}", step),
                    Some(status) => match one_frame(&out, &cipher) {
                        Frame::Reply { code, error, argument, .. } => {
                            prop_assert_eq!(error, status.code(), "{:?}", step);
                            prop_assert_eq!(code == 65535, matches!(step, Step::Send(_)));
                            if step == Step::GetGuid && status == reply::SUCCESS {
                                prop_assert_eq!(&argument[..], &guid.bytes()[..]);
                            }
                        }
                        other => prop_assert!(false, "{:?}: {:?}", step, other),
                    },
                }
            } else {
                let text = String::from_utf8(out).unwrap();
                let status = status.map(Status::text).unwrap_or_default();
                match lines {
                    Some(lines) => prop_assert_eq!(&text, &format!("{lines}{status}")),
                    None => prop_assert!(text.ends_with(status), "{:?}: {}", step, text),
                }
                let statuses = text.lines().filter(|l| l.starts_with("+OK") || l.starts_with("-OK"));
                prop_assert_eq!(statuses.count(), usize::from(!status.is_empty()), "{}", text);
            }
            match (&expected, &request) {
                (Outcome::Nothing | Outcome::Said(_), None) => {}
                (Outcome::SaidAnd(_, wanted) | Outcome::Asked(wanted), Some(found)) => {
                    prop_assert!(same(wanted, found), "{:?}: {:?}, not {:?}", step, found, wanted);
                }
                other => prop_assert!(false, "{:?}: {:?}", step, other),
            }
            let refused = session.take_refused().map(|(_, status)| status);
            prop_assert_eq!(refused, status.filter(|status| is_refusal(*status)), "{:?}", step);
            match request {
                Some(Request::Login { passwords, .. }) => {
                    let right = passwords.iter().any(|password| &**password == "secret");
                    let Outcome::Asked(Request::Login { users: meant, .. }) = &expected else {
                        return Err(TestCaseError::fail("a login"));
                    };
                    if !right {
                        // The shell closes here.
                        return Ok(());
                    }
                    let known = users.get(&meant[0]).unwrap();
                    let names = ["admin", "guest", "sender"];
                    model.log_in(names.into_iter().find(|name| *name == known.name).unwrap());
                    session.log_in(Identity {
                        user: Arc::clone(known),
                        channel: CHANNEL,
                        guid: CHANNEL_GUID.parse().unwrap(),
                    });
                }
                // And here.
                Some(Request::Close) => return Ok(()),
                _ => {}
            }
            prop_assert_eq!(session.looping(), model.looping);
            prop_assert_eq!(session.logged_in(), model.user.is_some());
            prop_assert_eq!(session.binary().is_some(), model.binary);
        }
    }
}

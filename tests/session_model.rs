//! Random dialogues, in text and in frames and from one to the other, against a model of what a
//! session may answer.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::mem::discriminant;
use std::sync::Arc;

use proptest::prelude::*;
use vscpl2drv_link::auth::User;
use vscpl2drv_link::config::parse_users;
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Filter, FilterPair, Guid, frame};
use vscpl2drv_link::wire::binary::{Cipher, Frame, FrameReader, Strength};
use vscpl2drv_link::wire::line::Line;
use vscpl2drv_link::wire::link::reply::{self, Status};
use vscpl2drv_link::wire::link::{Identity, Request, Session, Terms, Which};

const NOW: u64 = 1_700_000_000_000_000_000;
const USERS: &str = r#"{"users": [
    {"name": "admin", "password": "00000000000000000000000000000000", "rights": "admin"},
    {"name": "guest", "password": "00000000000000000000000000000000",
     "rights": "receive-events,set-filter", "privilege": 2},
    {"name": "sender", "password": "00000000000000000000000000000000", "rights": "send-events",
     "events": "TX;20;*;7"}
]}"#;

/// What a client can do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Noop,
    Version,
    Challenge,
    Capabilities,
    User(&'static str),
    Pass(bool),
    Send(&'static str),
    SendBad,
    Retrieve,
    RetrieveBad,
    Loop,
    EndLoop,
    Count,
    Clear,
    Stat,
    Info,
    Channel,
    GetGuid,
    SetGuid,
    SetGuidBad,
    SetFilter,
    SetFilterBad,
    SetMask,
    Interfaces,
    Test,
    Shutdown,
    Restart,
    Unknown,
    ChangeMode,
}

/// What comes of it.
#[derive(Debug)]
enum Outcome {
    /// Answered like this.
    Said(Status),
    /// Answered, and something is to be done.
    SaidAnd(Status, Request),
    /// Something is to be done, which answers.
    Asked(Request),
}

/// Who may do what, in the plainest words.
#[derive(Debug)]
struct Model {
    encrypted_only: bool,
    secure: bool,
    binary: bool,
    name: Option<&'static str>,
    user: Option<&'static str>,
    looping: bool,
}

const GUID: &str = "01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10";
const ON: &str = "0,20,3,,,,-,1";
const OTHER: &str = "0,30,3,,,,-,1";
const CONTROL: &str = "0,0,3,,,,-,1";

impl Model {
    fn refusal(&self, step: Step) -> Option<Status> {
        use Step::*;
        let privilege = match step {
            Noop | Version | Challenge | Capabilities | Unknown | ChangeMode => return None,
            User(_) | Pass(_) => 0,
            Count | Clear | Stat | Info | Channel | GetGuid => 1,
            Retrieve | RetrieveBad | Loop | EndLoop => 2,
            Send(_) | SendBad => 4,
            SetGuid | SetGuidBad | SetFilter | SetFilterBad | SetMask => 6,
            Interfaces | Test | Shutdown | Restart => 15,
        };
        if self.encrypted_only && !self.secure && !self.binary {
            return Some(reply::NEED_ENCRYPTION);
        }
        let user = match (privilege, self.user) {
            (0, _) => return None,
            (_, None) => return Some(reply::NEED_LOGIN),
            (_, Some(user)) => user,
        };
        let receiving = matches!(step, Retrieve | RetrieveBad | Loop);
        let sending = matches!(step, Send(_) | SendBad);
        let filtering = matches!(step, SetFilter | SetFilterBad | SetMask);
        let has_right = match user {
            "admin" => true,
            "guest" => receiving || filtering || privilege == 1 || step == EndLoop,
            _ => sending || privilege == 1 || step == EndLoop,
        };
        if !has_right {
            return Some(reply::NO_RIGHT);
        }
        (user == "guest" && privilege > 2).then_some(reply::LOW_PRIVILEGE)
    }

    fn outcome(&mut self, step: Step, user: impl Fn(&str) -> Arc<User>) -> Outcome {
        use Outcome::*;
        if let Some(refusal) = self.refusal(step) {
            return Said(refusal);
        }
        let guid: Guid = GUID.parse().unwrap();
        let filter: Filter = "1,20,3,-".parse().unwrap();
        match step {
            Step::Noop | Step::Version | Step::Channel | Step::GetGuid => Said(reply::SUCCESS),
            Step::Unknown => Said(reply::UNKNOWN),
            Step::Challenge => Asked(Request::Challenge),
            Step::Capabilities => Asked(Request::Capabilities),
            Step::User(name) => {
                if self.user.is_none() {
                    self.name = Some(name);
                    Said(reply::USER_OK)
                } else {
                    Said(reply::SUCCESS)
                }
            }
            Step::Pass(_) if self.user.is_some() => Said(reply::SUCCESS),
            Step::Pass(_) => match self.name.take() {
                None => Said(reply::NEED_USER),
                Some(name) => Asked(Request::Login {
                    users: vec![name.to_owned()],
                    passwords: Vec::new(),
                }),
            },
            Step::Send(line) => {
                let sender = self.user.map(&user).unwrap();
                let event = parse(line, &DEFAULTS).unwrap();
                match sender.may_send(&event) {
                    Ok(_) => Asked(Request::Submit(event)),
                    Err(_) if line == OTHER && self.user == Some("sender") => {
                        SaidAnd(reply::EVENT_REFUSED, Request::Mistake(String::new()))
                    }
                    Err(_) => SaidAnd(reply::NO_RIGHT, Request::Mistake(String::new())),
                }
            }
            Step::SendBad | Step::SetGuidBad | Step::SetFilterBad => {
                SaidAnd(reply::PARAMETER, Request::Mistake(String::new()))
            }
            Step::Retrieve | Step::RetrieveBad if self.looping && self.binary => {
                SaidAnd(reply::NOT_SUPPORTED, Request::Mistake(String::new()))
            }
            Step::Retrieve | Step::RetrieveBad if self.looping => Said(reply::SUCCESS),
            Step::Retrieve => Asked(Request::Retrieve(Some(2))),
            Step::RetrieveBad => SaidAnd(reply::PARAMETER, Request::Mistake(String::new())),
            Step::Loop => {
                self.looping = true;
                Said(reply::LOOP_ENTERED)
            }
            Step::EndLoop => {
                self.looping = false;
                Said(reply::LOOP_LEFT)
            }
            Step::Count if self.looping && self.binary => Said(reply::SUCCESS),
            Step::Count => Asked(Request::Count),
            Step::Clear => SaidAnd(reply::CLEARED, Request::Clear),
            Step::Stat => Asked(Request::Stat),
            Step::Info => Asked(Request::Info),
            Step::SetGuid => SaidAnd(reply::SUCCESS, Request::SetGuid(guid)),
            Step::SetFilter | Step::SetMask => {
                let pair = FilterPair {
                    filter,
                    mask: filter,
                };
                SaidAnd(reply::SUCCESS, Request::SetFilter(pair))
            }
            Step::Interfaces => Asked(Request::Interfaces),
            Step::Test => Asked(Request::Test),
            Step::Shutdown => Asked(Request::Shutdown),
            Step::Restart => Asked(Request::Restart),
            Step::ChangeMode => {
                self.binary = !self.binary;
                // No events in clear text.
                self.looping &= self.binary || self.secure || !self.encrypted_only;
                Said(if self.binary {
                    reply::BINARY
                } else {
                    reply::SUCCESS
                })
            }
        }
    }
}

const DEFAULTS: Defaults = Defaults {
    now: NOW,
    obid: 1,
    guid: Guid::ZERO,
};

fn line(step: Step) -> String {
    use Step::*;
    match step {
        Noop => "noop".into(),
        Version => "VERS".into(),
        Challenge => "challenge x".into(),
        Capabilities => "wcyd".into(),
        User(name) => format!("user {name}"),
        Pass(right) => format!("pass {}", if right { "secret" } else { "wrong" }),
        Send(event) => format!("send {event}"),
        SendBad => "send 0,20,x".into(),
        Retrieve => "retr 2".into(),
        RetrieveBad => "retr x".into(),
        Loop => "rcvloop".into(),
        EndLoop => "quitloop".into(),
        Count => "cdta".into(),
        Clear => "clra".into(),
        Stat => "stat".into(),
        Info => "info".into(),
        Channel => "chid".into(),
        GetGuid => "ggid".into(),
        SetGuid => format!("sgid {GUID}"),
        SetGuidBad => "sgid 1:2:3".into(),
        SetFilter => "sflt 1,20,3,-".into(),
        SetFilterBad => "smsk 1,20".into(),
        SetMask => "smsk 1,20,3,-".into(),
        Interfaces => "interface list".into(),
        Test => "test".into(),
        Shutdown => "shutdown".into(),
        Restart => "restart".into(),
        Unknown => "xyzzy".into(),
        ChangeMode => "binary".into(),
    }
}

/// The same as a frame. Its CRC may end in zero, and the reader knows what to make of that.
fn wire(step: Step, iv: u64, cipher: &Cipher) -> Vec<u8> {
    use Step::*;
    let filter = [&[1, 0, 20, 0, 3][..], &[0; 16]].concat();
    let guid = GUID.parse::<Guid>().unwrap();
    let (code, argument): (u16, Vec<u8>) = match step {
        Noop => (0, vec![]),
        Version => (16, vec![]),
        Challenge => (4, vec![]),
        Capabilities => (21, vec![]),
        User(name) => (2, name.into()),
        Pass(right) => (3, if right { "secret" } else { "wrong" }.into()),
        Send(_) => (0, vec![]),
        SendBad => (5, vec![0; 20]),
        Retrieve => (6, vec![0, 2]),
        RetrieveBad => (6, vec![1, 2, 3, 4]),
        Loop => (7, vec![]),
        EndLoop => (8, vec![]),
        Count => (9, vec![]),
        Clear => (10, vec![]),
        Stat => (11, vec![]),
        Info => (12, vec![]),
        Channel => (13, vec![]),
        GetGuid => (15, vec![]),
        SetGuid => (14, guid.bytes().to_vec()),
        SetGuidBad => (14, vec![1, 2, 3]),
        SetFilter => (17, filter),
        SetFilterBad => (18, vec![1, 20]),
        SetMask => (18, filter),
        Interfaces => (19, vec![]),
        Test => (20, vec![]),
        Shutdown => (22, vec![]),
        Restart => (23, vec![]),
        Unknown => (999, vec![]),
        ChangeMode => (24, vec![]),
    };
    let mut plain = Vec::new();
    if let Send(event) = step {
        frame::write(
            &parse(event, &DEFAULTS).unwrap(),
            Generation::V2,
            &mut plain,
        );
    } else {
        plain.push(0xE0);
        plain.extend(code.to_be_bytes());
        plain.extend(argument);
        let crc = frame::crc(&plain[1..]);
        plain.extend(crc.to_be_bytes());
    }
    let mut out = Vec::new();
    cipher.seal_with((u128::from(iv) << 64).to_be_bytes(), &plain, &mut out);
    out
}

fn one_frame(bytes: &[u8], cipher: &Cipher) -> Frame {
    let mut reader = FrameReader::default();
    reader.push(bytes);
    let (frame, _) = reader.next_frame(cipher, true).unwrap().unwrap();
    assert_eq!(reader.ahead(), 0, "one frame, and nothing behind it");
    frame
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let one = prop::sample::select(vec![
        Noop,
        Version,
        Challenge,
        Capabilities,
        User("admin"),
        User("guest"),
        User("sender"),
        Pass(true),
        Pass(true),
        Pass(true),
        Pass(false),
        Send(ON),
        Send(OTHER),
        Send(CONTROL),
        SendBad,
        Retrieve,
        RetrieveBad,
        Loop,
        EndLoop,
        Count,
        Clear,
        Stat,
        Info,
        Channel,
        GetGuid,
        SetGuid,
        SetGuidBad,
        SetFilter,
        SetFilterBad,
        SetMask,
        Interfaces,
        Test,
        Shutdown,
        Restart,
        Unknown,
        ChangeMode,
        ChangeMode,
    ]);
    prop::collection::vec(one, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sessions_do_what_the_model_says(
        steps in steps(), encrypted_only in any::<bool>(), secure in any::<bool>(),
    ) {
        let (users, _) = parse_users(USERS).unwrap();
        let user = |name: &str| Arc::clone(users.get(name).unwrap());
        let cipher = Cipher::new(Strength::Aes256, &[7; 32]).unwrap();
        let terms = Terms { cipher: Some(cipher.clone()), encrypted_only, ..Terms::default() };
        let mut session = Session::new(Arc::new(terms), secure);
        let mut model = Model {
            encrypted_only, secure, binary: false, name: None, user: None, looping: false,
        };
        for (number, step) in (0..).zip(steps) {
            let was_binary = model.binary;
            let expected = model.outcome(step, user);
            let mut out = Vec::new();
            let request = if was_binary {
                let frame = one_frame(&wire(step, number, &cipher), &cipher);
                session.handle_frame(frame, NOW, &mut out).unwrap()
            } else {
                session.handle(Line::Text(line(step).as_bytes()), NOW, &mut out)
            };
            let status = match &expected {
                Outcome::Said(status) | Outcome::SaidAnd(status, _) => Some(*status),
                Outcome::Asked(_) => None,
            };
            match (status, was_binary) {
                (None, _) => prop_assert!(out.is_empty(), "{:?}", step),
                (Some(status), false) => {
                    let text = String::from_utf8(out).unwrap();
                    prop_assert!(text.ends_with(status.text()), "{:?}: {}", step, text);
                    let lines = text.lines();
                    let count = lines.filter(|l| l.starts_with("+OK") || l.starts_with("-OK"));
                    prop_assert_eq!(count.count(), 1);
                }
                (Some(status), true) => match one_frame(&out, &cipher) {
                    Frame::Reply { code, error, .. } => {
                        prop_assert_eq!(error, status.code(), "{:?}", step);
                        prop_assert_eq!(code == 65535, matches!(step, Step::Send(_)));
                    }
                    other => prop_assert!(false, "{:?}: {:?}", step, other),
                },
            }
            match (&expected, &request) {
                (Outcome::Said(_), None) => {}
                (Outcome::SaidAnd(_, wanted) | Outcome::Asked(wanted), Some(found)) => {
                    prop_assert_eq!(discriminant(wanted), discriminant(found), "{:?}", step);
                }
                other => prop_assert!(false, "{:?}: {:?}", step, other),
            }
            match request {
                Some(Request::Login { users: names, passwords }) => {
                    // In a frame there may be two ways to read it; one of them is what was sent.
                    let right = passwords.iter().any(|password| &**password == "secret");
                    prop_assert_eq!(right, step == Step::Pass(true));
                    let Some(known) = names.iter().find_map(|name| users.get(name)) else {
                        return Err(TestCaseError::fail(format!("{names:?}")));
                    };
                    if right {
                        let Outcome::Asked(Request::Login { users: meant, .. }) = &expected else {
                            return Err(TestCaseError::fail("a login"));
                        };
                        prop_assert_eq!(&known.name, &meant[0]);
                        model.user = ["admin", "guest", "sender"]
                            .into_iter()
                            .find(|name| *name == known.name);
                        session.log_in(Identity {
                            user: Arc::clone(known),
                            channel: 1,
                            guid: Guid::ZERO,
                        });
                    } else {
                        // The shell closes here.
                        return Ok(());
                    }
                }
                Some(Request::CloseInterface(Which::Index(_))) => prop_assert!(false),
                _ => {}
            }
            prop_assert_eq!(session.looping(), model.looping);
            prop_assert_eq!(session.logged_in(), model.user.is_some());
            prop_assert_eq!(session.binary().is_some(), model.binary);
        }
    }
}

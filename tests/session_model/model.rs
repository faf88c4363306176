//! What a session may answer, in the plainest words.

use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Filter, FilterPair, Guid};
use vscpl2drv_link::wire::link::reply::{self, Status};
use vscpl2drv_link::wire::link::{Request, Which};

use super::steps::{CONTROL, GUID, INDEX, NOW, OTHER, Step, line};

/// The channel that each login makes.
pub(crate) const CHANNEL: u16 = 1;
pub(crate) const CHANNEL_GUID: &str = "FF:FF:FF:FF:FF:FF:FF:FE:00:00:00:00:00:00:00:01";

pub(crate) const USERS: &str = r#"{"users": [
    {"name": "admin", "password": "00000000000000000000000000000000", "rights": "admin",
     "filter": "0,20,0,-", "mask": "0,0xFFFF,0,-"},
    {"name": "guest", "password": "00000000000000000000000000000000",
     "rights": "receive-events,set-filter", "privilege": 2},
    {"name": "sender", "password": "00000000000000000000000000000000", "rights": "send-events",
     "events": "TX;20;*;7"}
]}"#;

/// What comes of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing at all.
    Nothing,
    /// Answered like this.
    Said(Status),
    /// Answered, and something is to be done.
    SaidAnd(Status, Request),
    /// Something is to be done, which answers.
    Asked(Request),
}

/// The state of a session.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) has_cipher: bool,
    pub(crate) encrypted_only: bool,
    pub(crate) secure: bool,
    pub(crate) binary: bool,
    pub(crate) name: Option<&'static str>,
    pub(crate) user: Option<&'static str>,
    pub(crate) looping: bool,
    pub(crate) guid: Guid,
    pub(crate) filter: FilterPair,
    /// What `+` can repeat, newest first.
    pub(crate) history: Vec<Step>,
}

impl Model {
    pub(crate) fn new(has_cipher: bool, encrypted_only: bool, secure: bool) -> Self {
        Self {
            has_cipher,
            encrypted_only,
            secure,
            binary: false,
            name: None,
            user: None,
            looping: false,
            guid: Guid::ZERO,
            filter: FilterPair::default(),
            history: Vec::new(),
        }
    }

    /// The login was right.
    pub(crate) fn log_in(&mut self, user: &'static str) {
        self.user = Some(user);
        self.guid = CHANNEL_GUID.parse().unwrap();
        self.filter = FilterPair::default();
        if user == "admin" {
            self.filter = pair("0,20,0,-", "0,0xFFFF,0,-");
        }
    }

    fn refusal(&self, step: Step) -> Option<Status> {
        use Step::*;
        let privilege = match step {
            Noop | Help(_) | Version | Challenge | Capabilities | Unknown | ChangeMode | Empty
            | TooLong | Quit | Repeat(_) | History => return None,
            User(_) | Pass(_) => 0,
            Count | Clear | Stat | Info | Channel | GetGuid => 1,
            Retrieve | RetrieveBad | Loop | EndLoop => 2,
            Send(_) | SendBad | SendVariable(_) => 4,
            SetGuid(_) | SetGuidBad | SetFilter(_) | SetMask(_) | SetBoth(..) | SetFilterBad
            | SetMaskBad => 6,
            Interfaces | CloseInterface | CloseInterfaceBad | Test | Shutdown | Restart => 15,
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
        let filtering = matches!(
            step,
            SetFilter(_) | SetMask(_) | SetBoth(..) | SetFilterBad | SetMaskBad
        );
        let has_right = match user {
            "admin" => true,
            "guest" => receiving || filtering || privilege == 1 || step == EndLoop,
            _ => privilege == 4 || privilege == 1 || step == EndLoop,
        };
        if !has_right {
            return Some(reply::NO_RIGHT);
        }
        (user == "guest" && privilege > 2).then_some(reply::LOW_PRIVILEGE)
    }

    /// The step has been written as a line.
    pub(crate) fn keep(&mut self, step: Step) {
        let kept = !matches!(
            step,
            Step::Pass(_) | Step::Repeat(_) | Step::History | Step::Empty | Step::TooLong
        );
        if kept {
            self.history.insert(0, step);
        }
    }

    /// What a line repeats, if anything.
    pub(crate) fn repeated(&self, step: Step) -> Option<Step> {
        match step {
            Step::Repeat(back) => self.history.get(back).copied(),
            _ => None,
        }
    }

    pub(crate) fn outcome(&mut self, step: Step) -> Outcome {
        use Outcome::*;
        if let Some(refusal) = self.refusal(step) {
            return Said(refusal);
        }
        // Its text is for people.
        let mistake = || Request::Mistake(String::new());
        match step {
            Step::Noop | Step::Version | Step::Channel | Step::GetGuid => Said(reply::SUCCESS),
            Step::Help(_) | Step::History => Said(reply::SUCCESS),
            Step::Unknown => Said(reply::UNKNOWN),
            Step::Empty => Nothing,
            Step::TooLong => Said(reply::PARAMETER),
            Step::Quit => SaidAnd(reply::CLOSED, Request::Close),
            Step::Repeat(_) => match self.repeated(step) {
                Some(step) => self.outcome(step),
                None => Said(reply::PARAMETER),
            },
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
            Step::Pass(right) => match self.name.take() {
                None => Said(reply::NEED_USER),
                Some(name) => Asked(Request::Login {
                    users: vec![name.to_owned()],
                    passwords: vec![if right { "secret" } else { "wrong" }.to_owned().into()],
                }),
            },
            Step::Send(line) => self.send(line),
            Step::SendVariable(true) => self.send(super::steps::ON),
            Step::SendVariable(false) => SaidAnd(reply::NO_VARIABLE, mistake()),
            Step::SendBad
            | Step::SetGuidBad
            | Step::SetFilterBad
            | Step::SetMaskBad
            | Step::CloseInterfaceBad => SaidAnd(reply::PARAMETER, mistake()),
            Step::Retrieve | Step::RetrieveBad if self.looping && self.binary => {
                SaidAnd(reply::NOT_SUPPORTED, mistake())
            }
            Step::Retrieve | Step::RetrieveBad if self.looping => Said(reply::SUCCESS),
            Step::Retrieve => Asked(Request::Retrieve(Some(2))),
            Step::RetrieveBad => SaidAnd(reply::PARAMETER, mistake()),
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
            Step::SetGuid(guid) => {
                self.guid = guid.parse().unwrap();
                SaidAnd(reply::SUCCESS, Request::SetGuid(self.guid))
            }
            Step::SetFilter(_) | Step::SetMask(_) | Step::SetBoth(..) => {
                let parse = |text: &str| text.parse::<Filter>().unwrap();
                match step {
                    Step::SetFilter(filter) => self.filter.filter = parse(filter),
                    Step::SetBoth(filter, mask) => self.filter = pair(filter, mask),
                    Step::SetMask(mask) => self.filter.mask = parse(mask),
                    _ => {}
                }
                SaidAnd(reply::SUCCESS, Request::SetFilter(self.filter))
            }
            Step::Interfaces => Asked(Request::Interfaces),
            Step::CloseInterface => Asked(Request::CloseInterface(if self.binary {
                Which::Index(INDEX.into())
            } else {
                Which::Guid(GUID.parse().unwrap())
            })),
            Step::Test => Asked(Request::Test),
            Step::Shutdown => Asked(Request::Shutdown),
            Step::Restart => Asked(Request::Restart),
            Step::ChangeMode if !self.has_cipher => Said(reply::NO_BINARY),
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

    /// Admin may send everything; `sender` class 20 alone, with the lowest priority.
    fn send(&self, line: &str) -> Outcome {
        let is_admin = self.user == Some("admin");
        let refusal = match line {
            _ if is_admin => None,
            CONTROL => Some(reply::NO_RIGHT),
            OTHER => Some(reply::EVENT_REFUSED),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return Outcome::SaidAnd(refusal, Request::Mistake(String::new()));
        }
        let defaults = Defaults {
            now: NOW,
            obid: CHANNEL.into(),
            guid: self.guid,
        };
        let mut event: Event = parse(line, &defaults).unwrap();
        if !is_admin {
            event.head = event.head.with_priority(7);
        }
        Outcome::Asked(Request::Submit(event))
    }

    /// The lines that come before the status line, where they are known. To be asked before the
    /// step is done.
    pub(crate) fn lines(&self, step: Step) -> Option<String> {
        if self.refusal(step).is_some() {
            return Some(String::new());
        }
        match step {
            Step::GetGuid => Some(format!("{}\r\n", self.guid)),
            Step::Channel => Some(format!("{CHANNEL}\r\n")),
            Step::History => {
                let lines = self.history.iter().enumerate();
                Some(
                    lines
                        .map(|(back, step)| format!("{back} - {}\r\n", shown(*step)))
                        .collect(),
                )
            }
            Step::Repeat(_) => match self.repeated(step) {
                Some(step) => Some(format!("{}\r\n{}", shown(step), self.lines(step)?)),
                None => Some(String::new()),
            },
            Step::Help(_) | Step::Version => None,
            _ => Some(String::new()),
        }
    }
}

/// A line that is printed back has no status in it.
fn shown(step: Step) -> String {
    line(step).replace("+OK", "OK").replace("-OK", "OK")
}

fn pair(filter: &str, mask: &str) -> FilterPair {
    let [filter, mask] = [filter, mask].map(|text| text.parse().unwrap());
    FilterPair { filter, mask }
}

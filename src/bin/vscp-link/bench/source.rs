//! Where the events of a run come from: a client that sends, or a publisher at the broker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::flow::End;
use super::input::Input;
use super::mqtt::{Broker, Session};
use super::replies::Replies;
use super::stamps::Latency;
use super::template::Template;
use super::wire::{Link, Wire};

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events that have to be taken.
    pub(super) count: Option<u32>,
    /// Events a second; as fast as they go without.
    pub(super) rate: Option<f64>,
    /// Events under way unanswered.
    pub(super) window: u32,
    /// No event is sent after this.
    pub(super) duration: Duration,
    /// How long an answer may take.
    pub(super) patience: Duration,
}

/// What has become of what was sent.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) sent: Cell<u64>,
    pub(super) accepted: Cell<u64>,
    pub(super) refused: Cell<u64>,
    /// The first was sent.
    pub(super) first: Cell<Option<Instant>>,
    /// The last was answered or, where nothing is, written.
    pub(super) last: Cell<Option<Instant>>,
    /// The longest time that one was sent too late.
    pub(super) behind: Cell<Duration>,
    pub(super) answers: RefCell<Latency>,
}

impl Counts {
    /// Events whose fate is known; they are the first of those that were sent.
    pub(super) fn answered(&self) -> u64 {
        self.accepted.get() + self.refused.get()
    }

    /// Events that are under way: nobody knows what becomes of them.
    pub(super) fn under_way(&self) -> u64 {
        self.sent.get().saturating_sub(self.answered())
    }
}

/// How a source is answered.
pub(super) enum Answers {
    /// A line for each.
    Lines(Replies),
    /// A packet for each.
    Packets(Input, Rc<Broker>),
    /// Not at all; what is written counts.
    None(Rc<Broker>),
}

/// Where events come from.
pub(super) struct Source {
    pub(super) wire: Wire,
    pub(super) template: Template,
    pub(super) answers: Answers,
}

impl Source {
    /// A client that sends.
    pub(super) fn client(link: Link, template: Template) -> Self {
        Self {
            wire: link.wire,
            template,
            answers: Answers::Lines(Replies::default()),
        }
    }

    /// A publisher.
    pub(super) fn publisher(session: Session, broker: &Rc<Broker>, template: Template) -> Self {
        Self {
            answers: match broker.qos {
                0 => Answers::None(Rc::clone(broker)),
                _ => Answers::Packets(session.input, Rc::clone(broker)),
            },
            wire: session.wire,
            template,
        }
    }

    pub(super) fn from(&self) -> End {
        match self.answers {
            Answers::Lines(_) => End::Client,
            _ => End::Broker,
        }
    }

    /// True where each event is answered.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self.answers, Answers::None(_))
    }
}

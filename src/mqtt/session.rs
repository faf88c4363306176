//! Packet identifiers, and how far each message of QoS 1 and 2 has got. Pure.
//!
//! Where the broker keeps the session, this state outlives a connection: what is in flight goes on
//! where it stood, so that QoS 2 delivers once (MQTT 3.1.1 and 5, sections 4.3 and 4.4).

use std::collections::HashSet;

/// Identifiers that are used: 1 to this.
pub(super) const MOST: u16 = 1000;

/// Messages of QoS 2 that may be in flight to a broker that does not say how many it takes: what
/// brokers take that nobody has told otherwise. Some end the connection at one more.
const MOST_QOS_2: u16 = 20;

/// The copy of an event: its serial number in the outbox, and which of the topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Copy {
    pub(super) serial: u64,
    pub(super) outlet: u8,
}

impl Copy {
    /// The first copy of an event.
    pub(super) fn first_of(serial: u64) -> Self {
        Self { serial, outlet: 0 }
    }
}

/// What is sent with an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A copy of an event.
    Copy(Copy),
    /// A birth or a status: nobody waits for it.
    Letter,
}

/// How far it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// QoS 1: published.
    Once,
    /// QoS 2: published.
    Published,
    /// QoS 2: the broker has it, and has been told that we know.
    Released,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    content: Content,
    stage: Stage,
    /// Order in which the slots were taken.
    turn: u64,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The broker has it; the identifier is free again.
    Done(Content),
    /// The broker has it, and is to be sent a release.
    Release,
    /// Nothing is in flight with this identifier.
    Unknown,
}

/// The state of a session.
#[derive(Debug)]
pub(super) struct Session {
    slots: Vec<Option<Slot>>,
    used: usize,
    next: u16,
    turn: u64,
    /// How many identifiers may be in use.
    limit: usize,
    /// Those of them that are messages of QoS 2, and how many may be.
    used_2: usize,
    limit_2: usize,
    /// Identifiers of messages of QoS 2 that came and are not released.
    coming: HashSet<u16>,
    /// Identifiers under which the broker may hold messages of an earlier driver, until it has said
    /// that it released them.
    stale: HashSet<u16>,
    /// Messages in flight that are no events.
    letters: usize,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![None; usize::from(MOST) + 1],
            used: 0,
            next: 1,
            turn: 0,
            limit: usize::from(MOST),
            used_2: 0,
            limit_2: usize::from(MOST_QOS_2),
            coming: HashSet::new(),
            stale: HashSet::new(),
            letters: 0,
        }
    }

    /// The broker has a session of an earlier driver: it would take a message of QoS 2 for sent
    /// already, where that one used its identifier. None is given out until all are released.
    pub(super) fn inherit(&mut self) {
        self.stale = (1..=MOST).collect();
    }

    /// What is still to be released of an earlier driver.
    pub(super) fn stale(&self) -> Vec<u16> {
        self.stale.iter().copied().collect()
    }

    /// Messages in flight that are no events.
    pub(super) fn letters(&self) -> usize {
        self.letters
    }

    /// What may be in flight: of both kinds and of QoS 2, where the configuration says so, and what
    /// the broker says. One that says how many it takes means both.
    pub(super) fn limit(&mut self, both: Option<u16>, qos_2: Option<u16>, broker: Option<u16>) {
        let default = broker.map_or(MOST_QOS_2, |_| MOST);
        let broker = broker.unwrap_or(MOST);
        let bounded = |most: u16| usize::from(most.min(broker).clamp(1, MOST));
        self.limit = bounded(both.unwrap_or(MOST));
        self.limit_2 = bounded(qos_2.unwrap_or(default));
    }

    /// True where another identifier can be taken.
    pub(super) fn has_room(&self, qos: u8) -> bool {
        let room_2 = self.stale.is_empty() && self.used_2 < self.limit_2;
        self.used < self.limit && (qos < 2 || room_2)
    }

    /// Takes an identifier for a message of QoS 1 or 2; `None` where no more may be in flight.
    pub(super) fn take(&mut self, content: Content, qos: u8) -> Option<u16> {
        if !self.has_room(qos) {
            return None;
        }
        // One is free, so this ends.
        while self.slots[usize::from(self.next)].is_some() {
            self.advance();
        }
        let identifier = self.next;
        self.advance();
        self.turn += 1;
        self.used += 1;
        self.used_2 += usize::from(qos == 2);
        self.letters += usize::from(content == Content::Letter);
        self.slots[usize::from(identifier)] = Some(Slot {
            content,
            stage: if qos == 2 {
                Stage::Published
            } else {
                Stage::Once
            },
            turn: self.turn,
        });
        Some(identifier)
    }

    fn advance(&mut self) {
        self.next = if self.next == MOST { 1 } else { self.next + 1 };
    }

    /// Gives an identifier back that was never sent.
    pub(super) fn give_back(&mut self, identifier: u16) {
        self.free(identifier);
    }

    fn free(&mut self, identifier: u16) -> Option<Slot> {
        let slot = self.slots.get_mut(usize::from(identifier))?.take()?;
        self.used -= 1;
        self.used_2 -= usize::from(slot.stage != Stage::Once);
        self.letters -= usize::from(slot.content == Content::Letter);
        Some(slot)
    }

    fn stage(&self, identifier: u16) -> Option<Stage> {
        let slot = self.slots.get(usize::from(identifier))?.as_ref()?;
        Some(slot.stage)
    }

    /// PUBACK. One for a message of QoS 2 is none that was asked for.
    pub(super) fn acknowledged(&mut self, identifier: u16) -> Outcome {
        match self.stage(identifier) {
            Some(Stage::Once) => self.done(identifier),
            _ => Outcome::Unknown,
        }
    }

    /// PUBREC. Where the broker refused, that is the end of it.
    pub(super) fn received(&mut self, identifier: u16, refused: bool) -> Outcome {
        match self.slots.get_mut(usize::from(identifier)) {
            Some(Some(slot)) if slot.stage != Stage::Once => {
                if refused {
                    return self.done(identifier);
                }
                slot.stage = Stage::Released;
                Outcome::Release
            }
            _ => Outcome::Unknown,
        }
    }

    /// PUBCOMP.
    pub(super) fn complete(&mut self, identifier: u16) -> Outcome {
        self.stale.remove(&identifier);
        match self.stage(identifier) {
            Some(Stage::Released) => self.done(identifier),
            _ => Outcome::Unknown,
        }
    }

    fn done(&mut self, identifier: u16) -> Outcome {
        self.free(identifier)
            .map_or(Outcome::Unknown, |slot| Outcome::Done(slot.content))
    }

    /// A message of QoS 2 came; false where it has come before.
    pub(super) fn comes(&mut self, identifier: u16) -> bool {
        self.coming.insert(identifier)
    }

    /// PUBREL.
    pub(super) fn released(&mut self, identifier: u16) {
        self.coming.remove(&identifier);
    }

    /// What is in flight, in the order in which it was sent.
    pub(super) fn in_flight(&self) -> Vec<(u16, Content, Stage)> {
        let mut all: Vec<_> = (0..=MOST)
            .zip(&self.slots)
            .filter_map(|(identifier, slot)| Some((identifier, (*slot)?)))
            .collect();
        all.sort_unstable_by_key(|(_, slot)| slot.turn);
        all.into_iter()
            .map(|(identifier, slot)| (identifier, slot.content, slot.stage))
            .collect()
    }

    /// True where more is in flight than may be.
    pub(super) fn is_over(&self) -> bool {
        self.used > self.limit || self.used_2 > self.limit_2
    }

    /// True where this copy is in flight.
    pub(super) fn holds(&self, copy: Copy) -> bool {
        self.slots
            .iter()
            .flatten()
            .any(|slot| slot.content == Content::Copy(copy))
    }

    /// The broker has forgotten everything.
    pub(super) fn forget(&mut self) {
        *self = Self {
            limit: self.limit,
            limit_2: self.limit_2,
            ..Self::new()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: Content = Content::Letter;

    fn copy(serial: u64) -> Content {
        Content::Copy(Copy { serial, outlet: 0 })
    }

    #[test]
    fn qos_1_and_qos_2_end_in_their_own_ways() {
        let mut session = Session::new();
        let one = session.take(copy(1), 1).unwrap();
        let two = session.take(copy(2), 2).unwrap();
        assert_eq!((one, two), (1, 2));
        // Answers that do not belong.
        assert_eq!(session.acknowledged(two), Outcome::Unknown);
        assert_eq!(session.complete(two), Outcome::Unknown);
        assert_eq!(session.received(one, false), Outcome::Unknown);
        assert_eq!(session.complete(one), Outcome::Unknown);
        assert_eq!(session.acknowledged(0), Outcome::Unknown);
        assert_eq!(session.acknowledged(u16::MAX), Outcome::Unknown);
        // Answers that do.
        assert_eq!(session.acknowledged(one), Outcome::Done(copy(1)));
        assert_eq!(session.acknowledged(one), Outcome::Unknown);
        assert_eq!(session.received(two, false), Outcome::Release);
        assert_eq!(session.received(two, false), Outcome::Release, "said twice");
        assert_eq!(session.complete(two), Outcome::Done(copy(2)));
        let three = session.take(copy(3), 2).unwrap();
        assert_eq!(session.received(three, true), Outcome::Done(copy(3)));
        assert!(session.in_flight().is_empty());
    }

    #[test]
    fn identifiers_in_use_are_not_given_again() {
        let mut session = Session::new();
        session.limit(Some(3), None, None);
        let held = session.take(LETTER, 1).unwrap();
        for serial in 0..5000 {
            let identifier = session.take(copy(serial), 1).unwrap();
            assert!(identifier != held && (1..=MOST).contains(&identifier));
            assert_eq!(
                session.acknowledged(identifier),
                Outcome::Done(copy(serial))
            );
        }
        session.take(copy(1), 1).unwrap();
        session.take(copy(2), 1).unwrap();
        assert_eq!(session.take(copy(3), 1), None);
        assert!(!session.has_room(1));
    }

    #[test]
    fn all_identifiers_can_be_in_use() {
        let mut session = Session::new();
        let mut seen = HashSet::new();
        while let Some(identifier) = session.take(LETTER, 1) {
            assert!(seen.insert(identifier));
        }
        assert_eq!(seen.len(), usize::from(MOST));
    }

    #[test]
    fn brokers_take_few_messages_of_qos_2_unless_they_say_so() {
        let fill = |session: &mut Session| {
            session.forget();
            std::iter::from_fn(|| session.take(LETTER, 2)).count()
        };
        let mut session = Session::new();
        assert_eq!(fill(&mut session), 20);
        assert!(session.has_room(1) && !session.has_room(2));
        let one = session.in_flight()[0].0;
        session.received(one, false);
        assert!(!session.has_room(2), "until it is complete");
        session.complete(one);
        assert!(session.has_room(2));
        for (both, qos_2, broker, limits) in [
            (None, None, None, [1000, 20]),
            (None, Some(5), None, [1000, 5]),
            (None, Some(50), None, [1000, 50]),
            (Some(50), Some(50), Some(100), [50, 50]),
            (None, None, Some(100), [100, 100]),
            (Some(500), Some(500), Some(10), [10, 10]),
            (None, None, Some(65535), [1000, 1000]),
        ] {
            session.limit(both, qos_2, broker);
            assert_eq!([session.limit, session.limit_2], limits);
            assert_eq!(fill(&mut session), limits[1]);
        }
    }

    #[test]
    fn what_is_in_flight_keeps_its_order() {
        let mut session = Session::new();
        for serial in 0..u64::from(MOST) - 1 {
            let identifier = session.take(copy(serial), 1).unwrap();
            session.acknowledged(identifier);
        }
        for serial in 10..14 {
            session.take(copy(serial), 2).unwrap();
        }
        session.received(1000, false);
        let order: Vec<_> = session.in_flight();
        assert_eq!(
            order,
            [
                (1000, copy(10), Stage::Released),
                (1, copy(11), Stage::Published),
                (2, copy(12), Stage::Published),
                (3, copy(13), Stage::Published),
            ]
        );
        assert!(session.holds(Copy {
            serial: 12,
            outlet: 0
        }));
        assert!(!session.holds(Copy {
            serial: 12,
            outlet: 1
        }));
        session.forget();
        assert!(session.in_flight().is_empty() && session.has_room(2));
    }

    #[test]
    fn what_an_earlier_driver_left_is_released_first() {
        let mut session = Session::new();
        session.inherit();
        assert!(session.has_room(1) && !session.has_room(2));
        assert_eq!(session.stale().len(), usize::from(MOST));
        for identifier in 1..=MOST {
            assert_eq!(session.take(LETTER, 2), None);
            assert_eq!(session.complete(identifier), Outcome::Unknown);
        }
        assert!(session.stale().is_empty() && session.has_room(2));
        session.inherit();
        session.forget();
        assert!(session.has_room(2), "a new session has nothing to release");
    }

    #[test]
    fn messages_that_are_no_events_are_counted() {
        let mut session = Session::new();
        let (one, _) = (session.take(LETTER, 1).unwrap(), session.take(copy(1), 1));
        assert_eq!(session.letters(), 1);
        session.acknowledged(one);
        assert_eq!(session.letters(), 0);
    }

    #[test]
    fn a_message_of_qos_2_comes_once() {
        let mut session = Session::new();
        assert!(session.comes(7));
        assert!(!session.comes(7));
        session.released(7);
        assert!(session.comes(7));
    }
}

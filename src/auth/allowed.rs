//! The events that a user may send and receive.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::event::number::{self, NumberError, clip};

/// Which way an entry of [`AllowedEvents`] counts, seen from the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// `TX`: the user may send it.
    Tx,
    /// `RX`: the user may receive it.
    Rx,
    /// `BOTH`, and where nothing is said.
    #[default]
    Both,
}

impl Direction {
    /// `tx`, `rx` or `both` in either case; empty is both. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "tx" => Some(Self::Tx),
            "rx" => Some(Self::Rx),
            "" | "both" => Some(Self::Both),
            _ => None,
        }
    }
}

/// One entry of [`AllowedEvents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedEvent {
    direction: Direction,
    class: Option<u16>,
    vscp_type: Option<u16>,
    max_priority: Option<u8>,
}

impl AllowedEvent {
    /// Events of this class and type, `None` being any.
    ///
    /// `max_priority` 0 (highest) to 7 is the most urgent priority that sent events keep; above 7
    /// is 7, `None` keeps every priority.
    #[must_use]
    pub fn new(
        direction: Direction,
        class: Option<u16>,
        vscp_type: Option<u16>,
        max_priority: Option<u8>,
    ) -> Self {
        Self {
            direction,
            class,
            vscp_type,
            max_priority: max_priority.map(|p| p.min(LOWEST_PRIORITY)),
        }
    }

    /// Reads `class:type` or `direction;class;type;priority`. The latter may lack the priority
    /// and may stand in brackets. Class and type are numbers, or `*` or `-1` for any.
    fn parse(text: &str) -> Result<Self, Fault> {
        let text = text
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(text);
        if text.contains(';') {
            let fields: Vec<&str> = text.split(';').map(str::trim).collect();
            let (direction, class, vscp_type, priority) = match fields[..] {
                [direction, class, vscp_type] => (direction, class, vscp_type, ""),
                [direction, class, vscp_type, priority] => (direction, class, vscp_type, priority),
                _ => return Err(Fault::Shape),
            };
            let direction = Direction::parse(direction).ok_or(Fault::Direction)?;
            let max_priority = match priority {
                "" => None,
                text => {
                    let most = u64::from(LOWEST_PRIORITY);
                    Some(number::parse(text, most).map_err(Fault::Priority)? as u8)
                }
            };
            let (class, vscp_type) = (code(class, Fault::Class)?, code(vscp_type, Fault::Type)?);
            return Ok(Self::new(direction, class, vscp_type, max_priority));
        }
        let (class, vscp_type) = text.split_once(':').ok_or(Fault::Shape)?;
        let (class, vscp_type) = (code(class, Fault::Class)?, code(vscp_type, Fault::Type)?);
        Ok(Self::new(Direction::Both, class, vscp_type, None))
    }
}

const LOWEST_PRIORITY: u8 = 7;

fn code(text: &str, fault: fn(NumberError) -> Fault) -> Result<Option<u16>, Fault> {
    match text.trim() {
        "*" | "-1" => Ok(None),
        text => number::parse_u16(text).map(Some).map_err(fault),
    }
}

/// The events that a user may send and receive; without entries, all.
///
/// With entries, what no entry names is neither sent nor received: a list of `TX` entries only
/// leaves nothing to receive. Where several entries match, the most permissive counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedEvents {
    grants: BTreeMap<(Option<u16>, Option<u16>), Grant>,
}

/// All that the entries for one pair of class and type give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Grant {
    /// The most urgent priority that may be sent with, `None` where sending is not allowed.
    send: Option<u8>,
    receive: bool,
}

impl AllowedEvents {
    /// Reads a list; each entry may itself be a list with commas. Empty entries are passed over.
    ///
    /// An entry is `class:type` or `direction;class;type;priority`. Class and type are numbers,
    /// or `*` or `-1` for any; the direction is `TX`, `RX`, `BOTH` or empty; the priority is 0 to
    /// 7, or empty or missing.
    ///
    /// # Errors
    /// [`AllowedError`] for the first entry that cannot be read.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowedError> {
        let texts = entries.into_iter().flat_map(|entry| entry.split(','));
        texts
            .map(str::trim)
            .enumerate()
            .filter(|(_, text)| !text.is_empty())
            .map(|(at, text)| {
                AllowedEvent::parse(text).map_err(|fault| AllowedError {
                    position: at + 1,
                    text: clip(text),
                    fault,
                })
            })
            .collect()
    }

    /// The priority, 0 (highest) to 7, that the user may send such an event with: its own, or the
    /// highest that is allowed. `None` where it may not be sent at all.
    #[must_use]
    pub fn may_send(&self, class: u16, vscp_type: u16, priority: u8) -> Option<u8> {
        if self.is_empty() {
            return Some(priority);
        }
        let most_urgent = self
            .matching(class, vscp_type)
            .filter_map(|grant| grant.send)
            .min()?;
        Some(priority.max(most_urgent))
    }

    /// True where the user may receive such an event.
    #[must_use]
    pub fn may_receive(&self, class: u16, vscp_type: u16) -> bool {
        self.is_empty() || self.matching(class, vscp_type).any(|grant| grant.receive)
    }

    /// True for the list without entries, which allows everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Class and type of each entry, `None` being any, whatever its direction.
    pub fn codes(&self) -> impl Iterator<Item = (Option<u16>, Option<u16>)> {
        self.grants.keys().copied()
    }

    fn matching(&self, class: u16, vscp_type: u16) -> impl Iterator<Item = &Grant> {
        [
            (Some(class), Some(vscp_type)),
            (Some(class), None),
            (None, Some(vscp_type)),
            (None, None),
        ]
        .into_iter()
        .filter_map(|key| self.grants.get(&key))
    }
}

impl FromIterator<AllowedEvent> for AllowedEvents {
    fn from_iter<I: IntoIterator<Item = AllowedEvent>>(entries: I) -> Self {
        let mut list = Self::default();
        for entry in entries {
            let grant = list
                .grants
                .entry((entry.class, entry.vscp_type))
                .or_default();
            if matches!(entry.direction, Direction::Tx | Direction::Both) {
                let most_urgent = entry.max_priority.unwrap_or(0);
                grant.send = Some(grant.send.map_or(most_urgent, |send| send.min(most_urgent)));
            }
            grant.receive |= matches!(entry.direction, Direction::Rx | Direction::Both);
        }
        list
    }
}

impl From<Vec<AllowedEvent>> for AllowedEvents {
    fn from(entries: Vec<AllowedEvent>) -> Self {
        entries.into_iter().collect()
    }
}

/// An entry that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("entry {position}, {text:?}, is not an allowed event")]
pub struct AllowedError {
    /// Which entry of the list it is, from 1; empty ones count too.
    pub position: usize,
    /// What was found, shortened.
    pub text: String,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What is wrong with an entry of [`AllowedEvents`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Neither of the two forms.
    #[error("class:type or direction;class;type;priority was expected")]
    Shape,
    /// Not a direction.
    #[error("the direction is not TX, RX or BOTH")]
    Direction,
    /// Not a class.
    #[error("the class is not *, -1 or a number")]
    Class(#[source] NumberError),
    /// Not a type.
    #[error("the type is not *, -1 or a number")]
    Type(#[source] NumberError),
    /// Not a priority.
    #[error("the priority is not 0 to 7")]
    Priority(#[source] NumberError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> AllowedEvents {
        AllowedEvents::parse([text]).unwrap()
    }

    #[test]
    fn an_empty_list_allows_everything() {
        for text in ["", " ", ",,"] {
            assert_eq!(list(text).may_send(10, 6, 3), Some(3));
            assert!(list(text).may_receive(10, 6));
        }
    }

    #[test]
    fn class_and_type_with_wildcards() {
        let sends = |text: &str, class, vscp_type| {
            let list = list(text);
            let sends = list.may_send(class, vscp_type, 3).is_some();
            assert_eq!(sends, list.may_receive(class, vscp_type));
            sends
        };
        assert!(sends("10:6", 10, 6));
        assert!(!sends("10:6", 10, 7));
        assert!(!sends("10:6", 11, 6));
        assert!(sends("10:*,30:9", 10, 7));
        assert!(sends("10:*,30:9", 30, 9));
        assert!(!sends("10:*,30:9", 30, 10));
        assert!(sends("*:6", 4711, 6));
        assert!(!sends("*:6", 4711, 7));
        assert!(sends("*:*", 65535, 65535));
        assert!(sends("30:0x9", 30, 9));
        assert!(!sends("30:0x9", 0, 9));
        assert!(sends("-1:6", 12, 6));
        assert!(sends("0x0a : -1", 10, 6));
        assert!(sends(";10;6;", 10, 6));
    }

    #[test]
    fn directions_are_the_users() {
        for (text, send, receive) in [
            ("TX;10;6;", true, false),
            ("rx;10;6;", false, true),
            ("Both;10;6", true, true),
            (";10;6;", true, true),
            ("[TX;10;*;3]", true, false),
            ("TX;10;6,RX;10;-1", true, true),
        ] {
            let list = list(text);
            assert_eq!(list.may_send(10, 6, 3).is_some(), send, "{text}");
            assert_eq!(list.may_receive(10, 6), receive, "{text}");
        }
    }

    #[test]
    fn a_higher_priority_is_lowered() {
        let list = list("TX;10;6;3");
        for (priority, want) in [(0, 3), (2, 3), (3, 3), (4, 4), (7, 7)] {
            assert_eq!(list.may_send(10, 6, priority), Some(want));
        }
    }

    #[test]
    fn the_most_permissive_match_counts() {
        for text in [
            "TX;10;6;5,TX;10;*;2",
            "TX;*;*;2,TX;10;6;5",
            "TX;10;6;5,TX;10;6;2",
        ] {
            assert_eq!(list(text).may_send(10, 6, 0), Some(2), "{text}");
        }
        assert_eq!(list("TX;10;6;5,10:*").may_send(10, 6, 0), Some(0));
    }

    #[test]
    fn entries_made_by_hand_are_as_those_read() {
        let entry = AllowedEvent::new(Direction::Tx, Some(10), None, Some(3));
        assert_eq!(AllowedEvents::from(vec![entry]), list("TX;10;-1;3"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for bad in [
            "10",
            "10:",
            ":6",
            "10:6:1",
            "10:x",
            "65536:1",
            "10:-2",
            "TX;10",
            "TX;10;6;8",
            "TX;10;6;-1",
            "TX;10;6;3;1",
            "UP;10;6;3",
            "TX;;6;3",
            "[TX;10;6;3",
            "tx:10:6",
            ";;;",
        ] {
            let error = AllowedEvents::parse(["1:1,", bad]).unwrap_err();
            assert_eq!(error.position, 3, "{bad}");
            assert_eq!(error.text, bad);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-0-9x:;,*TRXBOH \\[\\]]{0,40}") {
            let _ = AllowedEvents::parse([text.as_str()]);
        }

        #[test]
        fn a_sent_priority_is_never_raised(most in 0_u8..8, priority in 0_u8..8) {
            let sent = list(&format!("TX;-1;-1;{most}")).may_send(1, 1, priority).unwrap();
            prop_assert!(sent >= priority && sent >= most);
            prop_assert!(sent == priority || sent == most);
        }
    }
}

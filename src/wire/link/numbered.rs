//! An event of a link between two drivers of this kind, as text: the number that it has in the
//! queue of whoever sends it, its tag, and the event, with blanks between them.

use std::io::Write as _;

use thiserror::Error;

use crate::event::text::{self, Defaults, EventTextError, TextForm};
use crate::event::{Event, Tag};

/// An event and what it goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbered {
    /// In the queue of whoever sends it.
    pub number: u64,
    /// Between drivers.
    pub tag: Tag,
    /// The event.
    pub event: Event,
}

/// Why a text is none.
#[derive(Debug, Error)]
pub enum NumberedError {
    /// The first word.
    #[error("there is no number before the event")]
    Number,
    /// The second word.
    #[error("there is no tag before the event")]
    Tag,
    /// The rest.
    #[error(transparent)]
    Event(#[from] EventTextError),
}

/// Appends it, without the end of a line. The far end gives it the id of its channel.
pub fn write(number: u64, tag: Tag, event: &Event, out: &mut Vec<u8>) {
    let _ = write!(out, "{number} {tag} ");
    let event = Event {
        obid: 0,
        ..event.clone()
    };
    text::write(&event, TextForm::Nanos, out);
}

/// Reads it.
///
/// # Errors
/// [`NumberedError`].
pub fn read(line: &str, defaults: &Defaults) -> Result<Numbered, NumberedError> {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let number = word().parse().map_err(|_| NumberedError::Number)?;
    let tag = word().parse().map_err(|_| NumberedError::Tag)?;
    let event = text::parse(word(), defaults)?;
    Ok(Numbered { number, tag, event })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::tests::any_event;
    use crate::event::{EventTime, Guid};

    const DEFAULTS: Defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };

    #[test]
    fn what_is_none_says_which_word() {
        let read = |line| read(line, &DEFAULTS).map_err(|error| error.to_string());
        assert!(read("1 0.1 0,20,3,,,,::1,1").is_ok());
        assert!(
            read("x 0.1 0,20,3,,,,::1,1")
                .unwrap_err()
                .contains("number")
        );
        assert!(read("1 x 0,20,3,,,,::1,1").unwrap_err().contains("tag"));
        assert!(read("1 0.1 0,20").is_err());
        assert!(read("").is_err());
    }

    proptest! {
        #[test]
        fn there_and_back(event in any_event(), number: u64, origin: u64, count: u64) {
            let nanos = event.time.nanos();
            prop_assume!(!event.guid.is_zero() && nanos != 0);
            let event = Event { obid: 0, time: EventTime::Unix { nanos }, ..event };
            let tag = Tag { origin, number: count };
            let mut line = Vec::new();
            write(number, tag, &event, &mut line);
            let found = read(std::str::from_utf8(&line).unwrap(), &DEFAULTS).unwrap();
            prop_assert_eq!(found, Numbered { number, tag, event });
        }

        #[test]
        fn never_panics(line in ".{0,100}") {
            let _ = read(&line, &DEFAULTS);
        }
    }
}

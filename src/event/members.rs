//! What the JSON and XML forms have in common: named members, each of which may be absent.

use thiserror::Error;

use super::text::Defaults;
use super::{Data, Event, EventTime, Guid, Head};

/// The members that mean something.
#[derive(Default)]
pub(super) struct Members {
    pub(super) head: Option<u16>,
    pub(super) obid: Option<u32>,
    pub(super) class: Option<u16>,
    pub(super) vscp_type: Option<u16>,
    pub(super) guid: Option<Guid>,
    /// Seconds since 1970, and the nanoseconds of a fraction.
    pub(super) seconds: Option<(i64, Option<u32>)>,
    pub(super) micros: Option<u32>,
    pub(super) nanos: Option<u64>,
    pub(super) data: Option<Data>,
}

impl Members {
    /// The event, with defaults for what is absent. Nanoseconds go before a date.
    pub(super) fn settle(self, defaults: &Defaults) -> Event {
        let obid = self.obid.unwrap_or(0);
        let guid = self.guid.unwrap_or(Guid::ZERO);
        let now = EventTime::Unix {
            nanos: defaults.now,
        };
        let time = match (self.nanos.filter(|&nanos| nanos != 0), self.seconds) {
            (Some(nanos), _) => EventTime::Unix { nanos },
            (None, Some((seconds, fraction))) => EventTime::Classic {
                seconds,
                // A time stamp of 0 is what clients send that have none.
                micros: match self.micros {
                    Some(micros) if micros != 0 => micros,
                    _ => fraction.unwrap_or(0) / 1000,
                },
            },
            (None, None) => match self.micros {
                Some(micros) if micros != 0 => EventTime::Classic {
                    seconds: now.seconds(),
                    micros,
                },
                _ => now,
            },
        };
        Event {
            head: Head::new(self.head.unwrap_or(0)),
            class: self.class.unwrap_or(0),
            vscp_type: self.vscp_type.unwrap_or(0),
            obid: if obid == 0 { defaults.obid } else { obid },
            guid: if guid.is_zero() { defaults.guid } else { guid },
            time,
            data: self.data.unwrap_or_default(),
        }
    }
}

/// Two members of one meaning do not agree.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("another member says something else")]
pub(super) struct Contradiction;

/// Fills a place. The same thing may be said twice, but not two things.
pub(super) fn set<T: Same>(place: &mut Option<T>, value: T) -> Result<(), Contradiction> {
    match place {
        Some(known) if !known.same(&value) => Err(Contradiction),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

/// When two values say the same. Heads differ by their frame version.
pub(super) trait Same: PartialEq {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Same for u16 {
    fn same(&self, other: &Self) -> bool {
        Head::new(*self) == Head::new(*other)
    }
}

impl Same for u32 {}
impl Same for u64 {}
impl Same for Guid {}
impl Same for Data {}
impl Same for (i64, Option<u32>) {}

//! What a message says, whichever dialect it is in.

use super::command::Entry;
use super::{Code, Sid, auth, unhex, ws1, ws2};
use crate::event::text::Defaults;
use crate::event::{Event, FilterPair};

/// Characters of a client's word that are repeated to it.
const MOST_WORD: usize = 64;

/// A message of a client.
pub(super) enum Message<'a> {
    /// It asks for nothing.
    Silent,
    /// It is answered with an error, and with the word where there is one.
    Bad(String, Code),
    /// A command, the word that it is answered with, and what it came with.
    Command(&'static Entry, String, Arguments<'a>),
    /// An event.
    Event(EventForm<'a>),
}

/// What a command came with.
pub(super) enum Arguments<'a> {
    /// ws1: fields.
    Fields(Vec<&'a str>),
    /// ws2: members.
    Members(ws2::Arguments),
    /// ws2: what no command can have.
    Unreadable,
}

/// An event, still as it came.
#[derive(Clone, Copy)]
pub(super) enum EventForm<'a> {
    /// ws1: the comma form.
    Text(&'a str),
    /// ws2: JSON, if there is any.
    Json(Option<&'a str>),
}

/// What AUTH came with.
pub(super) struct Credentials {
    pub(super) iv: Sid,
    pub(super) cipher: Vec<u8>,
}

impl Credentials {
    /// From their digits; `None` where these are none, or not as many as there must be.
    pub(super) fn read(iv: &str, cipher: &str) -> Option<Self> {
        let cipher = unhex(cipher)?;
        if !auth::fits(&cipher) {
            return None;
        }
        Some(Self {
            iv: unhex(iv)?.try_into().ok()?,
            cipher,
        })
    }
}

impl Arguments<'_> {
    /// Those of AUTH.
    pub(super) fn credentials(&self) -> Result<Credentials, Code> {
        match self {
            Self::Fields(fields) => ws1::credentials(fields),
            Self::Members(members) => members.credentials(),
            Self::Unreadable => Err(Code::Parse),
        }
    }

    /// Those of SETFILTER; what is not said stays as it is.
    pub(super) fn filter(&self, present: FilterPair) -> Result<FilterPair, Code> {
        match self {
            Self::Fields(fields) => ws1::filter(fields),
            Self::Members(members) => members.filter(present),
            Self::Unreadable => Err(Code::Parse),
        }
    }
}

impl EventForm<'_> {
    /// The event, if it is one.
    pub(super) fn read(self, defaults: &Defaults) -> Option<Event> {
        match self {
            Self::Text(text) => ws1::event(text, defaults),
            Self::Json(json) => ws2::event(json?, defaults),
        }
    }
}

/// A word of a client's as it is said back: in upper case, and no more than a little of it.
pub(super) fn echo(word: &str) -> String {
    let upper = word.chars().map(|c| c.to_ascii_uppercase());
    upper.take(MOST_WORD).collect()
}

//! A user, and all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::{AllowedEvents, Credential, Privilege, Remotes, Rights};
use crate::event::number::clip;
use crate::event::{Event, FilterPair};

/// Who somebody is and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name; its case counts.
    pub name: String,
    /// What the password is checked with.
    pub credential: Credential,
    /// For people; may be empty.
    pub full_name: String,
    /// For people; may be empty.
    pub note: String,
    /// What the user may do.
    pub rights: Rights,
    /// Up to which level of commands.
    pub privilege: Privilege,
    /// Where the user may connect from.
    pub remotes: Remotes,
    /// Which events the user may send and receive.
    pub allowed: AllowedEvents,
    /// Sessions that the user may have at a time; `None` is as many as there is room for.
    pub max_sessions: Option<u16>,
    /// The receive filter that a session begins with.
    pub filter: FilterPair,
}

/// Why a user may not send an event.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// No events at all.
    #[error("the user may not send events")]
    Send,
    /// No level I protocol events.
    #[error("the user may not send level I protocol events (classes 0 and 512)")]
    Level1Control,
    /// No level II protocol events.
    #[error("the user may not send level II protocol events (class 1024)")]
    Level2Control,
    /// No high level objects.
    #[error("the user may not send high level objects (class 1028)")]
    Hlo,
    /// Not in the user's list.
    #[error("the event is not among those that the user may send")]
    NotListed,
}

/// Class 0 on its way over level II: the same events with the GUID of an interface in front.
const CLASS2_LEVEL1_PROTOCOL: u16 = 512;

impl User {
    /// The priority, 0 (highest) to 7, that the user may send this event with: its own, or the
    /// highest that the user is allowed.
    ///
    /// # Errors
    /// [`Refusal`] where the user may not send it at all.
    pub fn may_send(&self, event: &Event) -> Result<u8, Refusal> {
        let control = match event.class {
            Event::CLASS1_PROTOCOL | CLASS2_LEVEL1_PROTOCOL => {
                Some((Rights::SEND_L1CTRL, Refusal::Level1Control))
            }
            Event::CLASS2_PROTOCOL => Some((Rights::SEND_L2CTRL, Refusal::Level2Control)),
            Event::CLASS2_HLO => Some((Rights::SEND_HLO, Refusal::Hlo)),
            _ => None,
        };
        if !self.rights.contains(Rights::SEND_EVENT) {
            return Err(Refusal::Send);
        }
        if let Some((right, refusal)) = control
            && !self.rights.contains(right)
        {
            return Err(refusal);
        }
        self.allowed
            .may_send(event.class, event.vscp_type, event.head.priority())
            .ok_or(Refusal::NotListed)
    }

    /// True where the user may receive this event.
    #[must_use]
    pub fn may_receive(&self, event: &Event) -> bool {
        self.rights.contains(Rights::RCV_EVENT)
            && self.allowed.may_receive(event.class, event.vscp_type)
    }
}

/// All users, by name. It does not change: a new file makes a new table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserTable(BTreeMap<String, Arc<User>>);

/// Why users do not make a table.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UserTableError {
    /// Nobody can log in without a name.
    #[error("user {0} of the list has no name")]
    Unnamed(usize),
    /// Which of the two would be meant?
    #[error("the user {0:?} is there twice")]
    Duplicate(String),
}

impl UserTable {
    /// A table of these users.
    ///
    /// # Errors
    /// [`UserTableError`] for a name that is empty, or there twice.
    pub fn new(users: Vec<User>) -> Result<Self, UserTableError> {
        let mut table: BTreeMap<String, Arc<User>> = BTreeMap::new();
        for (at, user) in users.into_iter().enumerate() {
            if user.name.is_empty() {
                return Err(UserTableError::Unnamed(at + 1));
            }
            if let Some(other) = table.insert(user.name.clone(), Arc::new(user)) {
                return Err(UserTableError::Duplicate(clip(&other.name)));
            }
        }
        Ok(Self(table))
    }

    /// The user of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.0.get(name)
    }

    /// All users, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.0.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where nobody can log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

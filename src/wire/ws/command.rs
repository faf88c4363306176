//! The table of commands.

use super::Dialect;
use crate::auth::Rights;

/// A command of either dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Command {
    Noop,
    Challenge,
    Auth,
    Open,
    Close,
    SetFilter,
    Clear,
    Version,
    Copyright,
}

/// What somebody must have who asks for something.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// A login with this privilege, 0 to 15.
    pub privilege: u8,
    /// And this right.
    pub right: Option<Rights>,
}

/// What there is to know about a command.
#[derive(Debug)]
pub struct Entry {
    /// The command.
    pub command: Command,
    /// Its names: the full one first, last the one that ws1 answers with.
    pub names: &'static [&'static str],
    /// Another name that only ws2 knows.
    pub ws2_name: Option<&'static str>,
    /// What it needs; `None` is open to all.
    pub needs: Option<Needs>,
}

/// What events are answered with.
pub const EVENT: &str = "EVENT";

/// What it needs to send an event: the same as SEND of the link protocol.
pub const EVENT_NEEDS: Needs = needs(4, Some(Rights::SEND_EVENT));

/// All commands, with the privileges of the VSCP specification.
pub const COMMANDS: &[Entry] = &[
    entry(Command::Noop, &["NOOP"], None),
    entry(Command::Challenge, &["CHALLENGE"], None),
    entry(Command::Auth, &["AUTH"], None),
    entry(Command::Open, &["OPEN"], Some(needs(0, None))),
    entry(Command::Close, &["CLOSE"], None),
    entry(
        Command::SetFilter,
        &["SETFILTER", "SF"],
        Some(needs(6, Some(Rights::SETFILTER))),
    ),
    entry(Command::Clear, &["CLRQUEUE", "CLRQ"], Some(needs(1, None))),
    Entry {
        ws2_name: Some("VER"),
        ..entry(Command::Version, &["VERSION"], None)
    },
    entry(Command::Copyright, &["COPYRIGHT"], None),
];

const fn needs(privilege: u8, right: Option<Rights>) -> Needs {
    Needs { privilege, right }
}

const fn entry(command: Command, names: &'static [&'static str], needs: Option<Needs>) -> Entry {
    Entry {
        command,
        names,
        ws2_name: None,
        needs,
    }
}

impl Entry {
    /// The full name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// The name that ws1 answers with, whichever was used.
    #[must_use]
    pub fn short(&self) -> &'static str {
        self.names[self.names.len() - 1]
    }
}

/// The command of this name: the whole word, in either case.
#[must_use]
pub fn find(dialect: Dialect, word: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| {
        let more = entry.ws2_name.filter(|_| dialect == Dialect::Ws2);
        let mut names = entry.names.iter().copied().chain(more);
        names.any(|name| name.eq_ignore_ascii_case(word))
    })
}

//! The websocket protocols from the client's side: commands to messages, messages to the lines
//! that the link would have had (VSCP specification, "Websocket").

use thiserror::Error;
use vscpl2drv_link::config::key;
use vscpl2drv_link::error::with_causes;
use vscpl2drv_link::event::text::{self, Defaults, EventTextError, TextForm};
use vscpl2drv_link::event::{Filter, FilterError, FilterPair, Guid};
use vscpl2drv_link::os::{PRIVATELY, now};
use vscpl2drv_link::wire::ws::client::{self as requests, Said};
use vscpl2drv_link::wire::ws::{Dialect, Sid};
use zeroize::Zeroizing;

use crate::args::LoginArgs;
use crate::failure::{Failure, complain, printable};

/// Characters of somebody else's message that are shown.
const SHOWN: usize = 80;

/// The key of logins.
pub(crate) type Key = Zeroizing<[u8; 16]>;

/// Why something cannot be said, or was not understood, in a message.
#[derive(Debug, Error)]
pub(crate) enum MessageError {
    /// Another protocol, or none.
    #[error(
        "the server says {said:?}, which is nothing of {}: is it a VSCP server, and the path \
         the right one?", .dialect.name()
    )]
    Strange {
        /// What was to be spoken.
        dialect: Dialect,
        /// The beginning of the message.
        said: String,
    },
    /// The other dialect.
    #[error("the server speaks {} at this path, not {}", .0.name(), .1.name())]
    Dialect(Dialect, Dialect),
    /// A refusal where the session id was expected.
    #[error("the server refuses connections: {0}")]
    Unwelcome(String),
    /// An event that is none.
    #[error("it is no event")]
    Event(#[from] EventTextError),
    /// A filter that is none.
    #[error("it is no filter")]
    Filter(#[from] FilterError),
    /// A command that this program does not use.
    #[error("{0} cannot be said to a websocket")]
    Command(String),
}

/// The key that logins are encrypted with.
///
/// # Errors
/// Where there is none, or its file is not usable.
pub(crate) fn key(args: &LoginArgs) -> Result<Key, Failure> {
    let Some(path) = &args.key_file else {
        return Err(Failure::usage(
            "a websocket login is encrypted with the server's key: --key-file is needed, a file \
             that begins with the same 32 hexadecimal digits as the server's",
        ));
    };
    let found = key::load_login(path).map_err(|error| {
        let why = with_causes(&error);
        Failure::problem(format!(
            "the key file {} is not usable: {why}",
            path.display()
        ))
    })?;
    if let Some(others) = found.readable {
        complain(&format!(
            "others can read {} ({others}), and with it the password of a login that they see: \
             {PRIVATELY}",
            path.display()
        ));
    }
    Ok(found.bytes)
}

/// One connection's messages.
pub(crate) struct Messages {
    dialect: Dialect,
    key: Key,
    /// What the server told.
    sid: Sid,
    /// The name of a USER: it goes along with the password.
    user: String,
    /// What was asked for: the two halves are set one after the other.
    wanted: FilterPair,
    /// Events may come.
    open: bool,
}

impl Messages {
    /// `greeting` is the first message of the server: AUTH0.
    ///
    /// # Errors
    /// [`MessageError`] where it is something else.
    pub(crate) fn new(dialect: Dialect, key: Key, greeting: &str) -> Result<Self, MessageError> {
        let other = match dialect {
            Dialect::Ws1 => Dialect::Ws2,
            Dialect::Ws2 => Dialect::Ws1,
        };
        let read = |dialect| requests::read(dialect, greeting, &defaults(0));
        match (read(dialect), read(other)) {
            (Ok(Said::Auth0(sid)), _) => Ok(Self {
                dialect,
                key,
                sid,
                user: String::new(),
                wanted: FilterPair::default(),
                open: false,
            }),
            (Ok(Said::Refused { code, text, .. }), _) => {
                Err(MessageError::Unwelcome(refusal(code, &text)))
            }
            (_, Ok(Said::Auth0(_))) => Err(MessageError::Dialect(other, dialect)),
            _ => Err(strange(dialect, greeting)),
        }
    }

    /// The message of a command; `None` for USER, which needs its password.
    ///
    /// # Errors
    /// [`MessageError`].
    pub(crate) fn command(&mut self, words: &[&str]) -> Result<Option<String>, MessageError> {
        let dialect = self.dialect;
        Ok(Some(match words {
            ["USER", name] => {
                (*name).clone_into(&mut self.user);
                return Ok(None);
            }
            ["PASS", password] => {
                requests::auth(dialect, &self.key, &self.sid, &self.user, password)
            }
            ["SEND", event] => requests::event(dialect, &text::parse(event, &defaults(now()))?),
            ["SMSK", mask] => {
                self.wanted.mask = Filter::whole(mask)?;
                requests::set_filter(dialect, &self.wanted)
            }
            ["SFLT", filter] => {
                self.wanted.filter = Filter::whole(filter)?;
                requests::set_filter(dialect, &self.wanted)
            }
            ["RCVLOOP"] => {
                self.open = true;
                requests::open(dialect)
            }
            other => return Err(MessageError::Command(other.join(" "))),
        }))
    }

    /// The line that a message stands for. It is empty where there is nothing to say.
    ///
    /// # Errors
    /// [`MessageError::Strange`] where an answer must come and this is none.
    pub(crate) fn line(&self, message: &str) -> Result<String, MessageError> {
        match requests::read(self.dialect, message, &defaults(0)) {
            Ok(Said::Done { .. }) => Ok("+OK - Success.".to_owned()),
            Ok(Said::Refused { code, text, .. }) => Ok(refusal(code, &text)),
            // What waited since before the filter was set comes as well.
            Ok(Said::Event(event)) if self.wanted.passes(&event) => {
                let mut line = Vec::new();
                text::write(&event, TextForm::Nanos, &mut line);
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
            Ok(Said::Event(_) | Said::Auth0(_)) => Ok(String::new()),
            Err(_) if self.open => Ok(beginning(message)),
            Err(_) => Err(strange(self.dialect, message)),
        }
    }
}

/// What is zero is filled in later: by the server where it is sent, by the reader of the line where
/// it comes. A message always has a date.
fn defaults(now: u64) -> Defaults {
    Defaults {
        now,
        obid: 0,
        guid: Guid::ZERO,
    }
}

fn refusal(code: u32, text: &str) -> String {
    format!("-OK - {} (error {code})", printable(text))
}

fn strange(dialect: Dialect, message: &str) -> MessageError {
    MessageError::Strange {
        dialect,
        said: beginning(message),
    }
}

fn beginning(message: &str) -> String {
    message
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests;

//! What ends the program, and with which code.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use thiserror::Error;

pub(crate) use vscpl2drv_link::error::with_causes as chain;

use crate::client::ClientError;

/// Why a subcommand ended before its time.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// It was called in a way that cannot work.
    #[error("{0}")]
    Usage(String, #[source] Option<Box<dyn Error>>),
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file, a socket or the standard input.
    #[error("{0}")]
    Io(String, #[source] io::Error),
    /// The standard output.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    /// Something that is not as it has to be.
    #[error("{0}")]
    Problem(String),
    /// What was measured was lost or doubled; the report says so.
    #[error("events were lost or doubled")]
    Losses,
    /// Everything has been said already.
    #[error("there were problems")]
    Reported,
}

impl Failure {
    /// Something that is not as it has to be.
    pub(crate) fn problem(message: impl Into<String>) -> Self {
        Self::Problem(message.into())
    }

    /// A wrong call, without a cause.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into(), None)
    }

    /// A wrong call, and why.
    pub(crate) fn usage_because(message: impl Into<String>, cause: impl Error + 'static) -> Self {
        Self::Usage(message.into(), Some(Box::new(cause)))
    }

    /// Says it, and gives the exit code: 1 for problems, 2 for wrong usage, 3 for losses that were
    /// measured, 0 where the reader of our output has had enough.
    pub(crate) fn report(self) -> ExitCode {
        match &self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Reported => ExitCode::from(1),
            Self::Losses => ExitCode::from(3),
            Self::Usage(..) => {
                complain(&chain(&self));
                ExitCode::from(2)
            }
            _ => {
                complain(&chain(&self));
                ExitCode::from(1)
            }
        }
    }
}

/// What makes a terminal show the text behind it in another order.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How it went, behind what was printed of it. Who has read enough has it by the exit code.
pub(crate) fn verdict_behind(
    printed: io::Result<()>,
    verdict: Result<(), Failure>,
) -> Result<(), Failure> {
    match printed {
        Err(error) if verdict.is_ok() || error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(error))
        }
        _ => verdict,
    }
}

/// A message for people on stderr. One that cannot be written has nowhere else to go.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "vscp-link: {message}");
}

/// What somebody says without the password that was told to them: some say back what they do not
/// like.
pub(crate) fn without(text: &str, password: &str) -> String {
    match printable(password).as_str() {
        "" => text.to_owned(),
        password => text.replace(password, "…"),
    }
}

/// Text of somebody else's that is safe to show on a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_the_message() {
        let cause = io::Error::other("the cause");
        let failure = Failure::usage_because("the message", cause);
        assert_eq!(chain(&failure), "the message: the cause");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("blå\u{1b}[2J"), "blå\\u{1b}[2J");
    }
}

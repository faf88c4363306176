//! `vscp-link monitor`: events as they arrive.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use vscpl2drv_link::event::text::{self, Defaults};
use vscpl2drv_link::event::{Event, Filter, Guid};
use vscpl2drv_link::os::now;

use crate::args::MonitorArgs;
use crate::client::{Client, ClientError};
use crate::failure::{Failure, chain, complain, printable};
use crate::login::Login;
use crate::render::{self, Form};

/// A server in the receive loop says `+OK` every other second or so, and a websocket is asked:
/// longer silence is a dead peer.
const SILENCE: Duration = Duration::from_secs(30);
/// The first pause before a lost connection is made again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Prints events until there were enough, or the server refuses us.
pub(crate) fn run(args: &MonitorArgs) -> Result<(), Failure> {
    let login = Login::new(&args.login)?;
    let mut monitor = Monitor {
        form: form(args.json),
        left: args.count,
        filter: args.filter.as_ref().map(filter_text),
        mask: args.mask.as_ref().map(filter_text),
    };
    let mut client = login.open()?;
    loop {
        let lost = match monitor.watch(client) {
            Ok(()) => return Ok(()),
            Err(Failure::Client(error)) if !args.once && is_loss(&error) => error,
            Err(failure) => return Err(failure),
        };
        complain(&format!("{}; connecting again", chain(&lost)));
        client = reconnect(&login)?;
        complain(&format!("connected to {} again", login.address()));
    }
}

struct Monitor {
    form: Form,
    left: Option<u64>,
    filter: Option<String>,
    mask: Option<String>,
}

impl Monitor {
    /// Prints what comes on one connection. `Ok` when there was enough.
    fn watch(&mut self, mut client: Client) -> Result<(), Failure> {
        if let Some(mask) = &self.mask {
            client.demand("SMSK", &["SMSK", mask])?;
        }
        if let Some(filter) = &self.filter {
            client.demand("SFLT", &["SFLT", filter])?;
        }
        let reply = client.demand("RCVLOOP", &["RCVLOOP"])?;
        for line in reply.lines {
            self.line(&line)?;
        }
        while self.left != Some(0) {
            let line = client.next_line(SILENCE)?;
            self.line(&line)?;
        }
        client.quit();
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        if line.is_empty() || line.starts_with("+OK") || self.left == Some(0) {
            return Ok(());
        }
        if line.starts_with("-OK") {
            complain(&format!("the server says {}", printable(line)));
            return Ok(());
        }
        match read(line) {
            Ok(event) => {
                let text = render::line(&event, self.form);
                writeln!(io::stdout().lock(), "{text}").map_err(Failure::Output)?;
                self.left = self.left.map(|left| left - 1);
            }
            Err(error) => complain(&format!("a line is no event: {}", chain(&error))),
        }
        Ok(())
    }
}

fn read(line: &str) -> Result<Event, text::EventTextError> {
    let defaults = Defaults {
        now: now(),
        obid: 0,
        guid: Guid::ZERO,
    };
    text::parse(line, &defaults)
}

/// What may be better the next time.
fn is_loss(error: &ClientError) -> bool {
    match error {
        ClientError::Closed
        | ClientError::TooMany
        | ClientError::Silent(_)
        | ClientError::Io(_)
        | ClientError::Frame(_)
        | ClientError::Connect(..)
        | ClientError::Lookup(..)
        | ClientError::Unwelcome(_) => true,
        ClientError::Web(error) => error.is_passing(),
        ClientError::Login(_)
        | ClientError::Refused(..)
        | ClientError::TooLong(..)
        | ClientError::LineBreak => false,
    }
}

/// Tries until the server is there again; a login that is refused now stays refused.
fn reconnect(login: &Login) -> Result<Client, ClientError> {
    let mut pause = PAUSE_MIN;
    loop {
        thread::sleep(pause);
        match login.open() {
            Err(error) if is_loss(&error) => pause = (pause * 2).min(PAUSE_MAX),
            end => return end,
        }
    }
}

fn form(json: bool) -> Form {
    // See <https://no-color.org>.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if json {
        Form::Json
    } else if io::stdout().is_terminal() && !no_color && !dumb {
        Form::Coloured
    } else {
        Form::Plain
    }
}

/// All four fields: servers refuse a filter with fewer.
fn filter_text(filter: &Filter) -> String {
    format!(
        "{},{},{},{}",
        filter.priority, filter.class, filter.vscp_type, filter.guid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_sent_with_all_its_fields() {
        let filter: Filter = "0,0x0A".parse().unwrap();
        let text = filter_text(&filter);
        assert_eq!(
            text,
            "0,10,0,00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"
        );
        assert_eq!(Filter::whole(&text), Ok(filter));
    }
}

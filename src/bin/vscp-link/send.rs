//! `vscp-link send`: events to a server.

use std::io::{self, BufRead, Read, Write};

use vscpl2drv_link::event::Guid;
use vscpl2drv_link::event::text::{self, Defaults, EventTextError};

use crate::args::SendArgs;
use crate::client::Client;
use crate::failure::{Failure, chain, complain};
use crate::login::Login;

/// Bytes of a line on standard input.
const LINE_MAX: usize = 16 * 1024;

/// Sends the events of the command line, and of standard input in the place of each `-`.
pub(crate) fn run(args: &SendArgs) -> Result<(), Failure> {
    for event in args.events.iter().filter(|event| *event != "-") {
        check(event).map_err(|e| Failure::usage_because(format!("{event:?} is no event"), e))?;
    }
    let mut sender = Sender {
        client: Login::new(&args.login)?.open()?,
        all_taken: true,
    };
    for event in &args.events {
        if event == "-" {
            sender.lines(&mut io::stdin().lock())?;
        } else {
            sender.send(event)?;
        }
    }
    sender.client.quit();
    if sender.all_taken {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

/// What the server would say, in more words. Empty fields are the server's to fill in, so the
/// defaults here reach nobody.
fn check(event: &str) -> Result<(), EventTextError> {
    let defaults = Defaults {
        now: 0,
        obid: 0,
        guid: Guid::ZERO,
    };
    text::parse(event, &defaults).map(drop)
}

struct Sender {
    client: Client,
    all_taken: bool,
}

impl Sender {
    /// Each line an event. Empty lines and those that begin with `#` are passed over, bad ones
    /// are told and passed over.
    fn lines(&mut self, input: &mut impl BufRead) -> Result<(), Failure> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let most = LINE_MAX as u64 + 1;
            let count = input
                .take(most)
                .read_until(b'\n', &mut line)
                .map_err(|e| Failure::Io("standard input cannot be read".into(), e))?;
            if count == 0 {
                break;
            }
            if count > LINE_MAX {
                return Err(Failure::usage(format!(
                    "line {number} has more than {LINE_MAX} bytes"
                )));
            }
            let event = String::from_utf8_lossy(&line);
            let event = event.trim();
            if event.is_empty() || event.starts_with('#') {
                continue;
            }
            match check(event) {
                Ok(()) => self.send(event)?,
                Err(error) => {
                    complain(&format!("line {number} is no event: {}", chain(&error)));
                    self.all_taken = false;
                }
            }
        }
        Ok(())
    }

    /// Prints the answer.
    fn send(&mut self, event: &str) -> Result<(), Failure> {
        let reply = self.client.command(&["SEND", event.trim()])?;
        self.all_taken &= reply.ok;
        writeln!(io::stdout().lock(), "{}", reply.status).map_err(Failure::Output)
    }
}

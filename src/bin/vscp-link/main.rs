//! `vscp-link`: the driver for people.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what can be said on the command line |
//! | [`run`], [`check`], [`schema`], [`send`], [`monitor`], [`discover`], [`links`], [`status`], [`broker`] | the subcommands |
//! | [`bench`] | the load generator |
//! | [`user`] | the users file |
//! | [`hints`] | what to try once the driver runs |
//! | [`host`], [`daemon`] | the driver's host, and what it needs of a daemon's configuration |
//! | [`notify`] | what systemd is told |
//! | [`address`], [`login`] | where the server is, who logs in |
//! | [`stream`] | TCP or TLS, with a deadline |
//! | [`client`], [`lines`] | the link protocol from the client's side |
//! | [`frames`] | its binary mode |
//! | [`messages`] | the websocket protocols, as if they were the link's |
//! | [`websocket`], [`no_websocket`] | a websocket, and why there is none |
//! | [`render`] | an event as a line for people, or as JSON |
//! | `pages` | manual pages and completion, for `contrib` |
//! | [`table`] | rows with columns |
//! | [`failure`] | what ends the program, and with which code |

// A program's stdout and stderr are its own: these lints are for the library, whose host they
// belong to. Everything is printed with `writeln!`, so that a closed pipe is no panic.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

mod address;
mod args;
mod bench;
mod broker;
mod check;
mod client;
mod daemon;
mod discover;
mod failure;
mod hints;
mod host;
mod lines;
mod links;
mod login;
mod messages;
mod monitor;
mod no_websocket;
#[cfg(target_os = "linux")]
mod notify;
#[cfg(test)]
mod pages;
mod render;
mod run;
mod schema;
mod send;
mod status;
mod stream;
mod table;
mod user;
mod websocket;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads to its end is no trouble.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let end = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Discover(args) => discover::run(&args),
        Command::Links(args) => links::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Broker(args) => broker::run(&args),
        Command::Bench { command } => bench::run(&command),
        Command::User { command } => user::run(&command),
    };
    end.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

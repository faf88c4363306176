//! What can be said on the command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vscpl2drv_link::event::Filter;
use vscpl2drv_link::wire::discovery;

use crate::address::{Address, Broker, Page};
use crate::bench;
use crate::bench::args::BenchCommand;

/// Run and check the VSCP link driver, send and watch VSCP events
#[derive(Parser)]
#[command(
    name = "vscp-link",
    version,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  vscp-link run
  vscp-link check /etc/vscp/vscpd.json
  vscp-link monitor --user admin
  vscp-link send --user admin 0,20,3,,,,-,0,1,35
  vscp-link discover
  vscp-link links --broker localhost
  vscp-link status

`vscp-link <COMMAND> --help` tells more about each command.
Exit codes: 0 all went well, 1 there were problems, 2 wrong usage; bench has one more."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    Check(CheckArgs),
    Schema(SchemaArgs),
    Send(SendArgs),
    Monitor(MonitorArgs),
    Discover(DiscoverArgs),
    Links(LinksArgs),
    Status(StatusArgs),
    Broker(BrokerArgs),
    /// Measure how fast a server is, and what it loses
    #[command(after_help = bench::args::HELP)]
    Bench {
        #[command(subcommand)]
        command: Box<BenchCommand>,
    },
    /// List, add, change and remove the users of a users file
    #[command(after_help = USER_HELP)]
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
}

const USER_HELP: &str = "\
Everything else in the file stays as it is, its mode and its owner too. A driver that runs
notices the change by itself. A new file is for its owner alone; where root makes it, the
group vscp, which the daemon runs as, may read it.

Examples:
  A new user, who may send and receive events; the password is asked for:
    vscp-link user add /etc/vscp/users.json anna
  One who may do everything:
    vscp-link user rights /etc/vscp/users.json anna admin
  Another password, from a file:
    vscp-link user passwd /etc/vscp/users.json anna --password-file new.txt";

/// What to do with a users file.
#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Print the users, one a line
    List {
        /// The users file
        file: PathBuf,
    },
    /// Add a user; a file that is not there is made
    Add {
        /// The users file
        file: PathBuf,
        /// The name to log in with
        name: String,
        /// What the user may do, names with commas between them
        #[arg(long, default_value = "user")]
        rights: String,
        #[command(flatten)]
        password: NewPasswordArgs,
    },
    /// Give a user another password
    Passwd {
        /// The users file
        file: PathBuf,
        /// Whose
        name: String,
        #[command(flatten)]
        password: NewPasswordArgs,
    },
    /// Give a user other rights
    Rights {
        /// The users file
        file: PathBuf,
        /// Whose
        name: String,
        /// Names with commas between them: admin, user, send-events, receive-events ...
        rights: String,
    },
    /// Remove a user
    Remove {
        /// The users file
        file: PathBuf,
        /// Whom
        name: String,
    },
}

/// Where a new password is.
#[derive(Args)]
pub(crate) struct NewPasswordArgs {
    /// A file with the password in its first line; without it the variable
    /// VSCP_LINK_PASSWORD is looked at, and on a terminal you are asked
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) password_file: Option<PathBuf>,
}

/// Run the driver without a daemon
#[derive(Args)]
#[command(after_help = "\
Without FILE it runs a demonstration: the driver on 127.0.0.1, a broker of its own on
loopback, and the users admin and user with the password secret. It needs no file and no
root. Clients publish to the topics that they subscribe to, so that they see each other.

With FILE it does what a daemon does with the enabled level2 entries of its configuration
that have this driver as their path-driver. A driver for which no broker is configured
gets one on loopback, for as long as this runs.

Examples:
  The demonstration:
    vscp-link run
  What the daemon would run:
    vscp-link run /etc/vscp/vscpd.json")]
pub(crate) struct RunArgs {
    /// The daemon's configuration file
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The driver's library, where it is not the one that was built or installed
    #[arg(long, value_name = "PATH")]
    pub(crate) library: Option<PathBuf>,
    /// The port of the demonstration
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 9598,
        conflicts_with = "file"
    )]
    pub(crate) port: u16,
}

/// Check configuration files, and change nothing
#[derive(Args)]
#[command(after_help = "\
FILE is a driver's configuration, a users file or a daemon's configuration; files that
are named in it are checked as well. Every problem is printed with its place:

  /etc/vscp/link.json:4:16: error: interface: ...

The exit code is 1 when there are errors. With warnings alone the driver starts, and it
is 0.

Example:
    vscp-link check /etc/vscp/vscpd.json")]
pub(crate) struct CheckArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// Print the JSON schema of a configuration file
#[derive(Args)]
#[command(after_help = "\
Editors that know it offer keys and values, tell what they mean, and mark what is wrong.
It is also in contrib/schema, and installed in /usr/share/vscpl2drv-link/schema. A file
names its schema in a line of its own:

  \"$schema\": \"file:///usr/share/vscpl2drv-link/schema/driver.schema.json\",

vscp-link check finds more: what depends on other keys and other files.

Example:
    vscp-link schema driver > driver.schema.json")]
pub(crate) struct SchemaArgs {
    /// Of which file
    #[arg(value_name = "FILE")]
    pub(crate) of: SchemaOf,
}

/// The files that have one.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    /// The driver's own file
    Driver,
    /// The users file
    Users,
}

/// Send events to a VSCP link server
#[derive(Args)]
#[command(after_help = "\
An event is written head,class,type,obid,datetime,timestamp,GUID,data...
  head       priority in bits 7 to 5: 0 is the highest, 224 the lowest
  class,type which event: 20,3 is CLASS1.INFORMATION, ON
  obid, datetime, timestamp   may be empty: the server fills them in
  GUID       who sends; - stands for the GUID of the connection
  data       up to 512 bytes, separated by commas
Numbers are decimal, or hexadecimal after 0x.

The server's answer to each event is printed. The exit code is 0 when all of them
were taken, 1 when one was not, or the server could not be reached, and 2 when an
EVENT cannot be read; then nothing is sent.

Examples:
  A lamp in zone 1, subzone 35 is on:
    vscp-link send --user admin 0,20,3,,,,-,0,1,35
  Sensor 2 measures 69.46 degrees Celsius:
    vscp-link send --user admin 0,10,6,,,,-,0x8A,0x82,0x1B,0x22
  The lines of a file, to a server elsewhere; empty ones and # comments are passed over:
    vscp-link send --host 192.168.1.7 --user admin - < events.txt
  By websocket:
    vscp-link send --host ws1://localhost --key-file vscp.key --user admin 0,20,3,,,,-")]
pub(crate) struct SendArgs {
    /// The events; `-` reads them from standard input, one a line
    #[arg(required = true, value_name = "EVENT")]
    pub(crate) events: Vec<String>,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// Print events as they arrive at a VSCP link server
#[derive(Args)]
#[command(after_help = "\
A line shows time (UTC), priority, class, type, GUID and data, and the value of a
measurement. On a terminal it is coloured, unless NO_COLOR is set. With --json it
is one JSON object:

  {\"time\":\"2001-11-02T18:00:01Z\",\"priority\":0,\"class\":10,\"type\":6,
   \"class_token\":\"CLASS1.MEASUREMENT\",\"type_token\":\"VSCP_TYPE_MEASUREMENT_TEMPERATURE\",
   \"obid\":0,\"guid\":\"FF:...:01\",\"data\":[138,130,27,34],
   \"measurement\":{\"value\":69.46,\"unit\":1,\"symbol\":\"\u{b0}C\",\"sensorindex\":2,
                  \"zone\":null,\"subzone\":null}}

When the connection is lost it is made again, after a pause that grows from 1 to 30
seconds; a server that cannot be reached at the start ends the program. Ctrl-C ends
it at any time.

Examples:
  Everything:
    vscp-link monitor --user admin
  Only class 10, measurements:
    vscp-link monitor --user admin --filter 0,10 --mask 0,0xFFFF
  The values of the next ten events, with jq:
    vscp-link monitor --user admin --json --count 10 | jq .measurement.value
  By websocket, with TLS:
    vscp-link monitor --host wss2://example.org --key-file vscp.key --user admin")]
pub(crate) struct MonitorArgs {
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// End after N events
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// What events must be: PRIORITY,CLASS,TYPE,GUID; the rest may be left out
    #[arg(long, value_name = "FILTER", requires = "mask")]
    pub(crate) filter: Option<Filter>,
    /// Which bits of that count, written alike; 0 lets everything pass
    #[arg(long, value_name = "MASK")]
    pub(crate) mask: Option<Filter>,
    /// End, with exit code 1, when the connection is lost
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// Find the VSCP servers on the local network
#[derive(Args)]
#[command(after_help = "\
It asks by broadcast and in the multicast group, on every network that this machine has,
which servers there are (CLASS1.PROTOCOL, high end server probe), and lists the services
that answer. Servers answer if they are told to: with this driver it is the section
\"discovery\" of its configuration. What is beyond a router has to be asked by name.

The exit code is 1 when nobody answers.

Examples:
  Everybody who is near:
    vscp-link discover
  And somebody who is not:
    vscp-link discover --timeout 5 vscp.example.org")]
pub(crate) struct DiscoverArgs {
    /// Who is asked as well, by a name or an IPv4 address
    #[arg(value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// Seconds to wait for answers
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) timeout: u64,
    /// The multicast group
    #[arg(long, value_name = "ADDRESS", default_value_t = discovery::GROUP, value_parser = group)]
    pub(crate) group: Ipv4Addr,
    /// The port that servers are asked at
    #[arg(long, value_name = "PORT", default_value_t = discovery::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// The address of this machine to ask from; without it from all that there are
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) interface: Option<Ipv4Addr>,
}

fn group(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(group) if group.is_multicast() => Ok(group),
        _ => Err("an address from 224.0.0.0 to 239.255.255.255 was expected".to_owned()),
    }
}

/// Show how the links of running drivers are
#[derive(Args)]
#[command(after_help = "\
A driver publishes its status as a document that the broker keeps, where its
configuration has a topic for it (mqtt.status.topic). This shows the links in it.

waiting, sent, received, dropped are events: those that wait for the far end, that it
took, that came from there, and that had no room.

Examples:
  The drivers whose status topic is vscp/GUID/status:
    vscp-link links
  One driver, by a broker elsewhere that speaks TLS:
    vscp-link links --broker mqtts://broker.example --user me --topic home/link/status")]
pub(crate) struct LinksArgs {
    /// Where the broker is; mqtts://HOST[:PORT] for TLS
    #[arg(
        long,
        short,
        value_name = "HOST[:PORT]",
        default_value = "localhost:1883"
    )]
    pub(crate) broker: Broker,
    /// The topic of the status document; + and # stand for any
    #[arg(long, short, value_name = "TOPIC", default_value = "vscp/+/status")]
    pub(crate) topic: String,
    /// Who logs in at the broker
    #[arg(long, short)]
    pub(crate) user: Option<String>,
    /// Their password; other users of this machine can see it here
    #[arg(long, conflicts_with = "password_file", requires = "user")]
    pub(crate) password: Option<String>,
    /// A file with the password in its first line; without it the variable
    /// VSCP_LINK_PASSWORD is looked at, and on a terminal you are asked
    #[arg(long, value_name = "FILE", requires = "user", verbatim_doc_comment)]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Seconds to wait for the broker
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// Show how a running driver is
#[derive(Args)]
#[command(after_help = "\
A driver shows its status where its configuration says so (status.interface). On a
terminal the table is new each second, until Ctrl-C; else it is printed once.

FROM and TO are events: from clients and to them, to a broker or the host and from
there. The last line has the events that went no further.

Examples:
  The driver on this machine:
    vscp-link status
  Events that wait for brokers, with jq:
    vscp-link status --json | jq '.uplinks[] | {name, waiting}'")]
pub(crate) struct StatusArgs {
    /// Where it is shown; http:// may stand before it
    #[arg(value_name = "HOST[:PORT]", default_value = "localhost:9599")]
    pub(crate) address: Page,
    /// Print the table once, on a terminal too
    #[arg(long)]
    pub(crate) once: bool,
    /// Print the status document, JSON on one line, once
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// Run a small MQTT broker, to try things out
#[derive(Args)]
#[command(after_help = "\
It speaks MQTT 3.1.1 with QoS 0 and 1 (QoS 2 is accepted from publishers), keeps
retained messages in memory, and asks nobody for a password. It is for trying things
out on one machine, and no replacement for a real broker.

Example:
    vscp-link broker &
    mosquitto_sub -v -t 'vscp/#'")]
pub(crate) struct BrokerArgs {
    /// Where to listen; port 0 lets the system choose one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1883")]
    pub(crate) listen: SocketAddr,
    /// End when standard input does, for scripts
    #[arg(long)]
    pub(crate) until_eof: bool,
}

/// Where the server is, and who logs in.
#[derive(Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct LoginArgs {
    /// Where the server is; an IPv6 address in brackets; stcp://HOST[:PORT] for TLS. For a
    /// websocket ws1:// or ws2://HOST[:PORT][/PATH] (port 8884, path /ws1 or /ws2), with
    /// TLS wss1:// or wss2://; ws://HOST/ws1 is ws1 too
    #[arg(
        long,
        short = 'H',
        value_name = "HOST[:PORT]",
        default_value = "127.0.0.1:9598",
        verbatim_doc_comment
    )]
    pub(crate) host: Address,
    /// Who logs in
    #[arg(long, short, env = "VSCP_LINK_USER")]
    pub(crate) user: String,
    /// Their password; other users of this machine can see it here
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) password: Option<String>,
    /// A file with the password in its first line; without it the variable
    /// VSCP_LINK_PASSWORD is looked at, and on a terminal you are asked
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// A file with the server's key: hexadecimal, for you alone to read. Websocket logins
    /// need it (the first 32 digits); with a link it asks for the binary mode
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) key_file: Option<PathBuf>,
    /// The cipher of the binary mode
    #[arg(long, default_value = "aes256", value_parser = ["aes128", "aes192", "aes256"], requires = "key_file")]
    pub(crate) cipher: String,
    /// Seconds to wait for the connection, and for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// Whom TLS trusts, and who this side is.
#[derive(Args)]
pub(crate) struct TlsArgs {
    /// With TLS: who vouches for the server (PEM); without it those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// With TLS: this client's certificate and key, in one file (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// With TLS: trust whoever answers
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_a_terminal() {
        fn check(command: &mut clap::Command) {
            let name = command.get_name().to_owned();
            for line in command.render_long_help().to_string().lines() {
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
            for below in command.get_subcommands_mut() {
                check(below);
            }
        }
        let mut root = Cli::command();
        root.build();
        check(&mut root);
    }
}

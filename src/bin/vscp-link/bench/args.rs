//! What can be said to `vscp-link bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use vscpl2drv_link::wire::payload::WriteFormat;

use crate::address::Broker;
use crate::args::LoginArgs;

pub(crate) const HELP: &str = "\
Events of class 510, laboratory use, go as fast as they can or at a rate, each with a
number in its data, and what comes out is counted: how many a second, how long it took,
what was lost, doubled or out of order. `vscp-link bench <COMMAND> --help` tells more.

Measure on a system of its own: whoever else listens gets all of it.

A run ends by itself: after --count events, or after --seconds. Ctrl-C ends it sooner, with
the report of what there has been, and a second one at once.

Exit codes: 0 nothing was lost or doubled, 1 the run could not be finished (nobody there, a
login or an event refused, a connection lost), 2 wrong usage, 3 events were lost or doubled,
or idle clients were put out.

A row of the report is a way. EXPECTED are the events that were taken, once for each
receiver; LOST of them did not come, DOUBLED came once more, LATE came after younger ones,
STALE are so old that nobody knows whether they had come, UNACCEPTED came though they were
refused or not answered. Times are in microseconds: from writing to the answer (ANSWERS), and
from writing to the arrival.

--json prints one object:
  bench, server, broker      what was measured, and where; broker may be null
  ended                      count, seconds, interrupted or trouble
  trouble                    why it could not be finished, or null
  paths[]                    one for each way that events took:
    from, to                 client or broker; to is null where nobody counts
    sent, accepted, refused, unanswered, send_seconds, accepted_per_second
    behind_us                the longest that an event was sent too late, or was due unsent; null
                             without a rate
    answer_us                times of answers: count, min, p50, p90, p99, p999, max; or null
    receivers, expected, received, lost, doubled, out_of_order, stale, unaccepted, foreign
    under_way                may still have come when Ctrl-C ended it
    receive_seconds, received_per_second
    latency_us               as answer_us
  clients                    of bench idle: wanted, open, closed; else null
  process                    pid, rss_before, rss_after (bytes), rss_per_client, cpu_percent (of
                             one core, while events came or clients were idle); null without --pid

Examples:
  How many events a second a server takes:
    vscp-link bench send --user admin --count 1000000
  And how many of them a subscriber of the broker gets:
    vscp-link bench send --user admin --broker localhost --subscribe 'vscp/#'
  How long 5000 events a second take from one client to another:
    vscp-link bench latency --user admin --rate 5000 --seconds 10";

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    Send(SendBench),
    Receive(ReceiveBench),
    Fanout(FanoutBench),
    Latency(LatencyBench),
    Idle(IdleBench),
}

/// One client sends as fast as it can
#[derive(Args)]
#[command(after_help = "\
SEND is pipelined: up to --window of them are under way unanswered. A server that refuses
events because its buffers are full is left alone for a moment and then tried again, with
other events; refused ones are not lost.

With --broker and --subscribe a subscriber there counts what arrives, in whatever form.

Examples:
  A million events as fast as they go:
    vscp-link bench send --user admin --count 1000000
  One after the other, as programs do that wait for each answer:
    vscp-link bench send --user admin --window 1
  On to the broker, 10000 a second for a minute, with the memory of the server:
    vscp-link bench send --user admin --rate 10000 --seconds 60 --pid $(pidof vscpd) \\
      --broker localhost --subscribe 'vscp/#' --json")]
pub(crate) struct SendBench {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Events under way unanswered
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) window: u32,
    /// What the server publishes under, to count what arrives there; + and # stand for any
    #[arg(long, value_name = "TOPIC", requires = "broker")]
    pub(crate) subscribe: Option<String>,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// A client in the receive loop gets what is published
#[derive(Args)]
#[command(after_help = "\
With --broker the events are published there, under the topic --publish, which the server
has to subscribe to; without it another client sends them.

Examples:
  From a broker to a client:
    vscp-link bench receive --user admin --broker localhost --publish vscp/in
  From a client to another one, by way of the server alone or whatever it does:
    vscp-link bench receive --user admin --count 100000")]
pub(crate) struct ReceiveBench {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) common: ReceiverArgs,
    /// Clients in the receive loop
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) clients: u32,
}

/// Many clients in the receive loop get what one sends
#[derive(Args)]
#[command(after_help = "\
Rates and losses are those of all clients together. With --broker the events are published
there, under the topic --publish; without it another client sends them.

Examples:
  From one client to ten others:
    vscp-link bench fanout --user admin
  From the broker to a thousand, 100 events a second:
    vscp-link bench fanout --user admin --clients 1000 --rate 100 --seconds 10 \\
      --broker localhost --publish vscp/in")]
pub(crate) struct FanoutBench {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) common: ReceiverArgs,
    /// Clients in the receive loop
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) clients: u32,
}

/// How long events take, one after the other
#[derive(Args)]
#[command(after_help = "\
From a client's SEND to another client in the receive loop and, with --broker, to a
subscriber of --subscribe; then from a publisher under --publish to the client. Times are
from the moment that an event is written: an event that is sent too late, because this
machine or the window is full, shows as behind (behind_us), not as slow.

Examples:
  5000 events a second between two clients:
    vscp-link bench latency --user admin --rate 5000 --seconds 10
  Only to the broker, and from there:
    vscp-link bench latency --user admin --broker localhost --subscribe 'vscp/out/#' \\
      --publish vscp/in --path client-broker,broker-client")]
pub(crate) struct LatencyBench {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Which ways are measured; without it all that the topics allow
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub(crate) path: Vec<PathArg>,
    /// What the server publishes under
    #[arg(long, value_name = "TOPIC", requires = "broker")]
    pub(crate) subscribe: Option<String>,
    #[command(flatten)]
    pub(crate) common: ReceiverArgs,
}

/// Many clients log in and stay
#[derive(Args)]
#[command(after_help = "\
Memory is that of --pid before the first client came and at the end, its part of a core that
of the time between. Clients that the server puts out meanwhile are counted as closed.

Example:
    vscp-link bench idle --user admin --clients 10000 --seconds 30 --pid $(pidof vscpd)")]
pub(crate) struct IdleBench {
    /// Clients
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) clients: u32,
    /// Seconds that all of them stay
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// In the receive loop, where the server has a word for each of them every other second
    #[arg(long)]
    pub(crate) rcvloop: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// What `receive`, `fanout` and `latency` share.
#[derive(Args)]
pub(crate) struct ReceiverArgs {
    /// What the server subscribes to, for the events to come from there
    #[arg(long, value_name = "TOPIC", requires = "broker")]
    pub(crate) publish: Option<String>,
    /// The form of what is published
    #[arg(long, default_value = "json")]
    pub(crate) format: FormatArg,
    /// Events under way unanswered, of a client or with --qos 1
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) window: u32,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// How much there is.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Events that have to be taken; without it and --seconds 100000
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,
    /// Events a second; without it as fast as they go (latency: 1000)
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// No event is sent after so many seconds; without it 60
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: Option<u64>,
    /// What has not come when nothing new has come for so many seconds is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) drain: u64,
    /// Class and type of the events
    #[arg(long, value_name = "CLASS,TYPE", default_value = "510,0", value_parser = event)]
    pub(crate) event: (u16, u16),
}

/// Where the broker is, and who logs in there.
#[derive(Args)]
#[command(next_help_heading = "Broker")]
pub(crate) struct BrokerArgs {
    /// The MQTT broker that the server uses; mqtts://HOST[:PORT] for TLS
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) broker: Option<Broker>,
    /// QoS of the subscription, and of what is published
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) qos: u8,
    /// Who logs in at the broker
    #[arg(long, value_name = "USER", requires = "broker")]
    pub(crate) broker_user: Option<String>,
    /// Their password; other users of this machine can see it here
    #[arg(
        long,
        value_name = "PASSWORD",
        conflicts_with = "broker_password_file",
        requires = "broker_user"
    )]
    pub(crate) broker_password: Option<String>,
    /// A file with the password in its first line; without it the variable
    /// VSCP_LINK_BROKER_PASSWORD is looked at, and on a terminal you are asked
    #[arg(
        long,
        value_name = "FILE",
        requires = "broker_user",
        verbatim_doc_comment
    )]
    pub(crate) broker_password_file: Option<PathBuf>,
}

/// What is told, and how.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// The process whose memory and part of a core are told
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Print JSON, one object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The form of what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Json,
    String,
}

impl FormatArg {
    pub(super) fn format(self) -> WriteFormat {
        match self {
            Self::Json => WriteFormat::Json,
            Self::String => WriteFormat::Text,
        }
    }
}

/// A way that events take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PathArg {
    ClientClient,
    ClientBroker,
    BrokerClient,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.001 to 1000000000 was expected".to_owned()),
    }
}

fn event(text: &str) -> Result<(u16, u16), String> {
    let numbers = text.split_once(',');
    let numbers = numbers.and_then(|(class, kind)| Some((class.parse().ok()?, kind.parse().ok()?)));
    numbers.ok_or_else(|| "two numbers up to 65535 were expected, as in 510,0".to_owned())
}

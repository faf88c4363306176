//! `vscp-link bench`: a load generator for any link server and any MQTT broker.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what can be said |
//! | [`plans`] | what is to be done, and where |
//! | [`run`] | one run: receivers, a source, and the wait for what is under way |
//! | [`idle`] | clients that do nothing |
//! | [`source`], [`pump`] | who sends or publishes, in batches |
//! | [`receiver`] | who counts what comes |
//! | [`flow`], [`tracker`], [`ring`] | what is lost, doubled or out of order |
//! | [`stamps`] | when events were sent, and how long they took |
//! | [`pace`] | so many events a second |
//! | [`mark`], [`template`] | run and number in the data of an event, read and written |
//! | [`replies`], [`input`] | answers, lines and packets in bytes |
//! | [`ground`], [`wire`], [`mqtt`] | connections to the server and the broker |
//! | [`process`] | what a process takes |
//! | [`progress`], [`report`], [`text`] | what is shown |
//!
//! All connections live in one thread: the other cores are the server's.

use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::failure::{Failure, chain, verdict_behind};

use args::{BenchCommand, ReportArgs};
use ground::Ground;
use plans::Work;
use process::Usage;
use progress::Progress;
use report::{Process, Report};

pub(crate) mod args;
mod flow;
mod ground;
mod idle;
mod input;
mod mark;
mod mqtt;
mod pace;
mod plans;
mod process;
mod progress;
mod pump;
mod receiver;
mod replies;
mod report;
mod ring;
mod run;
mod source;
mod stamps;
mod template;
mod text;
mod tracker;
mod wire;

/// How often the runtime looks for bytes while there are tasks to run.
const LOOK_EVERY: u32 = 8;

/// Measures, prints the report, and fails where something was lost or doubled.
pub(crate) fn run(command: &BenchCommand) -> Result<(), Failure> {
    let bench = Bench::new(command)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(LOOK_EVERY)
        .build()
        .map_err(|e| Failure::Io("the measurement cannot be started".into(), e))?;
    let report = LocalSet::new().block_on(&runtime, bench.run());
    // A name that is still being looked up is waited for by nobody.
    runtime.shutdown_background();
    let (report, failure) = report?;
    let text = match bench.report.json {
        true => {
            let json = serde_json::to_string(&report);
            json.map_err(|e| Failure::problem(format!("the report cannot be printed: {e}")))? + "\n"
        }
        false => report.text(),
    };
    let printed = io::stdout().lock().write_all(text.as_bytes());
    let verdict = match failure {
        Some(failure) => Err(failure),
        None if report.is_good() => Ok(()),
        None => Err(Failure::Losses),
    };
    verdict_behind(printed, verdict)
}

/// Everything that was said.
struct Bench<'a> {
    name: &'static str,
    ground: Rc<Ground>,
    work: Work,
    report: &'a ReportArgs,
}

impl<'a> Bench<'a> {
    fn new(command: &'a BenchCommand) -> Result<Self, Failure> {
        let (name, login, broker, report) = match command {
            BenchCommand::Send(args) => ("send", &args.login, Some(&args.broker), &args.report),
            BenchCommand::Receive(args) => {
                let args = &args.common;
                ("receive", &args.login, Some(&args.broker), &args.report)
            }
            BenchCommand::Fanout(args) => {
                let args = &args.common;
                ("fanout", &args.login, Some(&args.broker), &args.report)
            }
            BenchCommand::Latency(args) => {
                let args = &args.common;
                ("latency", &args.login, Some(&args.broker), &args.report)
            }
            BenchCommand::Idle(args) => ("idle", &args.login, None, &args.report),
        };
        let work = plans::work(command, Duration::from_secs(login.timeout))?;
        if let Some(pid) = report.pid {
            Usage::of(pid)?;
        }
        let ground = plans::ground(login, broker)?;
        Ok(Self {
            name,
            ground: Rc::new(ground),
            work,
            report,
        })
    }

    /// The report, and why it is not what was wanted.
    async fn run(&self) -> Result<(Report, Option<Failure>), Failure> {
        let pid = self.report.pid;
        let first = pid.map(Usage::of).transpose()?;
        let mut progress = Progress::new();
        let mut report = Report {
            bench: self.name,
            server: self.ground.server.address.to_string(),
            broker: self
                .ground
                .broker
                .as_ref()
                .map(|broker| broker.place.address.to_string()),
            ended: "count",
            trouble: None,
            paths: Vec::new(),
            clients: None,
            process: None,
        };
        let mut trouble = None;
        let mut times = Vec::new();
        match &self.work {
            Work::Runs(plans) => {
                for plan in plans {
                    let outcome = run::run(&self.ground, plan, &mut progress, pid).await;
                    let outcome = match outcome.inspect_err(|_| progress.clear()) {
                        Ok(outcome) => outcome,
                        Err(error) if report.paths.is_empty() => return Err(error.into()),
                        // What was found before is told.
                        Err(error) => {
                            report.ended = "trouble";
                            trouble = Some(error);
                            break;
                        }
                    };
                    report.paths.extend(outcome.paths);
                    times.extend(outcome.usage);
                    report.ended = outcome.ended;
                    trouble = outcome.trouble;
                    if !matches!(report.ended, "count" | "seconds") {
                        break;
                    }
                }
            }
            Work::Idle {
                clients,
                rcvloop,
                duration,
            } => {
                let ground = &self.ground;
                let outcome =
                    idle::run(ground, *clients, *rcvloop, *duration, pid, &mut progress).await;
                report.clients = Some(outcome.clients);
                report.ended = outcome.ended;
                trouble = outcome.trouble;
                times.extend(outcome.usage);
            }
        }
        report.process = first
            .zip(times.last())
            .zip(pid)
            .map(|((first, (_, after)), pid)| {
                let open = report.clients.map(|clients| u64::from(clients.open.max(1)));
                Process {
                    pid,
                    rss_before: first.resident,
                    rss_after: after.resident,
                    rss_per_client: open
                        .map(|open| after.resident.saturating_sub(first.resident) / open),
                    cpu_percent: (Usage::share(&times) * 10.0).round() / 10.0,
                }
            });
        report.trouble = trouble.as_ref().map(|error| chain(error));
        Ok((report, trouble.map(Failure::from)))
    }
}

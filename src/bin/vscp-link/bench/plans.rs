//! What is said on the command line, as plans.

use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{
    BenchCommand, BrokerArgs, FanoutBench, LatencyBench, LoadArgs, PathArg, ReceiveBench,
};
use super::ground::Ground;
use super::mqtt::Broker;
use super::run::Plan;
use super::source::Limits;
use super::wire::Place;
use crate::args::LoginArgs;
use crate::failure::Failure;
use crate::host;
use crate::login::{self, Login};

/// Events where nothing else is said.
const COUNT: u32 = 100_000;
/// Seconds where nothing else is said.
const SECONDS: u64 = 60;
/// Events a second of `latency` where nothing else is said.
const RATE: f64 = 1000.0;
/// Bytes of a topic (MQTT 3.1.1, section 1.5.3).
const TOPIC_MAX: usize = 65_535;

/// What is to be done.
pub(super) enum Work {
    Runs(Vec<Plan>),
    Idle {
        clients: u32,
        rcvloop: bool,
        duration: Duration,
    },
}

/// Where everything is.
///
/// # Errors
/// Where it cannot be measured, a name is unknown or a password cannot be had.
pub(super) fn ground(login: &LoginArgs, broker: Option<&BrokerArgs>) -> Result<Ground, Failure> {
    if login.host.web.is_some() || login.key_file.is_some() {
        return Err(Failure::usage(
            "bench speaks the link in lines, with TLS or without: no websocket and no --key-file",
        ));
    }
    let timeout = Duration::from_secs(login.timeout);
    let there = broker.and_then(|broker| Some((broker, &broker.broker.as_ref()?.0)));
    let secure = login.host.secure || there.is_some_and(|(_, address)| address.secure);
    let login = Login::with(login, secure)?;
    let broker = match there {
        None => None,
        Some((args, address)) => Some(Rc::new(Broker {
            login: match &args.broker_user {
                None => None,
                Some(user) => {
                    let said = args.broker_password.as_deref();
                    let file = args.broker_password_file.as_deref();
                    Some((user.clone(), login::broker_password(user, said, file)?))
                }
            },
            place: Place::new(address, login.tls(), timeout)?,
            qos: args.qos,
        })),
    };
    let server = Place::new(login.address(), login.tls(), timeout)?;
    // Nobody is asked any more, who would want to end the program there.
    host::keep_end_signals();
    host::raise_descriptors();
    let interrupt = CancellationToken::new();
    let heard = interrupt.clone();
    thread::spawn(move || {
        host::wait_for_end();
        heard.cancel();
        // Who presses it twice does not want to wait for a report.
        host::let_end_signals_through();
        loop {
            thread::park();
        }
    });
    Ok(Ground {
        server,
        login,
        broker,
        interrupt,
    })
}

/// What is to be done.
///
/// # Errors
/// Where something is missing.
pub(super) fn work(command: &BenchCommand, patience: Duration) -> Result<Work, Failure> {
    let plan = |load: &LoadArgs, window: u32, rate: Option<f64>| Plan {
        publish: None,
        clients: 0,
        subscribe: None,
        event: load.event,
        limits: Limits {
            rate,
            window,
            count: match (load.count, load.seconds) {
                (None, None) => Some(COUNT),
                (count, _) => count,
            },
            duration: Duration::from_secs(load.seconds.unwrap_or(SECONDS)),
            patience,
        },
        drain: Duration::from_secs(load.drain),
    };
    let plans = match command {
        BenchCommand::Send(args) => {
            if args.broker.broker.is_some() && args.subscribe.is_none() {
                return Err(Failure::usage("with --broker --subscribe is needed"));
            }
            vec![Plan {
                subscribe: args.subscribe.clone(),
                ..plan(&args.load, args.window, args.load.rate)
            }]
        }
        BenchCommand::Receive(ReceiveBench {
            load,
            common,
            clients,
        })
        | BenchCommand::Fanout(FanoutBench {
            load,
            common,
            clients,
        }) => {
            if common.broker.broker.is_some() && common.publish.is_none() {
                return Err(Failure::usage("with --broker --publish is needed"));
            }
            let topic = common.publish.clone();
            vec![Plan {
                publish: topic.map(|topic| (topic, common.format.format())),
                clients: *clients as usize,
                ..plan(load, common.window, load.rate)
            }]
        }
        BenchCommand::Latency(args) => latency(args, plan)?,
        BenchCommand::Idle(args) => {
            return Ok(Work::Idle {
                clients: args.clients,
                rcvloop: args.rcvloop,
                duration: Duration::from_secs(args.seconds),
            });
        }
    };
    for plan in &plans {
        let publish = plan.publish.as_ref().map(|(topic, _)| topic);
        let topics = publish.into_iter().chain(&plan.subscribe);
        if topics.map(String::len).any(|length| length > TOPIC_MAX) {
            return Err(Failure::usage("a topic has at most 65535 bytes"));
        }
    }
    for topic in plans.iter().filter_map(|plan| plan.publish.as_ref()) {
        if topic.0.is_empty() || topic.0.contains(['+', '#', '\0']) {
            return Err(Failure::usage("--publish needs a topic without + and #"));
        }
    }
    Ok(Work::Runs(plans))
}

/// From a client, and then from the broker.
fn latency(
    args: &LatencyBench,
    plan: impl Fn(&LoadArgs, u32, Option<f64>) -> Plan,
) -> Result<Vec<Plan>, Failure> {
    let has = |path: PathArg| args.path.is_empty() || args.path.contains(&path);
    let needs = |path: PathArg, topic: &Option<String>, option: &str| match topic {
        None if args.path.contains(&path) => Err(Failure::usage(format!(
            "this path needs --broker and {option}"
        ))),
        topic => Ok(topic.clone().filter(|_| has(path))),
    };
    let common = &args.common;
    let subscribe = needs(PathArg::ClientBroker, &args.subscribe, "--subscribe")?;
    let publish = needs(PathArg::BrokerClient, &common.publish, "--publish")?;
    if common.broker.broker.is_some() && args.subscribe.is_none() && common.publish.is_none() {
        return Err(Failure::usage(
            "with --broker --subscribe or --publish is needed",
        ));
    }
    let each = || {
        plan(
            &args.load,
            common.window,
            Some(args.load.rate.unwrap_or(RATE)),
        )
    };
    let mut plans = Vec::new();
    let clients = usize::from(has(PathArg::ClientClient));
    if clients > 0 || subscribe.is_some() {
        plans.push(Plan {
            clients,
            subscribe,
            ..each()
        });
    }
    if let Some(topic) = publish {
        plans.push(Plan {
            publish: Some((topic, common.format.format())),
            clients: 1,
            ..each()
        });
    }
    Ok(plans)
}

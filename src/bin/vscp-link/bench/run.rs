//! One run: receivers are made ready, events go, and what has not come after a while is lost.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vscpl2drv_link::wire::payload::WriteFormat;

use super::flow::{End, Flow};
use super::ground::Ground;
use super::process::Usage;
use super::progress::{Progress, Step};
use super::receiver;
use super::report::Path;
use super::source::{Counts, Limits, Source};
use super::stamps::Stamps;
use super::wire::BenchError;

/// How often it is looked whether everything has come.
const LOOK: Duration = Duration::from_millis(20);
/// How long after the last one there may be one too many.
const GRACE: Duration = Duration::from_millis(200);
/// How long somebody who has pressed Ctrl-C waits for what is under way.
const HURRY: Duration = Duration::from_secs(1);

/// Where events come from and go to.
pub(super) struct Plan {
    /// What is published and how; a client sends without.
    pub(super) publish: Option<(String, WriteFormat)>,
    /// Clients in the receive loop.
    pub(super) clients: usize,
    /// What somebody subscribes to.
    pub(super) subscribe: Option<String>,
    pub(super) event: (u16, u16),
    pub(super) limits: Limits,
    /// How long nothing may come before what is missing is lost.
    pub(super) drain: Duration,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) paths: Vec<Path>,
    pub(super) ended: &'static str,
    pub(super) trouble: Option<BenchError>,
    /// The process before the first event, and when the last one had come.
    pub(super) usage: Option<(Usage, Usage)>,
}

impl Outcome {
    /// Nothing, since somebody did not want to wait for the beginning.
    fn interrupted() -> Self {
        Self {
            paths: Vec::new(),
            ended: "interrupted",
            trouble: None,
            usage: None,
        }
    }
}

/// Runs a plan, and looks at a process meanwhile.
///
/// # Errors
/// Where it cannot begin. What goes wrong later is in the outcome.
pub(super) async fn run(
    ground: &Rc<Ground>,
    plan: &Plan,
    progress: &mut Progress,
    pid: Option<u32>,
) -> Result<Outcome, BenchError> {
    let mut random = [0; 4];
    // Where there is no randomness the time is as good: two runs only must not be the same.
    if getrandom::fill(&mut random).is_err() {
        random = (vscpl2drv_link::os::now() as u32).to_ne_bytes();
    }
    let run = u32::from_ne_bytes(random);
    let stamps = Rc::new(RefCell::new(Stamps::new()));
    let stop = CancellationToken::new();
    let mut receivers = JoinSet::new();
    let made = make(ground, plan, run, &stamps, &stop, &mut receivers, progress);
    let Some(made) = ground.interrupt.run_until_cancelled(made).await else {
        progress.clear();
        return Ok(Outcome::interrupted());
    };
    let (flows, source) = made?;
    let (from, answered) = (source.from().name(), source.is_answered());
    let counts = Rc::new(Counts::default());
    let before = Usage::look(pid);
    let mut watch = Watch {
        plan,
        pid,
        flows: &flows,
        counts: &counts,
        start: Instant::now(),
        progress,
    };
    watch.progress.begin();
    let trouble = {
        let work = source.run(plan.limits, &counts, &stamps, &flows, &ground.interrupt);
        tokio::pin!(work);
        loop {
            tokio::select! {
                end = &mut work => break end.err(),
                // None of them ends before it is told to, but by trouble.
                Some(ended) = receivers.join_next() => break finished(ended).err(),
                () = sleep(LOOK) => watch.show(answered),
            }
        }
    };
    for flow in &flows {
        flow.disown(&(counts.answered()..counts.sent.get()));
    }
    let mut after = None;
    let drained = watch
        .drain(&mut receivers, &ground.interrupt, &mut after)
        .await;
    watch.progress.clear();
    stop.cancel();
    while receivers.join_next().await.is_some() {}
    let trouble = trouble.or_else(|| drained.err());
    let ended = match () {
        () if ground.interrupt.is_cancelled() => "interrupted",
        () if trouble.is_some() => "trouble",
        () if plan
            .limits
            .count
            .is_some_and(|count| counts.accepted.get() >= u64::from(count)) =>
        {
            "count"
        }
        () => "seconds",
    };
    let paced = plan.limits.rate.is_some();
    let paths = match flows.is_empty() {
        true => vec![Path::new(from, &counts, paced, None)],
        false => flows
            .iter()
            .map(|flow| Path::new(from, &counts, paced, Some(flow)))
            .collect(),
    };
    Ok(Outcome {
        paths,
        ended,
        trouble,
        usage: before.zip(after),
    })
}

/// The connections of a run: those who count, and the source.
async fn make(
    ground: &Rc<Ground>,
    plan: &Plan,
    run: u32,
    stamps: &Rc<RefCell<Stamps>>,
    stop: &CancellationToken,
    receivers: &mut JoinSet<Result<(), BenchError>>,
    progress: &mut Progress,
) -> Result<(Vec<Rc<Flow>>, Source), BenchError> {
    let mut flows = Vec::new();
    if let Some(topic) = &plan.subscribe {
        let broker = ground.broker();
        let flow = Rc::new(Flow::new(End::Broker, 1, run, stamps));
        let session = broker.subscribe(&format!("{run:08x}-in"), topic).await?;
        receivers.spawn_local(receiver::subscriber(
            session,
            Rc::clone(broker),
            Rc::clone(&flow),
            stop.clone(),
        ));
        flows.push(flow);
    }
    if plan.clients > 0 {
        let flow = Rc::new(Flow::new(End::Client, plan.clients, run, stamps));
        let mut links = Vec::new();
        ground
            .links(plan.clients, |link, _| links.push(link), progress)
            .await?;
        for (number, mut link) in links.into_iter().enumerate() {
            link.demand("RCVLOOP").await?;
            receivers.spawn_local(receiver::client(
                link,
                Rc::clone(&flow),
                number,
                stop.clone(),
            ));
        }
        flows.push(flow);
    }
    let source = ground.source(plan, run).await?;
    Ok((flows, source))
}

/// A receiver that has come to its end.
fn finished(ended: Result<Result<(), BenchError>, JoinError>) -> Result<(), BenchError> {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Nobody cancels them.
        Err(_) => Ok(()),
    })
}

/// What is looked at while events go.
struct Watch<'a> {
    plan: &'a Plan,
    pid: Option<u32>,
    flows: &'a [Rc<Flow>],
    counts: &'a Counts,
    start: Instant,
    progress: &'a mut Progress,
}

impl Watch<'_> {
    fn show(&mut self, answered: bool) {
        let of = self.plan.limits.count.map(u64::from);
        let time = self.start.elapsed().as_secs_f64();
        self.progress.show(Step {
            what: if answered { "accepted" } else { "published" },
            done: self.counts.accepted.get(),
            of,
            time: time / self.plan.limits.duration.as_secs_f64(),
        });
    }

    /// Waits for what is under way, as long as something comes, or somebody has the time. `usage` is
    /// the process when the last event had come, and all receivers were still there.
    async fn drain(
        &mut self,
        receivers: &mut JoinSet<Result<(), BenchError>>,
        interrupt: &CancellationToken,
        usage: &mut Option<Usage>,
    ) -> Result<(), BenchError> {
        let begin = Instant::now();
        let (accepted, drain) = (self.counts.accepted.get(), self.plan.drain);
        let expected = |flow: &Rc<Flow>| accepted * flow.receivers as u64;
        let expected = self.flows.iter().map(expected).sum();
        let (mut came, mut hurry) = (None, None);
        loop {
            let done = self.flows.iter().map(|flow| flow.distinct()).sum();
            if came != Some(done) {
                came = Some(done);
                *usage = Usage::look(self.pid).or(*usage);
            }
            let now = Instant::now();
            let lasts = self.flows.iter().filter_map(|flow| flow.last());
            let last = lasts.fold(begin, Instant::max);
            let end = match self.flows.iter().all(|flow| flow.is_complete(accepted)) {
                // Where nobody counts there is nothing to wait for.
                true if self.flows.is_empty() => return Ok(()),
                true => last + GRACE,
                false => last + drain,
            };
            if now >= end {
                return Ok(());
            }
            if interrupt.is_cancelled() && now >= *hurry.get_or_insert(now + HURRY) {
                let answered = self.counts.answered();
                let leave = |flow: &Rc<Flow>| flow.leave(answered, now, drain);
                self.flows.iter().for_each(leave);
                return Ok(());
            }
            self.progress.show(Step {
                what: "arrived",
                done,
                of: Some(expected),
                time: 0.0,
            });
            tokio::select! {
                Some(ended) = receivers.join_next() => finished(ended)?,
                () = sleep(LOOK) => {}
            }
        }
    }
}

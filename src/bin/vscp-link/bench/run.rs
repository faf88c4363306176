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
use super::progress::{Progress, Step};
use super::receiver;
use super::report::Path;
use super::source::{Counts, Limits};
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
}

/// Runs a plan. `ready` is called when everything is connected, before the first event.
///
/// # Errors
/// Where it cannot begin. What goes wrong later is in the outcome.
pub(super) async fn run(
    ground: &Rc<Ground>,
    plan: &Plan,
    progress: &mut Progress,
    ready: impl FnOnce(),
) -> Result<Outcome, BenchError> {
    let mut random = [0; 4];
    // Where there is no randomness the time is as good: two runs only must not be the same.
    if getrandom::fill(&mut random).is_err() {
        random = (vscpl2drv_link::os::now() as u32).to_ne_bytes();
    }
    let run = u32::from_ne_bytes(random);
    let most = u64::from(plan.limits.count.unwrap_or(u32::MAX));
    let stamps = Rc::new(RefCell::new(Stamps::new(most)));
    let stop = CancellationToken::new();
    let mut receivers = JoinSet::new();
    let mut flows = Vec::new();
    if let Some(topic) = &plan.subscribe {
        let broker = ground.broker();
        let flow = Rc::new(Flow::new(End::Broker, 1, run, most, &stamps));
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
        let flow = Rc::new(Flow::new(End::Client, plan.clients, run, most, &stamps));
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
    let (from, answered) = (source.from().name(), source.is_answered());
    let counts = Rc::new(Counts::default());
    ready();
    let mut watch = Watch {
        plan,
        flows: &flows,
        counts: &counts,
        start: Instant::now(),
        progress,
    };
    watch.progress.begin();
    let trouble = {
        let work = source.run(plan.limits, &counts, &stamps, &ground.interrupt);
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
    let mut outcome = Outcome {
        paths: Vec::new(),
        ended,
        trouble,
    };
    if let Err(error) = watch.drain(&mut receivers, &ground.interrupt).await {
        outcome.trouble = outcome.trouble.or(Some(error));
        outcome.ended = "trouble";
    }
    watch.progress.clear();
    stop.cancel();
    while receivers.join_next().await.is_some() {}
    let paced = plan.limits.rate.is_some();
    outcome.paths = match flows.is_empty() {
        true => vec![Path::new(from, &counts, paced, None)],
        false => flows
            .iter()
            .map(|flow| Path::new(from, &counts, paced, Some(flow)))
            .collect(),
    };
    Ok(outcome)
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

    /// Waits for what is under way, as long as something comes.
    async fn drain(
        &mut self,
        receivers: &mut JoinSet<Result<(), BenchError>>,
        interrupt: &CancellationToken,
    ) -> Result<(), BenchError> {
        let begin = Instant::now();
        let accepted = self.counts.accepted.get();
        loop {
            let lasts = self.flows.iter().filter_map(|flow| flow.last());
            let last = lasts.fold(begin, Instant::max);
            let complete = self.flows.iter().all(|flow| flow.is_complete(accepted));
            let patience = match interrupt.is_cancelled() {
                true => self.plan.drain.min(HURRY),
                false => self.plan.drain,
            };
            // Where nobody counts there is nothing to wait for.
            let end = match complete {
                true if self.flows.is_empty() => return Ok(()),
                true => last + GRACE.min(patience),
                false => last + patience,
            };
            if Instant::now() >= end {
                return Ok(());
            }
            self.progress.show(Step {
                what: "arrived",
                done: self.flows.iter().map(|flow| flow.distinct()).sum(),
                of: Some(
                    self.flows
                        .iter()
                        .map(|flow| accepted * flow.receivers as u64)
                        .sum(),
                ),
                time: 0.0,
            });
            tokio::select! {
                Some(ended) = receivers.join_next() => finished(ended)?,
                () = sleep(LOOK) => {}
            }
        }
    }
}

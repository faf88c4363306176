//! What a run has found, for people and as JSON.

use serde::Serialize;

use super::flow::{Fate, Flow};
use super::source::Counts;
use super::stamps::Latency;

/// A whole run. The names of the members are documented: they stay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    pub(super) server: String,
    pub(super) broker: Option<String>,
    pub(super) ended: &'static str,
    pub(super) trouble: Option<String>,
    pub(super) paths: Vec<Path>,
    pub(super) clients: Option<Clients>,
    pub(super) process: Option<Process>,
}

/// One way that events took.
#[derive(Debug, Serialize)]
pub(super) struct Path {
    pub(super) from: &'static str,
    pub(super) to: Option<&'static str>,
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) unanswered: u64,
    pub(super) send_seconds: f64,
    pub(super) accepted_per_second: f64,
    pub(super) behind_us: Option<f64>,
    pub(super) answer_us: Option<Times>,
    pub(super) receivers: usize,
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) out_of_order: u64,
    pub(super) stale: u64,
    pub(super) unaccepted: u64,
    pub(super) under_way: u64,
    pub(super) foreign: u64,
    pub(super) receive_seconds: f64,
    pub(super) received_per_second: f64,
    pub(super) latency_us: Option<Times>,
    #[serde(skip)]
    pub(super) is_good: bool,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

/// Clients that do nothing.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Clients {
    pub(super) wanted: u32,
    pub(super) open: u32,
    pub(super) closed: u32,
}

/// What a process takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) rss_before: u64,
    pub(super) rss_after: u64,
    pub(super) rss_per_client: Option<u64>,
    pub(super) cpu_percent: f64,
}

impl Times {
    fn of(latency: &Latency) -> Option<Self> {
        (latency.count() > 0).then(|| Self {
            count: latency.count(),
            min: latency.min(),
            p50: latency.percentile(50.0),
            p90: latency.percentile(90.0),
            p99: latency.percentile(99.0),
            p999: latency.percentile(99.9),
            max: latency.max(),
        })
    }
}

impl Path {
    /// What a source has done and, where somebody counts, what came of it.
    pub(super) fn new(
        from: &'static str,
        counts: &Counts,
        paced: bool,
        flow: Option<&Flow>,
    ) -> Self {
        let accepted = counts.accepted.get();
        let since_first = |end: Option<tokio::time::Instant>| {
            let first = counts.first.get();
            let time = first
                .zip(end)
                .map(|(first, end)| end.saturating_duration_since(first));
            time.unwrap_or_default().as_secs_f64()
        };
        let send_seconds = since_first(counts.last.get());
        let receive_seconds = since_first(flow.and_then(Flow::last));
        let fate = flow.map_or_else(Fate::default, |flow| flow.fate(accepted));
        Self {
            from,
            to: flow.map(|flow| flow.to.name()),
            sent: counts.sent.get(),
            accepted,
            refused: counts.refused.get(),
            unanswered: counts.under_way(),
            send_seconds: rounded(send_seconds, 1e6),
            accepted_per_second: rate(accepted, send_seconds),
            behind_us: paced.then(|| rounded(counts.behind.get().as_secs_f64() * 1e6, 10.0)),
            answer_us: Times::of(&counts.answers.borrow()),
            receivers: flow.map_or(0, |flow| flow.receivers),
            expected: fate.expected,
            received: fate.received,
            lost: fate.lost,
            doubled: fate.totals.doubled,
            out_of_order: fate.totals.out_of_order,
            stale: fate.totals.stale,
            unaccepted: fate.totals.unaccepted,
            under_way: fate.under_way,
            foreign: fate.foreign,
            receive_seconds: rounded(receive_seconds, 1e6),
            received_per_second: rate(fate.totals.distinct, receive_seconds),
            latency_us: flow.and_then(|flow| Times::of(&flow.latency())),
            is_good: fate.is_good(),
        }
    }
}

fn rate(count: u64, seconds: f64) -> f64 {
    // Less than a microsecond is no time to measure a rate in.
    rounded(count as f64 / seconds.max(1e-6), 10.0)
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

impl Report {
    /// True where nothing was lost or doubled, and nobody was put out.
    pub(super) fn is_good(&self) -> bool {
        self.paths.iter().all(|path| path.is_good)
            && self.clients.is_none_or(|clients| clients.closed == 0)
    }
}

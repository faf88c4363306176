//! A report for people.

use super::report::{Path, Process, Report, Times};
use crate::table;

impl Times {
    fn row(self) -> [String; 7] {
        let Self {
            count,
            min,
            p50,
            p90,
            p99,
            p999,
            max,
        } = self;
        let [a, b, c, d, e, f] = [min, p50, p90, p99, p999, max].map(|time| format!("{time:.1}"));
        [count.to_string(), a, b, c, d, e, f]
    }
}

impl Path {
    fn name(&self) -> String {
        match self.to {
            None => format!("{} to the server", self.from),
            Some(to) => format!("{} to {to}", self.from),
        }
    }
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut parts = Vec::new();
        if !self.paths.is_empty() {
            parts.push(self.sources());
            parts.push(self.sinks());
            parts.push(self.times());
        }
        if let Some(clients) = self.clients {
            parts.push(format!(
                "{} of {} clients, {} of them put out\n",
                clients.open, clients.wanted, clients.closed
            ));
        }
        if let Some(process) = self.process {
            parts.push(process.text());
        }
        if self.ended != "count" && !self.paths.is_empty() {
            let under_way: u64 = self.paths.iter().map(|path| path.under_way).sum();
            parts.push(match self.ended {
                "seconds" => "ended as its time was over\n".to_owned(),
                "interrupted" if under_way > 0 => {
                    format!("ended by Ctrl-C, with {under_way} events still under way\n")
                }
                "interrupted" => "ended by Ctrl-C\n".to_owned(),
                other => format!("ended by {other}\n"),
            });
        }
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }

    fn sources(&self) -> String {
        let titles = ["FROM", "ACCEPTED", "/s", "REFUSED", "UNANSWERED", "SECONDS"];
        let mut rows = vec![titles.map(str::to_owned)];
        for path in &self.paths {
            let row = [
                path.from.to_owned(),
                path.accepted.to_string(),
                format!("{:.0}", path.accepted_per_second),
                path.refused.to_string(),
                path.unanswered.to_string(),
                format!("{:.3}", path.send_seconds),
            ];
            // Two ways from one source are one source.
            if rows.last() != Some(&row) {
                rows.push(row);
            }
        }
        table::render(&rows)
    }

    fn sinks(&self) -> String {
        let titles = [
            "WAY",
            "EXPECTED",
            "RECEIVED",
            "/s",
            "LOST",
            "DOUBLED",
            "LATE",
            "STALE",
            "UNACCEPTED",
        ];
        let mut rows = vec![titles.map(str::to_owned)];
        for path in self.paths.iter().filter(|path| path.to.is_some()) {
            rows.push([
                path.name(),
                path.expected.to_string(),
                path.received.to_string(),
                format!("{:.0}", path.received_per_second),
                path.lost.to_string(),
                path.doubled.to_string(),
                path.out_of_order.to_string(),
                path.stale.to_string(),
                path.unaccepted.to_string(),
            ]);
        }
        if rows.len() == 1 {
            return String::new();
        }
        table::render(&rows)
    }

    fn times(&self) -> String {
        let titles = [
            "MICROSECONDS",
            "COUNT",
            "MIN",
            "P50",
            "P90",
            "P99",
            "P99.9",
            "MAX",
        ];
        let mut rows = vec![titles.map(str::to_owned)];
        let mut add = |name: String, times: Option<Times>| {
            let Some(times) = times else { return };
            let [a, b, c, d, e, f, g] = times.row();
            let row = [name, a, b, c, d, e, f, g];
            if !rows.contains(&row) {
                rows.push(row);
            }
        };
        for path in &self.paths {
            add(format!("answers to {}", path.from), path.answer_us);
            add(path.name(), path.latency_us);
        }
        if rows.len() == 1 {
            return String::new();
        }
        let mut text = table::render(&rows);
        let behind = self.paths.iter().filter_map(|path| path.behind_us);
        if let Some(behind) = behind.reduce(f64::max) {
            text.push_str(&format!("sent too late by {behind:.1} at most\n"));
        }
        text
    }
}

impl Process {
    fn text(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1024 * 1024);
        let each = self.rss_per_client.map_or_else(String::new, |bytes| {
            format!(", {:.1} KiB for each client", bytes as f64 / 1024.0)
        });
        format!(
            "process {}: {:.1} MiB before, {:.1} MiB after{each}, {:.1} % of a core\n",
            self.pid,
            mib(self.rss_before),
            mib(self.rss_after),
            self.cpu_percent
        )
    }
}

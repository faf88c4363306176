//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use crate::hub::{BOUNDS, Latency};

/// What the format is called over HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family of samples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Only grows, but for a new start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A text that is being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// Samples of one name.
#[derive(Debug)]
pub(super) struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
}

/// Names and values of labels.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    /// Begins another family; names are not written twice.
    pub(super) fn family(&mut self, name: &'static str, sort: Sort, help: &str) -> Family<'_> {
        let sort = match sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
            Sort::Histogram => "histogram",
        };
        let out = &mut self.0;
        out.push_str("# HELP ");
        out.push_str(name);
        out.push(' ');
        escape(help, false, out);
        put(out, format_args!("\n# TYPE {name} {sort}\n"));
        Family { out, name }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One sample.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// The samples of a histogram, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, latency: &Latency) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|nanos| seconds(*nanos).to_string());
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, more) in bounds.zip(latency.buckets) {
            count += more;
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_sum", labels, None, seconds(latency.nanos));
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let out = &mut *self.out;
        out.push_str(self.name);
        out.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            out.push(before);
            out.push_str(name);
            out.push_str("=\"");
            escape(value, true, out);
            out.push('"');
            before = ',';
        }
        if before == ',' {
            out.push('}');
        }
        put(out, format_args!(" {value}\n"));
    }
}

#[allow(clippy::cast_precision_loss)] // of 52 bits, some days
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

/// A value of a label, or a help.
fn escape(text: &str, quotes: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Histogram, Tally};

    #[test]
    fn every_family_has_its_head() {
        let mut text = Text::default();
        text.family("a_total", Sort::Counter, "What \"a\" is.\\\nMore.")
            .sample(&[], 1)
            .sample(&[("x", "y")], u64::MAX);
        text.family("b", Sort::Gauge, "None.");
        text.family("c", Sort::Gauge, "Half.").sample(&[], 0.5);
        assert_eq!(
            text.into_string(),
            "# HELP a_total What \"a\" is.\\\\\\nMore.\n# TYPE a_total counter\na_total 1\n\
             a_total{x=\"y\"} 18446744073709551615\n\
             # HELP b None.\n# TYPE b gauge\n\
             # HELP c Half.\n# TYPE c gauge\nc 0.5\n"
        );
    }

    #[test]
    fn values_of_labels_are_escaped() {
        let mut text = Text::default();
        let labels = [("one", "a\\b\"c\nd"), ("two", "grün,{}=\t")];
        text.family("a", Sort::Gauge, "A.").sample(&labels, 1);
        let line = "a{one=\"a\\\\b\\\"c\\nd\",two=\"grün,{}=\t\"} 1\n";
        assert!(text.into_string().ends_with(line));
    }

    #[test]
    fn a_histogram_counts_up() {
        let (histogram, mut tally) = (Histogram::default(), Tally::default());
        for nanos in [1_000, 60_000, 60_000, 20_000_000_000] {
            tally.add(nanos);
        }
        histogram.add(&tally);
        let mut text = Text::default();
        text.family("l_seconds", Sort::Histogram, "L.")
            .histogram(&[("k", "v")], &histogram.snapshot());
        let text = text.into_string();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), BOUNDS.len() + 3);
        assert_eq!(lines[0], "l_seconds_bucket{k=\"v\",le=\"0.00005\"} 1");
        assert_eq!(lines[1], "l_seconds_bucket{k=\"v\",le=\"0.0001\"} 3");
        assert_eq!(lines[16], "l_seconds_bucket{k=\"v\",le=\"10\"} 3");
        assert_eq!(lines[17], "l_seconds_bucket{k=\"v\",le=\"+Inf\"} 4");
        assert_eq!(lines[18], "l_seconds_sum{k=\"v\"} 20.000121");
        assert_eq!(lines[19], "l_seconds_count{k=\"v\"} 4");
    }
}

//! JSON with places: every value knows its key path, line and column.
//!
//! Parsing is serde_json's, one level at a time: a value is kept as the piece of the source that
//! it is, and where that piece lies in the source is its place.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ask::Ask;
use super::report::{Place, Report};

/// What is wrong with a string that is one for JSON alone: nothing else in it can be.
const HALF: &str = "half of a character, as \\ud800 is one, stands for nothing";

/// A value somewhere in a source.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    raw: &'a str,
    source: &'a str,
    path: String,
}

impl<'a> Node<'a> {
    /// The whole of a source; `None` where it is not JSON, which is then reported.
    pub(super) fn root(source: &'a str, report: &mut Report) -> Option<Self> {
        let text = source.strip_prefix('\u{feff}').unwrap_or(source);
        let raw: Result<&RawValue, _> = serde_json::from_str(text);
        match raw {
            Ok(raw) => Some(Self {
                raw: raw.get(),
                source,
                path: String::new(),
            }),
            Err(error) => {
                let place = Place {
                    line: error.line(),
                    column: error.column(),
                };
                let line = text
                    .lines()
                    .nth(place.line.saturating_sub(1))
                    .unwrap_or_default();
                // serde_json's own words end with the place, which stands before them already.
                let words = error.to_string();
                let words = words
                    .split(" at line ")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let hint = if line.contains("//") || line.contains("/*") {
                    " (JSON has no comments)"
                } else {
                    ""
                };
                report.error_at(place, "", format!("not valid JSON: {words}{hint}"));
                None
            }
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where it stands in the source, in bytes.
    pub(super) fn span(&self) -> Range<usize> {
        let start = (self.raw.as_ptr() as usize).saturating_sub(self.source.as_ptr() as usize);
        start..start + self.raw.len()
    }

    pub(super) fn place(&self) -> Place {
        let before = self.source.get(..self.span().start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[line_start..]
                .trim_start_matches('\u{feff}')
                .chars()
                .count()
                + 1,
        }
    }

    /// What kind of value it is, for messages. Never the value: it may be a secret.
    fn kind(&self) -> &'static str {
        match self.raw.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    pub(super) fn wrong(&self, report: &mut Report, expected: &str) {
        report.ask(&self.path, || Ask::Wrong);
        report.error(
            self,
            format!("{expected} was expected, {} was found", self.kind()),
        );
    }

    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    /// A truth; 0 and 1 are as good as false and true.
    pub(super) fn flag(&self, report: &mut Report) -> Option<bool> {
        if self.is_number() {
            return self.number(0, 1, report).map(|number| number == 1);
        }
        self.truth(report)
    }

    /// Nothing, or nothing in it.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.raw.trim(), "null" | "\"\"")
    }

    pub(super) fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    pub(super) fn is_list(&self) -> bool {
        self.raw.starts_with('[')
    }

    pub(super) fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    pub(super) fn is_minus_one(&self) -> bool {
        self.raw == "-1"
    }

    pub(super) fn is_number(&self) -> bool {
        self.raw
            .starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }

    pub(super) fn text(&self, report: &mut Report) -> Option<String> {
        report.ask(&self.path, || Ask::Text);
        if !self.is_string() {
            self.wrong(report, "a string");
            return None;
        }
        let text = serde_json::from_str(self.raw).ok();
        if text.is_none() {
            report.error(self, HALF);
        }
        text
    }

    pub(super) fn truth(&self, report: &mut Report) -> Option<bool> {
        report.ask(&self.path, || Ask::Truth);
        match self.raw {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.wrong(report, "true or false");
                None
            }
        }
    }

    /// A whole number within bounds, written as a number in any way that JSON has for it.
    pub(super) fn number(&self, least: u64, most: u64, report: &mut Report) -> Option<u64> {
        if !self.is_number() {
            self.wrong(report, "a number");
            return None;
        }
        report.ask(&self.path, || Ask::Number(least, most));
        match self.raw.parse::<u64>().or_else(|_| whole(self.raw)) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let text = format!("a whole number from {least} to {most} was expected");
                report.error(self, format!("{text}, {:.30} was found", self.raw));
                None
            }
        }
    }

    /// The members of an object whose keys are anybody's, with their names; those that come twice,
    /// twice.
    pub(super) fn members(&self, report: &mut Report) -> Option<Vec<(String, Self)>> {
        report.ask(&self.path, || Ask::Members);
        self.fields(report)
    }

    /// The members of an object whose keys are told to the report elsewhere.
    pub(super) fn fields(&self, report: &mut Report) -> Option<Vec<(String, Self)>> {
        if !self.is_object() {
            self.wrong(report, "an object");
            return None;
        }
        let mut json = serde_json::Deserializer::from_str(self.raw);
        let Ok(members) = json.deserialize_map(Members) else {
            report.error(self, format!("one of its keys: {HALF}"));
            return None;
        };
        let node = |(name, raw): (String, &'a str)| {
            let path = if self.path.is_empty() {
                name.clone()
            } else {
                format!("{}.{name}", self.path)
            };
            (
                name,
                Self {
                    raw,
                    source: self.source,
                    path,
                },
            )
        };
        Some(members.into_iter().map(node).collect())
    }

    /// The values of a list.
    pub(super) fn list(&self, report: &mut Report) -> Option<Vec<Self>> {
        report.ask(&self.path, || Ask::List);
        let parsed = self.is_list().then(|| {
            let mut json = serde_json::Deserializer::from_str(self.raw);
            json.deserialize_seq(Values).ok()
        });
        let Some(Some(values)) = parsed else {
            self.wrong(report, "a list");
            return None;
        };
        let node = |(at, raw)| Self {
            raw,
            source: self.source,
            path: format!("{}[{at}]", self.path),
        };
        Some(values.into_iter().enumerate().map(node).collect())
    }

    /// The values of a list of so many, or fewer; more are an error that `of` says what of.
    pub(super) fn list_of_at_most(
        &self,
        most: usize,
        of: &str,
        report: &mut Report,
    ) -> Option<Vec<Self>> {
        let list = self.list(report)?;
        report.ask(&self.path, || Ask::AtMost(most));
        if list.len() > most {
            report.error(self, format!("there are more than {most} {of}"));
        }
        Some(list)
    }

    /// A string, or a list of strings: the strings.
    pub(super) fn texts(&self, report: &mut Report) -> Option<Vec<String>> {
        if self.is_string() {
            return Some(vec![self.text(report)?]);
        }
        if !self.is_list() {
            self.wrong(report, "a string or a list of strings");
            return None;
        }
        self.list(report)?
            .iter()
            .map(|node| node.text(report))
            .collect()
    }
}

/// A whole number that is written with a point or an exponent.
fn whole(text: &str) -> Result<u64, ()> {
    /// Up to here each whole number is one.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..=MOST).contains(&number) => Ok(number as u64),
        _ => Err(()),
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<Cow<'_, str>, &RawValue>()? {
            members.push((name.into_owned(), value.get()));
        }
        Ok(members)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element::<&RawValue>()? {
            values.push(value.get());
        }
        Ok(values)
    }
}

//! What is wrong with a file, and where.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ask::Ask;
use super::node::Node;

/// A line and a column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The driver does not start with it.
    Error,
    /// The driver starts, and this is not what somebody wanted.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` where it is about the file as a whole.
    pub place: Option<Place>,
    /// How bad it is.
    pub severity: Severity,
    /// `mqtt.subscribe[0].qos`; empty for the file as a whole.
    pub key: String,
    /// What was expected, and what was found.
    pub message: String,
}

/// `file:line:column: error: key: message`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        f.write_str(match self.severity {
            Severity::Error => " error: ",
            Severity::Warning => " warning: ",
        })?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a file, and with the files that it names.
#[derive(Clone, Debug, Default)]
pub struct Report {
    file: PathBuf,
    problems: Vec<Problem>,
    keys: BTreeSet<String>,
    secrets: Vec<PathBuf>,
    /// What was asked of which value; only while a schema is made.
    asked: Option<Vec<(String, Ask)>>,
}

impl Report {
    /// Problems that are kept; a file that has more has other troubles.
    const MOST: usize = 1000;

    /// A report about a file, with nothing in it yet.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    /// A report that keeps what was asked of each value.
    pub(super) fn asking() -> Self {
        Self {
            asked: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// What was asked of the value with this path.
    pub(super) fn asked_of(self, path: &str) -> impl Iterator<Item = Ask> {
        let asked = self.asked.unwrap_or_default().into_iter();
        asked.filter_map(move |(of, ask)| (of == path).then_some(ask))
    }

    /// Keeps a question, where questions are kept.
    pub(super) fn ask(&mut self, path: &str, ask: impl FnOnce() -> Ask) {
        if let Some(asked) = &mut self.asked {
            asked.push((path.to_owned(), ask()));
        }
    }

    /// The reader takes these words, in any case.
    pub(super) fn words<'w>(&mut self, node: &Node<'_>, words: impl IntoIterator<Item = &'w str>) {
        self.ask(node.path(), || {
            Ask::Words(words.into_iter().map(str::to_owned).collect())
        });
    }

    /// The reader takes a text of this form.
    pub(super) fn form(&mut self, node: &Node<'_>, form: impl FnOnce() -> String) {
        self.ask(node.path(), || Ask::Form(form()));
    }

    /// One of these keys has to be there, and is not.
    pub(super) fn needs(&mut self, node: &Node<'_>, keys: &'static [&'static str]) {
        self.ask(node.path(), || Ask::Needs(keys));
    }

    /// The file, for messages.
    pub(super) fn file_name(&self) -> String {
        self.file.display().to_string()
    }

    /// A file that holds a secret, which does not stay in any value.
    pub(super) fn secret(&mut self, path: &str) {
        self.secrets.push(PathBuf::from(path));
    }

    /// All of them.
    pub(super) fn secrets(&self) -> &[PathBuf] {
        &self.secrets
    }

    /// What is wrong, in the order in which it was found.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// True where the driver would not start.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// The warnings, as text.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let of_a_kind = self
            .problems
            .iter()
            .filter(|p| p.severity == Severity::Warning);
        of_a_kind.map(Problem::to_string).collect()
    }

    /// Every key that the objects of the file may have, by its first name: `mqtt.host`.
    #[must_use]
    pub fn known_keys(&self) -> &BTreeSet<String> {
        &self.keys
    }

    pub(super) fn know(&mut self, path: &str, key: &str) {
        let separator = if path.is_empty() { "" } else { "." };
        self.keys.insert(format!("{path}{separator}{key}"));
    }

    /// Adds what another file has.
    pub fn append(&mut self, other: Self) {
        for problem in other.problems {
            self.push(problem);
        }
    }

    /// In the order in which they stand in the file.
    pub(super) fn sort(&mut self) {
        self.problems
            .sort_by_key(|problem| problem.place.map(|place| (place.line, place.column)));
    }

    /// Something is wrong with the file as a whole.
    pub(super) fn about_file(&mut self, message: String) {
        self.add(None, Severity::Error, "", message);
    }

    pub(super) fn error_at(&mut self, place: Place, key: &str, message: String) {
        self.add(Some(place), Severity::Error, key, message);
    }

    pub(super) fn error(&mut self, node: &Node<'_>, message: impl Into<String>) {
        self.about(node, Severity::Error, message.into());
    }

    /// An error of this value, whatever else is in the file.
    pub(super) fn never(&mut self, node: &Node<'_>, message: impl Into<String>) {
        self.ask(node.path(), || Ask::Never);
        self.error(node, message);
    }

    /// An error and its causes.
    pub(super) fn refuse(&mut self, node: &Node<'_>, error: &dyn std::error::Error) {
        self.error(node, crate::error::with_causes(error));
    }

    pub(super) fn warn(&mut self, node: &Node<'_>, message: &str) {
        self.about(node, Severity::Warning, message.to_owned());
    }

    /// Where a value stands is looked for where somebody gets to read it.
    fn about(&mut self, node: &Node<'_>, severity: Severity, message: String) {
        if self.has_room(severity) {
            self.add(Some(node.place()), severity, node.path(), message);
        }
    }

    fn add(&mut self, place: Option<Place>, severity: Severity, key: &str, message: String) {
        let (file, key) = (self.file.clone(), key.to_owned());
        self.push(Problem {
            file,
            place,
            severity,
            key,
            message,
        });
    }

    fn push(&mut self, problem: Problem) {
        if self.has_room(problem.severity) {
            self.problems.push(problem);
        }
    }

    /// Warnings leave room for errors.
    pub(super) fn has_room(&self, severity: Severity) -> bool {
        self.problems.len()
            < match severity {
                Severity::Warning => Self::MOST,
                Severity::Error => 2 * Self::MOST,
            }
    }
}

//! Topic templates: read once, rendered for each event; and the rules of MQTT names.
//!
//! The syntax is Mustache's, as far as topics need it: `{{name}}`, sections `{{#name}}…{{/name}}`
//! that stand where the value is neither empty nor `false`, inverted ones `{{^name}}…{{/name}}`,
//! and comments `{{! … }}`. Names are those of [`variable`].

mod name;
pub mod variable;

use thiserror::Error;

pub use name::{NameError, check_filter, check_topic, matches};
use variable::Variable;
pub use variable::{Scope, Settings};

use crate::event::{Data, Event, EventTime, Head};

/// A template that cannot be used. Positions count characters, from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{{` without `}}`.
    #[error("the {{{{ at character {0} has no }}}} behind it")]
    Open(usize),
    /// A name that is none.
    #[error("{{{{{name}}}}} at character {at} is not a known variable")]
    Unknown {
        /// The name.
        name: String,
        /// Where.
        at: usize,
    },
    /// A section without an end, or an end without a section.
    #[error("the section {{{{{name}}}}} at character {at} does not begin and end in pairs")]
    Section {
        /// Its name.
        name: String,
        /// Where.
        at: usize,
    },
    /// What is rendered is no name of MQTT's.
    #[error("it does not make a topic")]
    Name(#[from] NameError),
}

/// A template, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Variable),
    Section {
        variable: Variable,
        inverted: bool,
        pieces: Vec<Self>,
    },
}

impl Template {
    /// Reads a template. With `settings.lenient` an unknown variable renders empty.
    ///
    /// # Errors
    /// [`TemplateError`] names the place.
    pub fn compile(text: &str, settings: &Settings) -> Result<Self, TemplateError> {
        /// A section that is still open: where, its name, and what surrounds it.
        struct Open {
            at: usize,
            name: String,
            variable: Variable,
            inverted: bool,
            around: Vec<Piece>,
        }
        let mut pieces = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let at = text[..text.len() - rest.len() + start].chars().count() + 1;
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            let tag = &rest[start + 2..];
            // Three braces and two mean the same: values are never escaped.
            let (tag, end) = match tag.strip_prefix('{') {
                Some(tag) => (tag, "}}}"),
                None => (tag, "}}"),
            };
            let close = tag.find(end).ok_or(TemplateError::Open(at))?;
            rest = &tag[close + end.len()..];
            let tag = tag[..close].trim();
            let kind = tag.chars().next().filter(|c| "#^/!&".contains(*c));
            let name = kind.map_or(tag, |c| tag[c.len_utf8()..].trim());
            let variable = || {
                settings
                    .variable(name)
                    .ok_or_else(|| TemplateError::Unknown {
                        name: name.to_owned(),
                        at,
                    })
            };
            match kind {
                Some('!') => {}
                Some(kind @ ('#' | '^')) => open.push(Open {
                    at,
                    name: name.to_owned(),
                    variable: variable()?,
                    inverted: kind == '^',
                    around: std::mem::take(&mut pieces),
                }),
                Some('/') => match open.pop().filter(|section| section.name == name) {
                    Some(Open {
                        variable,
                        inverted,
                        mut around,
                        ..
                    }) => {
                        around.push(Piece::Section {
                            variable,
                            inverted,
                            pieces,
                        });
                        pieces = around;
                    }
                    None => {
                        return Err(TemplateError::Section {
                            name: name.to_owned(),
                            at,
                        });
                    }
                },
                _ => pieces.push(Piece::Value(variable()?)),
            }
        }
        if let Some(Open { at, name, .. }) = open.pop() {
            return Err(TemplateError::Section { name, at });
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Reads a template for topics to publish to, and tries it with an event.
    ///
    /// # Errors
    /// [`TemplateError`], also where what it renders is no topic.
    pub fn for_publishing(text: &str, settings: &Settings) -> Result<Self, TemplateError> {
        let template = Self::compile(text, settings)?;
        let event = Event {
            head: Head::new(0),
            class: 20,
            vscp_type: 3,
            obid: 1,
            guid: settings.driver_guid,
            time: EventTime::Unix { nanos: 1 },
            data: Data::try_from(vec![0; 8]).unwrap_or_default(),
        };
        let scope = Scope {
            settings,
            event: Some(&event),
            format: "json",
        };
        match check_topic(&template.text(&scope)) {
            Ok(()) => Ok(template),
            // Nothing but a value that this event lacks may be a topic with others.
            Err(NameError::Empty) if !text.is_empty() => Ok(template),
            Err(error) => Err(error.into()),
        }
    }

    /// The filter to subscribe to that a template renders.
    ///
    /// # Errors
    /// [`TemplateError`], also where what it renders is no filter.
    pub fn filter(text: &str, settings: &Settings) -> Result<String, TemplateError> {
        let filter = Self::fixed(text, settings)?;
        check_filter(&filter)?;
        Ok(filter)
    }

    /// The topic that a template renders without an event.
    ///
    /// # Errors
    /// [`TemplateError`], also where what it renders is no topic.
    pub fn topic(text: &str, settings: &Settings) -> Result<String, TemplateError> {
        let topic = Self::fixed(text, settings)?;
        check_topic(&topic)?;
        Ok(topic)
    }

    fn fixed(text: &str, settings: &Settings) -> Result<String, TemplateError> {
        let scope = Scope {
            settings,
            event: None,
            format: "",
        };
        Ok(Self::compile(text, settings)?.text(&scope))
    }

    /// Appends the text for a scope.
    pub fn render(&self, scope: &Scope<'_>, out: &mut String) {
        let mut value = String::new();
        render(&self.0, scope, &mut value, out);
    }

    /// The text for a scope.
    #[must_use]
    pub fn text(&self, scope: &Scope<'_>) -> String {
        let mut out = String::new();
        self.render(scope, &mut out);
        out
    }
}

fn render(pieces: &[Piece], scope: &Scope<'_>, value: &mut String, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value(variable) => {
                let start = out.len();
                variable.write(scope, out);
                if !variable.may_hold_levels() {
                    flatten(out, start);
                }
            }
            Piece::Section {
                variable,
                inverted,
                pieces,
            } => {
                value.clear();
                variable.write(scope, value);
                let stands = !value.is_empty() && value != "false";
                if stands != *inverted {
                    render(pieces, scope, value, out);
                }
            }
        }
    }
}

/// A value cannot make a topic of a different shape.
fn flatten(out: &mut String, start: usize) {
    let is_shape = |c: char| matches!(c, '/' | '+' | '#' | '\0');
    if out[start..].contains(is_shape) {
        let flat = out[start..].replace(is_shape, "_");
        out.truncate(start);
        out.push_str(&flat);
    }
}

#[cfg(test)]
mod tests;

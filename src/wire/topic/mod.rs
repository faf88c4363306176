//! Topic templates: read once, rendered for each event; and the rules of MQTT names.
//!
//! The syntax is Mustache's, as far as topics need it: `{{name}}`, sections `{{#name}}…{{/name}}`
//! that stand where the value is neither empty nor `false`, inverted ones `{{^name}}…{{/name}}`,
//! and comments `{{! … }}`. Names are those of [`variable`].
//!
//! With [`Settings::as_daemon`] templates mean what they mean to the daemon: [`daemon`] has the
//! names, values between two braces are escaped as in HTML, unknown names are empty, sections stand
//! where their variable is known, and `{{=<% %>=}}` changes the delimiters.

mod daemon;
mod name;
pub mod variable;

use thiserror::Error;

pub use name::{NameError, check_filter, check_topic, matches};
use variable::Variable;
pub use variable::{Scope, Settings};

use crate::event::{Data, Event, EventTime, Head};
use crate::wire::payload::WriteFormat;

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
    /// A section within too many others.
    #[error("the section at character {0} stands within {MOST_NESTED} others")]
    Nested(usize),
    /// What is rendered is no name of MQTT's.
    #[error("it does not make a topic")]
    Name(#[from] NameError),
}

/// Sections within each other. Rendering takes a bit of the stack for each, and the stack is the
/// host's.
const MOST_NESTED: usize = 32;

/// A template, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value {
        variable: Variable,
        escaped: bool,
    },
    Section {
        variable: Variable,
        inverted: bool,
        pieces: Vec<Self>,
    },
}

impl Template {
    /// Reads a template.
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
        // No topic is longer, and finding places takes time with the square of the length.
        if text.len() > usize::from(u16::MAX) {
            return Err(NameError::Long.into());
        }
        let mut pieces = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let mut rest = text;
        let mut delimiters = ("{{".to_owned(), "}}".to_owned());
        while let Some(start) = rest.find(&delimiters.0) {
            let at = text[..text.len() - rest.len() + start].chars().count() + 1;
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            let tag = &rest[start + delimiters.0.len()..];
            let (tag, end) = match tag.strip_prefix('{') {
                Some(tag) => (tag, format!("}}{}", delimiters.1)),
                None => (tag, delimiters.1.clone()),
            };
            let braces = end.len() > delimiters.1.len();
            let close = tag.find(&end).ok_or(TemplateError::Open(at))?;
            rest = &tag[close + end.len()..];
            let tag = tag[..close].trim();
            if let Some(new) = tag.strip_prefix('=').filter(|_| settings.as_daemon) {
                let mut both = new.trim_end_matches('=').split_whitespace();
                if let (Some(opening), Some(closing), None) =
                    (both.next(), both.next(), both.next())
                {
                    delimiters = (opening.to_owned(), closing.to_owned());
                    continue;
                }
                return Err(TemplateError::Open(at));
            }
            if settings.as_daemon && tag.starts_with('>') {
                // There are no partials to put in.
                continue;
            }
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
                Some('#' | '^') if open.len() == MOST_NESTED => {
                    return Err(TemplateError::Nested(at));
                }
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
                _ => pieces.push(Piece::Value {
                    variable: variable()?,
                    escaped: settings.as_daemon && !braces && kind != Some('&'),
                }),
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
            format: Some(WriteFormat::Json),
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
        let mut filter = String::new();
        if settings.as_daemon {
            // To the daemon every variable is empty here.
            Self::compile(text, settings)?.write_text_only(&mut filter);
        } else {
            filter = Self::fixed(text, settings)?;
        }
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
            format: None,
        };
        Ok(Self::compile(text, settings)?.text(&scope))
    }

    /// Appends the text for a scope.
    pub fn render(&self, scope: &Scope<'_>, out: &mut String) {
        render(&self.0, scope, out);
    }

    /// A template that renders what it says, whatever stands in it.
    ///
    /// # Errors
    /// [`TemplateError`] where that is no topic.
    pub fn literal(text: &str) -> Result<Self, TemplateError> {
        check_topic(text)?;
        Ok(Self(vec![Piece::Text(text.to_owned())]))
    }

    /// What is left when nothing has a value.
    fn write_text_only(&self, out: &mut String) {
        fn write(pieces: &[Piece], out: &mut String) {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Section {
                        inverted: true,
                        pieces,
                        ..
                    } => write(pieces, out),
                    Piece::Value { .. } | Piece::Section { .. } => {}
                }
            }
        }
        write(&self.0, out);
    }

    /// The text for a scope.
    #[must_use]
    pub fn text(&self, scope: &Scope<'_>) -> String {
        let mut out = String::new();
        self.render(scope, &mut out);
        out
    }
}

fn render(pieces: &[Piece], scope: &Scope<'_>, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value { variable, escaped } => {
                let start = out.len();
                variable.write(scope, out);
                if *escaped {
                    let value = out.split_off(start);
                    daemon::escape_html(&value, out);
                } else if !variable.may_hold_levels() {
                    flatten(out, start);
                }
            }
            Piece::Section {
                variable,
                inverted,
                pieces,
            } => {
                if variable.stands(scope) != *inverted {
                    render(pieces, scope, out);
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

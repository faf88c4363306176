//! MQTT payloads: an event to bytes, and bytes to an event.
//!
//! | format | what |
//! |---|---|
//! | json | an object, with or without the measurement that the event carries |
//! | xml | one element |
//! | string | the comma form |
//! | binary | a zero byte, then the frame |

use thiserror::Error;

use crate::catalog;
use crate::event::Event;
use crate::event::frame::{self, FrameError};
use crate::event::json::{self, Block, Generation, JsonError};
use crate::event::text::{self, Defaults, EventTextError, TextForm};
use crate::event::xml::{self, XmlError};

/// The form of payloads that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFormat {
    /// Told by the first byte.
    #[default]
    Auto,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// The comma form.
    Text,
    /// The frame, with the byte before it or without.
    Binary,
}

/// The form of payloads that go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteFormat {
    /// JSON.
    #[default]
    Json,
    /// XML.
    Xml,
    /// The comma form.
    Text,
    /// The frame.
    Binary,
}

/// How payloads are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Which names and times.
    pub generation: Generation,
    /// JSON of a measurement event carries the value as a number too
    /// (`bjsonmeasurementblock`).
    pub measurement_block: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            generation: Generation::V2,
            measurement_block: true,
        }
    }
}

/// Why a payload is not an event.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Not text.
    #[error("it is not UTF-8")]
    NotText,
    /// None of the forms that are told apart.
    #[error("it is none of JSON, XML, the comma form and a binary frame")]
    Unknown,
    /// JSON that is no event.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// XML that is no event.
    #[error("not an event in XML: {0}")]
    Xml(#[from] XmlError),
    /// The comma form of no event.
    #[error("not an event in the comma form: {0}")]
    Text(#[from] EventTextError),
    /// Bytes that are no frame.
    #[error("not a binary frame: {0}")]
    Binary(#[from] FrameError),
}

/// The name of a format, as templates call it.
#[must_use]
pub fn name(format: WriteFormat) -> &'static str {
    match format {
        WriteFormat::Json => "json",
        WriteFormat::Xml => "xml",
        WriteFormat::Text => "string",
        WriteFormat::Binary => "binary",
    }
}

/// Appends an event.
pub fn write(event: &Event, format: WriteFormat, style: Style, out: &mut Vec<u8>) {
    let generation = style.generation;
    match format {
        WriteFormat::Json => match style.measurement_block.then(|| block(event)).flatten() {
            Some(block) => json::write_measurement(event, generation, &block, out),
            None => json::write(event, generation, out),
        },
        WriteFormat::Xml => xml::write(event, generation, out),
        WriteFormat::Text => {
            let form = match generation {
                Generation::Classic => TextForm::Legacy,
                Generation::V2 | Generation::Both => TextForm::Nanos,
            };
            text::write(event, form, out);
        }
        WriteFormat::Binary => {
            out.push(0);
            frame::write(event, generation, out);
        }
    }
}

/// The measurement of an event as JSON can carry it.
fn block(event: &Event) -> Option<Block> {
    let found = catalog::measurement(event)?;
    let value = found.value.number();
    value.is_finite().then(|| Block {
        value,
        unit: found.unit,
        sensor_index: found.sensor_index,
        zone: found.zone.unwrap_or(0),
        subzone: found.subzone.unwrap_or(0),
    })
}

/// Reads an event. With [`ReadFormat::Auto`] the first character that is not blank tells: `{`
/// begins JSON, `<` XML, a control character a frame, and what has at least five commas is the
/// comma form.
///
/// # Errors
/// [`PayloadError`]: what does not parse is no event, not even an empty one.
pub fn read(bytes: &[u8], format: ReadFormat, defaults: &Defaults) -> Result<Event, PayloadError> {
    let trimmed = bytes.trim_ascii();
    let format = match format {
        ReadFormat::Auto => told_by_first(trimmed)?,
        fixed => fixed,
    };
    let text = || std::str::from_utf8(trimmed).map_err(|_| PayloadError::NotText);
    if trimmed.is_empty() {
        return Err(PayloadError::Empty);
    }
    match format {
        ReadFormat::Json => Ok(json::read(trimmed, defaults)?),
        ReadFormat::Xml => Ok(xml::read(text()?, defaults)?),
        ReadFormat::Text | ReadFormat::Auto => Ok(text::parse(text()?, defaults)?),
        ReadFormat::Binary => {
            // The specification has no byte before the frame, the daemon insists on one.
            let marked = bytes.strip_prefix(&[0]).map(|b| frame::read(b, defaults));
            match (marked, frame::read(bytes, defaults)) {
                (Some(Ok(event)), _) | (_, Ok(event)) => Ok(event),
                (Some(Err(error)), Err(_)) | (None, Err(error)) => Err(error.into()),
            }
        }
    }
}

fn told_by_first(bytes: &[u8]) -> Result<ReadFormat, PayloadError> {
    match bytes.first() {
        None => Err(PayloadError::Empty),
        Some(b'{') => Ok(ReadFormat::Json),
        Some(b'<') => Ok(ReadFormat::Xml),
        Some(0..=31) => Ok(ReadFormat::Binary),
        Some(_) if memchr::memchr_iter(b',', bytes).count() < 5 => Err(PayloadError::Unknown),
        Some(_) => Ok(ReadFormat::Text),
    }
}

#[cfg(test)]
mod tests;

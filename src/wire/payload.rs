//! MQTT payloads: an event to bytes, and bytes to an event.

use thiserror::Error;

use crate::event::Event;
use crate::event::json::{self, Generation, JsonError};
use crate::event::text::{self, Defaults, EventTextError, TextForm};

/// The form of payloads that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFormat {
    /// Told by the first byte.
    #[default]
    Auto,
    /// JSON.
    Json,
    /// The comma form.
    Text,
}

/// The form of payloads that go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteFormat {
    /// JSON.
    #[default]
    Json,
    /// The comma form.
    Text,
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
    #[error("it is neither JSON nor the comma form")]
    Unknown,
    /// JSON that is no event.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The comma form of no event.
    #[error("not an event in the comma form: {0}")]
    Text(#[from] EventTextError),
}

/// The name of a format, as templates call it.
#[must_use]
pub fn name(format: WriteFormat) -> &'static str {
    match format {
        WriteFormat::Json => "json",
        WriteFormat::Text => "string",
    }
}

/// Appends an event.
pub fn write(event: &Event, format: WriteFormat, generation: Generation, out: &mut Vec<u8>) {
    match format {
        WriteFormat::Json => json::write(event, generation, out),
        WriteFormat::Text => {
            let form = match generation {
                Generation::Classic => TextForm::Legacy,
                Generation::V2 | Generation::Both => TextForm::Nanos,
            };
            text::write(event, form, out);
        }
    }
}

/// Reads an event. With [`ReadFormat::Auto`] the first character tells: `{` begins JSON, and
/// what has at least five commas is the comma form.
///
/// # Errors
/// [`PayloadError`]: what does not parse is no event, not even an empty one.
pub fn read(bytes: &[u8], format: ReadFormat, defaults: &Defaults) -> Result<Event, PayloadError> {
    let bytes = bytes.trim_ascii();
    match (format, bytes.first()) {
        (_, None) => Err(PayloadError::Empty),
        (ReadFormat::Json, _) | (ReadFormat::Auto, Some(b'{')) => Ok(json::read(bytes, defaults)?),
        (ReadFormat::Auto, _) if bytes.iter().filter(|&&byte| byte == b',').count() < 5 => {
            Err(PayloadError::Unknown)
        }
        (ReadFormat::Text | ReadFormat::Auto, _) => {
            let line = std::str::from_utf8(bytes).map_err(|_| PayloadError::NotText)?;
            Ok(text::parse(line, defaults)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Guid;

    const DEFAULTS: Defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };

    fn class(bytes: &[u8], format: ReadFormat) -> Option<u16> {
        read(bytes, format, &DEFAULTS).ok().map(|event| event.class)
    }

    #[test]
    fn forms_are_told_apart() {
        use ReadFormat::{Auto, Json, Text};
        let json = b" \n{\"class\": 20}";
        let line = b"0,20,3,,,,-,1\n";
        assert_eq!(
            (class(json, Auto), class(json, Json), class(json, Text)),
            (Some(20), Some(20), None)
        );
        assert_eq!(
            (class(line, Auto), class(line, Json), class(line, Text)),
            (Some(20), None, Some(20))
        );
        for other in [
            &b""[..],
            b"  ",
            b"on",
            b"<event class=\"20\" />",
            b"\0\x10\x01\x60",
            b"\xff,,,,,,,",
            b"{",
        ] {
            assert_eq!(class(other, Auto), None, "{other:?}");
        }
    }

    #[test]
    fn the_comma_form_of_both_generations() {
        let event = read(
            b"96,20,3,7,2001-11-02T18:00:01Z,817923,::1,0x01",
            ReadFormat::Auto,
            &DEFAULTS,
        );
        let event = event.unwrap();
        let put = |generation| {
            let mut out = Vec::new();
            write(&event, WriteFormat::Text, generation, &mut out);
            String::from_utf8(out).unwrap()
        };
        let guid = "FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01";
        assert_eq!(
            put(Generation::V2),
            format!("352,20,3,7,,1004724001817923000,{guid},0x01")
        );
        assert_eq!(
            put(Generation::Classic),
            format!("96,20,3,7,2001-11-02T18:00:01Z,817923,{guid},0x01")
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, ReadFormat::Auto, &DEFAULTS);
        }
    }
}

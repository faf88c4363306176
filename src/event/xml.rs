//! The XML form of an event (VSCP specification, "XML representation"): one element with everything
//! in attributes, in both generations of names.

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event as XmlEvent};
use quick_xml::reader::Reader;
use thiserror::Error;

use super::json::Generation;
use super::members::{self, Contradiction, Members};
use super::text::Defaults;
use super::{Data, Event, GuidError, MAX_DATA, NumberError, number, time};

/// The longest text that is looked at. 512 data bytes take 2560.
const MOST: usize = 16 * 1024;

/// Why a text is not an event.
#[derive(Debug, Error)]
pub enum XmlError {
    /// Longer than any event.
    #[error("{0} bytes of XML, more than an event takes")]
    TooLong(usize),
    /// Not XML.
    #[error("not well-formed XML")]
    Syntax(#[from] quick_xml::Error),
    /// Another element, none, or more than one.
    #[error("one element <event> was expected")]
    Element,
    /// An attribute that is not what it should be.
    #[error("{name}: {why}")]
    Attribute {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Appends an event, byte for byte as the daemon of that generation does.
pub fn write(event: &Event, generation: Generation, out: &mut Vec<u8>) {
    let classic = generation == Generation::Classic;
    let names = if classic {
        [
            "vscpHead",
            "vscpObId",
            "vscpDateTime",
            "vscpTimeStamp",
            "vscpClass",
            "vscpType",
            "vscpGuid",
            "vscpData",
        ]
    } else {
        [
            "head",
            "obid",
            "datetime",
            "timestamp",
            "class",
            "type",
            "guid",
            "data",
        ]
    };
    let number = |out: &mut Vec<u8>, value: u64| {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    };
    out.extend_from_slice(b"<event ");
    for (at, name) in names.iter().enumerate() {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        match (at, classic) {
            (0, true) => number(out, event.head.classic().into()),
            (0, false) => number(out, event.head.unix().into()),
            (1, _) => number(out, event.obid.into()),
            (2, _) => event.time.write_date(out),
            (3, true) => number(out, event.time.micros().into()),
            (3, false) => number(out, event.time.nanos()),
            (4, _) => number(out, event.class.into()),
            (5, _) => number(out, event.vscp_type.into()),
            (6, _) => event.guid.write(out),
            _ => super::text::write_data(&event.data, out),
        }
        out.extend_from_slice(b"\" ");
    }
    out.extend_from_slice(b"/>");
}

/// Reads an event: one element `event`, with a declaration and comments around it or not.
/// Attributes have the names of either generation, mixed too; absent ones take their defaults, ones
/// that are not known are passed over, and one that is known must be right.
///
/// # Errors
/// [`XmlError`] names the attribute.
pub fn read(text: &str, defaults: &Defaults) -> Result<Event, XmlError> {
    if text.len() > MOST {
        return Err(XmlError::TooLong(text.len()));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut found = None;
    let mut depth = 0_usize;
    loop {
        match reader.read_event()? {
            XmlEvent::Eof if depth == 0 => break,
            XmlEvent::Eof => return Err(XmlError::Element),
            XmlEvent::Start(element) => {
                if depth == 0 {
                    first(&element, &mut found)?;
                }
                depth += 1;
            }
            XmlEvent::Empty(element) if depth == 0 => first(&element, &mut found)?,
            XmlEvent::End(_) => depth = depth.saturating_sub(1),
            XmlEvent::Text(text) if depth == 0 && !text.trim_ascii().is_empty() => {
                return Err(XmlError::Element);
            }
            XmlEvent::CData(_) | XmlEvent::GeneralRef(_) if depth == 0 => {
                return Err(XmlError::Element);
            }
            _ => {}
        }
    }
    let members = found.ok_or(XmlError::Element)?;
    Ok(members.settle(defaults))
}

/// The only element at the top.
fn first(element: &BytesStart<'_>, found: &mut Option<Members>) -> Result<(), XmlError> {
    if element.name().as_ref() != "event" || found.is_some() {
        return Err(XmlError::Element);
    }
    let mut members = Members::default();
    // What is said twice is found below, without comparing each attribute to each other one.
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        take(&attribute, &mut members)?;
    }
    *found = Some(members);
    Ok(())
}

fn take(attribute: &Attribute<'_>, members: &mut Members) -> Result<(), XmlError> {
    let name = attribute.key.as_ref().to_owned();
    let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
    set(&name, value.trim(), members).map_err(|why| XmlError::Attribute { name, why: why.0 })
}

/// What is wrong with an attribute.
struct Why(String);

impl From<NumberError> for Why {
    fn from(error: NumberError) -> Self {
        Self(error.to_string())
    }
}

impl From<Contradiction> for Why {
    fn from(error: Contradiction) -> Self {
        Self(error.to_string())
    }
}

impl From<GuidError> for Why {
    fn from(error: GuidError) -> Self {
        Self(error.to_string())
    }
}

impl From<time::DateError> for Why {
    fn from(error: time::DateError) -> Self {
        Self(error.to_string())
    }
}

fn set(name: &str, value: &str, members: &mut Members) -> Result<(), Why> {
    let short = || number::parse(value, u16::MAX.into()).map(|number| number as u16);
    let classic = name.starts_with("vscp");
    match name.strip_prefix("vscp").unwrap_or(name) {
        "head" | "Head" => members::set(&mut members.head, short()?)?,
        "class" | "Class" => members::set(&mut members.class, short()?)?,
        "type" | "Type" => members::set(&mut members.vscp_type, short()?)?,
        "obid" | "ObId" => {
            let obid = number::parse(value, u32::MAX.into())? as u32;
            members::set(&mut members.obid, obid)?;
        }
        "guid" | "Guid" | "GUID" if !value.is_empty() => {
            members::set(&mut members.guid, value.parse()?)?;
        }
        "datetime" | "DateTime" if !value.is_empty() => {
            members::set(&mut members.seconds, time::parse_date(value)?)?;
        }
        "timestamp_ns" | "timestampns" if !value.is_empty() => {
            members::set(&mut members.nanos, number::parse(value, u64::MAX)?)?;
        }
        // Of the newer generation it counts nanoseconds, which do not fit the older one's.
        "timestamp" | "TimeStamp" if !value.is_empty() => match number::parse(value, u64::MAX)? {
            micros if u32::try_from(micros).is_ok() => {
                members::set(&mut members.micros, micros as u32)?;
            }
            nanos if !classic => members::set(&mut members.nanos, nanos)?,
            _ => return Err(NumberError::Range(number::clip(value), u32::MAX.into()).into()),
        },
        "data" | "Data" => members::set(&mut members.data, data(value)?)?,
        _ => {}
    }
    Ok(())
}

/// Numbers between commas.
fn data(text: &str) -> Result<Data, Why> {
    let mut bytes = Vec::new();
    if !text.is_empty() {
        for byte in text.split(',') {
            if bytes.len() == MAX_DATA {
                return Err(Why(format!("more than {MAX_DATA} bytes")));
            }
            bytes.push(number::parse(byte, 255)? as u8);
        }
    }
    Data::try_from(bytes).map_err(|error| Why(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::tests::any_event;
    use crate::event::{EventTime, Guid, text};

    const DEFAULTS: Defaults = Defaults {
        now: 1_700_000_000_123_456_789,
        obid: 0,
        guid: Guid::ZERO,
    };
    const V2: &str = "<event head=\"352\" obid=\"7\" datetime=\"2001-11-02T18:00:01Z\" \
                      timestamp=\"1004724001817923000\" class=\"20\" type=\"3\" \
                      guid=\"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\" \
                      data=\"0x00,0x01,0x23\" />";
    const CLASSIC: &str = "<event vscpHead=\"96\" vscpObId=\"7\" \
                           vscpDateTime=\"2001-11-02T18:00:01Z\" vscpTimeStamp=\"817923\" \
                           vscpClass=\"20\" vscpType=\"3\" \
                           vscpGuid=\"FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01\" \
                           vscpData=\"0x00,0x01,0x23\" />";

    fn put(event: &Event, generation: Generation) -> String {
        let mut out = Vec::new();
        write(event, generation, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn get(xml: &str) -> Event {
        read(xml, &DEFAULTS).unwrap_or_else(|error| panic!("{xml}: {error}"))
    }

    #[test]
    fn byte_for_byte_as_the_daemons() {
        let line = "96,20,3,7,2001-11-02T18:00:01Z,817923,\
                    FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0,1,35";
        let event = text::parse(line, &DEFAULTS).unwrap();
        assert_eq!(put(&event, Generation::V2), V2);
        assert_eq!(put(&event, Generation::Both), V2);
        assert_eq!(put(&event, Generation::Classic), CLASSIC);
        assert_eq!(get(CLASSIC), event);
        let v2 = get(V2);
        assert_eq!(
            v2.time,
            EventTime::Unix {
                nanos: 1_004_724_001_817_923_000
            }
        );
        assert_eq!((v2.head, v2.obid, &v2.data), (event.head, 7, &event.data));
    }

    #[test]
    fn other_spellings_are_read() {
        let event = get("<?xml version=\"1.0\"?>\n<!-- from the specification -->\n\
             <event head='3' class=\"10\" vscpType=\"6\" note=\"a &amp; b\" sizedata=\"2\" \
             data=\" 1 , 0x0F\"></event>\n");
        assert_eq!((event.class, event.vscp_type), (10, 6));
        assert_eq!(&event.data[..], [1, 15]);
        assert_eq!(event.time.nanos(), DEFAULTS.now);
        assert_eq!(get("<event/>").data.len(), 0);
        assert_eq!(get("<event data=\"\" />").data.len(), 0);
        assert_eq!(get("<event class='1'><note>x</note></event>").class, 1);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for xml in [
            "",
            "x",
            "<event",
            "<event class=20 />",
            "<event class=\"70000\" />",
            "<event class=\"-1\" />",
            "<event class=\"1\" vscpClass=\"2\" />",
            "<event class=\"1\" class=\"2\" />",
            "<event guid=\"00:01\" />",
            "<event datetime=\"2001-13-02T18:00:01Z\" />",
            "<event vscpTimeStamp=\"1004724001817923000\" />",
            "<event data=\"1,,2\" />",
            "<event data=\"256\" />",
            "<event data=\"&lol;\" />",
            "<event>",
            "<event></other>",
            "<other class=\"1\" />",
            "<events><event class=\"1\" /></events>",
            "<event /><event />",
            "<event /> x",
        ] {
            assert!(read(xml, &DEFAULTS).is_err(), "{xml}");
        }
        let many = format!("<event data=\"{}0\" />", "0,".repeat(512));
        assert!(read(&many, &DEFAULTS).is_err());
        let long = format!("<event {}/>", "a=\"1\" ".repeat(4096));
        assert!(matches!(read(&long, &DEFAULTS), Err(XmlError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn goes_there_and_back(event in any_event(), classic in any::<bool>()) {
            let generation = if classic { Generation::Classic } else { Generation::V2 };
            let back = get(&put(&event, generation));
            prop_assert_eq!(
                (back.head, back.class, back.vscp_type, back.obid, back.guid, &back.data),
                (event.head, event.class, event.vscp_type, event.obid, event.guid, &event.data)
            );
        }

        #[test]
        fn never_panics(text in "\\PC{0,300}", attributes in "( [a-z]{1,9}=\"[^\"]{0,20}\"){0,9}") {
            let _ = read(&text, &DEFAULTS);
            let _ = read(&format!("<event{attributes}/>"), &DEFAULTS);
        }
    }
}

use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::TextForm;
use vscpl2drv_link::event::{Event, frame as frames, json as jsons, text as texts, xml as xmls};
use vscpl2drv_link::wire::payload::{ReadFormat, Style, WriteFormat, read, write};

use super::{defaults, same, same_classic_time};

const GENERATIONS: [Generation; 3] = [Generation::Classic, Generation::V2, Generation::Both];

/// The binary frame: what is read is written and read again to the same.
pub fn frame(bytes: &[u8]) {
    let Ok(event) = frames::read(bytes, &defaults()) else {
        return;
    };
    settled(&event);
    for generation in [Generation::Classic, Generation::V2] {
        let mut out = Vec::new();
        frames::write(&event, generation, &mut out);
        let back = frames::read(&out, &defaults()).expect("a written frame is read");
        same(&back, &event);
        if generation == Generation::Classic {
            same_classic_time(&back, &event);
        } else if event.time.nanos() != 0 {
            // 0, which a date before 1970 is too, means now.
            assert_eq!(back.time.nanos(), event.time.nanos());
        }
    }
}

/// The comma form: what is read is printed and read again to the same, in both forms of the time.
pub fn event_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(event) = texts::parse(text, &defaults()) else {
        return;
    };
    settled(&event);
    for form in [TextForm::Legacy, TextForm::Nanos] {
        let mut out = Vec::new();
        texts::write(&event, form, &mut out);
        let line = String::from_utf8(out).expect("the comma form is text");
        assert!(!line.contains(['\r', '\n', '\0']), "{line}");
        let back = texts::parse(&line, &defaults()).expect("a printed event is read");
        same(&back, &event);
        assert_eq!(back.obid, event.obid);
        match form {
            TextForm::Legacy => same_classic_time(&back, &event),
            // 0, which a date before 1970 is too, means now.
            TextForm::Nanos if event.time.nanos() == 0 => {}
            TextForm::Nanos => assert_eq!(back.time.nanos(), event.time.nanos()),
        }
    }
}

/// JSON: what is read is written and read again to the same, in every generation of names.
pub fn json(bytes: &[u8]) {
    let Ok(event) = jsons::read(bytes, &defaults()) else {
        return;
    };
    settled(&event);
    for generation in GENERATIONS {
        let mut out = Vec::new();
        jsons::write(&event, generation, &mut out);
        let back = jsons::read(&out, &defaults()).expect("written JSON is read");
        named(&back, &event, generation);
    }
}

/// XML: what is read is written and read again to the same, in both generations of names.
pub fn xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(event) = xmls::read(text, &defaults()) else {
        return;
    };
    settled(&event);
    for generation in [Generation::Classic, Generation::V2] {
        let mut out = Vec::new();
        xmls::write(&event, generation, &mut out);
        let text = String::from_utf8(out).expect("XML is text");
        let back = xmls::read(&text, &defaults()).expect("written XML is read");
        // Its time stamp has one name: what fits 32 bits is microseconds.
        if generation == Generation::Classic || event.time.nanos() > u64::from(u32::MAX) {
            named(&back, &event, generation);
        } else {
            same(&back, &event);
        }
    }
}

/// Payloads: what is detected is what it says when it is asked for by name, and every form that an
/// event is written in is detected and read.
pub fn payload(bytes: &[u8]) {
    let fixed = [
        ReadFormat::Json,
        ReadFormat::Xml,
        ReadFormat::Text,
        ReadFormat::Binary,
    ]
    .map(|format| read(bytes, format, &defaults()).ok());
    if let Ok(event) = read(bytes, ReadFormat::Auto, &defaults()) {
        assert!(fixed.iter().flatten().any(|found| *found == event));
    }
    let formats = [
        WriteFormat::Json,
        WriteFormat::Xml,
        WriteFormat::Text,
        WriteFormat::Binary,
    ];
    for event in fixed.iter().flatten() {
        settled(event);
        for format in formats {
            for generation in GENERATIONS {
                let style = Style {
                    generation,
                    measurement_block: true,
                };
                let mut out = Vec::new();
                write(event, format, style, &mut out);
                let back = read(&out, ReadFormat::Auto, &defaults());
                same(&back.expect("a written payload is detected"), event);
            }
        }
    }
}

/// What an event always has once it is read.
fn settled(event: &Event) {
    assert!(!event.guid.is_zero());
    assert_ne!(event.obid, 0);
    let at = event.time.fields();
    assert_eq!(at.seconds(), Some(event.time.seconds()), "a date of no day");
}

/// The forms with named members keep everything.
fn named(back: &Event, event: &Event, generation: Generation) {
    same(back, event);
    assert_eq!(back.obid, event.obid);
    if generation == Generation::Classic {
        same_classic_time(back, event);
    } else {
        assert_eq!(back.time.nanos(), event.time.nanos());
    }
}

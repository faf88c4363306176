//! An event as bytes on the disk: a version, the tag where it has one, the obid, the binary frame.

use crate::event::frame;
use crate::event::json::Generation;
use crate::event::text::Defaults;
use crate::event::{Event, EventTime, Guid, Tag};

const WITHOUT_TAG: u8 = 1;
const WITH_TAG: u8 = 2;

pub(super) fn write(event: &Event, tag: Option<Tag>) -> Vec<u8> {
    let mut record = Vec::with_capacity(64 + event.data.len());
    match tag {
        None => record.push(WITHOUT_TAG),
        Some(tag) => {
            record.push(WITH_TAG);
            record.extend(tag.origin.to_be_bytes());
            record.extend(tag.number.to_be_bytes());
        }
    }
    record.extend(event.obid.to_be_bytes());
    // The time goes into the form that it has.
    let generation = match event.time {
        EventTime::Classic { .. } => Generation::Classic,
        EventTime::Unix { .. } => Generation::V2,
    };
    frame::write(event, generation, &mut record);
    record
}

pub(super) fn read(record: &[u8]) -> Option<(Event, Option<Tag>)> {
    let (version, mut rest) = record.split_first()?;
    let mut number = || {
        let (number, more) = rest.split_first_chunk()?;
        rest = more;
        Some(u64::from_be_bytes(*number))
    };
    let tag = match *version {
        WITHOUT_TAG => None,
        WITH_TAG => Some(Tag {
            origin: number()?,
            number: number()?,
        }),
        _ => return None,
    };
    let (obid, frame) = rest.split_first_chunk()?;
    let defaults = Defaults {
        now: 0,
        obid: u32::from_be_bytes(*obid),
        guid: Guid::ZERO,
    };
    let event = frame::read(frame, &defaults).ok()?;
    Some((event, tag))
}

//! An event as bytes on the disk: a version, the obid, the binary frame.

use crate::event::frame;
use crate::event::json::Generation;
use crate::event::text::Defaults;
use crate::event::{Event, EventTime, Guid};

const VERSION: u8 = 1;

pub(super) fn write(event: &Event) -> Vec<u8> {
    let mut record = Vec::with_capacity(48 + event.data.len());
    record.push(VERSION);
    record.extend(event.obid.to_be_bytes());
    // The time goes into the form that it has.
    let generation = match event.time {
        EventTime::Classic { .. } => Generation::Classic,
        EventTime::Unix { .. } => Generation::V2,
    };
    frame::write(event, generation, &mut record);
    record
}

pub(super) fn read(record: &[u8]) -> Option<Event> {
    let (&VERSION, rest) = record.split_first()? else {
        return None;
    };
    let (obid, frame) = rest.split_first_chunk()?;
    let defaults = Defaults {
        now: 0,
        obid: u32::from_be_bytes(*obid),
        guid: Guid::ZERO,
    };
    frame::read(frame, &defaults).ok()
}

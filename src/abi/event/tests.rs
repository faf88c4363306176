use std::ptr::addr_of;

use proptest::prelude::*;

use super::read as read_event;
use super::*;
use crate::event::tests::any_event;

/// Through the host's memory and back.
fn round_trip(event: &Event, layout: Layout) -> Event {
    let mut raw = [0xA5_u8; 64];
    let place = raw.as_mut_ptr().cast::<c_void>();
    // SAFETY: 64 bytes are room for both layouts.
    unsafe { write(place, layout, event) }.unwrap();
    // SAFETY: just written.
    let back = unsafe { read(place, layout, 1) }.unwrap();
    let data = match layout {
        // SAFETY: a field of what was just written.
        Layout::Classic => unsafe {
            addr_of!((*place.cast::<ClassicEvent>()).pdata).read_unaligned()
        },
        // SAFETY: a field of what was just written.
        Layout::V2 => unsafe { addr_of!((*place.cast::<V2Event>()).pdata).read_unaligned() },
    };
    // SAFETY: from malloc, or null.
    unsafe { libc::free(data.cast()) };
    match layout {
        Layout::Classic => assert_eq!(raw[..2], [0xA5; 2], "crc is the host's"),
        Layout::V2 => assert_eq!(raw[56..], [0xA5; 8], "crc is the host's"),
    }
    back
}

proptest! {
    #[test]
    fn both_layouts(event in any_event()) {
        let classic = round_trip(&event, Layout::Classic);
        prop_assert_eq!(classic.time.seconds(), event.time.seconds());
        prop_assert_eq!(classic.time.micros(), event.time.micros());
        prop_assert_eq!(&Event { time: event.time, ..classic }, &event);
        let v2 = round_trip(&event, Layout::V2);
        if event.time.nanos() > 0 {
            prop_assert_eq!(v2.time.nanos(), event.time.nanos());
        }
        prop_assert_eq!(&Event { time: event.time, ..v2 }, &event);
    }
}

#[test]
fn wild_sizes_and_dates() {
    let mut raw = ClassicEvent {
        crc: 0,
        obid: 0,
        year: 2026,
        month: 13,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        timestamp: 5,
        head: 0,
        vscp_class: 20,
        vscp_type: 3,
        guid: [0; 16],
        size_data: 600,
        pdata: 8 as *mut u8,
    };
    // SAFETY: the size is refused before the pointer is used.
    let read = |raw: &ClassicEvent| unsafe {
        read_event(std::ptr::from_ref(raw).cast(), Layout::Classic, 77)
    };
    assert_eq!(read(&raw), None);
    raw.size_data = 3;
    raw.pdata = std::ptr::null_mut();
    assert_eq!(read(&raw), None);
    raw.size_data = 0;
    assert_eq!(read(&raw).unwrap().time, EventTime::Unix { nanos: 77 });
    // No date at all.
    (raw.year, raw.month, raw.day) = (0, 0, 0);
    assert_eq!(read(&raw).unwrap().time, EventTime::Unix { nanos: 77 });
}

//! `vscpEvent` in both of its layouts.

use std::ffi::c_void;
use std::ptr::addr_of_mut;

use crate::driver::Layout;
use crate::event::time::DateFields;
use crate::event::{Data, Event, EventTime, Guid, Head, MAX_DATA};

/// `vscpEvent` up to vscpd 15.0.4.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct ClassicEvent {
    pub crc: u16,
    pub obid: u32,
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub timestamp: u32,
    pub head: u16,
    pub vscp_class: u16,
    pub vscp_type: u16,
    pub guid: [u8; 16],
    pub size_data: u16,
    pub pdata: *mut u8,
}

/// `vscpEvent` from vscpd 15.1.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct V2Event {
    pub head: u16,
    pub obid: u32,
    pub year: u16,
    pub month: u8,
    pub time: V2Time,
    pub vscp_class: u16,
    pub vscp_type: u16,
    pub guid: [u8; 16],
    pub size_data: u16,
    pub pdata: *mut u8,
    pub crc: u16,
}

/// The eight bytes of a [`V2Event`] that hold nanoseconds, or day, hour, minute, second and
/// microseconds.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct V2Time(pub [u8; 8]);

impl V2Time {
    fn nanos(self) -> u64 {
        u64::from_ne_bytes(self.0)
    }

    fn micros(self) -> u32 {
        let [_, _, _, _, a, b, c, d] = self.0;
        u32::from_ne_bytes([a, b, c, d])
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<ClassicEvent>() == 56 && size_of::<V2Event>() == 64);
    assert!(std::mem::offset_of!(ClassicEvent, head) == 20);
    assert!(std::mem::offset_of!(ClassicEvent, guid) == 26);
    assert!(std::mem::offset_of!(ClassicEvent, pdata) == 48);
    assert!(std::mem::offset_of!(V2Event, time) == 16);
    assert!(std::mem::offset_of!(V2Event, guid) == 28);
    assert!(std::mem::offset_of!(V2Event, pdata) == 48);
    assert!(std::mem::offset_of!(V2Event, crc) == 56);
};

/// The year and month of a frame that carries nanoseconds.
const UNIX_YEAR: u16 = 0xFFFF;
const UNIX_MONTH: u8 = 0xFF;

/// No memory for the data of an event.
#[derive(Debug)]
pub(super) struct NoMemory;

/// The parts that both layouts have.
struct Common {
    head: u16,
    obid: u32,
    class: u16,
    vscp_type: u16,
    guid: [u8; 16],
    size: u16,
    data: *const u8,
}

/// Copies an event of the host; `None` where it cannot be one. An event without a time, or with
/// one that is none, gets `now`, in nanoseconds since 1970.
///
/// # Safety
/// `event` must point to an event of this layout, whose `pdata` points to `sizeData` bytes
/// where that is 1 to 512.
pub(super) unsafe fn read(event: *const c_void, layout: Layout, now: u64) -> Option<Event> {
    let (common, time) = match layout {
        Layout::Classic => {
            // SAFETY: the caller promises this layout; it need not be aligned.
            let raw = unsafe { event.cast::<ClassicEvent>().read_unaligned() };
            let date = DateFields {
                year: raw.year,
                month: raw.month,
                day: raw.day,
                hour: raw.hour,
                minute: raw.minute,
                second: raw.second,
            };
            let common = Common {
                head: raw.head,
                obid: raw.obid,
                class: raw.vscp_class,
                vscp_type: raw.vscp_type,
                guid: raw.guid,
                size: raw.size_data,
                data: raw.pdata,
            };
            (common, classic_time(date, raw.timestamp))
        }
        Layout::V2 => {
            // SAFETY: the caller promises this layout; it need not be aligned.
            let raw = unsafe { event.cast::<V2Event>().read_unaligned() };
            let [day, hour, minute, second, ..] = raw.time.0;
            let time = if Head::is_unix(raw.head) {
                Some(EventTime::Unix {
                    nanos: raw.time.nanos(),
                })
                .filter(|t| t.nanos() != 0)
            } else {
                let date = DateFields {
                    year: raw.year,
                    month: raw.month,
                    day,
                    hour,
                    minute,
                    second,
                };
                classic_time(date, raw.time.micros())
            };
            let common = Common {
                head: raw.head,
                obid: raw.obid,
                class: raw.vscp_class,
                vscp_type: raw.vscp_type,
                guid: raw.guid,
                size: raw.size_data,
                data: raw.pdata,
            };
            (common, time)
        }
    };
    let size = usize::from(common.size);
    let data = match size {
        0 => Data::default(),
        // Hosts have been seen to hand over wild sizes and pointers together.
        _ if size > MAX_DATA || common.data.is_null() => return None,
        // SAFETY: the caller promises that many bytes.
        _ => Data::try_from(unsafe { std::slice::from_raw_parts(common.data, size) }).ok()?,
    };
    Some(Event {
        head: Head::new(common.head),
        class: common.class,
        vscp_type: common.vscp_type,
        obid: common.obid,
        guid: Guid::from(common.guid),
        time: time.unwrap_or(EventTime::Unix { nanos: now }),
        data,
    })
}

fn classic_time(date: DateFields, micros: u32) -> Option<EventTime> {
    date.seconds()
        .map(|seconds| EventTime::Classic { seconds, micros })
}

/// Fills in an event of the host: every field but `crc`, which lies behind the end of the other
/// layout.
///
/// # Safety
/// `event` must point to an event of this layout that may be written to.
pub(super) unsafe fn write(
    event: *mut c_void,
    layout: Layout,
    found: &Event,
) -> Result<(), NoMemory> {
    let pdata = allocate(&found.data)?;
    let size = found.data.len() as u16;
    // SAFETY: the caller promises an event of the layout; fields are written where they lie,
    // aligned or not, without making a reference to what may not be initialised.
    unsafe {
        match layout {
            Layout::Classic => {
                let raw = event.cast::<ClassicEvent>();
                let date = found.time.fields();
                addr_of_mut!((*raw).head).write_unaligned(found.head.classic());
                addr_of_mut!((*raw).obid).write_unaligned(found.obid);
                addr_of_mut!((*raw).year).write_unaligned(date.year);
                addr_of_mut!((*raw).month).write_unaligned(date.month);
                addr_of_mut!((*raw).day).write_unaligned(date.day);
                addr_of_mut!((*raw).hour).write_unaligned(date.hour);
                addr_of_mut!((*raw).minute).write_unaligned(date.minute);
                addr_of_mut!((*raw).second).write_unaligned(date.second);
                addr_of_mut!((*raw).timestamp).write_unaligned(found.time.micros());
                addr_of_mut!((*raw).vscp_class).write_unaligned(found.class);
                addr_of_mut!((*raw).vscp_type).write_unaligned(found.vscp_type);
                addr_of_mut!((*raw).guid).write_unaligned(*found.guid.bytes());
                addr_of_mut!((*raw).size_data).write_unaligned(size);
                addr_of_mut!((*raw).pdata).write_unaligned(pdata);
            }
            Layout::V2 => {
                let raw = event.cast::<V2Event>();
                let time = V2Time(found.time.nanos().to_ne_bytes());
                addr_of_mut!((*raw).head).write_unaligned(found.head.unix());
                addr_of_mut!((*raw).obid).write_unaligned(found.obid);
                addr_of_mut!((*raw).year).write_unaligned(UNIX_YEAR);
                addr_of_mut!((*raw).month).write_unaligned(UNIX_MONTH);
                addr_of_mut!((*raw).time).write_unaligned(time);
                addr_of_mut!((*raw).vscp_class).write_unaligned(found.class);
                addr_of_mut!((*raw).vscp_type).write_unaligned(found.vscp_type);
                addr_of_mut!((*raw).guid).write_unaligned(*found.guid.bytes());
                addr_of_mut!((*raw).size_data).write_unaligned(size);
                addr_of_mut!((*raw).pdata).write_unaligned(pdata);
            }
        }
    }
    Ok(())
}

/// A block that the host may give to `free`, as it does (or to `delete[]`, which is the same).
fn allocate(data: &[u8]) -> Result<*mut u8, NoMemory> {
    if data.is_empty() {
        return Ok(std::ptr::null_mut());
    }
    // SAFETY: malloc takes any size.
    let block = unsafe { libc::malloc(data.len()) }.cast::<u8>();
    if block.is_null() {
        return Err(NoMemory);
    }
    // SAFETY: the block is new and has room for the data.
    unsafe { block.copy_from_nonoverlapping(data.as_ptr(), data.len()) };
    Ok(block)
}

#[cfg(test)]
mod tests;

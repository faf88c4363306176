//! The checks: each takes any bytes, and panics where the driver does not keep a promise.
//!
//! | module | what |
//! |---|---|
//! | `lines` | lines from bytes |
//! | `session` | the dialogue of a client |
//! | `binary` | the frames of the binary mode, and the dialogue in them |
//! | `events` | the forms of an event, and payloads |
//! | `values` | GUIDs, dates, filters |
//! | `topics` | topic templates |
//! | `far_end` | what comes by a link: numbered events, frames |
//! | `discovery` | probes, and what is answered to them |
//! | `files` | the driver's file, the users file |
//! | `ws` | the dialogues of websocket clients |

mod binary;
mod discovery;
mod events;
mod far_end;
mod files;
mod lines;
mod session;
mod topics;
mod values;
mod ws;

use vscpl2drv_link::event::text::Defaults;
use vscpl2drv_link::event::{Event, Guid};

pub use binary::{binary_frame, binary_session};
pub use discovery::discovery;
pub use events::{event_text, frame, json, payload, xml};
pub use far_end::{far_end, numbered};
pub use files::{driver_file, users_file};
pub use lines::line;
pub use session::session;
pub use topics::topic;
pub use values::{date, filter, guid};
pub use ws::{ws1, ws2};

/// A check.
pub type Check = fn(&[u8]);

/// Every check, by the name of its target and of its folder in `fuzz/corpus`.
pub const ALL: &[(&str, Check)] = &[
    ("binary_frame", binary_frame),
    ("binary_session", binary_session),
    ("date", date),
    ("discovery", discovery),
    ("driver_file", driver_file),
    ("event_text", event_text),
    ("far_end", far_end),
    ("filter", filter),
    ("frame", frame),
    ("guid", guid),
    ("json", json),
    ("line", line),
    ("numbered", numbered),
    ("payload", payload),
    ("session", session),
    ("topic", topic),
    ("users_file", users_file),
    ("ws1", ws1),
    ("ws2", ws2),
    ("xml", xml),
];

/// A moment in 2023, in nanoseconds.
const NOW: u64 = 1_700_000_000_123_456_789;

/// What an event without them gets.
fn defaults() -> Defaults {
    let guid: [u8; 16] = std::array::from_fn(|at| at as u8);
    Defaults {
        now: NOW,
        obid: 7,
        guid: Guid::from(guid),
    }
}

/// Everything but the time and the obid, which not every form has.
fn same(back: &Event, event: &Event) {
    assert_eq!(
        (back.head, back.class, back.vscp_type, back.guid, &back.data),
        (
            event.head,
            event.class,
            event.vscp_type,
            event.guid,
            &event.data
        )
    );
}

/// The date, and the time stamp in microseconds.
fn same_classic_time(back: &Event, event: &Event) {
    assert_eq!(back.time.seconds(), event.time.seconds());
    assert_eq!(back.time.micros(), event.time.micros());
}

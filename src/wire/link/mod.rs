//! The tcp/ip link protocol, without any I/O (VSCP specification, "tcp/ip link protocol").
//!
//! | module | what |
//! |---|---|
//! | [`command`] | the table of commands: names, access, help; a line to its command |
//! | [`reply`] | every text that the server says |
//! | [`answer`] | what commands are answered with, as text or as a frame |
//! | [`numbered`] | events of a link between two drivers of this kind, as text |
//! | [`packed`] | the same, and the rest of what such a link says, in frames |
//! | [`request`] | what a session asks of the rest of the driver |
//! | [`session`] | one client's dialogue: a line in, a reply or a [`Request`] out |
//! | [`history`] | what `+` repeats |
//! | [`frames`] | the other side of the binary mode: words to frames, frames to lines |

pub mod answer;
pub mod command;
pub mod frames;
pub mod history;
pub mod numbered;
pub mod packed;
pub mod reply;
pub mod request;
pub mod session;

pub use answer::{Answer, Statistics};
pub use request::{Request, Which};
pub use session::{Identity, LINE_BEFORE_LOGIN, LINK_VERSION, Session, Terms};

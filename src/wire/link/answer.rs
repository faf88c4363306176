//! Answers with something in them, in the form of either mode.

use super::packed;
use super::reply::{self, Capabilities, InterfaceRow, LastError, Status};
use crate::event::Guid;
use crate::wire::binary::code::error;

/// What a command is answered with.
#[derive(Debug)]
pub enum Answer {
    /// How it ended, and nothing else.
    Status(Status),
    /// How many events wait.
    Count(usize),
    /// The statistics of a channel.
    Statistics(Statistics),
    /// The state of a channel.
    Info {
        /// 0 when all uplinks are up.
        status: u32,
        /// What went wrong last.
        error: LastError,
    },
    /// The id of a channel.
    Channel(u16),
    /// The GUID of a channel.
    Guid(Guid),
    /// How far a link was heard.
    Linked {
        /// The number of the last event.
        last: u64,
        /// Marks of the brokers that this driver uses.
        brokers: String,
    },
    /// The queue of a link.
    Queue(u64),
    /// The version of the driver.
    Version,
    /// A session id.
    Sid([u8; 16]),
    /// What the server can do.
    Capabilities(Capabilities),
    /// The channels of the server.
    Interfaces(Vec<InterfaceRow>),
    /// What a test found: a line for each thing that was looked at.
    Tested {
        /// The lines, each with its end.
        report: String,
        /// All is well.
        well: bool,
    },
}

/// Counters of a channel, from the driver's side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Events that had no room in the client's queue.
    pub overruns: u64,
    /// Data bytes from the client.
    pub received_bytes: u64,
    /// Events from the client.
    pub received: u64,
    /// Data bytes to the client.
    pub transmitted_bytes: u64,
    /// Events to the client.
    pub transmitted: u64,
}

/// What a binary INTERFACE asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfacePart {
    /// How many there are.
    Count,
    /// One of them.
    One(u16),
    /// One was ended.
    Closed(u16),
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Answer {
    /// How it ended.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Status(status) => *status,
            Self::Tested { well: false, .. } => reply::INTERNAL,
            _ => reply::SUCCESS,
        }
    }

    /// Appends the lines of it, the status last.
    pub(super) fn write_text(&self, out: &mut Vec<u8>) {
        let mut say = |text: &str| out.extend_from_slice(text.as_bytes());
        match self {
            Self::Status(_) => {}
            Self::Count(count) => say(&format!("{count}\r\n")),
            Self::Statistics(s) => say(&format!(
                "0,0,{},{},{},{},{}\r\n",
                s.overruns, s.received_bytes, s.received, s.transmitted_bytes, s.transmitted
            )),
            Self::Info { status, error } => say(&error.line(*status)),
            Self::Channel(id) => say(&format!("{id}\r\n")),
            Self::Guid(guid) => say(&format!("{guid}\r\n")),
            Self::Linked { last, brokers } => say(&format!("{brokers}\r\n{last}\r\n")),
            Self::Queue(queue) => say(&format!("{queue:016x}\r\n")),
            Self::Version => say(&format!("{}\r\n", reply::version())),
            Self::Sid(sid) => {
                let digits = hex(sid);
                return say(&format!("+OK - {digits}\r\n"));
            }
            Self::Capabilities(capabilities) => say(&format!("{}\r\n", capabilities.text())),
            Self::Interfaces(rows) => rows.iter().for_each(|row| say(&row.text())),
            Self::Tested { report, .. } => say(&report.replace("+OK", "OK").replace("-OK", "OK")),
        }
        say(self.status().text());
    }

    /// The argument of a reply frame, all numbers with their most significant byte first; or the
    /// error where there is no such thing.
    pub(super) fn argument(&self, part: Option<InterfacePart>) -> Result<Vec<u8>, u16> {
        let mut out = Vec::new();
        match self {
            Self::Status(_) => {
                if let Some(InterfacePart::Closed(at)) = part {
                    out.extend(2_u16.to_be_bytes());
                    out.extend(at.to_be_bytes());
                }
            }
            Self::Count(count) => out.extend(word(*count as u64)),
            Self::Statistics(s) => {
                out.extend([0; 12]);
                let numbers = [
                    s.received_bytes,
                    s.received,
                    s.transmitted_bytes,
                    s.transmitted,
                    s.overruns,
                ];
                out.extend(numbers.into_iter().flat_map(word));
            }
            Self::Info { status, error } => {
                out.extend(status.to_be_bytes());
                out.extend(error.code.to_be_bytes());
                out.extend(word(error.subcode));
                out.extend(text(&error.harmless(), 80));
            }
            Self::Channel(id) => out.extend(word((*id).into())),
            Self::Guid(guid) => out.extend(guid.bytes()),
            Self::Linked { last, brokers } => {
                out.extend(packed::words(format!("{last} {brokers}").trim_end()));
            }
            Self::Queue(queue) => out.extend(packed::words(&format!("{queue:016x}"))),
            Self::Version => {
                let version = reply::version();
                let mut numbers = version.split(',').map(|n| n.parse::<u16>().unwrap_or(0));
                for number in numbers.by_ref().take(3) {
                    out.extend(number.to_be_bytes());
                }
                out.extend(word(numbers.next().unwrap_or(0).into()));
            }
            Self::Sid(sid) => out.extend(hex(sid).into_bytes()),
            Self::Capabilities(capabilities) => out.extend(capabilities.bits().to_be_bytes()),
            Self::Interfaces(rows) => match part {
                Some(InterfacePart::One(at)) => {
                    let row = rows.get(usize::from(at)).ok_or(error::INDEX)?;
                    out.extend(1_u16.to_be_bytes());
                    out.extend(at.to_be_bytes());
                    out.extend(row.guid.bytes());
                    out.extend(text(&row.name(), 64));
                }
                _ => out.extend(u16::try_from(rows.len()).unwrap_or(u16::MAX).to_be_bytes()),
            },
            Self::Tested { well, .. } => out.extend(word(u64::from(!well))),
        }
        Ok(out)
    }
}

/// The low 32 bits, which is what there is room for.
fn word(number: u64) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

/// A text of at most `most` bytes, its zero counted.
fn text(text: &str, most: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(most);
    for c in text.chars() {
        if bytes.len() + c.len_utf8() >= most {
            break;
        }
        bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
    }
    bytes.push(0);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

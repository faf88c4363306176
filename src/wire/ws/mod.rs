//! The websocket protocols ws1 and ws2, without any I/O (VSCP specification, "Websocket").
//!
//! Both are one dialogue in two languages: ws1 says it in fields with `;` between them, ws2 in
//! JSON objects. A message is one text message of the websocket.
//!
//! | module | what |
//! |---|---|
//! | [`code`] | the error codes and their texts |
//! | [`auth`] | the user name and the password of AUTH, encrypted |
//! | [`command`] | the table of commands |
//! | [`answer`] | every text that the server says |
//! | [`request`] | what a session asks of the rest of the driver |
//! | [`session`] | one client's dialogue: a message in, an answer or a [`Request`] out |
//! | [`client`] | the other side: requests out, answers in |

pub mod answer;
pub mod auth;
pub mod client;
pub mod code;
pub mod command;
mod message;
pub mod request;
pub mod session;
mod ws1;
mod ws2;

pub use code::Code;
pub use request::Request;
pub use session::{Identity, Session, Terms};

use crate::event::Event;
use crate::event::json::{self, Generation};
use crate::event::text::{self, TextForm};

/// A session id: sixteen random bytes. As text 32 upper case digits.
pub type Sid = [u8; 16];

/// Which of the two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Fields with `;` between them.
    Ws1,
    /// JSON objects.
    Ws2,
}

impl Dialect {
    /// `ws1` or `ws2`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws1 => "ws1",
            Self::Ws2 => "ws2",
        }
    }
}

/// Appends the message that brings an event. `generation` says which names it has in ws2.
pub fn write_event(dialect: Dialect, event: &Event, generation: Generation, out: &mut Vec<u8>) {
    match dialect {
        Dialect::Ws1 => {
            out.extend_from_slice(b"E;");
            text::write(event, TextForm::Legacy, out);
        }
        Dialect::Ws2 => {
            out.extend_from_slice(b"{ \"type\" : \"EVENT\",  \"event\" :  ");
            json::write(event, generation, out);
            out.extend_from_slice(b" }");
        }
    }
}

/// Upper case digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Digits in either case, two for each byte; `None` for anything else.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some((digit(high)? * 16 + digit(low)?) as u8),
            _ => None,
        })
        .collect()
}

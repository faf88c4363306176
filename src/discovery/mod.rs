//! Being found: answers to those who ask which servers there are, and announcements.
//!
//! Questions come as datagrams, or as events by a channel or an uplink; what is answered is the
//! same. A datagram's sender may not be who it says: answers are few and short, so that they are of
//! no use against somebody else.
//!
//! | module | what |
//! |---|---|
//! | `answers` | who is answered, and with what; for datagrams and for events |
//! | `limit` | how many are answered in a second; pure |
//! | `port` | the sockets, and the group |

mod answers;
mod limit;
mod port;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use answers::Answers;
pub use port::{Port, PortError};

use crate::event::frame;
use crate::event::json::Generation;
use crate::os::now;
use crate::wire::discovery::announcement;

/// How often the server announces itself (VSCP specification: once a minute at least).
const ANNOUNCE: Duration = Duration::from_secs(60);
/// How often interfaces that have come since are looked for.
const JOIN: Duration = Duration::from_secs(10);
/// Room for the longest frame, the zero before it, and a byte that says that it was longer.
const ROOM: usize = 1 + 36 + 512 + 2 + 1;
/// The pause after an error, which is there again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers what comes to the port until `stop`, and announces the server where it has a `name`.
pub async fn serve(
    mut port: Port,
    answers: Arc<Answers>,
    name: Option<String>,
    stop: CancellationToken,
) {
    let mut joins = interval(JOIN);
    let mut announcements = interval(ANNOUNCE);
    joins.set_missed_tick_behavior(MissedTickBehavior::Delay);
    announcements.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = [0; ROOM];
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = joins.tick() => port.join(),
            _ = announcements.tick(), if name.is_some() => {
                announce(&port, &answers, name.as_deref().unwrap_or_default());
            }
            received = port.receive(&mut buffer) => match received {
                Ok(datagram) => {
                    let bytes = &buffer[..datagram.length.min(ROOM)];
                    for answer in answers.datagram(bytes, datagram.from, datagram.heard) {
                        port.send(&answer, datagram.from, datagram.heard);
                    }
                    // A flood leaves others their turns.
                    tokio::task::coop::consume_budget().await;
                }
                Err(error) => {
                    tracing::debug!("nothing could be read of a datagram: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

/// On each network what is to be found there.
fn announce(port: &Port, answers: &Answers, name: &str) {
    let services = answers.services();
    for address in port.addresses() {
        for event in announcement(&services, address, name, answers.guid(), now()) {
            let mut bytes = Vec::new();
            // What receivers of any age read.
            frame::write(&event, Generation::Classic, &mut bytes);
            port.send(&bytes, port.group(), address);
        }
    }
}

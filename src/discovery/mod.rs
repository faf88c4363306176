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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use tokio::net::UdpSocket;
    use tokio::time::Instant;

    use super::*;
    use crate::config::load_driver;
    use crate::event::Guid;
    use crate::wire::discovery::{GROUP, Service, read};
    use crate::wire::link::reply::Capabilities;

    /// Who is in the group too.
    fn member(port: u16) -> UdpSocket {
        let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        raw.set_reuse_address(true).unwrap();
        raw.set_nonblocking(true).unwrap();
        raw.bind(&SocketAddrV4::new(GROUP, port).into()).unwrap();
        raw.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
        UdpSocket::from_std(raw.into()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_announces_itself_each_minute() {
        let port = Port::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), GROUP).unwrap();
        let listener = member(port.address().port());
        let allow = load_driver("{\"discovery\": {\"enable\": true}}").unwrap();
        let allow = allow.0.discovery.unwrap().allow;
        let service = Service {
            capabilities: Capabilities::TCPIP,
            port: 9598,
            at: vec![Ipv4Addr::LOCALHOST],
        };
        let stop = CancellationToken::new();
        let answers = Answers::new(Guid::ZERO, allow, vec![service], stop.clone());
        let serving = tokio::spawn(serve(port, answers, Some("it".to_owned()), stop.clone()));
        let mut rounds = Vec::new();
        while rounds.len() < 4 {
            let mut buffer = [0; ROOM];
            let count = listener.recv(&mut buffer).await.unwrap();
            let (_, event) = read(&buffer[..count]).unwrap();
            if (event.class, event.vscp_type) == (20, 9) {
                rounds.push(Instant::now());
            }
        }
        for pair in rounds.windows(2) {
            // The clock goes on by itself where nobody has anything to do, at most to the next look
            // for interfaces.
            let pause = pair[1] - pair[0];
            assert!(
                pause > ANNOUNCE - 2 * JOIN && pause < ANNOUNCE + 2 * JOIN,
                "{pause:?}"
            );
        }
        stop.cancel();
        serving.await.unwrap();
    }
}

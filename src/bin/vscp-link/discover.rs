//! `vscp-link discover`: which servers there are.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::{Guid, frame};
use vscpl2drv_link::os::{interfaces, now};
use vscpl2drv_link::wire::discovery::{Response, probe, read};

use crate::args::DiscoverArgs;
use crate::failure::{Failure, complain};
use crate::table;

/// Bytes of a datagram that are looked at; an answer has some fifty.
const ROOM: usize = 600;
/// Answers that are listed.
const MOST: usize = 10_000;
/// What is a service, and no capability of one.
const SERVICES: [&str; 7] = [
    "link",
    "websocket",
    "UDP",
    "REST",
    "web",
    "raw ethernet",
    "multicast",
];

/// Who is asked, and from which of our addresses.
struct Way {
    socket: UdpSocket,
    own: Ipv4Addr,
    to: Vec<SocketAddrV4>,
}

/// Asks, waits, and prints who has answered.
pub(crate) fn run(args: &DiscoverArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io("nobody can be asked".into(), e))?;
    let found = runtime.block_on(discover(args))?;
    if found.is_empty() {
        return Err(Failure::problem("no server answers"));
    }
    let header = ["ADDRESS", "PORT", "SERVICE", "CAPABILITIES", "GUID"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(found.iter().map(row));
    table::print(&rows)
}

fn row((response, guid): &(Response, Guid)) -> [String; 5] {
    let is_service = |word: &&str| SERVICES.contains(word);
    let (services, rest): (Vec<_>, Vec<_>) = response.words().into_iter().partition(is_service);
    let or_dash = |words: Vec<&str>| match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(", "),
    };
    [
        response.address.to_string(),
        response.port.to_string(),
        or_dash(services),
        or_dash(rest),
        guid.to_string(),
    ]
}

async fn discover(args: &DiscoverArgs) -> Result<BTreeSet<(Response, Guid)>, Failure> {
    let ways = ways(args).await?;
    let (sender, mut receiver) = mpsc::channel(64);
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let ask = async {
        // A datagram may be lost: once more, when half the time is over.
        for _ in 0..2 {
            for way in &ways {
                way.ask().await;
            }
            sleep(Duration::from_millis(500 * args.timeout)).await;
        }
    };
    let hear = futures_util::future::join_all(ways.iter().map(|way| way.hear(&sender)));
    let collect = async {
        let mut found = BTreeSet::new();
        while let Ok(Some(answer)) = timeout_at(deadline, receiver.recv()).await {
            if found.len() < MOST {
                found.insert(answer);
            }
        }
        found
    };
    tokio::select! {
        biased;
        found = collect => Ok(found),
        // Both go on for longer than that.
        _ = async { tokio::join!(ask, hear) } => Ok(BTreeSet::new()),
    }
}

/// One for each of our addresses, and one for hosts that are named.
async fn ways(args: &DiscoverArgs) -> Result<Vec<Way>, Failure> {
    let failed = |own: Ipv4Addr| move |e| Failure::Io(format!("{own} cannot be asked from"), e);
    let mut ways = Vec::new();
    let all: Vec<Ipv4Addr> = match args.interface {
        Some(own) => vec![own],
        None => interfaces().into_iter().flat_map(|one| one.ipv4).collect(),
    };
    for own in all {
        let socket = match open(own) {
            Ok(socket) => socket,
            Err(error) if args.interface.is_some() => return Err(failed(own)(error)),
            Err(error) => {
                complain(&format!("{own} cannot be asked from: {error}"));
                continue;
            }
        };
        // The server on this machine may hear nothing else.
        let mut to = vec![args.group, own];
        if !own.is_loopback() {
            to.push(Ipv4Addr::BROADCAST);
        }
        let to = to.into_iter().map(|ip| SocketAddrV4::new(ip, args.port));
        ways.push(Way {
            socket,
            own,
            to: to.collect(),
        });
    }
    let mut named = Vec::new();
    for host in &args.hosts {
        let found = lookup_host((host.as_str(), args.port))
            .await
            .map_err(|e| Failure::Io(format!("{host} is not known"), e))?;
        let before = named.len();
        named.extend(found.filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        }));
        if named.len() == before {
            return Err(Failure::problem(format!("{host} has no IPv4 address")));
        }
    }
    if !named.is_empty() {
        let own = args.interface.unwrap_or(Ipv4Addr::UNSPECIFIED);
        ways.push(Way {
            socket: open(own).map_err(failed(own))?,
            own,
            to: named,
        });
    }
    Ok(ways)
}

fn open(own: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    if !own.is_unspecified() {
        socket.set_multicast_if_v4(&own)?;
    }
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    UdpSocket::from_std(socket.into())
}

impl Way {
    /// Asks everybody. Where there is no way somebody else may have one.
    async fn ask(&self) {
        let mut bytes = Vec::new();
        // What servers of any age read.
        let question = probe(self.own, Guid::ZERO, now());
        frame::write(&question, Generation::Classic, &mut bytes);
        for to in &self.to {
            let _ = self.socket.send_to(&bytes, to).await;
        }
    }

    /// Hands on what is answered, for ever.
    async fn hear(&self, answers: &mpsc::Sender<(Response, Guid)>) {
        let mut buffer = [0; ROOM];
        loop {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer).await else {
                // Of an earlier question, perhaps; others may still answer.
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let (IpAddr::V4(from), Ok((_, event))) = (from.ip(), read(&buffer[..length])) else {
                continue;
            };
            if let Some(response) = Response::read(&event, from)
                && answers.send((response, event.guid)).await.is_err()
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_is_and_what_it_can() {
        let of = |capabilities| {
            let response = Response {
                address: Ipv4Addr::LOCALHOST,
                port: 1,
                capabilities,
            };
            let [.., service, rest, _] = row(&(response, Guid::ZERO));
            (service, rest)
        };
        let both = |service: &str, rest: &str| (service.to_owned(), rest.to_owned());
        assert_eq!(of(0x8038), both("link", "IPv4, TLS, many clients"));
        assert_eq!(of(0x0400), both("websocket", "-"));
        assert_eq!(
            of(0x2007),
            both("-", "announces, AES-256, AES-192, AES-128")
        );
        assert_eq!(of(0), both("-", "-"));
    }
}

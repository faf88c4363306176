//! Many websocket clients that count what they get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use vscpl2drv_link::wire::ws::Dialect;

use super::websocket::Client;

/// Clients that are logged in and open; every other one speaks ws2.
pub struct Crowd(Vec<(Dialect, std::net::TcpStream)>);

impl Crowd {
    pub fn open(address: SocketAddr, count: usize) -> Self {
        let one = |n| {
            let dialect = if n % 2 == 0 {
                Dialect::Ws1
            } else {
                Dialect::Ws2
            };
            let client = Client::open(address, dialect, "admin");
            (dialect, client.socket.into_inner())
        };
        Self((0..count).map(one).collect())
    }

    /// Counts until each client has had `events`, in order; panics where one is missed. Gives how
    /// long it took from the first of all to the last of all, and what `send` gave, which runs
    /// meanwhile.
    pub fn count<T: Send>(
        self,
        events: usize,
        patience: Duration,
        send: impl FnOnce() -> T + Send,
    ) -> (Duration, T) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tails = Arc::new([Dialect::Ws1, Dialect::Ws2].map(|dialect| {
            let tails = (0..events).map(|number| tail(dialect, number));
            tails.collect::<Vec<_>>()
        }));
        std::thread::scope(|scope| {
            let sender = scope.spawn(send);
            let took = runtime.block_on(async {
                let start = Instant::now();
                let clients = self
                    .0
                    .into_iter()
                    .enumerate()
                    .map(|(number, (dialect, stream))| {
                        stream.set_nonblocking(true).unwrap();
                        let stream = TcpStream::from_std(stream).unwrap();
                        let tails = Arc::clone(&tails);
                        tokio::spawn(async move {
                            let tails = &tails[usize::from(dialect == Dialect::Ws2)];
                            let had = tokio::time::timeout(patience, one(stream, tails));
                            assert_eq!(had.await.ok(), Some(events), "client {number}");
                        })
                    });
                for client in clients.collect::<Vec<_>>() {
                    client.await.unwrap();
                }
                start.elapsed()
            });
            (took, sender.join().unwrap())
        })
    }
}

/// Writes so many events at so many a second, a few each hundredth of a second and by the clock: a
/// round that comes late is made up for. Gives how long that took, and when the last was written.
pub fn paced(events: usize, rate: usize, mut write: impl FnMut(usize)) -> (Duration, Instant) {
    const ROUND: Duration = Duration::from_millis(10);
    let start = Instant::now();
    for (round, first) in (0..).zip((0..events).step_by(rate / 100)) {
        std::thread::sleep((start + round * ROUND).saturating_duration_since(Instant::now()));
        for number in first..events.min(first + rate / 100) {
            write(number);
        }
    }
    (start.elapsed(), Instant::now())
}

/// The event with this number, as the host writes it.
pub fn event(number: usize) -> String {
    format!(
        "0,20,3,,2020-02-20T20:20:20Z,1,::1,{},{}",
        number >> 8 & 255,
        number & 255
    )
}

/// What its message ends in.
fn tail(dialect: Dialect, number: usize) -> String {
    let (high, low) = (number >> 8 & 255, number & 255);
    match dialect {
        Dialect::Ws1 => format!(",0x{high:02X},0x{low:02X}"),
        Dialect::Ws2 => format!("[{high},{low}],\n\"vscpNote\": \"\"\n}} }}"),
    }
}

/// How many events came before the end, at most all; each has to be the next, by what it ends in.
async fn one(mut stream: TcpStream, tails: &[String]) -> usize {
    let (mut bytes, mut had) = (Vec::with_capacity(64 * 1024), 0);
    while had < tails.len() {
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            break;
        }
        let mut rest = &bytes[..];
        while let Some((first, payload, after)) = frame(rest) {
            // A ping asks for nothing that these would give.
            if first == 0x81 {
                let expected = tails.get(had).expect("no more than all come");
                assert!(
                    payload.ends_with(expected.as_bytes()),
                    "{had}: {}",
                    String::from_utf8_lossy(payload)
                );
                had += 1;
            }
            rest = after;
        }
        let used = bytes.len() - rest.len();
        bytes.drain(..used);
    }
    had
}

/// First byte and payload of a frame of a server, and what follows it.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[first, length], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match length {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        length @ ..126 => (usize::from(length), rest),
        other => panic!("a frame of {other}"),
    };
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((first, payload, rest))
}

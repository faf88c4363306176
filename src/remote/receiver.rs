//! Events from the far end: as they come, or asked for where it knows no receive loop.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::RemoteError;
use super::connection::{Connection, printable};
use super::courier::ALIVE;
use super::link::Link;
use super::numbered;
use crate::event::text::{Defaults, parse};
use crate::event::{FilterPair, Guid};
use crate::os::now;

/// A far end in the receive loop says something every two seconds, or answers in the binary mode.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// When to try again what found no room.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
/// How often a far end without a receive loop is asked.
const POLL: Duration = Duration::from_secs(1);
/// Events that are asked for at a time.
const RETRIEVE: u16 = 64;
/// And how often, before something else has its turn.
const ROUNDS: usize = 512;
/// Lines that are looked at before others have their turn.
const BATCH: usize = 256;

/// Takes what comes for as long as the connection stands.
pub(super) async fn receive(
    link: &Link,
    connection: &mut Connection,
) -> Result<Infallible, RemoteError> {
    set_filter(link, connection).await?;
    if let Some(queue) = numbered::listen(link, connection).await? {
        return numbered::receive(link, connection, queue).await;
    }
    let reply = connection.ask(&["RCVLOOP"]).await?;
    if !reply.ok {
        tracing::info!(
            link = link.config().name,
            "the far end has no receive loop ({}), so it is asked for events",
            reply.status
        );
        loop {
            retrieve(link, connection).await?;
            sleep(POLL).await;
        }
    }
    let mut silent = Instant::now() + SILENCE;
    let mut ask = Instant::now() + ALIVE;
    loop {
        link.put();
        let room = link.has_room();
        tokio::select! {
            line = connection.line_until(silent), if room => {
                let line = line?.ok_or(RemoteError::Silent(SILENCE))?;
                silent = Instant::now() + SILENCE;
                ask = Instant::now() + ALIVE;
                take(link, &line)?;
                let mut more = BATCH;
                while more > 0
                    && link.has_room()
                    && let Some(line) = connection.ready()?
                {
                    take(link, &line)?;
                    more -= 1;
                }
                tokio::task::yield_now().await;
            }
            () = sleep(AGAIN), if link.found_no_room() > 0 => {}
            // In the binary mode a receive loop says nothing that is no event, unless it is asked.
            () = sleep_until(ask), if room && connection.is_binary() => {
                connection.put(&["NOOP"])?;
                ask = Instant::now() + ALIVE;
            }
        }
        if !room {
            // A far end that we do not listen to is not silent.
            silent = Instant::now() + SILENCE;
        }
    }
}

/// Fetches all that is there.
pub(super) async fn retrieve(link: &Link, connection: &mut Connection) -> Result<(), RemoteError> {
    for _ in 0..ROUNDS {
        link.put();
        if !link.has_room() {
            // It waits at the far end as well as here.
            return Ok(());
        }
        let count = RETRIEVE.to_string();
        let reply = connection.ask(&["RETR", &count]).await?;
        for line in &reply.lines {
            take(link, line)?;
        }
        // Some give one at a time, whatever they are asked for.
        if !reply.ok || reply.lines.is_empty() {
            return Ok(());
        }
    }
    // The rest another time: there is something to send as well.
    Ok(())
}

/// Tells the far end what is wanted, where not all is. One that does not let us is listened to in
/// full, and what is not wanted is dropped here.
pub(super) async fn set_filter(
    link: &Link,
    connection: &mut Connection,
) -> Result<(), RemoteError> {
    let FilterPair { filter, mask } = link.config().filter_in;
    if link.config().filter_in == FilterPair::default() {
        return Ok(());
    }
    for (command, one) in [("SFLT", filter), ("SMSK", mask)] {
        connection.ask(&[command, &one.to_string()]).await?;
    }
    Ok(())
}

/// A line that the far end sent in its receive loop, or in answer to RETR.
fn take(link: &Link, line: &str) -> Result<(), RemoteError> {
    if line.starts_with("+OK") || line.trim().is_empty() {
        return Ok(());
    }
    if line.starts_with("-OK") {
        return Err(RemoteError::Refused("RCVLOOP", printable(line)));
    }
    let defaults = Defaults {
        now: now(),
        obid: 0,
        guid: Guid::ZERO,
    };
    match parse(line, &defaults) {
        Ok(event) => link.take(event),
        Err(error) => link.malformed(&error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream};
    use tokio::task::JoinHandle;
    use tokio_util::sync::CancellationToken;
    use zeroize::Zeroizing;

    use super::*;
    use crate::config::load_driver;
    use crate::event::text::TextForm;
    use crate::hub::{Hub, Routing};
    use crate::net::stream::Route;
    use crate::remote::connection::Terms;
    use crate::wire::binary::code::error;
    use crate::wire::binary::{Cipher, Frame, FrameReader, Strength, write_reply};
    use crate::wire::link::command::find_code;

    fn link() -> Arc<Link> {
        let text = "{\"links\": {\"host\": \"far\", \"user\": \"me\", \"password\": \"it\"}}";
        let (config, _) = load_driver(text).unwrap();
        let routing = Routing {
            max_out_queue: 10,
            max_websocket_queue: 10,
            receive_sent_events: true,
            interconnect: false,
            filter_in: FilterPair::default(),
            filter_out: FilterPair::default(),
        };
        let hub = Hub::new(Guid::ZERO, routing);
        let stop = CancellationToken::new();
        let started = Link::start(&config.links[0], &hub, TextForm::Legacy, None, stop);
        started.unwrap().0
    }

    /// A far end that answers commands and has a receive loop.
    async fn far_end(stream: &mut BufStream<DuplexStream>) {
        stream.write_all(b"+OK - hello\r\n").await.unwrap();
        for _ in 0..4 {
            stream.flush().await.unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let known = !line.starts_with('X');
            let answer = if known {
                "+OK\r\n"
            } else {
                "-OK - Unknown command\r\n"
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        stream.flush().await.unwrap();
    }

    fn terms(cipher: Option<Cipher>) -> Terms {
        Terms {
            route: Route {
                host: "far".to_owned(),
                port: 1,
                bind: None,
                tls: None,
                nodelay: true,
            },
            user: "me".to_owned(),
            password: Zeroizing::new("it".to_owned()),
            cipher,
            patience: Duration::from_secs(5),
        }
    }

    /// The receiving end; ends with why.
    fn receiving(near: DuplexStream, cipher: Option<Cipher>) -> JoinHandle<RemoteError> {
        let link = link();
        tokio::spawn(async move {
            let terms = terms(cipher);
            let mut connection = Connection::begin(Box::new(near), &terms).await.unwrap();
            let Err(lost) = receive(&link, &mut connection).await;
            lost
        })
    }

    async fn ends_after_silence(receiving: JoinHandle<RemoteError>) {
        assert!(!receiving.is_finished());
        let hung = Instant::now();
        let lost = receiving.await.unwrap();
        assert!(matches!(lost, RemoteError::Silent(SILENCE)), "{lost}");
        let after = hung.elapsed();
        assert!(
            after >= SILENCE && after < SILENCE + Duration::from_secs(1),
            "{after:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_of_silence_are_noticed() {
        let (near, far) = tokio::io::duplex(4096);
        let receiving = receiving(near, None);
        let mut far = BufStream::new(far);
        far_end(&mut far).await;
        // It lives, for a minute.
        for _ in 0..30 {
            sleep(Duration::from_secs(2)).await;
            far.write_all(b"+OK\r\n").await.unwrap();
            far.flush().await.unwrap();
        }
        ends_after_silence(receiving).await;
    }

    /// It says nothing by itself in its receive loop, but answers.
    #[tokio::test(start_paused = true)]
    async fn a_far_end_of_the_binary_mode_is_asked_whether_it_lives() {
        let (near, far) = tokio::io::duplex(4096);
        let cipher = Cipher::new(Strength::Aes128, &[7; 16]).unwrap();
        let receiving = receiving(near, Some(cipher.clone()));
        let mut far = BufStream::new(far);
        far.write_all(b"+OK - hello\r\n").await.unwrap();
        far.flush().await.unwrap();
        let mut line = String::new();
        far.read_line(&mut line).await.unwrap();
        far.write_all(b"+OK\r\n").await.unwrap();
        let mut reader = FrameReader::default();
        let mut asked = 0;
        while asked < 12 {
            far.flush().await.unwrap();
            far.read_buf(reader.room()).await.unwrap();
            let Some((Frame::Command { code, .. }, _)) = reader.next_frame(&cipher, false).unwrap()
            else {
                panic!("a command");
            };
            asked += usize::from(code == 0);
            let error = match find_code(code).map(|entry| entry.names[0]) {
                Some("XRCV") => error::NOT_SUPPORTED,
                _ => error::SUCCESS,
            };
            let mut out = Vec::new();
            write_reply(code, error, b"", &cipher, &mut out).unwrap();
            far.write_all(&out).await.unwrap();
        }
        far.flush().await.unwrap();
        // For a minute it lived.
        ends_after_silence(receiving).await;
    }

    /// A way out without room, for as long as it is shut.
    #[derive(Debug, Default)]
    struct Door {
        open: std::sync::atomic::AtomicBool,
        passed: std::sync::atomic::AtomicUsize,
    }

    impl crate::hub::Uplink for Door {
        fn name(&self) -> &str {
            "door"
        }

        fn reserve(&self, _: &crate::hub::SharedEvent) -> bool {
            self.open.load(std::sync::atomic::Ordering::SeqCst)
        }

        fn commit(&self, _: Arc<crate::hub::SharedEvent>) {
            self.passed
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }

        fn release(&self, _: &crate::hub::SharedEvent) {}

        fn status(&self) -> crate::hub::UplinkStatus {
            crate::hub::UplinkStatus::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_found_no_room_leaves_as_soon_as_there_is_and_silence_is_noticed_meanwhile() {
        use std::sync::atomic::Ordering::SeqCst;
        let (near, far) = tokio::io::duplex(4096);
        let link = link();
        let door = Arc::new(Door::default());
        link.hub().add_uplink(Arc::clone(&door) as _);
        let terms = terms(None);
        let receiving = tokio::spawn(async move {
            let mut connection = Connection::begin(Box::new(near), &terms).await.unwrap();
            let Err(lost) = receive(&link, &mut connection).await;
            lost
        });
        let mut far = BufStream::new(far);
        far_end(&mut far).await;
        // Without a pause that would be long enough for another look.
        for n in 0..100 {
            if n == 50 {
                assert_eq!(door.passed.load(SeqCst), 0);
                door.open.store(true, SeqCst);
            }
            let line = format!("0,20,3,,,,::9,{n}\r\n");
            far.write_all(line.as_bytes()).await.unwrap();
            far.flush().await.unwrap();
            sleep(AGAIN / 2).await;
        }
        assert!(door.passed.load(SeqCst) >= 99, "{door:?}");
        door.open.store(false, SeqCst);
        far.write_all(b"0,20,3,,,,::9,7\r\n").await.unwrap();
        far.flush().await.unwrap();
        let hung = Instant::now();
        let lost = receiving.await.unwrap();
        assert!(matches!(lost, RemoteError::Silent(SILENCE)), "{lost}");
        assert!(hung.elapsed() < SILENCE + Duration::from_secs(1));
    }

    /// Nothing is sent, so that nothing is answered either: the far end is asked whether it lives.
    #[tokio::test(start_paused = true)]
    async fn a_far_end_that_hangs_is_noticed_by_a_side_that_only_sends() {
        use crate::remote::courier;
        for numbers in [false, true] {
            let (near, far) = tokio::io::duplex(4096);
            let (link, terms) = (link(), terms(None));
            let sending = tokio::spawn(async move {
                let mut connection = Connection::begin(Box::new(near), &terms).await.unwrap();
                let lost = match numbers {
                    true => numbered::carry(&link, &mut connection, 0).await,
                    false => courier::carry(&link, &mut connection, TextForm::Legacy).await,
                };
                let Err(lost) = lost;
                lost
            });
            let mut far = BufStream::new(far);
            far.write_all(b"+OK - hello\r\n").await.unwrap();
            // USER, PASS, and for a minute NOOP.
            for n in 0..14 {
                far.flush().await.unwrap();
                let mut line = String::new();
                far.read_line(&mut line).await.unwrap();
                assert_eq!(line == "NOOP\r\n", n >= 2, "{line}");
                far.write_all(b"+OK\r\n").await.unwrap();
            }
            far.flush().await.unwrap();
            assert!(!sending.is_finished());
            let hung = Instant::now();
            let lost = sending.await.unwrap();
            assert!(matches!(lost, RemoteError::Silent(_)), "{lost}");
            assert!(hung.elapsed() < SILENCE + Duration::from_secs(1));
        }
    }
}

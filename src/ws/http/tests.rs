//! Deadlines, by a clock that waits for nobody.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::fixture::{PEER, context, seat};
use super::*;
use crate::config::model::Limits;

const LENGTH: usize = 500_000;
/// Bytes on the line: what the server has written and nobody has read.
const LINE: usize = 4096;

/// The other end of a connection, and the server's task.
struct Peer {
    stream: DuplexStream,
    server: JoinHandle<()>,
    start: Instant,
    _place: tempfile::TempDir,
}

impl Peer {
    /// `login` and `response` are the deadlines in seconds.
    fn connect(login: u64, response: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("large"), vec![b'x'; LENGTH]).unwrap();
        let limits = Limits {
            login_timeout: Duration::from_secs(login),
            response_timeout: Duration::from_secs(response),
            ..Limits::default()
        };
        let context = context(limits, Some(place.path().to_owned()), false);
        let (near, far) = tokio::io::duplex(LINE);
        Self {
            stream: near,
            server: tokio::spawn(run(
                far,
                PEER.into(),
                Beneath::Plain,
                context,
                seat(),
                Ends::default(),
            )),
            start: Instant::now(),
            _place: place,
        }
    }

    async fn ask(&mut self, line: &str) {
        let request = format!("GET {line} HTTP/1.1\r\nHost: x\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads so much at a time, each second, up to the end. Gives how much came.
    async fn read_slowly(&mut self, step: usize) -> usize {
        let (mut buffer, mut had) = (vec![0; step], 0);
        loop {
            match self.stream.read(&mut buffer).await {
                Ok(count @ 1..) => had += count,
                Ok(0) | Err(_) => return had,
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// When the server was done with it, in whole seconds.
    async fn end(self) -> u64 {
        self.server.await.unwrap();
        self.start.elapsed().as_secs()
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_read_slowly_comes_whole() {
    let mut peer = Peer::connect(5, 3);
    peer.ask("/large").await;
    let had = peer.read_slowly(LINE).await;
    assert!((LENGTH..LENGTH + 1000).contains(&had), "{had}");
    // More than a hundred reads, a second each; and then nothing further was to be had.
    assert!(peer.end().await >= 100);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_read_is_given_up() {
    for (login, response) in [(5, 12), (60, 12)] {
        let mut peer = Peer::connect(login, response);
        peer.ask("/large").await;
        let mut some = [0; 100];
        peer.stream.read_exact(&mut some).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        // The last sign that somebody reads.
        peer.stream.read_exact(&mut some).await.unwrap();
        assert_eq!(peer.end().await, 2 + response, "{login}");
    }
}

/// The README's numbers.
#[tokio::test(start_paused = true)]
async fn the_head_of_a_request_may_have_16_kib_and_ten_seconds() {
    for (length, answered) in [(16 * 1024, true), (16 * 1024 + 1, false)] {
        let mut peer = Peer::connect(60, 30);
        let (first, end) = ("GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n");
        let filling = "x".repeat(length - first.len() - end.len());
        let request = format!("{first}{filling}{end}");
        for piece in request.as_bytes().chunks(64) {
            // Where it is refused the end of it may find nobody.
            let _ = peer.stream.write_all(piece).await;
            // It is read before there is more.
            sleep(Duration::from_millis(1)).await;
        }
        let mut answer = vec![0; 1000];
        let count = peer.stream.read(&mut answer).await.unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), answered, "{answer}");
    }
    let Peer {
        mut stream,
        server,
        start,
        _place,
    } = Peer::connect(60, 30);
    // As long as it is not whole, however much of it comes.
    let dribble = async {
        for byte in *b"GET /healthz HTTP/1.1\r\nHost: x\r\n" {
            let _ = stream.write_all(&[byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        ended = server => ended.unwrap(),
        () = dribble => panic!("it waits for ever"),
    }
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_there_is_no_further_answer() {
    // Nothing is on its way.
    let peer = Peer::connect(5, 30);
    assert_eq!(peer.end().await, 5);
    // One after the other is no way to stay.
    let mut peer = Peer::connect(5, 30);
    let mut answers = 0;
    loop {
        let mut buffer = [0; 1000];
        if peer
            .stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .is_err()
        {
            break;
        }
        match peer.stream.read(&mut buffer).await {
            Ok(1..) => answers += 1,
            _ => break,
        }
        sleep(Duration::from_millis(900)).await;
    }
    assert!((4..=6).contains(&answers), "{answers}");
    assert_eq!(peer.end().await, 5);
    // What was asked ahead, behind a file that is read slowly, is not answered any more.
    let mut peer = Peer::connect(5, 30);
    peer.ask("/large").await;
    peer.ask("/large").await;
    let had = peer.read_slowly(LINE).await;
    assert!((LENGTH..LENGTH + 1000).contains(&had), "{had}");
    peer.end().await;
}

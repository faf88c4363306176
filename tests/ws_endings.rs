//! How websockets end: what was taken is answered, places are free again, and the client is told.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::time::{Duration, Instant};

use tempfile::TempDir;

mod support;

use support::client::Client as LinkClient;
use support::mosquitto::free_port;
use support::raw::{CLOSE, Came, PING, Raw, TEXT, frame};
use support::websocket::{Client, Server};
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

/// An event of this dialect, in a frame.
fn event(dialect: Dialect) -> Vec<u8> {
    let text = match dialect {
        Ws1 => "E;0,20,3,,,,-,1".to_owned(),
        Ws2 => "{\"type\": \"EVENT\", \"event\": {\"class\": 20, \"type\": 3}}".to_owned(),
    };
    frame(TEXT, text.as_bytes())
}

#[test]
fn what_is_on_the_disk_is_answered_though_the_client_leaves_at_once() {
    for sync in [false, true] {
        let place = TempDir::new().unwrap();
        // Nobody is there: what waits stays on the disk.
        let disk = format!(
            "\"outbox\": {{\"path\": {:?}, \"sync\": {sync}}}, \"mqtt\": {{\"host\": \"127.0.0.1\", \
              \"port\": {}, \"publish\": [\"vscp/x\"]}},",
            place.path(),
            free_port()
        );
        let server = Server::start("", &disk);
        for dialect in BOTH {
            for (last, after) in [
                (frame(CLOSE, &1000_u16.to_be_bytes()), true),
                (frame(PING, b"x"), false),
                (Vec::new(), false),
            ] {
                let client = Client::log_in(server.address(), dialect, "admin");
                let mut raw = Raw::over(client.socket.into_inner());
                raw.send([event(dialect).repeat(3), last.clone()].concat());
                if !after {
                    raw.half_close();
                }
                let mut texts = 0;
                let end = loop {
                    match raw.came() {
                        Came::Text(text) => {
                            assert!(text.contains('+') && text.contains("EVENT"), "{text}");
                            texts += 1;
                        }
                        Came::Pong(_) => {}
                        end => break end,
                    }
                };
                assert_eq!(texts, 3, "{dialect:?} {after} {end:?}");
                assert_eq!(matches!(end, Came::Close(Some(1000), _)), after, "{end:?}");
            }
        }
        server.driver.close();
    }
}

#[test]
fn a_server_that_stops_says_so_and_waits_for_nobody() {
    for shuts_down in [true, false] {
        let server = Server::start("", "");
        let mut open: Vec<Raw> = BOTH
            .into_iter()
            .map(|dialect| Client::open(server.address(), dialect, "admin"))
            .map(|client| Raw::over(client.socket.into_inner()))
            .collect();
        open.push(Raw::ws1(server.address()));
        // One has half a message on the way, and one only speaks HTTP.
        open[0].send(&frame(TEXT, b"C;NOOP")[..3]);
        let http = Raw::connect(server.address());
        let silent = Client::open(server.address(), Ws1, "admin");
        if shuts_down {
            let mut admin = LinkClient::log_in(server.link());
            assert_eq!(admin.ask("shutdown"), ["+OK - Success."]);
        }
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for mut raw in open {
                    let close = raw.came();
                    assert!(matches!(close, Came::Close(Some(1001), _)), "{close:?}");
                }
            });
            if !shuts_down {
                server.driver.close();
                // However long some of them do not answer.
                assert!(start.elapsed() < Duration::from_secs(5));
            }
        });
        assert_eq!(http.response_or_none(), None);
        drop(silent);
    }
}

//! `vscp-link send` and `monitor` with websocket servers that are odd, or none.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

mod support;

use support::program::{self, End, key_file};
use support::tools::PATIENCE;

const AUTH0: &str = "+;AUTH0;55BCA4DC7C1FD9C3E6967F37C8747698";
const EVENT: &str = "E;0,20,3,0,2001-11-02T18:00:01Z,5,::1,0x01";
const SEND: &str = "send --user admin 0,20,3,,,,-,0,1,35";

/// A server with one client.
struct Server {
    host: String,
    thread: JoinHandle<()>,
}

impl Server {
    fn new(serve: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            host: format!("ws1://{}", listener.local_addr().unwrap()),
            thread: thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                serve(stream);
            }),
        }
    }

    /// One that says AUTH0 and lets everybody in.
    fn greeting(serve: impl FnOnce(WebSocket<TcpStream>) + Send + 'static) -> Self {
        Self::new(|stream| {
            let mut socket = accept(stream).unwrap();
            socket.send(AUTH0.into()).unwrap();
            assert!(text(&mut socket).starts_with("C;AUTH;"));
            socket.send("+;AUTH1;0;admin".into()).unwrap();
            serve(socket);
        })
    }

    /// Runs the program; the server has to come to its end too.
    fn run(self, words: &str) -> End {
        let place = TempDir::new().unwrap();
        let key = key_file(place.path(), "key", &"5a".repeat(16), 0o600);
        let args = ["--key-file", key.to_str().unwrap()];
        let end = program::run(words, &self.host, &args);
        self.thread.join().unwrap();
        end
    }
}

fn text(socket: &mut WebSocket<TcpStream>) -> String {
    socket.read().unwrap().into_text().unwrap().to_string()
}

/// Reads until the client goes.
fn wait(mut stream: TcpStream) {
    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
}

fn assert_fails(end: &End, words: &str) {
    let (code, stdout, stderr) = end;
    assert_eq!((*code, &**stdout), (1, ""), "{stderr}");
    assert!(stderr.contains(words), "{words}: {stderr}");
}

#[test]
fn web_servers_without_a_websocket() {
    for (status, words) in [
        (
            "403 Forbidden",
            "HTTP 403 Forbidden; it, or a proxy before it, lets nobody in",
        ),
        (
            "404 Not Found",
            "HTTP 404 Not Found; give the path that the server has for ws1",
        ),
        (
            "426 Upgrade Required",
            "a proxy before it does not pass them on",
        ),
        (
            "503 Service Unavailable",
            "it has no room for another client",
        ),
        ("400 Bad Request", "it may speak TLS there: write wss1://"),
        (
            "302 Found\r\nLocation: ws://else/ws1",
            "it is elsewhere: ws://else/ws1",
        ),
        (
            "200 OK",
            "there is a web server, but no websocket at this path",
        ),
    ] {
        let server = Server::new(move |mut stream| {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            wait(stream);
        });
        assert_fails(&server.run(SEND), words);
    }
}

#[test]
fn servers_that_say_nothing() {
    let end = Server::new(wait).run(&format!("{SEND} --timeout 1"));
    assert_fails(
        &end,
        "did not answer the request for a websocket within 1 seconds",
    );

    let late = Server::new(|stream| {
        let mut socket = accept(stream).unwrap();
        // Signs of life are no greeting.
        socket.send(Message::Ping("1".into())).unwrap();
        while socket.read().is_ok() {}
    });
    let end = late.run(&format!("{SEND} --timeout 1"));
    assert_fails(&end, "did not say AUTH0 within 1 seconds");

    let mute = Server::greeting(|mut socket| while socket.read().is_ok() {});
    let end = mute.run(&format!("{SEND} --timeout 1"));
    assert_fails(&end, "the server said nothing for 1 seconds");
}

#[test]
fn servers_that_close() {
    let end = Server::new(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
    });
    assert_fails(
        &end.run(SEND),
        "closed the connection instead of opening a websocket",
    );

    let end = Server::new(|stream| {
        let mut socket = accept(stream).unwrap();
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    });
    assert_fails(&end.run(SEND), "closed it before it said AUTH0");

    let end = Server::greeting(|mut socket| {
        socket
            .close(Some(CloseFrame {
                code: CloseCode::Restart,
                reason: "see you\u{1b}".into(),
            }))
            .unwrap();
        while socket.read().is_ok() {}
    });
    let end = end.run(SEND);
    assert_fails(
        &end,
        "the server closed the connection: see you\\u{1b} (1012)",
    );
}

#[test]
fn servers_of_something_else() {
    let end = Server::new(|stream| {
        let mut socket = accept(stream).unwrap();
        socket.send("{\"hello\": \"\u{1b}world\"}".into()).unwrap();
        while socket.read().is_ok() {}
    });
    assert_fails(
        &end.run(SEND),
        "which is nothing of ws1: is it a VSCP server",
    );

    let end = Server::greeting(|mut socket| {
        text(&mut socket);
        socket.send("x".repeat(100_000).into()).unwrap();
        while socket.read().is_ok() {}
    });
    assert_fails(&end.run(SEND), "more than 65536 bytes");
}

#[test]
fn a_monitor_answers_pings_and_passes_over_what_is_no_event() {
    let server = Server::greeting(|mut socket| {
        assert_eq!(text(&mut socket), "C;OPEN");
        socket.send("+;OPEN".into()).unwrap();
        socket.send(Message::Ping("alive?".into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("alive?".into()));
        for message in ["rubbish\u{1b}", "-;EVENT;3;Full.", EVENT] {
            socket.send(message.into()).unwrap();
        }
        // The program says that it goes.
        assert!(socket.read().unwrap().is_close());
        while socket.read().is_ok() {}
    });
    let (code, stdout, stderr) = server.run("monitor --user admin --count 1");
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.lines().count() == 1 && stdout.contains("INFORMATION_ON"),
        "{stdout}"
    );
    assert!(
        stderr.contains("a line is no event")
            && stderr.contains("the server says -OK - Full. (error 3)")
            && !stderr.contains('\u{1b}'),
        "{stderr}"
    );
}

#[test]
fn a_monitor_ends_with_the_connection_where_it_was_told_to() {
    let server = Server::greeting(|mut socket| {
        assert_eq!(text(&mut socket), "C;OPEN");
        socket.send("+;OPEN".into()).unwrap();
    });
    let end = server.run("monitor --user admin --once");
    assert_fails(&end, "vscp-link: the server closed the connection\n");
}

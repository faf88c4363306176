//! Deadlines, by a clock that waits for nobody.

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::super::Context;
use super::super::fixture::{self, KEY, PEER, seat};
use super::*;
use crate::config::model::Limits;
use crate::event::Guid;
use crate::event::text::Defaults;
use crate::gate::Beneath;
use crate::wire::ws::Sid;
use crate::wire::ws::client::{self, Said};

const DEFAULTS: Defaults = Defaults {
    now: 1,
    obid: 0,
    guid: Guid::ZERO,
};

/// The other end of a websocket, and the server's task.
struct Peer {
    dialect: Dialect,
    socket: WebSocketStream<DuplexStream>,
    server: JoinHandle<()>,
    start: Instant,
}

/// A server that nobody has come to.
fn context(foreign_iv: bool) -> Arc<Context> {
    fixture::context(Limits::default(), None, foreign_iv)
}

impl Peer {
    async fn connect() -> Self {
        Self::at(&context(false), Dialect::Ws1).await
    }

    async fn at(context: &Arc<Context>, dialect: Dialect) -> Self {
        Self::over(context, dialect, Beneath::Plain).await
    }

    async fn over(context: &Arc<Context>, dialect: Dialect, beneath: Beneath) -> Self {
        let performer = Performer::new(Arc::clone(context), PEER.into(), seat(), beneath);
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = tokio::spawn(run(far, Bytes::new(), dialect, performer, Ends::default()));
        Self {
            dialect,
            socket: WebSocketStream::from_raw_socket(near, Role::Client, None).await,
            server,
            start: Instant::now(),
        }
    }

    async fn next(&mut self) -> Option<Message> {
        self.socket.next().await.and_then(Result::ok)
    }

    async fn said(&mut self) -> Said {
        match self.next().await {
            Some(Message::Text(text)) => client::read(self.dialect, &text, &DEFAULTS).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn greeting(&mut self) -> Sid {
        match self.said().await {
            Said::Auth0(sid) => sid,
            other => panic!("{other:?}"),
        }
    }

    async fn log_in(&mut self, open: bool) {
        let sid = self.greeting().await;
        let mut requests = vec![client::auth(self.dialect, &KEY, &sid, "admin", "secret")];
        requests.extend(open.then(|| client::open(self.dialect)));
        for request in requests {
            self.send(request).await;
            assert!(matches!(self.said().await, Said::Done { .. }));
        }
    }

    async fn send(&mut self, request: String) {
        self.socket.send(Message::from(request)).await.unwrap();
    }

    /// Sends a wrong login.
    async fn guess(&mut self, sid: &Sid) {
        let auth = client::auth(self.dialect, &KEY, sid, "admin", "wrong");
        self.send(auth).await;
    }

    /// How long the answer to a wrong login takes, in tenths of a second.
    async fn refused_in(&mut self) -> u128 {
        let start = Instant::now();
        match self.said().await {
            Said::Refused { code: 1 | 5, .. } => (start.elapsed().as_millis() + 50) / 100,
            other => panic!("{other:?}"),
        }
    }

    /// Whole seconds since the connection.
    fn seconds(&self) -> u64 {
        self.start.elapsed().as_secs()
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_disconnected() {
    let mut peer = Peer::connect().await;
    let sid = peer.greeting().await;
    // Whatever is said meanwhile.
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.send(client::noop(Dialect::Ws1)).await;
        assert!(matches!(peer.said().await, Said::Done { .. }));
    }
    match peer.next().await {
        Some(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Policy),
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.seconds(), Limits::default().login_timeout.as_secs());
    assert_ne!(sid, [0; 16]);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_asked_and_stays_as_long_as_it_answers() {
    let mut peer = Peer::connect().await;
    peer.log_in(true).await;
    let start = Instant::now();
    for _ in 0..3 {
        // Reading on answers it.
        assert!(matches!(peer.next().await, Some(Message::Ping(_))));
        peer.socket.flush().await.unwrap();
    }
    assert_eq!(start.elapsed().as_secs() / 60, 3);
    // Now it says nothing more, not even that.
    assert!(matches!(peer.next().await, Some(Message::Ping(_))));
    let asked = Instant::now();
    let Peer { socket, server, .. } = peer;
    server.await.unwrap();
    let patience = Limits::default().response_timeout;
    let waited = asked.elapsed();
    assert!(
        waited >= patience && waited <= patience + LINGER + Duration::from_secs(1),
        "{waited:?}"
    );
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn who_is_logged_in_and_not_open_may_be_silent_for_idle_timeout() {
    let context = context(false);
    let mut peer = Peer::at(&context, Dialect::Ws1).await;
    peer.log_in(false).await;
    assert_eq!(context.gate.hub.channels().len(), 1);
    let start = Instant::now();
    let close = loop {
        match peer.next().await {
            Some(Message::Ping(_)) => peer.socket.flush().await.unwrap(),
            other => break other,
        }
    };
    let Some(Message::Close(Some(frame))) = close else {
        panic!("{close:?}");
    };
    assert_eq!(&*frame.reason, "silent for too long");
    // It is out already: nobody waits for its answer to that.
    assert_eq!(context.gate.hub.channels().len(), 0);
    assert!(!peer.server.is_finished());
    let idle = Limits::default().idle_timeout;
    assert!(start.elapsed() >= idle, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shorter_idle_timeout_counts_for_those_who_are_silent_already() {
    let context = context(false);
    let mut peer = Peer::at(&context, Dialect::Ws1).await;
    peer.log_in(false).await;
    let start = Instant::now();
    // Over before it would be asked whether it is there.
    let shorter = ASK / 2;
    tokio::time::sleep(ASK / 4).await;
    let mut rules = (*context.gate.rules()).clone();
    rules.limits.idle_timeout = shorter;
    context.gate.set(rules);
    context.gate.announce();
    assert!(matches!(peer.next().await, Some(Message::Close(_))));
    assert_eq!(context.gate.hub.channels().len(), 0);
    assert_eq!(start.elapsed().as_secs(), shorter.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_login_waits_longer_than_the_one_before_whichever_connection_it_comes_by() {
    let context = context(false);
    let mut waits = Vec::new();
    for (number, dialect) in [Dialect::Ws1, Dialect::Ws2]
        .repeat(3)
        .into_iter()
        .enumerate()
    {
        let mut peer = Peer::at(&context, dialect).await;
        let sid = peer.greeting().await;
        match number % 3 {
            0 => peer.guess(&sid).await,
            // For another session, or nothing that could be one: no better.
            1 => peer.guess(&[9; 16]).await,
            _ => peer.send(client::command(dialect, "AUTH")).await,
        }
        waits.push(peer.refused_in().await);
    }
    // As on the link.
    assert_eq!(waits, [0, 0, 5, 10, 20, 20]);
    // A right one does not wait.
    let mut peer = Peer::at(&context, Dialect::Ws1).await;
    peer.log_in(false).await;
    assert_eq!(peer.start.elapsed().as_millis() / 100, 0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_login_that_is_still_being_checked_is_none() {
    let context = context(true);
    for _ in 0..2 {
        let mut peer = Peer::at(&context, Dialect::Ws1).await;
        let sid = peer.greeting().await;
        peer.guess(&sid).await;
        assert_eq!(peer.refused_in().await, 0);
    }
    for dialect in [Dialect::Ws1, Dialect::Ws2] {
        let mut own = Peer::at(&context, dialect).await;
        let sid = own.greeting().await;
        own.guess(&sid).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut copy = Peer::at(&context, Dialect::Ws2).await;
        copy.greeting().await;
        copy.guess(&sid).await;
        // Its password is not looked at: that would be one more failure, with its wait.
        assert_eq!(copy.refused_in().await, 0, "{dialect:?}");
        assert!(own.refused_in().await > 0, "{dialect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_logged_in_by_a_certificate_need_not_hurry() {
    let context = context(false);
    let longer = Limits::default().login_timeout + Duration::from_secs(5);
    assert!(longer < Limits::default().idle_timeout.min(ASK));
    for (name, stays) in [("admin", true), ("nobody", false)] {
        let beneath = Beneath::Tls(Some(name.to_owned()));
        let mut peer = Peer::over(&context, Dialect::Ws2, beneath).await;
        peer.greeting().await;
        tokio::time::sleep(longer).await;
        assert_eq!(!peer.server.is_finished(), stays, "{name}");
        if stays {
            peer.send(client::open(Dialect::Ws2)).await;
            assert!(matches!(peer.said().await, Said::Done { .. }));
        }
    }
}

#[tokio::test]
async fn what_is_said_while_logins_are_checked_is_kept_and_no_more_than_is_answered_at_once() {
    let (near, far) = tokio::io::duplex(1024 * 1024);
    let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let mut server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    for n in 0..100 {
        let text = format!("{n:>width$}", width = MOST_WAITING / 4);
        client.send(Message::from(text)).await.unwrap();
    }
    let mut waiting = VecDeque::new();
    for n in 0..20 {
        // One of them is the next login.
        assert!(left(&mut server, &mut waiting).now_or_never().is_none());
        assert_eq!(waiting.len(), 4);
        let next = waiting.pop_front().unwrap().into_text().unwrap();
        assert_eq!(next.trim(), n.to_string());
    }
}

#[tokio::test]
async fn who_leaves_during_a_check_has_left_however_much_it_has_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for resets in [true, false] {
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        let far = Held::new(far.unwrap().0, Bytes::new());
        let mut client = WebSocketStream::from_raw_socket(near.unwrap(), Role::Client, None).await;
        let mut server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        for _ in 0..2 * BATCH {
            client.send(Message::from("C;NOOP")).await.unwrap();
        }
        let mut waiting = VecDeque::new();
        let stays = Duration::from_millis(300);
        let stays = tokio::time::timeout(stays, left(&mut server, &mut waiting)).await;
        assert!(stays.is_err());
        assert_eq!(waiting.len(), BATCH);
        if resets {
            let socket = socket2::SockRef::from(client.get_ref());
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
        let end = tokio::time::timeout(Duration::from_secs(30), left(&mut server, &mut waiting));
        assert!(matches!(end.await, Ok(End::Gone)), "{resets}");
        assert_eq!(waiting.len(), BATCH);
    }
}

#[test]
fn a_client_that_has_closed_breaks_no_rule_when_it_is_answered() {
    for error in [
        ProtocolError::SendAfterClosing,
        ProtocolError::ResetWithoutClosingHandshake,
    ] {
        assert!(matches!(End::from(Error::Protocol(error)), End::Gone));
    }
    let wrong = Error::Protocol(ProtocolError::UnexpectedContinueFrame);
    assert!(matches!(End::from(wrong), End::Bad(_)));
}

//! The dialogues against sessions without sockets, in no time: the clock stands still but where
//! everybody waits.

use std::pin::Pin;
use std::task;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream, DuplexStream};

use super::*;
use crate::auth::Rights;
use crate::config;
use crate::event::text::{Defaults, TextForm, parse, write};
use crate::gate::{Gate, Rules};
use crate::hub::{Downlink, Hub, Routing};
use crate::link::standing::{Place, Standings};
use crate::link::{Context, Settings, server};
use crate::net::presence::{Left, Presence};
use crate::wire::link::Terms;
use crate::wire::link::reply::Capabilities;

#[path = "../../tests/support/dialogue.rs"]
#[allow(unreachable_pub)]
mod dialogue;

use dialogue::{Action, Dialogue};

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";

struct Bench {
    hub: Arc<Hub>,
    host: Arc<HostPort>,
    context: Arc<Context>,
}

impl Bench {
    fn new(text: &str) -> Self {
        let (config, _) = config::load_driver(text).unwrap();
        let (users, _) = config::load_users(config.path_users.as_deref().unwrap()).unwrap();
        let guid = GUID.parse().unwrap();
        let hub = Hub::new(
            guid,
            Routing {
                max_out_queue: config.limits.max_out_queue,
                max_websocket_queue: config.limits.max_out_queue,
                receive_sent_events: config.receive_sent_events,
                interconnect: config.interconnect,
                filter_in: config.filter_in,
                filter_out: config.filter_out,
            },
        );
        let host = HostPort::new(config.limits.max_in_queue);
        hub.add_uplink(Arc::clone(&host) as _);
        let rules = Rules {
            limits: config.limits,
            users: Arc::new(users),
            remotes: config.remotes,
            upgrade: None,
        };
        let settings = Settings {
            event_format: config.event_format,
            capabilities: Capabilities::TCPIP.with(Capabilities::IPV4),
            terms: Arc::new(Terms {
                variables: config.variables,
                cipher: config.cipher,
                encrypted_only: config.encrypted_only,
            }),
        };
        let gate = Gate::new(Arc::clone(&hub), rules).unwrap();
        let place = Place {
            folder: None,
            sync: false,
        };
        let standings = Standings::new(Arc::clone(&hub), place, CancellationToken::new());
        Self {
            hub,
            host,
            context: Context::new(gate, mpsc::channel(1).0, settings, standings),
        }
    }

    fn client(&self) -> BufStream<DuplexStream> {
        self.client_from(1)
    }

    /// One from another address of this machine.
    fn client_from(&self, host: u8) -> BufStream<DuplexStream> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let context = Arc::clone(&self.context);
        let peer = ([127, 0, 0, host], 4711).into();
        tokio::spawn(server::serve_stream(far, peer, context, Default::default()));
        BufStream::new(near)
    }
}

/// The next line without its end; `None` at the end of the session.
async fn read_line(client: &mut BufStream<DuplexStream>) -> Option<String> {
    let mut line = Vec::new();
    let read = client.read_until(b'\n', &mut line);
    let patience = Duration::from_secs(30);
    let count = tokio::time::timeout(patience, read)
        .await
        .expect("the server says something");
    if count.unwrap_or(0) == 0 {
        return None;
    }
    let line = String::from_utf8(line).unwrap();
    Some(
        line.strip_suffix("\r\n")
            .expect("CR LF ends every line")
            .to_owned(),
    )
}

async fn play(dialogue: &Dialogue) {
    let bench = Bench::new(&dialogue::config(dialogue, "0"));
    let mut client = bench.client();
    for step in &dialogue.steps {
        let place = format!("{}:{}", dialogue.name, step.line);
        match &step.action {
            Action::Send(bytes) => {
                client.write_all(bytes).await.expect(&place);
                client.flush().await.expect(&place);
            }
            Action::Expect(pattern) => {
                let line = read_line(&mut client).await;
                let line = line.unwrap_or_else(|| panic!("{place}: closed, not {pattern:.60}"));
                assert!(
                    pattern.matches(&line),
                    "{place}: {line:?} is not {pattern:.60}"
                );
            }
            Action::ExpectEnd => assert_eq!(read_line(&mut client).await, None, "{place}"),
            Action::HostWrites(line) => {
                let defaults = Defaults {
                    now: 1,
                    obid: 0,
                    guid: Guid::ZERO,
                };
                bench.hub.deliver(parse(line, &defaults).expect(&place));
            }
            Action::HostReads(pattern) => {
                let event = bench.host.read(Duration::ZERO);
                let mut line = Vec::new();
                let event = event.unwrap_or_else(|e| panic!("{place}: no event: {e:?}"));
                write(&event, TextForm::Legacy, &mut line);
                let line = String::from_utf8(line).unwrap();
                assert!(pattern.matches(&line), "{place}: {line} is not {pattern}");
            }
        }
    }
    assert_eq!(
        bench.host.read(Duration::ZERO).err(),
        Some(ReadError::Timeout)
    );
}

#[tokio::test(start_paused = true)]
async fn dialogues() {
    for dialogue in dialogue::all() {
        play(&dialogue).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_disconnected() {
    let bench = Bench::new(&format!("{{\"path-users\": {:?}}}", dialogue::users()));
    let mut client = bench.client();
    let start = tokio::time::Instant::now();
    for _ in 0..4 {
        read_line(&mut client).await.unwrap();
    }
    // Saying something is not logging in.
    tokio::time::sleep(Duration::from_secs(20)).await;
    client.write_all(b"noop\r\n").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(read_line(&mut client).await.unwrap(), "+OK - Success.");
    assert_eq!(read_line(&mut client).await, None, "closed without a word");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_disconnected_but_not_in_the_receive_loop() {
    let users = dialogue::users();
    let bench = Bench::new(&format!(
        "{{\"path-users\": {users:?}, \"idle-timeout\": 100}}"
    ));
    let mut clients = [bench.client(), bench.client()];
    for client in &mut clients {
        client
            .write_all(b"user admin\npass secret\n")
            .await
            .unwrap();
        client.flush().await.unwrap();
        for _ in 0..6 {
            read_line(client).await.unwrap();
        }
    }
    let [idle, looping] = &mut clients;
    looping.write_all(b"rcvloop\n").await.unwrap();
    looping.flush().await.unwrap();
    read_line(looping).await.unwrap();
    let start = tokio::time::Instant::now();
    let mut alive = 0;
    while start.elapsed() < Duration::from_secs(200) {
        assert_eq!(read_line(looping).await.unwrap(), "+OK");
        alive += 1;
    }
    assert!((99..=101).contains(&alive), "{alive} in 200 s");
    assert_eq!(read_line(idle).await, None);
    assert_eq!(bench.hub.channels().len(), 1);
}

/// The README's numbers.
#[tokio::test(start_paused = true)]
async fn a_line_may_have_8_kib_before_the_login_and_64_kib_after_it() {
    let bench = Bench::new(&format!("{{\"path-users\": {:?}}}", dialogue::users()));
    let mut client = bench.client();
    for (login, most) in [("", 8 * 1024), ("user admin\npass secret\n", 64 * 1024)] {
        client.write_all(login.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        for _ in 0..if login.is_empty() { 4 } else { 2 } {
            read_line(&mut client).await.unwrap();
        }
        for (longer, answer) in [
            (0, "+OK - Success."),
            (1, "-OK - Invalid parameter or format"),
        ] {
            let line = format!("noop{}\r\n", " ".repeat(most - 4 + longer));
            client.write_all(line.as_bytes()).await.unwrap();
            client.flush().await.unwrap();
            assert_eq!(
                read_line(&mut client).await.unwrap(),
                answer,
                "{most} {longer}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shorter_wait_counts_for_those_who_are_silent_already() {
    let users = dialogue::users();
    let bench = Bench::new(&format!(
        "{{\"path-users\": {users:?}, \"idle-timeout\": 100000, \"login-timeout\": 100000}}"
    ));
    let start = tokio::time::Instant::now();
    let (mut stranger, mut idle) = (bench.client(), bench.client());
    idle.write_all(b"user admin\npass secret\n").await.unwrap();
    idle.flush().await.unwrap();
    for _ in 0..6 {
        read_line(&mut idle).await.unwrap();
    }
    for _ in 0..4 {
        read_line(&mut stranger).await.unwrap();
    }
    // Others than those are asked for nothing, and wake nobody.
    for (seconds, login_timeout, idle_timeout) in [(100, 100_000, 100_000), (200, 300, 500)] {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(start.elapsed().as_secs(), seconds);
        let mut rules = (*bench.context.gate.rules()).clone();
        rules.limits.login_timeout = Duration::from_secs(login_timeout);
        rules.limits.idle_timeout = Duration::from_secs(idle_timeout);
        bench.context.gate.set(rules);
        bench.context.gate.announce();
    }
    // Counted from when they came, and from when they said something last.
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert_eq!(bench.hub.channels().len(), 1);
    assert_eq!(read_line(&mut stranger).await, None);
    assert_eq!(start.elapsed().as_secs(), 300);
    tokio::time::sleep(Duration::from_secs(199)).await;
    assert_eq!(bench.hub.channels().len(), 1);
    assert_eq!(read_line(&mut idle).await, None);
    assert_eq!(start.elapsed().as_secs(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_frame_has_response_timeout_to_be_whole() {
    const MOST: u64 = 5;
    let (users, place) = (dialogue::users(), tempfile::tempdir().unwrap());
    let key = place.path().join("key");
    std::fs::write(&key, "00112233445566778899AABBCCDDEEFF").unwrap();
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, own).unwrap();
    let bench = Bench::new(&format!(
        "{{\"path-users\": {users:?}, \"encryption\": \"aes128\", \"key-file\": {key:?}, \
          \"response-timeout\": {}}}",
        1000 * MOST
    ));
    for dribbles in [false, true] {
        let mut client = bench.client();
        client.write_all(b"binary\n").await.unwrap();
        client.flush().await.unwrap();
        for _ in 0..5 {
            read_line(&mut client).await.unwrap();
        }
        // Nobody waits for a frame that has not begun.
        tokio::time::sleep(Duration::from_secs(2 * MOST)).await;
        let start = tokio::time::Instant::now();
        client.write_all(&[0x01]).await.unwrap();
        client.flush().await.unwrap();
        let second = Duration::from_secs(1);
        let end = loop {
            match tokio::time::timeout(second, read_line(&mut client)).await {
                Ok(line) => break line,
                Err(_) if dribbles => {
                    client.write_all(&[0]).await.unwrap();
                    client.flush().await.unwrap();
                }
                Err(_) => {}
            }
        };
        assert_eq!(end, None);
        assert_eq!(start.elapsed().as_secs(), MOST, "{dribbles}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeated_failures_are_answered_later_whatever_is_wrong() {
    /// A wrong login: how many milliseconds its answer takes.
    async fn fail(bench: &Bench, host: u8, user: &str, password: &str) -> u128 {
        let mut client = bench.client_from(host);
        let start = tokio::time::Instant::now();
        let login = format!("user {user}\npass {password}\n");
        client.write_all(login.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        for _ in 0..5 {
            read_line(&mut client).await.unwrap();
        }
        assert_eq!(
            read_line(&mut client).await.unwrap(),
            "-OK - Invalid username or password."
        );
        start.elapsed().as_millis()
    }
    const WAITS: [u128; 6] = [0, 0, 500, 1000, 2000, 2000];
    // A wrong password, no such user, not from here, no right to be here: by name and by address,
    // and in turns.
    let wrong = [
        ("admin", "wrong"),
        ("nobody", "secret"),
        ("elsewhere", "secret"),
        ("web", "secret"),
    ];
    let users = format!("{{\"path-users\": {:?}}}", dialogue::users());
    for (user, password) in wrong {
        for many_addresses in [false, true] {
            let bench = Bench::new(&users);
            let mut waits = Vec::new();
            for n in 1..=6 {
                let host = if many_addresses { n } else { 1 };
                waits.push(fail(&bench, host, user, password).await);
            }
            assert_eq!(waits, WAITS, "{user} {many_addresses}");
        }
    }
    let bench = Bench::new(&users);
    let mut waits = Vec::new();
    for (user, password) in wrong.iter().cycle().take(6) {
        waits.push(fail(&bench, 1, user, password).await);
    }
    assert_eq!(waits, WAITS);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_disconnected_and_hurts_nobody() {
    let users = dialogue::users();
    let bench = Bench::new(&format!(
        "{{\"path-users\": {users:?}, \"max-out-queue\": 100, \"response-timeout\": 5000}}"
    ));
    let mut stuck = bench.client();
    stuck
        .write_all(b"user admin\npass secret\nrcvloop\n")
        .await
        .unwrap();
    stuck.flush().await.unwrap();
    let mut reader = bench.client();
    reader
        .write_all(b"user admin\npass secret\nrcvloop\n")
        .await
        .unwrap();
    reader.flush().await.unwrap();
    for client in [&mut stuck, &mut reader] {
        for _ in 0..7 {
            read_line(client).await.unwrap();
        }
    }
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    let big = vec!["255"; 512].join(",");
    for n in 0..1000 {
        bench
            .hub
            .deliver(parse(&format!("0,20,{n},,,,-,{big}"), &defaults).unwrap());
        loop {
            let line = read_line(&mut reader).await.unwrap();
            if line != "+OK" {
                assert!(line.starts_with(&format!("0,20,{n},")), "{line:.40}");
                break;
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.hub.channels().len(), 1, "the one that reads");
    assert!(bench.hub.totals().dropped.load(Ordering::Relaxed) > 500);
}

/// Remembers each write as it was made.
struct Recorder {
    stream: DuplexStream,
    writes: Arc<Mutex<Vec<String>>>,
}

impl Presence for Recorder {
    async fn left(&self) -> Left {
        self.stream.left().await
    }
}

impl tokio::io::AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<std::io::Result<usize>> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        self.writes.lock().unwrap().push(text);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test(start_paused = true)]
async fn replies_are_single_writes() {
    let users = dialogue::users();
    let bench = Bench::new(&format!("{{\"path-users\": {users:?}}}"));
    let (near, far) = tokio::io::duplex(1 << 20);
    let writes: Arc<Mutex<Vec<String>>> = Arc::default();
    let recorder = Recorder {
        stream: far,
        writes: Arc::clone(&writes),
    };
    let context = Arc::clone(&bench.context);
    let peer = ([127, 0, 0, 1], 4711).into();
    tokio::spawn(server::serve_stream(
        recorder,
        peer,
        context,
        Default::default(),
    ));
    let mut client = BufStream::new(near);
    let all = [
        "noop",
        "user admin",
        "pass secret",
        "vers",
        "chid",
        "ggid",
        "wcyd",
        "help",
        "help send",
        "stat",
        "info",
        "cdta",
        "interface list",
        "test",
        "retr 3",
        "++",
        "nonsense",
        "clra",
        "sflt 0,0,0,-",
        "rcvloop",
    ];
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    for command in all {
        if command == "retr 3" || command == "rcvloop" {
            for n in 0..3 {
                bench
                    .hub
                    .deliver(parse(&format!("0,20,{n},,,,-"), &defaults).unwrap());
            }
        }
        client
            .write_all(format!("{command}\r\n").as_bytes())
            .await
            .unwrap();
        client.flush().await.unwrap();
        // Everybody waits before the clock goes on.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let writes = writes.lock().unwrap();
    // The greeting, a write for each command, and the events behind the last one.
    assert_eq!(writes.len(), 1 + all.len() + 1, "{writes:#?}");
    assert!(writes[0].len() < 800 && writes[0].ends_with("\r\n+OK - Success.\r\n"));
    for (command, reply) in all.iter().zip(&writes[1..]) {
        let status: Vec<&str> = reply
            .lines()
            .filter(|line| line.starts_with("+OK") || line.starts_with("-OK"))
            .collect();
        assert_eq!(status.len(), 1, "{command}: {reply}");
        assert!(
            reply.ends_with(&format!("{}\r\n", status[0])),
            "{command}: {reply}"
        );
    }
    let events = writes.last().unwrap();
    assert_eq!(events.lines().count(), 3);
    assert!(events.ends_with("\r\n") && events.lines().all(|line| line.starts_with("0,20,")));
}

#[tokio::test]
async fn rights_that_are_lost_are_lost_before_the_next_command() {
    let bench = Bench::new(&format!("{{\"path-users\": {:?}}}", dialogue::users()));
    let mut client = bench.client();
    while !read_line(&mut client).await.unwrap().starts_with("+OK") {}
    for line in ["user admin", "pass secret", "send 0,20,3,,,,-,1"] {
        client
            .write_all(format!("{line}\r\n").as_bytes())
            .await
            .unwrap();
        client.flush().await.unwrap();
        assert!(read_line(&mut client).await.unwrap().starts_with("+OK"));
    }
    // Nothing tells the session but the channel.
    let channel = Arc::clone(&bench.hub.channels()[0]);
    let mut user = (*channel.user()).clone();
    user.rights = Rights::NONE;
    channel.set_user(Arc::new(user));
    client.write_all(b"send 0,20,3,,,,-,2\r\n").await.unwrap();
    client.flush().await.unwrap();
    assert!(read_line(&mut client).await.unwrap().starts_with("-OK"));
}

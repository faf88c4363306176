//! What was answered `+OK` arrives, whatever happens to broker, connection and host; and after each
//! trouble the counts add up: taken = delivered + still waiting.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::Packet;
use tempfile::TempDir;

mod support;

use support::bench::{Bench, number, open, persist};
use support::mosquitto::{Mosquitto, Proxy, Subscriber, free_port};
use support::tools::wait_until;

const NUMBERED: &str =
    "\"publish\": [{\"topic\": \"numbered\", \"qos\": 1, \"format\": \"string\"}]";

/// Counts how often each numbered event comes, in a thread of its own.
struct Reader {
    counts: Arc<Mutex<Vec<u8>>>,
    distinct: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(subscriber: Subscriber, most: usize) -> Self {
        let counts = Arc::new(Mutex::new(vec![0_u8; most]));
        let distinct = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicBool::new(false));
        let (all, different, over) = (
            Arc::clone(&counts),
            Arc::clone(&distinct),
            Arc::clone(&done),
        );
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let Some((_, payload)) = subscriber.message_within(Duration::from_millis(200))
                else {
                    continue;
                };
                let mut counts = all.lock().unwrap();
                let count = &mut counts[number(&payload)];
                if *count == 0 {
                    different.fetch_add(1, Ordering::Relaxed);
                }
                *count = count.saturating_add(1);
            }
        });
        Self {
            counts,
            distinct,
            done,
            thread: Some(thread),
        }
    }

    fn distinct(&self) -> usize {
        self.distinct.load(Ordering::Relaxed)
    }

    fn missing(&self, numbers: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let counts = self.counts.lock().unwrap();
        numbers.into_iter().filter(|&n| counts[n] == 0).collect()
    }

    fn twice(&self) -> usize {
        self.counts
            .lock()
            .unwrap()
            .iter()
            .filter(|&&count| count > 1)
            .count()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        // The subscriber ends with it, and leaves no process behind.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client that sends them all, each until it is taken.
fn sender(address: SocketAddr, count: usize) -> JoinHandle<()> {
    thread::spawn(move || assert_eq!(persist(address, 0..count, |_| ()), None))
}

/// All have been delivered, and nothing waits.
fn settled(bench: &Bench, port: u16, count: usize) {
    wait_until("the outbox is empty", || bench.counters(port).waiting == 0);
    let counters = bench.counters(port);
    assert_eq!((counters.delivered, counters.rejected), (count, 0));
}

/// Each time the reader has so many more, something happens.
fn at_each(reader: &Reader, count: usize, times: usize, mut happens: impl FnMut(usize)) {
    for time in 0..times {
        let mark = count / (times + 1) * (time + 1);
        let patience = Instant::now() + Duration::from_secs(120);
        while reader.distinct() < mark {
            assert!(Instant::now() < patience, "{} of {mark}", reader.distinct());
            thread::sleep(Duration::from_millis(2));
        }
        happens(time);
    }
}

fn complete(reader: &Reader, count: usize) {
    let mut last = (0, Instant::now());
    while reader.distinct() < count {
        if reader.distinct() > last.0 {
            last = (reader.distinct(), Instant::now());
        }
        let missing = count - reader.distinct();
        assert!(
            last.1.elapsed() < Duration::from_secs(60),
            "{missing} have not come"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_million_events_through_restarts_and_resets() {
    const COUNT: usize = 1_000_000;
    let mut broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let bench = open(proxy.port(), "", NUMBERED);
    let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 1), COUNT);
    let sender = sender(bench.address, COUNT);
    at_each(&reader, COUNT, 20, |time| {
        if time % 2 == 0 {
            assert!(proxy.cut() > 0, "there is a connection to cut");
        } else {
            broker.stop();
            broker.go();
        }
    });
    complete(&reader, COUNT);
    sender.join().unwrap();
    settled(&bench, proxy.port(), COUNT);
    assert_eq!(reader.missing(0..COUNT), Vec::<usize>::new());
    bench.host.end();
}

#[test]
fn qos_2_comes_once_through_resets() {
    const COUNT: usize = 100_000;
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port());
    let section = "\"clientid\": \"once\", \"bcleansession\": false, \
                   \"publish\": [{\"topic\": \"numbered\", \"qos\": 2, \"format\": \"string\"}]";
    let bench = open(proxy.port(), "", section);
    let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 2), COUNT);
    let sender = sender(bench.address, COUNT);
    at_each(&reader, COUNT, 10, |_| assert!(proxy.cut() > 0));
    complete(&reader, COUNT);
    sender.join().unwrap();
    settled(&bench, proxy.port(), COUNT);
    assert_eq!(reader.twice(), 0, "none comes twice");
    bench.host.end();
}

/// What passes between driver and broker: which event was acknowledged, and how many times the broker
/// that did so had been killed: what it says may be read after its end.
#[derive(Default)]
struct Acknowledged {
    /// How many times it had been killed when a connection's first bytes came; none has gone on to
    /// the broker by then.
    began: HashMap<usize, usize>,
    streams: HashMap<(usize, bool), BytesMut>,
    in_flight: HashMap<(usize, u16), usize>,
    events: HashMap<usize, usize>,
}

impl Acknowledged {
    fn look(&mut self, connection: usize, outward: bool, bytes: &[u8], kills: usize) {
        let kills = *self.began.entry(connection).or_insert(kills);
        let stream = self.streams.entry((connection, outward)).or_default();
        stream.extend_from_slice(bytes);
        while let Ok(packet) = Packet::read(stream, usize::MAX) {
            match packet {
                Packet::Publish(publish) => {
                    let n = number(std::str::from_utf8(&publish.payload).unwrap());
                    self.in_flight.insert((connection, publish.pkid), n);
                }
                Packet::PubAck(ack) => {
                    let n = self.in_flight.remove(&(connection, ack.pkid)).unwrap();
                    self.events.insert(n, kills);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn through_ten_kills_of_the_broker_only_what_it_had_acknowledged_is_lost() {
    const COUNT: usize = 200_000;
    const KILLS: usize = 10;
    // What it has is written down each second.
    let mut broker = Mosquitto::with("allow_anonymous true\nautosave_interval 1");
    let acknowledged: Arc<Mutex<Acknowledged>> = Arc::default();
    let kills = Arc::new(AtomicUsize::new(0));
    let (look, count) = (Arc::clone(&acknowledged), Arc::clone(&kills));
    let proxy = Proxy::with_tap(
        broker.port(),
        Arc::new(move |connection, outward, bytes| {
            let kills = count.load(Ordering::SeqCst);
            look.lock().unwrap().look(connection, outward, bytes, kills);
        }),
    );
    let bench = open(proxy.port(), "", NUMBERED);
    let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 1), COUNT);
    // The subscription is on the disk before anything is at stake.
    broker.stop();
    broker.go();
    wait_until("the driver is back", || {
        bench.log().matches("info connected").count() >= 2
    });
    let sender = sender(bench.address, COUNT);
    for kill in 0..KILLS {
        let mark = COUNT / (KILLS + 1) * (kill + 1);
        wait_until("so many are acknowledged", || {
            acknowledged.lock().unwrap().events.len() >= mark
        });
        broker.kill();
        kills.fetch_add(1, Ordering::SeqCst);
        broker.go();
    }
    sender.join().unwrap();
    settled(&bench, proxy.port(), COUNT);
    // The last ones are on their way to the subscriber.
    let mut before = 0;
    wait_until("no more come", || {
        thread::sleep(Duration::from_secs(2));
        std::mem::replace(&mut before, reader.distinct()) == before
    });
    let lost = reader.missing(0..COUNT);
    let acknowledged = acknowledged.lock().unwrap();
    assert_eq!(acknowledged.events.len(), COUNT, "each was acknowledged");
    let after: Vec<_> = lost
        .iter()
        .filter(|n| acknowledged.events[n] == KILLS)
        .collect();
    assert!(
        after.is_empty(),
        "acknowledged after the last kill, and lost: {after:?}"
    );
    bench.host.end();
}

fn with_disk(place: &TempDir, sync: bool, most: usize) -> String {
    format!(
        "\"outbox\": {{\"path\": {:?}, \"sync\": {sync}, \"max-events\": {most}}},",
        place.path()
    )
}

/// Sends, and is killed, and goes on with what was not answered; gives what was answered.
fn send_through_kills(
    bench: &mut Bench,
    count: usize,
    kills: usize,
    mut also: impl FnMut(),
) -> Vec<usize> {
    let taken: Arc<Mutex<Vec<usize>>> = Arc::default();
    let mut from = 0;
    for kill in 0..=kills {
        let (address, ours) = (bench.address, Arc::clone(&taken));
        let sending = thread::spawn(move || {
            persist(address, from..count, |some| {
                ours.lock().unwrap().extend(some)
            })
        });
        if kill < kills {
            let mark = count / (kills + 1) * (kill + 1);
            wait_until("so many are taken", || taken.lock().unwrap().len() >= mark);
            bench.kill_and_start();
            also();
        }
        match sending.join().unwrap() {
            None => break,
            Some(next) => from = next,
        }
    }
    std::mem::take(&mut taken.lock().unwrap())
}

#[test]
fn an_outbox_on_disk_survives_kills_of_the_host() {
    const COUNT: usize = 60_000;
    for sync in [false, true] {
        let (broker, place) = (Mosquitto::start(), TempDir::new().unwrap());
        let mut bench = open(broker.port(), &with_disk(&place, sync, 5000), NUMBERED);
        let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 1), COUNT);
        let taken = send_through_kills(&mut bench, COUNT, 5, || ());
        wait_until("the outbox is empty", || {
            bench.counters(broker.port()).waiting == 0
        });
        wait_until("all have come", || {
            reader.missing(taken.iter().copied()).is_empty()
        });
        assert!(taken.len() > COUNT / 2, "{}", taken.len());
        bench.host.end();
    }
}

#[test]
fn an_outbox_on_disk_survives_kills_of_host_and_broker() {
    const COUNT: usize = 20_000;
    let (mut broker, place) = (Mosquitto::start(), TempDir::new().unwrap());
    let mut bench = open(broker.port(), &with_disk(&place, false, 100_000), NUMBERED);
    let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 1), COUNT);
    // Nothing reaches the broker before both are gone: it would be the broker's to lose.
    broker.stop();
    let taken = send_through_kills(&mut bench, COUNT, 3, || ());
    // Some more may be there whose answer did not come.
    assert!(bench.counters(broker.port()).waiting >= taken.len());
    bench.kill_and_start();
    assert!(bench.counters(broker.port()).waiting >= taken.len());
    broker.go();
    wait_until("the outbox is empty", || {
        bench.counters(broker.port()).waiting == 0
    });
    wait_until("all have come", || {
        reader.missing(taken.iter().copied()).is_empty()
    });
    let mut last = None;
    let in_order = taken
        .iter()
        .all(|&n| last.replace(n).is_none_or(|before| before < n));
    assert!(in_order, "nothing was refused");
    bench.host.end();
}

#[test]
fn closing_leaves_the_rest_on_the_disk() {
    let place = TempDir::new().unwrap();
    let mut broker = Mosquitto::start();
    broker.stop();
    let mut bench = open(broker.port(), &with_disk(&place, false, 1000), NUMBERED);
    let mut client = support::client::Client::log_in(bench.address);
    for n in 0..500 {
        client.must(&format!("send 0,20,3,,,,-,{}", support::bench::bytes_of(n)));
    }
    assert!(bench.host.ask("close").starts_with("closed 0"));
    assert_eq!(bench.host.ask("threads"), "threads 1");
    bench.kill_and_start();
    assert_eq!(bench.counters(broker.port()).waiting, 500);
    broker.go();
    settled(&bench, broker.port(), 500);
    bench.host.end();
}

#[test]
fn a_disk_that_takes_nothing_is_said_and_nothing_is_promised() {
    let place = TempDir::new().unwrap();
    let members = with_disk(&place, false, 1_000_000);
    let mut bench = open(free_port(), &members, NUMBERED);
    bench.kill_and_start_on_a_small_disk(6000);
    let mut client = support::client::Client::log_in(bench.address);
    let data = vec!["255"; 500].join(",");
    let mut taken = 0;
    let refused = loop {
        client.send(format!("send 0,20,3,,,,-,{data}\r\n").as_bytes());
        match client.line().as_deref() {
            Some("+OK - Success.") => taken += 1,
            Some(other) => break other.to_owned(),
            // Its answer could not be kept: it has none.
            None => client = support::client::Client::log_in(bench.address),
        }
        assert!(taken < 20_000, "it never gets full");
    };
    assert_eq!(refused, "-OK - Buffer Full");
    wait_until("it is said", || bench.log().contains("cannot be written"));
    bench.kill_and_start();
    let port: u16 = bench.port();
    assert!(
        bench.counters(port).waiting >= taken,
        "what was promised is there"
    );
    bench.host.end();
}

#[test]
fn a_broker_that_stands_still_for_half_a_minute() {
    const COUNT: usize = 50_000;
    let broker = Mosquitto::start();
    let bench = open(
        broker.port(),
        "\"outbox\": {\"max-events\": 20000},",
        NUMBERED,
    );
    let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 1), COUNT);
    let sending = sender(bench.address, COUNT);
    at_each(&reader, COUNT, 1, |_| broker.freeze(true));
    let frozen = Instant::now();
    // The outbox fills, and SEND says so; everybody else is served.
    wait_until("the outbox is full", || {
        bench.counters(broker.port()).refused > 0
    });
    let counters = bench.counters(broker.port());
    assert!(counters.waiting + counters.delivered <= COUNT);
    thread::sleep(Duration::from_secs(30).saturating_sub(frozen.elapsed()));
    broker.freeze(false);
    complete(&reader, COUNT);
    sending.join().unwrap();
    settled(&bench, broker.port(), COUNT);
    bench.host.end();
}

#[test]
fn a_broker_that_comes_and_goes_for_a_minute() {
    const COUNT: usize = 100_000;
    let mut broker = Mosquitto::start();
    let bench = open(broker.port(), "", NUMBERED);
    let reader = Reader::start(Subscriber::start(broker.port(), "numbered", 1), COUNT);
    let start = Instant::now();
    let address = bench.address;
    // Slowly, so that it goes on the whole time.
    let sending = thread::spawn(move || {
        for chunk in 0..100 {
            let range = chunk * COUNT / 100..(chunk + 1) * COUNT / 100;
            assert_eq!(persist(address, range, |_| ()), None);
            thread::sleep(Duration::from_millis(500));
        }
    });
    while start.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(500));
        broker.stop();
        thread::sleep(Duration::from_millis(500));
        broker.go();
    }
    sending.join().unwrap();
    complete(&reader, COUNT);
    settled(&bench, broker.port(), COUNT);
    bench.host.end();
}

/// A port that answers nobody: its queue of connections is full, so that not even a SYN is answered.
struct BlackHole {
    listener: socket2::Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    fn start() -> Self {
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(stream);
        }
        Self {
            listener,
            _queue: queue,
        }
    }

    fn port(&self) -> u16 {
        self.listener
            .local_addr()
            .unwrap()
            .as_socket()
            .unwrap()
            .port()
    }
}

#[test]
fn a_port_that_answers_nobody() {
    let hole = BlackHole::start();
    let section = format!("\"connection-timeout\": 500, {NUMBERED}");
    let mut bench = open(hole.port(), "\"outbox\": {\"max-events\": 100},", &section);
    let mut client = support::client::Client::log_in(bench.address);
    let mut answers = HashMap::new();
    for n in 0..150 {
        let line = format!("send 0,20,3,,,,-,{}", support::bench::bytes_of(n));
        *answers.entry(client.ask(&line)[0].clone()).or_insert(0) += 1;
    }
    assert_eq!(
        (answers["+OK - Success."], answers["-OK - Buffer Full"]),
        (100, 50)
    );
    let counters = bench.counters(hole.port());
    assert_eq!(
        (counters.waiting, counters.refused, counters.delivered),
        (100, 50, 0)
    );
    wait_until("it is said", || bench.log().contains("no answer in time"));
    let closed = bench.host.ask("close");
    let seconds: f64 = closed.strip_prefix("closed 0 ").unwrap().parse().unwrap();
    assert!(seconds < 5.0, "{closed}");
    assert_eq!(bench.host.ask("threads"), "threads 1");
    // The same where connections are taken, and nothing ever said.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let bench = open(port, "", &section);
    wait_until("it is said", || bench.log().contains("no answer in time"));
    bench.host.end();
}

//! How long one event takes at a steady rate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;

use crate::broker;
use crate::client::{open, receiver};
use crate::support::bench::bytes_of;
use crate::support::client::Client;
use crate::support::mosquitto::Mosquitto;

const RATE: u32 = 5000;
const COUNT: usize = 50_000;

/// From a client to a subscriber and from a publisher to a client; and from one to the other
/// without the driver.
pub(crate) fn both_ways() -> bool {
    println!("{RATE} events/s, {COUNT} events");
    let mosquitto = Mosquitto::plain();
    let port = mosquitto.port();
    let publication = |topic: &'static str| {
        move |n: usize| {
            let text = format!("0,20,3,0,,,::1,{}\r\n", bytes_of(n));
            broker::packet(topic, &text).to_vec()
        }
    };
    measure(
        "bare publisher to bare subscriber",
        broker::connect(port, None),
        publication("bare"),
        broker::connect(port, Some("bare")),
    );
    let topics = "\"subscribe\": [{\"topic\": \"in\"}], \
        \"publish\": [{\"topic\": \"out\", \"format\": \"string\"}]";
    let (driver, address) = open(port, "", topics);
    let sender = Client::log_in(address).writer();
    measure(
        "client to subscriber",
        sender,
        |n| format!("send 0,20,3,,,,-,{}\r\n", bytes_of(n)).into_bytes(),
        broker::connect(port, Some("out")),
    );
    measure(
        "publisher to client",
        broker::connect(port, None),
        publication("in"),
        receiver(address),
    );
    driver.close();
    true
}

/// Writes so many at a steady rate, and says how long each took to the other side from when it was
/// due: a machine that is late counts too.
fn measure(
    what: &str,
    mut writer: TcpStream,
    packet: impl Fn(usize) -> Vec<u8> + Send,
    mut reader: TcpStream,
) {
    writer.set_nodelay(true).unwrap();
    let mut answers = writer.try_clone().unwrap();
    // Answers are read and thrown away; the connection's end ends it.
    let drain = thread::spawn(move || while answers.read(&mut [0; 65536]).is_ok_and(|n| n > 0) {});
    let (sent, came) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let packets: Vec<_> = (0..COUNT).map(packet).collect();
            let mut sent = Vec::with_capacity(COUNT);
            let start = Instant::now();
            for (at, packet) in (0..).zip(packets) {
                let due = start + Duration::from_secs(1) * at / RATE;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // Who has to wait before it can be written waits as well.
                sent.push(due);
                writer.write_all(&packet).unwrap();
            }
            sent
        });
        let came = arrivals(&mut reader);
        (sender.join().unwrap(), came)
    });
    writer.shutdown(std::net::Shutdown::Both).unwrap();
    drain.join().unwrap();
    let mut took: Vec<Duration> = sent
        .iter()
        .zip(came)
        .map(|(sent, came)| came - *sent)
        .collect();
    took.sort_unstable();
    let at = |part: f64| took[((COUNT - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!(
        "{what:40} p50 {:.3} ms, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, most {:.3}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// When each came, in the order in which they were sent, as both ways keep it; all have to.
fn arrivals(reader: &mut TcpStream) -> Vec<Instant> {
    // An event is known by its class and type, whatever is around it.
    let event = Finder::new(",20,3,");
    let mut came = Vec::with_capacity(COUNT);
    let mut buffer = vec![0; 64 * 1024];
    let mut kept = 0;
    while came.len() < COUNT {
        let count = reader.read(&mut buffer[kept..]).unwrap();
        assert!(count > 0, "it ends too soon");
        let now = Instant::now();
        let filled = kept + count;
        let found = event.find_iter(&buffer[..filled]).count();
        came.extend(std::iter::repeat_n(now, found));
        // It may come in two pieces.
        kept = filled.min(event.needle().len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
    came
}

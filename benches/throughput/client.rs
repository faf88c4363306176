//! Clients of the link that cost as little as can be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use vscpl2drv_link::driver::{Driver, Source};

use crate::support::client::Client;
use crate::support::dialogue;
use crate::support::mosquitto::free_port;

/// What they send.
pub(crate) const SEND: &str = "send 0,20,3,,,,-,0,1,35,4,5,6,7,8\r\n";

/// A driver beside a broker, with these members and these of its section.
pub(crate) fn open(port: u16, members: &str, mqtt: &str) -> (Driver, SocketAddr) {
    let mqtt = format!("\"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {port}, {mqtt}}}");
    let (driver, address) = open_with(&format!("{members} {mqtt},"));
    crate::support::bench::wait_for_broker(&mut Client::log_in(address));
    thread::sleep(Duration::from_millis(200));
    (driver, address)
}

/// A driver whose configuration has these members.
pub(crate) fn open_with(members: &str) -> (Driver, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "{{\"interface\": \"tcp://{address}\", \"abi\": \"v2\", \"path-users\": {:?}, {members} \
          \"max-out-queue\": 10000000, \"logging\": {{\"file-enable-log\": false}}}}",
        dialogue::users(),
    );
    let guid = "::1".parse().unwrap();
    (Driver::open(Source { config, guid }).unwrap(), address)
}

/// A client that is logged in, with one descriptor.
pub(crate) fn lean(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"user admin\r\npass secret\r\n").unwrap();
    // The greeting ends like the answer to PASS does.
    answers(&mut stream, 2);
    stream
}

/// Reads so many answers that say that all went well.
pub(crate) fn answers(stream: &mut TcpStream, count: usize) {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    while memchr::memmem::find_iter(&heard, b"+OK - Success.\r\n").count() < count {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it ends too soon");
        heard.extend_from_slice(&buffer[..read]);
    }
}

/// A client in the receive loop.
pub(crate) fn receiver(address: SocketAddr) -> TcpStream {
    let mut client = Client::log_in(address);
    client.must("rcvloop");
    client.writer()
}

/// Reads until so many events have come; a sign of life begins with a plus.
pub(crate) fn count_lines(stream: &mut TcpStream, mut left: usize) {
    let mut buffer = vec![0; 256 * 1024];
    let mut fresh = true;
    while left > 0 {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it ends too soon");
        let read = &buffer[..count];
        let mut signs = memchr::memmem::find_iter(read, b"\n+").count();
        signs += usize::from(fresh && read[0] == b'+');
        fresh = read[count - 1] == b'\n';
        let ends = memchr::memchr_iter(b'\n', read).count();
        left = left.saturating_sub(ends.saturating_sub(signs));
    }
}

/// Pipelines so many SENDs, without an end of what is under way, and reads the answers; each has to
/// be `+OK`.
pub(crate) fn blast(address: SocketAddr, count: usize) -> JoinHandle<()> {
    let mut writer = Client::log_in(address).writer();
    let mut reader = writer.try_clone().unwrap();
    let many = SEND.repeat(1000);
    let sending = thread::spawn(move || {
        for _ in 0..count / 1000 {
            writer.write_all(many.as_bytes()).unwrap();
        }
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        let mut left = count;
        while left > 0 {
            let count = reader.read(&mut buffer).unwrap();
            assert!(count > 0, "it ends too soon");
            let read = &buffer[..count];
            assert!(
                memchr::memmem::find(read, b"-O").is_none(),
                "one was refused"
            );
            left -= memchr::memchr_iter(b'\n', read).count();
        }
        sending.join().unwrap();
    })
}

//! Somebody who asks for servers with a socket, and frames without the driver's own code.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime};

use super::tools::PATIENCE;

/// The group and the GUID of the examples.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 23, 158);
pub const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";

/// A probe of 192.168.1.8 in a frame of type 1, and of type 0.
pub const PROBE_1: &str = "10 01 00 0D F1 7F 28 09 AA 8D B8 00 00 00 00 00 00 1B FF FF FF FF FF FF FF F5 02 88 88 00 00 \
     00 00 01 00 05 00 C0 A8 01 08 BF ED";
pub const PROBE_0: &str = "00 00 00 00 0C 7B 03 07 D1 0B 02 12 00 01 00 00 00 1B FF FF FF FF FF FF FF F5 02 88 88 00 00 \
     00 00 01 00 05 00 C0 A8 01 08 02 9A";
/// What a response has behind its time.
const RESPONSE: &str = "00 00 00 1C FF FF FF FF FF FF FF F5 02 88 88 00 00 00 00 01 00 08";

pub fn bytes(hex: &str) -> Vec<u8> {
    let byte = |text| u8::from_str_radix(text, 16).unwrap();
    hex.split_whitespace().map(byte).collect()
}

/// CRC-16/CCITT-FALSE, bit by bit.
fn crc(bytes: &[u8]) -> u16 {
    let step = |crc: u16, _| match crc & 0x8000 {
        0 => crc << 1,
        _ => (crc << 1) ^ 0x1021,
    };
    let byte = |crc: u16, byte: &u8| (0..8).fold(crc ^ (u16::from(*byte) << 8), step);
    bytes.iter().fold(0xFFFF, byte)
}

/// Fails unless this is a response frame of that type, letter by letter, of just now.
pub fn is_response(frame: &[u8], of_type: u8, capabilities: u16, at: SocketAddr) {
    assert_eq!(frame.len(), 46, "{frame:02X?}");
    let SocketAddr::V4(at) = at else {
        panic!("{at} is no IPv4 address");
    };
    let mut expected = match of_type {
        0 => bytes("00 00 00"),
        _ => bytes("10 01 00"),
    };
    // Of the time only that it is now.
    expected.extend(&frame[3..14]);
    expected.extend(bytes(RESPONSE));
    expected.extend(capabilities.to_be_bytes());
    expected.extend(at.ip().octets());
    expected.extend(at.port().to_be_bytes());
    expected.extend(crc(&expected[1..]).to_be_bytes());
    assert_eq!(frame, expected);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    if of_type == 0 {
        let year = u64::from(u16::from_be_bytes([frame[7], frame[8]]));
        assert!(year.abs_diff(1970 + now / 31_556_952) <= 1, "{year}");
        let micros = u32::from_be_bytes(frame[3..7].try_into().unwrap());
        assert!(micros < 1_000_000);
    } else {
        let seconds = u64::from_be_bytes(frame[3..11].try_into().unwrap()) / 1_000_000_000;
        assert!(seconds.abs_diff(now) < 600, "{seconds}");
        assert_eq!(frame[11..14], [0, 0, 0]);
    }
}

/// Somebody who asks.
pub struct Asker(pub UdpSocket);

impl Asker {
    pub fn new() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_broadcast(true).unwrap();
        // A multicast leaves by the interface that has this address.
        if let SocketAddr::V4(own) = socket.local_addr().unwrap()
            && !own.ip().is_unspecified()
        {
            let raw = socket2::SockRef::from(&socket);
            raw.set_multicast_if_v4(own.ip()).unwrap();
        }
        Self(socket)
    }

    pub fn say(&self, bytes: &[u8], to: SocketAddr) {
        self.0.send_to(bytes, to).unwrap();
    }

    /// The next datagram.
    pub fn heard(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, from) = self.0.recv_from(&mut buffer).expect("an answer comes");
        (buffer[..length].to_vec(), from)
    }

    /// One probe and one answer.
    pub fn ask(&self, to: SocketAddr) -> (Vec<u8>, SocketAddr) {
        self.say(&bytes(PROBE_1), to);
        self.heard()
    }

    /// Fails where anything comes within a while.
    pub fn hears_nothing(&self) {
        let patience = Duration::from_millis(100);
        self.0.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 2048];
        match self.0.recv_from(&mut buffer) {
            Ok((length, from)) => panic!("{from} says {:02X?}", &buffer[..length]),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "{error}"
            ),
        }
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

/// Where a driver's log says that it answers, the last one of that.
pub fn port_of(log: &str) -> Option<SocketAddr> {
    let line = log
        .lines()
        .rfind(|line| line.contains("answering who asks"))?;
    let (_, rest) = line.split_once("udp://")?;
    rest.split_once(',')?.0.parse().ok()
}

//! A broker that does what a test says: it forgets, stalls, refuses, sends nonsense.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, Publish};

use super::tools::PATIENCE;

/// A listener, and a script that each connection is given to, one after another.
pub struct Scripted {
    port: u16,
    connections: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
}

impl Scripted {
    /// The script gets the number of the connection, from 0, after CONNECT and before any answer.
    pub fn start(mut script: impl FnMut(usize, Wire) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let ending = Arc::new(AtomicBool::new(false));
        let (counter, over) = (Arc::clone(&connections), Arc::clone(&ending));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let mut wire = Wire::new(stream);
                if matches!(wire.read(), Some(Packet::Connect(_))) {
                    script(counter.fetch_add(1, Ordering::SeqCst), wire);
                }
            }
        });
        Self {
            port,
            connections,
            ending,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that came so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// One connection, packet by packet.
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next packet; `None` at the end.
    pub fn read(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, 16 * 1024 * 1024) {
                return Some(packet);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(count) if count > 0 => self.buffer.extend_from_slice(&bytes[..count]),
                _ => return None,
            }
        }
    }

    /// Accepts the connection.
    pub fn welcome(&mut self, session_present: bool) {
        self.send(&Packet::ConnAck(ConnAck::new(
            ConnectReturnCode::Success,
            session_present,
        )));
    }

    /// Refuses the connection.
    pub fn refuse(&mut self, code: ConnectReturnCode) {
        self.send(&Packet::ConnAck(ConnAck::new(code, false)));
    }

    /// Sends a packet; the other side may be gone.
    pub fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.write(&mut out, usize::MAX).unwrap();
        self.raw(&out);
    }

    /// Sends bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a message.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS, identifier: u16) {
        let mut publish = Publish::new(topic, qos, payload);
        publish.pkid = identifier;
        self.send(&Packet::Publish(publish));
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

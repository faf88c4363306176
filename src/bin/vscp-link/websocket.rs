//! A websocket on a blocking stream: opened, read with deadlines, and closed.

use std::io;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::{self, Request, Uri, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client};

use crate::address::{Address, Place};
use crate::client::ClientError;
use crate::failure::printable;
use crate::no_websocket::{WebError, refusal};
use crate::stream::Stream;

/// Bytes of a message; the longest event has about 3000.
pub(crate) const MESSAGE_MAX: usize = 64 * 1024;

/// An open websocket.
pub(crate) struct Socket(WebSocket<Stream>);

impl Socket {
    /// Asks for a websocket, and waits for it.
    ///
    /// # Errors
    /// Where the server gives none.
    pub(crate) fn open(
        mut stream: Stream,
        address: &Address,
        place: &Place,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let request = request(address, place)
            .map_err(|error| ClientError::Lookup(address.clone(), io::Error::other(error)))?;
        stream.until(Instant::now() + timeout);
        let tls = address.with_tls();
        match client::client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Interrupted(_)) => {
                Err(WebError::Unanswered(address.clone(), timeout, tls).into())
            }
            Err(HandshakeError::Failure(error)) => Err(refusal(error, address, place, timeout)),
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// Where it cannot be sent until `deadline`.
    pub(crate) fn send(
        &mut self,
        text: String,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), ClientError> {
        self.0.get_mut().until(deadline);
        let sent = self.0.send(Message::from(text));
        sent.map_err(|error| failure(error, patience))
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// Where it cannot be sent until `deadline`.
    pub(crate) fn ping(
        &mut self,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), ClientError> {
        self.0.get_mut().until(deadline);
        let sent = self.0.send(Message::Ping(tungstenite::Bytes::new()));
        sent.map_err(|error| failure(error, patience))
    }

    /// The next text; `None` where the server only shows that it lives. Its pings are answered.
    ///
    /// # Errors
    /// [`ClientError::Silent`] where nothing comes until `deadline`.
    pub(crate) fn read(
        &mut self,
        deadline: Instant,
        patience: Duration,
    ) -> Result<Option<String>, ClientError> {
        self.0.get_mut().until(deadline);
        match self.0.read() {
            Ok(Message::Text(text)) => Ok(Some(text.as_str().to_owned())),
            Ok(Message::Close(Some(frame))) => Err(closed(&frame)),
            Ok(Message::Close(None)) => Err(ClientError::Closed),
            // The answer to a ping would else wait for the next read.
            Ok(_) => match self.0.flush() {
                Ok(()) => Ok(None),
                Err(error) => Err(failure(error, patience)),
            },
            Err(error) => Err(failure(error, patience)),
        }
    }

    /// Says that this is the end, and waits for the server to have read it.
    pub(crate) fn close(&mut self, deadline: Instant) {
        self.0.get_mut().until(deadline);
        if self.0.close(None).is_ok() {
            while self.0.read().is_ok() {}
        }
    }
}

fn request(address: &Address, place: &Place) -> Result<Request<()>, http::Error> {
    // Only the path of it is sent: a host need not be one that can stand in a URL.
    let uri = Uri::builder()
        .scheme("ws")
        .authority("server")
        .path_and_query(place.path.clone())
        .build()?;
    let mut named = address.clone();
    // The zone of an IPv6 address means nothing to the other side (RFC 6874, section 4).
    named
        .host
        .truncate(named.host.find('%').unwrap_or(named.host.len()));
    Request::get(uri)
        .header(header::HOST, named.to_string())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .body(())
}

fn closed(frame: &CloseFrame) -> ClientError {
    if frame.reason.is_empty() {
        return ClientError::Closed;
    }
    let reason = printable(&frame.reason);
    WebError::Closed(format!("{reason} ({})", u16::from(frame.code))).into()
}

/// Why nothing can be read or written any more.
fn failure(error: tungstenite::Error, patience: Duration) -> ClientError {
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
        ) => ClientError::Closed,
        tungstenite::Error::Io(error) => ClientError::of(error, patience),
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            WebError::TooLong.into()
        }
        error => WebError::Protocol(error).into(),
    }
}

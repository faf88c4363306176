//! One connection to a broker: a socket, with TLS or without, and packets on it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::codec::{Codec, CodecError, Filter, Options, Packet, Publish, Welcome};
use crate::net::stream::{Route, Stream, StreamError};

/// Bytes that may wait to be looked at while a write takes its time.
const MOST_WAITING: usize = 1024 * 1024;
/// How long the broker may read nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Room for what comes.
const CHUNK: usize = 16 * 1024;

/// Why there is no connection, or none any more.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error("the broker refused the connection: {0}")]
    Refused(String),
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the broker closed the connection")]
    Closed,
    #[error("the broker closed the connection: {0}")]
    Farewell(String),
    #[error("the broker sent {0}")]
    Codec(#[from] CodecError),
}

/// A connection that stands.
pub(super) struct Connection {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    incoming: BytesMut,
    outgoing: BytesMut,
    codec: Codec,
}

impl Connection {
    /// Connects to one address of the broker; gives what it said.
    pub(super) async fn open(
        address: SocketAddr,
        route: &Route,
        timeout: Duration,
        options: &Options,
    ) -> Result<(Self, Welcome), ConnectionError> {
        let opening = async {
            let stream = route.connect(address).await?;
            let (reader, writer) = tokio::io::split(stream);
            let mut connection = Self {
                reader,
                writer,
                incoming: BytesMut::new(),
                outgoing: BytesMut::new(),
                codec: Codec::new(options),
            };
            connection
                .codec
                .connect(options, &mut connection.outgoing)?;
            connection.flush().await?;
            match connection.next().await? {
                Packet::Welcome(Welcome {
                    refused: Some(why), ..
                }) => Err(ConnectionError::Refused(why)),
                Packet::Welcome(welcome) => {
                    if let Some(most) = welcome.max_packet {
                        connection.codec.most = connection
                            .codec
                            .most
                            .min(usize::try_from(most).unwrap_or(usize::MAX));
                    }
                    Ok((connection, welcome))
                }
                _ => Err(CodecError::Unexpected.into()),
            }
        };
        tokio::time::timeout(timeout, opening)
            .await
            .unwrap_or(Err(ConnectionError::Timeout))
    }

    pub(super) fn subscribe(
        &mut self,
        identifier: u16,
        filters: &[Filter],
    ) -> Result<(), CodecError> {
        self.codec
            .subscribe(identifier, filters, &mut self.outgoing)
    }

    /// Puts a message down to be written.
    pub(super) fn publish(&mut self, publish: Publish<'_>) -> Result<(), CodecError> {
        self.codec.publish(publish, &mut self.outgoing)
    }

    pub(super) fn acknowledge(&mut self, identifier: u16) -> Result<(), CodecError> {
        self.codec.acknowledge(identifier, &mut self.outgoing)
    }

    pub(super) fn received(&mut self, identifier: u16) -> Result<(), CodecError> {
        self.codec.received(identifier, &mut self.outgoing)
    }

    pub(super) fn release(&mut self, identifier: u16) -> Result<(), CodecError> {
        self.codec.release(identifier, &mut self.outgoing)
    }

    pub(super) fn complete(&mut self, identifier: u16) -> Result<(), CodecError> {
        self.codec.complete(identifier, &mut self.outgoing)
    }

    pub(super) fn ping(&mut self) {
        self.codec.ping(&mut self.outgoing);
    }

    pub(super) fn disconnect(&mut self) {
        self.codec.disconnect(&mut self.outgoing);
    }

    /// Bytes that are put down and not written.
    pub(super) fn unwritten(&self) -> usize {
        self.outgoing.len()
    }

    /// Writes what has been put down. What comes meanwhile is read, within bounds, so that a broker
    /// which waits for us to read is not waited for. May be dropped at any time and called again.
    pub(super) async fn flush(&mut self) -> Result<(), ConnectionError> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let Self {
            reader,
            writer,
            incoming,
            outgoing,
            ..
        } = self;
        let patience = tokio::time::sleep(WRITE_TIMEOUT);
        tokio::pin!(patience);
        loop {
            incoming.reserve(CHUNK);
            let written = async {
                if outgoing.is_empty() {
                    // TLS may have kept some of it back.
                    writer.flush().await.map(|()| 0)
                } else {
                    writer.write(outgoing).await
                }
            };
            tokio::select! {
                biased;
                written = written => match written? {
                    0 if outgoing.is_empty() => return Ok(()),
                    0 => return Err(ConnectionError::Closed),
                    count => {
                        outgoing.advance(count);
                        patience.as_mut().reset(Instant::now() + WRITE_TIMEOUT);
                    }
                },
                read = reader.read_buf(incoming), if incoming.len() < MOST_WAITING => {
                    if read? == 0 {
                        return Err(ConnectionError::Closed);
                    }
                }
                () = &mut patience => return Err(ConnectionError::Timeout),
            }
        }
    }

    /// Writes what has been put down, says that no more will come, and reads to the end. To close
    /// with anything unread would be a reset, before which the broker may not have read everything.
    pub(super) async fn finish(&mut self) -> Result<(), ConnectionError> {
        self.flush().await?;
        self.writer.shutdown().await?;
        loop {
            self.incoming.clear();
            self.incoming.reserve(CHUNK);
            if self.reader.read_buf(&mut self.incoming).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for a packet. May be dropped at any time without losing one.
    pub(super) async fn next(&mut self) -> Result<Packet, ConnectionError> {
        loop {
            if let Some(packet) = self.codec.read(&mut self.incoming)? {
                return Ok(packet);
            }
            self.incoming.reserve(CHUNK);
            if self.reader.read_buf(&mut self.incoming).await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }

    /// A packet that is there already.
    pub(super) async fn ready(&mut self) -> Result<Option<Packet>, ConnectionError> {
        tokio::select! {
            biased;
            packet = self.next() => packet.map(Some),
            () = std::future::ready(()) => Ok(None),
        }
    }
}

//! Those who count what comes: clients in the receive loop, and subscribers of a broker.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::mark::{Mark, Payloads};
use super::mqtt::{self, Broker, BrokerError, PUBLISH, Session};
use super::wire::{BenchError, Link, too_long};
use crate::client::ClientError;
use crate::failure::printable;

/// Bytes of the buffers of all receivers, and of one.
const BUFFERS: usize = 16 * 1024 * 1024;
const BUFFER: (usize, usize) = (16 * 1024, 256 * 1024);
/// For the last word.
const GOODBYE: Duration = Duration::from_millis(200);

/// Bytes that one of so many receivers reads at once.
fn size(receivers: usize) -> usize {
    (BUFFERS / receivers.max(1)).clamp(BUFFER.0, BUFFER.1)
}

/// Counts what a client in the receive loop gets, until it is told to stop.
///
/// # Errors
/// Where the connection ends before.
pub(super) async fn client(
    mut link: Link,
    flow: Rc<Flow>,
    number: usize,
    stop: CancellationToken,
) -> Result<(), BenchError> {
    link.input.reserve(size(flow.receivers));
    loop {
        let mut refusal = None;
        let lines = std::iter::from_fn(|| {
            loop {
                let line = link.input.line()?;
                match line.first() {
                    // A sign of life.
                    None | Some(b'+') => {}
                    Some(b'-') => refusal = Some(String::from_utf8_lossy(line).into_owned()),
                    Some(_) => return Some(Mark::in_line(line)),
                }
            }
        });
        flow.take(number, Instant::now(), lines);
        if let Some(text) = refusal {
            return Err(ClientError::Refused("the receive loop", printable(&text)).into());
        }
        let room = link.input.room().map_err(too_long)?;
        let read = tokio::select! {
            read = link.wire.read(room) => read,
            () = stop.cancelled() => break,
        };
        match read {
            Ok(0) => return Err(ClientError::Closed.into()),
            Ok(count) => link.input.filled(count),
            Err(error) => return Err(ClientError::of(error, GOODBYE).into()),
        }
    }
    let goodbye = async {
        link.wire.write_all(b"QUIT\r\n").await?;
        link.wire.flush().await
    };
    // Whether it hears that is its own affair.
    let _ = timeout(GOODBYE, goodbye).await;
    Ok(())
}

/// Counts what a subscriber of a broker gets, until it is told to stop.
///
/// # Errors
/// Where the connection ends before.
pub(super) async fn subscriber(
    session: Session,
    broker: Rc<Broker>,
    flow: Rc<Flow>,
    stop: CancellationToken,
) -> Result<(), BenchError> {
    listen(session, &flow, &stop)
        .await
        .map_err(|error| broker.error(error))
}

async fn listen(
    session: Session,
    flow: &Flow,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    let Session {
        mut wire,
        mut input,
        ..
    } = session;
    input.reserve(size(flow.receivers));
    let payloads = Payloads::default();
    let mut answers = Vec::new();
    loop {
        let mut strange = false;
        let marks = std::iter::from_fn(|| {
            loop {
                let (first, body) = match input.packet() {
                    Ok(packet) => packet?,
                    Err(_) => {
                        strange = true;
                        return None;
                    }
                };
                if first & 0xF0 != PUBLISH {
                    continue;
                }
                let Some((payload, identifier)) = mqtt::message(first, body) else {
                    strange = true;
                    return None;
                };
                if let Some(identifier) = identifier {
                    answers.extend_from_slice(&[mqtt::PUBACK, 2]);
                    answers.extend_from_slice(&identifier);
                }
                return Some(payloads.mark(payload));
            }
        });
        flow.take(0, Instant::now(), marks);
        if strange {
            return Err(BrokerError::Strange);
        }
        if !answers.is_empty() {
            let acknowledge = async {
                wire.write_all(&answers).await?;
                wire.flush().await
            };
            // A broker that does not read them is left all the same.
            tokio::select! {
                written = acknowledge => written?,
                () = stop.cancelled() => return Ok(()),
            }
            answers.clear();
        }
        let room = input.room()?;
        tokio::select! {
            read = wire.read(room) => match read? {
                0 => return Err(BrokerError::Closed),
                count => input.filled(count),
            },
            () = stop.cancelled() => return Ok(()),
        }
    }
}

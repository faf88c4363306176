//! Accepting those who look.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Context, pages};
use crate::net::accept;
use crate::net::http::{self, Bounds};

/// One connection is one answer: who holds a place without asking gives it back soon.
const BOUNDS: Bounds = Bounds {
    requests: Duration::from_secs(10),
    patience: Duration::from_secs(10),
    once: true,
};

/// What those are told for whom there is no place.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 1\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\r\ntoo many are here\n";
/// What those are told who may not look.
const NOT_YOU: &[u8] = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 33\r\n\r\nstatus.allow does not let you in\n";

/// Accepts until `stop`; connections end with it too, and are among `tasks`.
pub async fn serve(
    listener: TcpListener,
    context: Arc<Context>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let admit = |stream, peer| admit(stream, peer, &context, &tasks, &stop);
    accept::serve(listener, stop.clone(), admit).await;
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    context: &Arc<Context>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    if !context.allows(peer.ip()) {
        tracing::debug!(client = %peer, "who looks is none of status.allow");
        return context.farewells.say(stream, NOT_YOU, tasks, stop.clone());
    }
    let Ok(place) = Arc::clone(&context.places).try_acquire_owned() else {
        tracing::debug!(client = %peer, "too many look at the status");
        return context.farewells.say(stream, TOO_MANY, tasks, stop.clone());
    };
    let (context, stop) = (Arc::clone(context), stop.clone());
    tasks.spawn(async move {
        let served = http::converse(stream, peer, BOUNDS, |request| {
            let answer = pages::answer(&request, &context);
            std::future::ready(answer)
        });
        tokio::select! {
            () = stop.cancelled() => {}
            () = served => {}
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_length_that_they_say() {
        for refusal in [TOO_MANY, NOT_YOU] {
            let text = std::str::from_utf8(refusal).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}", body.len());
            assert!(head.lines().any(|line| line == length), "{text}");
        }
    }
}

//! Messages that wait for a client: a bounded queue that drops the newest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use tokio::sync::mpsc;

/// Messages in a queue.
const QUEUE_MAX: usize = 1024;
/// Bytes of them.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

impl Message {
    /// Bytes that it stands for in a bounded place.
    pub(super) fn weight(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// Where messages wait for a client.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    /// Bytes in it.
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Adds a message. False where there is no room for it; then it is dropped.
    pub(super) fn push(&self, message: Message) -> bool {
        let weight = message.weight();
        // Only the router adds, and there is one; the session can only make more room meanwhile.
        if self.waiting.load(Ordering::Relaxed) + weight > QUEUE_BYTES_MAX {
            return false;
        }
        self.waiting.fetch_add(weight, Ordering::Relaxed);
        let sent = self.sender.try_send(message);
        if sent.is_err() {
            self.waiting.fetch_sub(weight, Ordering::Relaxed);
        }
        // A client that is just leaving has not been too slow.
        !matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
    }
}

/// The far end of a client's queue.
pub(super) struct Inbox {
    messages: mpsc::Receiver<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Inbox {
    /// The client's next message. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let message = self.messages.recv().await?;
        Some(self.taken(message))
    }

    /// What is there now.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> Option<Message> {
        let message = self.messages.try_recv().ok()?;
        Some(self.taken(message))
    }

    /// A message that no longer waits.
    fn taken(&self, message: Message) -> Message {
        self.waiting.fetch_sub(message.weight(), Ordering::Relaxed);
        message
    }
}

/// A new queue, empty, from both ends.
pub(super) fn pair() -> (Queue, Inbox) {
    let (sender, messages) = mpsc::channel(QUEUE_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let queue = Queue {
        sender,
        waiting: Arc::clone(&waiting),
    };
    (queue, Inbox { messages, waiting })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> Message {
        Message {
            topic: String::new(),
            payload: vec![0; size].into(),
            qos: QoS::AtMostOnce,
            retain: false,
        }
    }

    #[tokio::test]
    async fn the_newest_has_no_room() {
        let (queue, mut inbox) = pair();
        assert!(queue.push(message(7)));
        for _ in 1..QUEUE_MAX {
            assert!(queue.push(message(1)));
        }
        assert!(!queue.push(message(1)));
        assert_eq!(inbox.next().await, Some(message(7)));
        assert!(queue.push(message(1)));
    }

    #[tokio::test]
    async fn bytes_are_counted_too() {
        let (queue, mut inbox) = pair();
        let large = message(QUEUE_BYTES_MAX / 2 + 1);
        assert!(queue.push(large.clone()));
        assert!(!queue.push(large.clone()));
        assert!(queue.push(message(1)));
        inbox.next().await;
        assert!(queue.push(large));
        inbox.next().await;
        inbox.next().await;
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_client_that_leaves_is_not_slow() {
        let (queue, inbox) = pair();
        drop(inbox);
        assert!(queue.push(message(1)));
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }
}

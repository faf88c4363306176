//! Who gets a message: subscriptions, retained messages, and a bounded queue per client. Pure
//! but for the queues, which never wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::topic;

/// Clients at a time.
const CLIENTS_MAX: usize = 256;
/// Subscriptions of one client.
const FILTERS_MAX: usize = 256;
/// Messages that wait for one client; the newest is dropped when there is no room.
const QUEUE_MAX: usize = 1024;
/// Bytes of them.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Retained messages; a new topic is not retained when there is no room.
const RETAINED_MAX: usize = 10_000;
/// Bytes of all retained messages.
const RETAINED_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    fn weight(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// What a session needs of the router.
pub(super) struct Attached {
    /// Tells two sessions of one client id apart.
    pub(super) session: u64,
    /// Cancelled when another connection takes the client id over.
    pub(super) stop: CancellationToken,
    /// What waits for the client.
    pub(super) inbox: Inbox,
}

/// The far end of a client's queue.
pub(super) struct Inbox {
    queue: mpsc::Receiver<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Inbox {
    /// The client's next message. May be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let message = self.queue.recv().await?;
        self.waiting.fetch_sub(message.weight(), Ordering::Relaxed);
        Some(message)
    }
}

/// All clients and what they want.
#[derive(Default)]
pub(super) struct Router {
    clients: HashMap<String, Client>,
    retained: BTreeMap<String, Message>,
    retained_bytes: usize,
    sessions: u64,
    dropped: u64,
}

struct Client {
    session: u64,
    queue: Queue,
    stop: CancellationToken,
    filters: BTreeMap<String, QoS>,
}

/// Where messages wait for a client.
#[derive(Clone)]
struct Queue {
    sender: mpsc::Sender<Message>,
    /// Bytes in it.
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// False where there is no room.
    fn push(&self, message: Message) -> bool {
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

impl Router {
    /// A client comes. An older session of the same id is told to end. `None` where there are too
    /// many clients.
    pub(super) fn attach(&mut self, id: &str, stop: CancellationToken) -> Option<Attached> {
        if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(id) {
            return None;
        }
        self.sessions += 1;
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::default();
        let client = Client {
            session: self.sessions,
            queue: Queue {
                sender,
                waiting: Arc::clone(&waiting),
            },
            stop: stop.clone(),
            filters: BTreeMap::new(),
        };
        if let Some(old) = self.clients.insert(id.to_owned(), client) {
            old.stop.cancel();
        }
        Some(Attached {
            session: self.sessions,
            stop,
            inbox: Inbox { queue, waiting },
        })
    }

    /// A session ends.
    pub(super) fn detach(&mut self, id: &str, session: u64) {
        if self.owner(id, session).is_some() {
            self.clients.remove(id);
        }
    }

    /// Adds a subscription and queues the retained messages that it takes. Gives the QoS that is
    /// granted, `None` for a filter that is malformed or one too many.
    pub(super) fn subscribe(
        &mut self,
        id: &str,
        session: u64,
        filter: &str,
        wanted: QoS,
    ) -> Option<QoS> {
        let granted = lower(wanted, QoS::AtLeastOnce);
        let client = self.owner(id, session)?;
        let room = client.filters.len() < FILTERS_MAX || client.filters.contains_key(filter);
        if !room || !topic::is_filter(filter) {
            return None;
        }
        client.filters.insert(filter.to_owned(), granted);
        let queue = client.queue.clone();
        let taken = self
            .retained
            .values()
            .filter(|message| topic::matches(filter, &message.topic));
        for message in taken {
            let message = Message {
                qos: lower(message.qos, granted),
                ..message.clone()
            };
            self.dropped += u64::from(!queue.push(message));
        }
        Some(granted)
    }

    /// Removes a subscription.
    pub(super) fn unsubscribe(&mut self, id: &str, session: u64, filter: &str) {
        if let Some(client) = self.owner(id, session) {
            client.filters.remove(filter);
        }
    }

    /// Hands a message to everyone who wants it, once to each, and retains it where it asks for it.
    pub(super) fn publish(&mut self, message: &Message) {
        if message.retain {
            self.retain(message);
        }
        for client in self.clients.values() {
            let granted = client
                .filters
                .iter()
                .filter(|(filter, _)| topic::matches(filter, &message.topic))
                .map(|(_, qos)| *qos)
                .reduce(|a, b| if a >= b { a } else { b });
            let Some(granted) = granted else {
                continue;
            };
            let copy = Message {
                qos: lower(message.qos, granted),
                // Says to a subscriber that the message is an old one, so here it is not set.
                retain: false,
                ..message.clone()
            };
            self.dropped += u64::from(!client.queue.push(copy));
        }
    }

    /// Messages that somebody wanted and there was no room for.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// An empty message takes the retained one away.
    fn retain(&mut self, message: &Message) {
        if let Some(old) = self.retained.remove(&message.topic) {
            self.retained_bytes -= old.weight();
        }
        let weight = message.weight();
        let room = self.retained.len() < RETAINED_MAX
            && self.retained_bytes + weight <= RETAINED_BYTES_MAX;
        if message.payload.is_empty() || !room {
            return;
        }
        self.retained_bytes += weight;
        let copy = Message {
            // The payload is part of a larger buffer, which must not live as long as this.
            payload: Bytes::copy_from_slice(&message.payload),
            ..message.clone()
        };
        self.retained.insert(message.topic.clone(), copy);
    }

    /// The client, where the session is still its latest.
    fn owner(&mut self, id: &str, session: u64) -> Option<&mut Client> {
        self.clients
            .get_mut(id)
            .filter(|client| client.session == session)
    }
}

fn lower(a: QoS, b: QoS) -> QoS {
    if a <= b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &'static str) -> Message {
        Message {
            topic: topic.into(),
            payload: Bytes::from_static(payload.as_bytes()),
            qos: QoS::ExactlyOnce,
            retain: false,
        }
    }

    fn retained(topic: &str, payload: &'static str) -> Message {
        Message {
            retain: true,
            ..message(topic, payload)
        }
    }

    fn attach(router: &mut Router, id: &str) -> Attached {
        router.attach(id, CancellationToken::new()).unwrap()
    }

    #[test]
    fn overlapping_subscriptions_give_one_message() {
        let mut router = Router::default();
        let mut a = attach(&mut router, "a");
        let b = attach(&mut router, "b");
        router.subscribe("a", a.session, "x/#", QoS::AtMostOnce);
        let granted = router.subscribe("a", a.session, "x/+", QoS::ExactlyOnce);
        assert_eq!(granted, Some(QoS::AtLeastOnce));
        router.publish(&message("x/y", "1"));
        assert_eq!(
            a.inbox.queue.try_recv().unwrap(),
            Message {
                qos: QoS::AtLeastOnce,
                ..message("x/y", "1")
            }
        );
        assert!(a.inbox.queue.is_empty() && b.inbox.queue.is_empty());
        router.unsubscribe("a", a.session, "x/#");
        router.unsubscribe("a", a.session, "x/+");
        router.publish(&message("x/y", "2"));
        assert!(a.inbox.queue.is_empty());
    }

    #[test]
    fn retained_messages_wait_for_subscribers() {
        let mut router = Router::default();
        router.publish(&retained("x", "old"));
        router.publish(&retained("x", "new"));
        router.publish(&retained("y", "gone"));
        router.publish(&retained("y", ""));
        let mut a = attach(&mut router, "a");
        router.subscribe("a", a.session, "+", QoS::AtMostOnce);
        let got = a.inbox.queue.try_recv().unwrap();
        assert_eq!(
            (&*got.payload, got.qos, got.retain),
            (&b"new"[..], QoS::AtMostOnce, true)
        );
        assert!(a.inbox.queue.is_empty());
        assert_eq!(router.retained_bytes, 4);
    }

    #[test]
    fn retained_messages_are_bounded() {
        let mut router = Router::default();
        for n in 0..RETAINED_MAX + 10 {
            router.publish(&retained(&n.to_string(), "x"));
        }
        assert_eq!(router.retained.len(), RETAINED_MAX);
        router.publish(&retained("0", ""));
        router.publish(&retained("new", "x"));
        assert!(router.retained.contains_key("new"));
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts() {
        let mut router = Router::default();
        let mut a = attach(&mut router, "a");
        router.subscribe("a", a.session, "#", QoS::AtMostOnce);
        router.publish(&message("first", ""));
        for _ in 0..QUEUE_MAX + 2 {
            router.publish(&message("more", ""));
        }
        assert_eq!(router.dropped(), 3);
        assert_eq!(a.inbox.queue.try_recv().unwrap().topic, "first");
        assert_eq!(a.inbox.queue.len(), QUEUE_MAX - 1);
    }

    #[tokio::test]
    async fn a_queue_has_room_for_so_many_bytes() {
        let mut router = Router::default();
        let mut a = attach(&mut router, "a");
        router.subscribe("a", a.session, "#", QoS::AtMostOnce);
        let large = Message {
            payload: vec![0; QUEUE_BYTES_MAX / 2].into(),
            ..message("x", "")
        };
        router.publish(&large);
        router.publish(&large);
        assert_eq!(router.dropped(), 1);
        a.inbox.next().await.unwrap();
        router.publish(&large);
        assert_eq!(router.dropped(), 1);
    }

    #[test]
    fn a_client_id_is_taken_over() {
        let mut router = Router::default();
        let old = attach(&mut router, "a");
        let new = attach(&mut router, "a");
        assert!(old.stop.is_cancelled() && !new.stop.is_cancelled());
        // What the old session still says and does is not the new one's.
        assert_eq!(
            router.subscribe("a", old.session, "#", QoS::AtMostOnce),
            None
        );
        router.detach("a", old.session);
        assert!(
            router
                .subscribe("a", new.session, "#", QoS::AtMostOnce)
                .is_some()
        );
        router.detach("a", new.session);
        assert!(router.clients.is_empty());
    }

    #[test]
    fn clients_and_subscriptions_are_bounded() {
        let mut router = Router::default();
        let clients: Vec<_> = (0..CLIENTS_MAX)
            .map(|n| attach(&mut router, &n.to_string()))
            .collect();
        assert!(router.attach("more", CancellationToken::new()).is_none());
        assert!(router.attach("1", CancellationToken::new()).is_some());
        let first = clients[0].session;
        for n in 0..FILTERS_MAX {
            assert!(
                router
                    .subscribe("0", first, &n.to_string(), QoS::AtMostOnce)
                    .is_some()
            );
        }
        assert!(
            router
                .subscribe("0", first, "more", QoS::AtMostOnce)
                .is_none()
        );
        assert!(
            router
                .subscribe("0", first, "1", QoS::AtLeastOnce)
                .is_some()
        );
    }
}

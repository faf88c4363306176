//! Who gets a message: subscriptions and retained messages. Nothing here waits.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use tokio_util::sync::CancellationToken;

use super::queue::{self, Inbox, Message, Queue};
use super::topic;

/// Clients at a time.
const CLIENTS_MAX: usize = 256;
/// Subscriptions of one client.
const FILTERS_MAX: usize = 256;
/// Retained messages; a new topic is not retained when there is no room.
const RETAINED_MAX: usize = 10_000;
/// Bytes of all retained messages.
const RETAINED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a session needs of the router.
pub(super) struct Attached {
    /// Tells two sessions of one client id apart.
    pub(super) session: u64,
    /// Cancelled when another connection takes the client id over.
    pub(super) stop: CancellationToken,
    /// What waits for the client.
    pub(super) inbox: Inbox,
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

impl Router {
    /// A client comes. An older session of the same id is told to end. `None` where there are too
    /// many clients.
    pub(super) fn attach(&mut self, id: &str, stop: CancellationToken) -> Option<Attached> {
        if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(id) {
            return None;
        }
        self.sessions += 1;
        let (queue, inbox) = queue::pair();
        let client = Client {
            session: self.sessions,
            queue,
            stop: stop.clone(),
            filters: BTreeMap::new(),
        };
        if let Some(old) = self.clients.insert(id.to_owned(), client) {
            old.stop.cancel();
        }
        Some(Attached {
            session: self.sessions,
            stop,
            inbox,
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
        let mut b = attach(&mut router, "b");
        router.subscribe("a", a.session, "x/#", QoS::AtMostOnce);
        let granted = router.subscribe("a", a.session, "x/+", QoS::ExactlyOnce);
        assert_eq!(granted, Some(QoS::AtLeastOnce));
        router.publish(&message("x/y", "1"));
        assert_eq!(
            a.inbox.take().unwrap(),
            Message {
                qos: QoS::AtLeastOnce,
                ..message("x/y", "1")
            }
        );
        assert_eq!((a.inbox.take(), b.inbox.take()), (None, None));
        router.unsubscribe("a", a.session, "x/#");
        router.unsubscribe("a", a.session, "x/+");
        router.publish(&message("x/y", "2"));
        assert_eq!(a.inbox.take(), None);
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
        let got = a.inbox.take().unwrap();
        assert_eq!(
            (&*got.payload, got.qos, got.retain),
            (&b"new"[..], QoS::AtMostOnce, true)
        );
        assert_eq!(a.inbox.take(), None);
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
    fn what_slow_clients_miss_is_counted() {
        let mut router = Router::default();
        let mut a = attach(&mut router, "a");
        router.subscribe("a", a.session, "#", QoS::AtMostOnce);
        let mut sent = 0;
        while router.dropped() < 3 {
            router.publish(&message("x", ""));
            sent += 1;
        }
        let kept = std::iter::from_fn(|| a.inbox.take()).count();
        assert_eq!(kept, sent - 3);
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

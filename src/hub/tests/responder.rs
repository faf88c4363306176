//! Who asks for servers is answered where the question came from, and nowhere else.

use super::*;

/// Answers everybody, with who asked as data.
#[derive(Debug, Default)]
struct Echoing {
    asked: Mutex<Vec<String>>,
}

impl Responder for Echoing {
    fn answers(&self, asker: Asker<'_>) -> Vec<Event> {
        self.asked.lock().unwrap().push(format!("{asker:?}"));
        vec![event("0,0,28,0,,,-,1"), event("0,0,28,0,,,-,2")]
    }

    fn status(&self) -> ResponderStatus {
        ResponderStatus::default()
    }
}

const PROBE: &str = "0,0,27,0,,,::5,0,192,168,1,8";

fn hub_that_answers(routing: Routing) -> (Arc<Hub>, Arc<Echoing>) {
    let hub = hub_with(routing);
    let responder = Arc::new(Echoing::default());
    hub.set_responder(Some(Arc::clone(&responder) as _));
    (hub, responder)
}

fn asked(responder: &Echoing) -> Vec<String> {
    std::mem::take(&mut *responder.asked.lock().unwrap())
}

#[test]
fn a_client_is_answered_on_its_channel() {
    let (hub, responder) = hub_that_answers(settings());
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let (one, two) = (client(&hub), client(&hub));
    hub.submit(&one, event("0,20,3,,,,-,1")).unwrap();
    hub.submit(&one, event("0,0,28,,,,-,1")).unwrap();
    hub.submit(&one, event("0,1024,27,,,,-,1")).unwrap();
    assert!(asked(&responder).is_empty());
    hub.submit(&one, event(PROBE)).unwrap();
    assert_eq!(asked(&responder), ["Client(\"127.0.0.1:1\")"]);
    assert_eq!(received(&one), ["0,28 obid 0 [1]", "0,28 obid 0 [2]"]);
    assert!(received(&two).is_empty());
    // It goes on as any event does, and the answers do not.
    assert_eq!(room.taken(), 4);
    // One that finds no room is not answered: it is to come again.
    let full = Room::new(0);
    hub.add_uplink(Arc::clone(&full) as _);
    assert!(hub.submit(&one, event(PROBE)).is_err());
    assert!(asked(&responder).is_empty());
}

#[test]
fn who_may_not_receive_an_answer_gets_none() {
    let (hub, responder) = hub_that_answers(settings());
    let attach = |kind, rights| {
        let client = Client {
            user: user(rights),
            kind,
            peer: "far 127.0.0.1:1".to_owned(),
            now: 1,
        };
        hub.attach_with(client, 1).unwrap()
    };
    let deaf = attach(Kind::Client(Service::Link), Rights::SEND_EVENT);
    hub.submit(&deaf, event(PROBE)).unwrap();
    assert!(received(&deaf).is_empty());
    let link = attach(Kind::Link, Rights::ADMIN);
    hub.submit(&link, event(PROBE)).unwrap();
    assert_eq!(asked(&responder)[1], "Link");
    // There was room for one.
    assert_eq!(received(&link), ["0,28 obid 0 [1]"]);
    assert_eq!(hub.totals().dropped.load(Ordering::Relaxed), 1);
    hub.set_responder(None);
    hub.submit(&link, event(PROBE)).unwrap();
    assert!(received(&link).is_empty());
}

#[test]
fn an_uplink_is_answered_by_itself_alone() {
    let (hub, responder) = hub_that_answers(settings());
    let (asks, other) = (Room::new(10), Room::new(10));
    hub.add_uplink(Arc::clone(&asks) as _);
    hub.add_uplink(Arc::clone(&other) as _);
    let channel = client(&hub);
    hub.deliver_from(event(PROBE), &*asks);
    assert_eq!(asked(&responder), ["Uplink(\"room\")"]);
    assert_eq!((asks.taken(), other.taken()), (2, 0));
    let probe = received(&channel);
    assert_eq!(probe.len(), 1, "clients have the question: {probe:?}");
    // Where nobody knows which uplink it was, or nothing leaves by it, there is no way back.
    hub.deliver(event(PROBE));
    hub.deliver_from(event(PROBE), &*Room::new(10));
    assert!(asked(&responder).is_empty());
    // One answer finds no room.
    let narrow = Room::new(1);
    hub.add_uplink(Arc::clone(&narrow) as _);
    hub.deliver_from(event(PROBE), &*narrow);
    assert_eq!(narrow.taken(), 1);
}

#[test]
fn answers_that_come_back_are_nothing_new() {
    let (hub, responder) = hub_that_answers(settings());
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let channel = client(&hub);
    hub.deliver_from(event(PROBE), &*room);
    received(&channel);
    asked(&responder);
    let answers: Vec<_> = std::mem::take(&mut *room.taken.lock().unwrap());
    for answer in &answers {
        hub.expect_echo(answer, false);
        hub.deliver_from(answer.event().clone(), &*room);
    }
    assert!(received(&channel).is_empty());
    assert_eq!(hub.totals().suppressed.load(Ordering::Relaxed), 2);
    // An equal one of somebody else is one.
    hub.deliver_from(answers[0].event().clone(), &*room);
    assert_eq!(received(&channel), ["0,28 obid 0 [1]"]);
    assert!(asked(&responder).is_empty());
}

/// The question of a client comes back from a broker: it was answered before.
#[test]
fn a_question_that_comes_back_is_answered_once() {
    let (hub, responder) = hub_that_answers(settings());
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let channel = client(&hub);
    hub.submit(&channel, event(PROBE)).unwrap();
    assert_eq!(received(&channel).len(), 2);
    let sent = Arc::clone(&room.taken.lock().unwrap()[0]);
    hub.expect_echo(&sent, false);
    hub.deliver_from(sent.event().clone(), &*room);
    assert_eq!(asked(&responder).len(), 1);
    assert_eq!(room.taken(), 1);
    assert_eq!(received(&channel).len(), 1, "its own event");
}

#[test]
fn filters_are_for_clients_and_not_for_the_driver() {
    let nothing = FilterPair {
        filter: "0,9999".parse().unwrap(),
        mask: "0,65535".parse().unwrap(),
    };
    let routing = Routing {
        filter_in: nothing,
        filter_out: nothing,
        ..settings()
    };
    let (hub, _) = hub_that_answers(routing);
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let channel = client(&hub);
    hub.deliver_from(event(PROBE), &*room);
    assert_eq!((room.taken(), received(&channel).len()), (2, 0));
    hub.submit(&channel, event(PROBE)).unwrap();
    assert_eq!((room.taken(), received(&channel).len()), (2, 2));
}

/// The link of another driver asks by the session that sends: what waits for the link is elsewhere.
#[test]
fn the_link_of_another_driver_is_answered_where_it_listens() {
    let (hub, responder) = hub_that_answers(settings());
    let standing = Client {
        user: user(Rights::ADMIN),
        kind: Kind::Standing,
        peer: "link far of somebody".to_owned(),
        now: 1,
    };
    let standing = hub.attach_with(standing, 10).unwrap();
    standing.join("a link");
    let session = client(&hub);
    session.join("a link");
    hub.submit(&session, event(PROBE)).unwrap();
    assert_eq!(asked(&responder), ["Client(\"127.0.0.1:1\")"]);
    assert!(received(&session).is_empty());
    assert_eq!(received(&standing), ["0,28 obid 0 [1]", "0,28 obid 0 [2]"]);
    hub.detach(standing.id());
    hub.submit(&session, event(PROBE)).unwrap();
    assert_eq!(received(&session).len(), 2);
}

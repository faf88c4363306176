mod responder;

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::auth::{AllowedEvents, Credential, Privilege, Remotes, Rights};
use crate::event::Filter;
use crate::event::json::Generation;
use crate::event::text::{Defaults, TextForm, parse};
use crate::wire::ws::Dialect;

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:00";

fn settings() -> Routing {
    Routing {
        max_out_queue: 10,
        max_websocket_queue: 10,
        receive_sent_events: true,
        interconnect: false,
        filter_in: FilterPair::default(),
        filter_out: FilterPair::default(),
    }
}

fn hub_with(routing: Routing) -> Arc<Hub> {
    Hub::new(GUID.parse().unwrap(), routing)
}

fn user(rights: Rights) -> Arc<User> {
    Arc::new(User {
        name: "somebody".to_owned(),
        credential: "2d1e4f91dae49cd08eaba2293e422273"
            .parse::<Credential>()
            .unwrap(),
        full_name: String::new(),
        note: String::new(),
        rights,
        privilege: Privilege::HIGHEST,
        remotes: Remotes::default(),
        max_sessions: None,
        allowed: AllowedEvents::default(),
        filter: FilterPair::default(),
    })
}

fn client(hub: &Hub) -> Arc<Channel> {
    let client = Client {
        user: user(Rights::ADMIN),
        kind: Kind::Client(Service::Link),
        peer: "127.0.0.1:1".to_owned(),
        now: 1,
    };
    hub.attach(client).unwrap()
}

fn event(line: &str) -> Event {
    parse(
        line,
        &Defaults {
            now: 1,
            obid: 0,
            guid: GUID.parse().unwrap(),
        },
    )
    .unwrap()
}

fn received(channel: &Channel) -> Vec<String> {
    let mut events = Vec::new();
    channel.queue().take(usize::MAX, &mut events);
    events
        .iter()
        .map(|event| {
            let event = event.event();
            format!(
                "{},{} obid {} {:?}",
                event.class, event.vscp_type, event.obid, &*event.data
            )
        })
        .collect()
}

/// An uplink with so much room.
#[derive(Debug)]
struct Room {
    room: AtomicUsize,
    taken: Mutex<Vec<Arc<SharedEvent>>>,
}

impl Room {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            room: AtomicUsize::new(room),
            taken: Mutex::default(),
        })
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

impl Uplink for Room {
    fn name(&self) -> &str {
        "room"
    }

    fn reserve(&self, _event: &SharedEvent) -> bool {
        self.room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
    }

    fn commit(&self, event: Arc<SharedEvent>) {
        self.taken.lock().unwrap().push(event);
    }

    fn release(&self, _event: &SharedEvent) {
        self.room.fetch_add(1, Ordering::SeqCst);
    }

    fn status(&self) -> UplinkStatus {
        UplinkStatus::default()
    }
}

#[test]
fn ids_are_the_lowest_that_are_free() {
    let hub = hub_with(settings());
    let ids: Vec<u16> = (0..4).map(|_| client(&hub).id()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    hub.detach(2);
    hub.detach(3);
    assert_eq!(client(&hub).id(), 2);
    assert_eq!(client(&hub).id(), 3);
    assert_eq!(client(&hub).id(), 5);
    let guids: Vec<String> = hub
        .channels()
        .iter()
        .map(|c| c.guid().to_string())
        .collect();
    assert_eq!(guids[4], "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:05:00:00");
}

#[test]
fn all_uplinks_have_an_event_or_none() {
    let hub = hub_with(settings());
    let (wide, narrow) = (Room::new(10), Room::new(1));
    hub.add_uplink(Arc::clone(&wide) as _);
    hub.add_uplink(Arc::clone(&narrow) as _);
    let channel = client(&hub);
    assert_eq!(hub.submit(&channel, event("0,20,3,,,,-,1")), Ok(()));
    assert_eq!(
        hub.submit(&channel, event("0,20,3,,,,-,2")),
        Err(SubmitError::Full)
    );
    assert_eq!((wide.taken(), narrow.taken()), (1, 1));
    assert_eq!(wide.room.load(Ordering::SeqCst), 9);
    assert_eq!(channel.counters().received.load(Ordering::Relaxed), 1);
    assert_eq!(channel.last_error().code, 21);
}

#[test]
fn a_clients_event_goes_to_uplinks_only() {
    let hub = hub_with(settings());
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let (one, two) = (client(&hub), client(&hub));
    hub.submit(&one, event("0,20,3,,,,-,1")).unwrap();
    assert_eq!(room.taken(), 1);
    assert!(one.queue().is_empty() && two.queue().is_empty());
    hub.deliver(event("0,20,4,,,,-,2"));
    assert_eq!(room.taken(), 1, "an uplink's event goes to no uplink");
    assert_eq!(received(&one), ["20,4 obid 0 [2]"]);
    assert_eq!(received(&two), ["20,4 obid 0 [2]"]);
}

#[test]
fn an_echo_carries_the_id_it_left_with_and_may_be_hidden() {
    for shown in [true, false] {
        let hub = hub_with(Routing {
            receive_sent_events: shown,
            ..settings()
        });
        let (one, two) = (client(&hub), client(&hub));
        let sent = SharedEvent::new(event("0,20,3,,,,-,1"), Some(two.origin()));
        hub.expect_echo(&sent, false);
        hub.expect_echo(&sent, false);
        for _ in 0..3 {
            hub.deliver(event("0,20,3,77,,,-,1"));
        }
        assert_eq!(
            received(&one),
            ["20,3 obid 2 [1]", "20,3 obid 2 [1]", "20,3 obid 77 [1]"],
            "others see every copy"
        );
        let mine: &[&str] = if shown {
            &["20,3 obid 2 [1]", "20,3 obid 2 [1]", "20,3 obid 77 [1]"]
        } else {
            &["20,3 obid 77 [1]"]
        };
        assert_eq!(received(&two), mine);
    }
}

#[test]
fn an_obid_that_would_be_mistaken_becomes_zero() {
    let hub = hub_with(settings());
    let one = client(&hub);
    hub.deliver(event("0,20,3,1,,,-,1"));
    hub.deliver(event("0,20,3,2,,,-,1"));
    assert_eq!(received(&one), ["20,3 obid 0 [1]", "20,3 obid 2 [1]"]);
}

#[test]
fn interconnect_delivers_at_once_and_only_once() {
    let hub = hub_with(Routing {
        interconnect: true,
        ..settings()
    });
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let (one, two) = (client(&hub), client(&hub));
    hub.submit(&one, event("0,20,3,1,,,-,1")).unwrap();
    assert_eq!(received(&two), ["20,3 obid 1 [1]"]);
    assert!(one.queue().is_empty());
    let copy = Arc::clone(&room.taken.lock().unwrap()[0]);
    hub.expect_echo(&copy, false);
    hub.deliver(event("0,20,3,,,,-,1"));
    assert!(two.queue().is_empty(), "it was there already");
    assert_eq!(received(&one), ["20,3 obid 1 [1]"]);
    hub.deliver(event("0,20,3,,,,-,1"));
    assert_eq!(
        received(&two).len(),
        1,
        "an equal event of somebody else's is another event"
    );
}

#[test]
fn an_addressed_event_goes_to_its_channel_alone() {
    let hub = hub_with(settings());
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let (one, two, three) = (client(&hub), client(&hub), client(&hub));
    let to_two = "0,532,3,,,,-,255,255,255,255,255,255,255,245,2,136,136,0,0,2,9,9,1";
    hub.submit(&one, event(to_two)).unwrap();
    hub.deliver(event(to_two));
    assert_eq!(received(&two).len(), 2);
    assert!(one.queue().is_empty() && three.queue().is_empty());
    assert_eq!(room.taken(), 0);
    // An interface that is not ours, and a class that has none.
    hub.submit(&one, event(&to_two.replace(",0,2,9,9", ",0,99,9,9")))
        .unwrap();
    hub.submit(&one, event(&to_two.replace("0,532", "0,20")))
        .unwrap();
    assert_eq!(room.taken(), 2);
}

#[test]
fn a_full_queue_drops_the_newest_and_counts() {
    let hub = hub_with(settings());
    let one = client(&hub);
    for n in 0..13 {
        hub.deliver(event(&format!("0,20,3,,,,-,{n}")));
    }
    assert_eq!(one.counters().overruns.load(Ordering::Relaxed), 3);
    assert_eq!(hub.totals().dropped.load(Ordering::Relaxed), 3);
    let error = one.last_error().clone();
    assert_eq!((error.code, error.subcode), (9, 3));
    let found = received(&one);
    assert_eq!(found.len(), 10);
    assert_eq!(found[9], "20,3 obid 0 [9]");
    hub.deliver(event("0,20,3,,,,-,99"));
    assert_eq!(received(&one).len(), 1);
}

#[test]
fn filters_and_rights() {
    let only = |class: &str| FilterPair {
        filter: class.parse().unwrap(),
        mask: "0,0xFFFF".parse().unwrap(),
    };
    let hub = hub_with(Routing {
        filter_in: only("0,20"),
        filter_out: only("0,30"),
        ..settings()
    });
    let room = Room::new(10);
    hub.add_uplink(Arc::clone(&room) as _);
    let one = client(&hub);
    let deaf = hub
        .attach(Client {
            user: user(Rights::SEND_EVENT),
            kind: Kind::Client(Service::Link),
            peer: String::new(),
            now: 1,
        })
        .unwrap();
    hub.deliver(event("0,20,3,,,,-,1"));
    hub.deliver(event("0,21,3,,,,-,1"));
    assert_eq!(received(&one), ["20,3 obid 0 [1]"]);
    assert!(deaf.queue().is_empty());
    hub.submit(&one, event("0,30,3,,,,-,1")).unwrap();
    hub.submit(&one, event("0,31,3,,,,-,1")).unwrap();
    assert_eq!(room.taken(), 1);
    one.set_filter(FilterPair {
        filter: "0,0,9".parse().unwrap(),
        mask: "0,0,0xFFFF".parse().unwrap(),
    });
    hub.deliver(event("0,20,3,,,,-,1"));
    hub.deliver(event("0,20,9,,,,-,1"));
    assert_eq!(received(&one), ["20,9 obid 0 [1]"]);
}

#[test]
fn one_line_for_all() {
    let event = SharedEvent::new(event("0,20,3,,2001-11-02T18:00:01,5,-,1"), None);
    let line = event.line(TextForm::Legacy);
    assert_eq!(
        &line[..],
        format!("0,20,3,0,2001-11-02T18:00:01Z,5,{GUID},0x01\r\n").as_bytes()
    );
    assert_eq!(line.as_ptr(), event.line(TextForm::Legacy).as_ptr());
}

/// What waits is written after a reload too.
#[test]
fn in_the_form_that_is_asked_for() {
    let event = SharedEvent::new(event("0,20,3,,2001-11-02T18:00:01,5,-,1"), None);
    for _ in 0..2 {
        let line = |form| String::from_utf8(event.line(form).to_vec()).unwrap();
        assert!(line(TextForm::Legacy).contains("2001-11-02T18:00:01Z,5,"));
        assert!(line(TextForm::Nanos).contains(",1004724001000005000,"));
        let message = |dialect, names| {
            let text = event.message(dialect, names);
            let has = |name: &str| text.windows(name.len()).any(|part| part == name.as_bytes());
            (has("\"vscpClass\""), has("\"class\""))
        };
        assert_eq!(message(Dialect::Ws2, Generation::Classic), (true, false));
        assert_eq!(message(Dialect::Ws2, Generation::V2), (false, true));
        assert_eq!(message(Dialect::Ws2, Generation::Both), (true, true));
        let [one, other] = [Generation::V2, Generation::Classic]
            .map(|names| event.message(Dialect::Ws1, names).as_ptr());
        assert_eq!(one, other);
    }
}

#[test]
fn another_user_has_another_filter_and_what_waits_is_looked_at_again() {
    let hub = hub_with(settings());
    let (own, given) = (client(&hub), client(&hub));
    let narrow = |class| FilterPair {
        filter: Filter {
            class,
            ..Filter::default()
        },
        mask: Filter {
            class: 0xFFFF,
            ..Filter::default()
        },
    };
    own.set_filter(narrow(20));
    hub.deliver(event("0,20,3,,,,-,1"));
    hub.deliver(event("0,30,3,,,,-,1"));
    assert_eq!((own.queue().len(), given.queue().len()), (1, 2));
    let mut user = (*user(Rights::ADMIN)).clone();
    user.filter = narrow(30);
    user.allowed = AllowedEvents::parse(["RX;30;*;0"]).unwrap();
    let user = Arc::new(user);
    for channel in [&own, &given] {
        channel.set_user(Arc::clone(&user));
    }
    assert_eq!((own.queue().len(), given.queue().len()), (0, 1));
    hub.deliver(event("0,20,3,,,,-,1"));
    hub.deliver(event("0,30,3,,,,-,1"));
    assert_eq!(given.queue().len(), 2);
    assert_eq!(own.queue().len(), 0);
}

#[test]
fn a_hub_that_is_closed_takes_nothing() {
    let hub = hub_with(settings());
    let channel = client(&hub);
    let line = "0,20,3,,,,-,1";
    assert_eq!(hub.submit(&channel, event(line)), Ok(()));
    hub.close();
    assert_eq!(hub.submit(&channel, event(line)), Err(SubmitError::Full));
    let tag = Tag {
        origin: 7,
        number: 1,
    };
    assert_eq!(
        hub.arrive(&channel, &event(line), tag, None),
        Err(SubmitError::Full)
    );
}

/// The id of a channel that is gone is given to the next one, which did not send what comes back.
#[test]
fn what_comes_back_is_not_of_whoever_has_the_id_by_now() {
    let hub = hub_with(Routing {
        receive_sent_events: false,
        ..settings()
    });
    let one = client(&hub);
    let sent = SharedEvent::new(event("0,20,3,,,,-,1"), Some(one.origin()));
    hub.expect_echo(&sent, false);
    hub.expect_echo(&sent, false);
    hub.detach(one.id());
    let next = client(&hub);
    assert_eq!(next.id(), one.id());
    hub.deliver(event("0,20,3,77,,,-,1"));
    assert_eq!(received(&next), ["20,3 obid 0 [1]"]);
    // Nor has it come by the link that this one belongs to.
    next.join("link");
    hub.deliver(event("0,20,3,77,,,-,1"));
    assert_eq!(received(&next), ["20,3 obid 0 [1]"]);
    // What a link has brought does not go back to it, though the session has ended.
    let session = client(&hub);
    session.join("link");
    let sent = SharedEvent::new(event("0,20,3,,,,-,2"), Some(session.origin()));
    hub.expect_echo(&sent, false);
    hub.detach(session.id());
    hub.deliver(event("0,20,3,,,,-,2"));
    assert!(next.queue().is_empty());
}

/// An event for a node beyond a link that comes back from there by a broker ends as others do.
#[test]
fn an_addressed_event_goes_in_no_circle() {
    let hub = hub_with(settings());
    let far = Client {
        user: user(Rights::ADMIN),
        kind: Kind::Link,
        peer: "far".to_owned(),
        now: 1,
    };
    let link = hub.attach_with(far, 100).unwrap();
    let node: Guid = "FF:FF:FF:FF:FF:FF:FF:FC:00:00:00:09:00:01:00:00"
        .parse()
        .unwrap();
    hub.learn(&node, &link);
    let line = "0,532,3,,2020-02-20T20:20:20Z,5,::7,\
                255,255,255,255,255,255,255,252,0,0,0,9,0,1,0,0,1";
    for _ in 0..20 {
        hub.deliver(event(line));
    }
    assert_eq!(received(&link).len(), 3);
    assert!(hub.totals().suppressed.load(Ordering::Relaxed) >= 17);
}

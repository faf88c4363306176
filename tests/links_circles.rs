//! Servers that are linked in circles: each event arrives once at each client, and none goes on for
//! ever.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::HashMap;
use std::time::{Duration, Instant};

mod support;

use support::client::Client;
use support::far_end::{FarEnd, Said};
use support::linked::{Server, send};
use support::mosquitto::{Mosquitto, free_port};
use support::tools::wait_until;

/// A user that may not number events.
const PLAIN: &str = ", \"user\": \"user\"";
const ON_DEMAND: &str = ", \"mode\": \"on-demand\", \"direction\": \"out\"";
const POLL: &str = ", \"mode\": \"poll\", \"interval\": 1";

/// As many servers as there are links: each has one to the next.
fn ring(links: &[&str]) -> Vec<Server> {
    let ports: Vec<u16> = links.iter().map(|_| free_port()).collect();
    let open = |(at, more): (usize, &&str)| {
        let broker = Mosquitto::start();
        let next = ports[(at + 1) % ports.len()];
        let mut server = Server::start(at as u8 + 1, broker.port(), &[("next", next, more)], "");
        server.close();
        server.broker = Some(broker);
        server.open(&format!("127.0.0.1:{}", ports[at]));
        server
    };
    links.iter().enumerate().map(open).collect()
}

#[test]
fn two_servers_that_are_linked_both_ways() {
    each_client_sees_each_event_once(&mut ring(&["", ""]), 500, &[0, 1]);
}

#[test]
fn a_ring_of_three() {
    each_client_sees_each_event_once(&mut ring(&["", "", ""]), 500, &[0, 1, 2]);
}

/// Both ends have one broker, so that each event comes by it as well.
#[test]
fn a_link_beside_a_broker_that_both_have() {
    let broker = Mosquitto::start();
    let far = Server::start(2, broker.port(), &[], "");
    let near = Server::start(1, broker.port(), &[("far", far.port(), "")], "");
    each_client_sees_each_event_once(&mut [near, far], 500, &[0]);
}

#[test]
fn links_that_come_and_go_have_numbers_too() {
    for more in [ON_DEMAND, POLL] {
        each_client_sees_each_event_once(&mut ring(&[more, more]), 200, &[]);
    }
    let broker = Mosquitto::start();
    let far = Server::start(2, broker.port(), &[], "");
    let near = Server::start(1, broker.port(), &[("far", far.port(), POLL)], "");
    each_client_sees_each_event_once(&mut [near, far], 200, &[]);
}

/// What was sent while it was away waits for it.
#[test]
fn a_link_that_polls_fetches_what_came_between_its_visits() {
    let brokers = [Mosquitto::start(), Mosquitto::start()];
    let mut far = Server::start(2, brokers[0].port(), &[], "");
    let link = ("far", far.port(), ", \"mode\": \"poll\", \"interval\": 2");
    let mut near = Server::start(1, brokers[1].port(), &[link], "");
    near.is_linked();
    let mut client = Client::log_in(near.address());
    client.must("rcvloop");
    send(&far, 300).join().unwrap();
    for n in 0..300 {
        let event = client.event();
        assert_eq!(support::bench::number(&event), n, "{event}");
    }
    assert_eq!(client.line().as_deref(), Some("+OK"));
    near.close();
    far.close();
}

/// Events have no tags then, and come back as if they were new.
#[test]
fn links_of_users_that_may_not_number_events() {
    each_client_sees_each_event_once(&mut ring(&[PLAIN, PLAIN]), 200, &[0, 1]);
    each_client_sees_each_event_once(&mut ring(&[PLAIN, "", PLAIN]), 200, &[0, 1, 2]);
    let on_demand = format!("{PLAIN}{ON_DEMAND}");
    let mut servers = ring(&[&on_demand, &on_demand]);
    each_client_sees_each_event_once(&mut servers, 20, &[]);
    let log = servers[0].log();
    let said = "the far end gives the user no right";
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

/// Such a server takes each event for a new one, and sends it back under its own client's name.
#[test]
fn a_circle_through_a_server_of_another_kind_ends() {
    let broker = Mosquitto::start();
    let port = free_port();
    let mut back: Option<Client> = None;
    let far = FarEnd::start(move |_, command| match command.split_once(' ') {
        Some(("SEND", event)) => {
            let back = back.get_or_insert_with(|| {
                Client::log_in(format!("127.0.0.1:{port}").parse().unwrap())
            });
            back.must(&format!("send {event}"));
            Said::Text("+OK - Success.\r\n".to_owned())
        }
        Some(("XLINK" | "XRCV", _)) => Said::Text("-OK - Unknown command\r\n".to_owned()),
        _ => Said::Text("+OK - Success.\r\n".to_owned()),
    });
    let link = ("far", far.address().port(), ", \"direction\": \"out\"");
    let mut near = Server::start(1, broker.port(), &[link], "");
    near.close();
    near.open(&format!("127.0.0.1:{port}"));
    near.is_linked();
    let mut client = Client::log_in(near.address());
    client.must("send 0,20,3,,,,-,1");
    let mut before = 0;
    let mut since = Instant::now();
    wait_until("none goes any more", || {
        let sent = far.heard_of("SEND").len();
        if std::mem::replace(&mut before, sent) != sent || sent == 0 {
            since = Instant::now();
        }
        since.elapsed() > Duration::from_secs(1)
    });
    assert!((1..=4).contains(&before), "{before}");
    near.close();
}

#[test]
fn what_a_client_says_often_is_no_circle() {
    let broker = Mosquitto::start();
    let far = FarEnd::minimal(&[]);
    let link = ("far", far.address().port(), ", \"direction\": \"out\"");
    let mut near = Server::start(1, broker.port(), &[link], "");
    near.is_linked();
    let mut client = Client::log_in(near.address());
    for _ in 0..10 {
        client.must(
            "send 0,20,3,,2020-02-20T20:20:20Z,5,FF:FF:00:00:00:00:00:00:00:00:00:00:00:00:00:01,1",
        );
    }
    wait_until("all have gone", || far.heard_of("SEND").len() == 10);
    near.close();
}

/// Each sends so many, and one twice. Without `up` links come and go.
fn each_client_sees_each_event_once(servers: &mut [Server], count: usize, up: &[usize]) {
    up.iter().for_each(|at| servers[*at].is_linked());
    let mut clients: Vec<Client> = servers
        .iter()
        .map(|server| {
            let mut client = Client::log_in(server.address());
            client.must("rcvloop");
            client
        })
        .collect();
    let senders: Vec<_> = servers.iter().map(|server| send(server, count)).collect();
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    // One that is equal to one that was sent is another event.
    let mut twin = Client::log_in(servers[0].address());
    for _ in 0..2 {
        twin.must("send 0,20,3,,2020-02-20T20:20:20Z,5,FF:FF:00:00:00:00:00:00:00:00:00:00:00:00:00:01,7,7,7,7");
    }
    for (at, client) in clients.iter_mut().enumerate() {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for _ in 0..servers.len() * count + 2 {
            let event = client.event();
            let fields: Vec<&str> = event.split(',').collect();
            *seen.entry(fields[6..].join(",")).or_default() += 1;
        }
        let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert_eq!(twice.len(), 1, "at {at}: {twice:?}");
        assert!(twice[0].0.starts_with("FF:FF:00"), "at {at}: {twice:?}");
        assert_eq!(*twice[0].1, 2);
        // And no more, however long one waits.
        assert_eq!(client.line().as_deref(), Some("+OK"), "at {at}");
        assert_eq!(client.line().as_deref(), Some("+OK"), "at {at}");
    }
    servers.iter_mut().for_each(Server::close);
}

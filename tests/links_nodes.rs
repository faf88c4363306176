//! Events for nodes beyond links: each goes over the link that has the node's interface.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::net::SocketAddr;

use tempfile::TempDir;

mod support;

use support::binary::key_file;
use support::client::Client;
use support::far_end::{FarEnd, Said};
use support::hosted::{QUIET, Server, is_up, link};
use support::tools::{PATIENCE, wait_until};

const INTERFACE: &str = "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:00:00";
/// The first sixteen bytes of an event for a node behind it.
const NODE: &str = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,0,5";

/// A far end with these rows, that has a receive loop.
fn far_end(interfaces: &str) -> FarEnd {
    let interfaces = interfaces.to_owned();
    FarEnd::start(move |_, command| {
        Said::Text(match command {
            "INTERFACE LIST" => format!("{interfaces}+OK - Success.\r\n"),
            "RCVLOOP" => "+OK - Receive loop entered.\r\n".to_owned(),
            _ => "+OK - Success.\r\n".to_owned(),
        })
    })
}

fn with_interface() -> FarEnd {
    far_end(&format!(
        "1,4,{INTERFACE},somebody | Started at 2026-01-01T00:00:00\r\n"
    ))
}

/// Two links.
fn links(first: SocketAddr, second: SocketAddr, members: &str) -> String {
    let one = |address: SocketAddr, name: &str| {
        link(address, members)
            .replace("\"links\": [", "")
            .replace("],", "")
            .replace("\"far\"", &format!("\"{name}\""))
    };
    format!(
        "\"links\": [{}, {}],",
        one(first, "first"),
        one(second, "second")
    )
}

/// Events for nodes beyond a link, which the far end's list of interfaces, or its events, have
/// shown to be there.
#[test]
fn events_for_a_node_go_over_the_link_that_has_its_interface() {
    let (first, second) = (with_interface(), far_end(""));
    let near = Server::start(1, &links(first.address(), second.address(), ""));
    wait_until("both are up", || {
        // What follows INTERFACE LIST: the answer to that was read.
        [&first, &second]
            .iter()
            .all(|far| !far.heard_of("RCVLOOP").is_empty() && !far.heard_of("XLINK").is_empty())
    });
    near.write(&format!("0,532,3,,,,::1,{NODE},1"));
    wait_until("the first has it", || first.heard_of("SEND").len() == 1);
    // A node that shows itself behind the second.
    for at in 0..second.connections() {
        second.say(
            at,
            "0,20,3,9,,,0F:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:00:07,1\r\n",
        );
    }
    assert_eq!(near.data(), [1]);
    near.write(&format!("0,532,3,,,,::1,15,{},2", &NODE[2..]));
    wait_until("the second has it", || second.heard_of("SEND").len() == 1);
    // Anything else goes everywhere.
    near.write("0,20,3,,,,::1,3");
    wait_until("both have it", || {
        first.heard_of("SEND").len() == 2 && second.heard_of("SEND").len() == 2
    });
    assert!(first.heard_of("SEND")[0].ends_with(",0x01"));
    assert!(second.heard_of("SEND")[0].ends_with(",0x02"));
    near.driver.close();
}

/// The binary mode shows interfaces one by one.
#[test]
fn interfaces_are_learned_in_the_binary_mode_too() {
    let place = TempDir::new().unwrap();
    let key = key_file(place.path());
    let encryption = format!("\"encryption\": \"aes128\", \"key-file\": {key:?}");
    let far = [2, 3].map(|number| Server::start(number, &format!("{encryption},")));
    let mut clients = [0, 1].map(|at: usize| Client::log_in(far[at].address()));
    let guid = clients[0].must("ggid")[0].clone();
    let node = guid.split(':').map(|byte| format!("0x{byte}"));
    let node = node.collect::<Vec<_>>().join(",");
    let [first, second] = [far[0].address(), far[1].address()];
    let near = Server::start(
        1,
        &links(
            first,
            second,
            &format!(", {encryption}, \"direction\": \"out\""),
        ),
    );
    wait_until("both are asked", || {
        near.log().matches("connected to send").count() == 2
            && far.iter().all(|far| far.channels() == 3)
    });
    // It may be on its way before the list has come: then it goes everywhere.
    wait_until("it is known", || {
        near.write(&format!("0,532,3,,,,::1,{node},1"));
        for client in &mut clients {
            client.must("noop");
        }
        far[1].anything(QUIET).is_none()
    });
    near.write(&format!("0,532,3,,,,::1,{node},2"));
    wait_until("its client has it", || {
        clients[0]
            .ask("retr 1")
            .iter()
            .any(|line| line.ends_with(",0x02"))
    });
    assert_eq!(far[1].anything(QUIET), None);
    near.driver.close();
    far.into_iter().for_each(|far| far.driver.close());
}

/// Of a link that logs in here its events tell what is beyond it.
#[test]
fn events_for_nodes_go_over_the_links_that_log_in_here_too() {
    let far = Server::start(2, "");
    let near = [1, 3].map(|number| Server::start(number, &link(far.address(), "")));
    near.iter().for_each(is_up);
    wait_until("both have both connections", || far.channels() == 5);
    let node = "0F:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:00:07";
    near[0].write(&format!("0,20,3,,,,{node},1"));
    assert_eq!(far.data(), [1]);
    wait_until("it was answered, and what it tells is known", || {
        near[0].status("link far").contains(" 1 sent")
    });
    let bytes = format!("15,{}", &NODE[2..]);
    far.write(&format!("0,532,3,,,,::2,{bytes},2"));
    assert_eq!(near[0].data().last(), Some(&2));
    assert_eq!(near[1].anything(QUIET), None);
    // Anything else goes to both.
    far.write("0,20,3,,,,::2,3");
    for near in &near {
        assert_eq!(near.data(), [3]);
    }
    near.into_iter().for_each(|near| near.driver.close());
    far.driver.close();
}

#[test]
fn links_that_visit_learn_interfaces_where_they_only_send() {
    for mode in [
        "\"mode\": \"on-demand\"",
        "\"mode\": \"poll\", \"interval\": 1",
    ] {
        let (first, second) = (with_interface(), far_end(""));
        let near = Server::start(
            1,
            &links(
                first.address(),
                second.address(),
                &format!(", \"direction\": \"out\", {mode}"),
            ),
        );
        // Until it was there, nobody knows.
        near.write(&format!("0,532,3,,,,::1,{NODE},1"));
        wait_until("both were asked", || {
            [&first, &second].iter().all(|far| {
                !far.heard_of("INTERFACE").is_empty() && !far.heard_of("QUIT").is_empty()
            })
        });
        let before = second.heard_of("SEND").len();
        for n in 2..5 {
            near.write(&format!("0,532,3,,,,::1,{NODE},{n}"));
            wait_until("the first has it", || {
                let sent = first.heard_of("SEND");
                sent.iter().any(|line| line.ends_with(&format!(",0x0{n}")))
            });
        }
        assert_eq!(second.heard_of("SEND").len(), before, "{mode}");
        assert_eq!(first.heard_of("INTERFACE").len(), 1, "not at each visit");
        near.driver.close();
    }
}

/// A GUID says nothing where the far end has the same: events of its clients are its own.
#[test]
fn a_namesake_is_noticed_where_a_link_only_receives() {
    let far = Server::start(1, "");
    let near = Server::start(1, &link(far.address(), ", \"direction\": \"in\""));
    wait_until("the link is there", || far.channels() == 2);
    wait_until("it is said", || {
        near.log()
            .contains("the far end has the GUID of this driver")
    });
    let mut client = Client::log_in(far.address());
    client.must("send 0,20,5,,,,-,9");
    // A host gives it back to all.
    far.driver.write(far.driver.read(PATIENCE).unwrap());
    assert_eq!(near.data(), [9]);
    near.driver.close();
    far.driver.close();
}

//! Links to other servers, which are drivers of this kind or do what a test says.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};

mod support;

use support::binary::key_file;
use support::certificates::Authority;
use support::client::Client;
use support::far_end::{FarEnd, Said};
use support::hosted::{QUIET, Server, event, guid, is_up, link};
use support::mosquitto::free_port;
use support::reload::Bench;
use support::secure::{self, joined};
use support::tools::{PATIENCE, wait_until};
use support::watched::{self, STATUS};

#[test]
fn events_go_both_ways_and_none_comes_back() {
    let far = Server::start(2, "");
    let near = Server::start(1, &link(far.address(), ""));
    is_up(&near);
    wait_until("both connections are there", || far.channels() == 3);
    for n in 0..2000_u16 {
        let [high, low] = n.to_be_bytes();
        near.write(&format!("0,20,3,,,,::1,{high},{low}"));
        far.write(&format!("0,20,4,,,,::2,{high},{low}"));
    }
    for n in 0..2000_u16 {
        assert_eq!(far.data(), n.to_be_bytes());
        assert_eq!(near.data(), n.to_be_bytes());
    }
    assert_eq!(near.anything(QUIET), None);
    assert_eq!(far.anything(QUIET), None);
    // A client there sees what comes, as from any other client, and its own goes to here.
    let mut client = Client::log_in(far.address());
    client.must("send 0,20,5,,,,-,9");
    assert_eq!(far.data(), [9], "a host gives it back to all");
    near.driver.close();
    far.driver.close();
}

#[test]
fn one_way_means_one_way() {
    for (direction, goes_out) in [("out", true), ("in", false)] {
        let far = Server::start(2, "");
        let members = format!(", \"direction\": \"{direction}\"");
        let near = Server::start(1, &link(far.address(), &members));
        wait_until("the link is there", || far.channels() == 2);
        let (mut near_client, mut far_client) = (
            Client::log_in(near.address()),
            Client::log_in(far.address()),
        );
        for n in 0..50 {
            near.write(&format!("0,20,3,,,,::1,{n}"));
            far.write(&format!("0,20,3,,,,::2,{n}"));
            near_client.must("noop");
            far_client.must("noop");
        }
        let (from, to) = if goes_out {
            (&near, &far)
        } else {
            (&far, &near)
        };
        for n in 0..50 {
            assert_eq!(to.data(), [n], "{direction}");
        }
        assert_eq!(from.anything(QUIET), None, "{direction}");
        near.driver.close();
        far.driver.close();
    }
}

/// Whatever the far end of a link that only sends says, asked or not, it is no event here: whether
/// it numbers events or not, and whether the link stays or comes and goes.
#[test]
fn nothing_flows_back_on_a_link_that_only_sends() {
    let crafted = "0,20,3,0,,,00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,1\r\n";
    for (numbers, mode, stays) in [
        (false, "", true),
        (true, "", true),
        (false, ", \"mode\": \"on-demand\"", false),
        (true, ", \"mode\": \"on-demand\"", false),
        (false, ", \"mode\": \"poll\", \"interval\": 1", false),
        (true, ", \"mode\": \"poll\", \"interval\": 1", false),
    ] {
        let far = FarEnd::start(move |_, command| {
            Said::Text(match command.split(' ').next() {
                Some("CHID") => format!("{crafted}7\r\n+OK - Success.\r\n"),
                Some("XLINK") if numbers => format!("{crafted}0\r\n+OK - Success.\r\n"),
                Some("XLINK") => format!("{crafted}-OK - Unknown command\r\n"),
                Some("XSEND") => {
                    format!("{crafted}9 00000000000000ab.1 {crafted}+OK - Success.\r\n")
                }
                _ => format!("{crafted}+OK - Success.\r\n"),
            })
        });
        let members = format!(", \"direction\": \"out\"{mode}");
        let near = Server::start(1, &link(far.address(), &members));
        if stays {
            wait_until("it is logged in", || !far.heard_of("XLINK").is_empty());
            far.say(0, &crafted.repeat(100));
            far.say(0, &format!("9 00000000000000ab.2 {crafted}"));
            if !numbers {
                far.say(0, "+OK\r\n-OK - no\r\n");
            }
        }
        near.write("0,20,3,,,,::1,1");
        let sends = if numbers { "XSEND" } else { "SEND" };
        wait_until("it sends", || !far.heard_of(sends).is_empty());
        if stays {
            far.say(0, crafted);
            assert_eq!(far.connections(), 1, "{members}");
        }
        assert_eq!(near.anything(QUIET), None, "{members}");
        for word in ["RCVLOOP", "XRCV", "RETR"] {
            assert_eq!(far.heard_of(word).len(), 0, "{members}");
        }
        near.driver.close();
    }
}

/// It knows no numbers, lists its clients in words of its own, and sends back what it was sent.
#[test]
fn a_server_of_the_cpp_kind() {
    let own = "FF:FF:FF:FF:FF:FF:FF:FE:00:00:00:00:00:01:00:00";
    let far = FarEnd::start(move |_, command| {
        Said::Text(match command.split(' ').next() {
            Some("CHID") => "7\r\n+OK - Success.\r\n".to_owned(),
            Some("GGID") => format!("{own}\r\n+OK - Success.\r\n"),
            Some("INTERFACE") => format!(
                "7,5,{own},Remote tcp/ip server connection @ [tcp://9598] | \
                 Started at 2026-01-01T00:00:00Z\r\n+OK - Success.\r\n"
            ),
            Some("RCVLOOP") => "+OK - Receive loop entered. QUITLOOP to terminate.\r\n".to_owned(),
            Some("XLINK" | "XRCV") => "-OK - Unknown command.\r\n".to_owned(),
            _ => "+OK - Success.\r\n".to_owned(),
        })
    });
    let near = Server::start(1, &link(far.address(), ""));
    wait_until("it is there both ways", || {
        !far.heard_of("RCVLOOP").is_empty() && !far.heard_of("INTERFACE").is_empty()
    });
    near.write("0,20,3,,2026-01-01T00:00:00Z,5,::1,1");
    wait_until("it is sent", || !far.heard_of("SEND").is_empty());
    let sent = far.heard_of("SEND")[0].clone();
    let (_, event) = sent.split_once(' ').unwrap();
    assert!(
        event.starts_with("0,20,3,0,2026-01-01T00:00:00Z,5,"),
        "{event}"
    );
    // Both connections have it, with the id of the one that sent it; another client's is equal.
    let back = event.replace("0,20,3,0,", "0,20,3,7,");
    for at in 0..far.connections() {
        far.say(at, &format!("{back}\r\n+OK\r\n"));
        far.say(at, &format!("0,20,4,8,2026-01-01T00:00:00Z,6,{own},2\r\n"));
    }
    assert_eq!(near.data(), [2]);
    assert_eq!(near.anything(QUIET), None);
    let status = near.status("link far");
    assert!(
        status.contains(" 1 sent, 1 received, 1 suppressed"),
        "{status}"
    );
    near.driver.close();
}

/// The bound is the link's own; what it cost is counted.
#[test]
fn what_waits_for_the_far_end_is_bounded() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let members = ", \"max-out-queue\": 3, \"direction\": \"out\"";
    let near = Server::start(1, &link(address, members));
    for n in 0..10 {
        near.write(&format!("0,20,3,,,,::1,{n}"));
    }
    wait_until("seven had no room", || {
        let status = near.status("link far");
        status.contains(" 3 events wait, 0 sent") && status.contains(" 7 dropped")
    });
    let far = Server::at(&address.to_string(), 2, "");
    for n in 0..3 {
        assert_eq!(far.data(), [n], "the oldest");
    }
    assert_eq!(far.anything(QUIET), None);
    wait_until("they are counted", || {
        near.status("link far").contains(" 0 events wait, 3 sent")
    });
    near.driver.close();
    far.driver.close();
}

/// The filter for what comes in is the far end's to know, and holds here whether it does or not.
#[test]
fn what_comes_in_passes_the_filter() {
    let filter = ", \"direction\": \"in\", \
                  \"filter\": {\"in-filter\": \"0,20,0,-\", \"in-mask\": \"0,65535,0,-\"}";
    let far = FarEnd::start(|_, command| {
        Said::Text(match command {
            "RCVLOOP" => "+OK - Receive loop entered.\r\n".to_owned(),
            line if line.starts_with('X') => "-OK - Unknown command\r\n".to_owned(),
            _ => "+OK - Success.\r\n".to_owned(),
        })
    });
    let near = Server::start(1, &link(far.address(), filter));
    wait_until("it listens", || !far.heard_of("RCVLOOP").is_empty());
    assert_eq!(far.heard_of("SFLT").len(), 1);
    assert!(
        far.heard_of("SMSK")[0].contains(",65535,"),
        "{:?}",
        far.heard()
    );
    let guid = "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F";
    far.say(
        0,
        &format!("0,30,3,9,,,{guid},1\r\nnonsense\r\n0,20,3,9,,,{guid},2\r\n"),
    );
    assert_eq!(near.data(), [2]);
    assert!(
        near.status("link far").contains(" 1 received"),
        "{}",
        near.status("link far")
    );
    near.driver.close();
    // One of this kind keeps back what is not wanted.
    let far = Server::start(2, "");
    let near = Server::start(1, &link(far.address(), filter));
    wait_until("the link is there", || far.channels() == 2);
    wait_until("what passes comes", || {
        far.write("0,30,3,,,,::2,1");
        far.write("0,20,3,,,,::2,2");
        near.anything(QUIET)
            .is_some_and(|event| event.data[..] == [2])
    });
    while let Some(event) = near.anything(QUIET) {
        assert_eq!(event.class, 20);
    }
    near.driver.close();
    far.driver.close();
}

#[test]
fn what_waits_while_the_far_end_is_away_comes_when_it_is_back() {
    let far = Server::start(2, "");
    let address = far.address();
    let near = Server::start(1, &link(address, ""));
    is_up(&near);
    near.write("0,20,3,,,,::1,1");
    assert_eq!(far.data(), [1]);
    far.driver.close();
    wait_until("it is noticed", || near.log().contains("next attempt in"));
    for n in 2..200 {
        near.write(&format!("0,20,3,,,,::1,{n}"));
    }
    let far = Server::at(&address.to_string(), 2, "");
    for n in 2..200 {
        assert_eq!(far.data(), [n]);
    }
    // And the other way: the connection that receives is there again.
    wait_until("events come again", || {
        far.write("0,20,3,,,,::2,7");
        near.anything(Duration::from_millis(50)).is_some()
    });
    near.driver.close();
    far.driver.close();
}

#[test]
fn a_node_without_a_receive_loop_is_asked() {
    let far = FarEnd::minimal(&[
        "0,20,3,9,,,00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,1",
        "no event",
        // What this link has sent, come back.
        "0,20,3,7,,,00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,2",
        "0,20,3,0,,,00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F,3",
    ]);
    let near = Server::start(1, &link(far.address(), ""));
    near.write("0,20,4,5,,,::1,4");
    assert_eq!(near.data(), [1]);
    assert_eq!(near.data(), [3]);
    assert_eq!(near.anything(QUIET), None);
    let sent = far.heard_of("SEND").remove(0);
    assert!(
        sent.starts_with("SEND 0,20,4,0,"),
        "the obid is its own: {sent}"
    );
    assert!(
        near.log()
            .contains("the far end has no receive loop (-OK - Command not implemented)")
    );
    near.driver.close();
}

/// A node that gives one event at a time, however many it is asked for: one visit has them all.
#[test]
fn a_node_that_ignores_the_count_is_asked_until_it_has_no_more() {
    let mut left = 5;
    let far = FarEnd::start(move |_, command| {
        let word = command.split(' ').next().unwrap().to_uppercase();
        Said::Text(match word.as_str() {
            "RETR" if left == 0 => "-OK - No event(s) available\r\n".to_owned(),
            "RETR" => {
                left -= 1;
                format!("0,20,3,9,,,::5,{left}\r\n+OK - Success.\r\n")
            }
            _ => "+OK - Success.\r\n".to_owned(),
        })
    });
    let members = link(far.address(), ", \"mode\": \"poll\", \"interval\": 86400");
    let near = Server::start(1, &members);
    for n in (0..5).rev() {
        assert_eq!(near.data(), [n]);
    }
    near.driver.close();
}

#[test]
fn a_link_that_polls_comes_and_goes() {
    let far = FarEnd::minimal(&["0,20,3,9,,,::5,1", "0,20,3,9,,,::5,2"]);
    let members = ", \"mode\": \"poll\", \"interval\": 1";
    let near = Server::start(1, &link(far.address(), members));
    near.write("0,20,4,,,,::1,4");
    assert_eq!((near.data(), near.data()), (vec![1], vec![2]));
    wait_until("it comes again", || far.connections() >= 3);
    assert_eq!(far.heard_of("SEND").len(), 1);
    assert!(far.heard_of("QUIT").len() + 1 >= far.connections());
    assert!(far.heard_of("RCVLOOP").is_empty());
    near.driver.close();
}

#[test]
fn a_link_on_demand_is_there_for_its_events_alone() {
    let far = FarEnd::minimal(&[]);
    let members = ", \"mode\": \"on-demand\", \
                   \"filter\": {\"out-filter\": \"0,20,0,-\", \"out-mask\": \"0,65535,0,-\"}";
    let near = Server::start(1, &link(far.address(), members));
    near.write("0,30,4,,,,::1,1");
    let mut client = Client::log_in(near.address());
    client.must("noop");
    assert_eq!(far.connections(), 0);
    for n in 1..4 {
        near.write(&format!("0,20,4,,,,::1,{n}"));
        wait_until("it has left", || far.heard_of("QUIT").len() == n);
    }
    let words: Vec<String> = far
        .heard()
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    let plain = ["USER", "PASS", "SEND", "QUIT"];
    // The first visit finds out what it is.
    let first = ["USER", "PASS", "INTERFACE", "XLINK", "SEND", "QUIT"];
    assert_eq!(words, [&first[..], &plain, &plain].concat());
    near.driver.close();
}

#[test]
fn a_far_end_without_room_is_asked_again_and_one_that_refuses_is_not() {
    let mut full = 3;
    let far = FarEnd::start(move |_, command| {
        Said::Text(match command {
            "RCVLOOP" => "-OK - Command not implemented\r\n".to_owned(),
            line if line.starts_with("SEND") && line.ends_with(",0x09") => {
                "-OK - Invalid parameter or format\r\n".to_owned()
            }
            line if line.starts_with("SEND") && full > 0 => {
                full -= 1;
                "-OK - Buffer Full\r\n".to_owned()
            }
            _ => "+OK - Success.\r\n".to_owned(),
        })
    });
    let near = Server::start(1, &link(far.address(), ", \"direction\": \"out\""));
    for n in [1, 9, 2] {
        near.write(&format!("0,20,4,,,,::1,{n}"));
    }
    wait_until("all are sent", || far.heard_of("SEND").len() == 6);
    let ends: Vec<String> = far
        .heard_of("SEND")
        .iter()
        .map(|line| line.rsplit(',').next().unwrap().to_owned())
        .collect();
    assert_eq!(ends, ["0x01", "0x01", "0x01", "0x01", "0x09", "0x02"]);
    wait_until("it is said", || {
        near.log()
            .contains("refuses an event, which is dropped: -OK - Invalid parameter")
    });
    let status = near.status("link far");
    assert!(
        status.contains(" 2 sent, 0 received, 0 suppressed, 1 rejected"),
        "{status}"
    );
    near.driver.close();
}

#[test]
fn an_event_without_an_answer_is_sent_once_more() {
    let mut first = true;
    let far = FarEnd::start(move |_, command| match command {
        "RCVLOOP" => Said::Text("-OK - Command not implemented\r\n".to_owned()),
        line if line.starts_with("SEND") && std::mem::take(&mut first) => Said::End,
        _ => Said::Text("+OK - Success.\r\n".to_owned()),
    });
    let one_way = link(far.address(), ", \"direction\": \"out\"");
    let near = Server::start(1, &format!("{one_way} {STATUS},"));
    near.write("0,20,4,,,,::1,1");
    near.write("0,20,4,,,,::1,2");
    wait_until("all are sent", || far.heard_of("SEND").len() == 3);
    let counted = ["sent", "resent", "connections"];
    wait_until("all that is counted", || {
        let status = watched::status(near.driver.status_addresses()[0]);
        counted.map(|count| status["links"][0][count].as_u64().unwrap()) == [2, 1, 2]
    });
    near.driver.close();
}

/// A far end that accepts commands and answers nothing is as good as gone.
#[test]
fn a_far_end_that_hangs_is_left() {
    let far = FarEnd::start(|number, command| match command {
        // The first connection hangs where it counts.
        line if number == 0 && line.starts_with("SEND") => Said::Nothing,
        "RCVLOOP" => Said::Text("-OK - Command not implemented\r\n".to_owned()),
        _ => Said::Text("+OK - Success.\r\n".to_owned()),
    });
    let members = ", \"direction\": \"out\", \"response-timeout\": 500";
    let near = Server::start(1, &link(far.address(), members));
    near.write("0,20,4,,,,::1,1");
    wait_until("it is sent again", || far.heard_of("SEND").len() == 2);
    assert!(near.log().contains("the far end said nothing for 0.5 s"));
    near.driver.close();
}

#[test]
fn a_wrong_password_and_a_server_that_is_none_are_said_once() {
    let far = Server::start(2, "");
    let wrong = link(far.address(), "").replace("secret", "wrong");
    let near = Server::start(1, &wrong);
    let refused = "the login was refused: -OK - Invalid username or password.";
    wait_until("it is said", || near.log().contains(refused));
    wait_until("it is tried again", || {
        far.log().matches("login refused").count() >= 4
    });
    // Once for each of both connections.
    assert_eq!(near.log().matches(refused).count(), 2, "{}", near.log());
    assert!(!near.log().contains("wrong"), "no password in the log");
    near.driver.close();
    far.driver.close();
}

#[test]
fn encrypted_links() {
    for cipher in ["aes128", "aes192", "aes256"] {
        let place = TempDir::new().unwrap();
        let key = key_file(place.path());
        let encryption = format!("\"encryption\": \"{cipher}\", \"key-file\": {key:?}");
        let far = Server::start(2, &format!("{encryption}, \"require-encryption\": true,"));
        let near = Server::start(1, &link(far.address(), &format!(", {encryption}")));
        is_up(&near);
        for n in 0..20 {
            near.write(&format!("0,20,3,,,,::1,{n}"));
            assert_eq!(far.data(), [n]);
            far.write(&format!("0,20,3,,,,::2,{n}"));
            assert_eq!(near.data(), [n]);
        }
        assert_eq!(near.anything(QUIET), None);
        near.driver.close();
        far.driver.close();
    }
}

#[test]
fn closing_hands_over_what_waits_and_returns_in_time() {
    let far = FarEnd::minimal(&[]);
    let near = Server::start(1, &link(far.address(), ", \"direction\": \"out\""));
    wait_until("it is up", || !far.heard_of("INTERFACE").is_empty());
    for n in 0..200 {
        near.write(&format!("0,20,3,,,,::1,{n}"));
    }
    near.driver.close();
    assert_eq!(far.heard_of("SEND").len(), 200);
    // With nobody there it is said what is left.
    let address = far.address();
    drop(far);
    let near = Server::start(1, &link(address, ""));
    near.write("0,20,3,,,,::1,1");
    let start = Instant::now();
    near.driver.close();
    assert!(start.elapsed() < Duration::from_secs(5));
    let log = near.log();
    assert!(
        log.contains("1 events had not reached the far end of the link far"),
        "{log}"
    );
}

#[test]
fn links_with_tls_want_the_right_certificates() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let identity = joined(&ours.identity("localhost"));
    let ca = ours.file();
    let far = secure::Server::start(&format!(
        "\"certificate\": {identity:?}, \"verify-peer\": true, \"ca-file\": {ca:?}"
    ));
    let me = ours.identity("me");
    let host = format!("stcp://localhost:{}", far.address().port());
    let start = |ca: PathBuf, more: &str| {
        let members = format!(", \"tls\": {{\"cafile\": {ca:?} {more}}}");
        let text = link(far.address(), &members);
        let port = format!("\"port\": {},", far.address().port());
        Server::start(1, &text.replace("127.0.0.1", &host).replace(&port, ""))
    };
    let certificate = format!(
        ", \"certfile\": {:?}, \"keyfile\": {:?}",
        me.certificate, me.key
    );
    let stranger = start(other.file(), &certificate);
    wait_until("it is said", || stranger.log().contains("UnknownIssuer"));
    let nobody = start(ca.clone(), "");
    wait_until("it is said", || nobody.log().contains("next attempt in"));
    assert!(!nobody.log().contains("connected to"));
    let near = start(ca, &certificate);
    is_up(&near);
    near.write("0,20,3,,,,::1,5");
    assert_eq!(far.driver.read(PATIENCE).unwrap().data.to_vec(), [5]);
    for server in [stranger, nobody, near] {
        server.driver.close();
    }
    far.driver.close();
}

#[test]
fn links_change_while_the_driver_runs() {
    let (first, second) = (Server::start(2, ""), Server::start(3, ""));
    let bench = Bench::start("\"interface\": \"127.0.0.1:0\"");
    let with = |links: &[(&str, &Server, &str)]| {
        let one = |(name, server, more): &(&str, &Server, &str)| {
            link(server.address(), more)
                .replace("\"links\": [", "")
                .replace("],", "")
                .replace("\"far\"", &format!("\"{name}\""))
        };
        let all: Vec<String> = links.iter().map(one).collect();
        bench.edit(&format!(
            "\"interface\": \"127.0.0.1:0\", \"links\": [{}]",
            all.join(", ")
        ));
    };
    let mut client = Client::log_in(bench.addresses()[0]);
    with(&[("first", &first, "")]);
    wait_until("the link is there", || first.channels() == 3);
    bench.write("0,20,3,,,,::1,1");
    assert_eq!(first.data(), [1]);
    with(&[("first", &first, ""), ("second", &second, "")]);
    wait_until("so is the other", || second.channels() == 3);
    assert_eq!(bench.log().matches("link=first").count(), 2, "it stayed");
    // Another filter: that link alone is made anew.
    let filter = ", \"filter\": {\"out-filter\": \"0,30,0,-\", \"out-mask\": \"0,65535,0,-\"}";
    with(&[("first", &first, ""), ("second", &second, filter)]);
    bench.wait_for_times("link=second", 5);
    wait_until("it is there again", || second.channels() == 3);
    bench.write("0,20,3,,,,::1,2");
    bench.write("0,30,3,,,,::1,3");
    assert_eq!((first.data(), first.data()), (vec![2], vec![3]));
    assert_eq!(second.data(), [3]);
    with(&[("second", &second, filter)]);
    wait_until("the first is gone", || first.channels() == 1);
    // A link that cannot be made stays as it was.
    with(&[("second", &second, ", \"tls\": {\"cafile\": \"/none\"}")]);
    bench.wait_for("a part of the changed configuration cannot be used");
    bench.write("0,30,3,,,,::1,4");
    assert_eq!(second.data(), [4]);
    client.must("noop");
    drop(bench);
    first.driver.close();
    second.driver.close();
}

/// The file that the C++ link driver is configured by.
#[test]
fn a_file_of_the_cpp_link_driver_works_as_it_is() {
    let far = Server::start(2, "");
    let place = TempDir::new().unwrap();
    let log = place.path().join("log");
    let text = fs::read_to_string("tests/documented/tcpiplink.json").unwrap();
    let text = text
        .replace("192.168.1.7", &far.address().ip().to_string())
        .replace("9598", &far.address().port().to_string())
        .replace(
            "/var/log/vscp/vscpl1drv-tcpiplink.log",
            &log.display().to_string(),
        );
    let file = place.path().join("tcpiplink.json");
    fs::write(&file, text).unwrap();
    let driver = Driver::open(Source {
        config: file.display().to_string(),
        guid: guid(1),
    });
    let driver = driver.unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
    assert!(driver.addresses().is_empty(), "it serves nobody");
    wait_until("the link is there", || far.channels() == 3);
    driver.write(event("0,20,3,,,,::1,5"));
    assert_eq!(far.data(), [5]);
    far.write("0,20,3,,,,::2,6");
    assert_eq!(driver.read(PATIENCE).unwrap().data.to_vec(), [6]);
    driver.close();
    far.driver.close();
}

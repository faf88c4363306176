//! The websocket server while its configuration changes.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::client as requests;

mod support;

use support::client::Client as LinkClient;
use support::dialogue;
use support::mosquitto::free_port;
use support::raw::{OPENING, Raw, opened, request};
use support::tools::{PATIENCE, wait_until};
use support::websocket::{Client, DEFAULTS, KEY, is_in};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

/// A driver whose files change while it runs.
struct Bench {
    place: TempDir,
    driver: Option<Driver>,
}

const LINK: &str = "\"interface\": \"tcp://127.0.0.1:0\"";

impl Bench {
    fn start(members: &str) -> Self {
        let place = TempDir::new().unwrap();
        let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let bench = Self {
            place,
            driver: None,
        };
        fs::write(bench.path("key"), key).unwrap();
        fs::set_permissions(bench.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::copy(dialogue::users(), bench.path("users.json")).unwrap();
        bench.edit(members);
        let source = Source {
            config: bench.path("link.json").display().to_string(),
            guid: "::1".parse().unwrap(),
        };
        let driver = Driver::open(source);
        assert!(driver.is_some(), "{}", bench.log());
        Self { driver, ..bench }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn edit(&self, members: &str) {
        let text = format!(
            "{{{members}, \"abi\": \"v2\", \"path-users\": {:?}, \"key-file\": {:?}, \
              \"logging\": {{\"file-path\": {:?}, \"file-pattern\": \"%l %v\"}}}}",
            self.path("users.json"),
            self.path("key"),
            self.path("log"),
        );
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path("link.json")).unwrap();
    }

    fn driver(&self) -> &Driver {
        self.driver.as_ref().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn wait_for_times(&self, words: &str, times: usize) {
        let start = std::time::Instant::now();
        while self.log().matches(words).count() < times {
            assert!(
                start.elapsed() < PATIENCE,
                "{words} is not in {}",
                self.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Where websockets are served; they are the last.
    fn websocket(&self) -> SocketAddr {
        *self.driver().addresses().last().unwrap()
    }
}

fn with(members: &str) -> String {
    format!("{LINK}, \"websocket\": {{\"interface\": \"ws://127.0.0.1:0\"{members}}}")
}

/// A whole key file in the place of what was there.
fn write_key(bench: &Bench, key: &[u8; 16]) {
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(bench.path("new-key"), digits).unwrap();
    fs::set_permissions(bench.path("new-key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(bench.path("new-key"), bench.path("key")).unwrap();
}

#[test]
fn the_section_comes_and_goes_while_the_driver_runs() {
    let bench = Bench::start(LINK);
    let mut link = LinkClient::log_in(bench.driver().addresses()[0]);
    for round in 1..=2 {
        assert_eq!(bench.driver().addresses().len(), 1);
        bench.edit(&with(""));
        wait_until("it is served", || bench.driver().addresses().len() == 2);
        bench.wait_for_times("for websockets", round);
        let address = bench.websocket();
        let mut clients = BOTH.map(|dialect| Client::open(address, dialect, "admin"));
        let mut stranger = Client::connect(address, Ws1);
        let mut waiting = Raw::connect(address);
        waiting.send("GET /ws1 HTTP/1.1\r\n");
        let event = vscpl2drv_link::event::text::parse("0,20,3,,,,::1,7", &DEFAULTS).unwrap();
        bench.driver().write(event);
        for client in &mut clients {
            assert_eq!(*client.event().data, [7]);
        }
        // Who is here is sent away, the link goes on.
        bench.edit(LINK);
        for client in &mut clients {
            assert_eq!(client.text(), None);
        }
        assert_eq!(stranger.text(), None);
        assert_eq!(waiting.rest_or_reset(), b"");
        wait_until("it is not served", || bench.driver().addresses().len() == 1);
        assert!(std::net::TcpStream::connect(address).is_err());
        link.must("noop");
    }
    assert!(!bench.log().contains("starts anew"), "{}", bench.log());
    bench.driver().close();
}

#[test]
fn paths_and_limits_change_while_the_driver_runs() {
    let bench = Bench::start(&with(""));
    let address = bench.websocket();
    let mut here = BOTH.map(|dialect| Client::open(address, dialect, "admin"));
    assert_eq!(opened(address, "/ws1").0.status, 101);

    bench.edit(&with(
        ", \"url-ws1\": \"/other\", \"enable-ws2\": false, \"origins\": [\"http://a\"]",
    ));
    bench.wait_for_times("configuration changed: websocket", 1);
    wait_until("the paths are others", || {
        opened(address, "/ws1").0.status == 404
    });
    assert_eq!(opened(address, "/ws2").0.status, 404);
    let (response, mut raw) = opened(address, "/other");
    assert_eq!(response.status, 101);
    assert!(raw.said().starts_with("+;AUTH0;"));
    let mut foreign = Raw::connect(address);
    let headers = [&OPENING[..], &[("Origin", "http://b")]].concat();
    foreign.send(request("GET /other", &headers));
    assert_eq!(foreign.response().status, 403);
    // It is the same interface: who was here stays, ws2 or not.
    for client in &mut here {
        client.must("NOOP");
    }
    assert_eq!(bench.websocket(), address);
    drop((raw, foreign));

    bench.edit(&with(", \"max-clients\": 2, \"max-client-queue-size\": 1"));
    bench.wait_for_times("configuration changed: websocket", 2);
    wait_until("there is no place", || {
        Raw::connect(address).response_or_none() == Some(503)
    });
    for client in &mut here {
        client.must("NOOP");
        client.must("CLOSE");
    }
    for n in 1..=3 {
        let line = format!("0,20,3,,,,::1,{n}");
        let event = vscpl2drv_link::event::text::parse(&line, &DEFAULTS).unwrap();
        bench.driver().write(event);
    }
    for client in &mut here {
        client.must("OPEN");
        assert_eq!(*client.event().data, [1]);
        client.must("NOOP");
    }

    // A broken one changes nothing.
    bench.edit(&with(", \"url-ws1\": \"/a b\""));
    bench.wait_for_times("all stays as it was", 1);
    for client in &mut here {
        client.must("NOOP");
    }
    drop(here);
    wait_until("there is a place again", || {
        Raw::connect(address).opens("/ws1")
    });
    bench.driver().close();
}

#[test]
fn who_logged_in_in_clear_text_is_gone_where_encryption_is_required_now() {
    let bench = Bench::start(&with(""));
    let mut clients = BOTH.map(|dialect| Client::open(bench.websocket(), dialect, "admin"));
    let required = "\"encryption\": \"aes128\", \"require-encryption\": true";
    bench.edit(&format!("{}, {required}", with("")));
    for client in &mut clients {
        assert_eq!(client.text(), None);
    }
    bench.wait_for_times("for websockets", 2);
    for dialect in BOTH {
        let mut client = Client::connect(bench.websocket(), dialect);
        assert!(!client.try_log_in("admin", "secret"));
    }
    // And back.
    bench.edit(&with(""));
    bench.wait_for_times("for websockets", 3);
    Client::open(bench.websocket(), Ws2, "admin").must("NOOP");
    bench.driver().close();
}

#[test]
fn a_filter_builds_on_what_the_user_has_now() {
    let bench = Bench::start(&with(""));
    let mut client = Client::open(bench.websocket(), Ws2, "filtered");
    let text = fs::read_to_string(bench.path("users.json")).unwrap();
    let changed = text.replace("\"0,20,0,-\"", "\"0,30,0,-\"");
    assert_ne!(text, changed);
    fs::write(bench.path("users.json"), changed).unwrap();
    let write = |class: u16, byte: u8| {
        let line = format!("0,{class},3,,,,::1,{byte}");
        let event = vscpl2drv_link::event::text::parse(&line, &DEFAULTS).unwrap();
        bench.driver().write(event);
    };
    wait_until("the other filter counts", || {
        write(30, 1);
        client.send(&requests::noop(Ws2));
        let mut came = false;
        while let requests::Said::Event(_) = client.said() {
            came = true;
        }
        came
    });
    // The class is not said, so it is that of the user's filter: 30 by now.
    client.send("{\"type\": \"CMD\", \"command\": \"SF\", \"args\": {\"mask_priority\": 0}}");
    while let requests::Said::Event(_) = client.said() {}
    write(20, 2);
    write(30, 3);
    loop {
        let event = client.event();
        assert_eq!(event.class, 30);
        if *event.data == [3] {
            break;
        }
    }
    bench.driver().close();
}

#[test]
fn users_and_keys_change_while_the_driver_runs() {
    let bench = Bench::start(&with(""));
    let address = bench.websocket();
    let mut admin = Client::open(address, Ws1, "admin");
    let mut gone = Client::open(address, Ws2, "user");
    let mut sender = Client::log_in(address, Ws2, "sender");
    assert_eq!(sender.send_event("0,20,3,,,,-,1"), Ok(()));
    let text = fs::read_to_string(bench.path("users.json")).unwrap();
    let text = text
        .replace("\"name\": \"user\"", "\"name\": \"other\"")
        .replace("send-events", "receive-events");
    fs::write(bench.path("users.json"), text).unwrap();
    assert_eq!(gone.text(), None);
    wait_until("the right is gone", || {
        sender.send_event("0,20,3,,,,-,1") == Err(7)
    });
    admin.must("NOOP");

    // Another key: the next logins need it, who is here stays.
    fs::write(bench.path("key"), "ff".repeat(16)).unwrap();
    bench.wait_for_times("configuration changed: websocket", 1);
    wait_until("the old key is none", || {
        !Client::connect(address, Ws1).try_log_in("admin", "secret")
    });
    let mut client = Client::connect(address, Ws2);
    let auth = requests::auth(Ws2, &[0xFF; 16], &client.sid, "admin", "secret");
    assert!(is_in(&client.ask(&auth)));
    admin.must("NOOP");
    bench.driver().close();
}

#[test]
fn the_filter_for_clients_changes_while_the_driver_runs() {
    let bench = Bench::start(&with(""));
    let mut link = LinkClient::log_in(bench.driver().addresses()[0]);
    let mut clients = BOTH.map(|dialect| Client::log_in(bench.websocket(), dialect, "admin"));
    // What the host reads of one event of each class.
    let mut passed = |client: &mut Client| {
        for class in [20, 30] {
            let event = format!("0,{class},3,,,,-,{class}");
            assert_eq!(client.send_event(&event), Ok(()));
        }
        // It is not for the link.
        link.must("send 0,40,3,,,,-,40");
        let read = || bench.driver().read(PATIENCE).unwrap().class;
        std::iter::from_fn(|| Some(read()).filter(|class| *class != 40)).collect::<Vec<_>>()
    };
    for (members, expected) in [
        ("", &[20, 30][..]),
        (", \"rx-filter\": \"0,20,0,-;0,0xFFFF,0,-\"", &[20]),
        (", \"rx-filter\": \"0,30,0,-;0,0xFFFF,0,-\"", &[30]),
        ("", &[20, 30]),
    ] {
        bench.edit(&with(members));
        for client in &mut clients {
            wait_until("the filter counts", || passed(client) == expected);
        }
    }
    bench.driver().close();
}

#[test]
fn the_names_of_events_change_while_the_driver_runs_and_for_what_waits() {
    let bench = Bench::start(&with(""));
    let [mut open, mut closed] = [0; 2].map(|_| Client::log_in(bench.websocket(), Ws2, "admin"));
    open.must("OPEN");
    let write = |byte: u8| {
        let line = format!("0,20,3,,,,::1,{byte}");
        let event = vscpl2drv_link::event::text::parse(&line, &DEFAULTS).unwrap();
        bench.driver().write(event);
    };
    let names = |client: &mut Client| {
        let text = client.text().unwrap();
        (
            text.contains("\"vscpClass\": 20"),
            text.contains("\"class\": 20"),
        )
    };
    write(1);
    assert_eq!(names(&mut open), (true, false));
    let mut waiting = 1;
    for (choice, expected) in [("plain", (false, true)), ("both", (true, true))] {
        bench.edit(&with(&format!(", \"event-names\": \"{choice}\"")));
        wait_until("the names are others", || {
            write(2);
            waiting += 1;
            names(&mut open) == expected
        });
    }
    // What was written to the other one before was written with other names.
    closed.must("OPEN");
    for _ in 0..waiting {
        assert_eq!(names(&mut closed), (true, true));
    }
    closed.must("NOOP");
    bench.driver().close();
}

#[test]
fn vectors_of_the_clients_own_are_allowed_and_forbidden_while_the_driver_runs() {
    let bench = Bench::start(&with(""));
    let address = bench.websocket();
    let mut number = 0_u128;
    // A login with a vector that nobody has used, by somebody who was here before or is new.
    let mut log_in = |client: &mut Client| {
        number += 1;
        let auth = requests::auth(Ws2, &KEY, &number.to_be_bytes(), "admin", "secret");
        is_in(&client.ask(&auth))
    };
    let mut here = Client::connect(address, Ws2);
    assert!(!log_in(&mut here));
    for (members, allowed) in [(", \"allow-foreign-iv\": true", true), ("", false)] {
        bench.edit(&with(members));
        wait_until("it is otherwise", || {
            log_in(&mut Client::connect(address, Ws2)) == allowed
        });
        assert_eq!(log_in(&mut here), allowed);
    }
    bench.driver().close();
}

#[test]
fn a_key_that_is_being_written_changes_nothing() {
    let bench = Bench::start(&with(""));
    let address = bench.websocket();
    let mut here = BOTH.map(|dialect| Client::open(address, dialect, "admin"));
    let mut still_served = || {
        here.iter_mut().for_each(|client| client.must("NOOP"));
        for dialect in BOTH {
            Client::open(address, dialect, "admin").must("NOOP");
        }
    };
    // Half of it, and none; something else changes as ever.
    fs::write(bench.path("key"), "0123456789").unwrap();
    bench.wait_for_times("has 10 hexadecimal digits", 1);
    still_served();
    fs::remove_file(bench.path("key")).unwrap();
    bench.wait_for_times("it cannot be read", 1);
    still_served();
    bench.edit(&format!("{}, \"max-out-queue\": 100", with("")));
    bench.wait_for_times("configuration changed: limits", 1);
    still_served();
    // Nobody was told that websockets are not served, and they are at the same place.
    assert!(!bench.log().contains("not served"), "{}", bench.log());
    assert_eq!(bench.websocket(), address);
    // Another one that is whole counts from now on.
    write_key(&bench, &[7; 16]);
    bench.wait_for_times("configuration changed: websocket", 1);
    wait_until("the new key counts", || {
        let mut client = Client::connect(address, Ws2);
        let auth = requests::auth(Ws2, &[7; 16], &client.sid, "admin", "secret");
        is_in(&client.ask(&auth))
    });
    here.iter_mut().for_each(|client| client.must("NOOP"));
    bench.driver().close();
}

#[test]
fn a_key_that_comes_later_opens_the_interface() {
    let bench = Bench::start(LINK);
    fs::remove_file(bench.path("key")).unwrap();
    bench.edit(&with(""));
    bench.wait_for_times("Websockets are not served", 1);
    assert_eq!(bench.driver().addresses().len(), 1);
    write_key(&bench, &KEY);
    wait_until("it is served", || bench.driver().addresses().len() == 2);
    for dialect in BOTH {
        Client::open(bench.websocket(), dialect, "admin").must("NOOP");
    }
    bench.driver().close();
}

#[test]
fn what_is_not_asked_for_any_more_is_gone_though_the_key_is_broken() {
    let encryption = "\"encryption\": \"aes128\"";
    let both = format!("{}, {encryption}", with(""));
    for rest in [format!("{LINK}, {encryption}"), with("")] {
        let bench = Bench::start(&both);
        let address = bench.websocket();
        let mut client = Client::open(address, Ws1, "admin");
        fs::write(bench.path("key"), "0123456789").unwrap();
        bench.wait_for_times("has 10 hexadecimal digits", 1);
        bench.edit(&rest);
        if rest.contains("websocket") {
            bench.wait_for_times("configuration changed: encryption", 1);
            client.must("NOOP");
            Client::open(address, Ws2, "admin").must("NOOP");
        } else {
            wait_until("it is not served", || bench.driver().addresses().len() == 1);
            assert_eq!(client.text(), None);
        }
        bench.driver().close();
    }
}

#[test]
fn files_are_served_and_are_not_while_the_driver_runs() {
    let bench = Bench::start(&with(""));
    let address = bench.websocket();
    let folder = |name: &str| {
        let folder = bench.path(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("page.txt"), name).unwrap();
        folder
    };
    let page = || {
        let mut raw = Raw::connect(address);
        raw.send(request("GET /page.txt", &[("Host", "x")]));
        let response = raw.response();
        (response.status, response.text().to_owned())
    };
    let (one, two) = (folder("one"), folder("two"));
    let mut client = Client::open(address, Ws1, "admin");
    assert_eq!(page().0, 404);
    for (root, enabled, expected) in [
        (&one, true, Some("one")),
        (&two, true, Some("two")),
        (&two, false, None),
        (&one, true, Some("one")),
    ] {
        let members = format!(", \"enable-static\": {enabled}, \"web-root\": {root:?}");
        bench.edit(&with(&members));
        wait_until("it is served, or not", || match expected {
            Some(words) => page() == (200, words.to_owned()),
            None => page().0 == 404,
        });
    }
    // Without a word on it there are none either.
    bench.edit(&with(""));
    wait_until("it is not served", || page().0 == 404);
    client.must("NOOP");
    bench.driver().close();
}

#[test]
fn websockets_move_to_another_address_while_the_driver_runs() {
    let bench = Bench::start(&with(""));
    let mut link = LinkClient::log_in(bench.driver().addresses()[0]);
    let mut before = bench.websocket();
    for interface in [
        format!("ws://127.0.0.1:{}", free_port()),
        format!("ws://[::1]:{}", free_port()),
    ] {
        let mut old = BOTH.map(|dialect| Client::open(before, dialect, "admin"));
        let mut stranger = Client::connect(before, Ws2);
        bench.edit(&format!(
            "{LINK}, \"websocket\": {{\"interface\": \"{interface}\"}}"
        ));
        for client in &mut old {
            assert_eq!(client.text(), None);
        }
        assert_eq!(stranger.text(), None);
        wait_until("it is served elsewhere", || {
            let all = bench.driver().addresses();
            all.len() == 2 && all[1] != before
        });
        let now = bench.websocket();
        assert_eq!(format!("ws://{now}"), interface);
        for dialect in BOTH {
            Client::open(now, dialect, "admin").must("NOOP");
        }
        assert!(std::net::TcpStream::connect(before).is_err());
        before = now;
    }
    link.must("noop");
    bench.driver().close();
}

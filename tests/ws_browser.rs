//! The page of `contrib/web` in a real browser, from the driver's own port.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

mod support;

use support::bench::wait_for_broker;
use support::certificates::Authority;
use support::chromium::{Chromium, ELSEWHERE};
use support::client::Client as LinkClient;
use support::dialogue;
use support::mosquitto::Mosquitto;
use support::secure::joined;
use support::tools::{need, root, wait_until};
use support::websocket::{KEY, Server, users};

/// The members of the section that serve the page.
fn pages() -> String {
    let folder = root().join("contrib/web");
    format!(", \"enable-static\": true, \"web-root\": {folder:?}")
}

/// The member that sends events to a broker and has them back from there.
fn through(broker: &Mosquitto) -> String {
    format!(
        "\"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {}, \"subscribe\": [{{\"topic\": \"vscp/#\"}}], \
          \"publish\": [{{\"topic\": \"vscp/{{{{class}}}}\", \"format\": \"json\"}}]}},",
        broker.port()
    )
}

/// The next event in the receive loop.
fn line(link: &mut LinkClient) -> String {
    loop {
        match link.line().unwrap() {
            alive if alive.starts_with("+OK") => {}
            line => return line,
        }
    }
}

/// The cells of the table of events.
fn rows(browser: &mut Chromium) -> Vec<Value> {
    let rows = browser.value(
        "[...document.querySelectorAll('#events tr')].map(row => \
         [...row.cells].map(cell => cell.textContent))",
    );
    rows.as_array().unwrap().clone()
}

#[test]
fn the_page_logs_in_sends_an_event_and_shows_what_comes() {
    let authority = Authority::new("ours");
    let identity = authority.identity("127.0.0.1");
    let broker = Mosquitto::start();
    let more = format!(
        "\"tls\": {{\"certificate\": {:?}}}, {}",
        joined(&identity),
        through(&broker)
    );
    let server = Server::at("wss://127.0.0.1:0", &dialogue::users(), &pages(), &more);
    let mut link = LinkClient::log_in(server.link());
    wait_for_broker(&mut link);
    link.must("rcvloop");
    let mut browser = Chromium::start(&identity.certificate);

    let page = format!("https://{}/ws2.html", server.address());
    browser.open(&format!("{page}#user=admin")).unwrap();
    assert_eq!(browser.value("isSecureContext"), true);
    assert_eq!(
        browser.value("document.getElementById('insecure').hidden"),
        true
    );
    let values = "['url', 'user'].map(id => document.getElementById(id).value)";
    let url = format!("wss://{}/ws2", server.address());
    assert_eq!(browser.value(values), json!([url, "admin"]));

    let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    browser.fill("password", "wrong");
    browser.fill("key", &digits);
    browser.press("login");
    browser.wait_for("status", "The server refuses: Not authorised.");
    assert_eq!(
        browser.value("document.getElementById('send').disabled"),
        true
    );
    browser.fill("password", "secret");
    browser.press("login");
    browser.wait_for("status", "Logged in as admin.");

    // What is sent is taken, goes to the broker, and comes back from there to everybody.
    browser.fill("class", "30");
    browser.fill("type", "5");
    browser.fill("data", "1, 0xFF 35");
    browser.press("send");
    browser.wait_for("sent", "The server has taken the event.");
    let came = line(&mut link);
    let fields: Vec<&str> = came.split(',').collect();
    assert_eq!(fields[..3], ["96", "30", "5"], "{came}");
    assert_eq!(fields[7..], ["0x01", "0xFF", "0x23"], "{came}");
    wait_until("the event is in the table", || {
        !rows(&mut browser).is_empty()
    });
    let own = json!([fields[4], "30", "5", "3", fields[6], "01 FF 23"]);
    assert_eq!(rows(&mut browser), std::slice::from_ref(&own));

    // What somebody else sends is there as well.
    let mut sender = LinkClient::log_in(server.link());
    let guid = "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F";
    sender.must(&format!("send 0,20,3,,2020-02-20T20:20:20Z,1,{guid}"));
    wait_until("that is in the table", || rows(&mut browser).len() == 2);
    let other = json!(["2020-02-20T20:20:20Z", "20", "3", "0", guid, ""]);
    assert_eq!(rows(&mut browser), [other, own]);

    // What the driver refuses is said to be.
    browser.fill("guid", "not a GUID");
    browser.press("send");
    browser.wait_for("sent", "The server refuses: ");
    browser.press("logout");
    browser.wait_for("status", "Logged out.");
    wait_until("the driver knows", || {
        server.log().contains("logged out client=")
    });

    // The browser trusts nobody else.
    let stranger = authority.identity("127.0.0.1");
    let other = Server::at(
        "wss://127.0.0.1:0",
        &dialogue::users(),
        &pages(),
        &format!("\"tls\": {{\"certificate\": {:?}}},", joined(&stranger)),
    );
    let refused = browser.open(&format!("https://{}/ws2.html", other.address()));
    assert_eq!(refused.unwrap_err(), "net::ERR_CERT_AUTHORITY_INVALID");
    other.driver.close();
    drop(browser);
    server.driver.close();
}

/// The page may see all, the Python client asks for class 30, and the user of the link client may
/// have class 20 alone. All they have in common is the driver and a broker.
#[test]
fn page_python_and_link_see_what_each_may() {
    let authority = Authority::new("ours");
    let identity = authority.identity("127.0.0.1");
    let broker = Mosquitto::start();
    let place = TempDir::new().unwrap();
    let admin = ", \"rights\": \"admin\"";
    let some = ", \"rights\": \"user\", \"events\": \"RX;20;*;,TX;20;*;\"";
    let list = [("page", admin), ("snake", admin), ("linker", some)];
    let more = format!(
        "\"tls\": {{\"certificate\": {:?}}}, {}",
        joined(&identity),
        through(&broker)
    );
    let server = Server::at("wss://127.0.0.1:0", &users(&place, &list), &pages(), &more);
    let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut browser = Chromium::start(&identity.certificate);
    let page = format!("https://{}/ws2.html#user=page", server.address());
    browser.open(&page).unwrap();
    browser.fill("password", "secret");
    browser.fill("key", &digits);
    browser.press("login");
    browser.wait_for("status", "Logged in as page.");
    let mut link = LinkClient::connect(server.link()).logged_in("linker");
    link.must("rcvloop");
    wait_until("the broker is there", || {
        server.log().contains("connected uplink=")
    });

    // It sends class 30, sees that come back, and waits for another.
    let snake = Command::new(need("timeout"))
        .args([
            "120",
            "/usr/bin/python3",
            "tests/python/ws_client.py",
            "ws1",
        ])
        .arg(format!("wss://{}/ws1", server.address()))
        .args([&digits, "snake", "secret"])
        .arg(authority.file())
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let kinds = |browser: &mut Chromium| -> Vec<String> {
        let kind = |row: &Value| format!("{}/{}", row[1], row[2]).replace('"', "");
        rows(browser).iter().map(kind).collect()
    };
    wait_until("the page has what Python sends", || {
        kinds(&mut browser) == ["30/5"]
    });
    for (class, vscp_type) in [("20", "3"), ("30", "7")] {
        browser.fill("class", class);
        browser.fill("type", vscp_type);
        browser.press("send");
        wait_until("the page has its own", || {
            kinds(&mut browser)[0] == format!("{class}/{vscp_type}")
        });
    }
    let output = snake.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let seen: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
    let events = seen["events"].as_array().unwrap();
    let events: Vec<_> = events.iter().map(|e| (&e["class"], &e["type"])).collect();
    assert_eq!(events, [(&json!(30), &json!(5)), (&json!(30), &json!(7))]);

    let mut sender = LinkClient::connect(server.link()).logged_in("linker");
    sender.must("send 0,20,4,,,,-");
    assert!(sender.ask("send 0,30,4,,,,-")[0].starts_with("-OK"));
    wait_until("the page has that of the link", || {
        kinds(&mut browser) == ["20/4", "30/7", "20/3", "30/5"]
    });
    // The first that came this way is of class 20, and the second too.
    for expected in [["20", "3"], ["20", "4"]] {
        let line = line(&mut link);
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[1..3], expected, "{line}");
    }
    drop(browser);
    server.driver.close();
}

#[test]
fn where_nothing_can_be_encrypted_the_page_says_so() {
    let authority = Authority::new("ours");
    let identity = authority.identity("127.0.0.1");
    let server = Server::start(&pages(), "");
    let mut browser = Chromium::start(&identity.certificate);
    let port = server.address().port();
    for (host, is_possible) in [(ELSEWHERE, false), ("127.0.0.1", true)] {
        browser
            .open(&format!("http://{host}:{port}/ws2.html"))
            .unwrap();
        let disabled = browser.value("document.getElementById('login').disabled");
        assert_eq!(disabled, !is_possible, "{host}");
        let told = browser.text("insecure").contains("https://");
        assert_eq!(told, !is_possible, "{host}");
        let hidden = browser.value("document.getElementById('insecure').hidden");
        assert_eq!(hidden, is_possible, "{host}");
    }
    drop(browser);
    server.driver.close();
}

//! Websockets over TLS: who gets in with which certificate, and several interfaces side by side.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use vscpl2drv_link::wire::ws::Dialect::{self, Ws1, Ws2};
use vscpl2drv_link::wire::ws::client::{self as requests, Said};

mod support;

use support::certificates::{Authority, Identity};
use support::dialogue;
use support::secure::{self, Secure};
use support::websocket::{Client, KEY, Server, opening, path};

const BOTH: [Dialect; 2] = [Ws1, Ws2];

/// A server whose clients need a certificate of this authority.
fn server(ours: &Authority, members: &str, tls: &str) -> Server {
    let certificate = ours.identity_in_one_file("localhost");
    let more = format!(
        "\"tls\": {{\"certificate\": {certificate:?}, \"verify-peer\": true, \
          \"ca-file\": {:?}{tls}}},",
        ours.file()
    );
    Server::at("wss://127.0.0.1:0", &dialogue::users(), members, &more)
}

/// A client with this certificate, if it gets in; a page where it says its `origin`.
fn connect(
    server: &Server,
    dialect: Dialect,
    ours: &Authority,
    own: Option<&Identity>,
    origin: Option<&str>,
) -> Option<Client<Secure>> {
    let address = server.address();
    let stream = secure::connect(address, "localhost", &ours.file(), own);
    let mut request = opening(address, path(dialect));
    if let Some(origin) = origin {
        let origin = origin.replace("HERE", &address.to_string());
        request
            .headers_mut()
            .insert("Origin", origin.parse().unwrap());
    }
    Client::over(stream, request, dialect)
}

#[test]
fn only_clients_with_the_right_certificate_get_in() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = server(&ours, "", "");
    for dialect in BOTH {
        let mut client = connect(&server, dialect, &ours, Some(&ours.identity("admin")), None);
        let client = client.as_mut().expect("the right one gets in");
        // Its name counts where that is asked for, and only there.
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5));
        assert!(client.try_log_in("admin", "secret"));
        for (who, own) in [
            ("without one", None),
            ("from another authority", Some(other.identity("admin"))),
            ("expired", Some(ours.expired("admin"))),
        ] {
            let got_in = connect(&server, dialect, &ours, own.as_ref(), None).is_some();
            assert!(!got_in, "{who}");
        }
    }
    server.logged("no TLS with this client", 6);
    server.driver.close();
}

const BY_NAME: &str = ", \"user-from-certificate\": true";

#[test]
fn a_certificate_logs_in_whom_it_names() {
    let ours = Authority::new("ours");
    let server = server(&ours, "", BY_NAME);
    for (round, dialect) in (1..).zip(BOTH) {
        let admin = ours.identity("admin");
        // AUTH0 comes first as ever, and nothing else comes unasked.
        let mut client = connect(&server, dialect, &ours, Some(&admin), None).unwrap();
        client.must("OPEN");
        client.must("CLRQ");
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Ok(()));
        server.logged("user=admin by=certificate", round);
        server.write("0,20,3,,,,::1,7");
        assert_eq!(*client.event().data, [7]);
        // Who logs in all the same is told who it is, and keeps what there is.
        client.must("CLOSE");
        server.write("0,20,3,,,,::1,8");
        let auth = requests::auth(dialect, &KEY, &client.sid, "admin", "secret");
        match (dialect, client.ask(&auth)) {
            (Ws1, told) => assert!(told.starts_with("+;AUTH1;0;admin;"), "{told}"),
            (Ws2, told) => assert!(told.contains("\"command\" : \"AUTH\",  \"args\""), "{told}"),
        }
        client.must("OPEN");
        assert_eq!(*client.event().data, [8]);
        // As somebody else, with the rights of that one.
        assert!(client.try_log_in("reader", "secret"));
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(7));
        // And a wrong one ends it.
        assert!(!client.try_log_in("reader", "wrong"));
        assert_eq!(client.send_event("0,20,3,,,,-,1"), Err(5));
        assert_eq!(server.data(), [1]);
    }
    server.driver.close();
}

#[test]
fn where_a_certificate_logs_nobody_in_a_password_does() {
    let ours = Authority::new("ours");
    let server = server(&ours, "", BY_NAME);
    for (round, dialect) in (1..).zip(BOTH) {
        for (name, reason) in [
            ("nobody", "unknown user"),
            ("elsewhere", "not from this host"),
            ("web", "no right to use this interface"),
        ] {
            let own = ours.identity(name);
            let mut client = connect(&server, dialect, &ours, Some(&own), None).unwrap();
            client.send(&requests::open(dialect));
            let said = client.said();
            assert!(
                matches!(said, Said::Refused { code: 5, .. }),
                "{name}: {said:?}"
            );
            server.logged(&format!("user={name} reason={reason}"), round);
            assert!(client.try_log_in("admin", "secret"), "{name}");
            client.must("OPEN");
        }
    }
    server.driver.close();
}

/// A browser shows its certificate to the driver whichever page asks it to.
#[test]
fn pages_from_elsewhere_are_not_logged_in_by_the_certificate_of_the_browser() {
    let ours = Authority::new("ours");
    let admin = ours.identity("admin");
    for (members, origins) in [
        (
            "",
            &[
                ("https://HERE", true),
                ("http://HERE", false),
                ("https://a.example", false),
                ("null", false),
            ][..],
        ),
        (
            ", \"origins\": [\"https://a.example\"]",
            &[("https://a.example", true), ("HTTPS://A.Example", true)][..],
        ),
        (
            ", \"origins\": [\"*\"]",
            &[("https://a.example", false), ("https://HERE", true)][..],
        ),
    ] {
        let server = server(&ours, members, BY_NAME);
        for &(origin, logged_in) in origins {
            let page = connect(&server, Ws2, &ours, Some(&admin), Some(origin));
            let mut page = page.expect("it may connect");
            let sent = page.send_event("0,20,3,,,,-,1");
            assert_eq!(sent.is_ok(), logged_in, "{members} {origin}: {sent:?}");
            // With the key it may, as ever.
            assert!(page.try_log_in("admin", "secret"));
        }
        let refused = origins.iter().filter(|(_, logged_in)| !logged_in).count();
        server.logged("it is a page of another origin", refused);
        server.driver.close();
    }
}

#[test]
fn several_interfaces_serve_side_by_side() {
    let ours = Authority::new("ours");
    let certificate = ours.identity_in_one_file("localhost");
    let server = Server::at(
        "ws://127.0.0.1:0, wss://127.0.0.1:0, ws://[::1]:0",
        &dialogue::users(),
        "",
        &format!("\"tls\": {{\"certificate\": {certificate:?}}},"),
    );
    let all = server.driver.addresses();
    let [_, plain, tls, six] = all[..] else {
        panic!("{all:?}");
    };
    assert!(plain.is_ipv4() && tls.is_ipv4() && six.is_ipv6(), "{all:?}");
    for dialect in BOTH {
        let mut clients = [plain, six].map(|address| Client::open(address, dialect, "admin"));
        let stream = secure::connect(tls, "localhost", &ours.file(), None);
        let mut secure = Client::over(stream, opening(tls, path(dialect)), dialect).unwrap();
        assert!(secure.try_log_in("admin", "secret"));
        secure.must("OPEN");
        server.write("0,20,3,,,,::1,7");
        for client in &mut clients {
            assert_eq!(*client.event().data, [7]);
            assert_eq!(client.send_event("0,20,3,,,,-,1"), Ok(()));
        }
        assert_eq!(*secure.event().data, [7]);
        assert_eq!(secure.send_event("0,20,3,,,,-,2"), Ok(()));
        assert_eq!(
            [server.data(), server.data(), server.data()],
            [[1], [1], [2]]
        );
    }
    // Where TLS is spoken clear text is not.
    assert!(Client::try_connect(tls, Ws1).is_none());
    server.logged("client=[::1]:", 2);
    server.driver.close();
}

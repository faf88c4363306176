//! What comes before a websocket, byte by byte: requests and their answers.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

mod support;

use support::mosquitto::free_port;
use support::raw::{ACCEPT, Came, OPENING, Raw, Response, answer, get, request, still_serves};
use support::websocket::Server;

const PATHS: [&str; 2] = ["/ws1", "/ws2"];

/// The headers of an opening with one of them another, or without it.
fn with<'a>(name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut headers = OPENING.to_vec();
    headers.retain(|(known, _)| *known != name);
    headers.extend(value.map(|value| (name, value)));
    headers
}

/// The answer to an opening with more headers.
fn open(server: &Server, path: &str, more: &[(&str, &str)]) -> Response {
    let headers = [&OPENING, more].concat();
    answer(server, request(&format!("GET {path}"), &headers))
}

#[test]
fn only_what_rfc_6455_says_opens_a_websocket() {
    let server = Server::start("", "");
    for path in PATHS {
        let line = format!("GET {path}");
        let response = open(&server, path, &[]);
        assert_eq!(response.version, "HTTP/1.1");
        assert_eq!(response.status, 101);
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        let upgrade = response.header("upgrade").unwrap();
        assert!(upgrade.eq_ignore_ascii_case("websocket"), "{upgrade}");
        let connection = response.header("connection").unwrap();
        assert!(connection.eq_ignore_ascii_case("upgrade"), "{connection}");
        assert_eq!(response.header("sec-websocket-protocol"), None);
        for (name, value, status) in [
            ("Upgrade", None, 426),
            ("Upgrade", Some("h2c"), 400),
            ("Upgrade", Some("websockets"), 400),
            ("Upgrade", Some("h2c websocket"), 400),
            ("Upgrade", Some("WebSocket"), 101),
            ("Upgrade", Some("h2c, websocket"), 101),
            ("Upgrade", Some("WEBSOCKET,h2c"), 101),
            ("Host", None, 400),
            ("Connection", None, 400),
            ("Connection", Some("keep-alive"), 400),
            ("Connection", Some("close"), 400),
            ("Connection", Some("Upgrades"), 400),
            ("Connection", Some("keep-alive, Upgrade"), 101),
            ("Connection", Some("upgrade,keep-alive"), 101),
            ("Connection", Some("UPGRADE"), 101),
            ("Sec-WebSocket-Version", None, 426),
            ("Sec-WebSocket-Version", Some("8"), 426),
            ("Sec-WebSocket-Version", Some("14"), 426),
            ("Sec-WebSocket-Version", Some("thirteen"), 426),
            ("Sec-WebSocket-Key", None, 400),
            ("Sec-WebSocket-Key", Some(""), 400),
            ("Sec-WebSocket-Key", Some("abc"), 400),
            ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ"), 400),
            ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25j!!=="), 400),
            // Fifteen and seventeen bytes.
            ("Sec-WebSocket-Key", Some("MTIzNDU2Nzg5MDEyMzQ1"), 400),
            ("Sec-WebSocket-Key", Some("MTIzNDU2Nzg5MDEyMzQ1Njc="), 400),
        ] {
            let response = answer(&server, request(&line, &with(name, value)));
            assert_eq!(response.status, status, "{path} {name}: {value:?}");
            let version = response.header("sec-websocket-version");
            let told = name == "Sec-WebSocket-Version";
            assert_eq!(version, told.then_some("13"), "{name}: {value:?}");
            if status != 101 {
                assert_eq!(response.header("sec-websocket-accept"), None);
                assert!(!response.body.is_empty(), "it says why");
            }
        }
        // Of these there is one.
        for (name, value) in [
            ("Host", "localhost"),
            ("Host", "elsewhere"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Version", "8"),
        ] {
            let response = open(&server, path, &[(name, value)]);
            assert_eq!(response.status, 400, "{path} {name}: {value} as well");
        }
        for (method, status) in [("POST", 405), ("HEAD", 405), ("PUT", 405), ("OPTIONS", 405)] {
            let mut raw = Raw::connect(server.address());
            raw.send(request(&format!("{method} {path}"), &OPENING));
            let response = raw.response_to(method == "HEAD");
            assert_eq!(response.status, status, "{method} {path}");
            assert_eq!(response.header("allow"), Some("GET"));
        }
        let old = answer(&server, request(&format!("{line} HTTP/1.0"), &OPENING));
        assert_eq!(old.status, 400);
    }
    still_serves(&server);
    server.driver.close();
}

#[test]
fn lists_may_stand_in_several_headers() {
    let server = Server::start("", "");
    for (name, two) in [
        ("Connection", ["keep-alive", "Upgrade"]),
        ("Connection", ["Upgrade", "keep-alive"]),
        ("Upgrade", ["h2c", "websocket"]),
        ("Upgrade", ["websocket", "h2c"]),
    ] {
        let mut headers = with(name, None);
        headers.extend(two.map(|value| (name, value)));
        let response = answer(&server, request("GET /ws1", &headers));
        assert_eq!(response.status, 101, "{name}: {two:?}");
        let upgrade = response.header("upgrade").unwrap();
        assert!(upgrade.eq_ignore_ascii_case("websocket"), "{upgrade}");
    }
    server.driver.close();
}

#[test]
fn who_is_told_to_upgrade_is_told_to_what() {
    let server = Server::start("", "");
    for (name, value) in [
        ("Upgrade", None),
        ("Sec-WebSocket-Version", None),
        ("Sec-WebSocket-Version", Some("8")),
    ] {
        let response = answer(&server, request("GET /ws1", &with(name, value)));
        assert_eq!(response.status, 426);
        // RFC 9110, section 15.5.22.
        assert_eq!(response.header("upgrade"), Some("websocket"), "{name}");
    }
    server.driver.close();
}

#[test]
fn a_plain_get_where_websockets_are_is_told_so_and_nothing_else() {
    let server = Server::start("", "");
    for path in PATHS {
        let response = get(&server, &format!("GET {path}"));
        assert_eq!(response.status, 426);
        assert_eq!(response.text(), "WS upgrade expected\n");
        assert_eq!(response.header("upgrade"), Some("websocket"));
        // Nothing stands between it and the next answer.
        let mut raw = Raw::connect(server.address());
        for _ in 0..3 {
            raw.send(request(&format!("GET {path}"), &[("Host", "x")]));
            assert_eq!(raw.response().text(), "WS upgrade expected\n");
            raw.send(request("GET /healthz", &[("Host", "x")]));
            assert_eq!(raw.response().text(), "ok\n");
        }
        // What was refused does not open later either.
        raw.send(request(&format!("GET {path}"), &OPENING));
        assert_eq!(raw.response().status, 101);
        assert!(matches!(raw.came(), Came::Text(_)));
    }
    server.driver.close();
}

#[test]
fn paths_are_compared_as_they_are() {
    let server = Server::start("", "");
    for (path, status) in [
        ("/ws1", 101),
        ("/ws1?a=b", 101),
        ("/ws2?", 101),
        ("/ws2?a=b&c=/ws1", 101),
        ("http://localhost/ws1", 101),
        ("/ws1/", 404),
        ("/ws1/x", 404),
        ("/WS1", 404),
        ("/ws", 404),
        ("/ws12", 404),
        ("//ws1", 404),
        ("/./ws1", 404),
        ("/x/../ws1", 404),
        ("/%77s1", 404),
        ("/ws1%20", 404),
        ("/ws1;a", 404),
        ("/", 404),
    ] {
        let response = open(&server, path, &[]);
        assert_eq!(response.status, status, "{path}");
    }
    server.driver.close();
    // No character of a configured path stands for others.
    let members = ", \"url-ws1\": \"a.c\", \"enable-ws2\": false";
    let server = Server::start(members, "");
    for (path, status) in [("/a.c", 101), ("/abc", 404), ("/ws1", 404), ("/ws2", 404)] {
        assert_eq!(open(&server, path, &[]).status, status, "{path}");
    }
    server.driver.close();
}

#[test]
fn the_subprotocol_that_fits_the_path_is_named_and_no_other() {
    let server = Server::start("", "");
    let name = "Sec-WebSocket-Protocol";
    for (path, own, other) in [
        ("/ws1", "vscp-std", "vscp-json"),
        ("/ws2", "vscp-json", "vscp-std"),
    ] {
        let list = format!("foo, {own},{other}");
        let upper = own.to_ascii_uppercase();
        let longer = format!("{own}2");
        for (offered, named) in [
            (vec![own], true),
            (vec![other], false),
            (vec!["foo"], false),
            (vec![&list], true),
            (vec!["foo", own], true),
            (vec!["foo,bar", other], false),
            (vec![&longer], false),
            // Their case counts.
            (vec![&upper], false),
            (vec![""], false),
            (vec![], false),
        ] {
            let more: Vec<_> = offered.iter().map(|one| (name, *one)).collect();
            let response = open(&server, path, &more);
            assert_eq!(response.status, 101, "{path} {offered:?}");
            let found = response.header("sec-websocket-protocol");
            assert_eq!(found, named.then_some(own), "{path} {offered:?}");
        }
    }
    server.driver.close();
}

#[test]
fn no_extension_is_agreed_to() {
    let server = Server::start("", "");
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover",
        "nonsense;;;=",
    ] {
        let mut raw = Raw::connect(server.address());
        let headers = [&OPENING[..], &[("Sec-WebSocket-Extensions", offer)]].concat();
        raw.send(request("GET /ws1", &headers));
        let response = raw.response();
        assert_eq!(response.status, 101);
        assert_eq!(response.header("sec-websocket-extensions"), None);
        assert!(raw.said().starts_with("+;AUTH0;"));
        assert_eq!(raw.ask("C;NOOP"), "+;NOOP");
    }
    server.driver.close();
}

#[test]
fn pages_of_other_origins_do_not_get_in() {
    let members = ", \"origins\": [\"https://a.example\", \"http://b.example:8080\", \"null\"]";
    let server = Server::start(members, "");
    for (origin, status) in [
        (Some("https://a.example"), 101),
        (Some("HTTPS://A.example"), 101),
        (Some("http://b.example:8080"), 101),
        (Some("null"), 101),
        // No browser, which says where it comes from.
        (None, 101),
        (Some("http://a.example"), 403),
        (Some("https://a.example:444"), 403),
        (Some("https://a.example.evil.example"), 403),
        (Some("https://evil.example/https://a.example"), 403),
        (Some("http://b.example"), 403),
        (Some(""), 403),
    ] {
        for path in PATHS {
            let more: Vec<_> = origin.iter().map(|one| ("Origin", *one)).collect();
            let response = open(&server, path, &more);
            assert_eq!(response.status, status, "{path} {origin:?}");
        }
    }
    // Where there are two, each counts.
    for (second, status) in [("null", 101), ("http://a.example", 403)] {
        for both in [["https://a.example", second], [second, "https://a.example"]] {
            let more = both.map(|one| ("Origin", one));
            assert_eq!(open(&server, "/ws2", &more).status, status, "{both:?}");
        }
    }
    let words = "page refused client=127.0.0.1:";
    server.logged(words, 8);
    let log = server.log();
    assert!(
        log.contains("origin=https___a.example_444 reason=none of origins"),
        "{log}"
    );
    assert!(log.contains("origin=- reason"), "{log}");
    // Who goes on asking has to come again.
    let mut raw = Raw::connect(server.address());
    let headers = [&OPENING[..], &[("Origin", "http://again.example")]].concat();
    raw.try_send(request("GET /ws1", &headers).repeat(1000));
    let response = raw.response();
    assert_eq!(response.status, 403);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(raw.rest_or_reset(), b"");
    server.driver.close();
    assert_eq!(server.log().matches("again.example").count(), 1);
    let server = Server::start("", "");
    let response = open(&server, "/ws1", &[("Origin", "https://any.example")]);
    assert_eq!(response.status, 101);
    server.driver.close();
}

#[test]
fn health_is_told() {
    let server = Server::start("", "");
    let response = get(&server, "GET /healthz");
    assert_eq!((response.status, response.text()), (200, "ok\n"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let head = get(&server, "HEAD /healthz");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("3"))
    );
    for method in ["POST", "PUT", "DELETE"] {
        let response = get(&server, &format!("{method} /healthz"));
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
    }
    assert_eq!(get(&server, "GET /healthz?x").status, 200);
    assert_eq!(get(&server, "GET /healthz/").status, 404);
    server.driver.close();

    // A broker that is not there.
    let port = free_port();
    let server = Server::start(
        "",
        &format!(
            "\"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {port}, \
              \"publish\": [{{\"topic\": \"vscp\"}}]}},"
        ),
    );
    support::tools::wait_until("the connection is refused", || {
        let response = get(&server, "GET /healthz");
        assert_eq!(response.status, 503);
        assert!(
            response
                .text()
                .contains(&format!("127.0.0.1:{port} is down: ")),
            "{}",
            response.text()
        );
        response.text().to_ascii_lowercase().contains("refused")
    });
    let head = get(&server, "HEAD /healthz");
    assert_eq!(head.status, 503);
    still_serves(&server);
    server.driver.close();
}

#[test]
fn nothing_else_is_there_and_every_request_has_an_answer() {
    // Also where files would be looked for in the working directory.
    let server = Server::start("", "");
    for path in ["/rest", "/rest?x=1", "/rest/", "/rest/x"] {
        for method in ["GET", "POST"] {
            let response = get(&server, &format!("{method} {path}"));
            assert_eq!(response.status, 404, "{path}");
            assert_eq!(response.header("content-type"), Some("application/json"));
            let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert!(json["error"].is_string());
        }
    }
    for line in [
        "GET /",
        "GET /Cargo.toml",
        "GET /index.html",
        "GET /../../etc/passwd",
        "GET /restful",
        "POST /",
        "DELETE /x",
        "BREW /pot",
        "GET /%00",
    ] {
        let response = get(&server, line);
        assert_eq!(response.status, 404, "{line}");
    }
    for line in ["OPTIONS *", "CONNECT localhost:80"] {
        assert_eq!(get(&server, line).status, 400, "{line}");
    }
    still_serves(&server);
    server.driver.close();
}

#[test]
fn heads_that_are_too_long_or_have_too_much_in_them_are_refused() {
    let server = Server::start("", "");
    let long = "x".repeat(64 * 1024);
    let many: String = (0..1000).map(|n| format!("X-{n}: 1\r\n")).collect();
    for head in [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /ws1 HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        format!("GET /ws1 HTTP/1.1\r\n{long}: x\r\n\r\n"),
        format!("GET /ws1 HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        // Without an end.
        long.clone(),
        format!("GET /ws1 HTTP/1.1\r\nX: {long}"),
    ] {
        let mut raw = Raw::connect(server.address());
        raw.try_send(&head);
        let rest = raw.rest_or_reset();
        let rest = String::from_utf8_lossy(&rest);
        let start = &head[..40];
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 4"),
            "{start}: {rest:.200}"
        );
        assert!(rest.matches("HTTP/1.1").count() <= 1, "{start}: {rest}");
        still_serves(&server);
    }
    // What is just below goes on.
    let path = format!("/{}", "x".repeat(8 * 1024));
    assert_eq!(get(&server, &format!("GET {path}")).status, 404);
    server.driver.close();
}

#[test]
fn what_is_no_http_is_refused() {
    let server = Server::start("", "");
    for garbage in [
        &b"\r\n\r\n\r\n\r\nnothing\r\n\r\n"[..],
        b"user admin\r\npass secret\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x81\x86\x00\x00\x00\x00C;NOOP",
        b"GET\r\n\r\n",
        b"GET /ws1\r\n\r\n",
        b"GET  /ws1 HTTP/1.1\r\n\r\n",
        b"GET /ws1 HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /ws1 HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        b"GET /ws1 HTTP/1.1\r\nHost: x\r\n no colon\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut raw = Raw::connect(server.address());
        raw.send(garbage);
        raw.half_close();
        let rest = raw.rest_or_reset();
        let rest = String::from_utf8_lossy(&rest);
        let shown = String::from_utf8_lossy(garbage);
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 4"),
            "{shown:?}: {rest}"
        );
    }
    still_serves(&server);
    server.driver.close();
}

#[test]
fn who_never_finishes_a_request_is_given_up() {
    let server = Server::start("", "\"login-timeout\": 1,");
    let text = request("GET /ws1", &OPENING);
    // Nothing, half a request, and one that comes byte by byte without an end.
    let mut silent = Raw::connect(server.address());
    let mut half = Raw::connect(server.address());
    half.send(&text[..text.len() / 2]);
    let mut slow = Raw::connect(server.address());
    slow.send("GET /ws1 HTTP/1.1\r\nX: ");
    while slow.try_send("x") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for raw in [&mut silent, &mut half, &mut slow] {
        let rest = raw.rest_or_reset();
        let rest = String::from_utf8_lossy(&rest);
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 408"),
            "{rest}"
        );
    }
    // One request after the other is no way to stay either.
    let mut busy = Raw::connect(server.address());
    let plain = request("GET /healthz", &[("Host", "x")]);
    while busy.try_send(&plain) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let text = String::from_utf8(busy.rest_or_reset()).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    // Nor is a body that does not come.
    let mut body = Raw::connect(server.address());
    body.send(request(
        "POST /rest",
        &[("Host", "x"), ("Content-Length", "1000")],
    ));
    let rest = body.rest_or_reset();
    assert!(rest.starts_with(b"HTTP/1.1 404 "));
    still_serves(&server);
    server.driver.close();
}

#[test]
fn a_request_that_comes_byte_by_byte_is_one_all_the_same() {
    let server = Server::start("", "");
    let mut raw = Raw::connect(server.address());
    for byte in request("GET /ws1", &OPENING).bytes() {
        raw.send([byte]);
    }
    assert_eq!(raw.response().status, 101);
    assert!(raw.said().starts_with("+;AUTH0;"));
    server.driver.close();
}

#[test]
fn after_the_websocket_has_opened_there_is_no_http() {
    let server = Server::start("", "");
    let mut raw = Raw::connect(server.address());
    let twice = request("GET /ws1", &OPENING).repeat(2);
    raw.send(twice);
    assert_eq!(raw.response().status, 101);
    let mut came = raw.came();
    if matches!(came, Came::Text(_)) {
        came = raw.came();
    }
    // `GE` is an unmasked frame with reserved bits.
    assert!(matches!(came, Came::Close(Some(1002), _)), "{came:?}");
    still_serves(&server);
    server.driver.close();
}

#[test]
fn an_opening_with_a_body_does_not_hang() {
    let server = Server::start("", "\"login-timeout\": 1,");
    for (name, value, body) in [
        ("Content-Length", "5", ""),
        ("Content-Length", "5", "hello"),
        ("Content-Length", "100000", "hello"),
        ("Transfer-Encoding", "chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding", "chunked", "5\r\nhel"),
        ("Expect", "100-continue", ""),
    ] {
        let mut raw = Raw::connect(server.address());
        let headers = [&OPENING[..], &[(name, value)]].concat();
        raw.send(request("GET /ws1", &headers) + body);
        // However it is understood: it comes to an end.
        let rest = raw.rest_or_reset();
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.starts_with("HTTP/1.1 "), "{name}: {value}: {rest}");
        still_serves(&server);
    }
    server.driver.close();
}

#[test]
fn connections_that_break_off_hurt_nobody() {
    let server = Server::start("", "");
    let text = request("GET /ws1", &OPENING);
    for _ in 0..50 {
        for length in [0, 1, 20, text.len() - 1, text.len()] {
            let mut raw = Raw::connect(server.address());
            raw.send(&text[..length]);
            match length % 3 {
                0 => raw.reset(),
                1 => raw.half_close(),
                _ => drop(raw),
            }
        }
    }
    still_serves(&server);
    server.driver.close();
}

//! The files of `web-root`, byte by byte.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};

mod support;

use support::raw::{Came, OPENING, PING, Raw, TEXT, answer, frame, get, request, still_serves};
use support::tools::wait_until;
use support::websocket::{Server, flat, with_key};

/// A folder with files, beside it something that nobody may see.
fn site() -> TempDir {
    let place = TempDir::new().unwrap();
    let root = place.path().join("www");
    fs::create_dir_all(root.join("sub/empty")).unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    for (name, text) in [
        ("secret.txt", "secret"),
        ("www/index.html", "<p>index</p>"),
        ("www/page.html", "<p>page</p>"),
        ("www/code.js", "1;"),
        ("www/style.css", "p {}"),
        ("www/data.json", "{}"),
        ("www/picture.svg", "<svg/>"),
        ("www/notes.txt", "notes"),
        ("www/with blank.txt", "blank"),
        ("www/.hidden", "hidden"),
        ("www/.git/config", "hidden"),
        ("www/sub/index.html", "<p>sub</p>"),
        ("www/sub/ws1", "a file"),
    ] {
        fs::write(place.path().join(name), text).unwrap();
    }
    symlink("../secret.txt", root.join("out.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/etc", root.join("etc")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("notes.txt", root.join("in.txt")).unwrap();
    place
}

fn with_site(place: &Path) -> Server {
    let root = place.join("www");
    Server::start(
        &format!(", \"enable-static\": true, \"web-root\": {root:?}"),
        "",
    )
}

#[test]
fn files_of_the_web_root_are_served() {
    let place = site();
    let server = with_site(place.path());
    for (path, kind, text) in [
        ("/", "text/html", "<p>index</p>"),
        ("/?a=b", "text/html", "<p>index</p>"),
        ("/index.html", "text/html", "<p>index</p>"),
        ("/page.html", "text/html", "<p>page</p>"),
        ("/page.html?a=../b", "text/html", "<p>page</p>"),
        ("/code.js", "text/javascript", "1;"),
        ("/style.css", "text/css", "p {}"),
        ("/data.json", "application/json", "{}"),
        ("/picture.svg", "image/svg+xml", "<svg/>"),
        ("/notes.txt", "text/plain", "notes"),
        ("/with%20blank.txt", "text/plain", "blank"),
        ("/sub/", "text/html", "<p>sub</p>"),
        ("/in.txt", "text/plain", "notes"),
    ] {
        let response = get(&server, &format!("GET {path}"));
        assert_eq!((response.status, response.text()), (200, text), "{path}");
        let found = response.header("content-type").unwrap();
        assert!(found.starts_with(kind), "{path}: {found}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let head = get(&server, &format!("HEAD {path}"));
        assert_eq!(head.status, 200, "{path}");
        let length = text.len().to_string();
        assert_eq!(head.header("content-length"), Some(&*length), "{path}");
        assert_eq!(head.header("content-type"), Some(found), "{path}");
    }
    // Websockets, the health and the rest go before files.
    assert_eq!(get(&server, "GET /ws1").status, 426);
    assert_eq!(get(&server, "GET /rest").status, 404);
    assert_eq!(get(&server, "GET /healthz").text(), "ok\n");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = get(&server, &format!("{method} /notes.txt"));
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
    }
    still_serves(&server);
    server.driver.close();
}

#[test]
fn what_a_browser_has_already_is_not_sent_again() {
    let place = site();
    let server = with_site(place.path());
    let ask = |name: &str, value: &str| {
        let headers = [("Host", "x"), ("Connection", "close"), (name, value)];
        answer(&server, request("GET /notes.txt", &headers))
    };
    let first = get(&server, "GET /notes.txt");
    let modified = first.header("last-modified").unwrap();
    let tag = first.header("etag").unwrap();
    for (name, value, status) in [
        ("If-Modified-Since", modified, 304),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("If-Modified-Since", "nonsense", 200),
        ("If-None-Match", tag, 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"other\"", 200),
    ] {
        let response = ask(name, value);
        assert_eq!(response.status, status, "{name}: {value}");
        let body = if status == 304 { "" } else { "notes" };
        assert_eq!(response.text(), body);
    }
    let part = ask("Range", "bytes=1-2");
    assert_eq!((part.status, part.text()), (206, "ot"));
    assert_eq!(ask("Range", "bytes=99-").status, 416);
    server.driver.close();
}

#[test]
fn nothing_outside_the_web_root_and_nothing_hidden_is_served() {
    let place = site();
    let server = with_site(place.path());
    for path in [
        // No list of what is in a folder.
        "/sub/empty/",
        // Hidden.
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/.git/",
        "/sub/../.hidden",
        // Outside.
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/..%2f..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/sub\\..\\..\\secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/....//secret.txt",
        "//../secret.txt",
        "/./../secret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..;/secret.txt",
        "/notes.txt/../../secret.txt",
        // By way of a link.
        "/out.txt",
        "/up/secret.txt",
        "/up/",
        "/etc/passwd",
        "/dangling",
        // Not there at all.
        "/notes.txt/",
        "/notes.txt%00.html",
        "/Notes.txt",
        "/%",
        "/%zz",
        "/nothing",
    ] {
        for method in ["GET", "HEAD"] {
            let response = get(&server, &format!("{method} {path}"));
            assert!(
                matches!(response.status, 400 | 404),
                "{method} {path}: {response:?}"
            );
            assert!(!response.text().contains("secret"), "{path}");
        }
    }
    server.driver.close();
}

/// So are the files of a Kubernetes ConfigMap laid out, to be replaced all at once.
#[test]
fn links_to_what_is_hidden_inside_are_files_like_any_other() {
    let place = site();
    let root = place.path().join("www");
    fs::create_dir(root.join("..2025_11_12")).unwrap();
    fs::write(root.join("..2025_11_12/map.html"), "<p>one</p>").unwrap();
    symlink("..2025_11_12", root.join("..data")).unwrap();
    symlink("..data/map.html", root.join("map.html")).unwrap();
    let server = with_site(place.path());
    let response = get(&server, "GET /map.html");
    assert_eq!((response.status, response.text()), (200, "<p>one</p>"));
    // By their own names they stay hidden.
    for path in [
        "/..data/map.html",
        "/..2025_11_12/map.html",
        "/%2e%2edata/map.html",
        "/..data/",
    ] {
        assert_eq!(get(&server, &format!("GET {path}")).status, 404, "{path}");
    }
    fs::create_dir(root.join("..2025_11_13")).unwrap();
    fs::write(root.join("..2025_11_13/map.html"), "<p>two</p>").unwrap();
    symlink("..2025_11_13", root.join("..tmp")).unwrap();
    fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
    assert_eq!(get(&server, "GET /map.html").text(), "<p>two</p>");
    // Where it leads outside, by however many links, it is not there.
    fs::remove_file(root.join("..data")).unwrap();
    fs::write(place.path().join("map.html"), "secret").unwrap();
    symlink("..", root.join("..data")).unwrap();
    assert_eq!(get(&server, "GET /map.html").status, 404);
    server.driver.close();
}

#[test]
fn a_folder_without_its_slash_leads_to_itself_and_nowhere_else() {
    let place = site();
    let server = with_site(place.path());
    for (path, allowed) in [
        ("/sub", "/sub/"),
        ("/sub?a=b", "/sub/?a=b"),
        ("//sub", "/sub/"),
    ] {
        let response = get(&server, &format!("GET {path}"));
        match response.status {
            301 | 302 | 307 | 308 => {
                // Two slashes at the front would be the name of a host.
                assert_eq!(response.header("location"), Some(allowed), "{path}");
            }
            status => assert!(matches!(status, 200 | 404), "{path}: {response:?}"),
        }
    }
    server.driver.close();
}

#[test]
fn files_that_come_go_or_cannot_be_read_are_no_reason_to_hang() {
    let place = site();
    let server = with_site(place.path());
    fs::write(place.path().join("www/large"), vec![b'x'; 1 << 20]).unwrap();
    // One asks for much and does not read it.
    let mut lazy = Raw::connect(server.address());
    for _ in 0..64 {
        lazy.send(request("GET /large", &[("Host", "x")]));
    }
    assert_eq!(get(&server, "GET /large").body.len(), 1 << 20);
    fs::remove_dir_all(place.path().join("www")).unwrap();
    assert_eq!(get(&server, "GET /").status, 404);
    drop(lazy);
    still_serves(&server);
    server.driver.close();
}

/// The daemon's file is looked for while the driver starts: what it names counts as well.
#[test]
fn a_secret_of_the_daemons_entry_keeps_the_driver_from_starting() {
    let place = site();
    let (root, daemon) = (place.path().join("www"), place.path().join("vscpd.json"));
    let own = with_key(&"0123456789abcdef".repeat(2));
    let driver = own.path().join("link.json");
    let members = format!(
        "\"enable-static\": true, \"web-root\": {root:?}, \
          \"bridge\": {{\"vscpd-config\": {daemon:?}}},"
    );
    fs::write(&driver, flat(&own, &members)).unwrap();
    for (key, starts) in [("notes.key", true), ("www/notes.txt", false)] {
        let key = place.path().join(key);
        let entry = format!(
            "{{\"drivers\": {{\"level2\": [{{\"path-config\": {driver:?}, \"guid\": \"::1\", \
              \"mqtt\": {{\"host\": \"127.0.0.1\", \"tls\": {{\"keyfile\": {key:?}, \
              \"cafile\": \"/a\", \"certfile\": \"/c\"}}}}}}]}}}}"
        );
        fs::write(&daemon, entry).unwrap();
        let config = driver.to_str().unwrap().to_owned();
        let guid = "::1".parse().unwrap();
        let opened = Driver::open(Source { config, guid });
        let log = fs::read_to_string(own.path().join("log")).unwrap();
        assert_eq!(opened.is_some(), starts, "{log}");
        assert_eq!(!log.contains("notes.txt, which everybody"), starts, "{log}");
        if let Some(driver) = opened {
            driver.close();
        }
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let place = site();
    let root = place.path().join("www");
    fs::create_dir(root.join("odd")).unwrap();
    fs::create_dir(root.join("linked")).unwrap();
    for pipe in ["pipe", "odd/index.html"] {
        let made = std::process::Command::new("mkfifo")
            .arg(root.join(pipe))
            .status();
        assert!(made.unwrap().success());
    }
    symlink("../../secret.txt", root.join("linked/index.html")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let server = with_site(place.path());
    for path in [
        "/pipe",
        "/socket",
        "/linked/",
        "/linked/index.html",
        "/odd/index.html",
        "/odd/",
    ] {
        let response = get(&server, &format!("GET {path}"));
        assert_eq!(response.status, 404, "{path}");
    }
    drop(socket);
    still_serves(&server);
    server.driver.close();
}

#[test]
fn large_files_come_whole_to_many_at_once() {
    let place = site();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n >> 5) as u8).collect();
    fs::write(place.path().join("www/large.bin"), &bytes).unwrap();
    let server = with_site(place.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut raw = Raw::connect(server.address());
                for _ in 0..2 {
                    raw.send(request("GET /large.bin", &[("Host", "x")]));
                    let response = raw.response();
                    assert_eq!(response.header("content-length"), Some("3000000"));
                    assert!(response.body == bytes);
                }
            });
        }
    });
    server.driver.close();
}

#[test]
fn a_large_file_may_take_longer_than_a_login() {
    let place = site();
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| (n >> 5) as u8).collect();
    fs::write(place.path().join("www/large.bin"), &bytes).unwrap();
    let root = place.path().join("www");
    let server = Server::start(
        &format!(", \"enable-static\": true, \"web-root\": {root:?}"),
        "\"login-timeout\": 2,",
    );
    let mut raw = Raw::connect(server.address());
    raw.send(request("GET /large.bin", &[("Host", "x")]));
    // More than the deadline, and more than is on its way to somebody who does not read.
    let start = Instant::now();
    let (mut had, mut piece) = (Vec::with_capacity(bytes.len() + 1000), vec![0; 1 << 18]);
    loop {
        let count = raw.stream.read(&mut piece).unwrap();
        had.extend(&piece[..count]);
        if count == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() > Duration::from_secs(2));
    assert!(had.ends_with(&bytes), "{} bytes", had.len());
    still_serves(&server);
    server.driver.close();
}

#[test]
fn requests_that_are_sent_ahead_are_answered_in_order() {
    let place = site();
    let server = with_site(place.path());
    let mut raw = Raw::connect(server.address());
    let paths = [
        ("/notes.txt", 200, "notes"),
        ("/ws1", 426, "WS upgrade expected\n"),
        ("/nothing", 404, "not found\n"),
        ("/healthz", 200, "ok\n"),
        ("/data.json", 200, "{}"),
    ];
    let all: String = (0..20)
        .flat_map(|_| paths.iter())
        .map(|(path, ..)| request(&format!("GET {path}"), &[("Host", "x")]))
        .collect();
    // A websocket at the end, and messages to it, all at once.
    let mut bytes = all.into_bytes();
    bytes.extend(request("GET /ws1", &OPENING).bytes());
    bytes.extend(frame(PING, b"p"));
    bytes.extend(frame(TEXT, b"C;NOOP"));
    raw.send(&bytes);
    for _ in 0..20 {
        for (path, status, text) in paths {
            let response = raw.response();
            assert_eq!((response.status, response.text()), (status, text), "{path}");
        }
    }
    assert_eq!(raw.response().status, 101);
    let mut came = [raw.came(), raw.came(), raw.came()].to_vec();
    let pong = came
        .iter()
        .position(|one| *one == Came::Pong(b"p".to_vec()));
    came.remove(pong.expect("a pong"));
    assert!(matches!(&came[0], Came::Text(text) if text.starts_with("+;AUTH0;")));
    assert_eq!(came[1], Came::Text("+;NOOP".to_owned()));
    server.driver.close();
}

#[test]
fn who_says_no_more_after_a_request_is_answered() {
    let place = site();
    let server = with_site(place.path());
    for (path, status) in [
        ("/healthz", 200),
        ("/notes.txt", 200),
        ("/ws1", 426),
        ("/rest", 404),
    ] {
        for _ in 0..50 {
            let mut raw = Raw::connect(server.address());
            raw.send(request(&format!("GET {path}"), &[("Host", "x")]));
            raw.half_close();
            assert_eq!(raw.response().status, status, "{path}");
            assert_eq!(raw.rest(), b"");
        }
    }
    server.driver.close();
}

#[test]
fn a_target_that_is_no_path_is_a_bad_request() {
    let place = site();
    let server = with_site(place.path());
    for target in ["sub", "sub:80", "localhost", "*", "ftp://x/notes.txt"] {
        for method in ["GET", "HEAD", "OPTIONS", "POST"] {
            let response = get(&server, &format!("{method} {target}"));
            assert_eq!(response.status, 400, "{method} {target}");
        }
    }
    for target in ["http://x/notes.txt", "HTTPS://x/notes.txt", "/notes.txt"] {
        assert_eq!(get(&server, &format!("GET {target}")).text(), "notes");
    }
    assert_eq!(get(&server, "GET http://x").text(), "<p>index</p>");
    server.driver.close();
}

#[test]
fn so_many_files_are_read_at_a_time_and_one_more_a_little_later() {
    const MOST: usize = 64;
    let place = site();
    let large = fs::File::create(place.path().join("www/large")).unwrap();
    // More than the system takes for somebody who does not read.
    large.set_len(64 * 1024 * 1024).unwrap();
    let server = with_site(place.path());
    let mut readers: Vec<Raw> = (0..MOST)
        .map(|_| {
            let mut raw = Raw::connect(server.address());
            raw.send(request("GET /large", &[("Host", "x")]));
            assert!(raw.line().contains("200"));
            raw
        })
        .collect();
    let mut next = Raw::connect(server.address());
    let ask = request("GET /notes.txt", &[("Host", "x")]);
    next.send(&ask);
    let refused = next.response();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    // What is no file is answered as ever.
    assert_eq!(get(&server, "GET /healthz").status, 200);
    assert_eq!(get(&server, "GET /none").status, 404);
    still_serves(&server);
    drop(readers.pop());
    wait_until("a file may be read", || {
        next.send(&ask);
        next.response().status == 200
    });
    server.driver.close();
}

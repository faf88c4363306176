//! Passwords and keys are nowhere but where they belong: not in the log, whoever writes it and
//! however much, nor in what clients, brokers and callers of the program are told.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::wire::binary::Strength;
use vscpl2drv_link::wire::ws::Dialect;
use vscpl2drv_link::wire::ws::client::{self as requests, Said as Answer};

mod support;

use support::binary::{Binary, KEY, key_file};
use support::certificates::{Authority, encrypted};
use support::client::Client;
use support::far_end::{FarEnd, Said};
use support::mosquitto::{Mosquitto, Subscriber, free_port};
use support::secure;
use support::tools::{PATIENCE, wait_until};
use support::websocket::Client as WebClient;

const PASSWORD: &str = "Gr4nite-password";
const WRONG: &str = "hunter2-wrong";
const BROKER: &str = "br0ker-password";
const PHRASE: &str = "0pen-sesame";
const LINK: &str = "far-password";

/// What must be nowhere, and what it is called.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// A text, and the forms in which it might be printed.
    fn add(&mut self, what: &str, text: &str) {
        self.add_bytes(what, text.as_bytes());
        self.0.push((what.to_owned(), text.to_owned()));
    }

    /// Bytes as digits, and as lists of numbers.
    fn add_bytes(&mut self, what: &str, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{bytes:?}");
        let list = list.trim_matches(['[', ']']).to_owned();
        let spaced: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = [digits.to_uppercase(), digits, list, spaced.join(" ")];
        self.0
            .extend(more.map(|form| (format!("{what} in another form"), form)));
    }

    fn are_not_in(&self, place: &str, text: &str) {
        for (what, secret) in &self.0 {
            assert!(!secret.is_empty(), "{what}");
            if let Some(at) = text.find(secret) {
                let line = text[..at].lines().count();
                let line = text.lines().nth(line.saturating_sub(1)).unwrap();
                panic!("{place}: {what}: {line}");
            }
        }
    }
}

/// One user whose password is stored as it is today, and one with an older form.
fn users(place: &Path, secrets: &mut Secrets) -> PathBuf {
    let (path, new) = (
        place.join("users.json"),
        Credential::derive("anna", PASSWORD).unwrap().to_string(),
    );
    // MD5 of old:secret.
    let old = "cf116363aabe3bdcc4f268ec1126a879";
    let text = format!(
        "{{\"users\": [{{\"name\": \"anna\", \"password\": \"{new}\", \"rights\": \"admin\"}}, \
          {{\"name\": \"old\", \"password\": \"{old}\", \"rights\": \"admin\"}}]}}"
    );
    fs::write(&path, text).unwrap();
    for (what, part) in ["the salt", "the hash"].into_iter().zip(new.split(';')) {
        secrets.add(what, part);
        secrets.add(what, &part.to_lowercase());
    }
    secrets.add("a hash", old);
    path
}

/// A conversation in clear text or over TLS: everything that the server says.
fn talk(client: &mut Client) -> String {
    let mut said = Vec::new();
    said.extend(client.ask("user anna"));
    said.extend(client.ask(&format!("pass {PASSWORD}")));
    assert_eq!(said.last().unwrap(), "+OK - Success.", "{said:?}");
    for command in [
        "++",
        "+1",
        &format!("pass {PASSWORD}"),
        "help pass",
        "send 0,20,3,,,,-,1,2",
        "send 0,20,x",
        "info",
        "interface",
        "test",
        "stat",
        "++",
    ] {
        said.extend(client.ask(command));
    }
    said.join("\n")
}

/// The same in frames, where the password is in the frame of the login.
fn talk_in_frames(driver: &Driver) {
    let address = driver.addresses()[0];
    let mut client = Binary::connect(address, Strength::Aes256);
    let login = format!("anna:{PASSWORD}");
    assert_eq!(client.ask(2, login.as_bytes()), (2, 0, Vec::new()));
    assert_eq!(client.ask(0, b"").1, 0);
    // Info, the list of channels, and a command that there is not.
    for (code, argument) in [(12, &[][..]), (19, &[0, 1, 0, 0]), (999, &[])] {
        client.ask(code, argument);
    }
    let mut client = Binary::connect(address, Strength::Aes256);
    client.command(2, format!("anna:{WRONG}").as_bytes());
    assert_ne!(client.reply().1, 0);
    // What is no frame ends the session.
    let mut client = Binary::connect(address, Strength::Aes256);
    client.send(format!("user anna\r\npass {PASSWORD}\r\n").as_bytes());
    assert_eq!(client.frame(), None);
}

/// Logs in by websocket; gives what was encrypted for it, which the key opens.
fn log_in_by_websocket(driver: &Driver, dialect: Dialect, password: &str) -> String {
    let address = *driver.addresses().last().unwrap();
    let mut client = WebClient::connect(address, dialect);
    let key: [u8; 16] = std::array::from_fn(|at| {
        u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).expect("hexadecimal digits")
    });
    let auth = requests::auth(dialect, &key, &client.sid, "anna", password);
    client.send(&auth);
    match client.said() {
        Answer::Done { .. } => assert_eq!(password, PASSWORD),
        Answer::Refused { .. } => assert_eq!(password, WRONG),
        other => panic!("{other:?}"),
    }
    client.must("NOOP");
    let digits = auth.split(|c: char| !c.is_ascii_hexdigit());
    digits
        .max_by_key(|part| part.len())
        .expect("it is encrypted")
        .to_owned()
}

/// A session over TLS.
fn talk_over_tls(driver: &Driver, authority: &Authority) {
    let stream = TcpStream::connect(driver.addresses()[1]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = secure::over(stream, authority);
    let words = format!("user anna\r\npass {PASSWORD}\r\n++\r\nquit\r\n");
    stream.write_all(words.as_bytes()).unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(said.contains("0 - user anna"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
}

#[test]
fn no_secret_reaches_the_log_or_the_history() {
    let place = TempDir::new().unwrap();
    let mut secrets = Secrets::default();
    for (what, text) in [
        ("a password", PASSWORD),
        ("a wrong password", WRONG),
        ("the broker's password", BROKER),
        ("the pass phrase", PHRASE),
        ("the password at another server", LINK),
        ("the key", KEY),
        ("the key of websockets", &KEY[..32]),
        ("the key in other letters", &KEY.to_uppercase()),
    ] {
        secrets.add(what, text);
    }
    let key = |at: usize| u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).unwrap();
    secrets.add_bytes("the key", &std::array::from_fn::<u8, 16, _>(key));
    let users = users(place.path(), &mut secrets);
    let log = place.path().join("log");

    let ours = Authority::new("ours");
    let (own, broker_own) = (ours.identity("localhost"), ours.identity("broker"));
    for identity in [&own, &broker_own] {
        let pem = fs::read_to_string(&identity.key).unwrap();
        for line in pem.lines().filter(|line| !line.starts_with('-')) {
            secrets.add("a private key", line);
        }
    }
    let broker = Mosquitto::with_login("u", BROKER);
    let port = free_port();
    let secure = Mosquitto::with(&format!(
        "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n\
         require_certificate true",
        ours.file().display(),
        own.certificate.display(),
        own.key.display(),
    ));
    let mqtt = format!(
        "[{{\"host\": \"127.0.0.1\", \"port\": {}, \"user\": \"u\", \"password\": \"{BROKER}\", \
           \"status\": {{\"topic\": \"status\", \"interval\": 1}}, \
           \"publish\": [{{\"topic\": \"t\", \"qos\": 1}}]}}, \
          {{\"host\": \"mqtts://localhost\", \"port\": {port}, \"user\": \"u\", \
           \"password\": \"{BROKER}\", \"mqtt-options\": {{\"protocol-version\": 500}}, \
           \"tls\": {{\"cafile\": {:?}, \"certfile\": {:?}, \"keyfile\": {:?}, \
           \"pwkeyfile\": \"{PHRASE}\"}}, \"publish\": [{{\"topic\": \"t\", \"qos\": 1}}]}}]",
        broker.port(),
        ours.file(),
        broker_own.certificate,
        encrypted(&broker_own.key, PHRASE, false),
    );
    // Two other servers, one of which says back what it does not like.
    let far = FarEnd::minimal(&[]);
    let loud = FarEnd::start(|_, command| match command.split_once(' ') {
        Some((word, password)) if word.eq_ignore_ascii_case("pass") => {
            Said::Text(format!("-OK - No: {password}\r\n"))
        }
        _ => Said::Text("+OK - Success.\r\n".to_owned()),
    });
    let link = |name: &str, far: &FarEnd| {
        format!(
            "{{\"name\": \"{name}\", \"host\": \"127.0.0.1\", \"port\": {}, \"user\": \"u\", \
              \"password\": \"{LINK}\"}}",
            far.address().port()
        )
    };
    let links = format!("[{}, {}]", link("far", &far), link("loud", &loud));
    let config = format!(
        "{{\"links\": {links}, \"interface\": [\"tcp://127.0.0.1:0\", \"stcp://127.0.0.1:0\"], \"abi\": \"v2\", \
          \"path-users\": {users:?}, \"encryption\": \"aes256\", \"key-file\": {:?}, \
          \"tls\": {{\"certificate\": {:?}, \"key\": {:?}}}, \
          \"websocket\": {{\"interface\": \"ws://127.0.0.1:0\"}}, \"mqtt\": {mqtt}, \
          \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\", \
          \"file-log-level\": \"trace\"}}}}",
        key_file(place.path()),
        own.certificate,
        own.key,
    );
    // In a file, which may change.
    let file = place.path().join("link.json");
    fs::write(&file, &config).unwrap();
    let source = Source {
        config: file.display().to_string(),
        guid: "::1".parse().unwrap(),
    };
    let driver = Driver::open(source)
        .unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap_or_default()));
    let text = || fs::read_to_string(&log).unwrap();
    let wait_for = |words: &str, times| {
        let start = Instant::now();
        while text().matches(words).count() < times {
            assert!(start.elapsed() < PATIENCE, "{words}: {}", text());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for("connected", 3);
    wait_until("both links are logging in", || {
        !far.heard_of("pass").is_empty() && !loud.heard_of("pass").is_empty()
    });

    let address = driver.addresses()[0];
    for user in ["anna", "nobody\u{1b}[2J"] {
        let mut client = Client::connect(address);
        client.must(&format!("user {user}"));
        assert_eq!(
            client.ask(&format!("pass {WRONG}")),
            ["-OK - Invalid username or password."]
        );
    }
    let mut client = Client::connect(address);
    let said = talk(&mut client);
    secrets.are_not_in("what a client is told", &said);
    talk_over_tls(&driver, &ours);
    talk_in_frames(&driver);
    for dialect in [Dialect::Ws1, Dialect::Ws2] {
        for password in [PASSWORD, WRONG] {
            let crypto = log_in_by_websocket(&driver, dialect, password);
            // Everybody who has the key can open it, and all pages have the key.
            secrets.add("a password under the key of websockets", &crypto);
        }
    }

    let login = ["-u", "u", "-P", BROKER];
    let status = Subscriber::with(broker.port(), "status", 1, "got %t %p", &login);
    let document = status.message().1;
    assert!(document.contains("\"state\":\"online\""), "{document}");
    secrets.are_not_in("the status document", &document);

    // Files that are good, that are wrong where secrets are, and that end there.
    let check = |file: &Path| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_vscp-link"));
        let output = program.arg("check").arg(file).output().unwrap();
        let of = String::from_utf8_lossy;
        let said = format!("{}{}", of(&output.stdout), of(&output.stderr));
        secrets.are_not_in("what check says", &said);
        output.status.success()
    };
    assert!(check(&file));
    let broken = fs::read_to_string(&users).unwrap().replace(';', "!");
    fs::write(&users, broken).unwrap();
    wait_for("users.json:1:", 1);
    assert!(!check(&file));
    let quoted = format!("\"{BROKER}\"");
    fs::write(&file, config.replace(&quoted, &format!("[{quoted}]"))).unwrap();
    wait_for("mqtt[0].password", 1);
    assert!(!check(&file));
    let end = config.find(BROKER).unwrap() + BROKER.len();
    fs::write(&file, &config[..end]).unwrap();
    wait_for("link.json:1:", 3);
    assert!(!check(&file));
    driver.close();
    let text = text();
    // All of them have been heard.
    for words in [
        "login refused",
        "logged in",
        "wrong password",
        "frame refused",
        "the login was refused",
        // A library too.
        "trace decided upon suite",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Traces of this one are about nothing but itself, many lines for a message.
    assert!(!text.contains("WebSocketStream"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");

    secrets.are_not_in("the log", &text);
    drop(secure);
}

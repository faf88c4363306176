//! A driver whose files change while it runs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::event::text::{Defaults, parse};

use super::client::Client;
use super::dialogue;
use super::tools::PATIENCE;

/// A driver whose files lie in a folder of their own.
pub struct Bench {
    pub place: TempDir,
    driver: Option<Driver>,
    guid: Guid,
}

impl Bench {
    /// `members` are the driver file's own.
    pub fn start(members: &str) -> Self {
        Self::with_guid("::1", members)
    }

    pub fn with_guid(guid: &str, members: &str) -> Self {
        let place = TempDir::new().unwrap();
        fs::copy(dialogue::users(), place.path().join("users.json")).unwrap();
        let mut bench = Self {
            place,
            driver: None,
            guid: guid.parse().unwrap(),
        };
        fs::write(bench.file(), bench.text(members)).unwrap();
        bench.open_again();
        bench
    }

    /// Another start, by what the files say.
    pub fn open_again(&mut self) {
        self.driver = None;
        let source = Source {
            config: self.file().display().to_string(),
            guid: self.guid,
        };
        self.driver = Driver::open(source);
        assert!(self.driver.is_some(), "{}", self.log());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn file(&self) -> PathBuf {
        self.path("link.json")
    }

    pub fn text(&self, members: &str) -> String {
        let level = if members.contains("\"file-log-level\"") {
            ""
        } else {
            "\"logging\": {\"file-path\": \"LOG\", \"file-pattern\": \"%l %v\"}, "
        };
        format!(
            "{{{level} {members}, \"abi\": \"v2\", \"path-users\": {:?}}}",
            self.path("users.json")
        )
        .replace("LOG", &self.path("log").display().to_string())
        .replace("PLACE", &self.place.path().display().to_string())
    }

    /// Other members, put in place as editors do it: another file takes the name.
    pub fn edit(&self, members: &str) {
        self.replace("link.json", &self.text(members));
    }

    pub fn replace(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// The users file with a change in it, written in place.
    pub fn edit_users(&self, change: impl FnOnce(String) -> String) {
        let file = self.path("users.json");
        let text = fs::read_to_string(&file).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed, "the test changes something");
        fs::write(file, changed).unwrap();
    }

    pub fn driver(&self) -> &Driver {
        self.driver.as_ref().unwrap()
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.driver().addresses()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn wait_for(&self, words: &str) {
        self.wait_for_times(words, 1);
    }

    pub fn wait_for_times(&self, words: &str, times: usize) {
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

    pub fn write(&self, line: &str) {
        let defaults = Defaults {
            now: 1,
            obid: 0,
            guid: Guid::ZERO,
        };
        self.driver().write(parse(line, &defaults).unwrap());
    }
}

pub fn log_in(address: SocketAddr, user: &str, password: &str) -> Option<Client> {
    let mut client = Client::connect(address);
    client.must(&format!("user {user}"));
    (client.ask(&format!("pass {password}")) == ["+OK - Success."]).then_some(client)
}

/// The users file without one of them.
pub fn without(bench: &Bench, user: &str) -> String {
    let text = fs::read_to_string(bench.path("users.json")).unwrap();
    let changed = text.replace(
        &format!("\"name\": \"{user}\""),
        &format!("\"name\": \"not-{user}\""),
    );
    assert_ne!(text, changed);
    changed
}

pub const PLAIN: &str = "\"interface\": \"tcp://127.0.0.1:0\"";

pub fn mqtt(port: u16, topic: &str) -> String {
    format!(
        "{{\"host\": \"127.0.0.1\", \"port\": {port}, \"reconnect\": {{\"delay\": 1}}, \
          \"publish\": [{{\"topic\": \"{topic}\", \"qos\": 1, \"format\": \"string\"}}]}}"
    )
}

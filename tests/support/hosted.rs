//! A driver whose host is the test, and links that lead to it.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid};

use super::client::Client;
use super::dialogue;
use super::tools::{PATIENCE, wait_until};

/// A driver whose host is the test.
pub struct Server {
    pub driver: Driver,
    pub place: TempDir,
}

impl Server {
    /// `number` makes its GUID; `members` are more of the configuration.
    pub fn start(number: u8, members: &str) -> Self {
        Self::at("127.0.0.1:0", number, members)
    }

    pub fn at(interface: &str, number: u8, members: &str) -> Self {
        let place = TempDir::new().unwrap();
        let log = place.path().join("log");
        let users = dialogue::users();
        let config = format!(
            "{{\"interface\": \"{interface}\", \"abi\": \"v2\", \"path-users\": {users:?}, {members} \
              \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\"}}}}"
        );
        let guid = guid(number);
        let opened = Driver::open(Source { config, guid });
        let driver = opened.unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
        Self { driver, place }
    }

    pub fn address(&self) -> SocketAddr {
        self.driver.addresses()[0]
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// The host has an event for clients.
    pub fn write(&self, line: &str) {
        self.driver.write(event(line));
    }

    /// The data of what the host gets next.
    pub fn data(&self) -> Vec<u8> {
        self.driver.read(PATIENCE).unwrap().data.to_vec()
    }

    /// What the host gets within a while; nothing, if all goes well.
    pub fn anything(&self, patience: Duration) -> Option<Event> {
        self.driver.read(patience).ok()
    }

    /// The line of TEST that begins so.
    pub fn status(&self, what: &str) -> String {
        let lines = Client::log_in(self.address()).ask("test");
        let found = lines.iter().find(|line| line.starts_with(what));
        found.unwrap_or_else(|| panic!("{lines:?}")).clone()
    }

    /// Clients that are here, this one counted.
    pub fn channels(&self) -> usize {
        let mut client = Client::log_in(self.address());
        let list = client.must("interface list");
        list.iter()
            .filter(|row| row.contains("client 127.0.0.1"))
            .count()
    }
}

pub fn guid(number: u8) -> Guid {
    let text = format!("FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:{number:02X}:00:00:00:00");
    text.parse().unwrap()
}

pub fn event(line: &str) -> Event {
    let defaults = Defaults {
        now: 1_700_000_000_000_000_000,
        obid: 0,
        guid: Guid::ZERO,
    };
    parse(line, &defaults).unwrap()
}

/// A link to an address, with more members.
pub fn link(address: SocketAddr, members: &str) -> String {
    format!(
        "\"links\": [{{\"name\": \"far\", \"host\": \"{}\", \"port\": {}, \"user\": \"admin\", \
          \"password\": \"secret\", \"reconnect\": {{\"delay\": 1, \"delay-max\": 1}} {members}}}],",
        address.ip(),
        address.port()
    )
}

pub fn is_up(server: &Server) {
    wait_until("the link is up", || {
        let log = server.log();
        log.contains("connected to send") && log.contains("connected to receive")
    });
}

/// So long nothing comes that is not to come.
pub const QUIET: Duration = Duration::from_millis(300);

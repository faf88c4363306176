//! Drivers that have links and a broker each, and what subscribers of these brokers see.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};

use super::bench::{number, persist};
use super::client::Client;
use super::dialogue;
use super::mosquitto::{Mosquitto, Subscriber};
use super::tools::wait_until;

/// A driver with a broker.
pub struct Server {
    driver: Option<Driver>,
    pub place: TempDir,
    /// Where it is this one's alone.
    pub broker: Option<Mosquitto>,
    number: u8,
    pub config: String,
}

impl Server {
    /// `number` makes its GUID; `links` are its links, each by name, port and more members.
    pub fn start(number: u8, broker: u16, links: &[(&str, u16, &str)], members: &str) -> Self {
        Self::with("127.0.0.1", number, broker, links, members)
    }

    /// The same with links to another host.
    pub fn start_to(host: &str, number: u8, broker: u16, links: &[(&str, u16, &str)]) -> Self {
        Self::with(host, number, broker, links, "")
    }

    fn with(
        host: &str,
        number: u8,
        broker: u16,
        links: &[(&str, u16, &str)],
        members: &str,
    ) -> Self {
        let place = TempDir::new().unwrap();
        let one = |(name, port, more): &(&str, u16, &str)| {
            let user = match more.contains("\"user\"") {
                true => "",
                false => "\"user\": \"admin\",",
            };
            format!(
                "{{\"name\": \"{name}\", \"host\": \"{host}\", \"port\": {port}, \
                   {user} \"password\": \"secret\", \"max-out-queue\": 1000000, \
                   \"reconnect\": {{\"delay\": 1, \"delay-max\": 1}} {more}}}"
            )
        };
        let links: Vec<String> = links.iter().map(one).collect();
        let config = format!(
            "{{\"interface\": \"INTERFACE\", \"abi\": \"v2\", \"path-users\": {:?}, \
               \"max-out-queue\": 1000000, \"links\": [{}], {members} \
               \"mqtt\": {{\"host\": \"127.0.0.1\", \"port\": {broker}, \
                 \"reconnect\": {{\"delay\": 1}}, \
                 \"publish\": [{{\"topic\": \"ev\", \"qos\": 1, \"format\": \"string\"}}], \
                 \"subscribe\": [{{\"topic\": \"ev\", \"qos\": 1}}]}}, \
               \"logging\": {{\"file-path\": {:?}, \"file-pattern\": \"%l %v\"}}}}",
            dialogue::users(),
            links.join(", "),
            place.path().join("log"),
        );
        let config = config.replace("PLACE", &place.path().display().to_string());
        let mut server = Self {
            driver: None,
            place,
            broker: None,
            number,
            config,
        };
        server.open("127.0.0.1:0");
        server
    }

    pub fn open(&mut self, interface: &str) {
        self.open_only(interface);
        self.is_reached();
    }

    /// It need not be that anybody can log in.
    pub fn open_only(&mut self, interface: &str) {
        let source = Source {
            config: self.config.replace("INTERFACE", interface),
            guid: format!(
                "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:{:02X}:00:00:00:00",
                self.number
            )
            .parse()
            .unwrap(),
        };
        self.driver = Driver::open(source);
        assert!(self.driver.is_some(), "{}", self.log());
    }

    /// The broker is there.
    pub fn is_reached(&self) {
        wait_until("the broker is there", || {
            let mut client = Client::log_in(self.address());
            let uplink = client.ask("test");
            uplink
                .iter()
                .any(|line| line.contains("uplink 127") && line.contains("passed"))
        });
    }

    pub fn close(&mut self) {
        self.driver.take().unwrap().close();
    }

    /// Where its clients come to. While it starts again there is nothing for a moment.
    pub fn address(&self) -> SocketAddr {
        let addresses = || self.driver.as_ref().unwrap().addresses();
        wait_until("it listens", || !addresses().is_empty());
        addresses()[0]
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// All its links go in both directions.
    pub fn is_linked(&self) {
        wait_until("the links are up", || {
            let lines = Client::log_in(self.address()).ask("test");
            let links = lines.iter().filter(|line| line.starts_with("link "));
            links.clone().count() > 0 && links.clone().all(|line| line.contains("passed"))
        });
    }

    /// How often a link has been left for this reason.
    pub fn left(&self, why: &str) -> usize {
        let log = self.log();
        log.lines()
            .filter(|line| line.contains(why) && line.contains("next attempt"))
            .count()
    }

    /// Events that the link of this name has sent.
    pub fn sent(&self, link: &str) -> usize {
        let status = self.status();
        let line = status
            .lines()
            .find(|line| line.starts_with(&format!("link {link}:")));
        let line = line.unwrap_or_else(|| panic!("{status}"));
        let (before, _) = line.split_once(" sent").unwrap_or_else(|| panic!("{line}"));
        before.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn status(&self) -> String {
        Client::log_in(self.address()).ask("test").join("\n")
    }
}

/// How often each number of each driver's clients came.
#[derive(Default)]
pub struct Seen(HashMap<(String, usize), usize>);

impl Seen {
    /// Takes messages until so many different ones have come, and none comes any more.
    pub fn collect(&mut self, subscriber: &Subscriber, different: usize) {
        loop {
            let patience = match self.0.len() < different {
                true => Duration::from_secs(60),
                false => Duration::from_millis(1500),
            };
            let Some((_, payload)) = subscriber.message_within(patience) else {
                break;
            };
            self.note(&payload);
        }
        assert_eq!(self.0.len(), different, "{}", self.gaps());
    }

    /// What is missing of each driver, up to its last one.
    pub fn gaps(&self) -> String {
        let mut numbers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (driver, number) in self.0.keys() {
            numbers.entry(driver).or_default().push(*number);
        }
        let gaps = numbers.iter_mut().map(|(driver, numbers)| {
            numbers.sort_unstable();
            let pairs = numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1);
            let gaps: Vec<_> = pairs.map(|pair| pair[0] + 1..pair[1]).take(10).collect();
            let last = numbers.last();
            format!(
                "{driver}: {} events to {last:?}, missing {gaps:?}",
                numbers.len()
            )
        });
        gaps.collect::<Vec<_>>().join("; ")
    }

    /// One message: an event, of a driver that its GUID tells.
    pub fn note(&mut self, payload: &str) {
        let guid = payload
            .split(',')
            .nth(6)
            .unwrap_or_else(|| panic!("{payload}"));
        let driver: Vec<&str> = guid.split(':').take(11 + 1).collect();
        *self
            .0
            .entry((driver.join(":"), number(payload)))
            .or_default() += 1;
    }

    /// Different events that have come.
    pub fn different(&self) -> usize {
        self.0.len()
    }

    pub fn each_once(&self) {
        let twice: Vec<_> = self.0.iter().filter(|(_, count)| **count > 1).collect();
        assert!(
            twice.is_empty(),
            "{} came twice: {:?}",
            twice.len(),
            twice.first()
        );
    }
}

/// A client sends so many numbered events.
pub fn send(server: &Server, count: usize) -> thread::JoinHandle<()> {
    let address = server.address();
    thread::spawn(move || assert_eq!(persist(address, 0..count, |_| ()), None))
}

//! The dialogues over TCP, against an open driver.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::event::text::{Defaults, TextForm, parse, write};

mod support;

use support::dialogue::{self, Action, Dialogue};

const GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";
const PATIENCE: Duration = Duration::from_secs(20);

fn play(dialogue: &Dialogue) {
    let config = dialogue::config(dialogue, "tcp://127.0.0.1:0");
    let driver = Driver::open(Source {
        config,
        guid: GUID.parse().unwrap(),
    });
    let driver = driver.unwrap_or_else(|| panic!("{}: the driver opens", dialogue.name));
    let stream = TcpStream::connect(driver.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    for step in &dialogue.steps {
        let place = format!("{}:{}", dialogue.name, step.line);
        let mut read = || {
            let mut line = Vec::new();
            lines
                .read_until(b'\n', &mut line)
                .unwrap_or_else(|e| panic!("{place}: {e}"));
            String::from_utf8(line).unwrap()
        };
        match &step.action {
            Action::Send(bytes) => stream.write_all(bytes).expect(&place),
            Action::Expect(pattern) => {
                let mut line = read();
                // In real time the line may prove to be alive at any moment.
                while line == "+OK\r\n" && !pattern.matches("+OK") {
                    line = read();
                }
                let text = line.strip_suffix("\r\n").unwrap_or("(no CR LF)");
                assert!(
                    pattern.matches(text),
                    "{place}: {line:?} is not {pattern:.60}"
                );
            }
            Action::ExpectEnd => assert_eq!(read(), "", "{place}"),
            Action::HostWrites(line) => {
                let defaults = Defaults {
                    now: 1,
                    obid: 0,
                    guid: Guid::ZERO,
                };
                driver.write(parse(line, &defaults).expect(&place));
            }
            Action::HostReads(pattern) => {
                let event = driver.read(PATIENCE);
                let event = event.unwrap_or_else(|e| panic!("{place}: no event: {e:?}"));
                let mut line = Vec::new();
                write(&event, TextForm::Legacy, &mut line);
                let line = String::from_utf8(line).unwrap();
                assert!(pattern.matches(&line), "{place}: {line} is not {pattern}");
            }
        }
    }
    driver.close();
}

#[test]
fn dialogues_over_tcp() {
    for dialogue in dialogue::all() {
        play(&dialogue);
    }
}

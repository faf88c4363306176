//! What one event costs in each part of its way: codecs, filter, line and dialogue, topic, hub. Run
//! it with `cargo bench --bench parts`, `cargo bench --bench parts json` for some of it. What is
//! shown is the time for one event, except where the hub has several clients: there it is for all.

#![allow(clippy::unwrap_used)] // a program for developers

use std::sync::Arc;

use divan::{Bencher, black_box};
use vscpl2drv_link::auth::{AllowedEvents, Privilege, Remotes, Rights, Service, User};
use vscpl2drv_link::event::json::Generation;
use vscpl2drv_link::event::text::{Defaults, TextForm};
use vscpl2drv_link::event::{Event, Filter, FilterPair, Guid, frame, json, text, xml};
use vscpl2drv_link::hub::{
    Channel, Client, Downlink, Hub, Kind, Routing, SharedEvent, Uplink, UplinkStatus,
};
use vscpl2drv_link::wire::line::LineReader;
use vscpl2drv_link::wire::link::{Identity, Session};
use vscpl2drv_link::wire::payload::{self, ReadFormat, Style, WriteFormat};
use vscpl2drv_link::wire::topic::{Scope, Settings, Template};

fn main() {
    divan::main();
}

const NOW: u64 = 1_793_620_801_000_000_000;
/// A temperature, as a client sends it.
const LINE: &str = "0,10,6,3,2001-11-02T18:00:01Z,817923,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01,0x89,0x82,0xFE,0xFE";
/// Data that is as long as it may be.
const LONGEST: usize = 512;

fn guid() -> Guid {
    "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:00"
        .parse()
        .unwrap()
}

fn defaults() -> Defaults {
    Defaults {
        now: NOW,
        obid: 1,
        guid: guid(),
    }
}

fn event() -> Event {
    text::parse(LINE, &defaults()).unwrap()
}

/// The same with so many bytes of data.
fn event_of(bytes: usize) -> Event {
    let (short, _) = LINE.split_at(LINE.find(",0x89").unwrap());
    let data: String = (0..bytes).map(|n| format!(",{}", n % 256)).collect();
    text::parse(&format!("{short}{data}"), &defaults()).unwrap()
}

mod codecs {
    use super::*;

    fn writes(bencher: Bencher<'_, '_>, bytes: usize, write: impl Fn(&Event, &mut Vec<u8>) + Sync) {
        let (event, mut out) = (event_of(bytes), Vec::with_capacity(8192));
        bencher.bench_local(|| {
            out.clear();
            write(black_box(&event), &mut out);
            out.len()
        });
    }

    fn written(bytes: usize, write: impl Fn(&Event, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&event_of(bytes), &mut out);
        out
    }

    #[divan::bench(args = [4, LONGEST])]
    fn text_read(bencher: Bencher<'_, '_>, bytes: usize) {
        let line = written(bytes, |event, out| {
            text::write(event, TextForm::Legacy, out)
        });
        let line = String::from_utf8(line).unwrap();
        bencher.bench(|| text::parse(black_box(&line), &defaults()).unwrap());
    }

    #[divan::bench(args = [4, LONGEST])]
    fn text_write(bencher: Bencher<'_, '_>, bytes: usize) {
        writes(bencher, bytes, |event, out| {
            text::write(event, TextForm::Legacy, out)
        });
    }

    #[divan::bench(args = [4, LONGEST])]
    fn json_read(bencher: Bencher<'_, '_>, bytes: usize) {
        let text = written(bytes, |event, out| json::write(event, Generation::V2, out));
        bencher.bench(|| json::read(black_box(&text), &defaults()).unwrap());
    }

    #[divan::bench(args = [4, LONGEST])]
    fn json_write(bencher: Bencher<'_, '_>, bytes: usize) {
        writes(bencher, bytes, |event, out| {
            json::write(event, Generation::V2, out)
        });
    }

    #[divan::bench(args = [4, LONGEST])]
    fn xml_read(bencher: Bencher<'_, '_>, bytes: usize) {
        let text = written(bytes, |event, out| xml::write(event, Generation::V2, out));
        let text = String::from_utf8(text).unwrap();
        bencher.bench(|| xml::read(black_box(&text), &defaults()).unwrap());
    }

    #[divan::bench(args = [4, LONGEST])]
    fn xml_write(bencher: Bencher<'_, '_>, bytes: usize) {
        writes(bencher, bytes, |event, out| {
            xml::write(event, Generation::V2, out)
        });
    }

    #[divan::bench(args = [4, LONGEST])]
    fn frame_read(bencher: Bencher<'_, '_>, bytes: usize) {
        let frame = written(bytes, |event, out| frame::write(event, Generation::V2, out));
        bencher.bench(|| frame::read(black_box(&frame), &defaults()).unwrap());
    }

    #[divan::bench(args = [4, LONGEST])]
    fn frame_write(bencher: Bencher<'_, '_>, bytes: usize) {
        writes(bencher, bytes, |event, out| {
            frame::write(event, Generation::V2, out)
        });
    }

    #[divan::bench(args = [WriteFormat::Json, WriteFormat::Xml, WriteFormat::Text, WriteFormat::Binary])]
    fn payload_detected(bencher: Bencher<'_, '_>, format: WriteFormat) {
        let payload = written(4, |event, out| {
            payload::write(event, format, Style::default(), out)
        });
        bencher
            .bench(|| payload::read(black_box(&payload), ReadFormat::Auto, &defaults()).unwrap());
    }
}

mod link {
    use super::*;

    /// From the bytes of a line to an event: what each SEND costs before the hub.
    #[divan::bench]
    fn send(bencher: Bencher<'_, '_>) {
        let mut session = Session::new(Arc::default(), false);
        session.log_in(Identity {
            user: user(),
            channel: 1,
            guid: guid(),
        });
        let line = format!("SEND {LINE}\r\n");
        let (mut lines, mut out) = (LineReader::default(), Vec::new());
        bencher.bench_local(|| {
            lines.push(black_box(line.as_bytes()));
            let line = lines.next_line(session.line_cap()).unwrap();
            session.handle(line, NOW, &mut out).unwrap()
        });
    }

    #[divan::bench]
    fn filter(bencher: Bencher<'_, '_>) {
        let pair = FilterPair {
            filter: "0,10,6,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:00"
                .parse()
                .unwrap(),
            mask: "0,0xffff,0xffff,FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:00:00"
                .parse()
                .unwrap(),
        };
        let event = event();
        assert!(pair.passes(&event));
        bencher.bench(|| black_box(&pair).passes(black_box(&event)));
    }

    #[divan::bench]
    fn filter_read(bencher: Bencher<'_, '_>) {
        let text = "0,10,6,FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:00";
        bencher.bench(|| black_box(text).parse::<Filter>().unwrap());
    }
}

#[divan::bench(args = [
    "vscp/{{guid}}/{{class}}/{{type}}",
    "vscp/{{guid}}/{{class}}/{{type}}/{{nickname}}",
    "house/{{class-token}}/{{type-token}}/{{sensor-index}}/{{year}}",
])]
fn topic(bencher: Bencher<'_, '_>, template: &str) {
    let settings = Settings {
        driver_guid: guid(),
        server_guid: guid(),
        client_id: String::new(),
        user: String::new(),
        host: String::new(),
        port: 1883,
        driver_name: String::new(),
        rnd: String::new(),
        escapes: Default::default(),
        as_daemon: false,
        style: Style::default(),
    };
    let template = Template::for_publishing(template, &settings).unwrap();
    let (event, mut out) = (event(), String::new());
    bencher.bench_local(|| {
        out.clear();
        let scope = Scope {
            settings: &settings,
            event: Some(black_box(&event)),
            format: Some(WriteFormat::Json),
        };
        template.render(&scope, &mut out);
        out.len()
    });
}

fn user() -> Arc<User> {
    Arc::new(User {
        name: "somebody".to_owned(),
        credential: "2d1e4f91dae49cd08eaba2293e422273".parse().unwrap(),
        full_name: String::new(),
        note: String::new(),
        rights: Rights::ADMIN,
        privilege: Privilege::HIGHEST,
        remotes: Remotes::default(),
        max_sessions: None,
        allowed: AllowedEvents::default(),
        filter: FilterPair::default(),
    })
}

mod hub {
    use super::*;

    /// One that has everything at once.
    #[derive(Debug)]
    struct Taker;

    impl Uplink for Taker {
        fn name(&self) -> &str {
            "taker"
        }

        fn reserve(&self, _: &SharedEvent) -> bool {
            true
        }

        fn commit(&self, event: Arc<SharedEvent>) {
            black_box(event);
        }

        fn release(&self, _: &SharedEvent) {}

        fn status(&self) -> UplinkStatus {
            UplinkStatus::default()
        }
    }

    fn with(clients: usize) -> (Arc<Hub>, Vec<Arc<Channel>>) {
        let routing = Routing {
            max_out_queue: 10_000_000,
            max_websocket_queue: 10_000_000,
            receive_sent_events: true,
            interconnect: false,
            filter_in: FilterPair::default(),
            filter_out: FilterPair::default(),
        };
        let hub = Hub::new(guid(), routing);
        hub.add_uplink(Arc::new(Taker));
        let one = |_| {
            let client = Client {
                user: user(),
                kind: Kind::Client(Service::Link),
                peer: "127.0.0.1:1".to_owned(),
                now: NOW,
            };
            hub.attach(client).unwrap()
        };
        let channels = (0..clients).map(one).collect();
        (hub, channels)
    }

    /// From a client to an uplink.
    #[divan::bench]
    fn up(bencher: Bencher<'_, '_>) {
        let (hub, channels) = with(1);
        bencher
            .with_inputs(event)
            .bench_local_values(|event| hub.submit(&channels[0], event).unwrap());
    }

    /// From an uplink to so many clients, who take it and have it as text.
    #[divan::bench(args = [1, 10, 100, 1000])]
    fn down(bencher: Bencher<'_, '_>, clients: usize) {
        let (hub, channels) = with(clients);
        let mut taken = Vec::new();
        bencher.with_inputs(event).bench_local_values(|event| {
            hub.deliver(event);
            for channel in &channels {
                channel.queue().take(1, &mut taken);
                black_box(taken[0].line(TextForm::Legacy));
                taken.clear();
            }
        });
    }
}

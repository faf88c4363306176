//! `vscp-link status`: how a running driver is, as a table that lives.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::address::Page;
use crate::args::StatusArgs;
use crate::failure::{Failure, chain, printable};
use crate::links::{cell, links};
use crate::stream::{Stream, is_late};
use crate::table::render;

/// How often the table is new.
const EVERY: Duration = Duration::from_secs(1);
/// Bytes of an answer.
const MOST: u64 = 8 * 1024 * 1024;

/// A document, and when it came.
struct Seen {
    document: Value,
    at: Instant,
}

/// Shows the document once, or as long as somebody looks.
pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let patience = Duration::from_secs(args.timeout);
    let fetch = || {
        let document = fetch(&args.address, patience)?;
        let at = Instant::now();
        Ok::<_, Failure>(Seen { document, at })
    };
    let mut now = fetch()?;
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", now.document).map_err(Failure::Output);
    }
    if args.once || !out.is_terminal() {
        let text = table(&now, None);
        return out.write_all(text.as_bytes()).map_err(Failure::Output);
    }
    let (mut before, mut trouble) = (None, None);
    loop {
        let text = table(&now, before.as_ref());
        out.write_all(screen(&text, trouble.as_deref()).as_bytes())
            .and_then(|()| out.flush())
            .map_err(Failure::Output)?;
        std::thread::sleep(EVERY);
        match fetch() {
            Ok(seen) => {
                before = Some(std::mem::replace(&mut now, seen));
                trouble = None;
            }
            // It may come back.
            Err(error) => trouble = Some(chain(&error)),
        }
    }
}

/// Over what the terminal shows, from its upper left corner.
fn screen(text: &str, trouble: Option<&str>) -> String {
    let trouble = trouble.map(|why| format!("\n{}; trying again\n", printable(why)));
    let text = format!("{text}{}", trouble.unwrap_or_default());
    // What stood there before goes line by line, so that nothing flickers.
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

/// Asks for the document.
fn fetch(page: &Page, patience: Duration) -> Result<Value, Failure> {
    let address = &page.0;
    let mut stream = Stream::open(address, None, patience)?;
    stream.until(Instant::now() + patience);
    let failed = |error: io::Error| match is_late(&error) {
        true => Failure::problem(format!("{address} does not answer")),
        false => Failure::Io(format!("{address} does not answer"), error),
    };
    // The older version: no proxy answers it in pieces, and the end is the end.
    let request = format!("GET /status.json HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
    read(&bytes).map_err(|why| Failure::problem(format!("{address} {why}")))
}

/// What an answer says.
fn read(bytes: &[u8]) -> Result<Value, String> {
    const STRANGE: &str = "does not show the status of a driver";
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(STRANGE)?;
    let first = head.lines().next().unwrap_or_default();
    let status = first.split_once(' ');
    let status = status.filter(|(version, _)| version.starts_with("HTTP/1."));
    let (_, status) = status.ok_or(STRANGE)?;
    if !status.starts_with("200") {
        let why = body.lines().next().unwrap_or_default();
        return Err(printable(&format!("answers {status}: {why}")));
    }
    match serde_json::from_str::<Value>(body) {
        Ok(document) if document["state"].is_string() => Ok(document),
        _ => Err(STRANGE.to_owned()),
    }
}

/// All of it; with what there was before, how much it is each second too.
fn table(now: &Seen, before: Option<&Seen>) -> String {
    let document = &now.document;
    let word = |name: &str| cell(&document[name]);
    let since = document["uptime"].as_u64().unwrap_or(0);
    let first = format!(
        "{} {} {}, up {}",
        word("guid"),
        word("state"),
        word("version"),
        span(since)
    );
    let mut parts = vec![format!("{}\n", printable(&first))];
    let rates = before.map(|before| Rates {
        before: &before.document,
        seconds: now.at.duration_since(before.at).as_secs_f64(),
    });
    parts.push(kinds(document, rates.as_ref()));
    parts.push(uplinks(document, rates.as_ref()));
    parts.push(links(document));
    let events = &document["events"];
    let drops = ["refused", "filtered", "dropped", "malformed", "suppressed"];
    let drops = drops.map(|name| format!("{name} {}", cell(&events[name])));
    parts.push(format!("{}\n", printable(&drops.join(", "))));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What there was before, and how long ago.
struct Rates<'a> {
    before: &'a Value,
    seconds: f64,
}

impl Rates<'_> {
    /// How much more there is each second; a new start begins at 0.
    fn of(&self, now: &Value, before: &Value) -> String {
        let count = |value: &Value| value.as_f64().unwrap_or(0.0);
        let more = (count(now) - count(before)).max(0.0);
        format!("{:.0}", more / self.seconds.max(0.001))
    }
}

fn kinds(document: &Value, rates: Option<&Rates<'_>>) -> String {
    const NAMES: [&str; 4] = ["link", "websocket", "outgoing", "standing"];
    let titles = ["CLIENTS", "NOW", "WAITING", "FROM", "TO", "FROM/s", "TO/s"];
    let mut rows = vec![titles.map(str::to_owned)];
    for name in NAMES {
        let kind = &document["kinds"][name];
        let idle = ["clients", "received", "sent"]
            .iter()
            .all(|member| kind[*member] == 0);
        // Most drivers have none of the others.
        if name != "link" && (idle || kind.is_null()) {
            continue;
        }
        let of = |member: &str| cell(&kind[member]);
        let rate = |member: &str| {
            rates.map(|rates| rates.of(&kind[member], &rates.before["kinds"][name][member]))
        };
        rows.push([
            name.to_owned(),
            of("clients"),
            of("waiting"),
            of("received"),
            of("sent"),
            rate("received").unwrap_or_default(),
            rate("sent").unwrap_or_default(),
        ]);
    }
    match rates {
        Some(_) => render(&rows),
        None => render(
            &rows
                .into_iter()
                .map(|[a, b, c, d, e, ..]| [a, b, c, d, e])
                .collect::<Vec<_>>(),
        ),
    }
}

fn uplinks(document: &Value, rates: Option<&Rates<'_>>) -> String {
    const MEMBERS: [&str; 8] = [
        "name",
        "up",
        "waiting",
        "delivered",
        "received",
        "refused",
        "rejected",
        "reconnects",
    ];
    let all = document["uplinks"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return String::new();
    }
    let titles = [
        "UPLINK",
        "UP",
        "WAITING",
        "TO",
        "FROM",
        "REFUSED",
        "REJECTED",
        "RECONNECTS",
        "TO/s",
        "FROM/s",
        "TROUBLE",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    for uplink in all {
        let before = rates.and_then(|rates| {
            let before = rates.before["uplinks"].as_array()?;
            before.iter().find(|known| known["name"] == uplink["name"])
        });
        let rate = |member: &str| {
            let (rates, before) = (rates?, before?);
            Some(rates.of(&uplink[member], &before[member]))
        };
        let [name, up, waiting, to, from, refused, rejected, reconnects] =
            MEMBERS.map(|member| cell(&uplink[member]));
        rows.push([
            name,
            up,
            waiting,
            to,
            from,
            refused,
            rejected,
            reconnects,
            rate("delivered").unwrap_or_default(),
            rate("received").unwrap_or_default(),
            cell(&uplink["trouble"]),
        ]);
    }
    match rates {
        Some(_) => render(&rows),
        None => render(
            &rows
                .into_iter()
                .map(|[a, b, c, d, e, f, g, h, _, _, i]| [a, b, c, d, e, f, g, h, i])
                .collect::<Vec<_>>(),
        ),
    }
}

/// A time as people say it.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(sent: u64, seconds: u64, start: Instant) -> Seen {
        let kind =
            |clients: u64| json!({"clients": clients, "waiting": 2, "received": sent, "sent": 0});
        let document = json!({
            "state": "online", "version": "1.2.3", "guid": "FF:01", "uptime": 3_725,
            "kinds": {"link": kind(3), "websocket": {"clients": 0, "waiting": 0, "received": 0, "sent": 0}},
            "uplinks": [{"name": "broker:1883", "up": true, "waiting": 0, "delivered": sent,
                "received": 7, "refused": 0, "rejected": 1, "reconnects": 2, "trouble": "a\u{1b}b"}],
            "events": {"refused": 0, "filtered": 1, "dropped": 2, "malformed": 3, "suppressed": 4},
        });
        let at = start + Duration::from_secs(seconds);
        Seen { document, at }
    }

    #[test]
    fn one_look() {
        let text = table(&seen(10, 0, Instant::now()), None);
        assert_eq!(
            text,
            "FF:01 online 1.2.3, up 1 h 2 min\n\
             \n\
             CLIENTS  NOW  WAITING  FROM  TO\n\
             link     3    2        10    0\n\
             \n\
             UPLINK       UP   WAITING  TO  FROM  REFUSED  REJECTED  RECONNECTS  TROUBLE\n\
             broker:1883  yes  0        10  7     0        1           2           a\\u{1b}b\n\
             \n\
             refused 0, filtered 1, dropped 2, malformed 3, suppressed 4\n"
                .replace("1           2           a", "1         2           a")
        );
    }

    #[test]
    fn the_second_look_tells_how_fast_it_goes() {
        let start = Instant::now();
        let text = table(&seen(1010, 2, start), Some(&seen(10, 0, start)));
        let row = |begin: &str| {
            let line = text.lines().find(|line| line.starts_with(begin)).unwrap();
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(row("link"), ["link", "3", "2", "1010", "0", "500", "0"]);
        assert_eq!(row("broker")[8..10], ["500", "0"]);
        // After a new start nothing goes backwards.
        let text = table(&seen(0, 2, start), Some(&seen(10, 0, start)));
        assert!(!text.contains('-'), "{text}");
    }

    #[test]
    fn a_screen_is_written_over_the_one_before() {
        assert_eq!(screen("a\nb\n", None), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        let lost = screen("a\n", Some("gone\u{7}"));
        assert_eq!(
            lost,
            "\x1b[Ha\x1b[K\n\x1b[K\ngone\\u{7}; trying again\x1b[K\n\x1b[J"
        );
    }

    #[test]
    fn answers() {
        let good = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n{\"state\": \"online\"}\n";
        assert_eq!(read(good).unwrap()["state"], "online");
        for (answer, why) in [
            (
                &b"HTTP/1.1 403 Forbidden\r\n\r\nnot you\nx"[..],
                "answers 403 Forbidden: not you",
            ),
            (
                b"HTTP/1.1 404 N\x1b[2J\r\n\r\n",
                "answers 404 N\\u{1b}[2J: ",
            ),
            (b"HTTP/1.1 200 OK\r\n\r\n{}", "does not show"),
            (b"HTTP/1.1 200 OK\r\n\r\n{\"state\": \"on", "does not show"),
            (b"HTTP/1.1 200 OK", "does not show"),
            (b"HTTP/1.", "does not show"),
            ("HTTP/1.ü\r\n\r\n".as_bytes(), "does not show"),
            (b"+OK - Success.\r\n", "does not show"),
            (b"", "does not show"),
        ] {
            let found = read(answer).unwrap_err();
            assert!(found.starts_with(why), "{found}");
        }
    }

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h 0 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}

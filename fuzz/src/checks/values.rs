use vscpl2drv_link::event::time::parse_date;
use vscpl2drv_link::event::{Data, Event, EventTime, Filter, FilterPair, Guid, Head};

/// GUIDs: what is read is printed and read again to the same, in braces too, and as a UUID.
pub fn guid(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(guid) = text.parse::<Guid>() else {
        return;
    };
    let printed = guid.to_string();
    assert_eq!(printed.len(), 47);
    let digits = printed.replace(':', "");
    let uuid = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-");
    for again in [
        printed.clone(),
        format!("{{ {printed} }}"),
        printed.to_lowercase(),
        uuid,
    ] {
        assert_eq!(again.parse(), Ok(guid), "{again}");
    }
    assert!(guid.same_interface(&guid));
    let channel = guid.channel(guid.nickname());
    assert_eq!(channel.nickname(), 0);
    assert_eq!(channel.bytes()[12..14], guid.bytes()[14..]);
}

/// Dates: what is read is a day of the years 1 to 9999, and is printed and read again to the same.
/// The first eight bytes are nanoseconds since 1970 too.
pub fn date(bytes: &[u8]) {
    if let Some(nanos) = bytes.first_chunk() {
        moment(u64::from_be_bytes(*nanos));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok((seconds, fraction)) = parse_date(text) else {
        return;
    };
    let nanos = fraction.unwrap_or(0);
    assert!(nanos < 1_000_000_000);
    let time = EventTime::Classic {
        seconds,
        micros: nanos / 1000,
    };
    let at = time.fields();
    assert_eq!(at.seconds(), Some(seconds), "a date of no day");
    let printed = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{nanos:09}Z",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    );
    assert_eq!(parse_date(&printed), Ok((seconds, Some(nanos))));
}

fn moment(nanos: u64) {
    let (unix, classic) = (EventTime::Unix { nanos }, EventTime::classic(nanos));
    assert_eq!(unix.seconds(), classic.seconds());
    assert_eq!(unix.micros(), classic.micros());
    assert_eq!(unix.fields(), classic.fields());
    assert_eq!(classic.nanos(), nanos - nanos % 1000);
    assert_eq!(unix.fields().seconds(), Some(unix.seconds()));
}

/// Filters: what is read is printed and read again to the same; a filter and a mask let pass what
/// equals the filter where the mask has bits, bit by bit. A line each.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (filter, mask) = text.split_once('\n').unwrap_or((text, "7,0xffff,0,::"));
    let (filter, mask) = (again(filter), again(mask));
    let (Some(filter), Some(mask)) = (filter, mask) else {
        return;
    };
    let pair = FilterPair { filter, mask };
    let event = of(&filter);
    assert!(pair.passes(&event));
    assert!(FilterPair::default().passes(&event));
    for bit in 0..3 {
        let other = Filter {
            priority: filter.priority ^ 1 << bit,
            ..filter
        };
        assert_eq!(pair.passes(&of(&other)), mask.priority >> bit & 1 == 0);
    }
    for bit in 0..16 {
        let class = Filter {
            class: filter.class ^ 1 << bit,
            ..filter
        };
        assert_eq!(pair.passes(&of(&class)), mask.class >> bit & 1 == 0);
        let vscp_type = Filter {
            vscp_type: filter.vscp_type ^ 1 << bit,
            ..filter
        };
        assert_eq!(pair.passes(&of(&vscp_type)), mask.vscp_type >> bit & 1 == 0);
        let mut guid = *filter.guid.bytes();
        guid[bit] ^= 0x80;
        let guid = Filter {
            guid: Guid::from(guid),
            ..filter
        };
        assert_eq!(pair.passes(&of(&guid)), mask.guid.bytes()[bit] & 0x80 == 0);
    }
}

fn again(text: &str) -> Option<Filter> {
    let filter = text.parse::<Filter>();
    if let Ok(whole) = Filter::whole(text) {
        assert_eq!(filter, Ok(whole), "all fields are read as some are");
    }
    let filter = filter.ok()?;
    assert!(filter.priority <= 7);
    let printed = format!(
        "{},0x{:x},{},{}",
        filter.priority, filter.class, filter.vscp_type, filter.guid
    );
    assert_eq!(Filter::whole(&printed), Ok(filter), "{printed}");
    Some(filter)
}

/// The event that a filter describes.
fn of(filter: &Filter) -> Event {
    Event {
        head: Head::new(0).with_priority(filter.priority),
        class: filter.class,
        vscp_type: filter.vscp_type,
        obid: 0,
        guid: filter.guid,
        time: EventTime::Unix { nanos: 1 },
        data: Data::default(),
    }
}

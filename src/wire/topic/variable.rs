//! The variables of topic templates.
//!
//! | name | value |
//! |---|---|
//! | `guid`, `srvguid`, `ifguid` | GUID of the event, the daemon, the driver; `guid[0]` to `[15]`, `.msb`, `.lsb` are single bytes; with `x` before the name in hexadecimal |
//! | `class`, `type`, `head`, `obid`, `timestamp`, `nickname` = `nodeid`, `sizedata` | numbers; with `x` in hexadecimal |
//! | `class-token`, `type-token` | names |
//! | `datetime`, `year` … `second` | the time, UTC; `local-…` are the same |
//! | `data[n]`, `xdata[n]` | a data byte, empty where there is none |
//! | `index` = `sensor-index`, `zone`, `subzone` | as the class defines them |
//! | `is-measurement`, `measurement-value` … `-subzone` | for measurements |
//! | `clientid`, `user`, `host`, `port`, `fmtpublish` | of the connection |
//! | `driver-name`, `driver-level`, `rnd` | of the driver |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::daemon;
use crate::catalog;
use crate::event::{Event, Guid};
use crate::wire::payload::{Style, WriteFormat, name as format_name};

/// What templates may name, and the values that are the same for every event.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The driver's GUID.
    pub driver_guid: Guid,
    /// The daemon's GUID.
    pub server_guid: Guid,
    /// MQTT client id.
    pub client_id: String,
    /// MQTT user.
    pub user: String,
    /// The broker's host.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// The driver's name in the daemon.
    pub driver_name: String,
    /// What `{{rnd}}` stands for.
    pub rnd: String,
    /// Further variables.
    pub escapes: BTreeMap<String, String>,
    /// Topics as the daemon makes them, its faults included (`topic-compat: vscpd`).
    pub as_daemon: bool,
    /// How payloads are written, which the daemon's variables depend on.
    pub style: Style,
}

/// What a template is rendered for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The values that do not change.
    pub settings: &'a Settings,
    /// The event, for topics that are published to.
    pub event: Option<&'a Event>,
    /// How the payload is written.
    pub format: Option<WriteFormat>,
}

/// A variable, looked up once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Guid(Whose, Part),
    Number {
        of: Number,
        hex: bool,
    },
    Token(Level),
    Date(Date),
    Byte {
        at: usize,
        hex: bool,
    },
    Place(Place),
    Measurement(&'static str),
    Fixed(Fixed),
    Escape(String),
    /// A name that the daemon would look up.
    Daemon(String),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Event,
    Server,
    Driver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Byte { at: usize, hex: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Class,
    Type,
    Head,
    Obid,
    Timestamp,
    Nickname,
    Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Class,
    Type,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Date {
    Whole,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Index,
    Zone,
    Subzone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fixed {
    ClientId,
    User,
    Host,
    Port,
    DriverName,
    DriverLevel,
    Format,
    Rnd,
}

impl Settings {
    pub(super) fn variable(&self, name: &str) -> Option<Variable> {
        if self.as_daemon {
            return Some(Variable::Daemon(name.to_owned()));
        }
        if self.escapes.contains_key(name) {
            return Some(Variable::Escape(name.to_owned()));
        }
        known(name)
    }
}

fn known(name: &str) -> Option<Variable> {
    let number = |of, hex| Some(Variable::Number { of, hex });
    match name {
        "class" => return number(Number::Class, false),
        "xclass" => return number(Number::Class, true),
        "type" => return number(Number::Type, false),
        "xtype" => return number(Number::Type, true),
        "head" => return number(Number::Head, false),
        "xhead" => return number(Number::Head, true),
        "obid" => return number(Number::Obid, false),
        "xobid" => return number(Number::Obid, true),
        "timestamp" => return number(Number::Timestamp, false),
        "xtimestamp" => return number(Number::Timestamp, true),
        "nickname" | "nodeid" => return number(Number::Nickname, false),
        "xnickname" | "xnodeid" => return number(Number::Nickname, true),
        "sizedata" => return number(Number::Size, false),
        "xsizedata" => return number(Number::Size, true),
        "class-token" => return Some(Variable::Token(Level::Class)),
        "type-token" => return Some(Variable::Token(Level::Type)),
        "index" | "sensor-index" => return Some(Variable::Place(Place::Index)),
        "zone" => return Some(Variable::Place(Place::Zone)),
        "subzone" => return Some(Variable::Place(Place::Subzone)),
        "is-measurement" => return Some(Variable::Measurement("is")),
        "measurement-value" => return Some(Variable::Measurement("value")),
        "measurement-unit" => return Some(Variable::Measurement("unit")),
        "measurement-sensorindex" => return Some(Variable::Measurement("sensorindex")),
        "measurement-zone" => return Some(Variable::Measurement("zone")),
        "measurement-subzone" => return Some(Variable::Measurement("subzone")),
        "clientid" => return Some(Variable::Fixed(Fixed::ClientId)),
        "user" => return Some(Variable::Fixed(Fixed::User)),
        "host" => return Some(Variable::Fixed(Fixed::Host)),
        "port" => return Some(Variable::Fixed(Fixed::Port)),
        "driver-name" => return Some(Variable::Fixed(Fixed::DriverName)),
        "driver-level" => return Some(Variable::Fixed(Fixed::DriverLevel)),
        "fmtpublish" => return Some(Variable::Fixed(Fixed::Format)),
        "rnd" => return Some(Variable::Fixed(Fixed::Rnd)),
        // The daemon's own; drivers have always found them empty.
        "server-name" | "server-user" | "server-version" | "root-folder" | "utc-start-time"
        | "server-debug-level" => return Some(Variable::Nothing),
        _ => {}
    }
    let date = match name.strip_prefix("local-").unwrap_or(name) {
        "datetime" => Some(Date::Whole),
        "year" => Some(Date::Year),
        "month" => Some(Date::Month),
        "day" => Some(Date::Day),
        "hour" => Some(Date::Hour),
        "minute" => Some(Date::Minute),
        "second" => Some(Date::Second),
        _ => None,
    };
    if let Some(date) = date {
        return Some(Variable::Date(date));
    }
    let (hex, plain) = match name.strip_prefix('x') {
        Some(plain) => (true, plain),
        None => (false, name),
    };
    if let Some(at) = plain.strip_prefix("data").and_then(|rest| index(rest, 511)) {
        return Some(Variable::Byte { at, hex });
    }
    for (prefix, whose) in [
        ("guid", Whose::Event),
        ("srvguid", Whose::Server),
        ("ifguid", Whose::Driver),
    ] {
        let Some(rest) = plain.strip_prefix(prefix) else {
            continue;
        };
        let at = match rest {
            "" if !hex => return Some(Variable::Guid(whose, Part::Whole)),
            ".msb" => Some(0),
            ".lsb" => Some(15),
            rest => index(rest, 15),
        };
        return at.map(|at| Variable::Guid(whose, Part::Byte { at, hex }));
    }
    None
}

/// `[7]`.
fn index(text: &str, most: usize) -> Option<usize> {
    let digits = text.strip_prefix('[')?.strip_suffix(']')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&at| plain && at <= most)
}

impl Variable {
    /// What the user wrote may hold levels of its own.
    pub(super) fn may_hold_levels(&self) -> bool {
        matches!(self, Self::Escape(_) | Self::Daemon(_))
    }

    /// True where a section of this variable stands.
    pub(super) fn stands(&self, scope: &Scope<'_>) -> bool {
        if let Self::Daemon(name) = self {
            return daemon::value(name, scope).is_some();
        }
        let mut value = String::new();
        self.write(scope, &mut value);
        !value.is_empty() && value != "false"
    }

    pub(super) fn write(&self, scope: &Scope<'_>, out: &mut String) {
        let settings = scope.settings;
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Nothing => Ok(()),
            Self::Daemon(name) => {
                out.push_str(&daemon::value(name, scope).unwrap_or_default());
                Ok(())
            }
            Self::Escape(name) => {
                out.push_str(settings.escapes.get(name).map_or("", String::as_str));
                Ok(())
            }
            Self::Fixed(fixed) => match fixed {
                Fixed::ClientId => write!(out, "{}", settings.client_id),
                Fixed::User => write!(out, "{}", settings.user),
                Fixed::Host => write!(out, "{}", settings.host),
                Fixed::Port => write!(out, "{}", settings.port),
                Fixed::DriverName => write!(out, "{}", settings.driver_name),
                Fixed::DriverLevel => write!(out, "level2"),
                Fixed::Format => write!(out, "{}", scope.format.map_or("", format_name)),
                Fixed::Rnd => write!(out, "{}", settings.rnd),
            },
            Self::Guid(whose, part) => {
                let guid = match (whose, scope.event) {
                    (Whose::Event, Some(event)) => event.guid,
                    (Whose::Server, _) => settings.server_guid,
                    (Whose::Driver, _) | (Whose::Event, None) => settings.driver_guid,
                };
                match part {
                    Part::Whole => write!(out, "{guid}"),
                    Part::Byte { at, hex: false } => write!(out, "{}", guid.bytes()[*at]),
                    Part::Byte { at, hex: true } => write!(out, "{:02X}", guid.bytes()[*at]),
                }
            }
            _ => match scope.event {
                Some(event) => self.write_event(event, out),
                None => Ok(()),
            },
        };
    }

    fn write_event(&self, event: &Event, out: &mut String) -> std::fmt::Result {
        match self {
            Self::Number { of, hex } => number(*of, *hex, event, out),
            Self::Token(level) => {
                let token = match level {
                    Level::Class => catalog::class_token(event.class),
                    Level::Type => catalog::type_token(event.class, event.vscp_type),
                };
                out.push_str(token.unwrap_or_default());
                Ok(())
            }
            Self::Date(part) => {
                let at = event.time.fields();
                match part {
                    Date::Whole => {
                        let mut text = Vec::with_capacity(20);
                        event.time.write_date(&mut text);
                        out.push_str(std::str::from_utf8(&text).unwrap_or_default());
                        Ok(())
                    }
                    Date::Year => write!(out, "{}", at.year),
                    Date::Month => write!(out, "{}", at.month),
                    Date::Day => write!(out, "{}", at.day),
                    Date::Hour => write!(out, "{}", at.hour),
                    Date::Minute => write!(out, "{}", at.minute),
                    Date::Second => write!(out, "{}", at.second),
                }
            }
            Self::Byte { at, hex } => match (event.data.get(*at), hex) {
                (None, _) => Ok(()),
                (Some(byte), false) => write!(out, "{byte}"),
                (Some(byte), true) => write!(out, "{byte:02X}"),
            },
            Self::Place(place) => match place_of(*place, event) {
                Some(byte) => write!(out, "{byte}"),
                None => Ok(()),
            },
            Self::Measurement(part) => measurement(part, event, out),
            _ => Ok(()),
        }
    }
}

fn number(of: Number, hex: bool, event: &Event, out: &mut String) -> std::fmt::Result {
    let (value, width) = match of {
        // As ever: class and type in small letters, everything else in capitals.
        Number::Class if hex => return write!(out, "{:02x}", event.class),
        Number::Type if hex => return write!(out, "{:02x}", event.vscp_type),
        Number::Class => (u32::from(event.class), 0),
        Number::Type => (u32::from(event.vscp_type), 0),
        Number::Head => (u32::from(event.head.classic()), 4),
        Number::Obid => (event.obid, 8),
        Number::Timestamp => (event.time.micros(), 8),
        Number::Nickname => (u32::from(event.guid.nickname()), 4),
        Number::Size => (event.data.len() as u32, 4),
    };
    if hex {
        write!(out, "{value:0width$X}")
    } else {
        write!(out, "{value}")
    }
}

/// Index, zone and subzone: of a measurement as its class has them; of alarm, security,
/// information and control events the first three data bytes (VSCP specification, classes 1, 2,
/// 20 and 30, and the same over level II).
fn place_of(place: Place, event: &Event) -> Option<u8> {
    if let Some(found) = catalog::measurement(event) {
        return match place {
            Place::Index => Some(found.sensor_index),
            Place::Zone => found.zone,
            Place::Subzone => found.subzone,
        };
    }
    let (class, data) = match event.class {
        512..=1023 => (event.class - 512, event.data.get(16..)?),
        class => (class, &event.data[..]),
    };
    let at = match place {
        Place::Index => 0,
        Place::Zone => 1,
        Place::Subzone => 2,
    };
    matches!(class, 1 | 2 | 20 | 30)
        .then(|| data.get(at).copied())
        .flatten()
}

fn measurement(part: &str, event: &Event, out: &mut String) -> std::fmt::Result {
    let found = catalog::measurement(event);
    if part == "is" {
        return write!(out, "{}", found.is_some());
    }
    let Some(found) = found else { return Ok(()) };
    match part {
        "value" => write!(out, "{}", found.value),
        "unit" => write!(out, "{}", found.unit),
        "sensorindex" => write!(out, "{}", found.sensor_index),
        "zone" => write!(out, "{}", found.zone.unwrap_or(0)),
        _ => write!(out, "{}", found.subzone.unwrap_or(0)),
    }
}

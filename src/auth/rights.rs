//! What a user may do: a field of bits, and a level.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use thiserror::Error;

use crate::event::number::{self, clip};

/// The rights of a user, with the bit numbers of the VSCP daemon.
///
/// As text: names and numbers (decimal, `0x`, `0o`, `0b`; 64 bits), any of `,`, `/` and blanks
/// between them, names in either case. They add up. A text without any gives no rights at all,
/// as it does in the daemon; it is up to the reader of a configuration what a missing text gives.
///
/// | name | rights |
/// |---|---|
/// | `admin` | all |
/// | `user` | every interface, send and receive events, also of classes 0, 512 and 1024 |
/// | `driver` | as `user`, without the interfaces |
/// | `tcp`, `websockets`, `web`, `rest`, `udp`, `mqtt` | as `driver`, with one interface |
/// | `tcpip`, `ws`, `ws1`, `ws2`, `multicast` | one interface, nothing else |
/// | `send-events`, `receive-events`, `l1ctrl-events`, `l2ctrl-events`, `hlo-events` | that bit |
/// | `set-filter`, `set-guid`, `test`, `interface`, `restart`, `shutdown`, `link` | that bit |
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u64);

/// A way for clients to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The tcp/ip link interface.
    Link,
    /// The websocket interface.
    Websocket,
}

impl Rights {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Log in to the tcp/ip link interface; see [`admit`](Self::admit).
    pub const TCPIP: Self = Self(1);
    /// Log in to the websocket interfaces.
    pub const WEBSOCKETS: Self = Self(1 << 1);
    /// Log in to the web interface.
    pub const WEB: Self = Self(1 << 2);
    /// Log in to the REST interface.
    pub const REST: Self = Self(1 << 3);
    /// Use the UDP interface.
    pub const UDP: Self = Self(1 << 4);
    /// Use the MQTT interface.
    pub const MQTT: Self = Self(1 << 5);
    /// Use the multicast interface.
    pub const MULTICAST: Self = Self(1 << 6);
    /// Send events.
    pub const SEND_EVENT: Self = Self(1 << 16);
    /// Send level I protocol events, classes 0 and 512.
    pub const SEND_L1CTRL: Self = Self(1 << 17);
    /// Send level II protocol events, class 1024.
    pub const SEND_L2CTRL: Self = Self(1 << 18);
    /// Send high level objects, class 1028.
    pub const SEND_HLO: Self = Self(1 << 19);
    /// Receive events.
    pub const RCV_EVENT: Self = Self(1 << 20);
    /// Set filter and mask of the own channel.
    pub const SETFILTER: Self = Self(1 << 26);
    /// Set the GUID of the own channel.
    pub const SETGUID: Self = Self(1 << 27);
    /// TEST.
    pub const TEST: Self = Self(1 << 28);
    /// INTERFACE.
    pub const INTERFACE: Self = Self(1 << 29);
    /// RESTART.
    pub const RESTART: Self = Self(1 << 30);
    /// SHUTDOWN.
    pub const SHUTDOWN: Self = Self(1 << 31);
    /// Keep a link between two drivers of this kind: whoever has it is believed about where events
    /// come from. The daemon does not know it.
    pub const LINK: Self = Self(1 << 33);

    /// The named set `admin`.
    pub const ADMIN: Self = Self(u64::MAX);
    /// The named set `user`.
    pub const USER: Self = Self(Self::DRIVER.0 | 0x7F);
    /// The named set `driver`.
    pub const DRIVER: Self =
        Self(Self::SEND_EVENT.0 | Self::SEND_L1CTRL.0 | Self::SEND_L2CTRL.0 | Self::RCV_EVENT.0);

    /// TCPIP to MULTICAST.
    const INTERFACES: Self = Self(0x7F);

    /// Rights from their bits. Bits without a meaning are kept.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// True where there is no right at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True where all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True where these rights allow to log in to a service: its own right is there, or no
    /// interface is named at all.
    ///
    /// A record for another interface (`web`, `mqtt`) does not open this one. One that lists no
    /// interface (`driver`, `send-events`) worked with drivers that never looked at the bit, and
    /// still does.
    #[must_use]
    pub const fn admit(self, service: Service) -> bool {
        let own = match service {
            Service::Link => Self::TCPIP,
            Service::Websocket => Self::WEBSOCKETS,
        };
        self.contains(own) || self.0 & Self::INTERFACES.0 == 0
    }

    /// The names that stand for these rights, with commas between them; bits without a name are a
    /// number.
    #[must_use]
    pub fn names(self) -> String {
        const NAMES: [&str; 22] = [
            "admin",
            "user",
            "driver",
            "tcpip",
            "ws",
            "web",
            "rest",
            "udp",
            "mqtt",
            "multicast",
            "send-events",
            "receive-events",
            "l1ctrl-events",
            "l2ctrl-events",
            "hlo-events",
            "set-filter",
            "set-guid",
            "test",
            "interface",
            "restart",
            "shutdown",
            "link",
        ];
        let (mut said, mut words) = (Self::NONE, Vec::new());
        for name in NAMES {
            let named = Self::named(name).unwrap_or_default();
            if self.contains(named) && !said.contains(named) {
                said = said | named;
                words.push(name.to_owned());
            }
        }
        let rest = self.0 & !said.0;
        if rest != 0 {
            words.push(format!("{rest:#x}"));
        }
        match words.is_empty() {
            true => "none".to_owned(),
            false => words.join(","),
        }
    }

    /// The rights of all entries of a list together; each is a text as for [`FromStr`].
    ///
    /// # Errors
    /// [`RightsError`] for the first name that is unknown.
    pub fn parse_list<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, RightsError> {
        entries
            .into_iter()
            .try_fold(Self::NONE, |sum, entry| Ok(sum | entry.parse()?))
    }

    /// The names that [`FromStr`] knows.
    pub fn words() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|&(name, _)| name)
    }

    fn named(name: &str) -> Option<Self> {
        let mut named = NAMED.iter();
        named.find_map(|&(known, rights)| (known == name).then_some(rights))
    }
}

/// The names, and what they stand for.
const NAMED: &[(&str, Rights)] = &[
    ("admin", Rights::ADMIN),
    ("user", Rights::USER),
    ("driver", Rights::DRIVER),
    ("tcp", Rights(Rights::DRIVER.0 | Rights::TCPIP.0)),
    (
        "websockets",
        Rights(Rights::DRIVER.0 | Rights::WEBSOCKETS.0),
    ),
    ("web", Rights(Rights::DRIVER.0 | Rights::WEB.0)),
    ("rest", Rights(Rights::DRIVER.0 | Rights::REST.0)),
    ("udp", Rights(Rights::DRIVER.0 | Rights::UDP.0)),
    ("mqtt", Rights(Rights::DRIVER.0 | Rights::MQTT.0)),
    ("tcpip", Rights::TCPIP),
    ("ws", Rights::WEBSOCKETS),
    ("ws1", Rights::WEBSOCKETS),
    ("ws2", Rights::WEBSOCKETS),
    ("multicast", Rights::MULTICAST),
    ("send-events", Rights::SEND_EVENT),
    ("receive-events", Rights::RCV_EVENT),
    ("l1ctrl-events", Rights::SEND_L1CTRL),
    ("l2ctrl-events", Rights::SEND_L2CTRL),
    ("hlo-events", Rights::SEND_HLO),
    ("set-filter", Rights::SETFILTER),
    ("set-guid", Rights::SETGUID),
    ("test", Rights::TEST),
    ("interface", Rights::INTERFACE),
    ("restart", Rights::RESTART),
    ("shutdown", Rights::SHUTDOWN),
    ("link", Rights::LINK),
];

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromStr for Rights {
    type Err = RightsError;

    fn from_str(text: &str) -> Result<Self, RightsError> {
        let mut rights = Self::NONE;
        for token in text.split(|c: char| matches!(c, ',' | '/') || c.is_whitespace()) {
            if token.is_empty() {
                continue;
            }
            let one = match Self::named(&token.to_ascii_lowercase()) {
                Some(named) => named,
                None => number::parse(token, u64::MAX)
                    .map(Self)
                    .map_err(|_| RightsError(clip(token)))?,
            };
            rights = rights | one;
        }
        Ok(rights)
    }
}

/// As a number that [`FromStr`] reads.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

/// Neither the name of a right nor a number.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is neither a right nor a number of 64 bits")]
pub struct RightsError(pub String);

/// The level that the command table of the VSCP specification speaks of: 0 (nothing) to 15 (all).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Privilege(u8);

impl Privilege {
    /// 15, also the default: rights alone decide where no level is given.
    pub const HIGHEST: Self = Self(15);

    /// `None` above 15.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level <= Self::HIGHEST.0 {
            Some(Self(level))
        } else {
            None
        }
    }

    /// 0 to 15.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Privilege {
    fn default() -> Self {
        Self::HIGHEST
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(text: &str) -> u64 {
        text.parse::<Rights>().unwrap().bits()
    }

    #[test]
    fn names_have_the_daemons_bits() {
        for (name, want) in [
            ("admin", u64::MAX),
            ("user", 0x0017_007F),
            ("driver", 0x0017_0000),
            ("tcp", 0x0017_0001),
            ("websockets", 0x0017_0002),
            ("web", 0x0017_0004),
            ("rest", 0x0017_0008),
            ("udp", 0x0017_0010),
            ("mqtt", 0x0017_0020),
            ("tcpip", 1),
            ("ws", 2),
            ("ws1", 2),
            ("ws2", 2),
            ("multicast", 0x40),
            ("send-events", 0x0001_0000),
            ("l1ctrl-events", 0x0002_0000),
            ("l2ctrl-events", 0x0004_0000),
            ("hlo-events", 0x0008_0000),
            ("receive-events", 0x0010_0000),
            ("set-filter", 0x0400_0000),
            ("set-guid", 0x0800_0000),
            ("test", 0x1000_0000),
            ("interface", 0x2000_0000),
            ("restart", 0x4000_0000),
            ("shutdown", 0x8000_0000),
            ("link", 0x2_0000_0000),
        ] {
            assert_eq!(bits(name), want, "{name}");
            assert_eq!(bits(&name.to_uppercase()), want, "{name}");
        }
    }

    #[test]
    fn rights_have_names() {
        let rights = |text: &str| text.parse::<Rights>().unwrap();
        for (text, names) in [
            ("admin", "admin"),
            ("user", "user"),
            ("receive-events", "receive-events"),
            ("user/shutdown", "user,shutdown"),
            ("0x100000000", "0x100000000"),
        ] {
            assert_eq!(rights(text).names(), names);
            assert_eq!(rights(&rights(text).names()), rights(text));
        }
        assert_eq!(Rights::NONE.names(), "none");
    }

    #[test]
    fn lists_add_up_whatever_stands_between() {
        let want = 0x0011_0001;
        for text in [
            "tcpip,send-events,receive-events",
            "tcpip/send-events/receive-events",
            " TCPIP , send-events\treceive-events,, ",
            "1/0x10000/0b100000000000000000000",
            "0o1 1114112",
        ] {
            assert_eq!(bits(text), want, "{text}");
        }
        let list = Rights::parse_list(["tcpip", "", "send-events/receive-events"]);
        assert_eq!(list.unwrap().bits(), want);
    }

    #[test]
    fn numbers_have_64_bits() {
        assert_eq!(bits("0xFFFFFFFFFFFFFFFF"), u64::MAX);
        assert!("0x1FFFFFFFFFFFFFFFF".parse::<Rights>().is_err());
        assert!("-1".parse::<Rights>().is_err());
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!("".parse::<Rights>().unwrap().is_empty());
        assert!(" , ".parse::<Rights>().unwrap().is_empty());
        assert!(Rights::parse_list([]).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_name_is_named() {
        let error = "user,sned-events".parse::<Rights>().unwrap_err();
        assert!(error.to_string().contains("\"sned-events\""), "{error}");
    }

    #[test]
    fn records_for_other_interfaces_do_not_open_this_one() {
        for (text, link, websocket) in [
            ("user", true, true),
            ("admin", true, true),
            ("tcp", true, false),
            ("driver", true, true),
            ("send-events,receive-events", true, true),
            ("tcpip,ws", true, true),
            ("", true, true),
            ("web", false, false),
            ("ws,send-events", false, true),
            ("mqtt", false, false),
            ("multicast", false, false),
        ] {
            let rights: Rights = text.parse().unwrap();
            assert_eq!(rights.admit(Service::Link), link, "{text}");
            assert_eq!(rights.admit(Service::Websocket), websocket, "{text}");
        }
    }

    #[test]
    fn privilege_is_0_to_15() {
        assert_eq!(Privilege::new(0).unwrap().level(), 0);
        assert_eq!(Privilege::new(15), Some(Privilege::default()));
        assert_eq!(Privilege::new(16), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(bits: u64) {
            let rights = Rights::from_bits(bits);
            prop_assert_eq!(rights.to_string().parse::<Rights>().unwrap(), rights);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = text.parse::<Rights>();
        }
    }
}

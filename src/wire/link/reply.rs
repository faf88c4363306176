//! What the server says. Clients compare these texts letter by letter: none may change.

use crate::event::Guid;
use crate::wire::binary::code::error;

/// How a command ended: the line that says so, and the number that stands for it in the binary
/// mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    text: &'static str,
    code: u16,
}

impl Status {
    const fn new(text: &'static str, code: u16) -> Self {
        Self { text, code }
    }

    /// The line, with its end.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.text
    }

    /// The number, 0 where it went well.
    #[must_use]
    pub fn code(self) -> u16 {
        self.code
    }
}

/// `+OK - Success.`
pub const SUCCESS: Status = Status::new("+OK - Success.\r\n", error::SUCCESS);
/// After QUIT.
pub const CLOSED: Status = Status::new("+OK - Connection closed by client.\r\n", error::SUCCESS);
/// After USER.
pub const USER_OK: Status = Status::new(
    "+OK - User name accepted, password please\r\n",
    error::SUCCESS,
);
/// After CLRA.
pub const CLEARED: Status = Status::new("+OK - All events cleared.\r\n", error::SUCCESS);
/// After RCVLOOP.
pub const LOOP_ENTERED: Status = Status::new(
    "+OK - Receive loop entered. QUITLOOP to terminate.\r\n",
    error::SUCCESS,
);
/// After QUITLOOP.
pub const LOOP_LEFT: Status = Status::new("+OK - Quit receive loop.\r\n", error::SUCCESS);
/// Every two seconds in the receive loop.
pub const ALIVE: &str = "+OK\r\n";
/// A command that is none.
pub const UNKNOWN: Status = Status::new("-OK - Unknown command\r\n", error::NOT_SUPPORTED);
/// Arguments that are wrong.
pub const PARAMETER: Status =
    Status::new("-OK - Invalid parameter or format\r\n", error::PARAMETER);
/// RETR with fewer events than asked for.
pub const NO_EVENT: Status = Status::new("-OK - No event(s) available\r\n", error::RCV_EMPTY);
/// PASS that failed, whatever the reason.
pub const BAD_LOGIN: Status =
    Status::new("-OK - Invalid username or password.\r\n", error::PASSWORD);
/// A command that needs a login.
pub const NEED_LOGIN: Status = Status::new(
    "-OK - Need to log in to perform this command.\r\n",
    error::NOT_OPEN,
);
/// PASS before USER.
pub const NEED_USER: Status = Status::new(
    "-OK - Need a Username before a password can be entered.\r\n",
    error::USER,
);
/// A right is missing.
pub const NO_RIGHT: Status = Status::new(
    "-OK - User does not have rights to perform this operation.\r\n",
    error::PERMISSION,
);
/// The privilege is too low.
pub const LOW_PRIVILEGE: Status = Status::new(
    "-OK - User need higher privilege level to perform this operation.\r\n",
    error::PERMISSION,
);
/// An event that the user may not send. The spelling is what clients know.
pub const EVENT_REFUSED: Status = Status::new(
    "-OK - Not allowed to sen this event (contact admin).\r\n",
    error::PERMISSION,
);
/// CHALLENGE without a source of random numbers.
pub const NO_SID: Status = Status::new("-OK - Failed to generate sid.\r\n", error::INTERNAL);
/// Something that this server does not do.
pub const NOT_SUPPORTED: Status = Status::new(
    "-OK - Command is not supported here.\r\n",
    error::NOT_SUPPORTED,
);
/// INTERFACE CLOSE of nobody.
pub const NO_INTERFACE: Status = Status::new("-OK - Interface not found.\r\n", error::UNKNOWN_ITEM);
/// Something of ours went wrong.
pub const INTERNAL: Status = Status::new("-OK - Server Internal error.\r\n", error::INTERNAL);
/// No room for an event.
pub const BUFFER_FULL: Status = Status::new("-OK - Buffer Full\r\n", error::TRM_FULL);
/// `SEND $name` with a name that is not configured.
pub const NO_VARIABLE: Status =
    Status::new("-OK - Variable is not defined.\r\n", error::UNKNOWN_ITEM);
/// One client too many.
pub const TOO_MANY: Status = Status::new(
    "-OK - Max number of clients connected.\r\n",
    error::CONNECTION,
);
/// A command that would go through the air in clear text, where only BINARY or TLS may be used.
pub const NEED_ENCRYPTION: Status = Status::new(
    "-OK - This needs an encrypted connection (BINARY or TLS).\r\n",
    error::PERMISSION,
);
/// BINARY, and all that follows is frames.
pub const BINARY: Status = Status::new("+OK - Binary mode enabled\r\n", error::SUCCESS);
/// BINARY where it is not offered.
pub const NO_BINARY: Status =
    Status::new("-OK - Binary mode not supported\r\n", error::NOT_SUPPORTED);

/// What a client is greeted with: text lines, then exactly one status line.
#[must_use]
pub fn greeting() -> String {
    format!(
        "Welcome to the VSCP tcp/ip server [l2drv].\r\n\
         Version: {}-0\r\n\
         vscpl2drv-link, a VSCP level II driver.\r\n\
         {}",
        env!("CARGO_PKG_VERSION"),
        SUCCESS.text(),
    )
}

/// The version as VERS prints it.
#[must_use]
pub fn version() -> String {
    format!("{},0", env!("CARGO_PKG_VERSION").replace('.', ","))
}

/// Capabilities of a server, as the bits of WCYD (VSCP specification, "high end server
/// capabilities").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The tcp/ip link protocol.
    pub const TCPIP: Self = Self(1 << 15);
    /// The server announces itself in the multicast group.
    pub const ANNOUNCES: Self = Self(1 << 13);
    /// Websockets are served too.
    pub const WEBSOCKET: Self = Self(1 << 10);
    /// Reachable by IPv6.
    pub const IPV6: Self = Self(1 << 6);
    /// Reachable by IPv4.
    pub const IPV4: Self = Self(1 << 5);
    /// TLS.
    pub const SSL: Self = Self(1 << 4);
    /// Two or more connections at a time.
    pub const TWO_CONNECTIONS: Self = Self(1 << 3);

    /// AES with keys of 256 bits in the binary mode.
    pub const AES256: Self = Self(1 << 2);
    /// AES with keys of 192 bits in the binary mode.
    pub const AES192: Self = Self(1 << 1);
    /// AES with keys of 128 bits in the binary mode.
    pub const AES128: Self = Self(1);

    /// The bits as a number.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// These and those.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// True where all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// `00-00-00-00-00-00-80-68`.
    #[must_use]
    pub fn text(self) -> String {
        self.0
            .to_be_bytes()
            .map(|byte| format!("{byte:02X}"))
            .join("-")
    }
}

/// One channel as INTERFACE LIST shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceRow {
    /// Channel id.
    pub id: u16,
    /// GUID of the channel.
    pub guid: Guid,
    /// Address of the client.
    pub peer: String,
    /// `2026-11-20T19:41:06`, UTC.
    pub started: String,
    /// What it is.
    pub kind: InterfaceKind,
}

/// What an interface is (VSCP specification, "INTERFACE LIST").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceKind {
    /// A link of this driver to another server.
    Driver = 3,
    /// A client of the tcp/ip link.
    TcpIp = 4,
    /// A websocket client.
    Websocket = 7,
}

impl InterfaceRow {
    /// `1,4,FF:…:00,tcp/ip client 127.0.0.1:4711 | Started at 2026-11-20T19:41:06`: the name has
    /// no comma and one bar, or clients cannot read the row.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{},{},{},{}\r\n",
            self.id,
            self.kind as u8,
            self.guid,
            self.name()
        )
    }

    /// The last field of it.
    #[must_use]
    pub fn name(&self) -> String {
        let peer = self.peer.replace([',', '|'], "_");
        let what = match self.kind {
            InterfaceKind::TcpIp => "tcp/ip client",
            InterfaceKind::Websocket => "websocket client",
            InterfaceKind::Driver => "link",
        };
        format!("{what} {peer} | Started at {}", self.started)
    }
}

/// The last error of a channel, for INFO. Codes are those of the driver's C interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastError {
    /// 0 for none.
    pub code: u32,
    /// More about it, 0 for nothing.
    pub subcode: u64,
    /// In words.
    pub text: String,
}

impl LastError {
    /// `status,code,subcode,"text"`. The text can be mistaken for nothing else.
    #[must_use]
    pub fn line(&self, status: u32) -> String {
        let text = self.harmless();
        format!("{status},{},{},\"{text}\"\r\n", self.code, self.subcode)
    }

    /// The text with nothing in it that has a meaning elsewhere.
    pub(super) fn harmless(&self) -> String {
        let text: String = self
            .text
            .chars()
            .map(|c| {
                if c.is_control() || matches!(c, '"' | ',' | '+') {
                    ' '
                } else {
                    c
                }
            })
            .take(200)
            .collect();
        text.replace("-OK", " OK")
    }
}

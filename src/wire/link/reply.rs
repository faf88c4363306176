//! What the server says. Clients compare these texts letter by letter: none may change.

use crate::event::Guid;

/// `+OK - Success.`
pub const SUCCESS: &str = "+OK - Success.\r\n";
/// After QUIT.
pub const CLOSED: &str = "+OK - Connection closed by client.\r\n";
/// After USER.
pub const USER_OK: &str = "+OK - User name accepted, password please\r\n";
/// After CLRA.
pub const CLEARED: &str = "+OK - All events cleared.\r\n";
/// After RCVLOOP.
pub const LOOP_ENTERED: &str = "+OK - Receive loop entered. QUITLOOP to terminate.\r\n";
/// After QUITLOOP.
pub const LOOP_LEFT: &str = "+OK - Quit receive loop.\r\n";
/// Every two seconds in the receive loop.
pub const ALIVE: &str = "+OK\r\n";
/// A command that is none.
pub const UNKNOWN: &str = "-OK - Unknown command\r\n";
/// Arguments that are wrong.
pub const PARAMETER: &str = "-OK - Invalid parameter or format\r\n";
/// RETR with fewer events than asked for.
pub const NO_EVENT: &str = "-OK - No event(s) available\r\n";
/// PASS that failed, whatever the reason.
pub const BAD_LOGIN: &str = "-OK - Invalid username or password.\r\n";
/// A command that needs a login.
pub const NEED_LOGIN: &str = "-OK - Need to log in to perform this command.\r\n";
/// PASS before USER.
pub const NEED_USER: &str = "-OK - Need a Username before a password can be entered.\r\n";
/// A right is missing.
pub const NO_RIGHT: &str = "-OK - User does not have rights to perform this operation.\r\n";
/// The privilege is too low.
pub const LOW_PRIVILEGE: &str =
    "-OK - User need higher privilege level to perform this operation.\r\n";
/// An event that the user may not send. The spelling is what clients know.
pub const EVENT_REFUSED: &str = "-OK - Not allowed to sen this event (contact admin).\r\n";
/// CHALLENGE without a source of random numbers.
pub const NO_SID: &str = "-OK - Failed to generate sid.\r\n";
/// Something that this server does not do.
pub const NOT_SUPPORTED: &str = "-OK - Command is not supported here.\r\n";
/// INTERFACE CLOSE of nobody.
pub const NO_INTERFACE: &str = "-OK - Interface not found.\r\n";
/// Something of ours went wrong.
pub const INTERNAL: &str = "-OK - Server Internal error.\r\n";
/// No room for an event.
pub const BUFFER_FULL: &str = "-OK - Buffer Full\r\n";
/// `SEND $name` with a name that is not configured.
pub const NO_VARIABLE: &str = "-OK - Variable is not defined.\r\n";
/// One client too many.
pub const TOO_MANY: &str = "-OK - Max number of clients connected.\r\n";
/// BINARY.
pub const NO_BINARY: &str = "-OK - Binary mode not supported\r\n";

/// What a client is greeted with: text lines, then exactly one status line.
#[must_use]
pub fn greeting() -> String {
    format!(
        "Welcome to the VSCP tcp/ip server [l2drv].\r\n\
         Version: {}-0\r\n\
         vscpl2drv-link, a VSCP level II driver.\r\n\
         {SUCCESS}",
        env!("CARGO_PKG_VERSION"),
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
    /// Reachable by IPv6.
    pub const IPV6: Self = Self(1 << 6);
    /// Reachable by IPv4.
    pub const IPV4: Self = Self(1 << 5);
    /// TLS.
    pub const SSL: Self = Self(1 << 4);
    /// Two or more connections at a time.
    pub const TWO_CONNECTIONS: Self = Self(1 << 3);

    /// These and those.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
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
}

/// The type of a tcp/ip client in INTERFACE LIST.
const TCPIP_CLIENT: u8 = 4;

impl InterfaceRow {
    /// `1,4,FF:…:00,tcp/ip client 127.0.0.1:4711 | Started at 2026-11-20T19:41:06`: the name has
    /// no comma and one bar, or clients cannot read the row.
    #[must_use]
    pub fn text(&self) -> String {
        let peer = self.peer.replace([',', '|'], "_");
        format!(
            "{},{TCPIP_CLIENT},{},tcp/ip client {peer} | Started at {}\r\n",
            self.id, self.guid, self.started,
        )
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
        let text = text.replace("-OK", " OK");
        format!("{status},{},{},\"{text}\"\r\n", self.code, self.subcode)
    }
}

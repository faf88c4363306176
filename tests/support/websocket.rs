//! A websocket client, and a driver with a websocket server.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};
use vscpl2drv_link::auth::Credential;
use vscpl2drv_link::driver::{Driver, Source};
use vscpl2drv_link::event::text::{Defaults, parse};
use vscpl2drv_link::event::{Event, Guid};
use vscpl2drv_link::wire::ws::Dialect;
use vscpl2drv_link::wire::ws::client::{self as requests, Said};

use super::dialogue;
use super::tools::PATIENCE;

/// A key that nobody else has.
pub const KEY: [u8; 16] = *b"0123456789abcdef";

pub const DEFAULTS: Defaults = Defaults {
    now: 1,
    obid: 0,
    guid: Guid::ZERO,
};

/// A driver with a websocket server, and a link server beside it.
pub struct Server {
    pub driver: Driver,
    pub place: TempDir,
}

impl Server {
    /// `members` are more of the section, `more` is more of the file.
    pub fn start(members: &str, more: &str) -> Self {
        let users = dialogue::users();
        Self::with_users(&users, members, more)
    }

    pub fn with_users(users: &std::path::Path, members: &str, more: &str) -> Self {
        Self::at("ws://127.0.0.1:0", users, members, more)
    }

    /// The same with another interface.
    pub fn at(interface: &str, users: &std::path::Path, members: &str, more: &str) -> Self {
        let place = TempDir::new().unwrap();
        let key = place.path().join("key");
        let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&key, digits).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let log = place.path().join("log");
        let config = format!(
            "{{\"interface\": \"tcp://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {users:?}, \
              \"key-file\": {key:?}, \"websocket\": {{\"interface\": {interface:?}{members}}}, \
              {more} \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\", \
              \"file-log-level\": \"debug\"}}}}"
        );
        Self::open(place, config)
    }

    pub fn open(place: TempDir, config: String) -> Self {
        let guid = "::1".parse().unwrap();
        let log = place.path().join("log");
        let driver = Driver::open(Source { config, guid })
            .unwrap_or_else(|| panic!("{}", fs::read_to_string(log).unwrap_or_default()));
        Self { driver, place }
    }

    /// Where the link server is.
    pub fn link(&self) -> SocketAddr {
        self.driver.addresses()[0]
    }

    /// Where the websocket server is.
    pub fn address(&self) -> SocketAddr {
        *self.driver.addresses().last().unwrap()
    }

    pub fn log_file(&self) -> PathBuf {
        self.place.path().join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until the log has these words so often.
    pub fn logged(&self, words: &str, times: usize) {
        let start = std::time::Instant::now();
        while self.log().matches(words).count() < times {
            let log = self.log();
            assert!(start.elapsed() < PATIENCE, "{words} is not in {log}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// An event that the host brings.
    pub fn write(&self, line: &str) {
        self.driver.write(parse(line, &DEFAULTS).unwrap());
    }

    /// The data of the event that the host gets next.
    pub fn data(&self) -> Vec<u8> {
        self.driver.read(PATIENCE).unwrap().data.to_vec()
    }
}

pub fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Ws1 => "/ws1",
        Dialect::Ws2 => "/ws2",
    }
}

/// The request that opens a websocket.
pub fn opening(address: SocketAddr, path: &str) -> Request<()> {
    Request::get(format!("ws://{address}{path}"))
        .header("Host", address.to_string())
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .body(())
        .unwrap()
}

/// One client.
pub struct Client<S = TcpStream> {
    pub socket: WebSocket<S>,
    pub dialect: Dialect,
    pub sid: [u8; 16],
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr, dialect: Dialect) -> Self {
        Self::try_connect(address, dialect).expect("a websocket opens")
    }

    /// The same, where there may be no place.
    pub fn try_connect(address: SocketAddr, dialect: Dialect) -> Option<Self> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, opening(address, path(dialect)), dialect)
    }

    /// Connects and logs in.
    pub fn log_in(address: SocketAddr, dialect: Dialect, user: &str) -> Self {
        let mut client = Self::connect(address, dialect);
        assert!(client.try_log_in(user, "secret"), "{user}");
        client
    }

    /// Connects, logs in, and asks for events.
    pub fn open(address: SocketAddr, dialect: Dialect, user: &str) -> Self {
        let mut client = Self::log_in(address, dialect, user);
        client.must("OPEN");
        client
    }
}

impl<S: Read + Write> Client<S> {
    /// Opens a websocket by this request and reads the greeting; `None` where it does not open.
    pub fn over(stream: S, request: Request<()>, dialect: Dialect) -> Option<Self> {
        let (socket, _) = client(request, stream).ok()?;
        let mut client = Self {
            socket,
            dialect,
            sid: [0; 16],
        };
        match client.said() {
            Said::Auth0(sid) => client.sid = sid,
            other => panic!("AUTH0 was expected: {other:?}"),
        }
        Some(client)
    }

    pub fn try_log_in(&mut self, user: &str, password: &str) -> bool {
        let auth = requests::auth(self.dialect, &KEY, &self.sid, user, password);
        self.send(&auth);
        match self.said() {
            Said::Done { .. } => true,
            Said::Refused { code: 5, .. } => false,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for the session id.
    pub fn challenge(&mut self) {
        self.send(&requests::command(self.dialect, "CHALLENGE"));
        self.sid = match self.said() {
            Said::Auth0(sid) => sid,
            Said::Done { args, .. } => {
                let digits = args.split('"').nth(3).expect("the sid").to_owned();
                let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16);
                std::array::from_fn(|at| byte(at).unwrap())
            }
            other => panic!("{other:?}"),
        };
    }

    pub fn send(&mut self, message: &str) {
        self.socket.send(Message::from(message)).unwrap();
    }

    /// The next text; `None` at the end.
    pub fn text(&mut self) -> Option<String> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub fn said(&mut self) -> Said {
        let text = self.text().expect("the server says something");
        requests::read(self.dialect, &text, &DEFAULTS).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// One message and its answer, as they are.
    pub fn ask(&mut self, message: &str) -> String {
        self.send(message);
        self.text().expect("the server answers")
    }

    /// One command without arguments that must succeed.
    pub fn must(&mut self, word: &str) {
        self.send(&requests::command(self.dialect, word));
        match self.said() {
            Said::Done { .. } => {}
            other => panic!("{word}: {other:?}"),
        }
    }

    /// Sends an event; the code where it is refused.
    pub fn send_event(&mut self, line: &str) -> Result<(), u32> {
        let event = parse(line, &DEFAULTS).unwrap();
        self.send(&requests::event(self.dialect, &event));
        match self.said() {
            Said::Done { .. } => Ok(()),
            Said::Refused { code, .. } => Err(code),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// The next event.
    pub fn event(&mut self) -> Event {
        match self.said() {
            Said::Event(event) => event,
            other => panic!("an event was expected: {other:?}"),
        }
    }
}

/// A users file with these users, who all have the password `secret`, and more members each.
pub fn users(place: &TempDir, list: &[(&str, &str)]) -> PathBuf {
    let file = place.path().join("users.json");
    let user = |(name, members): &(&str, &str)| {
        let credential = Credential::derive(name, "secret").unwrap();
        format!("{{\"name\": {name:?}, \"password\": \"{credential}\"{members}}}")
    };
    let all: Vec<String> = list.iter().map(user).collect();
    fs::write(&file, format!("{{\"users\": [{}]}}", all.join(", "))).unwrap();
    file
}

/// The place of the files of a driver, and a key file with this text.
pub fn with_key(text: &str) -> TempDir {
    let place = TempDir::new().unwrap();
    let key = place.path().join("key");
    fs::write(&key, text).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    place
}

/// A file as it is made for the C++ driver: everything at its top.
pub fn flat(place: &TempDir, members: &str) -> String {
    format!(
        "{{\"interface\": \"ws://127.0.0.1:0\", \"abi\": \"v2\", \"path-users\": {:?}, \
          \"key-file\": {:?}, {members} \
          \"logging\": {{\"file-path\": {:?}, \"file-pattern\": \"%l %v\"}}}}",
        dialogue::users(),
        place.path().join("key"),
        place.path().join("log"),
    )
}

/// Is this the answer to a login on ws2 that was right?
pub fn is_in(answer: &str) -> bool {
    match answer {
        yes if yes.starts_with("{ \"type\" : \"+\",  \"command\" : \"AUTH\"") => true,
        no if no.contains("\"errcode\" : 5") => false,
        other => panic!("{other}"),
    }
}

/// A command of ws2 with these members behind it.
pub fn ws2(command: &str, more: &str) -> String {
    format!("{{\"type\": \"CMD\", \"command\": \"{command}\"{more}}}")
}

//! A driver with TLS on its interface, and the other side of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use vscpl2drv_link::driver::{Driver, Source};

use super::certificates::{Authority, Identity};
use super::dialogue;
use super::tools::{PATIENCE, need};

pub const LOGIN: &str = "user admin\r\npass secret\r\n";

/// Certificate and key in one file, as `tls.certificate` wants them.
pub fn joined(identity: &Identity) -> PathBuf {
    let path = identity.certificate.with_extension("both.pem");
    let mut text = fs::read_to_string(&identity.certificate).unwrap();
    text.push_str(&fs::read_to_string(&identity.key).unwrap());
    fs::write(&path, text).unwrap();
    path
}

pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Connects to the server of that name, and shows a certificate where there is one. The handshake
/// comes with the first bytes.
pub fn connect(
    address: SocketAddr,
    name: &'static str,
    authority: &Path,
    own: Option<&Identity>,
) -> Secure {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    StreamOwned::new(session(name, authority, own), stream)
}

/// The same with `localhost`, on a connection that is there.
pub fn over(stream: TcpStream, authority: &Authority) -> Secure {
    StreamOwned::new(session("localhost", &authority.file(), None), stream)
}

/// The first words of a handshake.
pub fn client_hello(authority: &Authority) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut session = session("localhost", &authority.file(), None);
    session.write_tls(&mut hello).unwrap();
    hello
}

fn session(name: &'static str, authority: &Path, own: Option<&Identity>) -> ClientConnection {
    let certificates = |path: &Path| {
        let found = CertificateDer::pem_file_iter(path).unwrap();
        found.map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(authority));
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
            let chain = certificates(&own.certificate);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap()
}

pub struct Server {
    pub driver: Driver,
    pub place: TempDir,
}

impl Server {
    /// `members` are the driver file's own.
    pub fn try_with(members: &str) -> Result<Self, String> {
        let place = TempDir::new().unwrap();
        let log = place.path().join("log");
        let config = format!(
            "{{{members}, \"abi\": \"v2\", \"path-users\": {:?}, \
              \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\"}}}}",
            dialogue::users(),
        );
        let source = Source {
            config,
            guid: "::1".parse().unwrap(),
        };
        match Driver::open(source) {
            Some(driver) => Ok(Self { driver, place }),
            None => Err(fs::read_to_string(log).unwrap_or_default()),
        }
    }

    pub fn with(members: &str) -> Self {
        Self::try_with(members).unwrap_or_else(|log| panic!("{log}"))
    }

    pub fn try_start(interface: &str, tls: &str) -> Result<Self, String> {
        Self::try_with(&format!("\"interface\": {interface}, \"tls\": {{{tls}}}"))
    }

    pub fn start(tls: &str) -> Self {
        Self::try_start("\"stcp://127.0.0.1:0\"", tls).unwrap_or_else(|log| panic!("{log}"))
    }

    pub fn address(&self) -> SocketAddr {
        self.driver.addresses()[0]
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }
}

/// What openssl's client gets for some lines; it ends with QUIT, or when it is not let in.
pub fn openssl(
    address: SocketAddr,
    authority: &Path,
    more: &[&str],
    lines: &str,
) -> (bool, String) {
    let mut process = Command::new(need("openssl"))
        .args(["s_client", "-quiet", "-verify_return_error", "-connect"])
        .arg(address.to_string())
        .arg("-CAfile")
        .arg(authority)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    // It may have left already.
    let _ = input.write_all(format!("{lines}quit\r\n").as_bytes());
    let mut text = String::new();
    process
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (text.contains("+OK - Success."), format!("{text}{words}"))
}

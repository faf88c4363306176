//! A driver with TLS on its interface.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vscpl2drv_link::driver::{Driver, Source};

use super::certificates::Identity;
use super::dialogue;

/// Certificate and key in one file, as `tls.certificate` wants them.
pub fn joined(identity: &Identity) -> PathBuf {
    let path = identity.certificate.with_extension("both.pem");
    let mut text = fs::read_to_string(&identity.certificate).unwrap();
    text.push_str(&fs::read_to_string(&identity.key).unwrap());
    fs::write(&path, text).unwrap();
    path
}

fn config(interface: &str, tls: &str, log: &Path) -> String {
    format!(
        "{{\"interface\": {interface}, \"abi\": \"v2\", \"path-users\": {:?}, \"tls\": {{{tls}}}, \
          \"logging\": {{\"file-path\": {log:?}, \"file-pattern\": \"%l %v\"}}}}",
        dialogue::users(),
    )
}

pub struct Server {
    pub driver: Driver,
    pub place: TempDir,
}

impl Server {
    pub fn try_start(interface: &str, tls: &str) -> Result<Self, String> {
        let place = TempDir::new().unwrap();
        let log = place.path().join("log");
        let source = Source {
            config: config(interface, tls, &log),
            guid: "::1".parse().unwrap(),
        };
        match Driver::open(source) {
            Some(driver) => Ok(Self { driver, place }),
            None => Err(fs::read_to_string(log).unwrap_or_default()),
        }
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

//! What systemd is told about a service of `Type=notify`: sd_notify(3).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whoever started this program, where they want to know how it is.
pub(crate) struct Supervisor(Option<OsString>);

impl Supervisor {
    pub(crate) fn of_this_process() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET"))
    }

    /// It serves from now on.
    pub(crate) fn ready(&self) -> io::Result<()> {
        self.say("READY=1")
    }

    /// It is about to end.
    pub(crate) fn stopping(&self) -> io::Result<()> {
        self.say("STOPPING=1")
    }

    fn say(&self, state: &str) -> io::Result<()> {
        let Some(name) = &self.0 else {
            return Ok(());
        };
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(state.as_bytes(), &address(name)?)?;
        Ok(())
    }
}

/// A path, or after an `@` a name that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(name: OsString, socket: &UnixDatagram) -> Vec<String> {
        let supervisor = Supervisor(Some(name));
        supervisor.ready().unwrap();
        supervisor.stopping().unwrap();
        let mut buffer = [0; 64];
        let mut next = || {
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        vec![next(), next()]
    }

    #[test]
    fn a_supervisor_hears_of_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        assert_eq!(heard(path.into(), &socket), ["READY=1", "STOPPING=1"]);
        let hidden = format!("vscp-link-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&hidden).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let name = OsString::from(format!("@{hidden}"));
        assert_eq!(heard(name, &socket), ["READY=1", "STOPPING=1"]);
    }

    #[test]
    fn nobody_has_to_listen() {
        Supervisor(None).ready().unwrap();
        assert!(Supervisor(Some("/nowhere/notify".into())).ready().is_err());
    }
}

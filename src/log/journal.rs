//! systemd's journal, as a place that lines go to.

use std::io::{self, Write};

/// Where the journal listens.
#[cfg(unix)]
const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends what is written as one entry for each write.
#[derive(Debug)]
pub(super) struct Journal {
    #[cfg(unix)]
    socket: std::os::unix::net::UnixDatagram,
    #[cfg(unix)]
    place: std::path::PathBuf,
}

impl Journal {
    /// The journal of this machine.
    ///
    /// # Errors
    /// Where there is none.
    #[cfg(unix)]
    pub(super) fn open() -> io::Result<Self> {
        Self::at(SOCKET.as_ref())
    }

    /// A journal that listens there.
    #[cfg(unix)]
    fn at(place: &std::path::Path) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        // Not kept: one that begins anew is another socket at the same place.
        std::os::unix::net::UnixDatagram::unbound()?.connect(place)?;
        Ok(Self {
            socket,
            place: place.to_owned(),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Write for Journal {
    #[cfg(unix)]
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        self.socket.send_to(entry, &self.place)
    }

    #[cfg(not(unix))]
    fn write(&mut self, _entry: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn each_write_is_an_entry_also_for_a_journal_that_begins_anew() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        assert_eq!(
            Journal::at(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let mut entry = [0; 100];
        let first = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(&path).unwrap();
        for text in ["MESSAGE=one\n", "MESSAGE=two\n"] {
            journal.write_all(text.as_bytes()).unwrap();
            let length = first.recv(&mut entry).unwrap();
            assert_eq!(&entry[..length], text.as_bytes());
        }
        drop(first);
        assert!(journal.write_all(b"MESSAGE=lost\n").is_err());
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        journal.write_all(b"MESSAGE=three\n").unwrap();
        let length = second.recv(&mut entry).unwrap();
        assert_eq!(&entry[..length], b"MESSAGE=three\n");
    }
}

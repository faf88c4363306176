//! systemd's journal, as a place that lines go to.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends what is written as one entry for each write.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    place: PathBuf,
}

impl Journal {
    /// The journal of this machine.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    /// A journal that listens there.
    fn at(place: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // Not kept: one that begins anew is another socket at the same place.
        UnixDatagram::unbound()?.connect(place)?;
        Ok(Self {
            socket,
            place: place.to_owned(),
        })
    }
}

impl Write for Journal {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        self.socket.send_to(entry, &self.place)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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

//! A log file that is renamed when it has grown, `name.1.log` being the newest of the old ones.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::os::{Opening, Readers, open_own};

/// Writes whole lines to a file of bounded size, and keeps a bounded number of old ones.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    max_size: u64,
    max_files: u16,
    file: File,
    size: u64,
}

impl RotatingFile {
    /// Opens a file, and its directory where that is missing; what it holds stays.
    pub(super) fn open(path: &Path, max_size: u64, max_files: u16) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            max_size,
            max_files,
            file,
            size,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.max_files).rev() {
            // One that is not there is none to keep.
            let _ = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        if self.max_files > 0 {
            fs::rename(&self.path, self.numbered(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }

    /// `name.N.ext`.
    fn numbered(&self, number: u16) -> PathBuf {
        let mut name = OsString::from(self.path.file_stem().unwrap_or_default());
        name.push(format!(".{number}"));
        if let Some(ending) = self.path.extension() {
            name.push(".");
            name.push(ending);
        }
        self.path.with_file_name(name)
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.max_size {
            // A file that cannot be renamed is better than no log, as long as it lasts.
            if self.rotate().is_err() {
                self.size = 0;
            }
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Logs are not for everybody.
fn open(path: &Path) -> io::Result<File> {
    open_own(path, Opening::Append, Readers::Group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_when_full_and_keeps_so_many() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/er/link.log");
        let read = |name: &str| fs::read_to_string(path.with_file_name(name)).ok();
        let mut log = RotatingFile::open(&path, 10, 2).unwrap();
        for n in 0..9 {
            log.write_all(format!("line{n}\n").as_bytes()).unwrap();
        }
        assert_eq!(read("link.log").unwrap(), "line8\n");
        assert_eq!(read("link.1.log").unwrap(), "line7\n");
        assert_eq!(read("link.2.log").unwrap(), "line6\n");
        assert_eq!(read("link.3.log"), None);
        drop(log);
        let mut log = RotatingFile::open(&path, 12, 2).unwrap();
        log.write_all(b"line9\n").unwrap();
        assert_eq!(read("link.log").unwrap(), "line8\nline9\n");
        log.write_all(b"much longer than a file may be\n").unwrap();
        assert_eq!(read("link.1.log").unwrap(), "line8\nline9\n");
    }

    #[test]
    fn others_may_not_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("link.log");
        let _log = RotatingFile::open(&path, 10, 0).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }
}

//! Which layout the host's events have.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Which layout `vscpEvent` has in a host. Nothing in the interface tells; see
/// [`layout_of_host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Up to vscpd 15.0.4.
    Classic,
    /// From vscpd 15.1.
    V2,
}

/// A name that hosts with the new layout have in their text, stripped or not, and others lack.
const MARK: &[u8] = b"timestamp_ns";
/// Programs are read up to this size.
const MOST: u64 = 256 * 1024 * 1024;

/// Looks for the mark of the new layout in the host's program, and in libvscphelper where the
/// host has it loaded. Never in a driver: drivers of either kind may hold the mark.
#[must_use]
pub fn layout_of_host() -> Layout {
    let mut files = vec![PathBuf::from("/proc/self/exe")];
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        files.extend(helpers(&maps));
    }
    if files.iter().any(|file| holds_mark(file)) {
        Layout::V2
    } else {
        Layout::Classic
    }
}

/// The files of libvscphelper in a memory map.
fn helpers(maps: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("libvscphelper")
        })
        .map(Path::to_owned)
        .collect();
    found.dedup();
    found
}

fn holds_mark(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| find(file.take(MOST), MARK).unwrap_or(false))
}

/// True where `wanted` occurs in what is read.
fn find(mut file: impl Read, wanted: &[u8]) -> io::Result<bool> {
    let finder = memchr::memmem::Finder::new(wanted);
    let mut window = vec![0; 1 << 18];
    let mut kept = 0;
    loop {
        let count = file.read(&mut window[kept..])?;
        if count == 0 {
            return Ok(false);
        }
        let end = kept + count;
        if finder.find(&window[..end]).is_some() {
            return Ok(true);
        }
        kept = end.min(wanted.len() - 1);
        window.copy_within(end - kept..end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in small pieces.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn finds_the_mark_wherever_it_is_cut() {
        let text = [&[0_u8; 100][..], MARK, &[1; 50]].concat();
        for piece in 1..60 {
            assert!(find(Dribble(&text, piece), MARK).unwrap(), "{piece}");
            assert!(
                !find(Dribble(&text[..111], piece), MARK).unwrap(),
                "{piece}"
            );
        }
    }

    #[test]
    fn only_the_helper_counts() {
        let maps = "7f00-7f01 r-xp 0 08:01 1 /usr/lib/libvscphelper.so.15\n\
                    7f01-7f02 r--p 0 08:01 1 /usr/lib/libvscphelper.so.15\n\
                    7f03-7f04 r-xp 0 08:01 2 /var/lib/vscp/drivers/level2/libvscpl2drv-link.so\n\
                    7f05-7f06 rw-p 0 00:00 0 [heap]\n";
        assert_eq!(
            helpers(maps),
            [PathBuf::from("/usr/lib/libvscphelper.so.15")]
        );
    }
}

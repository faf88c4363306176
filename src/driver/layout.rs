//! Which layout the host's events have.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::os;

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
    let program = os::program().into_iter();
    let helpers = os::libraries().into_iter().filter(|path| is_helper(path));
    match program.chain(helpers).any(|file| holds_mark(&file)) {
        true => Layout::V2,
        false => Layout::Classic,
    }
}

/// True for `libvscphelper.so.15` and `vscphelper.dll`.
fn is_helper(path: &Path) -> bool {
    let name = os::file_name(path);
    name.strip_prefix("lib")
        .unwrap_or(&name)
        .starts_with("vscphelper")
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
        for (path, is) in [
            ("/usr/lib/libvscphelper.so.15", true),
            ("/opt/vscphelper.dll", true),
            ("/var/lib/vscp/drivers/level2/libvscpl2drv-link.so", false),
            ("/usr/lib/libvscphelper/x.so", false),
        ] {
            assert_eq!(is_helper(Path::new(path)), is, "{path}");
        }
    }
}

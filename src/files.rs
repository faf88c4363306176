//! How files look from outside, and when they have settled.

use std::path::PathBuf;
use std::time::Duration;

use crate::os::{Stamp, stamp};

/// A file has to stay the same for so long: it may be half written.
pub const SETTLE: Duration = Duration::from_millis(100);
/// One that never stays the same is read all the same.
const MOST_SETTLES: usize = 8;

/// How files looked once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
}

impl Seen {
    /// How they look now.
    #[must_use]
    pub fn now(files: &[PathBuf]) -> Self {
        Self {
            files: files.to_vec(),
            stamps: files.iter().map(|file| stamp(file)).collect(),
        }
    }

    /// True where they look the same now.
    #[must_use]
    pub fn is_still_so(&self) -> bool {
        *self == Self::now(&self.files)
    }
}

/// Looks until files that looked like `first` stay the same for [`SETTLE`].
pub async fn settled<L>(first: Seen, mut look: impl FnMut() -> L) -> Seen
where
    L: Future<Output = Seen>,
{
    let mut now = first;
    for _ in 0..MOST_SETTLES {
        tokio::time::sleep(SETTLE).await;
        let later = look().await;
        if later == now {
            break;
        }
        now = later;
    }
    now
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whatever_happens_to_a_file_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let [file, other] = ["file", "other"].map(|name| place.path().join(name));
        fs::write(&file, "one").unwrap();
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        let mut seen = Seen::now(&[file.clone(), other.clone()]);
        let mut is_seen = |what: &str| {
            assert!(!seen.is_still_so(), "{what}");
            seen = Seen::now(&[file.clone(), other.clone()]);
            assert!(seen.is_still_so());
        };
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        is_seen("another mode");
        // As long and as old as before.
        fs::write(&other, "two").unwrap();
        let copy = fs::File::options().append(true).open(&other).unwrap();
        copy.set_modified(written).unwrap();
        is_seen("another file");
        fs::rename(&other, &file).unwrap();
        is_seen("a file in its place");
        fs::remove_file(&file).unwrap();
        is_seen("none any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_for_ever_settles_all_the_same() {
        let other = |n: usize| Seen {
            files: vec![PathBuf::from(n.to_string())],
            stamps: vec![None],
        };
        let mut looks = 0;
        let last = settled(other(0), || {
            looks += 1;
            std::future::ready(other(looks))
        });
        assert_eq!(last.await, other(MOST_SETTLES));
        let mut looks = 0;
        let last = settled(other(0), || {
            looks += 1;
            std::future::ready(other(looks.min(3)))
        });
        assert_eq!(last.await, other(3));
        assert_eq!(looks, 4);
    }
}

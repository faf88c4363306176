use proptest::prelude::*;

use super::*;
use crate::event::Guid;
use crate::event::tests::any_event;
use crate::event::text::{Defaults, parse};

fn event(n: u32) -> Event {
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    parse(&format!("0,20,3,{n},,,::1,1,2,3"), &defaults).unwrap()
}

fn obids(kept: &Kept) -> Vec<u32> {
    kept.events.iter().map(|kept| kept.event.obid).collect()
}

#[tokio::test]
async fn what_is_secured_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b");
    let (spool, kept) = Spool::open(&place, true).unwrap();
    assert!(kept.events.is_empty());
    let numbers: Vec<u64> = (1..=500).map(|n| spool.put(&event(n), None)).collect();
    assert!(spool.secured().await);
    spool.remove(numbers[..100].iter().copied());
    spool.remove([numbers[250]]);
    spool.close();
    let (spool, kept) = Spool::open(&place, false).unwrap();
    let expected: Vec<u32> = (101..=500).filter(|&n| n != 251).collect();
    assert_eq!(obids(&kept), expected);
    // Numbers go on growing.
    assert!(spool.put(&event(501), None) > kept.events.last().unwrap().number);
    spool.remove(kept.events.iter().map(|kept| kept.number));
    drop(spool);
    let (_, kept) = Spool::open(&place, false).unwrap();
    assert_eq!(obids(&kept), [501]);
}

#[tokio::test]
async fn what_is_acknowledged_before_it_is_written_is_secure_too() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(folder.path(), false).unwrap();
    for n in 0..2000 {
        let number = spool.put(&event(n), None);
        spool.remove([number]);
        assert!(spool.secured().await);
    }
    drop(spool);
    let (_, kept) = Spool::open(folder.path(), false).unwrap();
    assert!(kept.events.is_empty());
}

#[tokio::test]
async fn one_folder_is_one_drivers() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(folder.path(), false).unwrap();
    let other = Spool::open(folder.path(), false);
    assert!(matches!(other, Err(SpoolError::InUse(_))), "{other:?}");
    drop(spool);
    assert!(Spool::open(folder.path(), false).is_ok());
}

#[test]
fn a_broken_file_is_kept_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), vec![7; 10_000]).unwrap();
    let (spool, kept) = Spool::open(folder.path(), false).unwrap();
    assert!(kept.events.is_empty());
    drop(spool);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let broken = names.iter().find(|name| name.contains("broken")).unwrap();
    assert_eq!(fs::read(folder.path().join(broken)).unwrap(), [7; 10_000]);
}

/// Whatever happens to the file: it is read, or set aside, and the driver starts.
#[test]
fn damage_is_no_reason_not_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(folder.path(), false).unwrap();
    for n in 0..3000 {
        spool.put(&event(n), None);
    }
    drop(spool);
    let good = fs::read(folder.path().join(FILE)).unwrap();
    // The database says on the host's standard error that it panics: no more often than needed.
    for (at, length) in [(0, 320), (320, 4096), (8192, 4096), (good.len() / 2, 8192)] {
        let place = tempfile::tempdir().unwrap();
        let mut bytes = good.clone();
        let end = (at + length).min(bytes.len());
        bytes[at..end].fill(0xA5);
        fs::write(place.path().join(FILE), bytes).unwrap();
        assert!(Spool::open(place.path(), false).is_ok(), "{at}");
    }
    for length in [0, 100, 4096, good.len() / 2] {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(FILE), &good[..length]).unwrap();
        assert!(Spool::open(place.path(), false).is_ok(), "{length}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Spool::open(&file.join("below"), false).unwrap_err();
    assert!(error.to_string().contains("file/below"), "{error}");
}

proptest! {
    #[test]
    fn records_go_there_and_back(event in any_event()) {
        prop_assume!(!event.guid.is_zero() && event.time.nanos() != 0);
        for tag in [None, Some(Tag { origin: 1, number: u64::MAX })] {
            let back = record::read(&record::write(&event, tag));
            prop_assert_eq!(back, Some((event.clone(), tag)));
        }
    }

    #[test]
    fn records_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = record::read(&bytes);
    }
}

#[tokio::test]
async fn notes_are_kept_and_numbers_never_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(folder.path(), false).unwrap();
    let numbers: Vec<u64> = (0..100).map(|n| spool.put(&event(n), None)).collect();
    let last = numbers[99];
    spool.remove(numbers);
    spool.note("who", b"me".to_vec());
    spool.note("who", b"somebody".to_vec());
    drop(spool);
    let (spool, kept) = Spool::open(folder.path(), false).unwrap();
    assert!(kept.events.is_empty());
    assert_eq!(kept.notes["who"], b"somebody");
    let next = spool.put(&event(1), None);
    // What was given in between may never have come to the disk.
    assert!(next > last + AHEAD / 2);
    // A note alone is written without waiting for the end.
    spool.note("more", vec![1]);
    spool.remove([next]);
    drop(spool);
    let (_, kept) = Spool::open(folder.path(), false).unwrap();
    assert_eq!(kept.notes.len(), 2);
}

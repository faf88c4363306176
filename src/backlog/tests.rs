use super::*;
use crate::event::text::{Defaults, parse};
use crate::event::{Guid, Tag};
use crate::hub::Origin;

fn event(n: u64) -> Arc<SharedEvent> {
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    let event = parse(&format!("0,20,3,{n},,,::1,1"), &defaults).unwrap();
    let tag = Tag {
        origin: 7,
        number: n,
    };
    SharedEvent::tagged(event, Some(Origin::of(3)), Some(tag))
}

fn obids(events: &[Numbered]) -> Vec<u32> {
    events.iter().map(|one| one.event.event().obid).collect()
}

#[test]
fn what_is_acknowledged_is_gone_and_the_rest_is_still_there() {
    let backlog = Backlog::in_memory(9);
    (1..=5).for_each(|n| backlog.put(event(n)));
    assert_eq!(
        (backlog.queue(), backlog.first(), backlog.len()),
        (9, Some(1), 5)
    );
    assert_eq!(obids(&backlog.after(0, 2)), [1, 2]);
    assert_eq!(obids(&backlog.after(2, 100)), [3, 4, 5]);
    assert_eq!(backlog.acknowledge(3), 3);
    assert_eq!(backlog.acknowledge(3), 0);
    assert_eq!(obids(&backlog.after(0, 100)), [4, 5]);
    assert_eq!(backlog.acknowledge(100), 2);
    assert!(backlog.is_empty());
    // Numbers go on.
    backlog.put(event(6));
    assert_eq!(backlog.first(), Some(6));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken() {
    let backlog = Arc::new(Backlog::in_memory(9));
    let waiting = {
        let backlog = Arc::clone(&backlog);
        tokio::spawn(async move { backlog.arrived_after(1).await })
    };
    tokio::task::yield_now().await;
    backlog.put(event(1));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "it has that one");
    backlog.put(event(2));
    waiting.await.unwrap();
    // Nobody waits for what is there.
    backlog.arrived_after(1).await;
}

#[test]
fn what_is_left_goes_on_with_its_numbers() {
    let before = Backlog::in_memory(9);
    (1..=5).for_each(|n| before.put(event(n)));
    before.acknowledge(2);
    before.hear(77, 1000);
    let left = before.take_all();
    assert_eq!((left.len(), before.len()), (3, 0));
    let backlog = Backlog::in_memory(10);
    backlog.put_back(left.clone());
    assert_eq!((backlog.queue(), backlog.first()), (9, Some(3)));
    assert_eq!((backlog.last(), backlog.len()), (5, 3));
    assert_eq!(backlog.heard_last(), (77, 1000));
    let third = &backlog.after(0, 1)[0].event;
    assert_eq!((third.tag(), third.event().obid), (event(3).tag(), 3));
    // Where it has begun already, they are others behind its own.
    let begun = Backlog::in_memory(11);
    begun.put(event(8));
    begun.put_back(left);
    assert_eq!(begun.queue(), 11);
    assert_eq!(obids(&begun.after(0, 100)), [8, 3, 4, 5]);
    assert_eq!(begun.last(), 4);
}

#[tokio::test]
async fn all_of_it_is_there_again_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("links/far");
    let open = |queue| Backlog::on_disk(&place, false, "me", queue).unwrap();
    let backlog = open(77);
    (1..=5).for_each(|n| backlog.put(event(n)));
    let first = backlog.first().unwrap();
    assert_eq!(backlog.last(), first + 4);
    assert_eq!(backlog.acknowledge(first + 1), 2);
    backlog.hear(5, 1000);
    assert!(!backlog.is_wanted());
    backlog.want();
    assert!(backlog.secured().await);
    backlog.note_heard();
    backlog.close();
    assert_eq!(Backlog::whose(&place).unwrap(), ("me".to_owned(), 3));
    let backlog = open(88);
    assert_eq!(backlog.queue(), 77, "it is the same queue");
    assert_eq!(obids(&backlog.after(0, 100)), [3, 4, 5]);
    let third = &backlog.after(0, 1)[0];
    assert_eq!(
        (third.number, third.event.tag()),
        (first + 2, event(3).tag())
    );
    assert_eq!((backlog.heard(5), backlog.heard(6)), (1000, 0));
    assert_eq!(backlog.heard_last(), (5, 1000));
    assert!(backlog.is_wanted());
    backlog.acknowledge(first + 4);
    backlog.put(event(6));
    // Whatever was given before and never came to the disk.
    assert!(backlog.first() > Some(first + 5));
    assert_eq!(backlog.first(), Some(backlog.last()));
    // What is taken out to be closed stays on the disk.
    assert_eq!(backlog.take_all().len(), 1);
    backlog.close();
    assert_eq!(obids(&open(1).after(0, 100)), [6]);
}

/// Whoever reads and acknowledges notices nothing, and nothing is left where it was.
#[tokio::test]
async fn what_waits_moves_with_its_numbers() {
    let place = tempfile::tempdir().unwrap();
    let [one, two] = ["one/far", "two/far"].map(|name| place.path().join(name));
    // What was left in a folder earlier has numbers of its own.
    let left = Backlog::on_disk(&two, false, "me", 55).unwrap();
    (91..=92).for_each(|n| left.put(event(n)));
    assert!(left.secured().await);
    left.close();
    drop(left);
    let backlog = Backlog::in_memory(77);
    (1..=5).for_each(|n| backlog.put(event(n)));
    backlog.acknowledge(1);
    backlog.hear(8, 1000);
    backlog.note_heard();
    backlog.hear(8, 1001);
    backlog.want();
    let move_to = |folder| backlog.move_to(folder, "me");
    assert_eq!(move_to(Some((&one, false))).await.unwrap(), 4);
    assert_eq!(backlog.place(), Some((one.clone(), false)));
    backlog.acknowledge(2);
    backlog.put(event(6));
    assert_eq!(move_to(Some((&one, true))).await.unwrap(), 4);
    assert_eq!(backlog.place(), Some((one.clone(), true)));
    assert_eq!(move_to(Some((&two, true))).await.unwrap(), 6);
    assert!(!one.exists(), "nothing is left");
    let numbers: Vec<u64> = backlog.after(0, 9).iter().map(|one| one.number).collect();
    assert_eq!(numbers[..3], [3, 4, 5]);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    backlog.put(event(7));
    assert!(backlog.last() > numbers[5]);
    // In use by itself: there is no other folder to be had, and all is as before.
    assert!(Backlog::on_disk(&two, true, "me", 1).is_err());
    let other = Backlog::on_disk(&one, true, "me", 1).unwrap();
    assert!(move_to(Some((&one, true))).await.is_err());
    assert_eq!(backlog.place(), Some((two.clone(), true)));
    other.close();
    // What has come to the disk is what there is, by its numbers, and once.
    assert!(backlog.secured().await);
    let last = backlog.last();
    drop(backlog);
    let backlog = Backlog::on_disk(&two, true, "me", 1).unwrap();
    assert_eq!((backlog.queue(), backlog.is_wanted()), (77, true));
    assert_eq!(backlog.heard_last(), (8, 1000), "no more was noted");
    assert_eq!(obids(&backlog.after(0, 9)), [3, 4, 5, 6, 91, 92, 7]);
    assert_eq!(backlog.up_to(last), 7);
    assert_eq!(backlog.move_to(None, "me").await.unwrap(), 7);
    assert_eq!((backlog.place(), two.exists()), (None, false));
    assert_eq!(obids(&backlog.after(5, 9)), [6, 91, 92, 7]);
    backlog.put(event(8));
    assert!(backlog.last() > last);
}

#[tokio::test]
async fn what_waits_in_another_folder_is_taken_over() {
    let place = tempfile::tempdir().unwrap();
    let [one, two] = ["one/far", "two/far"].map(|name| place.path().join(name));
    let before = Backlog::on_disk(&one, false, "me", 77).unwrap();
    (1..=3).for_each(|n| before.put(event(n)));
    before.hear(8, 1000);
    before.note_heard();
    before.want();
    before.put(event(4));
    assert!(before.secured().await);
    let backlog = Backlog::on_disk(&two, false, "me", 78).unwrap();
    backlog.put(event(9));
    assert!(backlog.take_over(&one).await.is_err(), "it is in use");
    drop(before);
    assert_eq!(backlog.take_over(&one).await.unwrap(), 4);
    assert!(!one.exists());
    assert_eq!(obids(&backlog.after(0, 9)), [9, 1, 2, 3, 4]);
    assert_eq!(
        (backlog.heard_last(), backlog.is_wanted()),
        ((8, 1000), true)
    );
}

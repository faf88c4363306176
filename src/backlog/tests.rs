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

use proptest::prelude::*;

use super::*;
use crate::event::text::{Defaults, parse};
use crate::event::{Event, Guid};

fn event(n: usize) -> Arc<SharedEvent> {
    let defaults = Defaults {
        now: 1,
        obid: 0,
        guid: Guid::ZERO,
    };
    let line = format!("0,20,3,{},,,-,{}", n + 1, vec!["1"; n % 5 + 1].join(","));
    SharedEvent::new(parse(&line, &defaults).unwrap(), None)
}

fn number(event: &Event) -> usize {
    event.obid as usize - 1
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Give,
    Take,
    Ack(usize),
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Add),
        1 => Just(Step::Give),
        4 => Just(Step::Take),
        4 => (0_usize..20).prop_map(Step::Ack),
        1 => Just(Step::Lose),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    /// Whatever happens in whatever order: nothing is lost, what is new comes in order, and
    /// the bounds hold.
    #[test]
    fn nothing_is_lost(steps in steps(), copies in 0_usize..4) {
        const MOST: usize = 30;
        const WINDOW: usize = 8;
        let mut outbox =
            Outbox::new(OutboxConfig { max_events: MOST, max_bytes: usize::MAX / 2 }, WINDOW);
        let mut added = 0;
        let mut settled = 0;
        let mut newest = None;
        // Serial and copies open, of what is in flight.
        let mut flight: Vec<(u64, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Add => {
                    let event = event(added);
                    let room = outbox.reserve(&event);
                    prop_assert_eq!(room, added - settled < MOST);
                    if room {
                        outbox.commit(event);
                        added += 1;
                    }
                }
                Step::Give => {
                    let event = event(added);
                    if outbox.reserve(&event) {
                        outbox.release(&event);
                    }
                }
                Step::Take => {
                    if let Some(taken) = outbox.take() {
                        let n = number(taken.event.event());
                        prop_assert_eq!(n, settled + flight.len());
                        prop_assert_eq!(taken.again, newest.is_some_and(|newest| n <= newest));
                        newest = newest.max(Some(n));
                        outbox.written(taken.serial, copies);
                        flight.push((taken.serial, copies));
                    }
                    prop_assert!(flight.len() <= WINDOW);
                }
                Step::Ack(at) => {
                    if let Some((serial, open)) = flight.get_mut(at)
                        && *open > 0
                    {
                        outbox.acknowledged(*serial);
                        *open -= 1;
                    }
                }
                Step::Lose => {
                    outbox.lost();
                    let done = flight.iter().take_while(|(_, open)| *open == 0).count();
                    settled += done;
                    flight.clear();
                }
            }
            let done = outbox.settle();
            prop_assert!(flight.iter().take(done).all(|(_, open)| *open == 0));
            flight.drain(..done);
            settled += done;
            prop_assert_eq!(outbox.len(), added - settled);
        }
        let rest: Vec<usize> =
            outbox.take_all().iter().map(|event| number(event.event())).collect();
        prop_assert_eq!(rest, (settled..added).collect::<Vec<_>>());
        prop_assert_eq!(outbox.held, Room::default());
        prop_assert_eq!(outbox.reserved, Room::default());
    }
}

#[test]
fn bytes_are_bounded() {
    let weight = event(0).weight();
    let most = OutboxConfig {
        max_events: 100,
        max_bytes: 3 * weight,
    };
    let mut outbox = Outbox::new(most, 8);
    for _ in 0..3 {
        assert!(outbox.reserve(&event(0)));
    }
    assert!(!outbox.reserve(&event(0)));
    outbox.release(&event(0));
    assert!(outbox.reserve(&event(0)));
}

#[test]
fn nothing_settles_before_it_is_written() {
    let most = OutboxConfig::default();
    let mut outbox = Outbox::new(most, 8);
    assert!(outbox.reserve(&event(0)));
    assert!(outbox.commit(event(0)));
    let taken = outbox.take().unwrap();
    assert_eq!(outbox.settle(), 0);
    outbox.lost();
    let again = outbox.take().unwrap();
    assert!(again.again && again.serial > taken.serial);
    // An acknowledgement of the connection before means nothing.
    outbox.acknowledged(taken.serial);
    outbox.written(again.serial, 1);
    assert_eq!(outbox.settle(), 0);
    outbox.acknowledged(again.serial);
    assert_eq!(outbox.settle(), 1);
    assert_eq!(outbox.len(), 0);
}

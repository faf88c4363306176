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

fn outbox(events: usize, window: usize, outlets: u8) -> Outbox {
    let most = Room {
        events,
        bytes: usize::MAX / 2,
    };
    Outbox::new(most, window, outlets.into())
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Give,
    Take,
    Done(usize, u8, bool),
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Add),
        1 => Just(Step::Give),
        4 => Just(Step::Take),
        6 => (0_usize..10, 0_u8..4, prop::bool::weighted(0.1))
            .prop_map(|(at, outlet, rejected)| Step::Done(at, outlet, rejected)),
        1 => Just(Step::Lose),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    /// Whatever happens in whatever order: nothing is lost, what is new comes in order, each copy
    /// that is done stays done, and the bounds hold.
    #[test]
    fn nothing_is_lost(steps in steps(), outlets in 0_u8..4) {
        const MOST: usize = 30;
        const WINDOW: usize = 8;
        let mut outbox = outbox(MOST, WINDOW, outlets);
        let mut added = 0;
        let mut settled = 0;
        let mut flown = 0;
        let mut rejected = 0;
        // What is done of each event that is here, and whether it was rejected.
        let mut model: VecDeque<(u64, bool)> = VecDeque::new();
        let mut flight = 0;
        for step in steps {
            match step {
                Step::Add => {
                    let event = event(added);
                    let room = outbox.reserve(&event);
                    prop_assert_eq!(room, added - settled < MOST);
                    if room {
                        outbox.commit(event, Some(added as u64));
                        model.push_back((0, false));
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
                    let could = outbox.can_take();
                    prop_assert_eq!(outbox.take(), could);
                    if could {
                        let flying = outbox.flying(outbox.first() + flight as u64).unwrap();
                        flight += 1;
                        let n = number(flying.event.event());
                        prop_assert_eq!(n, settled + flight - 1);
                        prop_assert_eq!(flying.again, n < flown);
                        flown = flown.max(n + 1);
                    }
                    prop_assert!(flight <= WINDOW);
                }
                Step::Done(at, outlet, reject) => {
                    let copy = Copy { serial: outbox.first() + at as u64, outlet };
                    outbox.done(copy, reject);
                    if at < flight {
                        model[at].0 |= 1 << outlet;
                        model[at].1 |= reject;
                        prop_assert!(outbox.flying(copy.serial).unwrap().has(outlet));
                    }
                }
                Step::Lose => {
                    outbox.lost();
                    flight = 0;
                }
            }
            let gone = outbox.settle(1);
            let all = (1_u64 << outlets) - 1;
            let mut numbers = Vec::new();
            let mut bad = 0;
            while flight > 0 && model[0].0 & all == all {
                bad += u64::from(model.pop_front().unwrap().1);
                numbers.push(settled as u64);
                flight -= 1;
                settled += 1;
            }
            rejected += bad;
            prop_assert_eq!(gone.rejected, bad);
            prop_assert_eq!(gone.delivered + gone.rejected, numbers.len() as u64);
            prop_assert_eq!(gone.numbers, numbers);
            prop_assert_eq!(outbox.held().events, added - settled);
        }
        prop_assert!(rejected as usize <= settled);
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
    let most = Room {
        events: 100,
        bytes: 3 * weight,
    };
    let mut outbox = Outbox::new(most, 8, 1);
    for _ in 0..3 {
        assert!(outbox.reserve(&event(0)));
    }
    assert!(!outbox.reserve(&event(0)));
    outbox.release(&event(0));
    assert!(outbox.reserve(&event(0)));
}

#[test]
fn an_acknowledgement_of_a_session_before_means_nothing() {
    let mut outbox = outbox(10, 8, 1);
    assert!(outbox.reserve(&event(0)));
    assert!(outbox.commit(event(0), None));
    assert!(outbox.take());
    let before = outbox.first();
    assert_eq!(outbox.settle(1), Settled::default());
    outbox.lost();
    assert!(outbox.take());
    assert!(outbox.first() > before);
    outbox.done(
        Copy {
            serial: before,
            outlet: 0,
        },
        false,
    );
    assert_eq!(outbox.settle(1), Settled::default());
    outbox.done(
        Copy {
            serial: outbox.first(),
            outlet: 0,
        },
        false,
    );
    assert_eq!(outbox.settle(1).delivered, 1);
    assert_eq!(outbox.held(), Room::default());
}

#[test]
fn sixty_four_topics() {
    let mut outbox = outbox(10, 8, 64);
    assert!(outbox.reserve(&event(0)));
    outbox.commit(event(0), None);
    outbox.take();
    for outlet in 0..64 {
        assert_eq!(outbox.settle(1).delivered, 0);
        outbox.done(Copy { serial: 0, outlet }, false);
    }
    assert_eq!(outbox.settle(1).delivered, 1);
}

#[test]
fn a_narrow_window_lets_what_flies_land() {
    let mut outbox = outbox(10, 5, 1);
    for n in 0..3 {
        let event = event(n);
        assert!(outbox.reserve(&event));
        outbox.commit(event, None);
    }
    assert!(outbox.take());
    outbox.narrow(0);
    assert!(!outbox.take() && !outbox.can_take());
    assert_eq!(outbox.in_flight(), 1);
    outbox.done(Copy::first_of(0), false);
    assert_eq!(outbox.settle(1).delivered, 1);
    assert_eq!((outbox.in_flight(), outbox.held().events), (0, 2));
}

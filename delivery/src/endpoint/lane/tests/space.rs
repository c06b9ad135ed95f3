//! Tests of lanes that share space.

use super::*;

#[test]
fn what_finds_no_space_is_handed_over_when_another_lane_has_left_some() {
    // given two lanes with space for three events, of which the first one has two
    let in_flight = InFlight { events_max: 8, events_per_key_max: 8 };
    let space = Space::new(3 * EVENT_BYTES);
    let now = Instant::now();
    let [mut first, mut second] = [0, 1].map(|_| {
        let mut lane = Lane::new(POLICY, in_flight, space.share());
        (0..3).for_each(|number| lane.push(delivery("a", number), now));
        lane
    });
    let taken: Vec<_> = std::iter::from_fn(|| first.next(now, false)).collect();
    assert_eq!((taken.len(), first.lacks_space()), (2, true));
    assert!(second.next(now, false).is_some());
    assert!(second.next(now, false).is_none() && second.lacks_space());
    // when they are answered
    let mut settled = Vec::new();
    for Submission { token, .. } in taken {
        first.answer(Outcome { token, verdict: Verdict::Delivered }, now, &mut settled);
    }
    // then the second one goes on, and what a sink had that is replaced is free again
    assert!(second.next(now, false).is_some() && !second.lacks_space());
    second.restart(in_flight, now, &mut settled);
    assert_eq!(space.share().free(false), u64::MAX);
}

#[test]
fn a_large_event_without_space_does_not_hold_up_the_keys_behind_it() {
    // given a lane with a large event before a small one of another key, and all space taken by others
    let space = Space::new(3 * EVENT_BYTES);
    let mut others = space.share();
    others.hold(3 * EVENT_BYTES);
    let now = Instant::now();
    let mut lane = Lane::new(POLICY, MANY_PER_KEY, space.share());
    lane.push(delivery("large", 1), now);
    let mut small = delivery("small", 2);
    Arc::make_mut(&mut small.event).data = Bytes::from_static(b"{}");
    lane.push(small, now);

    // then the small one is handed over, and the large one waits
    let handed_over = lane.next(now, false).map(|submission| submission.event.partition_key.to_string());
    assert_eq!(handed_over.as_deref(), Some("small"));
    assert!(lane.next(now, false).is_none() && lane.lacks_space());

    // until there is space
    others.hold(0);
    assert!(lane.next(now, false).is_some() && !lane.lacks_space());
}

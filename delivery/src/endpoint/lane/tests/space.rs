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

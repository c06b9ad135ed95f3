//! Tests of events that the lane gives up.

use std::time::Duration;

use super::super::LanePolicy;
use super::*;
use crate::endpoint::lane::tests::{GIVES_UP, MANY_PER_KEY, ONE_PER_KEY, POLICY, Scene};
use crate::endpoint::lane::tests::{delivery, error, numbers, retryable, token};
use crate::settlement::LeaseId;
use crate::sink::Verdict;

const MINUTE: Duration = Duration::from_secs(60);

fn permanent() -> Verdict {
    Verdict::Permanent(error(true))
}

impl Scene {
    /// Hands over the only event that can be, and answers.
    fn refuse(&mut self, verdict: Verdict) -> Option<RefusalKind> {
        self.pass(MINUTE);
        let handed_over = self.hand_over();
        self.answer(handed_over.first().map_or(0, |(token, _)| *token), verdict)
    }

    fn ended(&mut self) -> Option<Ended> {
        self.lane.next_ended(self.now)
    }
}

#[test]
fn a_key_rests_until_its_front_is_ended_and_the_others_go_on() {
    // given three of a key at the sink, and one of another
    let mut scene = Scene::under(GIVES_UP, MANY_PER_KEY, &[("a", 1), ("a", 2), ("b", 3)]);
    let first = scene.hand_over();

    // when the first is refused for good, while the one behind it is open
    assert_eq!(scene.answer(token(&first, 1), permanent()), Some(RefusalKind::Ends));
    assert!(scene.ended().is_none());
    scene.answer(token(&first, 2), Verdict::Retryable(error(false)));
    scene.answer(token(&first, 3), Verdict::Delivered);

    // then it is to be ended, once, and nothing of its key goes out
    let ended = scene.ended().unwrap();
    assert_eq!((&*ended.delivery.event.sequence, ended.attempts.count), ("1", 1));
    assert!(scene.ended().is_none());
    scene.lane.push(delivery("a", 4), scene.now);
    scene.pass(MINUTE);
    assert_eq!(numbers(&scene.hand_over()), [0_u32; 0]);
    assert!(!scene.lane.has_setbacks());

    // when it is, the key goes on in order
    assert!(scene.lane.settle_ended(ended.token, &mut scene.settled));
    assert_eq!(scene.settled(), [3, 1]);
    assert_eq!(numbers(&scene.hand_over()), [2, 4]);
    assert!(!scene.lane.settle_ended(ended.token, &mut scene.settled));
}

#[test]
fn attempts_are_used_up_by_answers_about_the_event_alone() {
    let mut scene = Scene::under(GIVES_UP, ONE_PER_KEY, &[("a", 1)]);
    // given twice an answer about the event, and others that are not
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Retried));
    for _ in 0..20 {
        assert_eq!(scene.refuse(Verdict::Retryable(error(false))), Some(RefusalKind::Retried));
        scene.lane.reachable();
    }
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Retried));
    assert!(scene.ended().is_none());

    // when the third one comes, there are no more
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Ends));
    assert_eq!(scene.ended().map(|ended| ended.attempts.count), Some(3));
}

#[test]
fn the_time_to_live_runs_from_the_first_attempt_and_no_event_expires_untried() {
    // given an event that waited for a destination out of reach for longer than it may live
    let policy = LanePolicy { time_to_live: 10 * MINUTE, attempts_max: u32::MAX, ..GIVES_UP };
    let mut scene = Scene::under(policy, ONE_PER_KEY, &[("a", 1)]);
    for _ in 0..20 {
        scene.refuse(Verdict::Retryable(error(false)));
        scene.lane.reachable();
    }

    // when it is refused, then it is tried for as long from then on
    for _ in 0..10 {
        assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Retried));
    }
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Ends));
}

#[test]
fn where_the_policy_is_to_block_a_used_up_event_blocks() {
    let policy = LanePolicy { attempts_max: 2, ..POLICY };
    let mut scene = Scene::under(policy, ONE_PER_KEY, &[("a", 1), ("a", 2)]);
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Retried));
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::Blocks));
    assert_eq!(scene.lane.wake_at(), Some(scene.now + POLICY.blocked_retry));
    assert_eq!(scene.refuse(retryable()), Some(RefusalKind::StillBlocks));
    assert!(scene.ended().is_none());
    scene.refuse(Verdict::Delivered);
    assert_eq!(scene.settled(), [1]);
}

#[test]
fn what_cannot_be_ended_blocks_its_key_and_comes_again_after_a_wait() {
    // given an event whose dead letter could not be written
    let mut scene = Scene::under(GIVES_UP, ONE_PER_KEY, &[("a", 1)]);
    scene.refuse(permanent());
    let ended = scene.ended().unwrap();
    scene.lane.keep_ended(ended.token, scene.now);

    // then its partition counts as blocked, and it comes again
    assert!(scene.lane.has_setbacks());
    assert_eq!(scene.lane.blocked_partitions().into_iter().collect::<Vec<_>>(), [7]);
    scene.pass(MINUTE);
    let again = scene.ended().unwrap();
    assert_eq!(again.token, ended.token);
    assert!(scene.ended().is_none());
    scene.lane.settle_ended(again.token, &mut scene.settled);
    assert!(!scene.lane.has_setbacks() && scene.lane.is_empty());
}

#[test]
fn what_is_given_up_is_tried_once_more_when_something_was_mended() {
    let mut scene = Scene::under(GIVES_UP, ONE_PER_KEY, &[("a", 1), ("a", 2)]);
    scene.refuse(permanent());
    let ended = scene.ended().unwrap();

    // when the endpoint is changed while the letter is being written
    scene.lane.try_ended_again();

    // then the letter settles nothing, and the event is delivered
    assert!(!scene.lane.settle_ended(ended.token, &mut scene.settled));
    assert_eq!(scene.refuse(Verdict::Delivered), None);
    assert_eq!(scene.settled(), [1]);
    assert_eq!(numbers(&scene.hand_over()), [2]);
}

#[test]
fn an_event_of_a_lease_that_is_over_is_not_ended_here() {
    let mut scene = Scene::under(GIVES_UP, ONE_PER_KEY, &[("a", 1), ("b", 2)]);
    let first = scene.hand_over();
    scene.answer(token(&first, 1), permanent());
    scene.answer(token(&first, 2), permanent());
    let ended = scene.ended().unwrap();
    scene.lane.forget(|lease| lease == LeaseId(1));
    assert!(scene.ended().is_none());
    assert!(!scene.lane.settle_ended(ended.token, &mut scene.settled));
    scene.lane.keep_ended(ended.token, scene.now);
    assert!(!scene.lane.has_setbacks() && scene.lane.is_empty());
}

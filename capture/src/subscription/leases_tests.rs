//! Tests of the leases.

use super::*;

const A: ConsumerKey = ConsumerKey(1);
const B: ConsumerKey = ConsumerKey(2);
const C: ConsumerKey = ConsumerKey(3);
const DEADLINE: Duration = Duration::from_secs(10);

fn leases() -> (Leases, Instant) {
    (Leases::new(8, 7, DEADLINE), Instant::now())
}

fn counts(leases: &Leases) -> [usize; 3] {
    [A, B, C].map(|key| leases.kept_by(key).count())
}

fn told(rebalance: &Rebalance, key: ConsumerKey) -> Option<&Assignment> {
    rebalance.assignments.iter().find(|(to, _)| *to == key).map(|(_, assignment)| assignment)
}

#[test]
fn the_first_consumer_gets_everything() {
    let (mut leases, now) = leases();
    let rebalance = leases.join(A, None, now);
    assert_eq!(told(&rebalance, A).map(|assignment| assignment.granted.len()), Some(8));
    assert_eq!(counts(&leases), [8, 0, 0]);
}

#[test]
fn a_partition_moves_only_after_it_was_released() {
    // given one consumer that holds everything
    let (mut leases, now) = leases();
    leases.join(A, None, now);

    // when another joins, then half is revoked, and nothing granted yet
    let rebalance = leases.join(B, None, now);
    assert_eq!(told(&rebalance, A).map(|assignment| assignment.revoked.len()), Some(4));
    assert_eq!(told(&rebalance, B), None);
    assert_eq!(counts(&leases), [4, 0, 0]);

    // when the first answers, then the other gets it, with later epochs
    let rebalance = leases.released(A, 2, now).unwrap_or_default();
    let granted = told(&rebalance, B).map(|assignment| assignment.granted.clone()).unwrap_or_default();
    assert_eq!(granted.len(), 4);
    assert_eq!(rebalance.freed.len(), 4);
    assert!(granted.iter().all(|(_, epoch)| epoch.counter > 8), "{granted:?}");
    assert_eq!(counts(&leases), [4, 4, 0]);
}

#[test]
fn a_partition_that_is_not_released_moves_at_the_deadline() {
    let (mut leases, now) = leases();
    leases.join(A, None, now);
    leases.join(B, None, now);
    let early = leases.expire(now + DEADLINE / 2);
    assert!(early.freed.is_empty());
    let late = leases.expire(now + DEADLINE);
    assert_eq!(late.freed.len(), 4);
    assert_eq!(counts(&leases), [4, 4, 0]);
    assert!(leases.released(A, 2, now).is_none(), "an answer after the deadline changes nothing");
}

#[test]
fn what_a_lost_consumer_held_is_shared_and_nothing_else_moves() {
    let (mut leases, now) = leases();
    leases.join(A, None, now);
    leases.join(B, None, now);
    leases.released(A, 2, now);
    let before: Vec<u32> = leases.kept_by(B).collect();

    let rebalance = leases.leave(A, now);

    assert_eq!(counts(&leases), [0, 8, 0]);
    assert_eq!(told(&rebalance, B).map(|assignment| assignment.revoked.len()), Some(0));
    assert!(before.iter().all(|partition| leases.kept_by(B).any(|kept| kept == *partition)));
}

#[test]
fn a_draining_consumer_gives_everything_back_and_gets_nothing() {
    let (mut leases, now) = leases();
    leases.join(A, None, now);
    let rebalance = leases.drain(A, now);
    assert_eq!(told(&rebalance, A).map(|assignment| assignment.revoked.len()), Some(8));
    let rebalance = leases.released(A, 2, now).unwrap_or_default();
    assert_eq!(rebalance.freed.len(), 8);
    assert_eq!(told(&rebalance, A), None);
}

#[test]
fn a_revoke_is_answered_before_the_next_one_is_sent() {
    let (mut leases, now) = leases();
    leases.join(A, None, now);
    leases.join(B, None, now);
    let rebalance = leases.join(C, None, now);
    assert_eq!(told(&rebalance, A), None);
    let rebalance = leases.released(A, 2, now).unwrap_or_default();
    assert_eq!(told(&rebalance, A).map(|assignment| assignment.revoked.len()), Some(1));
    leases.released(A, 3, now);
    assert_eq!(counts(&leases), [3, 3, 2]);
}

//! Tests of the subscription: what is sent to whom, and what may be confirmed.

mod laws;
mod model;

use std::time::Duration;

use twinroute_common::event::{Discontinuity, EntityKind, EventData, Operation};
use twinroute_common::position::Position;

use super::*;

const BOUNDS: Bounds = Bounds {
    partition_count: 4,
    frame_events_max: 100,
    frame_bytes_max: 100_000,
    unacked_events_max: 10,
    unacked_bytes_max: 1_000_000,
    unconfirmed_wal_bytes_max: 1_000,
    revoke_deadline: Duration::from_secs(10),
    unacked_age_max: Duration::from_secs(60),
};

fn subscription() -> (Subscription, Instant) {
    (Subscription::new(BOUNDS, 1, Lsn(0), 0), Instant::now())
}

fn event(key: &str, lsn: u64) -> Item {
    Item::Event(EventData {
        position: Position { incarnation: 1, commit_lsn: Lsn(lsn), change_lsn: Lsn(lsn), ordinal: 0 },
        operation: Operation::Update,
        kind: EntityKind::Twin,
        graph: "g".to_owned(),
        label: "Twin".to_owned(),
        entity_id: key.to_owned(),
        ordering_key: key.to_owned(),
        old: None,
        new: None,
        commit_time_us: 0,
        xid: 0,
        traceparent: String::new(),
    })
}

/// All batches that a consumer is sent now.
fn batches(subscription: &mut Subscription, key: ConsumerKey) -> Vec<OutBatch> {
    let mut sent = Vec::new();
    while let Some(frame) = subscription.next_frame(key) {
        if let OutFrame::Batches(batches) = frame {
            sent.extend(batches);
        }
    }
    sent
}

fn lsns(batches: &[OutBatch]) -> Vec<u64> {
    batches.iter().flat_map(|batch| &batch.items).map(|item| item.position().commit_lsn.0).collect()
}

fn ack(subscription: &mut Subscription, key: ConsumerKey, batches: &[OutBatch], now: Instant) {
    let acks = batches.iter().map(|batch| (batch.partition, batch.epoch, batch.batch));
    assert_eq!(subscription.ack(key, acks, now), Ok(()));
}

#[test]
fn nothing_is_sent_without_credit_and_no_more_than_it_allows() {
    // given three events and a consumer
    let (mut subscription, now) = subscription();
    subscription.push(vec![event("a", 10), event("a", 20), event("a", 30)], now);
    let consumer = subscription.join("one", now);

    // then it is sent what its credit allows
    assert_eq!(lsns(&batches(&mut subscription, consumer)), [] as [u64; 0]);
    subscription.credit(consumer, 2, 1_000_000);
    assert_eq!(lsns(&batches(&mut subscription, consumer)), [10, 20]);
    subscription.credit(consumer, 10, 0);
    assert_eq!(lsns(&batches(&mut subscription, consumer)), [30]);
}

#[test]
fn one_frame_carries_batches_of_several_partitions() {
    let (mut subscription, now) = subscription();
    let items = (0..40_u64).map(|twin| event(&format!("twin-{twin}"), twin + 1)).collect();
    subscription.push(items, now);
    let consumer = subscription.join("one", now);
    subscription.credit(consumer, 1_000, 1_000_000);
    assert!(matches!(subscription.next_frame(consumer), Some(OutFrame::Assignment { .. })));
    let Some(OutFrame::Batches(frame)) = subscription.next_frame(consumer) else { panic!("no batches") };
    assert_eq!(frame.len(), 4);
    assert!(frame.iter().all(|batch| batch.batch == 1));
    assert_eq!(lsns(&frame).len(), 40);
}

#[test]
fn what_a_lost_consumer_did_not_acknowledge_is_sent_to_the_next_one_in_order() {
    // given a consumer that has acknowledged one of three events
    let (mut subscription, now) = subscription();
    subscription.push(vec![event("a", 10)], now);
    subscription.commit(Lsn(11), now);
    let lost = subscription.join("lost", now);
    subscription.credit(lost, 1_000, 1_000_000);
    let first = batches(&mut subscription, lost);
    ack(&mut subscription, lost, &first, now);
    subscription.push(vec![event("a", 20), event("a", 30)], now);
    subscription.commit(Lsn(31), now);
    let second = batches(&mut subscription, lost);

    // when it is gone and another one comes
    subscription.leave(lost, now);
    let next = subscription.join("next", now);
    subscription.credit(next, 1_000, 1_000_000);

    // then that one gets the other two, under a later epoch, and only its acks count
    let again = batches(&mut subscription, next);
    assert_eq!(lsns(&again), [20, 30]);
    assert!(again[0].epoch > second[0].epoch);
    ack(&mut subscription, lost, &second, now);
    assert_eq!(subscription.confirmed(), Lsn(11));
    ack(&mut subscription, next, &again, now);
    assert_eq!(subscription.confirmed(), Lsn(31));
}

#[test]
fn an_ack_of_an_epoch_that_is_over_is_answered_and_changes_nothing() {
    let (mut subscription, now) = subscription();
    subscription.push(vec![event("a", 10)], now);
    let consumer = subscription.join("one", now);
    subscription.credit(consumer, 1_000, 1_000_000);
    let sent = batches(&mut subscription, consumer);
    let old = Epoch { generation: 0, counter: 1 };
    let late = subscription.ack(consumer, [(sent[0].partition, old, 1)].into_iter(), now);
    assert_eq!(late, Ok(()));
    assert!(matches!(subscription.next_frame(consumer), Some(OutFrame::Fenced(fenced)) if fenced.len() == 1));
    assert_eq!(subscription.unacked().events, 1);
}

#[test]
fn acks_of_what_was_never_sent_break_the_protocol() {
    let (mut subscription, now) = subscription();
    subscription.push(vec![event("a", 10)], now);
    let consumer = subscription.join("one", now);
    subscription.credit(consumer, 1_000, 1_000_000);
    let sent = batches(&mut subscription, consumer);
    let (partition, epoch) = (sent[0].partition, sent[0].epoch);
    let ahead = subscription.ack(consumer, [(partition, epoch, 2)].into_iter(), now);
    assert_eq!(ahead, Err(ProtocolError::AckAheadOfSent { partition, batch: 2, last_sent: 1 }));
    let unknown = subscription.ack(consumer, [(99, epoch, 1)].into_iter(), now);
    assert_eq!(unknown, Err(ProtocolError::UnknownPartition { partition: 99, partition_count: 4 }));
    let released = subscription.released(consumer, 7, now);
    assert_eq!(released, Err(ProtocolError::UnknownAssignment { assignment_id: 7 }));
}

#[test]
fn a_hole_is_put_into_every_partition_and_confirmed_when_all_have_acknowledged_it() {
    let (mut subscription, now) = subscription();
    let position = Position { incarnation: 1, commit_lsn: Lsn(10), ..Position::default() };
    let reason = "a table was truncated".to_owned();
    let gap = Discontinuity { position, last_known: None, first_new: None, reason };
    subscription.push(vec![Item::Discontinuity(gap)], now);
    subscription.commit(Lsn(11), now);
    let consumer = subscription.join("one", now);
    subscription.credit(consumer, 1_000, 1_000_000);
    let sent = batches(&mut subscription, consumer);
    assert_eq!(sent.len(), 4);
    ack(&mut subscription, consumer, &sent[..3], now);
    assert_eq!(subscription.confirmed(), Lsn(0));
    ack(&mut subscription, consumer, &sent[3..], now);
    assert_eq!(subscription.confirmed(), Lsn(11));
}

#[test]
fn reading_stops_at_the_bounds_but_a_transaction_is_read_to_its_end() {
    let (mut subscription, now) = subscription();
    assert!(subscription.may_read(false));
    // when too much is un-acknowledged, then nothing is read
    subscription.push((1..=10).map(|lsn| event("a", lsn)).collect(), now);
    assert!(!subscription.may_read(true));
    // when reading is far ahead of what is confirmed, then only an open transaction is read on
    let (mut subscription, now) = self::subscription();
    subscription.push(vec![event("a", 10)], now);
    subscription.commit(Lsn(2_000), now);
    assert!(!subscription.may_read(false));
    assert!(subscription.may_read(true));
}

#[test]
fn a_second_stream_with_the_same_name_takes_over() {
    let (mut subscription, now) = subscription();
    let first = subscription.join("one", now);
    let second = subscription.join("one", now);
    assert!(!subscription.has(first));
    assert!(subscription.partitions().iter().all(|view| view.holder.is_some()));
    assert!(matches!(subscription.next_frame(second), Some(OutFrame::Assignment { .. })));
}

#[test]
fn acks_before_one_that_breaks_the_protocol_are_confirmed() {
    let (mut subscription, now) = subscription();
    subscription.push(vec![event("a", 10)], now);
    subscription.commit(Lsn(11), now);
    let consumer = subscription.join("one", now);
    subscription.credit(consumer, 1_000, 1_000_000);
    let sent = batches(&mut subscription, consumer);
    let (partition, epoch) = (sent[0].partition, sent[0].epoch);
    let broken = subscription.ack(consumer, [(partition, epoch, 1), (partition, epoch, 9)].into_iter(), now);
    assert!(broken.is_err());
    assert_eq!(subscription.confirmed(), Lsn(11));
}

#[test]
fn a_stream_that_takes_another_ones_place_gets_its_partitions_and_nothing_else_moves() {
    // given two consumers that share the partitions
    let (mut subscription, now) = subscription();
    let first = subscription.join("one", now);
    let other = subscription.join("other", now);
    assert_eq!(subscription.released(first, 2, now), Ok(()));
    let held = |subscription: &Subscription| {
        subscription.partitions().into_iter().map(|view| view.holder.map(|(id, _)| id)).collect::<Vec<_>>()
    };
    let before = held(&subscription);
    while subscription.next_frame(other).is_some() {}

    // when one of them connects again before its former stream is given up
    subscription.join("one", now);

    // then it has what it had, and the other one hears nothing of it
    assert_eq!(held(&subscription), before);
    assert!(subscription.next_frame(other).is_none());
}

#[test]
fn a_consumer_that_acknowledges_nothing_while_others_do_is_stuck_and_one_that_is_alone_is_not() {
    // given two consumers with events in hand
    let (mut subscription, now) = subscription();
    let stuck = subscription.join("stuck", now);
    let works = subscription.join("works", now);
    assert_eq!(subscription.released(stuck, 2, now), Ok(()));
    for consumer in [stuck, works] {
        subscription.credit(consumer, 1_000, 1_000_000);
    }
    let mut now = now;
    let mut work = |subscription: &mut Subscription, seconds: u64| {
        for _ in 0..seconds {
            now += Duration::from_secs(1);
            let items = (0..8).map(|twin| event(&format!("twin-{twin}"), twin + 1)).collect();
            subscription.push(items, now);
            let sent = batches(subscription, works);
            assert!(!sent.is_empty());
            ack(subscription, works, &sent, now);
        }
    };
    work(&mut subscription, 1);
    assert!(!batches(&mut subscription, stuck).is_empty());

    // when only one acknowledges, from its first ack on for as long as that is borne
    work(&mut subscription, 60);
    assert!(!subscription.is_stuck(stuck));
    work(&mut subscription, 1);

    // then the other one is stuck, unless nobody could take its partitions
    assert!(subscription.is_stuck(stuck) && !subscription.is_stuck(works));
    subscription.leave(works, now);
    assert!(!subscription.is_stuck(stuck));
}

//! Tests of the settlement.

use proptest::prelude::*;

use super::*;

const EPOCH: Epoch = Epoch { generation: 1, counter: 1 };

fn item(lease: LeaseId, batch: u64, item: u32) -> ItemRef {
    ItemRef { lease, batch, item, partition: 3 }
}

fn ack(batch: u64) -> BatchAck {
    BatchAck { partition: 3, epoch: EPOCH, batch }
}

fn with_batches(sizes: &[u64]) -> (Settlement, LeaseId) {
    let mut settlement = Settlement::default();
    let lease = settlement.grant(3, EPOCH);
    for (number, &size) in (1..).zip(sizes) {
        let received = settlement.receive(lease, number, (0..size).map(|_| 10), Instant::now());
        assert_eq!(received, Ok(()));
    }
    (settlement, lease)
}

#[test]
fn a_batch_is_acknowledged_when_all_before_it_are_settled() {
    // given two batches, all handed over
    let (mut settlement, lease) = with_batches(&[2, 1]);
    settlement.dispatched(item(lease, 1, 0), 1);
    settlement.dispatched(item(lease, 1, 1), 2);
    settlement.dispatched(item(lease, 2, 0), 1);

    // when the second is settled first
    settlement.delivered(item(lease, 2, 0));

    // then its credit comes back, but nothing is acknowledged
    assert_eq!(settlement.take_credit_back(), CreditBack { events: 1, bytes: 10 });
    assert_eq!(settlement.take_acks(), []);

    // when the first is settled too, its second item by two deliveries
    settlement.delivered(item(lease, 1, 0));
    settlement.delivered(item(lease, 1, 1));
    assert_eq!(settlement.take_acks(), []);
    settlement.delivered(item(lease, 1, 1));

    // then both are acknowledged by one number, once
    assert_eq!(settlement.take_acks(), [ack(2)]);
    assert_eq!(settlement.take_acks(), []);
    assert_eq!(settlement.take_credit_back(), CreditBack { events: 2, bytes: 20 });
    assert!(settlement.is_idle(lease));
    assert_eq!((settlement.unsettled(), settlement.unsettled_bytes()), (0, 0));
}

#[test]
fn an_item_that_no_route_matches_is_settled_at_once() {
    let (mut settlement, lease) = with_batches(&[1]);
    settlement.dispatched(item(lease, 1, 0), 0);
    assert_eq!(settlement.take_acks(), [ack(1)]);
}

#[test]
fn an_empty_batch_is_settled_at_once() {
    let (mut settlement, _) = with_batches(&[0]);
    assert_eq!(settlement.take_acks(), [ack(1)]);
}

#[test]
fn a_hole_in_the_numbers_is_refused() {
    let (mut settlement, lease) = with_batches(&[1]);
    let received = settlement.receive(lease, 3, std::iter::once(1), Instant::now());
    assert_eq!(received, Err(BatchHole { partition: 3, expected: 2, got: 3 }));
}

#[test]
fn the_credit_of_a_lease_that_ends_goes_back_once() {
    // given a lease with one settled and one open item
    let (mut settlement, lease) = with_batches(&[2]);
    settlement.dispatched(item(lease, 1, 0), 0);
    settlement.dispatched(item(lease, 1, 1), 1);
    assert!(!settlement.is_idle(lease));

    // when it ends, and the open item is reported late
    settlement.end(lease);
    settlement.delivered(item(lease, 1, 1));

    // then each item's credit is back once
    assert_eq!(settlement.take_credit_back(), CreditBack { events: 2, bytes: 20 });
    assert_eq!(settlement.take_acks(), []);
    assert_eq!((settlement.unsettled(), settlement.unsettled_bytes()), (0, 0));
}

proptest! {
    /// Whatever the order in which deliveries end: an acknowledgement covers only settled items, all is acknowledged in
    /// the end, and the credit that comes back is the credit that was taken.
    #[test]
    fn acknowledgements_cover_settled_items_only(
        batches in prop::collection::vec(prop::collection::vec((0_u32..3, 1_u64..1000), 0..4), 1..12),
        seed in any::<u64>(),
    ) {
        let mut settlement = Settlement::default();
        let lease = settlement.grant(3, EPOCH);
        let mut deliveries = Vec::new();
        for (number, items) in (1..).zip(&batches) {
            settlement.receive(lease, number, items.iter().map(|&(_, cost)| cost), Instant::now())?;
            for (index, &(count, _)) in (0..).zip(items) {
                settlement.dispatched(item(lease, number, index), count);
                deliveries.extend((0..count).map(|_| item(lease, number, index)));
            }
        }

        let mut acknowledged = 0;
        let mut back = CreditBack::default();
        let mut random = seed;
        loop {
            for ack in settlement.take_acks() {
                prop_assert!(ack.batch > acknowledged);
                acknowledged = ack.batch;
            }
            prop_assert!(deliveries.iter().all(|open| open.batch > acknowledged));
            let credit = settlement.take_credit_back();
            back.events += credit.events;
            back.bytes += credit.bytes;
            if deliveries.is_empty() {
                break;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let index = usize::try_from(random >> 33)? % deliveries.len();
            settlement.delivered(deliveries.swap_remove(index));
        }

        let items: Vec<_> = batches.iter().flatten().collect();
        prop_assert_eq!(acknowledged, batches.len() as u64);
        prop_assert_eq!(back.events, items.len() as u64);
        prop_assert_eq!(back.bytes, items.iter().map(|(_, cost)| cost).sum::<u64>());
        prop_assert!(settlement.is_idle(lease));
    }
}

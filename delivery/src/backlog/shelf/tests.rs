//! Tests of what a shelf does when things are not as they should be; what it does otherwise the model tries.

use std::sync::Arc;
use std::time::Duration;

use twinroute_common::backoff::Backoff;

use super::*;
use crate::settlement::ItemRef;
use crate::sink::test_events::twin_update;

const LEAVE: Leave = Leave { park: true, read_bytes: u64::MAX, write_bytes: u64::MAX };

fn shelf(counter: u64) -> Shelf {
    let limits = ShelfLimits {
        segment_bytes_max: 1,
        segment_linger: Duration::from_millis(200),
        backoff: Backoff::seeded(Duration::from_secs(1), Duration::from_secs(1), 7),
    };
    let lease = (LeaseId(counter), Epoch { generation: 1, counter });
    Shelf::new(Folder::new("delivery", "mqtt", 3), 3, lease, None, limits)
}

fn delivery(item: u32) -> Delivery {
    let item = ItemRef { lease: LeaseId(1), batch: 1, item, partition: 3 };
    Delivery { origin: Origin::Stream(item), event: Arc::new(twin_update("a")) }
}

#[test]
fn what_a_later_holder_has_claimed_is_left_alone_and_said() {
    // given a folder that was claimed under epoch 2
    let now = Instant::now();
    let mut shelf = shelf(1);
    let claim = shelf.folder.object(&ObjectKind::Claim(Epoch { generation: 1, counter: 2 }));
    let claim = Listed { object: claim, bytes: 2, age: Duration::ZERO };

    // when the holder of epoch 1 looks
    assert_eq!(shelf.start(LEAVE, now), Some(Operation::List));
    shelf.take(Outcome::Listed(vec![claim], Some(Claim::default())), now, &mut Vec::new());
    shelf.push(delivery(1), now);

    // then it does nothing more, and says why
    assert_eq!(shelf.start(LEAVE, now + Duration::from_secs(10)), None);
    assert_eq!(shelf.due_at(LEAVE), None);
    assert_eq!(shelf.trouble(), Some(Trouble::Fenced { partition: 3 }));
}

#[test]
fn a_failing_write_leaves_reads_their_turn_and_keeps_its_place() {
    // given one parked event, and another whose write fails
    let now = Instant::now();
    let mut shelf = shelf(1);
    let mut durable = Vec::new();
    let mut step = |shelf: &mut Shelf, outcome: Outcome, now: Instant| {
        let operation = shelf.start(LEAVE, now);
        shelf.take(outcome, now, &mut durable);
        operation
    };
    shelf.push(delivery(1), now);
    step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
    step(&mut shelf, Outcome::Done, now);
    assert!(matches!(step(&mut shelf, Outcome::Done, now), Some(Operation::Write(..))));
    shelf.push(delivery(2), now);
    let read = shelf.start(Leave { read_bytes: 0, ..LEAVE }, now);
    assert!(matches!(read, Some(Operation::Write(..))), "{read:?}");
    shelf.take(Outcome::Failed("no space left".to_owned()), now, &mut Vec::new());

    // then the parked one can be read meanwhile
    let read = shelf.start(LEAVE, now);
    assert!(matches!(read, Some(Operation::Read(..))), "{read:?}");
    assert!(matches!(shelf.trouble(), Some(Trouble::Store(_))));
    shelf.take(Outcome::Read(None, Vec::new()), now, &mut Vec::new());

    // and the write is tried again when its wait is over, before what comes later
    shelf.push(delivery(3), now);
    let later = now + Duration::from_secs(2);
    let again = shelf.start(LEAVE, later);
    assert!(matches!(again, Some(Operation::Write(..))), "{again:?}");
    let mut durable = Vec::new();
    shelf.take(Outcome::Done, later, &mut durable);
    assert_eq!(durable, [delivery(2).origin]);
}

//! Tests of what a shelf does when things are not as they should be; what it does otherwise the model tries.

use std::sync::Arc;
use std::time::Duration;

use twinroute_common::backoff::Backoff;

use super::*;
use crate::settlement::ItemRef;
use crate::sink::test_events::twin_update;

const LEAVE: Leave = Leave { park: true, read_bytes: u64::MAX, write_bytes: u64::MAX, copy_bytes: u64::MAX };

fn shelf(counter: u64) -> Shelf {
    let limits = ShelfLimits {
        segment_bytes_max: 1,
        segment_linger: Duration::from_millis(200),
        former_ends: Duration::from_secs(60),
        backoff: Backoff::seeded(Duration::from_secs(1), Duration::from_secs(1), 7),
    };
    let lease = (LeaseId(counter), Epoch { generation: 1, counter });
    Shelf::new(Folder::new("delivery", "mqtt", 3), 3, lease, None, limits)
}

fn delivery(item: u32) -> Delivery {
    let item = ItemRef { lease: LeaseId(1), batch: 1, item, partition: 3 };
    Delivery { origin: Origin::Stream(item), event: Arc::new(twin_update("a")) }
}

/// Starts the next operation, which ends so.
fn step(shelf: &mut Shelf, outcome: Outcome, now: Instant) -> Option<Operation> {
    let operation = shelf.start(LEAVE, now);
    shelf.take(outcome, now);
    operation
}

/// A shelf with two parked segments of one event each, and their paths.
fn written(now: Instant) -> (Shelf, [String; 2]) {
    let mut shelf = shelf(1);
    shelf.push(delivery(1), now);
    step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
    step(&mut shelf, Outcome::Done, now);
    let segments = [1, 2].map(|item| {
        if item > 1 {
            shelf.push(delivery(item), now);
        }
        let written = shelf.start(Leave { read_bytes: 0, ..LEAVE }, now);
        shelf.take(Outcome::Done, now);
        let Some(Operation::Write(object, _)) = written else { panic!("{written:?}") };
        object
    });
    (shelf, segments)
}

/// The same, and the first is found damaged.
fn damaged(now: Instant) -> (Shelf, [String; 2]) {
    let (mut shelf, segments) = written(now);
    let read = step(&mut shelf, Outcome::Read(Some("torn".into()), Vec::new()), now);
    assert!(matches!(read, Some(Operation::Read(..))), "{read:?}");
    (shelf, segments)
}

#[test]
fn nothing_behind_a_damaged_segment_goes_on_until_it_is_set_aside() {
    // given a damaged segment, and one behind it
    let now = Instant::now();
    let (mut shelf, [first, second]) = damaged(now);
    assert_eq!(shelf.damaged().map(|damaged| (damaged.object, damaged.events)), Some((first.clone(), 1)));
    assert_eq!(shelf.start(LEAVE, now), None);

    // when another one is to be skipped, then nothing happens
    assert!(!shelf.skip(&second));
    assert_eq!(shelf.start(LEAVE, now), None);

    // when it is skipped itself, then its object gets another name, and nothing else is done before
    assert!(shelf.skip(&first));
    let aside = Operation::Rename(first.clone(), first.replace(".segment", ".skipped"));
    assert_eq!(step(&mut shelf, Outcome::Failed("no answer".to_owned()), now), Some(aside.clone()));
    assert_eq!(shelf.trouble(), Some(Trouble::Store("no answer".to_owned())));
    assert!(shelf.damaged().is_some_and(|damaged| damaged.object == first), "before it is set aside");
    assert_eq!(shelf.start(LEAVE, now), None);
    let later = now + Duration::from_secs(2);
    assert_eq!(shelf.start(LEAVE, later), Some(aside));
    let skipped = shelf.take(Outcome::Done, later).skipped;
    assert_eq!((shelf.damaged(), shelf.trouble()), (None, None));
    assert_eq!(skipped.map(|skipped| (skipped.object, skipped.partition)), Some((first.clone(), 3)));

    // and then the one behind it is read, and nothing of the skipped one is deleted but the note
    let delete = step(&mut shelf, Outcome::Done, later);
    assert_eq!(delete, Some(Operation::Delete(vec![first.replace(".segment", ".delivered")])));
    let read = shelf.start(LEAVE, later);
    assert_eq!(read, Some(Operation::Read(second.clone(), second.replace(".segment", ".delivered"))));
    assert_eq!(shelf.stock().unread_events, 1);
}

#[test]
fn a_segment_that_was_not_set_aside_yet_is_damaged_for_the_next_holder() {
    // given a skipped segment that is not set aside
    let now = Instant::now();
    let (mut shelf, [first, second]) = damaged(now);
    assert!(shelf.skip(&first));

    // when the partition is given back, then nothing is said of it
    assert_eq!(shelf.notes(), []);

    // and the next holder, who finds both names after a crash between the two, reads it again
    let mut next = self::shelf(2);
    let object = |object: &str| Listed { object: object.to_owned(), bytes: 2, age: Duration::ZERO };
    let objects = [&*first, &second, &first.replace(".segment", ".skipped")].map(object);
    step(&mut next, Outcome::Listed(objects.into(), None), now);
    step(&mut next, Outcome::Done, now);
    let read = next.start(LEAVE, now);
    assert_eq!(read, Some(Operation::Read(first.clone(), first.replace(".segment", ".delivered"))));
}

#[test]
fn what_there_is_no_room_for_is_given_up_in_order_and_comes_back_to_its_place() {
    // given a full backlog, and three events that wait
    let now = Instant::now();
    let mut shelf = shelf(1);
    step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
    for item in 1..=3 {
        shelf.push(delivery(item), now);
    }
    let full = Leave { write_bytes: 0, ..LEAVE };
    let room = Leave { write_bytes: u64::MAX, ..LEAVE };
    let later = now + Duration::from_secs(1);
    assert!(shelf.next_overflow(full, now).is_none(), "before it has waited");
    assert!(shelf.next_overflow(room, later).is_none(), "though there is room");
    let taken = [1, 2].map(|_| shelf.next_overflow(full, later).unwrap());
    assert_eq!(taken.each_ref().map(|(_, taken)| taken.origin), [1, 2].map(|item| delivery(item).origin));
    let [first, second] = taken.map(|(ticket, _)| ticket);
    assert_eq!(shelf.stock().waiting_events, 3);

    // while they are on their way, nothing goes past them
    assert!(shelf.take_direct(Leave { park: false, ..LEAVE }).is_empty() && !shelf.is_direct());
    assert!(!matches!(shelf.start(room, later), Some(Operation::Claim(..) | Operation::Write(..))));

    // when the first cannot be ended and the second can, then the first stands before the third again
    shelf.keep_overflow(first, later);
    assert!(shelf.next_overflow(full, later).is_none(), "behind one that was kept");
    assert!(shelf.end_overflow(second, later));
    let direct = shelf.take_direct(Leave { park: false, ..LEAVE });
    let direct: Vec<Origin> = direct.iter().map(|delivery| delivery.origin).collect();
    assert_eq!(direct, [1, 3].map(|item| delivery(item).origin));
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
    shelf.take(Outcome::Listed(vec![claim], Some(Claim::default())), now);
    shelf.push(delivery(1), now);

    // then it does nothing more, and says why
    assert_eq!(shelf.start(LEAVE, now + Duration::from_secs(10)), None);
    assert_eq!(shelf.due_at(LEAVE), None);
    assert_eq!(shelf.trouble(), Some(Trouble::Fenced { partition: 3 }));
}

#[test]
fn a_segment_that_is_gone_is_damaged_unless_a_former_holder_may_have_deleted_it() {
    let now = Instant::now();
    // given a segment that the holder itself has written, when it is gone, then it is damaged
    let (mut own, [first, _]) = written(now);
    step(&mut own, Outcome::Read(None, Vec::new()), now);
    assert!(matches!(own.damaged(), Some(Damaged { damage: Damage::Missing, .. })));

    // given one of a former holder, when it is gone at once, then that one has delivered it
    let adopting = |read_at: Instant| {
        let mut next = shelf(2);
        let listed = Listed { object: first.clone(), bytes: 2, age: Duration::ZERO };
        step(&mut next, Outcome::Listed(vec![listed], None), now);
        step(&mut next, Outcome::Done, now);
        assert!(matches!(next.start(LEAVE, read_at), Some(Operation::Read(..))));
        next.take(Outcome::Read(None, Vec::new()), read_at);
        next
    };
    let soon = adopting(now + Duration::from_secs(59));
    assert_eq!((soon.damaged(), soon.stock().unread_events), (None, 0));

    // when it is gone long after the former holder had its end, then it is damaged
    let late = adopting(now + Duration::from_secs(60));
    assert!(matches!(late.damaged(), Some(Damaged { damage: Damage::Missing, events: 1, .. })));
}

#[test]
fn a_failing_write_leaves_reads_their_turn_and_keeps_its_place() {
    // given one parked event, and another whose write fails
    let now = Instant::now();
    let mut shelf = shelf(1);
    shelf.push(delivery(1), now);
    step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
    step(&mut shelf, Outcome::Done, now);
    assert!(matches!(step(&mut shelf, Outcome::Done, now), Some(Operation::Write(..))));
    shelf.push(delivery(2), now);
    let read = shelf.start(Leave { read_bytes: 0, ..LEAVE }, now);
    assert!(matches!(read, Some(Operation::Write(..))), "{read:?}");
    shelf.take(Outcome::Failed("no space left".to_owned()), now);

    // then the parked one can be read meanwhile
    let read = shelf.start(LEAVE, now);
    assert!(matches!(read, Some(Operation::Read(..))), "{read:?}");
    assert!(matches!(shelf.trouble(), Some(Trouble::Store(_))));
    shelf.take(Outcome::Failed("no answer".to_owned()), now);

    // and the write is tried again when its wait is over, before what comes later
    shelf.push(delivery(3), now);
    let later = now + Duration::from_secs(2);
    let again = shelf.start(LEAVE, later);
    assert!(matches!(again, Some(Operation::Write(..))), "{again:?}");
    assert_eq!(shelf.take(Outcome::Done, later).durable, [delivery(2).origin]);
}

#[test]
fn of_several_events_of_one_item_each_is_given_up_or_kept_for_itself() {
    for first_fails_first in [true, false] {
        // given a full backlog, and three events of one item, of which two are being given up
        let now = Instant::now();
        let mut shelf = shelf(1);
        step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
        for sequence in ["1", "2", "3"] {
            let mut event = twin_update("a");
            event.sequence = sequence.into();
            shelf.push(Delivery { event: Arc::new(event), ..delivery(1) }, now);
        }
        let full = Leave { write_bytes: 0, ..LEAVE };
        let later = now + Duration::from_secs(1);
        let [first, second] = [1, 2].map(|_| shelf.next_overflow(full, later).unwrap().0);

        // when the first fails and the second does not, in both orders
        if first_fails_first {
            shelf.keep_overflow(first, later);
        }
        assert!(shelf.end_overflow(second, later));
        if !first_fails_first {
            shelf.keep_overflow(first, later);
        }

        // then the first is at its place again
        let direct = shelf.take_direct(Leave { park: false, ..LEAVE });
        let direct: Vec<&str> = direct.iter().map(|delivery| &*delivery.event.sequence).collect();
        assert_eq!(direct, ["1", "3"]);
    }
}

#[test]
fn without_space_for_a_copy_nothing_is_written_and_it_is_told() {
    // given a shelf that is looked through, and an event that is to be parked
    let now = Instant::now();
    let mut shelf = shelf(1);
    shelf.push(delivery(1), now);
    step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
    step(&mut shelf, Outcome::Done, now);
    // when no copy of it may be made
    let none = Leave { copy_bytes: 0, ..LEAVE };
    // then it waits, and nothing is due by itself
    assert_eq!((shelf.start(none, now), shelf.due_at(none)), (None, None));
    assert!(shelf.lacks_space(none, false) && !shelf.lacks_space(LEAVE, false));
    // and when one may be, it is written, and then read where there is space for that
    assert!(matches!(step(&mut shelf, Outcome::Done, now), Some(Operation::Write(..))));
    let unread = Leave { read_bytes: 0, ..LEAVE };
    assert_eq!((shelf.start(unread, now), shelf.lacks_space(unread, true)), (None, true));
    assert!(matches!(shelf.start(LEAVE, now), Some(Operation::Read(..))));
    assert!(shelf.stock().in_memory_bytes() > 0);
}

#[test]
fn while_the_folder_cannot_be_looked_at_nothing_is_due_before_the_next_try() {
    let now = Instant::now();
    let mut shelf = shelf(1);
    shelf.push(delivery(1), now);
    for _ in [Operation::List, Operation::List] {
        // given an event that waits for long, and a look that fails
        let later = now + Duration::from_secs(100);
        step(&mut shelf, Outcome::Failed("no answer".to_owned()), later);

        // then it is due at the next try
        assert!(shelf.due_at(LEAVE).is_some_and(|at| at > later), "{:?}", shelf.due_at(LEAVE));
        step(&mut shelf, Outcome::Listed(Vec::new(), None), later + Duration::from_secs(10));
    }
}

#[test]
fn a_segment_is_no_larger_than_there_is_room_for() {
    // given two events that one segment would hold, and room for one
    let now = Instant::now();
    let mut shelf = shelf(1);
    shelf.limits.segment_bytes_max = u64::MAX;
    step(&mut shelf, Outcome::Listed(Vec::new(), None), now);
    let bytes = segment::bytes_of(&delivery(1).event);
    shelf.push(delivery(1), now);
    shelf.push(delivery(2), now);
    let room = Leave { write_bytes: bytes, read_bytes: 0, ..LEAVE };
    let later = now + Duration::from_secs(1);
    shelf.start(room, later);
    shelf.take(Outcome::Done, later);

    // when it is written, then it has the first one only
    assert!(matches!(shelf.start(room, later), Some(Operation::Write(..))));
    assert_eq!(shelf.take(Outcome::Done, later).durable, [delivery(1).origin]);
}

//! An event that may have arrived waits for its shipment; a shipment is known as long as one of its events may come again.

use super::*;

const EVENT: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const SHIPMENT: Uuid = Uuid::from_u128(100);

/// A shipment of one event, of partitions 3 and 4.
fn known(id: Uuid, event: Uuid, since: Instant) -> Known {
    Known {
        id,
        maker: Maker::This,
        has_arrived: false,
        partitions: BTreeSet::from([3, 4]),
        events: HashSet::from_iter([event]),
        since,
    }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.know(known(SHIPMENT, EVENT, Instant::now()));
    ledger
}

#[test]
fn an_event_of_a_shipment_waits_for_it() {
    // given a shipment that may have arrived
    let mut ledger = ledger();
    assert!(ledger.awaited(10).is_empty());

    // when its event comes again, and another one
    assert_eq!(ledger.place(OTHER, 7), Place::Nowhere);
    assert_eq!(ledger.place(EVENT, 8), Place::Waits);

    // then the shipment is sent again, and answers for its event, also the next time
    assert_eq!(ledger.awaited(10), [SHIPMENT]);
    assert_eq!(ledger.resolve(SHIPMENT, Resolution::Arrived), [8]);
    assert_eq!(ledger.place(EVENT, 9), Place::Arrived);
}

#[test]
fn a_shipment_that_is_lost_holds_nothing_up() {
    for resolutions in [&[Resolution::Lost][..], &[Resolution::NotRead; READS_MAX as usize]] {
        let mut ledger = ledger();
        for resolution in resolutions {
            assert_eq!(ledger.place(EVENT, 8), Place::Waits);
            assert_eq!(ledger.resolve(SHIPMENT, *resolution), [8]);
        }
        assert_eq!(ledger.place(EVENT, 9), Place::Nowhere);
        assert_eq!(ledger.useless(10), [SHIPMENT]);
    }
}

#[test]
fn what_waits_can_be_handed_over_again() {
    let mut ledger = ledger();
    assert_eq!(ledger.place(EVENT, 8), Place::Waits);
    assert_eq!(ledger.resolve(SHIPMENT, Resolution::Failed), [8]);
    assert_eq!(ledger.place(EVENT, 8), Place::Waits);
    assert_eq!(ledger.all_waiting(), [8]);
    assert!(ledger.awaited(10).is_empty());
    assert_eq!(ledger.place(EVENT, 9), Place::Waits);
}

#[test]
fn a_shipment_is_kept_until_its_events_cannot_come_again() {
    // given one that has arrived at once, one that may have, and one of another worker
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let [at_once, other] = [101, 102].map(Uuid::from_u128);
    let mut ledger = Ledger::default();
    ledger.know(known(SHIPMENT, EVENT, now));
    ledger.know(Known { events: HashSet::new(), has_arrived: true, ..known(at_once, EVENT, now) });
    ledger.know(Known { maker: Maker::Other, has_arrived: true, ..known(other, OTHER, now) });

    // when what was parked with them is still there, all are kept
    ledger.clear(now, |_| true);
    assert!(ledger.useless(10).is_empty());

    // when it is gone, those of this worker are not
    ledger.clear(later, |_| true);
    let useless = ledger.useless(10).to_vec();
    assert_eq!(useless, [SHIPMENT, at_once]);
    assert_eq!(ledger.useless(1), [SHIPMENT]);
    ledger.forgotten(&useless);
    assert!(ledger.useless(10).is_empty());

    // and the other is, until capture has sent again what it had not settled
    assert_eq!(ledger.place(OTHER, 1), Place::Arrived);
    ledger.clear(later + COMING_AGAIN, |_| true);
    assert_eq!(ledger.place(OTHER, 1), Place::Nowhere);
    assert_eq!(ledger.useless(10), [other]);
}

#[test]
fn a_shipment_is_kept_for_the_holders_of_its_other_partitions() {
    // given a shipment of partitions 3 and 4, of which 4 is elsewhere by now
    let mut ledger = ledger();

    // when what was parked of partition 3 is gone
    ledger.clear(Instant::now() + Duration::from_secs(1), |partition| partition == 3);

    // then its events are not waited for here any more, and it is kept
    assert_eq!(ledger.place(EVENT, 1), Place::Nowhere);
    assert!(ledger.useless(10).is_empty() && ledger.ids().is_empty());
}

#[test]
fn there_are_bounds() {
    // given a shipment that an event waits for, and an older one that may have arrived
    let now = Instant::now();
    let mut ledger = ledger();
    assert_eq!(ledger.place(EVENT, 1), Place::Waits);
    let uncertain = Uuid::from_u128(101);
    ledger.know(known(uncertain, OTHER, now.checked_sub(COMING_AGAIN).unwrap()));
    assert_eq!(ledger.room(), KNOWN_MAX - 2);

    // when there are more than it can hold
    for number in 0..5_000 {
        let id = Uuid::from_u128(1_000 + number);
        ledger.know(Known { has_arrived: true, ..known(id, id, now) });
        let id = Uuid::from_u128(10_000 + number);
        ledger.know(Known { has_arrived: true, events: HashSet::new(), ..known(id, id, now) });
    }

    // then it holds those two, and of the others as many as it can, which give way
    assert_eq!(ledger.room(), KNOWN_MAX - 2);
    assert_eq!(ledger.entries.len(), KNOWN_MAX + ARRIVED_MAX);
    assert_eq!(ledger.useless.len(), USELESS_MAX);
    assert_eq!(ledger.awaited(10), [SHIPMENT]);
    assert_eq!(ledger.place(OTHER, 2), Place::Waits);
}

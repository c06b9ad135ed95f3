//! Tests of the seats: from which transaction on, how far behind, and who is left.

use tokio::sync::oneshot;
use twinroute_common::event::{EntityKind, EventData, Operation};
use twinroute_common::position::Position;

use super::*;
use crate::gap::Server;
use crate::hub::Identity;
use crate::metrics::Metrics;

/// Un-acknowledged items at which a consumer is cut off here.
const UNACKED_MAX: u64 = 3;

struct Scene {
    seats: Seats,
    source: Arc<Hub>,
    metrics: SubscriptionMetrics,
}

impl Scene {
    fn new() -> Self {
        let mut settings = CaptureSettings::default();
        settings.live.unacked_events_max = UNACKED_MAX;
        settings.live.consumers_max = 2;
        let seats = Seats::new(Arc::new(settings));
        let server =
            Server { system_identifier: "1".to_owned(), timeline: 1, wal_end: Lsn(0), branches: Vec::new() };
        let identity =
            Identity { subscription: "(live)".to_owned(), slot: String::new(), server, incarnation: 1 };
        let source = Hub::new(identity, Subscription::new(seats.bounds(), 1, Lsn(0), 0));
        Self { seats, source, metrics: Metrics::default().of("(live)") }
    }

    fn join(&mut self, selection: Selection) -> Result<Arc<Hub>, LiveRefused> {
        let (answer, mut answered) = oneshot::channel();
        self.seats.admit(Join { selection, answer }, &self.source, &self.metrics);
        answered.try_recv().unwrap().map(|running| running.hub)
    }
}

fn event(label: &str, commit: u64) -> Arc<Item> {
    Arc::new(Item::Event(EventData {
        position: Position { incarnation: 1, commit_lsn: Lsn(commit), change_lsn: Lsn(commit), ordinal: 0 },
        operation: Operation::Update,
        kind: EntityKind::Twin,
        graph: "g".to_owned(),
        label: label.to_owned(),
        entity_id: "a".to_owned(),
        ordering_key: "a".to_owned(),
        old: None,
        new: None,
        commit_time_us: 0,
        xid: 0,
        traceparent: String::new(),
    }))
}

fn held(hub: &Hub) -> u64 {
    hub.with(|subscription| subscription.unacked().events)
}

#[test]
fn who_comes_within_a_transaction_gets_all_of_the_next_and_what_it_selects() {
    // given a consumer, and a transaction that has been handed on in part
    let mut scene = Scene::new();
    let first = scene.join(Selection::default()).unwrap();
    scene.seats.hand_on(&[event("Lamp", 10)]);
    // when another one comes, for one label, and the rest of it follows, and the next one
    let lamps = Selection { labels: vec!["Lamp".to_owned()], ..Selection::default() };
    let second = scene.join(lamps).unwrap();
    scene.seats.hand_on(&[event("Lamp", 10)]);
    scene.seats.hand_on(&[event("Lamp", 20), event("Room", 20)]);
    // then the first one has all
    assert_eq!((held(&first), held(&second)), (4, 1));
}

#[test]
fn who_is_behind_is_cut_off_when_more_comes_and_others_are_not() {
    let mut scene = Scene::new();
    let sleeper = scene.join(Selection::default()).unwrap();
    let rooms = Selection { labels: vec!["Room".to_owned()], ..Selection::default() };
    let other = scene.join(rooms).unwrap();
    // when one has as much as it may have, then it still is served
    for commit in 1..=UNACKED_MAX {
        scene.seats.hand_on(&[event("Lamp", commit)]);
    }
    assert!(!sleeper.is_closed());
    // and is cut off when more comes
    scene.seats.hand_on(&[event("Room", 10)]);
    assert!(sleeper.is_closed() && !other.is_closed());
    assert_eq!((held(&sleeper), held(&other)), (UNACKED_MAX, 1));
    assert_eq!(scene.seats.look(Lsn(11)), 1);
}

#[test]
fn a_seat_is_free_when_its_hub_is_gone() {
    let mut scene = Scene::new();
    let first = scene.join(Selection::default()).unwrap();
    let second = scene.join(Selection::default()).unwrap();
    assert!(matches!(scene.join(Selection::default()), Err(LiveRefused::Full(2))));
    drop(first);
    let third = scene.join(Selection::default()).unwrap();
    assert_eq!(scene.seats.look(Lsn(1)), 2);
    drop((third, second));
    assert_eq!(scene.seats.look(Lsn(2)), 0);
    assert!(scene.seats.are_empty());
}

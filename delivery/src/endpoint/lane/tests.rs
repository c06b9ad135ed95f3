//! Tests of the lane.

mod space;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use twinroute_common::cloud_event::{CloudEvent, EventType};
use twinroute_common::route::BackoffRange;
use uuid::Uuid;

use super::*;
use crate::settlement::ItemRef;
use crate::sink::Submission;
use crate::space::Space;

pub(super) const POLICY: LanePolicy = LanePolicy {
    backoff: BackoffRange { initial: Duration::from_millis(200), max: Duration::from_secs(30) },
    blocked_retry: Duration::from_secs(30),
    attempts_max: u32::MAX,
    time_to_live: Duration::MAX,
    on_exhausted: Exhausted::Blocks,
};
pub(super) const GIVES_UP: LanePolicy =
    LanePolicy { attempts_max: 3, on_exhausted: Exhausted::Ends, ..POLICY };
pub(super) const ONE_PER_KEY: InFlight = InFlight { events_max: 100, events_per_key_max: 1 };
pub(super) const MANY_PER_KEY: InFlight = InFlight { events_max: 100, events_per_key_max: 100 };

fn item(number: u32) -> ItemRef {
    ItemRef { lease: LeaseId(1), batch: 1, item: number, partition: 7 }
}

/// What a sink takes for one of these deliveries.
const EVENT_BYTES: u64 = 1_024 + 2 * DATA.len() as u64;
/// More than a little, which always has space.
static DATA: [u8; 512 * 1_024] = [b' '; 512 * 1_024];

pub(super) fn delivery(key: &str, number: u32) -> Delivery {
    let event = CloudEvent {
        id: Uuid::nil(),
        source: "https://instance.test/".into(),
        event_type: "Konnektr.DigitalTwins.Twin.Update".into(),
        default_type: EventType::TwinUpdate,
        subject: Some(key.into()),
        time: "2026-01-01T12:00:00.000000Z".into(),
        sequence: number.to_string().into(),
        partition_key: key.into(),
        traceparent: None,
        data: Bytes::from_static(&DATA),
    };
    Delivery { origin: Origin::Stream(item(number)), event: Arc::new(event) }
}

pub(super) fn error(about_event: bool) -> SinkError {
    SinkError { code: "TEST", message: "refused".to_owned(), about_event }
}

pub(super) fn retryable() -> Verdict {
    Verdict::Retryable(error(true))
}

/// A lane with what was settled, for short tests.
pub(super) struct Scene {
    pub(super) lane: Lane,
    pub(super) now: Instant,
    pub(super) settled: Vec<Origin>,
}

impl Scene {
    fn new(in_flight: InFlight, deliveries: &[(&str, u32)]) -> Self {
        Self::under(POLICY, in_flight, deliveries)
    }

    pub(super) fn under(policy: LanePolicy, in_flight: InFlight, deliveries: &[(&str, u32)]) -> Self {
        let now = Instant::now();
        let mut lane = Lane::new(policy, in_flight, Space::new(u64::MAX).share());
        for &(key, number) in deliveries {
            lane.push(delivery(key, number), now);
        }
        Self { lane, now, settled: Vec::new() }
    }

    /// Hands over all that can be: (token, sequence).
    pub(super) fn hand_over(&mut self) -> Vec<(u64, u32)> {
        let mut handed_over = Vec::new();
        while let Some(submission) = self.lane.next(self.now, false) {
            let number = submission.event.sequence.parse().unwrap_or(u32::MAX);
            handed_over.push((submission.token, number));
        }
        handed_over
    }

    pub(super) fn answer(&mut self, token: u64, verdict: Verdict) -> Option<RefusalKind> {
        let outcome = Outcome { token, verdict };
        let refusal = self.lane.answer(outcome, self.now, &mut self.settled);
        refusal.map(|refusal| refusal.kind)
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn settled(&self) -> Vec<u32> {
        numbers_of(&self.settled)
    }
}

fn numbers_of(settled: &[Origin]) -> Vec<u32> {
    let number = |origin: &Origin| match origin {
        Origin::Stream(item) => item.item,
        Origin::Backlog(parked) => parked.index,
        Origin::Redriven(redriven) => redriven.partition,
    };
    settled.iter().map(number).collect()
}

pub(super) fn numbers(handed_over: &[(u64, u32)]) -> Vec<u32> {
    handed_over.iter().map(|&(_, number)| number).collect()
}

pub(super) fn token(handed_over: &[(u64, u32)], number: u32) -> u64 {
    handed_over.iter().find(|(_, other)| *other == number).map_or(u64::MAX, |(token, _)| *token)
}

#[test]
fn a_key_waits_for_its_predecessor_where_the_sink_takes_one_per_key() {
    let mut scene = Scene::new(ONE_PER_KEY, &[("a", 1), ("a", 2), ("b", 3)]);
    let first = scene.hand_over();
    assert_eq!(numbers(&first), [1, 3]);

    scene.answer(token(&first, 1), Verdict::Delivered);
    assert_eq!(scene.settled(), [1]);
    assert_eq!(numbers(&scene.hand_over()), [2]);
}

#[test]
fn no_more_is_handed_over_than_the_sink_takes() {
    let in_flight = InFlight { events_max: 2, events_per_key_max: 2 };
    let mut scene = Scene::new(in_flight, &[("a", 1), ("b", 2), ("c", 3)]);
    let first = scene.hand_over();
    assert_eq!(numbers(&first), [1, 2]);

    scene.answer(token(&first, 2), Verdict::Delivered);
    assert_eq!(numbers(&scene.hand_over()), [3]);
}

#[test]
fn what_follows_a_refused_one_is_waited_for_and_sent_again_behind_it() {
    // given three of one key with the sink
    let mut scene = Scene::new(MANY_PER_KEY, &[("a", 1), ("a", 2), ("a", 3), ("b", 4)]);
    let first = scene.hand_over();
    assert_eq!(numbers(&first), [1, 4, 2, 3]);

    // when the first is refused and the third taken, while the second is open
    assert_eq!(scene.answer(token(&first, 1), retryable()), Some(RefusalKind::Retried));
    scene.answer(token(&first, 3), Verdict::Delivered);
    scene.pass(Duration::from_secs(60));
    assert_eq!(numbers(&scene.hand_over()), [0_u32; 0]);

    // then, once the second is answered, they come again in order, one at a time until one is taken
    scene.answer(token(&first, 2), retryable());
    assert_eq!(scene.settled(), [0_u32; 0]);
    scene.pass(Duration::from_secs(60));
    let again = scene.hand_over();
    assert_eq!(numbers(&again), [1]);
    scene.answer(token(&again, 1), Verdict::Delivered);
    assert_eq!(numbers(&scene.hand_over()), [2, 3]);
    assert_eq!(scene.settled(), [1]);
}

#[test]
fn an_answer_out_of_turn_settles_only_behind_its_predecessors() {
    let mut scene = Scene::new(MANY_PER_KEY, &[("a", 1), ("a", 2)]);
    let first = scene.hand_over();
    scene.answer(token(&first, 2), Verdict::Delivered);
    assert_eq!(scene.settled(), [0_u32; 0]);
    scene.answer(token(&first, 1), Verdict::Delivered);
    assert_eq!(scene.settled(), [1, 2]);
    assert!(scene.lane.is_empty());
}

#[test]
fn a_permanent_failure_blocks_its_key_and_no_other() {
    // given a delivery that is refused for good
    let mut scene = Scene::new(ONE_PER_KEY, &[("a", 1), ("a", 2), ("b", 3)]);
    let first = scene.hand_over();
    let refused = Verdict::Permanent(error(true));
    assert_eq!(scene.answer(token(&first, 1), refused), Some(RefusalKind::Blocks));
    scene.answer(token(&first, 3), Verdict::Delivered);

    // then its key rests, its partition counts as blocked, and the other key goes on
    assert_eq!(scene.settled(), [3]);
    assert_eq!(scene.lane.blocked_partitions(), HashSet::from([7]));
    assert_eq!(scene.lane.wake_at(), Some(scene.now + POLICY.blocked_retry));
    scene.lane.push(delivery("b", 4), scene.now);
    assert_eq!(numbers(&scene.hand_over()), [4]);

    // when it is tried again and still refused, that is told apart; when it is taken, the key flows again
    scene.pass(POLICY.blocked_retry);
    let again = scene.hand_over();
    let refused = Verdict::Permanent(error(true));
    assert_eq!(scene.answer(token(&again, 1), refused), Some(RefusalKind::StillBlocks));
    scene.pass(POLICY.blocked_retry);
    let again = scene.hand_over();
    scene.answer(token(&again, 1), Verdict::Delivered);
    assert!(scene.lane.blocked_partitions().is_empty());
    assert_eq!(numbers(&scene.hand_over()), [2]);
}

#[test]
fn an_unreachable_destination_is_tried_with_one_delivery() {
    // given two keys with a sink that cannot reach its destination
    let mut scene = Scene::new(ONE_PER_KEY, &[("a", 1), ("b", 2), ("c", 3)]);
    let first = scene.hand_over();
    for &(token, _) in &first {
        scene.answer(token, Verdict::Retryable(error(false)));
    }
    assert_eq!(numbers(&scene.hand_over()), [0_u32; 0]);
    assert!(scene.lane.wake_at().is_some());

    // when it is said to be reachable
    scene.lane.reachable();

    // then one tries, and the others follow when it is taken
    let tried = scene.hand_over();
    assert_eq!(tried.len(), 1);
    scene.answer(tried.first().map_or(0, |(token, _)| *token), Verdict::Delivered);
    assert_eq!(scene.hand_over().len(), 2);
}

#[test]
fn smaller_batches_are_tried_soon_however_often_they_are_too_large() {
    let mut scene = Scene::new(MANY_PER_KEY, &[("a", 1)]);
    for _ in 0..20 {
        let tried = scene.hand_over();
        let error = SinkError::about_connection("RECORD_LIST_TOO_LARGE", "too large");
        scene.answer(token(&tried, 1), error.retryable());
        scene.pass(POLICY.backoff.initial);
    }
    assert_eq!(numbers(&scene.hand_over()), [1]);
}

#[test]
fn a_new_sink_gets_what_the_old_one_left_open() {
    let mut scene = Scene::new(MANY_PER_KEY, &[("a", 1), ("a", 2), ("a", 3)]);
    let first = scene.hand_over();
    scene.answer(token(&first, 1), Verdict::Delivered);
    scene.answer(token(&first, 3), Verdict::Delivered);

    scene.lane.restart(MANY_PER_KEY, scene.now, &mut scene.settled);
    assert_eq!(scene.settled(), [1]);
    assert_eq!(numbers(&scene.hand_over()), [2, 3]);

    // and an answer of the old one means nothing
    assert_eq!(scene.answer(token(&first, 2), retryable()), None);
}

#[test]
fn leases_that_are_over_leave_nothing_behind() {
    // given a blocked delivery of lease 1 and one of lease 2 behind it
    let mut scene = Scene::new(ONE_PER_KEY, &[("a", 1), ("b", 2)]);
    let origin = Origin::Stream(ItemRef { lease: LeaseId(2), ..item(3) });
    let newer = Delivery { origin, ..delivery("a", 3) };
    scene.lane.push(newer, scene.now);
    let first = scene.hand_over();
    scene.answer(token(&first, 1), Verdict::Permanent(error(true)));
    assert!(scene.lane.is_open(|lease| lease == LeaseId(1)));
    scene.answer(token(&first, 2), Verdict::Delivered);
    assert!(!scene.lane.is_open(|lease| lease == LeaseId(1)));

    // when lease 1 is over
    scene.lane.forget(|lease| lease == LeaseId(1));

    // then lease 2 goes on at once
    assert_eq!(scene.lane.len(), 1);
    assert!(scene.lane.blocked_partitions().is_empty());
    assert_eq!(numbers(&scene.hand_over()), [3]);
}

/// A destination that writes what it takes, in order per key. It may refuse any delivery; where it takes several per
/// key it then refuses what follows of that key too, as a broker does with a broken sequence.
struct Destination {
    open: VecDeque<Submission>,
    shares_fate: bool,
    written: BTreeMap<String, Vec<u32>>,
    failing: HashSet<String>,
}

impl Destination {
    /// Notes what has come to its end, here or outside of the lane.
    fn note(&mut self, event: &CloudEvent) {
        let number = event.sequence.parse().unwrap_or(u32::MAX);
        self.written.entry(event.partition_key.to_string()).or_default().push(number);
    }

    fn answer(&mut self, choice: u8) -> Option<Outcome> {
        let submission = self.open.pop_front()?;
        let key = submission.event.partition_key.to_string();
        let follows_failure = self.shares_fate && self.failing.contains(&key);
        let verdict = match choice {
            0 => Verdict::Retryable(error(false)),
            1 => retryable(),
            2 => Verdict::Permanent(error(true)),
            _ if follows_failure => retryable(),
            _ => {
                self.note(&submission.event);
                Verdict::Delivered
            }
        };
        if !matches!(verdict, Verdict::Delivered) {
            self.failing.insert(key.clone());
        }
        if !self.open.iter().any(|open| *open.event.partition_key == *key) {
            self.failing.remove(&key);
        }
        Some(Outcome { token: submission.token, verdict })
    }
}

fn firsts(written: &[u32]) -> Vec<u32> {
    let mut seen = HashSet::new();
    written.iter().copied().filter(|number| seen.insert(*number)).collect()
}

proptest! {
    /// Whatever the sink answers, and however often it is replaced: every delivery is settled once, after it was written
    /// or ended; the first copies of each key come in order, ended ones among them; and whatever came last is the newest.
    #[test]
    fn nothing_is_lost_and_no_key_goes_back(
        keys in prop::collection::vec(0_u8..5, 1..60),
        steps in prop::collection::vec((0_u8..12, 0_u8..10), 0..400),
        many_per_key in any::<bool>(),
        gives_up in any::<bool>(),
    ) {
        let in_flight = InFlight { events_max: 8, events_per_key_max: if many_per_key { 4 } else { 1 } };
        let space = Space::new(3 * EVENT_BYTES);
        let mut lane = Lane::new(if gives_up { GIVES_UP } else { POLICY }, in_flight, space.share());
        let mut destination = Destination {
            open: VecDeque::new(),
            shares_fate: many_per_key,
            written: BTreeMap::new(),
            failing: HashSet::new(),
        };
        let mut now = Instant::now();
        let mut settled = Vec::new();
        let mut coming: VecDeque<_> = (0..).zip(&keys).collect();
        let until_done = std::iter::repeat_n((0_u8, 9_u8), 10_000);
        for (step, choice) in steps.into_iter().chain(until_done) {
            if let Some((number, key)) = coming.pop_front() {
                lane.push(delivery(&format!("key-{key}"), number), now);
            }
            if step == 11 {
                destination.open.clear();
                destination.failing.clear();
                lane.restart(in_flight, now, &mut settled);
            }
            while let Some(submission) = lane.next(now, false) {
                prop_assert!(destination.open.len() < in_flight.events_max);
                destination.open.push_back(submission);
            }
            prop_assert!(lane.wake_at().is_none_or(|wake_at| wake_at > now), "it would be woken for nothing");
            if let Some(outcome) = destination.answer(choice) {
                lane.answer(outcome, now, &mut settled);
            }
            if let Some(ended) = lane.next_ended(now) {
                prop_assert!(gives_up, "ended, and the policy is to block");
                match choice {
                    0..5 => lane.keep_ended(ended.token, now),
                    _ => {
                        destination.note(&ended.delivery.event);
                        prop_assert!(lane.settle_ended(ended.token, &mut settled));
                    }
                }
            }
            if lane.is_empty() && coming.is_empty() {
                break;
            }
            if destination.open.is_empty() {
                now = lane.wake_at().map_or(now, |wake_at| now.max(wake_at));
            }
        }

        prop_assert!(lane.is_empty(), "{} left", lane.len());
        prop_assert_eq!(space.share().free(false), u64::MAX, "all space is given back");
        let mut numbers = numbers_of(&settled);
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..u32::try_from(keys.len())?).collect::<Vec<_>>());
        for (key, written) in &destination.written {
            let expected: Vec<u32> =
                (0..).zip(&keys).filter(|(_, other)| format!("key-{other}") == *key).map(|(number, _)| number).collect();
            prop_assert_eq!(&firsts(written), &expected);
            prop_assert_eq!(written.last(), expected.last());
        }
    }
}

//! Tests of redriving: the sink is played by the test, the container is a directory.

use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use tempfile::TempDir;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::dead_letter::{Container, Failure, Letter, Search};
use twinroute_common::partition::{Epoch, partition_of};
use twinroute_common::route::OnExhausted;
use uuid::Uuid;

use super::*;
use crate::delivery::{Delivery, Origin};
use crate::endpoint::{EndpointHandle, LeaseSet};
use crate::holdings::Holding;
use crate::routes::Registry;
use crate::settlement::{ItemRef, LeaseId};
use crate::sink::test_events::twin_update;
use crate::sink::{SinkError, Verdict};
use crate::test_scene::{DEADLINE, FarEnd, Scene, endpoint, table};

const PARTITIONS: u32 = 4;
const NAME: &str = "mqtt-events";

/// A worker with one endpoint and its dead letters.
struct Stage {
    scene: Scene,
    registry: Registry,
    redrives: Redrives,
    directory: TempDir,
    sink: FarEnd,
    delivered: Vec<String>,
    failed: Vec<String>,
    finished: Vec<u32>,
    error: String,
}

impl Stage {
    /// All partitions are held under lease 1; there are letters of these keys and numbers.
    async fn new(letters: &[(&str, u32)]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut scene = Scene::new();
        let routing = CurrentRouting::none();
        let mut registry = Registry::new(Arc::clone(&routing), scene.context.clone(), Gauge::default());
        let url = format!("file://{}", directory.path().display());
        let mut with_letters = endpoint(NAME, "one");
        with_letters.dead_letter = Some(DeadLetterContainer { url, sas: None, read_sas: None });
        assert_eq!(registry.apply(table(1, &[with_letters])).await, []);
        let sink = scene.sink().await;
        let redrives = Redrives::new(RedriveContext {
            routing,
            holdings: scene.context.holdings.clone(),
            resolve_secret: Arc::clone(&scene.context.resolve_secret),
            shortage: watch::channel(false).1,
        });
        redrives.follow(registry.table());
        let (delivered, failed, finished, error) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        let stage = Self { scene, registry, redrives, directory, sink, delivered, failed, finished, error };
        stage.scene.context.holdings.welcomed(PARTITIONS);
        stage.hold(0..PARTITIONS, 1);
        for (key, number) in letters {
            stage.container().put(&letter(key, *number)).await.unwrap();
        }
        stage
    }

    fn hold(&self, partitions: impl IntoIterator<Item = u32>, lease: u64) {
        let epoch = Epoch { generation: 1, counter: lease };
        let holding = Holding { lease: LeaseId(lease), epoch, settled: None };
        let granted = partitions.into_iter().map(|partition| (partition, holding.clone()));
        self.scene.context.holdings.grant(granted);
    }

    fn container(&self) -> Container {
        Container::open(&format!("file://{}", self.directory.path().display()), None).unwrap()
    }

    /// Number of letters that there are.
    async fn letters(&self) -> usize {
        let all = Search { endpoint: NAME, from: None, until: None, behind: None };
        self.container().names(&all, 1_000).await.unwrap().len()
    }

    fn start(&mut self, job: proto::RedriveJob) {
        self.redrives.take(job);
    }

    /// Waits until all partitions are finished, and notes what is told on the way.
    async fn finish(&mut self) {
        let finishing = async {
            while self.finished.len() < PARTITIONS as usize {
                self.listen();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, finishing).await.unwrap();
        self.finished.sort_unstable();
        assert_eq!(self.finished, [0, 1, 2, 3]);
    }

    fn listen(&mut self) {
        for report in self.redrives.reports() {
            assert_eq!((&*report.job_id, report.partition_count), ("job", PARTITIONS));
            self.finished = report.finished_partitions;
            self.error = report.error;
            for outcome in report.outcomes {
                match outcome.delivered {
                    true => self.delivered.push(outcome.event_id),
                    false => self.failed.push(outcome.reason),
                }
            }
        }
    }

    /// Waits until the job tells why it does not go on.
    async fn error(&mut self) -> String {
        let telling = async {
            loop {
                self.listen();
                match &*self.error {
                    "" => tokio::time::sleep(Duration::from_millis(10)).await,
                    error => break error.to_owned(),
                }
            }
        };
        tokio::time::timeout(DEADLINE, telling).await.unwrap()
    }

    fn handle(&self) -> EndpointHandle {
        self.registry.routing().endpoints.get(NAME).unwrap().clone()
    }

    /// Takes as many events; their numbers, in the order in which they came.
    async fn take(&mut self, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            numbers.push(self.sink.take().await.unwrap().parse().unwrap());
        }
        numbers
    }
}

fn event(key: &str, number: u32) -> CloudEvent {
    let mut event = twin_update(key);
    // The ids run against the order, and each letter stands under an hour of its own.
    event.id = Uuid::from_u128(u128::from(1_000 - number));
    event.sequence = format!("{number:04}").into();
    event.time = format!("2026-01-01T{:02}:00:00.000000Z", number % 24).into();
    event
}

fn letter(key: &str, number: u32) -> Letter {
    let time = Timestamp::UNIX_EPOCH;
    let failure = Failure { reason: "no".to_owned(), code: "TEST", attempts: 1, time, redrive: None };
    Letter::new(NAME, &event(key, number), &failure)
}

fn job() -> proto::RedriveJob {
    let selection = proto::DeadLetterSelection { endpoint_name: NAME.to_owned(), ..Default::default() };
    let mut job =
        proto::RedriveJob { id: "job".to_owned(), selection: Some(selection), ..Default::default() };
    job.set_state(proto::RedriveState::Running);
    job
}

fn error() -> SinkError {
    SinkError { code: "TEST", message: "still too large".to_owned(), about_event: true }
}

#[tokio::test(start_paused = true)]
async fn letters_are_sent_in_the_order_of_their_events_and_are_gone_then() {
    let mut stage = Stage::new(&[("a", 3), ("b", 4), ("a", 1), ("c", 2), ("b", 25)]).await;
    stage.start(job());
    let taken = stage.take(5).await;
    let of = |key: [u32; 2]| taken.iter().copied().filter(|number| key.contains(number)).collect::<Vec<_>>();
    assert_eq!((of([3, 1]), of([25, 4])), (vec![1, 3], vec![4, 25]));
    stage.finish().await;
    assert_eq!((stage.delivered.len(), stage.letters().await), (5, 0));
    assert_eq!(stage.failed, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_stays_a_letter_and_is_not_tried_twice_by_a_job() {
    // given two letters of a key
    let mut stage = Stage::new(&[("a", 1), ("a", 2)]).await;
    stage.start(job());

    // when the first is refused for good
    let (token, sequence) = stage.sink.next().await.unwrap();
    assert_eq!(sequence, "0001");
    stage.sink.answer(token, Verdict::Permanent(error())).await;

    // then the second is delivered, the job comes to its end, and the first is still there and says why
    assert_eq!(stage.take(1).await, [2]);
    stage.finish().await;
    assert_eq!((stage.delivered.len(), stage.letters().await), (1, 1));
    assert!(stage.failed.iter().all(|why| why.contains("still too large")) && stage.failed.len() == 1);

    // and another worker that is handed the same job does not send it
    stage.redrives = Redrives::new(stage.redrives.context.clone());
    stage.redrives.follow(stage.registry.table());
    stage.finished.clear();
    stage.start(job());
    stage.finish().await;
    assert!(stage.sink.submissions.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn only_letters_of_held_partitions_are_sent_and_the_others_when_they_come() {
    // given a worker that does not hold the partition of a letter
    let (here, there) = (partition_of("a", PARTITIONS), partition_of("b", PARTITIONS));
    assert_ne!(here, there);
    let mut stage = Stage::new(&[("a", 1), ("b", 2)]).await;
    stage.scene.context.holdings.end(|_| true);
    stage.hold((0..PARTITIONS).filter(|partition| *partition != there), 2);
    stage.start(job());
    assert_eq!(stage.take(1).await, [1]);

    // when it is granted
    stage.hold([there], 3);

    // then its letter is sent too
    assert_eq!(stage.take(1).await, [2]);
    stage.finish().await;
    assert_eq!(stage.letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_is_sent_by_the_next_holder_in_order() {
    // given letters of a key, the first of which the destination does not answer
    let mut stage = Stage::new(&[("a", 1), ("a", 2), ("a", 3)]).await;
    stage.start(job());
    stage.sink.next().await.unwrap();

    // when all partitions are given back
    stage.scene.context.holdings.end(|_| true);
    let recalled = tokio::spawn(stage.handle().recall(LeaseSet::All));
    stage.sink.stop.cancelled().await;
    stage.sink = stage.scene.sink().await;
    tokio::time::timeout(DEADLINE, recalled).await.unwrap().unwrap();
    assert_eq!(stage.letters().await, 3);

    // then they are sent when the partitions are held again
    stage.hold(0..PARTITIONS, 2);
    assert_eq!(stage.take(3).await, [1, 2, 3]);
    stage.finish().await;
    assert_eq!((stage.delivered.len(), stage.letters().await), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_handed_out_again_repeats_nothing() {
    // given an event on its way
    let mut stage = Stage::new(&[("a", 1), ("a", 2)]).await;
    stage.start(job());
    let (token, _) = stage.sink.next().await.unwrap();

    // when routes-api is connected anew
    stage.redrives.begin();
    stage.start(job());
    stage.sink.answer(token, Verdict::Delivered).await;

    // then only the other one is sent
    assert_eq!(stage.take(1).await, [2]);
    stage.finish().await;
    assert_eq!(stage.letters().await, 0);
    assert!(stage.sink.submissions.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_ended_sends_nothing_more() {
    // given a job that may send one event a second
    let mut stage = Stage::new(&[("a", 1), ("a", 2), ("a", 3)]).await;
    stage.start(proto::RedriveJob { events_per_second_max: 1, ..job() });
    assert_eq!(stage.take(1).await, [1]);

    // when it is cancelled
    let mut cancelled = job();
    cancelled.set_state(proto::RedriveState::Cancelled);
    stage.start(cancelled);

    // then what it has not sent stays a letter
    assert_eq!(stage.sink.take().await, None);
    assert_eq!(stage.letters().await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_no_letter_is_told_and_stands_in_nobodys_way() {
    let mut stage = Stage::new(&[("a", 1)]).await;
    let hour = stage.directory.path().join(NAME).join("2026/01/02/00");
    std::fs::create_dir_all(&hour).unwrap();
    std::fs::write(hour.join(format!("{}.json", Uuid::nil())), "no letter").unwrap();
    stage.start(job());
    assert_eq!(stage.take(1).await, [1]);
    stage.finish().await;
    assert_eq!((stage.failed.len(), stage.letters().await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_given_up_though_the_policy_is_to_block() {
    let mut stage = Stage::new(&[("a", 1), ("a", 2)]).await;
    let mut blocking = stage.registry.table().endpoints.get(NAME).unwrap().clone();
    blocking.policy.on_exhausted = Some(OnExhausted::Block);
    stage.registry.apply(table(2, &[blocking])).await;
    stage.start(job());
    let (token, _) = stage.sink.next().await.unwrap();
    stage.sink.answer(token, Verdict::Permanent(error())).await;
    assert_eq!(stage.take(1).await, [2]);
    stage.finish().await;
    assert_eq!((stage.failed.len(), stage.letters().await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_redriven_holds_up_no_event_of_its_key() {
    // given a redriven event that is refused for now
    let mut stage = Stage::new(&[("a", 1)]).await;
    stage.start(job());
    let (token, _) = stage.sink.next().await.unwrap();
    stage.sink.answer(token, Verdict::Retryable(error())).await;

    // when another event of its key comes from the stream
    let item = ItemRef { lease: LeaseId(1), batch: 1, item: 7, partition: partition_of("a", PARTITIONS) };
    let live = Delivery { origin: Origin::Stream(item), event: Arc::new(event("a", 9)) };
    stage.handle().deliver(vec![live]).unwrap();

    // then it is delivered before, and the redriven one is tried again
    assert_eq!(stage.take(2).await, [9, 1]);
    assert_eq!(stage.scene.settled(1).await, [7]);
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_letter_cannot_be_deleted_nothing_more_is_sent() {
    // given an event that is delivered, and whose letter cannot be deleted
    let mut stage = Stage::new(&[("a", 1)]).await;
    stage.start(job());
    let (token, _) = stage.sink.next().await.unwrap();
    let path =
        stage.directory.path().join(NAME).join("2026/01/01/01").join(format!("{}.json", event("a", 1).id));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir_all(path.join("a folder in its place")).unwrap();
    stage.sink.answer(token, Verdict::Delivered).await;
    let error = stage.error().await;
    assert!(error.contains("cannot be deleted"), "{error}");

    // when there is another letter, then it is not sent
    stage.container().put(&letter("b", 2)).await.unwrap();
    assert_eq!(stage.sink.take().await, None);

    // until the first can be deleted
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(stage.take(1).await, [2]);
    stage.finish().await;
    assert_eq!(stage.letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_read_is_told_until_it_can() {
    // given a container that is away
    let mut stage = Stage::new(&[("a", 1)]).await;
    let there = stage.directory.path().to_owned();
    let away = there.with_extension("away");
    std::fs::rename(&there, &away).unwrap();
    stage.start(job());
    assert!(!stage.error().await.is_empty());
    assert_eq!(stage.finished, [0; 0]);

    // when it is there again
    std::fs::rename(&away, &there).unwrap();

    // then the letter is sent
    assert_eq!(stage.take(1).await, [1]);
    stage.finish().await;
}

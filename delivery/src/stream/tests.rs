//! Tests of the consumer side, against a capture that the test plays in this process.

mod capture;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinHandle;
use twinroute_common::health::Health;
use twinroute_common::partition::Epoch;
use twinroute_common::route::DeadLetterContainer;
use twinroute_common::secret::SecretPolicy;
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::subscribe_request::Frame;

use self::capture::{FakeCapture, FakeStream, batch, discontinuity, event, poison};
use super::*;
use crate::config::DeliverySettings;
use crate::letter_box::resolve_by;
use crate::metrics::LetterMetrics;
use crate::routes::Registry;
use crate::settlement::LeaseId;
use crate::test_scene::{FarEnd, Scene, endpoint, table};

const WORKER: &str = "worker-1";
/// Version of the first route table.
const VERSION: u64 = 3;

/// A worker with one endpoint, whose sink and whose capture are played by the test.
struct Worker {
    capture: FakeCapture,
    scene: Scene,
    registry: Registry,
    drain: CancellationToken,
    poison: watch::Receiver<Option<String>>,
    running: JoinHandle<Result<(), StreamError>>,
}

impl Worker {
    async fn start() -> Self {
        Self::with(None).await
    }

    /// A worker whose poison items go somewhere.
    async fn with(poison_letters: Option<LetterBox>) -> Self {
        let capture = FakeCapture::start().await;
        let mut scene = Scene::new();
        let settled = std::mem::replace(&mut scene.settled, mpsc::channel(1).1);
        let routing = CurrentRouting::none();
        let mut registry = Registry::new(Arc::clone(&routing), scene.context.clone(), Gauge::default());
        registry.apply(table(VERSION, &[endpoint("mqtt-events", "twins")])).await;
        let mut settings = DeliverySettings::default();
        settings.capture.addresses = capture.address.clone();
        let drain = CancellationToken::new();
        let (poison_sender, poison) = watch::channel(None);
        let context = StreamContext {
            capture: settings.capture,
            settings: settings.stream,
            memory: settings.memory,
            shortage: watch::channel(false).1,
            worker_id: WORKER.to_owned(),
            source: "https://my-instance/".to_owned(),
            routing,
            fence: Arc::clone(&scene.context.fence),
            holdings: scene.context.holdings.clone(),
            settled,
            condition: Health::new(Duration::from_secs(10)).condition("capture stream"),
            poison: poison_sender,
            poison_letters,
            metrics: StreamMetrics::default(),
            drain: drain.clone(),
            drain_timeout: Duration::from_secs(5),
        };
        let running = tokio::spawn(run(context));
        Self { capture, scene, registry, drain, poison, running }
    }

    /// The next stream, after Hello, Welcome and the first credit, and with partitions granted under `min_version`.
    async fn stream(&mut self, partitions: &[u32], min_version: u64) -> FakeStream {
        let mut stream = self.capture.accept().await;
        let Frame::Hello(hello) = stream.next().await else { panic!("Hello comes first") };
        assert_eq!(hello.consumer_id, WORKER);
        stream.welcome().await;
        let credit = stream.credit().await;
        assert_eq!(credit, (16_384, 24 * 1024 * 1024));
        stream.grant(partitions, min_version).await;
        stream
    }

    /// A worker that was sent these events of partition 1, of which the first is at the sink and not answered.
    async fn holding(events: Vec<proto::Item>) -> (Self, FakeStream, FarEnd) {
        let mut worker = Self::start().await;
        let (stream, sink) = worker.take(events).await;
        (worker, stream, sink)
    }

    /// The next stream, and the sink, in that state.
    async fn take(&mut self, events: Vec<proto::Item>) -> (FakeStream, FarEnd) {
        let mut stream = self.stream(&[1], 0).await;
        let mut sink = self.sink().await;
        stream.send_batches(vec![batch(1, 1, events)]).await;
        sink.next().await.unwrap();
        (stream, sink)
    }

    async fn sink(&mut self) -> FarEnd {
        self.scene.sink().await
    }
}

fn epoch() -> Epoch {
    capture::EPOCH
}

#[tokio::test]
async fn a_delivered_event_is_acknowledged_and_its_credit_given_back() {
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1, 2], 0).await;
    let mut sink = worker.sink().await;

    // when two partitions have events
    stream
        .send_batches(vec![
            batch(1, 1, vec![event("a", 1, 70), event("a", 2, 30)]),
            batch(2, 1, vec![event("b", 3, 5)]),
        ])
        .await;
    for _ in 0..3 {
        sink.take().await.unwrap();
    }

    // then all is acknowledged under the table's version, and the credit is what they cost
    let settled = stream.settled(&[(1, 1), (2, 1)], 3).await;
    assert_eq!((settled.version, settled.bytes), (VERSION, 105));
}

#[tokio::test]
async fn a_partition_waits_for_the_route_table_that_was_in_force_before() {
    // given a partition that was worked on under a newer table
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1], VERSION + 1).await;
    stream.grant(&[2], VERSION).await;
    let mut sink = worker.sink().await;

    // when its event comes, one of another partition overtakes it
    stream.send_batches(vec![batch(1, 1, vec![event("a", 1, 1)])]).await;
    stream.send_batches(vec![batch(2, 1, vec![event("b", 2, 1)])]).await;
    sink.take().await.unwrap();
    assert_eq!(stream.settled(&[(2, 1)], 1).await.version, VERSION);
    assert!(sink.submissions.try_recv().is_err());

    // when that table comes, the event is delivered and acknowledged under it
    worker.registry.apply(table(VERSION + 1, &[endpoint("mqtt-events", "twins")])).await;
    sink.take().await.unwrap();
    assert_eq!(stream.settled(&[(1, 1)], 1).await.version, VERSION + 1);
}

#[tokio::test]
async fn a_revoked_partition_is_settled_acknowledged_and_released() {
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1], 0).await;
    let mut sink = worker.sink().await;
    stream.send_batches(vec![batch(1, 1, vec![event("a", 1, 1)])]).await;
    let (token, _) = sink.next().await.unwrap();

    stream.revoke(2, &[1], Duration::from_secs(30)).await;
    sink.answer(token, crate::sink::Verdict::Delivered).await;

    let frames = stream.until_released(2).await;
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Ack(ack) if ack.partitions.len() == 1)));
    assert!(!sink.stop.is_cancelled());
}

#[tokio::test]
async fn what_is_not_settled_by_the_deadline_is_cut_off_and_released_without_an_ack() {
    // given an event that the destination does not answer
    let (_worker, mut stream, sink) = Worker::holding(vec![event("a", 1, 7)]).await;

    // when its partition is revoked
    stream.revoke(2, &[1], Duration::from_millis(400)).await;
    sink.stop.cancelled().await;
    drop(sink);

    // then it is released un-acknowledged, and its credit comes back
    let frames = stream.until_released(2).await;
    assert!(!frames.iter().any(|frame| matches!(frame, Frame::Ack(_))));
    assert_eq!(stream.credit().await, (1, 7));
}

#[tokio::test]
async fn nothing_of_a_broken_stream_is_written_after_the_next_one_begins() {
    // given an event at the sink
    let (mut worker, stream, old) = Worker::holding(vec![event("a", 1, 1), event("a", 2, 1)]).await;

    // when the stream breaks
    drop(stream);

    // then the sink is closed before the worker says Hello again
    old.stop.cancelled().await;
    assert!(!worker.scene.context.fence.may_write(std::time::Instant::now()));
    drop(old);
    let mut stream = worker.stream(&[1], 0).await;
    let mut new = worker.sink().await;
    stream.send_batches(vec![batch(1, 1, vec![event("a", 1, 1), event("a", 2, 1)])]).await;
    new.take().await.unwrap();
    new.take().await.unwrap();
    stream.settled(&[(1, 1)], 2).await;
}

#[tokio::test]
async fn a_late_notice_of_a_broken_stream_settles_nothing_of_the_next_one() {
    // given an event that was at the sink when its stream broke, and one of the next stream that is not delivered yet
    let (mut worker, stream, old) = Worker::holding(vec![event("a", 1, 1)]).await;
    drop(stream);
    old.stop.cancelled().await;
    drop(old);
    let (mut stream, new) = worker.take(vec![event("b", 2, 1)]).await;

    // when the notice of the first one arrives
    let late = ItemRef { lease: LeaseId(1), batch: 1, item: 0, partition: 1 };
    worker.scene.context.settled.send(vec![late]).await.unwrap();

    // then the second one is not acknowledged, also not at the latest moment
    stream.revoke(2, &[1], Duration::from_millis(400)).await;
    new.stop.cancelled().await;
    drop(new);
    let frames = stream.until_released(2).await;
    assert!(!frames.iter().any(|frame| matches!(frame, Frame::Ack(_))), "{frames:?}");
}

#[tokio::test]
async fn a_worker_that_connects_again_tells_the_furthest_that_it_has_seen() {
    // given a worker that has received two events, the further one first
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1, 2], 0).await;
    let mut sink = worker.sink().await;
    stream.send_batches(vec![batch(1, 1, vec![event("a", 7, 1)]), batch(2, 1, vec![event("b", 5, 1)])]).await;
    sink.next().await.unwrap();

    // when its stream breaks, and it says Hello again
    drop(stream);
    sink.stop.cancelled().await;
    drop(sink);
    let mut stream = worker.capture.accept().await;
    let hello = stream.next().await;

    // then it tells that position, and the timeline of the server that it came from
    let Frame::Hello(proto::Hello { last_seen: Some(last_seen), .. }) = hello else { panic!("{hello:?}") };
    assert_eq!((last_seen.timeline, last_seen.position.map(|it| it.commit_lsn)), (1, Some(7)));
}

#[tokio::test]
async fn a_poison_event_blocks_its_partition_and_no_other() {
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1, 2], 0).await;
    let mut sink = worker.sink().await;
    stream.send_batches(vec![batch(1, 1, vec![event("a", 1, 1), poison("a", 2), event("a", 3, 1)])]).await;
    stream.send_batches(vec![batch(1, 2, vec![event("a", 4, 1)]), batch(2, 1, vec![event("b", 5, 1)])]).await;

    // then what stands before it and the other partition is delivered, and only that is acknowledged
    sink.take().await.unwrap();
    sink.take().await.unwrap();
    stream.settled(&[(2, 1)], 2).await;
    let told = worker.poison.wait_for(Option::is_some).await.unwrap().clone();
    assert!(told.is_some_and(|told| told.contains("partition 1") && told.contains("not JSON")));

    // and nothing behind it is
    assert!(sink.submissions.try_recv().is_err());

    // and it can be given back at once
    stream.revoke(2, &[1], Duration::from_secs(60)).await;
    stream.until_released(2).await;
}

#[tokio::test]
async fn where_poison_becomes_a_dead_letter_its_partition_goes_on_in_order() {
    // given a worker with a directory for such letters, which is not there yet
    let mounted = tempfile::tempdir().unwrap();
    let directory = mounted.path().join("letters");
    let container =
        DeadLetterContainer { url: format!("file://{}", directory.display()), sas: None, read_sas: None };
    let counters = LetterMetrics::default().of("poison");
    let letter_box =
        LetterBox::new("poison", container, resolve_by(SecretPolicy::default()), counters.clone());
    let mut worker = Worker::with(Some(letter_box)).await;
    let mut stream = worker.stream(&[1, 2], 0).await;
    let mut sink = worker.sink().await;

    // when two of three items are poison
    stream.send_batches(vec![batch(1, 1, vec![poison("a", 1), poison("a", 2), event("a", 3, 1)])]).await;
    stream.send_batches(vec![batch(1, 2, vec![event("a", 4, 1)]), batch(2, 1, vec![event("b", 5, 1)])]).await;

    // then only the other partition goes on, and it is told why
    sink.take().await.unwrap();
    stream.settled(&[(2, 1)], 1).await;
    let told = worker.poison.wait_for(Option::is_some).await.unwrap().clone();
    assert!(told.is_some_and(|told| told.contains("partition 1") && told.contains("cannot be written")));
    assert!(sink.submissions.try_recv().is_err());

    // when the directory is there, both are letters, and what follows is delivered in order
    std::fs::create_dir(&directory).unwrap();
    sink.take().await.unwrap();
    sink.take().await.unwrap();
    stream.settled(&[(1, 2)], 4).await;
    assert_eq!(counters.written.get(), 2);
    worker.poison.wait_for(Option::is_none).await.unwrap();
}

#[tokio::test]
async fn a_hole_is_told_once_and_acknowledged_everywhere() {
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[0, 1], 0).await;
    let mut sink = worker.sink().await;
    stream.send_batches(vec![batch(0, 1, vec![discontinuity()]), batch(1, 1, vec![discontinuity()])]).await;
    sink.take().await.unwrap();
    stream.settled(&[(0, 1), (1, 1)], 2).await;
    assert!(sink.submissions.try_recv().is_err());
}

#[tokio::test]
async fn a_worker_that_is_told_to_leave_settles_and_gives_everything_back() {
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1], 0).await;
    let mut sink = worker.sink().await;
    stream.send_batches(vec![batch(1, 1, vec![event("a", 1, 1)])]).await;
    let (token, _) = sink.next().await.unwrap();

    // when it is told to leave
    worker.drain.cancel();
    stream.until(|frame| matches!(frame, Frame::Drain(_))).await;
    stream.revoke(2, &[1], Duration::from_secs(60)).await;
    sink.answer(token, crate::sink::Verdict::Delivered).await;

    // then it acknowledges, releases and ends
    let frames = stream.until_released(2).await;
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Ack(_))));
    stream.close();
    assert!(matches!(worker.running.await.unwrap(), Ok(())));
}

#[tokio::test]
async fn a_worker_whose_name_is_taken_does_not_come_back() {
    let mut worker = Worker::start().await;
    let stream = worker.stream(&[1], 0).await;
    stream.fail(tonic::Status::already_exists("another stream took over")).await;
    assert!(matches!(worker.running.await.unwrap(), Err(StreamError::Replaced { .. })));
}

#[tokio::test]
async fn a_batch_of_a_partition_that_is_not_held_ends_the_stream() {
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1], 0).await;
    stream.send_batches(vec![batch(5, 1, vec![event("a", 1, 1)])]).await;
    let _again = worker.stream(&[1], 0).await;
}

#[tokio::test]
async fn late_acks_make_the_worker_let_go() {
    // given an event at the sink
    let mut worker = Worker::start().await;
    let mut stream = worker.stream(&[1, 2], 0).await;
    let mut sink = worker.sink().await;
    stream.send_batches(vec![batch(1, 1, vec![event("a", 1, 7)])]).await;
    sink.next().await.unwrap();

    // when capture says that the partition is somebody else's
    stream.fenced(1, epoch()).await;

    // then it is cut off, and its credit comes back
    sink.stop.cancelled().await;
    drop(sink);
    assert_eq!(stream.credit().await, (1, 7));
}

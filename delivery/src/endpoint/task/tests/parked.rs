//! Tests of parking, with a sink that the test plays and a store in a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::partition::Epoch;

use super::{delivery, error, start};
use crate::backlog::store::Store;
use crate::config::BacklogSettings;
use crate::delivery::{Delivery, Origin};
use crate::endpoint::{EndpointHandle, EndpointReport, LeaseSet, ParkingContext, State};
use crate::holdings::Holding;
use crate::settlement::{ItemRef, LeaseId};
use crate::sink::Verdict;
use crate::test_scene::{FarEnd, Scene};

/// A scene with a store, in which partition 0 is held under lease 1.
pub(super) async fn scene() -> (Scene, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let settings = BacklogSettings {
        url: format!("file://{}", root.path().display()),
        segment_linger_ms: 1,
        ..BacklogSettings::default()
    };
    let mut scene = Scene::new();
    let resolve = scene.context.resolve_secret.clone();
    let store = Store::open(&settings, "delivery", resolve).await.unwrap();
    scene.context.parking = Some(ParkingContext { store, settings });
    hold(&scene, 1);
    (scene, root)
}

/// Partition 0 is granted, and is settled up to anything that was sent.
fn hold(scene: &Scene, lease: u64) {
    let epoch = Epoch { generation: 1, counter: lease };
    scene.context.holdings.grant([(0, Holding { lease: LeaseId(lease), epoch, settled: None })]);
}

/// The segments that are in the store.
fn segments(root: &TempDir) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "segment") {
                found.push(path);
            }
        }
    }
    found
}

/// An endpoint whose destination is lost, with three parked events.
async fn parked(scene: &mut Scene) -> (EndpointHandle, FarEnd) {
    let (handle, sink) = start(scene).await;
    sink.lose();
    handle.deliver(vec![delivery(1, "a", 1), delivery(1, "b", 2), delivery(1, "a", 3)]).unwrap();
    let mut settled = scene.settled(3).await;
    settled.sort_unstable();
    assert_eq!(settled, [1, 2, 3]);
    (handle, sink)
}

/// Answers until so many events are taken; their numbers.
pub(super) async fn take(sink: &mut FarEnd, count: usize) -> Vec<String> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let (token, sequence) = sink.next().await.unwrap();
        sink.answer(token, Verdict::Delivered).await;
        taken.push(sequence);
    }
    taken
}

#[tokio::test]
async fn what_a_lost_destination_does_not_take_is_settled_and_delivered_later() {
    // given three parked events
    let (mut scene, root) = scene().await;
    let (handle, mut sink) = parked(&mut scene).await;
    assert!(!segments(&root).is_empty());

    // when the destination is back, and another event comes
    sink.connect();
    handle.deliver(vec![delivery(1, "a", 4)]).unwrap();

    // then all are delivered, in order, and the store is empty
    let taken = take(&mut sink, 4).await;
    let of_a: Vec<&str> = taken.iter().map(|taken| &**taken).filter(|taken| *taken != "2").collect();
    assert_eq!(of_a, ["1", "3", "4"]);
    assert_eq!(scene.settled(1).await, [4]);
    let mut report = handle.report().clone();
    report.wait_for(|report| report.undelivered == 0 && report.parked_bytes == 0).await.unwrap();
    assert_eq!(segments(&root), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn the_next_holder_delivers_what_is_left() {
    // given parked events, of which one is delivered when the partition is given back
    let (mut scene, _root) = scene().await;
    let (handle, mut sink) = parked(&mut scene).await;
    sink.connect();
    assert_eq!(take(&mut sink, 1).await.len(), 1);
    scene.context.holdings.end(|_| true);
    let given_back = tokio::spawn(handle.clone().recall(LeaseSet::All));
    sink.stop.cancelled().await;
    drop(sink);
    given_back.await.unwrap();

    // when it is granted again
    let mut sink = scene.sink().await;
    hold(&scene, 2);

    // then the rest is delivered, and nothing twice
    let mut rest = take(&mut sink, 2).await;
    rest.sort_unstable();
    assert_eq!(rest, ["2", "3"]);
    let mut report = handle.report().clone();
    report.wait_for(|report| report.undelivered == 0 && report.parked_bytes == 0).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_tells_whether_it_knows_all_that_is_parked() {
    // given a worker that capture has not told which partitions it has
    let (mut scene, _root) = scene().await;
    scene.context.holdings.lost();
    let (handle, _sink) = start(&mut scene).await;
    let mut report = handle.report().clone();
    assert!(report.borrow().is_unknown);

    // when it is told, it looks, and knows; until the stream is lost
    hold(&scene, 2);
    report.wait_for(|report| !report.is_unknown).await.unwrap();
    scene.context.holdings.lost();
    report.wait_for(|report| report.is_unknown).await.unwrap();
}

#[tokio::test]
async fn what_is_blocked_in_one_partition_leaves_the_others_their_window() {
    // given a backlog of two partitions, in segments of which each alone is more than is read at a time
    let (mut scene, _root) = scene().await;
    if let Some(parking) = &mut scene.context.parking {
        parking.settings.read_bytes_max = 1_000;
    }
    let epoch = Epoch { generation: 1, counter: 1 };
    scene.context.holdings.grant([(1, Holding { lease: LeaseId(1), epoch, settled: None })]);
    let (handle, mut sink) = start(&mut scene).await;
    sink.lose();
    for (number, key, partition) in [(1, "a", 0), (2, "b", 1), (3, "c", 0), (4, "d", 1)] {
        handle.deliver(vec![large(number, key, partition)]).unwrap();
        assert_eq!(scene.settled(1).await, [number]);
    }

    // when the destination is back, and refuses the first event for good
    sink.connect();
    let (token, refused) = sink.next().await.unwrap();
    sink.answer(token, Verdict::Permanent(error())).await;

    // then it gets those of the other partition
    let others = if refused == "1" { ["2", "4"] } else { ["1", "3"] };
    assert_eq!(take(&mut sink, 2).await, others);
}

/// An event of more than 2,000 bytes.
fn large(number: u32, key: &str, partition: u32) -> Delivery {
    let Delivery { event, .. } = delivery(1, key, number);
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(2_000));
    let event = CloudEvent { data: data.into(), ..CloudEvent::clone(&event) };
    let item = ItemRef { lease: LeaseId(1), batch: 1, item: number, partition };
    Delivery { origin: Origin::Stream(item), event: Arc::new(event) }
}

#[tokio::test]
async fn a_damaged_segment_stops_what_is_behind_it_until_it_is_skipped() {
    stops_until_it_is_skipped(|segment| std::fs::write(segment, "torn"), Some("torn")).await;
}

#[tokio::test]
async fn a_segment_that_somebody_has_deleted_stops_what_is_behind_it_until_it_is_skipped() {
    stops_until_it_is_skipped(|segment| std::fs::remove_file(segment), None).await;
}

async fn stops_until_it_is_skipped(hurt: impl Fn(&Path) -> std::io::Result<()>, kept: Option<&str>) {
    // given a hurt segment behind three parked events, and an event behind it
    let (mut scene, root) = scene().await;
    let (handle, mut sink) = parked(&mut scene).await;
    let before = segments(&root);
    handle.deliver(vec![delivery(1, "a", 4)]).unwrap();
    assert_eq!(scene.settled(1).await, [4]);
    let damaged = segments(&root).into_iter().find(|segment| !before.contains(segment)).unwrap();
    hurt(&damaged).unwrap();
    handle.deliver(vec![delivery(1, "a", 5)]).unwrap();
    assert_eq!(scene.settled(1).await, [5]);

    // when the destination is back, then it gets what is before it, and the endpoint names the object
    sink.connect();
    assert_eq!(take(&mut sink, 3).await.len(), 3);
    let mut report = handle.report().clone();
    let is_stopped = |report: &EndpointReport| report.damaged_count == 1 && report.state == State::Down;
    let stopped = report.wait_for(is_stopped).await.unwrap().clone();
    let object = stopped.damaged_segments.first().unwrap().object.clone();
    assert!(damaged.ends_with(&object) && stopped.last_error.contains(&object), "{stopped:?}");

    // when another one is skipped, then nothing happens; when this one is, then what is behind it is delivered
    handle.skip(object.replace(".segment", "0.segment")).await;
    handle.skip(object).await;
    assert_eq!(take(&mut sink, 1).await, ["5"]);
    report.wait_for(|report| report.undelivered == 0 && report.parked_bytes == 0).await.unwrap();

    // and what there is of the skipped one is kept
    assert_eq!(segments(&root), Vec::<PathBuf>::new());
    let content = std::fs::read_to_string(damaged.with_extension("skipped")).ok();
    assert_eq!(content.as_deref(), kept);
}

#[tokio::test]
async fn a_worker_that_stops_leaves_what_is_parked() {
    let (mut scene, root) = scene().await;
    let (handle, sink) = parked(&mut scene).await;
    let parked = segments(&root);
    scene.context.holdings.end(|_| true);
    drop(sink);
    drop(handle);
    scene.context.tasks.close();
    scene.context.tasks.wait().await;
    assert_eq!(segments(&root), parked);
}

#[tokio::test]
async fn an_endpoint_that_is_deleted_leaves_nothing() {
    let (mut scene, root) = scene().await;
    let (handle, sink) = parked(&mut scene).await;
    drop(sink);
    drop(handle);
    scene.context.tasks.close();
    scene.context.tasks.wait().await;
    assert_eq!(segments(&root), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_store_that_fails_does_not_hold_up_a_destination_that_is_back() {
    // given a destination that is lost, and a store that nothing can be written to
    let (mut scene, root) = scene().await;
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    assert_eq!(take(&mut sink, 1).await, ["1"]);
    std::fs::write(root.path().join("delivery"), "in the way").unwrap();
    sink.lose();
    handle.deliver(vec![delivery(1, "a", 2), delivery(1, "b", 3)]).unwrap();
    let mut report = handle.report().clone();
    report.wait_for(|report| report.last_error.contains("cannot be parked")).await.unwrap();

    // when the destination is back, then it gets them
    sink.connect();
    let mut taken = take(&mut sink, 2).await;
    taken.sort_unstable();
    assert_eq!(taken, ["2", "3"]);
    let mut settled = scene.settled(3).await;
    settled.sort_unstable();
    assert_eq!(settled, [1, 2, 3]);
}

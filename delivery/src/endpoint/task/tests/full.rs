//! Tests of what a full backlog has no room for: the store and the container are directories.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use twinroute_common::route::{DeadLetterContainer, DeliveryPolicy, Endpoint, OnFull};

use super::parked::{scene, take};
use super::{delivery, error};
use crate::endpoint::{EndpointHandle, EndpointReport, State};
use crate::sink::Verdict;
use crate::test_scene::{DEADLINE, FarEnd, Scene, endpoint, letters};

/// An endpoint whose destination is lost, with a parked event, and no room for more.
async fn filled(scene: &mut Scene, directory: &Path, on_full: OnFull) -> (EndpointHandle, FarEnd) {
    let handle = EndpointHandle::start(endpoint("mqtt-events", "one"), &scene.context);
    let sink = scene.sink().await;
    sink.lose();
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    assert_eq!(settled(scene, 1).await, [1]);
    handle.change(full(directory, on_full)).await;
    (handle, sink)
}

/// An endpoint with room for nothing, whose letters go to a directory that need not be there.
fn full(directory: &Path, on_full: OnFull) -> Endpoint {
    let url = format!("file://{}", directory.display());
    Endpoint {
        dead_letter: Some(DeadLetterContainer { url, sas: None, read_sas: None }),
        policy: DeliveryPolicy { parked_bytes_max: Some(1), on_full, ..DeliveryPolicy::default() },
        ..endpoint("mqtt-events", "one")
    }
}

async fn settled(scene: &mut Scene, count: usize) -> Vec<u32> {
    let mut settled = scene.settled(count).await;
    settled.sort_unstable();
    settled
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap();
}

#[tokio::test]
async fn what_a_full_backlog_has_no_room_for_becomes_dead_letters() {
    // given a full backlog
    let (mut scene, _root) = scene().await;
    let directory = TempDir::new().unwrap();
    let (handle, mut sink) = filled(&mut scene, directory.path(), OnFull::DeadLetter).await;

    // when there is no room for more
    handle.deliver((2..60).map(|number| delivery(1, "a", number)).collect()).unwrap();

    // then more events become letters than are written at a time, and are settled
    assert_eq!(settled(&mut scene, 58).await, (2..60).collect::<Vec<_>>());
    let letters = letters(directory.path());
    let is_right =
        |letter: &String| letter.contains(r#""deadlettercode":"BACKLOG_FULL","deadletterattempts":0"#);
    assert!(!letters.is_empty() && letters.iter().all(is_right), "{letters:?}");

    // and when it is back, the parked one is delivered, and what comes then
    sink.connect();
    handle.deliver(vec![delivery(1, "a", 60)]).unwrap();
    assert_eq!(take(&mut sink, 2).await, ["1", "60"]);
    let mut report = handle.report().clone();
    report.wait_for(|report| report.undelivered == 0 && report.parked_bytes == 0).await.unwrap();
}

#[tokio::test]
async fn a_full_backlog_that_blocks_is_told_until_there_is_room() {
    // given a full backlog
    let (mut scene, _root) = scene().await;
    let directory = TempDir::new().unwrap();
    let (handle, mut sink) = filled(&mut scene, directory.path(), OnFull::Block).await;

    // when more events come, then the endpoint says what they wait for, beside why it is down
    let why = handle.report().borrow().last_error.clone();
    handle.deliver(vec![delivery(1, "a", 2)]).unwrap();
    let mut report = handle.report().clone();
    let tells = |report: &EndpointReport| {
        report.last_error.starts_with(&why)
            && report.last_error.contains("the parked backlog is full")
            && report.undelivered == 2
    };
    report.wait_for(tells).await.unwrap();

    // and when the destination is back, all are delivered, and it says so no more
    sink.connect();
    assert_eq!(take(&mut sink, 2).await, ["1", "2"]);
    report.wait_for(|report| report.state == State::Healthy && report.undelivered == 0).await.unwrap();
}

#[tokio::test]
async fn while_neither_room_nor_a_container_is_there_events_wait_and_go_where_they_can_first() {
    // given a lost destination, no room, and a container that is not there
    let (mut scene, _root) = scene().await;
    let mounted = TempDir::new().unwrap();
    let directory = mounted.path().join("letters");
    let handle = EndpointHandle::start(full(&directory, OnFull::DeadLetter), &scene.context);
    let mut sink = scene.sink().await;
    sink.lose();
    handle.deliver((1..10).map(|number| delivery(1, "a", number)).collect()).unwrap();
    let failures = scene.context.letters.of("mqtt-events").failures;
    until(|| failures.get() > 0).await;

    // when the destination is back, then it gets them, in order
    sink.connect();
    let expected: Vec<String> = (1..10).map(|number: u32| number.to_string()).collect();
    assert_eq!(take(&mut sink, 9).await, expected);
    assert_eq!(settled(&mut scene, 9).await, (1..10).collect::<Vec<_>>());
    assert!(!directory.exists());

    // and when it is lost again, and the container is there, then that does
    sink.lose();
    std::fs::create_dir(&directory).unwrap();
    handle.deliver(vec![delivery(1, "a", 10)]).unwrap();
    assert_eq!(settled(&mut scene, 1).await, [10]);
    assert_eq!(letters(&directory).len(), 1);
}

#[tokio::test]
async fn a_letter_that_cannot_be_written_does_not_keep_other_keys_from_a_destination_that_is_back() {
    // given a parked event that is refused for good, and a container that is not there
    let (mut scene, _root) = scene().await;
    let mounted = TempDir::new().unwrap();
    let mut policy = full(&mounted.path().join("letters"), OnFull::Block);
    policy.policy.parked_bytes_max = None;
    let handle = EndpointHandle::start(policy, &scene.context);
    let mut sink = scene.sink().await;
    sink.lose();
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    assert_eq!(settled(&mut scene, 1).await, [1]);
    sink.connect();
    let (token, _) = sink.next().await.unwrap();
    sink.answer(token, Verdict::Permanent(error())).await;
    let failures = scene.context.letters.of("mqtt-events").failures;
    until(|| failures.get() > 0).await;

    // when the destination is lost and back, with an event of another key parked meanwhile
    sink.lose();
    handle.deliver(vec![delivery(1, "b", 2)]).unwrap();
    assert_eq!(settled(&mut scene, 1).await, [2]);
    sink.connect();

    // then that one is delivered
    let taken = tokio::time::timeout(DEADLINE, take(&mut sink, 1)).await;
    assert_eq!(taken.ok(), Some(vec!["2".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn by_default_a_full_backlog_blocks() {
    let (mut scene, _root) = scene().await;
    let directory = TempDir::new().unwrap();
    let handle = EndpointHandle::start(full(directory.path(), OnFull::Block), &scene.context);
    let mut sink = scene.sink().await;
    sink.lose();
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    let waits = tokio::time::timeout(DEADLINE, scene.settled.recv());
    assert!(waits.await.is_err(), "it was settled");
    sink.connect();
    assert_eq!(take(&mut sink, 1).await, ["1"]);
    assert_eq!(letters(directory.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_worker_parks_its_part_of_the_bound_only() {
    for (partition_count, parked, letters_written) in [(1, true, 0), (4, false, 1)] {
        // given a worker that holds one of so many partitions, and a bound with room for two events
        let (mut scene, _root) = scene().await;
        scene.context.holdings.welcomed(partition_count);
        if let Some(parking) = &mut scene.context.parking {
            parking.settings.segment_bytes_max = 1;
        }
        let directory = TempDir::new().unwrap();
        let mut bounded = full(directory.path(), OnFull::DeadLetter);
        bounded.policy.parked_bytes_max = Some(1_500);
        let handle = EndpointHandle::start(bounded, &scene.context);
        let sink = scene.sink().await;
        sink.lose();

        // when one comes, then it is parked, or its part has no room for it
        handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
        assert_eq!(settled(&mut scene, 1).await, [1]);
        let mut report = handle.report().clone();
        let reported = report.wait_for(|report| (report.parked_bytes > 0) == parked);
        tokio::time::timeout(DEADLINE, reported).await.unwrap().unwrap();
        assert_eq!(letters(directory.path()).len(), letters_written, "of {partition_count}");
    }
}

//! Tests of an endpoint's task, with a sink that the test plays.

mod full;
mod parked;

use std::sync::Arc;

use hashbrown::HashSet;

use crate::delivery::{Delivery, Origin};
use crate::endpoint::{EndpointHandle, LeaseSet, State};
use crate::settlement::{ItemRef, LeaseId};
use crate::sink::test_events::twin_update;
use crate::sink::{SinkError, Verdict};
use crate::test_scene::{DEADLINE, FarEnd, Scene, endpoint};

pub(super) fn delivery(lease: u64, key: &str, number: u32) -> Delivery {
    let mut event = twin_update(key);
    event.sequence = number.to_string().into();
    Delivery {
        origin: Origin::Stream(ItemRef { lease: LeaseId(lease), batch: 1, item: number, partition: 0 }),
        event: Arc::new(event),
    }
}

pub(super) fn error() -> SinkError {
    SinkError { code: "TEST", message: "no such file".to_owned(), about_event: true }
}

async fn start(scene: &mut Scene) -> (EndpointHandle, FarEnd) {
    let handle = EndpointHandle::start(endpoint("mqtt-events", "one"), &scene.context);
    let sink = scene.sink().await;
    (handle, sink)
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_is_settled() {
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1), delivery(1, "b", 2)]).unwrap();
    assert_eq!(sink.take().await.as_deref(), Some("1"));
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    assert_eq!(scene.settled(2).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_the_fence_is_closed() {
    // given a closed fence
    let mut scene = Scene::new();
    scene.context.fence.close();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();

    // then nothing is handed over, until it opens
    assert_eq!(sink.take().await, None);
    scene.context.fence.open_until(std::time::Instant::now() + DEADLINE * 100);
    assert_eq!(sink.take().await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_sent_again_until_it_is_taken() {
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1), delivery(1, "a", 2)]).unwrap();
    for _ in 0..3 {
        let (token, sequence) = sink.next().await.unwrap();
        assert_eq!(sequence, "1");
        sink.answer(token, Verdict::Retryable(error())).await;
    }
    assert_eq!(sink.take().await.as_deref(), Some("1"));
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    assert_eq!(scene.settled(2).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_recall_cuts_off_what_is_open_and_leaves_the_rest() {
    // given events of two leases at the sink
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1), delivery(2, "b", 2), delivery(1, "a", 3)]).unwrap();
    sink.next().await.unwrap();
    sink.next().await.unwrap();

    // when the first lease is recalled
    let leases = LeaseSet::These(Arc::new(HashSet::from([LeaseId(1)])));
    let recalled = tokio::spawn(handle.clone().recall(leases));
    sink.stop.cancelled().await;
    drop(sink);
    tokio::time::timeout(DEADLINE, recalled).await.unwrap().unwrap();

    // then a new sink gets what is left of the second
    let mut sink = scene.sink().await;
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    assert_eq!(scene.settled(1).await, [2]);
    assert_eq!(sink.take().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_recall_of_what_is_not_open_leaves_the_sink_alone() {
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(2, "b", 2)]).unwrap();
    let (token, _) = sink.next().await.unwrap();
    let leases = LeaseSet::These(Arc::new(HashSet::from([LeaseId(1)])));
    tokio::time::timeout(DEADLINE, handle.clone().recall(leases)).await.unwrap();
    sink.answer(token, Verdict::Delivered).await;
    assert_eq!(scene.settled(1).await, [2]);
    assert!(!sink.stop.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_new_destination_gets_what_the_old_one_has_not_taken() {
    // given an event that the old destination does not answer
    let mut scene = Scene::new();
    let (handle, mut old) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1), delivery(1, "a", 2)]).unwrap();
    old.next().await.unwrap();

    // when the endpoint leads elsewhere
    handle.change(endpoint("mqtt-events", "two")).await;
    old.stop.cancelled().await;
    drop(old);

    // then that gets it, in order
    let mut new = scene.sink().await;
    assert_eq!(new.topic, "two");
    assert_eq!(new.take().await.as_deref(), Some("1"));
    assert_eq!(new.take().await.as_deref(), Some("2"));
    assert_eq!(scene.settled(2).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_cannot_be_started_is_down_and_tried_again() {
    // given an endpoint whose sink cannot be started
    let mut scene = Scene::new();
    scene.refuse_next_sink(error());
    let handle = EndpointHandle::start(endpoint("mqtt-events", "one"), &scene.context);
    let mut report = handle.report().clone();
    let down = report.wait_for(|report| report.state == State::Down).await.unwrap().clone();
    assert_eq!(down.refused.as_deref(), Some("TEST: no such file"));

    // when it can, later
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    let mut sink = scene.sink().await;

    // then it is healthy and delivers
    assert_eq!(sink.take().await.as_deref(), Some("1"));
    report.wait_for(|report| report.state == State::Healthy).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_never_answers_is_down_until_it_does() {
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    let (token, _) = sink.next().await.unwrap();
    let mut report = handle.report().clone();
    report.wait_for(|report| report.state == State::Down).await.unwrap();
    sink.answer(token, Verdict::Delivered).await;
    report.wait_for(|report| report.state == State::Healthy).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_nothing_as_a_whole_is_down_and_says_why() {
    // given a topic that is gone, of which each try is told
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    let mut report = handle.report().clone();
    let gone = SinkError::about_connection("UNKNOWN_TOPIC", "it is gone");
    let down = loop {
        tokio::select! {
            down = report.wait_for(|report| report.state == State::Down) => break down.unwrap().clone(),
            Some((token, _)) = sink.next() => sink.answer(token, Verdict::Retryable(gone.clone())).await,
        }
    };

    // then the endpoint is down for this reason
    assert_eq!(down.last_error, "UNKNOWN_TOPIC: it is gone");

    // until it is there
    sink.connect();
    assert_eq!(sink.take().await.as_deref(), Some("1"));
    assert_eq!(scene.settled(1).await, [1]);
    report.wait_for(|report| report.state == State::Healthy).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_ends_by_itself_is_replaced() {
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1)]).unwrap();
    sink.next().await.unwrap();
    drop(sink);
    let mut sink = scene.sink().await;
    assert_eq!(sink.take().await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_endpoint_settles_what_it_discards() {
    let mut scene = Scene::new();
    let (handle, mut sink) = start(&mut scene).await;
    handle.deliver(vec![delivery(1, "a", 1), delivery(1, "a", 2)]).unwrap();
    sink.next().await.unwrap();
    drop((handle, sink));
    let mut settled = scene.settled(2).await;
    settled.sort_unstable();
    assert_eq!(settled, [1, 2]);
}

//! Tests of how an endpoint ends what it gives up: the sink is played by the test, the container is a directory.

use std::path::Path;

use tempfile::TempDir;
use twinroute_common::route::{DeadLetterContainer, Endpoint, OnExhausted};

use crate::endpoint::task::tests::{delivery, error};
use crate::endpoint::{EndpointHandle, LeaseSet, State};
use crate::sink::Verdict;
use crate::test_scene::{DEADLINE, FarEnd, Scene, endpoint, letters};

/// An endpoint whose dead letters go to a directory, which need not be there.
fn with_letters(directory: &Path) -> Endpoint {
    let url = format!("file://{}", directory.display());
    Endpoint {
        dead_letter: Some(DeadLetterContainer { url, sas: None, read_sas: None }),
        ..endpoint("mqtt-events", "one")
    }
}

/// Two events of a key and one of another; the first is refused for good, the other key's is delivered.
async fn refused(scene: &mut Scene, endpoint: Endpoint) -> (EndpointHandle, FarEnd) {
    let handle = EndpointHandle::start(endpoint, &scene.context);
    let mut sink = scene.sink().await;
    handle.deliver(vec![delivery(1, "a", 1), delivery(1, "a", 2), delivery(1, "b", 3)]).unwrap();
    let (token, sequence) = sink.next().await.unwrap();
    assert_eq!(sequence, "1");
    sink.answer(token, Verdict::Permanent(error())).await;
    assert_eq!(sink.take().await.as_deref(), Some("3"));
    (handle, sink)
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_a_dead_letter_before_it_is_settled_and_its_key_goes_on() {
    let directory = TempDir::new().unwrap();
    let mut scene = Scene::new();
    let (handle, mut sink) = refused(&mut scene, with_letters(directory.path())).await;

    // when it is settled, its letter is there
    let mut settled = scene.settled(2).await;
    settled.sort_unstable();
    assert_eq!(settled, [1, 3]);
    let letters = letters(directory.path());
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert!(letter.contains(r#""deadlettercode":"TEST","deadletterattempts":1"#), "{letter}");

    // and what follows is delivered
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    assert_eq!(scene.settled(1).await, [2]);
    let mut report = handle.report().clone();
    report.wait_for(|report| report.state == State::Healthy).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_its_letter_cannot_be_written_a_key_waits_and_the_endpoint_says_why() {
    // given a directory that is not there
    let mounted = TempDir::new().unwrap();
    let directory = mounted.path().join("letters");
    let mut scene = Scene::new();
    let (handle, mut sink) = refused(&mut scene, with_letters(&directory)).await;

    // then the endpoint is degraded, and only the other key's event is settled
    let mut report = handle.report().clone();
    let degraded = report.wait_for(|report| report.state == State::Degraded).await.unwrap().clone();
    assert!(degraded.last_error.contains("cannot be written"), "{}", degraded.last_error);
    assert_eq!(scene.settled(1).await, [3]);
    assert!(sink.submissions.try_recv().is_err());

    // when it is there, the letter is written and the key goes on
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(scene.settled(1).await, [1]);
    assert_eq!(letters(&directory).len(), 1);
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    report.wait_for(|report| report.state == State::Healthy).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_is_to_drop_an_event_is_settled_without_a_letter() {
    let directory = TempDir::new().unwrap();
    let mut endpoint = with_letters(directory.path());
    endpoint.policy.on_exhausted = Some(OnExhausted::Drop);
    let mut scene = Scene::new();
    let (_handle, mut sink) = refused(&mut scene, endpoint).await;
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    let mut settled = scene.settled(3).await;
    settled.sort_unstable();
    assert_eq!(settled, [1, 2, 3]);
    assert_eq!(letters(directory.path()), [""; 0]);
    assert_eq!(scene.context.metrics.of("mqtt-events").dropped.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_lease_that_is_over_is_not_written_any_more() {
    // given an event whose letter cannot be written
    let mounted = TempDir::new().unwrap();
    let directory = mounted.path().join("letters");
    let mut scene = Scene::new();
    let (handle, _sink) = refused(&mut scene, with_letters(&directory)).await;
    let mut report = handle.report().clone();
    report.wait_for(|report| report.state == State::Degraded).await.unwrap();
    assert_eq!(scene.settled(1).await, [3]);

    // when its lease is over, and then the directory is there
    tokio::time::timeout(DEADLINE, handle.clone().recall(LeaseSet::All)).await.unwrap();
    std::fs::create_dir(&directory).unwrap();

    // then nothing is written or settled
    report.wait_for(|report| report.undelivered == 0).await.unwrap();
    assert_eq!(letters(&directory), [""; 0]);
    assert!(scene.settled.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_changed_endpoint_tries_once_more_what_it_had_given_up() {
    // given an event whose letter cannot be written
    let mounted = TempDir::new().unwrap();
    let mut scene = Scene::new();
    let given = with_letters(&mounted.path().join("letters"));
    let (handle, mut sink) = refused(&mut scene, given).await;
    let mut report = handle.report().clone();
    report.wait_for(|report| report.state == State::Degraded).await.unwrap();

    // when the endpoint gets another container
    handle.change(with_letters(mounted.path())).await;

    // then the event is sent again, and delivered in order
    assert_eq!(sink.take().await.as_deref(), Some("1"));
    assert_eq!(sink.take().await.as_deref(), Some("2"));
    assert_eq!(letters(mounted.path()), [""; 0]);
}

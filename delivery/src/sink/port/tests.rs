//! The order through a failure.

use std::sync::Arc;
use std::time::Duration;

use twinroute_common::cloud_event::CloudEvent;

use super::*;
use crate::sink::test_events;

const LIMITS: InFlight = InFlight { events_max: 4, events_per_key_max: 4 };

fn submission(token: u64) -> Submission {
    let event: CloudEvent = test_events::twin_update("room1");
    Submission { token, partition: 0, event: Arc::new(event) }
}

/// A sink that fails its first event and takes all others.
fn fails_once() -> Sink {
    spawn(LIMITS, |mut port| async move {
        let first = port.submissions.recv().await.unwrap();
        let failure = SinkError::about_event("REFUSED", "no");
        port.answers.send(first.token, failure.retryable()).await;
        port.refuse_until_known().await;
        while let Some(next) = port.submissions.recv().await {
            port.answers.send(next.token, Verdict::Delivered).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_before_a_failure_was_known_is_refused() {
    // given a sink that has failed event 1 of a key while events 2 and 3 of it are on their way
    let mut sink = fails_once();
    for token in [1, 2, 3] {
        sink.submissions.send(submission(token)).await.unwrap();
    }

    // when the outcomes are taken
    let first = sink.outcomes.recv().await.unwrap();
    let second = sink.outcomes.recv().await.unwrap();
    let third = sink.outcomes.recv().await.unwrap();

    // then the later ones were not written, in the order they came
    assert_eq!([first.token, second.token, third.token], [1, 2, 3]);
    for outcome in [second, third] {
        assert!(matches!(outcome.verdict, Verdict::Retryable(error) if !error.about_event));
    }

    // and what is handed over with the failure in mind is written
    tokio::time::sleep(Duration::from_millis(1)).await;
    sink.submissions.send(submission(4)).await.unwrap();
    let again = sink.outcomes.recv().await.unwrap();
    assert!(matches!(again, Outcome { token: 4, verdict: Verdict::Delivered }));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_an_outcome_waits_to_be_taken() {
    // given a failure that nobody has looked at
    let mut sink = fails_once();
    sink.submissions.send(submission(1)).await.unwrap();
    while sink.outcomes.is_empty() {
        tokio::task::yield_now().await;
    }

    // when a newer event is handed over all the same
    sink.submissions.send(submission(2)).await.unwrap();

    // then it is refused
    let failed = sink.outcomes.recv().await.unwrap();
    let newer = sink.outcomes.recv().await.unwrap();
    assert_eq!([failed.token, newer.token], [1, 2]);
    assert!(matches!(newer.verdict, Verdict::Retryable(_)));
}

#[tokio::test]
async fn a_state_that_is_known_wakes_nobody() {
    // given a watcher that has seen the state
    let (told, mut watcher) = watch::channel(Reachability::Connecting);
    watcher.mark_unchanged();

    // when it is told again, and then another one
    tell(&told, Reachability::Connecting);
    let woken_by_the_same = watcher.has_changed().unwrap();
    tell(&told, Reachability::Connected);

    // then only the other one is news
    assert!(!woken_by_the_same);
    assert!(watcher.has_changed().unwrap());
}

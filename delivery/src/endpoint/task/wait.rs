//! What the task of an endpoint waits for.

use std::time::Instant;

use tokio::sync::{mpsc, watch};

use crate::sink::{Outcome, Reachability};

/// Answers taken from the sink at a time.
const ANSWERS_MAX: usize = 1_024;

/// The clock of the runtime, so that tests can move it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The number of answers that came; 0 when the sink has ended; never, when there is none.
pub(super) async fn receive(
    outcomes: Option<&mut mpsc::Receiver<Outcome>>,
    answers: &mut Vec<Outcome>,
) -> usize {
    match outcomes {
        Some(outcomes) => outcomes.recv_many(answers, ANSWERS_MAX).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn changed(reachability: Option<&mut watch::Receiver<Reachability>>) {
    if let Some(reachability) = reachability
        && reachability.changed().await.is_ok()
    {
        return;
    }
    // A sink that has ended shows that by its outcomes.
    std::future::pending().await
}

pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

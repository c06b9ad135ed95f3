//! What a sink is: it takes CloudEvents, and reports one outcome for each.
//!
//! A sink never retries on its own and never gives up on its own: it answers, and the endpoint decides.

mod context;
mod error;
mod identity;
pub mod kafka;
pub mod kusto;
pub mod mqtt;
mod port;
#[cfg(test)]
pub(crate) mod classes;
#[cfg(test)]
pub(crate) mod test_events;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use context::SinkContext;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use twinroute_common::cloud_event::CloudEvent;

/// One CloudEvent handed to a sink.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Names the submission in its outcome; unique within the sink's life.
    pub token: u64,
    /// The partition of its ordering key.
    pub partition: u32,
    /// What to write.
    pub event: Arc<CloudEvent>,
}

/// The answer to one submission.
#[derive(Debug)]
pub struct Outcome {
    /// The submission's token.
    pub token: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a submission.
#[derive(Debug)]
pub enum Verdict {
    /// The destination has it durably, by its own acknowledgement.
    Delivered,
    /// It may work later: the destination is unreachable, busy, or throttles.
    Retryable(SinkError),
    /// It can never work: too large, rejected, cannot be rendered.
    Permanent(SinkError),
}

/// Why a destination did not take an event.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SinkError {
    /// For programs; stable, upper case, such as `MSG_SIZE_TOO_LARGE`.
    pub code: &'static str,
    /// For people; holds no secret.
    pub message: String,
    /// The answer was about this very event, not about the connection; only then it counts as an attempt.
    pub about_event: bool,
}

/// How a sink sees its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// No answer yet.
    Connecting,
    /// It answers.
    Connected,
    /// It does not; why, for people.
    Unreachable(String),
}

/// How many events a sink may have in flight.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// Bound over all keys, in events; also the capacity of [`Sink::submissions`] and [`Sink::outcomes`].
    pub events_max: usize,
    /// Bound within one ordering key, in events: 1 where the destination may refuse one and take the next.
    pub events_per_key_max: usize,
}

/// A running sink. Submissions of one key are written in the order they were handed over.
#[derive(Debug)]
pub struct Sink {
    /// Takes events.
    pub submissions: mpsc::Sender<Submission>,
    /// Answers, one for each submission unless the sink is closed first.
    ///
    /// Whoever hands over events takes note of an outcome before handing over the next event. After a failure that is not
    /// about its event, it hands over nothing until everything is answered; what comes before that is refused, so that
    /// it does not overtake the one that failed.
    pub outcomes: mpsc::Receiver<Outcome>,
    /// How the destination is.
    pub reachability: watch::Receiver<Reachability>,
    /// Takes the time before which nothing was parked that is parked still: no event of then is handed over again.
    pub cleared_until: watch::Sender<Instant>,
    /// What may be in flight.
    pub in_flight: InFlight,
    /// Asks the sink to stop.
    pub stop: CancellationToken,
    /// Ends when nothing more will be written.
    pub task: JoinHandle<()>,
}

impl Sink {
    /// Stops the sink: what was not written is dropped, what is on its way is waited for up to `grace`, and then cut off.
    /// Afterwards nothing more is written. The remaining outcomes are returned.
    pub async fn close(mut self, grace: Duration) -> Vec<Outcome> {
        self.stop.cancel();
        drop(self.submissions);
        let mut outcomes = Vec::new();
        let drained = tokio::time::timeout(grace, async {
            while let Some(outcome) = self.outcomes.recv().await {
                outcomes.push(outcome);
            }
        });
        if drained.await.is_err() {
            self.task.abort();
        }
        // A task that is cut off ends at its next await; one that never comes to it must not hold up the endpoint.
        let _ended = tokio::time::timeout(grace, self.task).await;
        outcomes
    }
}

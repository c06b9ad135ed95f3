//! The sink's own ends of the channels in [`Sink`], and how it gets over a failure without breaking the order.

use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{InFlight, Outcome, Reachability, Sink, SinkError, Submission, Verdict};

/// The sink's own ends of the channels in [`Sink`].
#[derive(Debug)]
pub(crate) struct Port {
    /// What is to be written.
    pub(crate) submissions: mpsc::Receiver<Submission>,
    /// What became of it.
    pub(crate) answers: Answers,
    /// Tells how the destination is.
    pub(crate) reachability: watch::Sender<Reachability>,
    /// No event that was parked before is handed over again.
    pub(crate) cleared_until: watch::Receiver<Instant>,
    /// Cancelled when the sink shall stop.
    pub(crate) stop: CancellationToken,
}

/// Sends outcomes.
#[derive(Clone, Debug)]
pub(crate) struct Answers(mpsc::Sender<Outcome>);

/// Runs a sink in a task of its own.
pub(crate) fn spawn<F, Running>(in_flight: InFlight, run: F) -> Sink
where
    F: FnOnce(Port) -> Running,
    Running: Future<Output = ()> + Send + 'static,
{
    let (submissions, submitted) = mpsc::channel(in_flight.events_max);
    let (answers, outcomes) = mpsc::channel(in_flight.events_max);
    let (told, reachability) = watch::channel(Reachability::Connecting);
    let (cleared_until, cleared) = watch::channel(Instant::now());
    let stop = CancellationToken::new();
    let port = Port {
        submissions: submitted,
        answers: Answers(answers),
        reachability: told,
        cleared_until: cleared,
        stop: stop.clone(),
    };
    Sink {
        submissions,
        outcomes,
        reachability,
        cleared_until,
        in_flight,
        stop,
        task: tokio::spawn(run(port)),
    }
}

impl Answers {
    /// Answers a submission. Waits only for a reader that lets more than [`InFlight::events_max`] be open.
    pub(crate) async fn send(&self, token: u64, verdict: Verdict) {
        // A reader that is gone wants no answers.
        let _ = self.0.send(Outcome { token, verdict }).await;
    }

    /// The same from a thread outside of the async runtime.
    pub(crate) fn send_blocking(&self, token: u64, verdict: Verdict) {
        if let Err(mpsc::error::TrySendError::Full(outcome)) = self.0.try_send(Outcome { token, verdict }) {
            let _ = self.0.blocking_send(outcome);
        }
    }

    /// Waits until every answer so far has been taken.
    async fn all_taken(&self) {
        let _ = self.0.reserve_many(self.0.max_capacity()).await;
    }
}

impl Port {
    /// Answers what was handed over before the failure of an earlier event could be known, so that nothing newer
    /// of its key is written before it.
    ///
    /// Whoever hands over events takes note of an outcome before handing over the next event. So what is handed over
    /// after every outcome was taken was handed over with the failure in mind.
    pub(crate) async fn refuse_until_known(&mut self) {
        loop {
            while let Ok(submission) = self.submissions.try_recv() {
                let verdict = SinkError::behind_a_failure().retryable();
                self.answers.send(submission.token, verdict).await;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.answers.all_taken() => {}
            }
            if self.submissions.is_empty() {
                return;
            }
        }
    }

    /// Tells how the destination is.
    pub(crate) fn tell(&self, state: Reachability) {
        tell(&self.reachability, state);
    }
}

/// Tells how the destination is; wakes nobody when that is known.
pub(crate) fn tell(reachability: &watch::Sender<Reachability>, state: Reachability) {
    reachability.send_if_modified(|known| {
        let news = *known != state;
        if news {
            *known = state;
        }
        news
    });
}

#[cfg(test)]
#[path = "port/tests.rs"]
mod tests;

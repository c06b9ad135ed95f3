//! What a runner notes for routes-api: it is told now and then, not event by event.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

/// Outcomes that wait to be told. While routes-api is away and there are so many, the runner waits.
const OUTCOMES_MAX: usize = 10_000;
/// Longest reason of an outcome, in characters.
const REASON_CHARS_MAX: usize = 400;
/// How long the runner waits at most until it looks again whether there is room.
const ROOM_LOOK: Duration = Duration::from_secs(1);

/// What a runner notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    outcomes: Vec<proto::RedriveOutcome>,
    finished: Vec<u32>,
    error: String,
    error_told: String,
}

impl Notes {
    /// What has become of an event.
    pub(super) fn outcome(&self, event_id: Uuid, delivered: bool, reason: &str) {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let outcome = proto::RedriveOutcome { event_id: event_id.to_string(), delivered, reason };
        self.lock().outcomes.push(outcome);
    }

    /// Nothing is left to do in some partitions.
    pub(super) fn finished(&self, partitions: impl IntoIterator<Item = u32>) {
        self.lock().finished.extend(partitions);
    }

    /// Why the runner does not go on; empty when it does.
    pub(super) fn error(&self, error: &str) {
        error.clone_into(&mut self.lock().error);
    }

    /// Waits until one more outcome has room.
    pub(super) async fn room(&self) {
        while self.lock().outcomes.len() >= OUTCOMES_MAX {
            let _looked = tokio::time::timeout(ROOM_LOOK, self.told.notified()).await;
        }
    }

    /// What is new; `None` when nothing is.
    pub(super) fn report(&self, job_id: &str, partition_count: u32) -> Option<proto::RedriveReport> {
        let mut state = self.lock();
        let is_new =
            !state.outcomes.is_empty() || !state.finished.is_empty() || state.error != state.error_told;
        if !is_new || partition_count == 0 {
            return None;
        }
        state.error_told = state.error.clone();
        self.told.notify_one();
        Some(proto::RedriveReport {
            job_id: job_id.to_owned(),
            outcomes: std::mem::take(&mut state.outcomes),
            finished_partitions: std::mem::take(&mut state.finished),
            partition_count,
            error: state.error.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_told_once() {
        let notes = Notes::default();
        assert_eq!(notes.report("job", 4), None);
        notes.outcome(Uuid::nil(), true, "");
        notes.finished([1, 2]);
        assert_eq!(notes.report("job", 0), None);
        let report = notes.report("job", 4).unwrap();
        assert_eq!((report.outcomes.len(), report.finished_partitions), (1, vec![1, 2]));
        notes.error("away");
        assert_eq!(notes.report("job", 4).unwrap().error, "away");
        assert_eq!(notes.report("job", 4), None);
        notes.error("");
        assert_eq!(notes.report("job", 4).unwrap().error, "");
    }
}

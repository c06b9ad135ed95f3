//! What a runner notes for routes-api: it is told once a second, not event by event.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashSet;
use tokio::sync::Notify;
use tokio::time::Instant;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

/// How often a job is told of: each time is a write to the database of routes-api.
const INTERVAL: Duration = Duration::from_secs(1);
/// Outcomes in one report.
const REPORTED_MAX: usize = 1_000;
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
    outcomes: VecDeque<proto::RedriveOutcome>,
    /// Partitions in which nothing is left to do, of so many.
    finished: HashSet<u32>,
    partition_count: u32,
    error: String,
    /// There is something that was not told.
    is_new: bool,
    told_at: Option<Instant>,
}

impl Notes {
    /// What has become of an event.
    pub(super) fn outcome(&self, event_id: Uuid, delivered: bool, reason: &str) {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let outcome = proto::RedriveOutcome { event_id: event_id.to_string(), delivered, reason };
        let mut state = self.lock();
        state.outcomes.push_back(outcome);
        state.is_new = true;
    }

    /// There are so many partitions. When there were others before, all begins anew.
    pub(super) fn count(&self, partition_count: u32) {
        let mut state = self.lock();
        if state.partition_count != partition_count {
            state.finished.clear();
            state.partition_count = partition_count;
        }
    }

    /// Nothing is left to do in some partitions.
    pub(super) fn finish(&self, partitions: impl IntoIterator<Item = u32>) {
        let mut state = self.lock();
        let before = state.finished.len();
        state.finished.extend(partitions);
        state.is_new |= state.finished.len() > before;
    }

    /// Nothing is left to do in a partition.
    pub(super) fn is_finished(&self, partition: u32) -> bool {
        self.lock().finished.contains(&partition)
    }

    /// Why the runner does not go on; empty when it does.
    pub(super) fn error(&self, error: &str) {
        let mut state = self.lock();
        if state.error != error {
            error.clone_into(&mut state.error);
            state.is_new = true;
        }
    }

    /// Waits until one more outcome has room.
    pub(super) async fn room(&self) {
        while self.lock().outcomes.len() >= OUTCOMES_MAX {
            let _looked = tokio::time::timeout(ROOM_LOOK, self.told.notified()).await;
        }
    }

    /// There is something that can be told and was not.
    pub(super) fn has_news(&self) -> bool {
        let state = self.lock();
        state.is_new && state.partition_count > 0
    }

    /// Somebody else is told now, who may know nothing yet.
    pub(super) fn tell_again(&self) {
        let mut state = self.lock();
        state.is_new = true;
        state.told_at = None;
    }

    /// What is to be told now; `None` when nothing is.
    pub(super) fn report(&self, job_id: &str, now: Instant) -> Option<proto::RedriveReport> {
        let mut state = self.lock();
        let is_due = state.told_at.is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL);
        if !state.is_new || !is_due || state.partition_count == 0 {
            return None;
        }
        let count = state.outcomes.len().min(REPORTED_MAX);
        let outcomes: Vec<_> = state.outcomes.drain(..count).collect();
        state.is_new = !state.outcomes.is_empty();
        state.told_at = Some(now);
        self.told.notify_one();
        Some(proto::RedriveReport {
            job_id: job_id.to_owned(),
            outcomes,
            // Of partitions in which all is told.
            finished_partitions: if state.is_new {
                Vec::new()
            } else {
                state.finished.iter().copied().collect()
            },
            partition_count: state.partition_count,
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

    fn outcomes(notes: &Notes, count: usize) {
        (0..count).for_each(|_| notes.outcome(Uuid::nil(), true, ""));
    }

    #[test]
    fn what_is_noted_is_told_once_and_no_more_than_once_a_second() {
        let start = Instant::now();
        let notes = Notes::default();
        outcomes(&notes, 1);
        assert_eq!(notes.report("job", start), None, "the number of partitions is not known");
        notes.count(4);
        notes.finish([1, 2]);
        let report = notes.report("job", start).unwrap();
        assert_eq!((report.outcomes.len(), report.finished_partitions.len()), (1, 2));
        notes.error("away");
        assert_eq!(notes.report("job", start), None);
        let report = notes.report("job", start + INTERVAL).unwrap();
        assert_eq!((&*report.error, report.outcomes.len()), ("away", 0));
        notes.error("away");
        assert_eq!(notes.report("job", start + INTERVAL * 2), None);
        notes.tell_again();
        assert_eq!(notes.report("job", start + INTERVAL).unwrap().finished_partitions.len(), 2);
    }

    #[test]
    fn a_partition_is_told_to_be_finished_when_all_outcomes_are() {
        let start = Instant::now();
        let notes = Notes::default();
        notes.count(4);
        outcomes(&notes, REPORTED_MAX + 1);
        notes.finish([3]);
        let first = notes.report("job", start).unwrap();
        assert_eq!((first.outcomes.len(), first.finished_partitions), (REPORTED_MAX, vec![]));
        let second = notes.report("job", start + INTERVAL).unwrap();
        assert_eq!((second.outcomes.len(), second.finished_partitions), (1, vec![3]));
    }

    #[test]
    fn another_number_of_partitions_begins_anew() {
        let notes = Notes::default();
        notes.count(4);
        notes.finish([3]);
        notes.count(8);
        assert!(!notes.is_finished(3));
    }
}

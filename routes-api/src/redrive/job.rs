//! One redrive job, and what a worker's report makes of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use twinroute_common::dead_letter::Selection;
use uuid::Uuid;

use super::FAILURES_MAX;
use super::report::Report;

/// Numbers of partitions that one job keeps apart.
const COUNTS_MAX: usize = 4;

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Handed out to the workers.
    Running,
    /// Everything selected was sent or has failed again.
    Done,
    /// It could not be carried out to its end.
    Failed,
    /// It was ended by a call.
    Cancelled,
}

impl State {
    const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// Its name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A job that sends dead letters again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What to send.
    pub selection: Selection,
    /// Largest number of events a second over all workers; 0 for no bound.
    pub events_per_second_max: u32,
    /// How it goes.
    pub state: State,
    /// Events delivered.
    pub delivered: u64,
    /// Events that failed again.
    pub failed: u64,
    /// Why it does not go on, or its last event failed; empty when there was no such reason.
    pub last_error: String,
    /// Partitions in which nothing is left to do, by the number of partitions that there are: workers of two subscriptions
    /// may divide the letters differently.
    pub finished: BTreeMap<u32, BTreeSet<u32>>,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it came to its end.
    pub end_time: Option<Timestamp>,
}

/// An event that failed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// CloudEvents `id`.
    pub event_id: Uuid,
    /// Why, for people.
    pub reason: String,
}

/// A failure with its place among those of its job, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedFailure {
    /// Its place.
    pub number: u64,
    /// The failure.
    pub failure: Failure,
}

impl Job {
    /// It is handed out to the workers.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Takes over a worker's report, and gives the failures to keep. Of a job that has ended only its numbers change: what
    /// was done before the worker knew. It is done when all partitions are finished, whatever their number is: together
    /// they hold every letter.
    #[must_use]
    pub fn merge(&mut self, report: &Report, now: Timestamp) -> Vec<NumberedFailure> {
        let failures = (self.failed..FAILURES_MAX).zip(report.failures.iter().cloned());
        let failures = failures.map(|(number, failure)| NumberedFailure { number, failure }).collect();
        self.delivered = self.delivered.saturating_add(report.delivered);
        self.failed = self.failed.saturating_add(report.failed);
        if !self.is_running() {
            return failures;
        }
        if let Some(Failure { event_id, reason }) = &report.last_failure {
            self.last_error = format!("event {event_id}: {reason}");
        }
        if !report.error.is_empty() {
            self.last_error.clone_from(&report.error);
        }
        if self.finish(report.partition_count, &report.finished) {
            self.end(State::Done, now);
            if self.failed == 0 {
                // Why it once did not go on matters no more.
                self.last_error.clear();
            }
        }
        failures
    }

    /// Notes finished partitions of so many. Whether those are all.
    fn finish(&mut self, count: u32, finished: &BTreeSet<u32>) -> bool {
        if self.finished.len() >= COUNTS_MAX && !self.finished.contains_key(&count) {
            return false;
        }
        let present = self.finished.entry(count).or_default();
        present.extend(finished);
        (0..count).all(|partition| present.contains(&partition))
    }

    /// Ends it before its time. A job that has ended stays as it is.
    pub fn cancel(&mut self, now: Timestamp) {
        if self.is_running() {
            self.end(State::Cancelled, now);
        }
    }

    fn end(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.end_time = Some(now);
    }
}

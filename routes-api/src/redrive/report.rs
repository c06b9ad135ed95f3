//! How a redrive job goes at one worker, as the worker says it.

use std::collections::BTreeSet;

use twinroute_common::dead_letter::event_id;
use twinroute_common::route::Violations;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::FAILURES_MAX;
use super::job::Failure;

/// Most outcomes in one report: some 64 bytes each, and far more than a worker settles between two of them.
const OUTCOMES_MAX: usize = 10_000;
/// Most partitions that a subscription can have.
const PARTITIONS_MAX: u32 = 4_096;
/// Longest reason that is kept, in characters.
const TEXT_CHARACTERS_MAX: usize = 1_000;

/// A report that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Id of the job.
    pub job_id: Uuid,
    /// Events delivered since the last report.
    pub delivered: u64,
    /// Events that failed again since the last report.
    pub failed: u64,
    /// The first of them, as many as are kept of a job.
    pub failures: Vec<Failure>,
    /// The last of them.
    pub last_failure: Option<Failure>,
    /// Partitions in which nothing is left to do.
    pub finished: BTreeSet<u32>,
    /// Number of partitions; never 0.
    pub partition_count: u32,
    /// Why the worker does not go on; empty when it does.
    pub error: String,
}

impl TryFrom<proto::RedriveReport> for Report {
    type Error = Violations;

    fn try_from(given: proto::RedriveReport) -> Result<Self, Violations> {
        let id = &given.job_id;
        let no_id = |_| Violations::one("job_id", format!("is `{id}`; the id of a job is a UUID"));
        let job_id = id.parse().map_err(no_id)?;
        let partition_count = given.partition_count;
        if !(1..=PARTITIONS_MAX).contains(&partition_count) {
            let reason = format!("is {partition_count}; it must be 1 to {PARTITIONS_MAX}");
            return Err(Violations::one("partition_count", reason));
        }
        if let Some(beyond) = given.finished_partitions.iter().find(|&&it| it >= partition_count) {
            let reason = format!("has {beyond}, and there are {partition_count} partitions, from 0");
            return Err(Violations::one("finished_partitions", reason));
        }
        let outcomes = given.outcomes.len();
        if outcomes > OUTCOMES_MAX {
            let reason = format!("has {outcomes} entries; a report has at most {OUTCOMES_MAX}");
            return Err(Violations::one("outcomes", reason));
        }
        let mut report = Self {
            job_id,
            delivered: 0,
            failed: 0,
            failures: Vec::new(),
            last_failure: None,
            finished: given.finished_partitions.into_iter().collect(),
            partition_count,
            error: text(&given.error),
        };
        given.outcomes.into_iter().try_for_each(|outcome| report.take(&outcome))?;
        Ok(report)
    }
}

impl Report {
    /// Takes over the next report of the same worker about the same job.
    pub fn absorb(&mut self, next: Self) {
        self.delivered = self.delivered.saturating_add(next.delivered);
        self.failed = self.failed.saturating_add(next.failed);
        let room = usize::try_from(FAILURES_MAX).unwrap_or(usize::MAX).saturating_sub(self.failures.len());
        self.failures.extend(next.failures.into_iter().take(room));
        self.last_failure = next.last_failure.or(self.last_failure.take());
        if self.partition_count != next.partition_count {
            self.finished.clear();
            self.partition_count = next.partition_count;
        }
        self.finished.extend(next.finished);
        self.error = next.error;
    }

    fn take(&mut self, outcome: &proto::RedriveOutcome) -> Result<(), Violations> {
        let event_id = event_id("outcomes.event_id", &outcome.event_id)?;
        if outcome.delivered {
            self.delivered += 1;
            return Ok(());
        }
        let failure = Failure { event_id, reason: text(&outcome.reason) };
        if self.failed < FAILURES_MAX {
            self.failures.push(failure.clone());
        }
        self.failed += 1;
        self.last_failure = Some(failure);
        Ok(())
    }
}

/// What is kept of a text. PostgreSQL has no text with NUL in it.
fn text(given: &str) -> String {
    let characters = given.chars().take(TEXT_CHARACTERS_MAX);
    characters
        .map(|character| if character == '\0' { char::REPLACEMENT_CHARACTER } else { character })
        .collect()
}

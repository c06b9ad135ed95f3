//! The jobs that workers must know of: those that run, and those that have ended lately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::job::{Job, State};

/// Jobs that have ended and are remembered: far more than can end while one worker's stream is slow.
const ENDED_MAX: usize = 100;

/// The jobs of the database as they were last seen. What is counted of those that run may be older.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    running: BTreeMap<Uuid, Arc<Job>>,
    ended: VecDeque<Arc<Job>>,
}

impl Jobs {
    /// The jobs that run.
    pub fn running(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.running.values()
    }

    /// The job runs.
    #[must_use]
    pub fn runs(&self, id: Uuid) -> bool {
        self.running.contains_key(&id)
    }

    /// How a job that does not run any more has ended. One that is forgotten or was never stored counts as cancelled:
    /// whoever has it must let go of it.
    #[must_use]
    pub fn end_of(&self, id: Uuid) -> State {
        self.ended.iter().rev().find(|job| job.id == id).map_or(State::Cancelled, |job| job.state)
    }

    /// What is to be read because it begins or ends, when `ids` are the jobs that run now.
    #[must_use]
    pub fn changed(&self, ids: &BTreeSet<Uuid>) -> Vec<Uuid> {
        let known: BTreeSet<Uuid> = self.running.keys().copied().collect();
        known.symmetric_difference(ids).copied().collect()
    }

    /// The jobs when `ids` run; `changed` are those that begin or end, as they are stored.
    #[must_use]
    pub fn with(&self, ids: &BTreeSet<Uuid>, changed: Vec<Job>) -> Self {
        let mut jobs = self.clone();
        // One that is stored no more has ended too.
        jobs.running.retain(|id, _| ids.contains(id));
        for job in changed {
            if job.is_running() {
                jobs.running.insert(job.id, Arc::new(job));
            } else {
                jobs.ended.push_back(Arc::new(job));
            }
        }
        while jobs.ended.len() > ENDED_MAX {
            jobs.ended.pop_front();
        }
        jobs
    }
}

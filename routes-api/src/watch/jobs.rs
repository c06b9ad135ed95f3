//! Which redrive jobs a worker was handed, and what it is to be told of them next.

use std::collections::BTreeSet;
use std::sync::Arc;

use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use crate::redrive::{Jobs, State};
use crate::show;

/// The jobs that the worker has, and those that there are.
#[derive(Debug)]
pub(super) struct HandedOut {
    handed: BTreeSet<Uuid>,
    jobs: Arc<Jobs>,
}

impl HandedOut {
    /// Nothing is handed out yet.
    pub(super) fn new(jobs: Arc<Jobs>) -> Self {
        Self { handed: BTreeSet::new(), jobs }
    }

    /// These are the jobs now.
    pub(super) fn follow(&mut self, jobs: Arc<Jobs>) {
        self.jobs = jobs;
    }

    /// The worker does not have what there is.
    pub(super) fn is_behind(&self) -> bool {
        self.ended().is_some() || self.jobs.running().any(|job| !self.handed.contains(&job.id))
    }

    /// The next job to be told: one that has ended, or one to hand out.
    pub(super) fn next(&mut self) -> Option<proto::RedriveJob> {
        if let Some(id) = self.ended() {
            self.handed.remove(&id);
            return Some(ended(id, self.jobs.end_of(id)));
        }
        let job = self.jobs.running().find(|job| !self.handed.contains(&job.id))?;
        self.handed.insert(job.id);
        Some(show::job(job, Vec::new()))
    }

    /// What the worker is told of a job that it reports on and that has ended; `None` when it is told in its turn.
    pub(super) fn late(&self, id: Uuid, state: State) -> Option<proto::RedriveJob> {
        (!self.handed.contains(&id)).then(|| ended(id, state))
    }

    fn ended(&self) -> Option<Uuid> {
        self.handed.iter().copied().find(|&id| !self.jobs.runs(id))
    }
}

/// A job that the worker is to let go of: nothing else of it matters.
fn ended(id: Uuid, state: State) -> proto::RedriveJob {
    proto::RedriveJob {
        id: id.to_string(),
        state: show::redrive_state(state).into(),
        ..proto::RedriveJob::default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use twinroute_common::dead_letter::Selection;

    use super::*;
    use crate::redrive::{Job, start};

    fn job(endpoint: &str) -> Job {
        let endpoint_name = endpoint.to_owned();
        let selection = proto::DeadLetterSelection { endpoint_name, ..Default::default() };
        start(&[], Selection::try_from(selection).unwrap(), 5, 1, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn each_job_is_told_once_when_it_runs_and_once_when_it_has_ended() {
        let (first, second) = (job("kafka"), job("mqtt"));
        let both = BTreeSet::from([first.id, second.id]);
        let jobs = Jobs::default().with(&both, vec![first.clone(), second.clone()]);
        let mut handed = HandedOut::new(Arc::new(jobs.clone()));
        let mut told: Vec<_> = std::iter::from_fn(|| handed.next()).collect();
        told.sort_by_key(|job| job.selection.clone().map(|selection| selection.endpoint_name));
        assert_eq!(told, [show::job(&first, Vec::new()), show::job(&second, Vec::new())]);
        assert!(!handed.is_behind());

        let mut done = first.clone();
        done.state = State::Done;
        let jobs = jobs.with(&BTreeSet::from([second.id]), vec![done]);
        handed.follow(Arc::new(jobs));
        assert!(handed.is_behind() && handed.late(first.id, State::Done).is_none());
        let told: Vec<_> = std::iter::from_fn(|| handed.next()).collect();
        let told: Vec<_> = told.iter().map(|job| (job.id.clone(), job.state())).collect();
        assert_eq!(told, [(first.id.to_string(), proto::RedriveState::Done)]);
        assert!(!handed.is_behind());
        let late = handed.late(first.id, State::Done).map(|job| job.state());
        assert_eq!(late, Some(proto::RedriveState::Done));
    }
}

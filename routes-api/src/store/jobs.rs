//! What the store's task is asked about redrive jobs.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::error::{ChangeError, SessionError, StoreError};
use super::session::{Content, Session};
use super::{Request, Store};
use crate::catalog::Catalog;
use crate::redrive::{Failure, Job, Jobs, Report};
use crate::refusal::Refusal;

/// Makes a job from the catalog that is in force, the jobs that run, and the time.
pub type JobDecision = Box<dyn FnOnce(&Catalog, &[Job], Timestamp) -> Result<Job, Refusal> + Send>;

type Answer<T, E = StoreError> = oneshot::Sender<Result<T, E>>;

/// What the task is asked about jobs.
pub(crate) enum JobRequest {
    /// To start one.
    Start(JobDecision, Answer<Job, ChangeError>),
    /// To show one with its failures.
    Get(Uuid, Answer<Option<(Job, Vec<Failure>)>>),
    /// To end one.
    Cancel(Uuid, Answer<Option<Job>>),
    /// To merge a worker's report.
    Report(Arc<Report>, Answer<Option<Job>>),
}

impl Store {
    /// The jobs as they were last seen, now and whenever one begins or ends.
    #[must_use]
    pub fn jobs(&self) -> watch::Receiver<Arc<Jobs>> {
        self.jobs.clone()
    }

    /// Starts a job.
    ///
    /// # Errors
    /// When the decision is a refusal, the database is away, or too many ask.
    pub async fn start_job(
        &self,
        decision: impl FnOnce(&Catalog, &[Job], Timestamp) -> Result<Job, Refusal> + Send + 'static,
    ) -> Result<Job, ChangeError> {
        self.ask(|answer| JobRequest::Start(Box::new(decision), answer)).await
    }

    /// A job with its failures; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database is away or too many ask.
    pub async fn job(&self, id: Uuid) -> Result<Option<(Job, Vec<Failure>)>, StoreError> {
        self.ask(|answer| JobRequest::Get(id, answer)).await
    }

    /// Ends a job; gives it as it is then, also when it had ended before. `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database is away or too many ask.
    pub async fn cancel_job(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        self.ask(|answer| JobRequest::Cancel(id, answer)).await
    }

    /// Merges a worker's report; gives the job as it is then. `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database is away or too many ask. After [`StoreError::InDoubt`] the report may have been merged.
    pub async fn report(&self, report: Arc<Report>) -> Result<Option<Job>, StoreError> {
        self.ask(|answer| JobRequest::Report(report, answer)).await
    }

    async fn ask<T, E: From<StoreError>>(
        &self,
        request: impl FnOnce(Answer<T, E>) -> JobRequest,
    ) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(Request::Job(request(answer))).map_err(|_| StoreError::Busy)?;
        answered.await.map_err(|_| StoreError::Stopping)?
    }
}

impl JobRequest {
    /// Tells whoever asked that it cannot be done. He may have gone.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Start(_, answer) => drop(answer.send(Err(error.into()))),
            Self::Get(_, answer) => drop(answer.send(Err(error))),
            Self::Cancel(_, answer) | Self::Report(_, answer) => drop(answer.send(Err(error))),
        }
    }

    /// Does it.
    pub(super) async fn answer(
        self,
        session: &mut Session,
        known: Option<&Arc<Catalog>>,
        content: &Content,
    ) -> Result<(), SessionError> {
        match self {
            Self::Start(decision, answer) => {
                let started = session.start_job(known, content, decision).await;
                told(started.map(|started| started.map_err(ChangeError::from)), answer, StoreError::InDoubt)
            }
            Self::Get(id, answer) => told(session.job(id).await.map(Ok), answer, StoreError::Unavailable),
            Self::Cancel(id, answer) => {
                told(session.cancel_job(id).await.map(Ok), answer, StoreError::InDoubt)
            }
            Self::Report(report, answer) => {
                told(session.report(&report).await.map(Ok), answer, StoreError::InDoubt)
            }
        }
    }
}

/// Gives the answer, or the reason why there is none, with which the session ends.
fn told<T, E: From<StoreError>>(
    done: Result<Result<T, E>, SessionError>,
    answer: Answer<T, E>,
    failed: fn(String) -> StoreError,
) -> Result<(), SessionError> {
    match done {
        Ok(done) => {
            drop(answer.send(done));
            Ok(())
        }
        Err(failure) => {
            drop(answer.send(Err(failed(failure.reason()).into())));
            Err(failure)
        }
    }
}

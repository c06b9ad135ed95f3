//! Redrive jobs over the session's connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_postgres::Transaction;
use uuid::Uuid;

use super::{Content, Session};
use crate::catalog::Catalog;
use crate::redrive::{Failure, Job, Jobs, Report};
use crate::refusal::Refusal;
use crate::store::JobDecision;
use crate::store::error::SessionError;
use crate::store::job_rows;
use crate::store::rows::lock_version;

impl Session {
    /// The jobs that run now; `None` when they are those that are known.
    pub(in crate::store) async fn running_jobs(&self, known: &Jobs) -> Result<Option<Jobs>, SessionError> {
        let looking = async {
            let ids: BTreeSet<Uuid> = job_rows::running_ids(&self.client).await?;
            let changed = known.changed(&ids);
            if changed.is_empty() {
                return Ok(None);
            }
            let changed = job_rows::some(&self.client, &changed).await?;
            Ok(Some(known.with(&ids, changed)))
        };
        self.bounded("look for redrive jobs", looking).await
    }

    /// Decides under the lock of the version, so that no endpoint is deleted meanwhile, and writes the job.
    pub(in crate::store) async fn start_job(
        &mut self,
        known: Option<&Arc<Catalog>>,
        content: &Content,
        decision: JobDecision,
    ) -> Result<Result<Job, Refusal>, SessionError> {
        let (deadline, file_loaded) = (self.deadline, self.file_loaded);
        let starting = async {
            let transaction = begin(&mut self.client).await?;
            let locked = lock_version(&transaction).await;
            let (present, moment) =
                locked.map_err(|error| SessionError::Postgres("begin a redrive job", error))?;
            let catalog = super::present(&transaction, present, known, content, file_loaded).await?;
            let running = job_rows::running(&transaction).await?;
            let job = match decision(&catalog, &running, moment.time) {
                Ok(job) => job,
                Err(refusal) => return Ok(Err(refusal)),
            };
            job_rows::insert(&transaction, &job).await?;
            commit(transaction).await?;
            Ok(Ok(job))
        };
        super::bounded(deadline, "start the redrive job", starting).await
    }

    /// A job and its failures; `None` when it is not stored.
    pub(in crate::store) async fn job(&self, id: Uuid) -> Result<Option<(Job, Vec<Failure>)>, SessionError> {
        let reading = async {
            let Some(job) = job_rows::some(&self.client, &[id]).await?.pop() else { return Ok(None) };
            Ok(Some((job, job_rows::failures(&self.client, id).await?)))
        };
        self.bounded("read the redrive job", reading).await
    }

    /// Ends a job, and gives it as it is then; `None` when it is not stored.
    pub(in crate::store) async fn cancel_job(&mut self, id: Uuid) -> Result<Option<Job>, SessionError> {
        let deadline = self.deadline;
        let cancelling = async {
            let transaction = begin(&mut self.client).await?;
            let Some((mut job, now)) = job_rows::lock(&transaction, id).await? else { return Ok(None) };
            job.cancel(now);
            job_rows::update(&transaction, &job).await?;
            commit(transaction).await?;
            Ok(Some(job))
        };
        super::bounded(deadline, "cancel the redrive job", cancelling).await
    }

    /// Merges a report into its job, and gives the job as it is then; `None` when it is not stored.
    pub(in crate::store) async fn report(&mut self, report: &Report) -> Result<Option<Job>, SessionError> {
        let deadline = self.deadline;
        let merging = async {
            let transaction = begin(&mut self.client).await?;
            let locked = job_rows::lock(&transaction, report.job_id).await?;
            let Some((mut job, now)) = locked else { return Ok(None) };
            let failures = job.merge(report, now);
            job_rows::update(&transaction, &job).await?;
            job_rows::insert_failures(&transaction, job.id, failures).await?;
            commit(transaction).await?;
            if job.end_time == Some(now) {
                let (delivered, failed) = (job.delivered, job.failed);
                tracing::info!(job = %job.id, endpoint = job.selection.endpoint, delivered, failed, "a redrive job is done");
            }
            Ok(Some(job))
        };
        super::bounded(deadline, "take over a redrive report", merging).await
    }

    async fn bounded<T>(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<T, SessionError>>,
    ) -> Result<T, SessionError> {
        super::bounded(self.deadline, what, work).await
    }
}

async fn begin(client: &mut tokio_postgres::Client) -> Result<Transaction<'_>, SessionError> {
    client.transaction().await.map_err(|error| SessionError::Postgres("begin to change redrive jobs", error))
}

async fn commit(transaction: Transaction<'_>) -> Result<(), SessionError> {
    transaction.commit().await.map_err(|error| SessionError::Postgres("commit redrive jobs", error))
}

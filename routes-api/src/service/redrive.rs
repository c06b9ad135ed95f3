//! The calls about redrive jobs.

use jiff::Timestamp;
use tonic::Status;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::{RoutesGrpc, letters};
use crate::catalog::Catalog;
use crate::letters::open;
use crate::redrive::{self, Job};
use crate::refusal::{Kind, Refusal};
use crate::show;

impl RoutesGrpc {
    pub(super) async fn start_redrive(
        &self,
        request: proto::RedriveDeadLettersRequest,
    ) -> Result<proto::RedriveDeadLettersResponse, Status> {
        let selection = letters::selection(request.selection)?;
        let (rate, jobs_max) = (request.events_per_second_max, self.limits.redrive_jobs_max);
        let decision = move |catalog: &Catalog, running: &[Job], now: Timestamp| {
            let name = &selection.endpoint;
            let missing = || Refusal::NotFound { kind: Kind::Endpoint, name: name.clone() };
            // The workers read the letters with the credential that would be used here.
            open(&catalog.endpoints.get(name).ok_or_else(missing)?.resource)?;
            redrive::start(running, selection, rate, jobs_max, now)
        };
        let job = self.store.start_job(decision).await?;
        tracing::info!(job = %job.id, endpoint = job.selection.endpoint, "a redrive job has begun");
        Ok(proto::RedriveDeadLettersResponse { job: Some(show::job(&job, Vec::new())) })
    }

    pub(super) async fn get_redrive(
        &self,
        request: proto::GetRedriveRequest,
    ) -> Result<proto::GetRedriveResponse, Status> {
        let found = self.store.job(job_id(&request.id)?).await?;
        let (job, failures) = found.ok_or_else(|| missing(&request.id))?;
        Ok(proto::GetRedriveResponse { job: Some(show::job(&job, failures)) })
    }

    pub(super) async fn cancel_redrive(
        &self,
        request: proto::CancelRedriveRequest,
    ) -> Result<proto::CancelRedriveResponse, Status> {
        let cancelled = self.store.cancel_job(job_id(&request.id)?).await?;
        let job = cancelled.ok_or_else(|| missing(&request.id))?;
        tracing::info!(job = %job.id, state = job.state.name(), "a redrive job was to be cancelled");
        Ok(proto::CancelRedriveResponse { job: Some(show::job(&job, Vec::new())) })
    }
}

/// Every job has a UUID, so that there is none by another name.
fn job_id(id: &str) -> Result<Uuid, Refusal> {
    id.parse().map_err(|_| missing(id))
}

fn missing(id: &str) -> Refusal {
    Refusal::NotFound { kind: Kind::RedriveJob, name: id.to_owned() }
}

//! The calls about parked backlogs.

use tonic::Status;
use twinroute_proto::routes::v1 as proto;

use super::RoutesGrpc;
use crate::refusal::{Kind, Refusal};
use crate::show;
use crate::workers::SkipError;

impl RoutesGrpc {
    pub(super) async fn get_backlog(
        &self,
        request: proto::GetBacklogRequest,
    ) -> Result<proto::GetBacklogResponse, Status> {
        let name = &request.endpoint_name;
        self.require_endpoint(name).await?;
        match self.workers.backlog(name) {
            Some(backlog) => Ok(show::backlog(backlog)),
            None if self.workers.connected() == 0 => Err(Status::unavailable(
                "no worker is connected to this routes-api, and only workers know a backlog: ask the routes-api that they \
                 are connected to, or start one",
            )),
            None => Err(Status::unavailable(format!(
                "no connected worker has reported on the endpoint `{name}` yet: ask again in a few seconds, and GetEndpoint \
                 whether workers refuse it"
            ))),
        }
    }

    pub(super) async fn skip_segment(
        &self,
        request: proto::SkipBacklogSegmentRequest,
    ) -> Result<proto::SkipBacklogSegmentResponse, Status> {
        let proto::SkipBacklogSegmentRequest { endpoint_name, object_name } = request;
        self.require_endpoint(&endpoint_name).await?;
        let settings = &self.watching.settings;
        let skipping = self.workers.skip(&endpoint_name, &object_name);
        let skipped = tokio::select! {
            skipped = tokio::time::timeout(settings.skip_deadline(), skipping) => skipped,
            () = self.watching.stop.cancelled() => {
                let message = "routes-api is shutting down; the segment may be skipped all the same: GetBacklog tells";
                return Err(Status::unavailable(message));
            }
        };
        match skipped {
            Ok(Ok(())) => Ok(proto::SkipBacklogSegmentResponse {}),
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "a worker was asked to skip the segment and has not said that it did within watch.skip_deadline_ms ({} ms); \
                 it may still take effect: GetBacklog tells",
                settings.skip_deadline_ms
            ))),
        }
    }

    async fn require_endpoint(&self, name: &str) -> Result<(), Status> {
        let catalog = self.store.read().await?;
        if !catalog.endpoints.contains_key(name) {
            return Err(Refusal::NotFound { kind: Kind::Endpoint, name: name.to_owned() }.into());
        }
        Ok(())
    }
}

fn refused(error: &SkipError) -> Status {
    let message = error.to_string();
    match error {
        SkipError::NotDamaged(_) => Status::not_found(message),
        SkipError::Busy(_) => Status::resource_exhausted(message),
        SkipError::Left(_) => Status::unavailable(message),
    }
}

//! `twinroute.routes.v1.RoutesService` over gRPC.

mod backlog;
mod endpoints;
mod filters;
mod letters;
mod redrive;
mod routes;

use std::pin::Pin;

use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status, Streaming};
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::routes_service_server::RoutesService;

use crate::decide::Keeping;
use crate::metrics::Metrics;
use crate::settings::{LimitSettings, TrialSettings};
use crate::store::Store;
use crate::watch::{self, Watching};
use crate::workers::Workers;

/// The service.
#[derive(Clone, Debug)]
pub struct RoutesGrpc {
    /// The database.
    pub store: Store,
    /// The connected workers.
    pub workers: Workers,
    /// Whether inline secrets can be kept.
    pub keeping: Keeping,
    /// How much there may be.
    pub limits: LimitSettings,
    /// Bounds of `TestEventRoute`.
    pub trial: TrialSettings,
    /// What workers' streams need.
    pub watching: Watching,
    /// Metrics.
    pub metrics: Metrics,
    /// Calls in hand, streams aside.
    pub calls: TaskTracker,
}

impl RoutesGrpc {
    /// Counts the answer, and the call while it is in hand.
    async fn counted<T>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<Response<T>, Status> {
        let _call = self.calls.token();
        let answer = work.await;
        self.metrics.answered(method, answer.as_ref().map_or_else(Status::code, |_| Code::Ok));
        answer.map(Response::new)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RoutesService for RoutesGrpc {
    async fn create_endpoint(
        &self,
        request: Request<proto::CreateEndpointRequest>,
    ) -> Answer<proto::CreateEndpointResponse> {
        self.counted("CreateEndpoint", self.create_endpoint(request.into_inner())).await
    }

    async fn get_endpoint(
        &self,
        request: Request<proto::GetEndpointRequest>,
    ) -> Answer<proto::GetEndpointResponse> {
        self.counted("GetEndpoint", self.get_endpoint(request.into_inner())).await
    }

    async fn list_endpoints(
        &self,
        request: Request<proto::ListEndpointsRequest>,
    ) -> Answer<proto::ListEndpointsResponse> {
        self.counted("ListEndpoints", self.list_endpoints(request.into_inner())).await
    }

    async fn update_endpoint(
        &self,
        request: Request<proto::UpdateEndpointRequest>,
    ) -> Answer<proto::UpdateEndpointResponse> {
        self.counted("UpdateEndpoint", self.update_endpoint(request.into_inner())).await
    }

    async fn delete_endpoint(
        &self,
        request: Request<proto::DeleteEndpointRequest>,
    ) -> Answer<proto::DeleteEndpointResponse> {
        self.counted("DeleteEndpoint", self.delete_endpoint(request.into_inner())).await
    }

    async fn create_event_route(
        &self,
        request: Request<proto::CreateEventRouteRequest>,
    ) -> Answer<proto::CreateEventRouteResponse> {
        self.counted("CreateEventRoute", self.create_route(request.into_inner())).await
    }

    async fn get_event_route(
        &self,
        request: Request<proto::GetEventRouteRequest>,
    ) -> Answer<proto::GetEventRouteResponse> {
        self.counted("GetEventRoute", self.get_route(request.into_inner())).await
    }

    async fn list_event_routes(
        &self,
        request: Request<proto::ListEventRoutesRequest>,
    ) -> Answer<proto::ListEventRoutesResponse> {
        self.counted("ListEventRoutes", self.list_routes(request.into_inner())).await
    }

    async fn update_event_route(
        &self,
        request: Request<proto::UpdateEventRouteRequest>,
    ) -> Answer<proto::UpdateEventRouteResponse> {
        self.counted("UpdateEventRoute", self.update_route(request.into_inner())).await
    }

    async fn delete_event_route(
        &self,
        request: Request<proto::DeleteEventRouteRequest>,
    ) -> Answer<proto::DeleteEventRouteResponse> {
        self.counted("DeleteEventRoute", self.delete_route(request.into_inner())).await
    }

    async fn check_filter(
        &self,
        request: Request<proto::CheckFilterRequest>,
    ) -> Answer<proto::CheckFilterResponse> {
        self.counted("CheckFilter", async { Ok(filters::check(&request.into_inner().filter)) }).await
    }

    async fn test_event_route(
        &self,
        request: Request<proto::TestEventRouteRequest>,
    ) -> Answer<proto::TestEventRouteResponse> {
        self.counted("TestEventRoute", self.test_route(request.into_inner())).await
    }

    async fn get_backlog(
        &self,
        request: Request<proto::GetBacklogRequest>,
    ) -> Answer<proto::GetBacklogResponse> {
        self.counted("GetBacklog", self.get_backlog(request.into_inner())).await
    }

    async fn skip_backlog_segment(
        &self,
        request: Request<proto::SkipBacklogSegmentRequest>,
    ) -> Answer<proto::SkipBacklogSegmentResponse> {
        self.counted("SkipBacklogSegment", self.skip_segment(request.into_inner())).await
    }

    async fn list_dead_letters(
        &self,
        request: Request<proto::ListDeadLettersRequest>,
    ) -> Answer<proto::ListDeadLettersResponse> {
        self.counted("ListDeadLetters", self.list_letters(request.into_inner())).await
    }

    async fn get_dead_letter(
        &self,
        request: Request<proto::GetDeadLetterRequest>,
    ) -> Answer<proto::GetDeadLetterResponse> {
        self.counted("GetDeadLetter", self.get_letter(request.into_inner())).await
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<proto::RedriveDeadLettersRequest>,
    ) -> Answer<proto::RedriveDeadLettersResponse> {
        self.counted("RedriveDeadLetters", self.start_redrive(request.into_inner())).await
    }

    async fn get_redrive(
        &self,
        request: Request<proto::GetRedriveRequest>,
    ) -> Answer<proto::GetRedriveResponse> {
        self.counted("GetRedrive", self.get_redrive(request.into_inner())).await
    }

    async fn cancel_redrive(
        &self,
        request: Request<proto::CancelRedriveRequest>,
    ) -> Answer<proto::CancelRedriveResponse> {
        self.counted("CancelRedrive", self.cancel_redrive(request.into_inner())).await
    }

    async fn purge_dead_letters(
        &self,
        request: Request<proto::PurgeDeadLettersRequest>,
    ) -> Answer<proto::PurgeDeadLettersResponse> {
        self.counted("PurgeDeadLetters", self.purge_letters(request.into_inner())).await
    }

    type WatchRoutesStream = Pin<Box<dyn Stream<Item = Result<proto::WatchRoutesResponse, Status>> + Send>>;

    async fn watch_routes(
        &self,
        request: Request<Streaming<proto::WatchRoutesRequest>>,
    ) -> Answer<Self::WatchRoutesStream> {
        let answers = watch::serve(self.watching.clone(), request.into_inner());
        let stream: Self::WatchRoutesStream = Box::pin(ReceiverStream::new(answers));
        self.counted("WatchRoutes", async { Ok(stream) }).await
    }
}

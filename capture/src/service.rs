//! The gRPC service: streams for consumers, and the unary companions.

mod creation;
mod deletion;
mod finding;
mod greeting;
mod listing;
mod resume;
mod session;
mod slots;
mod status;

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::capture_service_server::CaptureService;

use self::session::Session;
use crate::catalog::Catalog;
use crate::config::CaptureSettings;
use crate::live::Live;
use crate::postgres::ConnectionString;

/// Serves the consumers of all subscriptions of this process.
#[derive(Clone, Debug)]
pub struct CaptureGrpc {
    settings: Arc<CaptureSettings>,
    config: Arc<ConnectionString>,
    catalog: Arc<Catalog>,
    live: Live,
    status: status::StatusReader,
    shutdown: CancellationToken,
}

impl CaptureGrpc {
    /// A service of what `catalog` has. At `shutdown` consumers are told to go away.
    #[must_use]
    pub fn new(
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        catalog: Arc<Catalog>,
        live: Live,
        shutdown: CancellationToken,
    ) -> Self {
        let status =
            status::StatusReader::new(Arc::clone(&settings), Arc::clone(&config), Arc::clone(&catalog));
        Self { settings, config, catalog, live, status, shutdown }
    }
}

#[tonic::async_trait]
impl CaptureService for CaptureGrpc {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<proto::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<proto::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        if self.shutdown.is_cancelled() {
            return Err(Status::unavailable("capture is stopping; connect to another one"));
        }
        finding::may_open(&self.catalog)?;
        let (frames, queued) = mpsc::channel(self.settings.stream.frames_queued_max);
        let (last_word, ended) = oneshot::channel();
        let session = Session {
            catalog: Arc::clone(&self.catalog),
            live: self.live.clone(),
            settings: Arc::clone(&self.settings),
            shutdown: self.shutdown.clone(),
            incoming: request.into_inner(),
            frames,
        };
        tokio::spawn(async move {
            // A consumer that is gone does not hear why.
            drop(last_word.send(session.run().await));
        });
        // The reason for the end follows the last frame, however full the queue was.
        let reason = futures_util::stream::once(ended)
            .filter_map(|ended| {
                ended.unwrap_or_else(|_| Err(Status::internal("the stream's task failed"))).err()
            })
            .map(Err);
        Ok(Response::new(Box::pin(ReceiverStream::new(queued).chain(reason))))
    }

    async fn create_subscription(
        &self,
        request: Request<proto::CreateSubscriptionRequest>,
    ) -> Result<Response<proto::CreateSubscriptionResponse>, Status> {
        let wanted = request.into_inner().subscription.unwrap_or_default();
        let subscription = Some(self.create(wanted).await?);
        Ok(Response::new(proto::CreateSubscriptionResponse { subscription }))
    }

    async fn get_subscription(
        &self,
        request: Request<proto::GetSubscriptionRequest>,
    ) -> Result<Response<proto::GetSubscriptionResponse>, Status> {
        let served = finding::served(&self.catalog, &request.into_inner().name)?;
        let subscription = Some(self.status.subscription(&served));
        Ok(Response::new(proto::GetSubscriptionResponse { subscription }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<proto::ListSubscriptionsRequest>,
    ) -> Result<Response<proto::ListSubscriptionsResponse>, Status> {
        Ok(Response::new(self.list(&request.into_inner())?))
    }

    async fn delete_subscription(
        &self,
        request: Request<proto::DeleteSubscriptionRequest>,
    ) -> Result<Response<proto::DeleteSubscriptionResponse>, Status> {
        self.delete(&request.into_inner().name).await?;
        Ok(Response::new(proto::DeleteSubscriptionResponse {}))
    }

    async fn resume_subscription(
        &self,
        request: Request<proto::ResumeSubscriptionRequest>,
    ) -> Result<Response<proto::ResumeSubscriptionResponse>, Status> {
        let subscription = Some(self.resume(request.into_inner()).await?);
        Ok(Response::new(proto::ResumeSubscriptionResponse { subscription }))
    }

    async fn get_capture_status(
        &self,
        _request: Request<proto::GetCaptureStatusRequest>,
    ) -> Result<Response<proto::GetCaptureStatusResponse>, Status> {
        Ok(Response::new(self.status.read().await))
    }
}

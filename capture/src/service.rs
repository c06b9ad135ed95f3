//! The gRPC service: streams for consumers, and the unary companions.

mod greeting;
mod resume;
mod session;
mod slots;
mod status;

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::capture_service_server::CaptureService;

use self::session::Session;
use crate::config::CaptureSettings;
use crate::metrics::Metrics;
use crate::postgres::ConnectionString;
use crate::state::{Running, State};

/// Serves consumers of one subscription.
#[derive(Clone, Debug)]
pub struct CaptureGrpc {
    settings: Arc<CaptureSettings>,
    state: watch::Receiver<State>,
    metrics: Metrics,
    status: status::StatusReader,
    shutdown: CancellationToken,
}

impl CaptureGrpc {
    /// A service that follows `state`. At `shutdown` consumers are told to go away.
    #[must_use]
    pub fn new(
        settings: Arc<CaptureSettings>,
        connection_string: Arc<ConnectionString>,
        state: watch::Receiver<State>,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        let status = status::StatusReader::new(
            Arc::clone(&settings),
            connection_string,
            state.clone(),
            metrics.clone(),
        );
        Self { settings, state, metrics, status, shutdown }
    }

    /// The running subscription, or why there is none.
    fn running(&self) -> Result<Running, Status> {
        match &*self.state.borrow() {
            State::Streaming(running) => Ok(running.clone()),
            State::Connecting { reason, .. } => {
                Err(Status::unavailable(format!("capture is connecting: {reason}")))
            }
            State::Standby { holder } => {
                Err(Status::unavailable(format!("standing by: the subscription is held by {holder}")))
            }
            State::Stopped(stopped) => {
                let reason = stopped.reason(&self.settings.source.subscription);
                Err(Status::unavailable(format!("the subscription is stopped: {reason}")))
            }
        }
    }

    /// The only subscription there is.
    fn check_name(&self, name: &str) -> Result<(), Status> {
        if name == self.settings.source.subscription {
            return Ok(());
        }
        Err(Status::not_found(format!("there is no subscription `{name}`")))
    }
}

fn later(what: &str) -> Status {
    Status::unimplemented(format!(
        "{what} comes with a later version; this one serves source.subscription only"
    ))
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
        let running = self.running()?;
        let (frames, queued) = mpsc::channel(self.settings.stream.frames_queued_max);
        let (last_word, ended) = oneshot::channel();
        let session = Session {
            running,
            settings: Arc::clone(&self.settings),
            metrics: self.metrics.clone(),
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
        _request: Request<proto::CreateSubscriptionRequest>,
    ) -> Result<Response<proto::CreateSubscriptionResponse>, Status> {
        Err(later("CreateSubscription"))
    }

    async fn get_subscription(
        &self,
        request: Request<proto::GetSubscriptionRequest>,
    ) -> Result<Response<proto::GetSubscriptionResponse>, Status> {
        self.check_name(&request.into_inner().name)?;
        let subscription = Some(self.status.subscription());
        Ok(Response::new(proto::GetSubscriptionResponse { subscription }))
    }

    async fn list_subscriptions(
        &self,
        _request: Request<proto::ListSubscriptionsRequest>,
    ) -> Result<Response<proto::ListSubscriptionsResponse>, Status> {
        let subscriptions = vec![self.status.subscription()];
        Ok(Response::new(proto::ListSubscriptionsResponse { subscriptions, next_page_token: String::new() }))
    }

    async fn delete_subscription(
        &self,
        _request: Request<proto::DeleteSubscriptionRequest>,
    ) -> Result<Response<proto::DeleteSubscriptionResponse>, Status> {
        Err(later("DeleteSubscription"))
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

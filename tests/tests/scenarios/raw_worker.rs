//! A worker of routes-api that only talks: it takes frames, and says what it is told to.

use std::future::Future;

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use twinroute_proto::routes::v1::{
    BacklogSegment, EndpointHealth, EndpointStatus, RedriveJob, RedriveReport, SkipSegment, WatchHello,
    WatchRoutesRequest, WatchRoutesResponse, routes_service_client::RoutesServiceClient,
    watch_routes_request::Frame, watch_routes_response::Frame as Answer,
};
use twinroute_tests::services::Service;

use crate::scene::DEADLINE;

/// Frames that wait to be sent.
const FRAMES_QUEUED_MAX: usize = 100;

/// A worker's stream.
pub(crate) struct RawWorker {
    outgoing: mpsc::Sender<WatchRoutesRequest>,
    incoming: Streaming<WatchRoutesResponse>,
}

impl RawWorker {
    /// Connects, and takes the table.
    pub(crate) async fn connect(routes: &Service, worker_id: &str) -> Result<Self> {
        let mut client = RoutesServiceClient::connect(format!("http://{}", routes.grpc())).await?;
        let (outgoing, frames) = mpsc::channel(FRAMES_QUEUED_MAX);
        let hello = WatchHello { worker_id: worker_id.to_owned(), version: 0 };
        outgoing.send(WatchRoutesRequest { frame: Some(Frame::Hello(hello)) }).await?;
        let incoming = client.watch_routes(ReceiverStream::new(frames)).await?.into_inner();
        let mut worker = Self { outgoing, incoming };
        let first = worker.frame().await?;
        anyhow::ensure!(matches!(first, Answer::Table(_)), "{first:?} and no table");
        Ok(worker)
    }

    async fn send(&self, frame: Frame) -> Result<()> {
        Ok(self.outgoing.send(WatchRoutesRequest { frame: Some(frame) }).await?)
    }

    /// Reports on a job.
    pub(crate) async fn report(&self, report: RedriveReport) -> Result<()> {
        self.send(Frame::RedriveReport(report)).await
    }

    /// Says that an endpoint has a backlog of seven events and 100 bytes, in which these objects are damaged.
    pub(crate) async fn damaged(&self, endpoint: &str, objects: &[&str]) -> Result<()> {
        let segment = |object: &&str| BacklogSegment {
            object_name: (*object).to_owned(),
            partition: 3,
            events: 2,
            error: "no JSON".to_owned(),
        };
        let status = EndpointStatus {
            endpoint_name: endpoint.to_owned(),
            health: EndpointHealth::Down.into(),
            backlog_bytes: 100,
            parked_events: 7,
            damaged_segments: objects.iter().map(segment).collect(),
            ..EndpointStatus::default()
        };
        self.send(Frame::EndpointStatus(status)).await
    }

    async fn frame(&mut self) -> Result<Answer> {
        let frame = within("a frame", self.incoming.message()).await??;
        frame.and_then(|frame| frame.frame).context("the stream has ended")
    }

    /// The next job that it is told of; the table may change before.
    pub(crate) async fn job(&mut self) -> Result<RedriveJob> {
        loop {
            match self.frame().await? {
                Answer::RedriveJob(job) => return Ok(job),
                Answer::Delta(_) => {}
                other => anyhow::bail!("{other:?} and no job"),
            }
        }
    }

    /// The next segment that it is to skip.
    pub(crate) async fn skip(&mut self) -> Result<SkipSegment> {
        match self.frame().await? {
            Answer::SkipSegment(skip) => Ok(skip),
            other => anyhow::bail!("{other:?} and no segment to skip"),
        }
    }

    /// Why its stream ends.
    pub(crate) async fn end(mut self) -> Result<Status> {
        loop {
            match within("the end of the stream", self.incoming.message()).await? {
                Ok(Some(_)) => {}
                Ok(None) => anyhow::bail!("the stream has ended without a reason"),
                Err(status) => return Ok(status),
            }
        }
    }
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    let done = tokio::time::timeout(DEADLINE, work).await;
    done.with_context(|| format!("waited in vain for {what}"))
}

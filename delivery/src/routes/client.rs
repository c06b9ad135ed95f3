//! Follows routes-api: puts tables in force, and tells what is applied, what is refused, and how the endpoints are.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{info, warn};
use twinroute_common::causes::Causes;
use twinroute_common::grpc::{self, ClientSettings};
use twinroute_common::health::Condition;
use twinroute_common::outage::Outage;
use twinroute_common::route::RouteTable;
use twinroute_common::route::wire::{Refused, delta_from_wire, table_from_wire};
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::routes_service_client::RoutesServiceClient;
use twinroute_proto::routes::v1::watch_routes_request::Frame as Request;
use twinroute_proto::routes::v1::watch_routes_response::Frame as Response;

use super::cache::Cache;
use super::error::RoutesError;
use super::registry::{Registry, keep_refused};
use super::status::Statuses;
use crate::config::RoutesSettings;
use crate::redrive::Redrives;

/// Frames between the worker and the connection.
const FRAMES_MAX: usize = 64;
/// How often is looked whether an endpoint's state has changed: a change is seen within a second.
const STATUS_LOOK: Duration = Duration::from_millis(250);

/// What following routes-api needs.
pub struct RoutesContext {
    /// How routes-api is reached.
    pub routes_api: ClientSettings,
    /// Limits.
    pub settings: RoutesSettings,
    /// Name of this worker.
    pub worker_id: String,
    /// The table in force.
    pub registry: Registry,
    /// The jobs that send dead letters again.
    pub redrives: Redrives,
    /// Where the table is kept; `None` for nowhere.
    pub cache: Option<Arc<Cache>>,
    /// Why partitions are blocked by poison; `None` when none is.
    pub poison: watch::Receiver<Option<String>>,
    /// Readiness: there is a table.
    pub condition: Condition,
    /// Cancelled at the end of the process.
    pub stop: CancellationToken,
}

/// Follows routes-api until the process ends. While it is away the last table stays in force.
pub async fn run(mut context: RoutesContext) {
    let stop = context.stop.clone();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = follow_for_ever(&mut context) => {}
    }
}

async fn follow_for_ever(context: &mut RoutesContext) {
    let mut outage = Outage::new("follow routes-api", context.routes_api.addresses.clone());
    let mut backoff = context.settings.backoff();
    loop {
        let started = Instant::now();
        let Err(error) = follow(context, &mut outage).await;
        let reason = Causes(&error).to_string();
        outage.failed(&reason);
        if context.registry.table().version == 0 {
            start_from_cache(context, &reason).await;
        }
        if started.elapsed() > Duration::from_millis(context.settings.reconnect_max_ms) {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Uses the kept table when there is none in force. Where there is none either, the worker waits.
async fn start_from_cache(context: &mut RoutesContext, reason: &str) {
    let loaded = match context.cache.clone() {
        None => Ok(None),
        Some(cache) => tokio::task::spawn_blocking(move || cache.load()).await.unwrap_or(Ok(None)),
    };
    match loaded {
        Ok(Some(table)) => {
            info!(version = table.version, "routes-api is away; starting with the kept route table");
            let refused = context.registry.apply(table).await;
            context.redrives.follow(context.registry.table());
            refused.iter().for_each(log_refused);
            context.condition.ok();
        }
        Ok(None) => context.condition.failing(format!("no route table: {reason}")),
        Err(error) => {
            let error = Causes(&error).to_string();
            context.condition.failing(format!("no route table: {reason}; and none was kept: {error}"));
        }
    }
}

async fn follow(context: &mut RoutesContext, outage: &mut Outage) -> Result<Infallible, RoutesError> {
    let channel = grpc::connect(&context.routes_api).await?;
    let mut client =
        RoutesServiceClient::new(channel).max_decoding_message_size(context.routes_api.message_bytes_max);
    let (outgoing, requests) = mpsc::channel(FRAMES_MAX);
    let mut stream = Stream { outgoing, timeout: context.settings.table_timeout() };
    let version = context.registry.table().version;
    stream.send(Request::Hello(proto::WatchHello { worker_id: context.worker_id.clone(), version })).await?;
    let timeout = context.settings.table_timeout();
    let opening = async {
        let mut incoming = client.watch_routes(ReceiverStream::new(requests)).await?.into_inner();
        match next(&mut incoming).await? {
            Response::Table(table) => Ok((incoming, table)),
            Response::Delta(_) | Response::RedriveJob(_) | Response::SkipSegment(_) => {
                Err(RoutesError::NotTable)
            }
        }
    };
    let opened = tokio::time::timeout(timeout, opening).await;
    let (mut incoming, table) = opened.map_err(|_| RoutesError::NoTable(timeout))??;
    context.redrives.begin();
    take_table(context, &mut stream, table).await?;
    outage.works();

    let mut statuses = Statuses::new(context.settings.status_interval());
    let mut look = tokio::time::interval(STATUS_LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // Changes of routes are rare and waited for.
            frame = next(&mut incoming) => match frame? {
                Response::Table(table) => take_table(context, &mut stream, table).await?,
                Response::Delta(delta) => take_delta(context, &mut stream, delta).await?,
                Response::RedriveJob(job) => context.redrives.take(job),
                Response::SkipSegment(skip) => skip_segment(context, skip).await,
            },
            _ = look.tick() => {
                let poison = context.poison.borrow().clone();
                for frame in statuses.due(&context.registry.routing(), poison.as_deref(), Instant::now()) {
                    stream.send(frame).await?;
                }
                for report in context.redrives.reports() {
                    stream.send(Request::RedriveReport(report)).await?;
                }
            }
        }
    }
}

/// Hands the order to the endpoint. One that is not here has no damaged segment.
async fn skip_segment(context: &RoutesContext, skip: proto::SkipSegment) {
    let proto::SkipSegment { endpoint_name, object_name } = skip;
    match context.registry.routing().endpoints.get(&*endpoint_name) {
        Some(endpoint) => endpoint.skip(object_name).await,
        None => info!(endpoint = endpoint_name, "a segment of an endpoint that is not here is not skipped"),
    }
}

async fn take_table(
    context: &mut RoutesContext,
    stream: &mut Stream,
    table: proto::RouteTable,
) -> Result<(), RoutesError> {
    let (mut table, refused) = table_from_wire(table);
    keep_refused(&mut table, &refused, context.registry.table());
    put_in_force(context, stream, table, refused).await
}

async fn take_delta(
    context: &mut RoutesContext,
    stream: &mut Stream,
    delta: proto::RouteTableDelta,
) -> Result<(), RoutesError> {
    let (delta, refused) = delta_from_wire(delta);
    let mut table = context.registry.table().clone();
    table.apply(delta)?;
    put_in_force(context, stream, table, refused).await
}

async fn put_in_force(
    context: &mut RoutesContext,
    stream: &mut Stream,
    table: RouteTable,
    mut refused: Vec<Refused>,
) -> Result<(), RoutesError> {
    let version = table.version;
    let before = context.registry.table().version;
    refused.extend(context.registry.apply(table).await);
    context.redrives.follow(context.registry.table());
    context.condition.ok();
    refused.iter().for_each(log_refused);
    for Refused { resource, reason } in refused {
        stream.send(Request::Rejected(proto::Rejected { version, resource, reason })).await?;
    }
    if context.registry.table().version == version {
        stream.send(Request::Applied(proto::Applied { version })).await?;
    }
    if context.registry.table().version > before {
        keep(context).await;
    }
    Ok(())
}

/// Keeps the table in force. Without it the worker works on; it only cannot start without routes-api.
async fn keep(context: &RoutesContext) {
    let Some(cache) = context.cache.clone() else { return };
    let table = context.registry.table().clone();
    let stored = tokio::task::spawn_blocking(move || cache.store(&table)).await;
    if let Ok(Err(error)) = stored {
        warn!("the route table cannot be kept for a start without routes-api: {}", Causes(&error));
    }
}

fn log_refused(Refused { resource, reason }: &Refused) {
    warn!(resource, "cannot be used by this worker: {reason}");
}

/// The way to routes-api.
struct Stream {
    outgoing: mpsc::Sender<proto::WatchRoutesRequest>,
    timeout: Duration,
}

impl Stream {
    async fn send(&mut self, frame: Request) -> Result<(), RoutesError> {
        let request = proto::WatchRoutesRequest { frame: Some(frame) };
        match self.outgoing.send_timeout(request, self.timeout).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(RoutesError::Stuck),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(RoutesError::Closed),
        }
    }
}

/// The next frame that this build knows.
async fn next(incoming: &mut Streaming<proto::WatchRoutesResponse>) -> Result<Response, RoutesError> {
    loop {
        let response = incoming.message().await?.ok_or(RoutesError::Closed)?;
        if let Some(frame) = response.frame {
            return Ok(frame);
        }
    }
}

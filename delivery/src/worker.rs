//! A delivery worker: routes, endpoints and the capture stream, put together.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use twinroute_common::causes::Causes;
use twinroute_common::health::{Condition, Liveness};
use twinroute_common::outage::Outage;
use twinroute_common::route::{Destination, Endpoint};
use twinroute_common::service::Context;

use crate::backlog::store::{Store, StoreError};
use crate::config::{DeliverySettings, StreamSettings};
use crate::endpoint::{EndpointContext, ParkingContext, StartSink};
use crate::holdings::Holdings;
use crate::letter_box::{LetterBox, ResolveSecret, resolve_by};
use crate::metrics::{EndpointMetrics, LetterMetrics, MemoryMetrics, StreamMetrics};
use crate::pressure::{self, Shortage};
use crate::redrive::{RedriveContext, Redrives};
use crate::routes::cache::{Cache, CacheKeyError};
use crate::routes::{self, Registry, RoutesContext};
use crate::routing::CurrentRouting;
use crate::sink::kusto::Journal;
use crate::sink::{SinkContext, kafka, kusto, mqtt};
use crate::stream::{self, Fence, StreamContext, StreamError};

/// Notices of settled items between the endpoints and the stream. Each holds many; an endpoint waits when there is no room.
const NOTICES_MAX: usize = 1_024;
/// Part of the grace period for settling. The rest is for closing sinks.
const SETTLING: (u32, u32) = (3, 4);

/// Name of the folder of items that no endpoint could take.
const POISON: &str = "poison";

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The stream must not be followed any more.
    #[error("the worker gives up")]
    Stream(#[from] StreamError),
    /// The key of the kept route table can't be used.
    #[error("the kept route table")]
    CacheKey(#[from] CacheKeyError),
    /// Nobody can look at the memory of the process.
    #[error("there can be no more threads")]
    Thread(#[from] std::io::Error),
    /// Events cannot be parked.
    #[error("backlog.url; an empty one parks nothing")]
    Backlog(#[from] StoreError),
    /// The key's reference leads nowhere.
    #[error("routes.cache_key")]
    CacheSecret(#[from] twinroute_common::secret::SecretError),
}

/// Runs a worker until it is told to leave.
///
/// # Errors
/// When it can't start, or must not go on.
pub async fn run(context: Context<DeliverySettings>) -> Result<(), WorkerError> {
    let settings = Arc::clone(&context.settings);
    let worker_id = settings.worker.id_or_new();
    info!(worker_id, "delivery worker");
    let Metrics { stream_metrics, endpoint_metrics, letter_metrics, memory_metrics } = Metrics::new(&context);
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let shortage = pressure::watch(settings.memory.bytes_max, memory_metrics, stop.clone())?;
    let [stream_condition, routes_condition] =
        ["capture stream", "route table"].map(|name| context.health.condition(name));
    let (cache, resolve_secret) = (cache(&settings)?, resolve_by(settings.secrets.clone()));
    let Some(parking) = parking(&context, &resolve_secret).await? else { return Ok(()) };
    let stream_settings = stream_settings(&settings, parking.as_ref());
    let routing = CurrentRouting::none();
    let holdings = Holdings::default();
    let fence = Arc::new(Fence::closed());
    let (settled, settled_notices) = mpsc::channel(NOTICES_MAX);
    let (poison, poison_reports) = watch::channel(None);
    let poison_letters = poison_letters(&settings, &resolve_secret, &letter_metrics);
    let endpoints = EndpointContext {
        fence: Arc::clone(&fence),
        settled: settled.clone(),
        start_sink: start_sink(&settings, &worker_id, parking.as_ref(), &holdings),
        resolve_secret,
        settings: settings.endpoint.clone(),
        credit_events_max: settings.stream.credit_events_max,
        spaces: settings.memory.spaces(),
        holdings: holdings.clone(),
        parking,
        kusto_blob_bytes_max: settings.sink.kusto.blob_bytes_max as u64,
        metrics: endpoint_metrics,
        letters: letter_metrics,
        tasks: tasks.clone(),
    };
    let redrives = redrives(&routing, &endpoints, shortage.clone());
    let following_routes = tokio::spawn(routes::run(RoutesContext {
        routes_api: settings.routes_api.clone(),
        settings: settings.routes.clone(),
        worker_id: worker_id.clone(),
        registry: Registry::new(Arc::clone(&routing), endpoints, stream_metrics.route_table_version.clone()),
        redrives,
        cache,
        poison: poison_reports,
        condition: routes_condition,
        stop: stop.clone(),
    }));
    let following_capture = stream::run(StreamContext {
        capture: settings.capture.clone(),
        settings: stream_settings,
        memory: settings.memory.clone(),
        shortage,
        worker_id,
        source: settings.worker.source.clone(),
        routing: Arc::clone(&routing),
        fence,
        holdings,
        settled: settled_notices,
        condition: stream_condition,
        poison,
        poison_letters,
        metrics: stream_metrics,
        drain: context.shutdown.clone(),
        drain_timeout: context.grace * SETTLING.0 / SETTLING.1,
    });
    let end = alive(&context.health.liveness(), following_capture).await;

    stop.cancel();
    drop(settled);
    let _part = context.drain.part("sinks");
    close(following_routes, &routing, &tasks).await;
    end.map_err(Into::into)
}

/// Nothing is left to settle: with their handles the endpoints end, and their sinks are closed.
async fn close(following_routes: JoinHandle<()>, routing: &CurrentRouting, tasks: &TaskTracker) {
    if following_routes.await.is_err() {
        warn!("the part that follows routes-api has failed");
    }
    routing.clear();
    tasks.close();
    tasks.wait().await;
}

/// The numbers that a worker shows.
struct Metrics {
    stream_metrics: StreamMetrics,
    endpoint_metrics: EndpointMetrics,
    letter_metrics: LetterMetrics,
    memory_metrics: MemoryMetrics,
}

impl Metrics {
    fn new(context: &Context<DeliverySettings>) -> Self {
        let mut registry = context.registry.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            stream_metrics: StreamMetrics::new(&mut registry),
            endpoint_metrics: EndpointMetrics::new(&mut registry),
            letter_metrics: LetterMetrics::new(&mut registry),
            memory_metrics: MemoryMetrics::new(&mut registry),
        }
    }
}

/// Workers that park share a store, and are refused when they do not.
fn stream_settings(settings: &DeliverySettings, parking: Option<&ParkingContext>) -> StreamSettings {
    let mut stream = settings.stream.clone();
    if let Some(ParkingContext { store, .. }) = parking {
        store.id().clone_into(&mut stream.group_token);
    }
    stream
}

/// Where events are parked, which may be nowhere; `None` when the process is told to stop before that is known.
async fn parking(
    context: &Context<DeliverySettings>,
    resolve: &ResolveSecret,
) -> Result<Option<Option<ParkingContext>>, WorkerError> {
    let condition = context.health.condition("backlog store");
    let opening = open_store(&context.settings, resolve, &condition);
    let opening = alive(&context.health.liveness(), context.shutdown.run_until_cancelled(opening)).await;
    opening.transpose()
}

/// The store is waited for while it is away: only with its id can the worker join the others.
async fn open_store(
    settings: &DeliverySettings,
    resolve: &ResolveSecret,
    condition: &Condition,
) -> Result<Option<ParkingContext>, WorkerError> {
    let backlog = &settings.backlog;
    if !backlog.is_used() {
        condition.ok();
        return Ok(None);
    }
    let mut outage = Outage::new("open the backlog store", backlog.url.clone());
    let mut backoff = settings.routes.backoff();
    loop {
        match Store::open(backlog, &settings.stream.subscription, Arc::clone(resolve)).await {
            Ok(store) => {
                outage.works();
                condition.ok();
                info!(url = backlog.url, id = store.id(), "parked backlog");
                return Ok(Some(ParkingContext { store, settings: backlog.clone() }));
            }
            Err(error) if error.may_pass() && backlog.is_remote() => {
                let reason = Causes(&error).to_string();
                outage.failed(&reason);
                condition.failing(reason);
                tokio::time::sleep(backoff.next()).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn cache(settings: &DeliverySettings) -> Result<Option<Arc<Cache>>, WorkerError> {
    let file = &settings.routes.cache_file;
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let key = settings.secrets.resolve(&settings.routes.cache_key)?;
    Ok(Some(Arc::new(Cache::new(file.clone(), &key)?)))
}

/// What sends dead letters again.
fn redrives(routing: &Arc<CurrentRouting>, endpoints: &EndpointContext, shortage: Shortage) -> Redrives {
    Redrives::new(RedriveContext {
        routing: Arc::clone(routing),
        holdings: endpoints.holdings.clone(),
        resolve_secret: Arc::clone(&endpoints.resolve_secret),
        shortage,
    })
}

/// Where items go that no endpoint could take.
fn poison_letters(
    settings: &DeliverySettings,
    resolve: &ResolveSecret,
    metrics: &LetterMetrics,
) -> Option<LetterBox> {
    let container = settings.dead_letters.container()?;
    Some(LetterBox::new(POISON, container, Arc::clone(resolve), metrics.of(POISON)))
}

fn start_sink(
    settings: &DeliverySettings,
    worker_id: &str,
    parking: Option<&ParkingContext>,
    holdings: &Holdings,
) -> StartSink {
    let context = SinkContext {
        worker_id: worker_id.to_owned(),
        limits: Arc::new(settings.sink.clone()),
        secrets: Arc::new(settings.secrets.clone()),
    };
    let (store, holdings) = (parking.map(|parking| parking.store.clone()), holdings.clone());
    Arc::new(move |Endpoint { name, destination, .. }| match destination {
        Destination::Kafka(options) => kafka::start(name, options, context.clone()),
        Destination::Mqtt(options) => mqtt::start(name, options, context.clone()),
        Destination::Kusto(options) => {
            let journal = store.as_ref().map(|store| Journal::new(store.shipments(name), holdings.watch()));
            kusto::start(name, options, context.clone(), journal)
        }
    })
}

/// Gives signs of life while the work goes on in the same task.
async fn alive<T>(liveness: &Liveness, work: impl Future<Output = T>) -> T {
    let mut beat = tokio::time::interval(liveness.interval().max(Duration::from_millis(1)));
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            _ = beat.tick() => liveness.beat(),
            end = &mut work => return end,
        }
    }
}

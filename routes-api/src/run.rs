//! Wires the service: the store's task, the gRPC server, and the gauges that follow the catalog.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use twinroute_common::grpc::{GrpcServer, ServeError};
use twinroute_common::listen::ListenError;
use twinroute_common::service::Context;
use twinroute_proto::routes::v1::routes_service_server::RoutesServiceServer;

use crate::bootstrap;
use crate::catalog::Catalog;
use crate::decide::Keeping;
use crate::metrics::Metrics;
use crate::redrive::Jobs;
use crate::seal::KeyError;
use crate::service::RoutesGrpc;
use crate::settings::{ConnectionStringError, RoutesApiSettings};
use crate::store::{StoreParts, StoreTask};
use crate::watch::Watching;
use crate::workers::Workers;

/// How long clients have to close their connections after the last call was answered: an open one is not waited for.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why routes-api could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no connection string.
    #[error("cannot tell where PostgreSQL is")]
    Postgres(#[from] ConnectionStringError),
    /// There is no key.
    #[error("secrets.key cannot be used")]
    Key(#[from] KeyError),
    /// The bootstrap file has mistakes.
    #[error("the bootstrap file has mistakes: {0}")]
    Bootstrap(String),
    /// The gRPC address cannot be listened on.
    #[error("cannot serve gRPC")]
    Listen(#[from] ListenError),
    /// The gRPC server failed.
    #[error("the gRPC server failed")]
    Serve(#[from] ServeError),
}

/// Runs routes-api until its context is told to shut down.
///
/// # Errors
/// [`RunError`]; all that may work later is retried instead.
pub async fn run(context: Context<RoutesApiSettings>) -> Result<(), RunError> {
    let Context { settings, health, registry, shutdown, drain, .. } = context;
    let metrics = Metrics::new(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
    let key = settings.secrets.sealing_key()?;
    let keeping = if key.is_some() { Keeping::Encrypted } else { Keeping::Impossible };
    let file = settings.bootstrap.file.as_deref().map(bootstrap::load).transpose();
    let file = file.map_err(|mistakes| {
        let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        RunError::Bootstrap(mistakes.join("; "))
    })?;
    // Calls are answered until the last one has ended, so the store stops after the server.
    let store_stop = CancellationToken::new();
    let parts = StoreParts {
        config: settings.postgres.connection(&settings.secrets.policy())?,
        key,
        file,
        condition: health.condition("database"),
        liveness: health.liveness(),
        stop: store_stop.clone(),
    };
    let (task, store) = StoreTask::new(parts, &settings.postgres, &settings.store);
    let workers = Workers::new(settings.watch.workers_max);
    let watching = Watching {
        catalog: store.watch(),
        jobs: store.jobs(),
        store: store.clone(),
        workers: workers.clone(),
        settings: settings.watch.clone(),
        metrics: metrics.clone(),
        stop: shutdown.clone(),
    };
    let gauges = tokio::spawn(follow(store.watch(), store.jobs(), metrics.clone()));
    let calls = TaskTracker::new();
    let grpc = RoutesGrpc {
        store,
        workers,
        keeping,
        limits: settings.limits.clone(),
        trial: settings.trial.clone(),
        watching,
        metrics,
        calls: calls.clone(),
    };
    let server = GrpcServer::bind("grpc.listen", &settings.grpc).await?;
    info!(address = %server.address(), "serving gRPC");
    let service = RoutesServiceServer::new(grpc).max_decoding_message_size(settings.grpc.message_bytes_max);
    let server = server.service(service).serve(health, shutdown.clone());
    let storing = tokio::spawn(task.run());

    let part = drain.part("gRPC calls");
    let served = tokio::select! {
        served = server => served,
        () = last_calls(&shutdown, &calls) => Ok(()),
    };
    drop(part);
    store_stop.cancel();
    // The task ends with its token; a failure of it was logged where it happened.
    drop(storing.await);
    gauges.abort();
    Ok(served?)
}

/// Ends when the calls in hand were answered; the database's deadline bounds each of them.
async fn last_calls(shutdown: &CancellationToken, calls: &TaskTracker) {
    shutdown.cancelled().await;
    calls.close();
    calls.wait().await;
    tokio::time::sleep(LAST_ANSWERS).await;
}

/// Keeps the gauges of the catalog and of the jobs.
async fn follow(
    mut catalog: watch::Receiver<Option<Arc<Catalog>>>,
    mut jobs: watch::Receiver<Arc<Jobs>>,
    metrics: Metrics,
) {
    loop {
        let changed = tokio::select! {
            changed = catalog.changed() => changed,
            changed = jobs.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        let running = jobs.borrow_and_update().running().count();
        metrics.redrive_jobs.set(i64::try_from(running).unwrap_or(i64::MAX));
        let present = catalog.borrow_and_update().clone();
        if let Some(catalog) = present {
            metrics.table_version.set(catalog.version);
            metrics.endpoints.set(i64::try_from(catalog.endpoints.len()).unwrap_or(i64::MAX));
            metrics.event_routes.set(i64::try_from(catalog.routes.len()).unwrap_or(i64::MAX));
        }
    }
}

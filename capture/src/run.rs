//! Wires the service: the configured subscription's pipeline, those of created ones, and the gRPC server beside them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use twinroute_common::grpc::{GrpcServer, ServeError};
use twinroute_common::listen::ListenError;
use twinroute_common::service::Context;
use twinroute_proto::capture::v1::capture_service_server::CaptureServiceServer;

use crate::catalog::{Catalog, Follower, Served};
use crate::config::CaptureSettings;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::pipeline::{Charge, Origin, Pipeline};
use crate::postgres::connection_string::{ConnectionString, UrlMistake};
use crate::pressure::Pressure;
use crate::service::CaptureGrpc;
use crate::state::StateTeller;

/// How long calls may go on after the last event was settled.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Why capture could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// `postgres.url` cannot be used.
    #[error("postgres.url")]
    Url(#[from] UrlMistake),
    /// The gRPC address cannot be listened on.
    #[error("cannot serve gRPC")]
    Listen(#[from] ListenError),
    /// Memory cannot be watched.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The gRPC server failed.
    #[error("the gRPC server failed")]
    Serve(#[from] ServeError),
}

/// Runs capture until its context is told to shut down.
///
/// # Errors
/// [`RunError`]; all that may work later is retried instead.
pub async fn run(context: Context<CaptureSettings>) -> Result<(), RunError> {
    let Context { settings, health, registry, shutdown, drain, .. } = context;
    let connection_string = Arc::new(ConnectionString::new(&settings.postgres)?);
    let metrics = Metrics::new(&mut registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let name = settings.source.subscription.clone();
    let of_configured = metrics.of(&name);
    let condition = Some(health.condition("subscription"));
    let (teller, state) = StateTeller::new(name.clone(), condition, of_configured.clone());
    let configured = Served { name: name.clone(), created: None, state, metrics: of_configured.clone() };
    let catalog = Arc::new(Catalog::new(configured));

    let pressure = Pressure::new(settings.memory.bytes_max, metrics.clone());
    pressure.clone().watch(shutdown.clone()).map_err(RunError::Thread)?;

    let (live, tail) = Live::new(
        Arc::clone(&settings),
        Arc::clone(&connection_string),
        metrics.clone(),
        pressure.clone(),
        shutdown.clone(),
    );
    let grpc = CaptureGrpc::new(
        Arc::clone(&settings),
        Arc::clone(&connection_string),
        Arc::clone(&catalog),
        live,
        shutdown.clone(),
    );
    let server = GrpcServer::bind("grpc.listen", &settings.grpc).await?;
    let server = server.service(
        CaptureServiceServer::new(grpc)
            .max_decoding_message_size(settings.grpc.message_bytes_max)
            .max_encoding_message_size(usize::MAX),
    );
    let streams_may_end = CancellationToken::new();
    let serving = tokio::spawn(server.serve(health.clone(), streams_may_end.clone()));

    let part = drain.part("the subscriptions' last confirmation");
    let follower =
        Follower::new(catalog, Arc::clone(&settings), Arc::clone(&connection_string), metrics, pressure);
    let charge = Charge { name, origin: Origin::Configured };
    let pipeline = Pipeline::new(charge, settings, connection_string, teller, of_configured);
    let subscriptions = async {
        tokio::join!(pipeline.run(shutdown.clone()), follower.run(shutdown.clone()), tail);
    };
    let liveness = health.liveness();
    let beat = async {
        loop {
            liveness.beat();
            tokio::time::sleep(liveness.interval()).await;
        }
    };
    tokio::select! {
        () = subscriptions => {}
        () = beat => {}
    }
    drop(part);
    streams_may_end.cancel();
    // Streams have ended by now; a client that keeps another call open is not waited for.
    match tokio::time::timeout(LAST_CALLS, serving).await {
        Ok(Ok(served)) => Ok(served?),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

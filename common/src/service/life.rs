//! From a checked configuration to the end of the process.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use std::{panic, process};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Context, Drain, End, Service};
use crate::causes::Causes;
use crate::config::{RuntimeSettings, Settings};
use crate::health::{Health, Readiness};
use crate::http::{HttpServer, SharedRegistry};

/// What is left of blocking tasks when everything else has ended gets this long.
const RUNTIME_END: Duration = Duration::from_secs(1);

type AnyError = Box<dyn Error + Send + Sync>;

/// Why a run did not end cleanly.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot start")]
    Start(#[source] AnyError),
    #[error("stopped by a failure")]
    Run(#[source] AnyError),
    #[error("not finished within shutdown.grace_ms ({grace_ms} ms): {unfinished}")]
    Grace { grace_ms: u128, unfinished: String },
}

/// Runs the service on a runtime of its own.
pub(super) fn live<T, F, Fut, E>(service: &Service, settings: T, run: F) -> End
where
    T: Settings,
    F: FnOnce(Context<T>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<AnyError> + Send + 'static,
{
    let base = settings.base();
    info!(service = service.name, version = service.version, http = %base.http.listen, "starting");
    let ended = runtime(base.runtime).map_err(|error| Failure::Start(error.into())).and_then(|runtime| {
        let ended = runtime.block_on(async {
            let context = begin(settings).await.map_err(Failure::Start)?;
            tokio::spawn(tell_readiness(context.health.clone()));
            // In a task, on a worker of the runtime: to wake this thread for each message would cost system calls.
            match tokio::spawn(supervise(context, run)).await {
                Ok(ended) => ended,
                Err(failed) => panic::resume_unwind(failed.into_panic()),
            }
        });
        runtime.shutdown_timeout(RUNTIME_END);
        ended
    });
    match ended {
        Ok(()) => {
            info!("stopped");
            End::Clean
        }
        Err(failure) => {
            error!("{}", Causes(&failure));
            End::Failed
        }
    }
}

fn runtime(settings: &RuntimeSettings) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(settings.worker_threads).enable_all().build()
}

/// Signals first, so that none is missed; then the HTTP listener.
async fn begin<T: Settings>(settings: T) -> Result<Context<T>, AnyError> {
    let shutdown = CancellationToken::new();
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(obey(signals, shutdown.clone()));
    let base = settings.base();
    let health = Health::new(base.http.live_deadline());
    let registry = SharedRegistry::default();
    let server = HttpServer::bind(base.http).await?;
    tokio::spawn(server.serve(health.clone(), Arc::clone(&registry)));
    let grace = base.shutdown.grace();
    Ok(Context { settings: Arc::new(settings), health, registry, shutdown, grace, drain: Drain::default() })
}

async fn obey((mut terminate, mut interrupt): (Signal, Signal), shutdown: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let name = next().await;
    info!("{name}: settling the work in hand; a second signal exits at once");
    shutdown.cancel();
    let name = next().await;
    warn!("{name} again: exiting at once; what was not acknowledged will be sent again");
    process::exit(1);
}

async fn supervise<T, F, Fut, E>(context: Context<T>, run: F) -> Result<(), Failure>
where
    F: FnOnce(Context<T>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<AnyError>,
{
    let (shutdown, grace, drain) = (context.shutdown.clone(), context.grace, context.drain.clone());
    let health = context.health.clone();
    let grace_over = async {
        shutdown.cancelled().await;
        health.shutting_down();
        tokio::time::sleep(grace).await;
        // Here and not in the handler below, which runs when the parts have been dropped.
        let unfinished = drain.unfinished();
        let unfinished = if unfinished.is_empty() { "the service's own work".to_owned() } else { unfinished };
        Failure::Grace { grace_ms: grace.as_millis(), unfinished }
    };
    tokio::select! {
        biased; // A run that ends together with the grace period has ended well.
        ended = run(context) => ended.map_err(|error| Failure::Run(error.into())),
        failure = grace_over => Err(failure),
    }
}

/// One line whenever the process becomes ready or ceases to be.
async fn tell_readiness(health: Health) {
    let mut readiness = health.readiness();
    let mut told = false;
    loop {
        let now: Readiness = readiness.borrow_and_update().clone();
        match (told, now.is_ready()) {
            (false, true) => info!("ready"),
            (true, false) => warn!("not ready: {}", now.to_string().trim_end().replace('\n', "; ")),
            (true, true) | (false, false) => {}
        }
        told = now.is_ready();
        if readiness.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

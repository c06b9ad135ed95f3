//! A gRPC server with reflection, `grpc.health.v1`, keepalive and limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::FRAME_BYTES;
use crate::config::{Problem, check};
use crate::health::Health;
use crate::listen::{ListenError, listen};

/// Section `grpc` of a service that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// A ping is sent on a connection this often, in milliseconds.
    pub keepalive_interval_ms: u64,
    /// A connection whose ping is not answered for this long is closed, in milliseconds.
    pub keepalive_timeout_ms: u64,
    /// Calls at the same time on one connection; more wait at the client.
    pub concurrent_streams_max: u32,
    /// The largest request taken, in bytes; a larger one is refused with `OUT_OF_RANGE`.
    pub message_bytes_max: usize,
}

impl ServerSettings {
    /// The defaults on 127.0.0.1 and `port`.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            keepalive_interval_ms: 10_000,
            keepalive_timeout_ms: 10_000,
            concurrent_streams_max: 256,
            message_bytes_max: 4 * 1024 * 1024,
        }
    }

    /// Problems of the section named `section`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let key = |name: &str| format!("{section}.{name}");
        let milliseconds = 100..=3_600_000;
        [
            check::range(&key("keepalive_interval_ms"), &self.keepalive_interval_ms, &milliseconds),
            check::range(&key("keepalive_timeout_ms"), &self.keepalive_timeout_ms, &milliseconds),
            check::range(&key("concurrent_streams_max"), &self.concurrent_streams_max, &(1..=100_000)),
            check::range(&key("message_bytes_max"), &self.message_bytes_max, &(1024..=1 << 30)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Default for ServerSettings {
    /// On a port that the system chooses; each service names its own with [`ServerSettings::on_port`].
    fn default() -> Self {
        Self::on_port(0)
    }
}

/// Why a gRPC server ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The protocol's descriptors do not parse: the build is broken.
    #[error("the protocol's descriptors cannot be read; build anew")]
    Descriptors(#[source] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the gRPC server stopped; start the service again")]
    Transport(#[source] tonic::transport::Error),
}

/// A server that is bound but not served yet.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    settings: ServerSettings,
    routes: RoutesBuilder,
    names: Vec<&'static str>,
}

impl GrpcServer {
    /// Listens on `settings.listen`, which `key` configures (`grpc.listen`).
    ///
    /// # Errors
    /// When it cannot, with the key and the address.
    pub async fn bind(key: &str, settings: &ServerSettings) -> Result<Self, ListenError> {
        let listener = listen(key, settings.listen).await?;
        Ok(Self { listener, settings: settings.clone(), routes: RoutesBuilder::default(), names: Vec::new() })
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.listen)
    }

    /// Adds a service. Its message limits are its own: `max_decoding_message_size(settings.message_bytes_max)`.
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Serves until `shutdown` is cancelled and every call has ended; health follows `health`. Calls that have no end
    /// of their own must watch the token too.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(mut self, health: Health, shutdown: CancellationToken) -> Result<(), ServeError> {
        let reporter = HealthReporter::new();
        self.routes.add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(reporter.clone()),
        ));
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(twinroute_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Both versions: older clients ask for v1alpha only.
        self.routes.add_service(descriptors().build_v1().map_err(ServeError::Descriptors)?);
        self.routes.add_service(descriptors().build_v1alpha().map_err(ServeError::Descriptors)?);

        let keepalive = Duration::from_millis(self.settings.keepalive_interval_ms);
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let served = Server::builder()
            .http2_keepalive_interval(Some(keepalive))
            .http2_keepalive_timeout(Some(Duration::from_millis(self.settings.keepalive_timeout_ms)))
            .max_concurrent_streams(self.settings.concurrent_streams_max)
            .max_frame_size(FRAME_BYTES)
            .add_routes(self.routes.routes())
            .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
        tokio::pin!(served);
        let ended = tokio::select! {
            ended = &mut served => ended,
            () = follow(health, reporter, &self.names, &shutdown) => served.await,
        };
        ended.map_err(ServeError::Transport)
    }
}

/// Tells gRPC's health service what the process's readiness is, for the server as a whole ("") and each service.
/// At the end it tells the watchers so and lets them go: their calls have no end of their own.
async fn follow(
    health: Health,
    mut reporter: HealthReporter,
    names: &[&'static str],
    shutdown: &CancellationToken,
) {
    let names = || names.iter().copied().chain([""]);
    let mut readiness = health.readiness();
    while !shutdown.is_cancelled() {
        let ready = readiness.borrow_and_update().is_ready();
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in names() {
            reporter.set_service_status(name, status).await;
        }
        // The sender cannot end: `health` holds it.
        shutdown.run_until_cancelled(readiness.changed()).await;
    }
    for name in names() {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
        reporter.clear_service_status(name).await;
    }
}

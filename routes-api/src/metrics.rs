//! What routes-api counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tonic::Code;

/// Metrics of one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// Connected workers.
    pub workers_connected: Gauge,
    /// Version of the route table.
    pub table_version: Gauge<u64, AtomicU64>,
    /// Resources that workers refuse, over all workers.
    pub rejected_resources: Gauge,
    /// Endpoints.
    pub endpoints: Gauge,
    /// Routes.
    pub event_routes: Gauge,
    /// Redrive jobs that run.
    pub redrive_jobs: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    code: String,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("twinroute_routes");
        registry.register("requests", "Requests answered, by method and gRPC code", metrics.requests.clone());
        registry.register("workers_connected", "Connected workers", metrics.workers_connected.clone());
        registry.register("table_version", "Version of the route table", metrics.table_version.clone());
        registry.register(
            "rejected_resources",
            "Endpoints and routes that workers refuse, over all workers",
            metrics.rejected_resources.clone(),
        );
        registry.register(
            "endpoints",
            "Endpoints, those of the bootstrap file included",
            metrics.endpoints.clone(),
        );
        registry.register("event_routes", "Event routes, likewise", metrics.event_routes.clone());
        registry.register("redrive_jobs", "Redrive jobs that run", metrics.redrive_jobs.clone());
        metrics
    }

    /// A request was answered.
    pub fn answered(&self, method: &'static str, code: Code) {
        let labels = RequestLabels { method, code: format!("{code:?}") };
        self.requests.get_or_create(&labels).inc();
    }
}

//! What all workers together say of one endpoint or one route.

use std::time::Duration;

use jiff::Timestamp;
use twinroute_proto::routes::v1::EndpointHealth;

use super::Workers;

/// What the workers say of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSummary {
    /// The worst health of any worker.
    pub health: EndpointHealth,
    /// The last error of a worker in that health.
    pub last_error: String,
    /// Since when a worker is in that health.
    pub since: Option<Timestamp>,
    /// Events that were matched and not yet delivered, over all workers.
    pub backlog_events: u64,
    /// A worker that does not know yet what is parked.
    pub unknown_at: Option<String>,
    /// Size of the parked backlog in bytes, over all workers.
    pub backlog_bytes: u64,
    /// Age of the oldest event that is not delivered.
    pub backlog_age: Option<Duration>,
    /// Number of workers that report.
    pub workers: u32,
}

/// What the workers say of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSummary {
    /// Workers that have applied its present form and do not refuse it.
    pub workers_applied: u32,
    /// Workers that are connected.
    pub workers_connected: u32,
    /// Why a worker refused the route; empty when none did.
    pub last_error: String,
}

impl Workers {
    /// What the workers say of an endpoint whose present form came with `version`. One that refuses that form counts as a
    /// worker where the endpoint is down.
    #[must_use]
    pub fn endpoint(&self, name: &str, version: u64) -> EndpointSummary {
        let state = self.lock();
        let mut summary = EndpointSummary::default();
        let resource = format!("endpoints/{name}");
        for (id, worker) in &state.workers {
            let refused = worker.refused.get(&resource).filter(|refused| refused.version >= version);
            let report = worker.endpoints.get(name);
            summary.workers += u32::from(refused.is_some() || report.is_some());
            if let Some(refused) = refused {
                let error = format!("worker {id} refused it: {}", refused.reason);
                summary.worsen(EndpointHealth::Down, &error, None);
            }
            if let Some(report) = report {
                summary.worsen(report.health, &report.last_error, report.since);
                summary.backlog_events = summary.backlog_events.saturating_add(report.backlog_events);
                if report.backlog_unknown {
                    summary.unknown_at = Some(id.clone());
                }
                summary.backlog_bytes = summary.backlog_bytes.saturating_add(report.backlog_bytes);
                summary.backlog_age = summary.backlog_age.max(report.backlog_age);
            }
        }
        summary
    }

    /// What the workers say of a route whose present form came with `version`.
    #[must_use]
    pub fn route(&self, name: &str, version: u64) -> RouteSummary {
        let state = self.lock();
        let resource = format!("routes/{name}");
        let mut summary = RouteSummary::default();
        for (id, worker) in &state.workers {
            summary.workers_connected += 1;
            match worker.refused.get(&resource).filter(|refused| refused.version >= version) {
                Some(refused) => summary.last_error = format!("worker {id} refused it: {}", refused.reason),
                None => summary.workers_applied += u32::from(worker.applied >= version),
            }
        }
        summary
    }
}

impl EndpointSummary {
    /// Takes over what is worse, or as bad with an error where there was none.
    fn worsen(&mut self, health: EndpointHealth, last_error: &str, since: Option<Timestamp>) {
        let (present, new) = (badness(self.health), badness(health));
        if new > present || (new == present && self.last_error.is_empty()) {
            self.health = health;
            last_error.clone_into(&mut self.last_error);
            self.since = since;
        }
    }
}

fn badness(health: EndpointHealth) -> u8 {
    match health {
        EndpointHealth::Unspecified => 0,
        EndpointHealth::Healthy => 1,
        EndpointHealth::Connecting => 2,
        EndpointHealth::Degraded => 3,
        EndpointHealth::Down => 4,
    }
}

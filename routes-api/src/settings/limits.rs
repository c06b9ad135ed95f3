//! Section `limits`: how much there may be.

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

/// Section `limits`: how much there may be, the bootstrap file's resources included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Largest number of endpoints.
    pub endpoints_max: usize,
    /// Largest number of event routes.
    pub event_routes_max: usize,
    /// Largest number of redrive jobs that run at the same time.
    pub redrive_jobs_max: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { endpoints_max: 200, event_routes_max: 500, redrive_jobs_max: 20 }
    }
}

impl LimitSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        [
            check::range("limits.endpoints_max", &self.endpoints_max, &(1..=10_000)),
            check::range("limits.event_routes_max", &self.event_routes_max, &(1..=10_000)),
            check::range("limits.redrive_jobs_max", &self.redrive_jobs_max, &(1..=1_000)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

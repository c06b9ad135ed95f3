//! Section `trial`: `TestEventRoute`.

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

/// Section `trial`: `TestEventRoute`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialSettings {
    /// `source` of the CloudEvents that `TestEventRoute` shows; `{graph}` stands for the graph's name.
    pub source: String,
    /// Largest number of changes in one request.
    pub changes_max: usize,
    /// Largest size of one answer's CloudEvents, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for TrialSettings {
    fn default() -> Self {
        Self { source: "https://localhost/".to_owned(), changes_max: 100, answer_bytes_max: 2 << 20 }
    }
}

impl TrialSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        [
            check::not_empty("trial.source", &self.source, "write the workers' source URI"),
            check::range("trial.changes_max", &self.changes_max, &(1..=10_000)),
            check::range("trial.answer_bytes_max", &self.answer_bytes_max, &(1_024..=(1 << 30))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

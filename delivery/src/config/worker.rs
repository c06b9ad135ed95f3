//! Section `worker`: who this worker is, and for which instance it speaks.

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};
use uuid::Uuid;

/// Section `worker`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Name of the worker, unique among all that run; empty for one made at start.
    pub id: String,
    /// CloudEvents `source`: URI of the instance, in which `{graph}` stands for the graph's name.
    pub source: String,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { id: String::new(), source: "https://localhost/".to_owned() }
    }
}

impl WorkerSettings {
    /// The configured name, or a new one.
    #[must_use]
    pub fn id_or_new(&self) -> String {
        if self.id.is_empty() { format!("delivery-{}", Uuid::new_v4().simple()) } else { self.id.clone() }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let remedy = "write the instance's URI, such as https://my-instance/";
        let long = (self.id.len() > 200).then(|| Problem::new("worker.id", "has more than 200 bytes"));
        check::not_empty("worker.source", &self.source, remedy).into_iter().chain(long).collect()
    }
}

//! What the connected workers report: which version they apply, what they refuse, how their endpoints are.
//!
//! It lives as long as the streams do. With several replicas each knows the workers that are connected to it.

mod backlog;
mod command;
mod skip;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use twinroute_proto::routes::v1::EndpointHealth;

pub use backlog::{Backlog, DamagedSegment};
pub use command::Command;
pub use skip::SkipError;
pub use summary::{EndpointSummary, RouteSummary};

/// Longest text of a worker that is kept, in characters.
const TEXT_CHARACTERS_MAX: usize = 1_000;

/// The connected workers. Clones share them.
#[derive(Clone, Debug)]
pub struct Workers {
    state: Arc<Mutex<State>>,
    workers_max: usize,
    /// Tells that a worker has reported on an endpoint, or has come or gone.
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// By worker id; the newest stream of a worker is the one that counts.
    workers: BTreeMap<String, Worker>,
    sessions: u64,
}

/// What one worker reports.
#[derive(Debug)]
struct Worker {
    session: u64,
    commands: mpsc::Sender<Command>,
    applied: u64,
    refused: BTreeMap<String, Refused>,
    endpoints: BTreeMap<String, EndpointReport>,
}

#[derive(Debug)]
struct Refused {
    version: u64,
    reason: String,
}

/// How an endpoint is at one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// Its health.
    pub health: EndpointHealth,
    /// Last error; empty when there was none.
    pub last_error: String,
    /// Since when it is in this health.
    pub since: Option<Timestamp>,
    /// Events that were matched and not yet delivered.
    pub backlog_events: u64,
    /// Size of the parked backlog in bytes.
    pub backlog_bytes: u64,
    /// Age of the oldest event that is not delivered.
    pub backlog_age: Option<Duration>,
    /// Events of the parked backlog that are not on their way to the destination.
    pub parked_events: u64,
    /// More may be parked than the worker knows yet.
    pub backlog_unknown: bool,
    /// The first segments of the parked backlog that cannot be read.
    pub damaged: Vec<DamagedSegment>,
}

/// A worker's stream. What it reported is forgotten when this is dropped.
#[derive(Debug)]
pub struct Connection {
    workers: Workers,
    worker_id: String,
    session: u64,
}

/// As many workers are connected as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} workers are connected, which is watch.workers_max; raise it, or ask another routes-api")]
pub struct TooManyWorkers(usize);

impl Workers {
    /// None yet.
    #[must_use]
    pub fn new(workers_max: usize) -> Self {
        Self { state: Arc::default(), workers_max, changes: watch::Sender::new(()) }
    }

    /// A worker's stream has opened, on which it is told `commands`. Its earlier stream, if there is one, no longer counts.
    ///
    /// # Errors
    /// When there are too many.
    pub fn connect(
        &self,
        worker_id: &str,
        commands: mpsc::Sender<Command>,
    ) -> Result<Connection, TooManyWorkers> {
        let mut state = self.lock();
        if state.workers.len() >= self.workers_max && !state.workers.contains_key(worker_id) {
            return Err(TooManyWorkers(self.workers_max));
        }
        state.sessions += 1;
        let session = state.sessions;
        let worker =
            Worker { session, commands, applied: 0, refused: BTreeMap::new(), endpoints: BTreeMap::new() };
        state.workers.insert(worker_id.to_owned(), worker);
        self.changes.send_replace(());
        Ok(Connection { workers: self.clone(), worker_id: worker_id.to_owned(), session })
    }

    /// Number of connected workers.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.lock().workers.len()
    }

    /// Number of resources that workers refuse, over all workers.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.lock().workers.values().map(|worker| worker.refused.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The worker's name.
    #[must_use]
    pub fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// A version is in force at the worker.
    pub fn applied(&self, version: u64) {
        self.report(|worker| worker.applied = worker.applied.max(version));
    }

    /// A resource of a version cannot be used by the worker.
    pub fn refused(&self, resource: String, version: u64, reason: &str) {
        let reason = cut(reason);
        self.report(|worker| drop(worker.refused.insert(resource, Refused { version, reason })));
    }

    /// How an endpoint is at the worker.
    pub fn endpoint(&self, name: String, mut report: EndpointReport) {
        report.last_error = cut(&report.last_error);
        for segment in &mut report.damaged {
            segment.error = cut(&segment.error);
        }
        self.report(|worker| drop(worker.endpoints.insert(name, report)));
        self.workers.changes.send_replace(());
    }

    /// The table has changed: forgets what was said of resources that are gone, and of refused ones that were replaced.
    /// `changed_at` tells the version that brought a resource's present form.
    pub fn forget(&self, changed_at: impl Fn(&str) -> Option<u64>) {
        self.report(|worker| {
            worker
                .refused
                .retain(|resource, refused| changed_at(resource).is_some_and(|it| it <= refused.version));
            worker.endpoints.retain(|name, _| changed_at(&format!("endpoints/{name}")).is_some());
        });
    }

    fn report(&self, change: impl FnOnce(&mut Worker)) {
        let mut state = self.workers.lock();
        if let Some(worker) = state.workers.get_mut(&self.worker_id).filter(|it| it.session == self.session) {
            change(worker);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.workers.lock();
        if state.workers.get(&self.worker_id).is_some_and(|worker| worker.session == self.session) {
            state.workers.remove(&self.worker_id);
            self.workers.changes.send_replace(());
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests;

//! Redrive: dead letters are sent again, oldest first, each by the worker that holds the partition of its ordering key.
//!
//! routes-api hands out jobs. For each there is a runner: it looks for the letters of the partitions that are held, hands
//! their events to the endpoint in order, and notes what becomes of them.

mod job;
mod letters;
mod notes;
mod pace;
mod plan;
mod runner;

use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use twinroute_common::route::{DeadLetterContainer, RouteTable};
use twinroute_proto::routes::v1 as proto;

use self::job::Job;
use self::notes::Notes;
use self::runner::Runner;
use crate::holdings::Holdings;
use crate::letter_box::ResolveSecret;
use crate::routing::CurrentRouting;

/// Jobs that run at a time. routes-api hands out fewer by default.
const JOBS_MAX: usize = 1_000;

/// What redriving needs.
#[derive(Clone)]
pub struct RedriveContext {
    /// The running endpoints.
    pub routing: Arc<CurrentRouting>,
    /// The partitions that are held.
    pub holdings: Holdings,
    /// Resolves the secrets of containers.
    pub resolve_secret: ResolveSecret,
}

/// The containers of all endpoints that have one, by the endpoint's name.
type Containers = HashMap<String, DeadLetterContainer>;

/// The jobs that run at this worker.
pub struct Redrives {
    context: RedriveContext,
    containers: watch::Sender<Containers>,
    running: HashMap<String, Running>,
}

struct Running {
    notes: Arc<Notes>,
    _runner: AbortOnDropHandle<()>,
}

impl Redrives {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(context: RedriveContext) -> Self {
        Self { context, containers: watch::Sender::default(), running: HashMap::new() }
    }

    /// Another table is in force, and with it perhaps other containers.
    pub(crate) fn follow(&self, table: &RouteTable) {
        let container = |name: &String| table.endpoints.get(name)?.dead_letter.clone();
        let names = table.endpoints.keys();
        let containers: Containers =
            names.filter_map(|name| Some((name.clone(), container(name)?))).collect();
        self.containers.send_if_modified(|present| {
            let changed = *present != containers;
            *present = containers;
            changed
        });
    }

    /// routes-api is connected anew and tells all jobs that run: what it does not tell has ended meanwhile.
    pub(crate) fn begin(&mut self) {
        self.running.clear();
    }

    /// Begins a job that runs, or lets go of one that has ended.
    pub(crate) fn take(&mut self, job: proto::RedriveJob) {
        let id = job.id.clone();
        if job.state() != proto::RedriveState::Running {
            if self.running.remove(&id).is_some() {
                info!(job = id, "the redrive has ended");
            }
            return;
        }
        if self.running.contains_key(&id) || self.running.len() >= JOBS_MAX {
            return;
        }
        let job = match Job::try_from(job) {
            Ok(job) => job,
            Err(error) => return warn!(job = id, "a redrive that this build cannot read: {error}"),
        };
        info!(job = id, endpoint = job.selection.endpoint, "dead letters are sent again");
        let notes = Arc::new(Notes::default());
        let runner = Runner::new(job, self.context.clone(), self.containers.subscribe(), Arc::clone(&notes));
        let runner = AbortOnDropHandle::new(tokio::spawn(runner.run()));
        self.running.insert(id, Running { notes, _runner: runner });
    }

    /// What is to be told to routes-api since the last time. What is lost on the way is missing in the job's numbers.
    pub(crate) fn reports(&self) -> Vec<proto::RedriveReport> {
        let count = self.context.holdings.watch().borrow().count;
        self.running.iter().filter_map(|(id, running)| running.notes.report(id, count)).collect()
    }
}

#[cfg(test)]
mod tests;

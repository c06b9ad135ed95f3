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
mod sending;
mod window;

use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use twinroute_common::route::{DeadLetterContainer, RouteTable};
use twinroute_proto::routes::v1 as proto;

use self::job::Job;
use self::notes::Notes;
use self::runner::Runner;
use crate::holdings::Holdings;
use crate::letter_box::ResolveSecret;
use crate::pressure::Shortage;
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
    /// Whether memory is short.
    pub shortage: Shortage,
}

/// The containers of all endpoints that have one, by the endpoint's name.
type Containers = HashMap<String, DeadLetterContainer>;

/// The jobs that run at this worker.
pub struct Redrives {
    context: RedriveContext,
    containers: watch::Sender<Containers>,
    running: HashMap<String, Running>,
    /// Jobs that have ended, until all is told of them.
    ended: Vec<(String, Arc<Notes>)>,
}

struct Running {
    notes: Arc<Notes>,
    /// `None` for a job that this build cannot carry out.
    runner: Option<AbortOnDropHandle<()>>,
}

impl Redrives {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(context: RedriveContext) -> Self {
        Self { context, containers: watch::Sender::default(), running: HashMap::new(), ended: Vec::new() }
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

    /// routes-api is connected anew: it is told of every job, and tells which have ended meanwhile.
    pub(crate) fn begin(&self) {
        self.running.values().for_each(|running| running.notes.tell_again());
    }

    /// Begins a job that runs, or lets go of one that has ended.
    pub(crate) fn take(&mut self, job: proto::RedriveJob) {
        let id = job.id.clone();
        if job.state() != proto::RedriveState::Running {
            if let Some(Running { notes, .. }) = self.running.remove(&id) {
                info!(job = id, "the redrive has ended");
                self.ended.push((id, notes));
            }
            return;
        }
        if self.running.contains_key(&id) {
            return;
        }
        let running = match Job::try_from(job) {
            Ok(job) if self.running.len() < JOBS_MAX => self.start(job),
            Ok(_) => self.cannot(&id, &format!("{JOBS_MAX} jobs run at the worker, and no more can")),
            Err(error) => self.cannot(&id, &format!("the worker cannot read the job: {error}")),
        };
        self.running.insert(id, running);
    }

    fn start(&self, job: Job) -> Running {
        info!(job = &*job.id, endpoint = job.selection.endpoint, "dead letters are sent again");
        let notes = Arc::new(Notes::default());
        let runner = Runner::new(job, self.context.clone(), self.containers.subscribe(), Arc::clone(&notes));
        Running { notes, runner: Some(AbortOnDropHandle::new(tokio::spawn(runner.run()))) }
    }

    /// The job is not carried out here, which routes-api is told.
    fn cannot(&self, id: &str, why: &str) -> Running {
        warn!(job = id, "{why}");
        let notes = Arc::new(Notes::default());
        notes.error(why);
        Running { notes, runner: None }
    }

    /// What is to be told to routes-api now. What is lost on the way is missing in the job's numbers.
    pub(crate) fn reports(&mut self) -> Vec<proto::RedriveReport> {
        let now = Instant::now();
        let count = self.context.holdings.watch().borrow().count;
        let mut reports = Vec::new();
        for (id, Running { notes, runner }) in &self.running {
            if runner.is_none() {
                notes.count(count);
            }
            reports.extend(notes.report(id, now));
        }
        self.ended.retain(|(id, notes)| {
            reports.extend(notes.report(id, now));
            notes.has_news()
        });
        reports
    }
}

#[cfg(test)]
mod tests;

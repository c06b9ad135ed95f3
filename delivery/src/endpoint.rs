//! An endpoint: a task with a queue of its own, so that a slow or dead destination delays nobody else.

mod diversion;
mod health;
pub mod lane;
mod letters;
mod parking;
mod redriving;
mod report;
mod silence;
mod task;

use std::sync::Arc;

use hashbrown::HashSet;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;
use twinroute_common::matching::EndpointName;
use twinroute_common::route::Endpoint;

pub use health::State;
pub use parking::ParkingContext;
pub(crate) use redriving::{Fate, Redrive, StoredLetter};
pub use report::EndpointReport;

use crate::config::EndpointSettings;
use crate::delivery::Delivery;
use crate::holdings::Holdings;
use crate::letter_box::ResolveSecret;
use crate::metrics::{EndpointMetrics, LetterMetrics};
use crate::settlement::{ItemRef, LeaseId};
use crate::sink::{Sink, SinkError};
use crate::space::Spaces;
use crate::stream::Fence;

/// Room in an endpoint's queue besides deliveries: recalls and changes are rare and waited for.
const CONTROL_ROOM: usize = 64;

/// What every endpoint of a worker shares.
#[derive(Clone)]
pub struct EndpointContext {
    /// Says whether a sink may be written to.
    pub fence: Arc<Fence>,
    /// Takes what is settled.
    pub settled: mpsc::Sender<Vec<ItemRef>>,
    /// Starts the sink of an endpoint.
    pub start_sink: StartSink,
    /// Resolves the secrets of dead-letter containers.
    pub resolve_secret: ResolveSecret,
    /// Limits.
    pub settings: EndpointSettings,
    /// Items that may be in the worker. Each message with deliveries holds at least one, so no queue can be fuller.
    pub credit_events_max: u64,
    /// The space that endpoints share.
    pub spaces: Spaces,
    /// The partitions that are held.
    pub holdings: Holdings,
    /// Where events are parked; `None` for nowhere.
    pub parking: Option<ParkingContext>,
    /// Size of a full blob for Kusto in bytes.
    pub kusto_blob_bytes_max: u64,
    /// Counters and gauges.
    pub metrics: EndpointMetrics,
    /// Counters of dead letters.
    pub letters: LetterMetrics,
    /// Follows the tasks, so that the worker can wait for their end.
    pub tasks: TaskTracker,
}

/// Starts the sink of an endpoint.
pub type StartSink = Arc<dyn Fn(&Endpoint) -> Result<Sink, SinkError> + Send + Sync>;

/// What an endpoint is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Deliver these, in order.
    Deliver(Vec<Delivery>),
    /// Have nothing more to do with these leases: what is open at the sink is cut off. Answered when that is so.
    Recall(LeaseSet, oneshot::Sender<()>),
    /// The endpoint is another now: its sink is replaced, and what is not settled goes to the new one.
    Change(Box<Endpoint>),
    /// Skip the damaged segment with this object, if it is one.
    Skip(String),
}

/// Some leases.
#[derive(Clone, Debug)]
pub(crate) enum LeaseSet {
    /// Every lease: the stream is over.
    All,
    /// These.
    These(Arc<HashSet<LeaseId>>),
}

impl LeaseSet {
    pub(crate) fn contains(&self, lease: LeaseId) -> bool {
        match self {
            Self::All => true,
            Self::These(leases) => leases.contains(&lease),
        }
    }
}

/// The way to a running endpoint. The endpoint ends when all its handles are gone: it is deleted then, and what it has
/// not delivered is discarded.
#[derive(Clone, Debug)]
pub struct EndpointHandle {
    name: EndpointName,
    work: mpsc::Sender<Work>,
    redrives: mpsc::Sender<Redrive>,
    report: watch::Receiver<EndpointReport>,
}

/// An endpoint's queue is full or its task is gone; neither can be while credit is kept and the worker runs.
#[derive(Debug, thiserror::Error)]
#[error("endpoint {0} takes no more events than credit was given for; the stream must be started again")]
pub struct QueueRefused(String);

impl EndpointHandle {
    /// Starts an endpoint.
    #[must_use]
    pub fn start(endpoint: Endpoint, context: &EndpointContext) -> Self {
        let name = EndpointName::from(endpoint.name.as_str());
        let credit = usize::try_from(context.credit_events_max).unwrap_or(usize::MAX / 2);
        let (work, works) = mpsc::channel(credit + CONTROL_ROOM);
        let (redrives, redrives_receiver) = mpsc::channel(redriving::WAITING_MAX);
        let (task, report) = task::Task::new(endpoint, works, redrives_receiver, context.clone());
        context.tasks.spawn(task.run());
        Self { name, work, redrives, report }
    }

    /// Name of the endpoint.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.name
    }

    /// How the endpoint is.
    #[must_use]
    pub fn report(&self) -> &watch::Receiver<EndpointReport> {
        &self.report
    }

    /// Hands over deliveries. Never waits.
    ///
    /// # Errors
    /// When the queue is full.
    pub(crate) fn deliver(&self, deliveries: Vec<Delivery>) -> Result<(), QueueRefused> {
        self.work.try_send(Work::Deliver(deliveries)).map_err(|_| QueueRefused(self.name.to_string()))
    }

    /// The way for dead letters that are sent again. It does not keep the endpoint from ending.
    pub(crate) fn redrives(&self) -> mpsc::Sender<Redrive> {
        self.redrives.clone()
    }

    /// Asks the endpoint to have nothing more to do with some leases; resolves when that is so, or when it has ended.
    pub(crate) async fn recall(self, leases: LeaseSet) {
        let (done, answer) = oneshot::channel();
        if self.work.send(Work::Recall(leases, done)).await.is_ok() {
            let _ended = answer.await;
        }
    }

    /// Skips a damaged segment of the parked backlog, by its object.
    pub(crate) async fn skip(&self, object: String) {
        let _ended = self.work.send(Work::Skip(object)).await;
    }

    /// Changes what the endpoint is.
    pub(crate) async fn change(&self, endpoint: Endpoint) {
        let _ended = self.work.send(Work::Change(Box::new(endpoint))).await;
    }
}

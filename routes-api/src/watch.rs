//! A worker's stream: the whole table and the redrive jobs that run, then what changes; back come its reports.

mod frame;
mod jobs;
mod reporter;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{debug, info};
use twinroute_common::route::RouteTable;
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::watch_routes_request::Frame;
use twinroute_proto::routes::v1::watch_routes_response::Frame as Answer;

use crate::catalog::Catalog;
use crate::metrics::Metrics;
use crate::redrive::Jobs;
use crate::settings::WatchSettings;
use crate::store::Store;
use crate::workers::{Command, Connection, Workers};

use jobs::HandedOut;
use reporter::Reporter;

/// Commands that wait for a worker's connection: far more segments than are damaged at the same time.
const COMMANDS_QUEUED_MAX: usize = 64;

/// What every stream needs.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The catalog as it was last seen.
    pub catalog: watch::Receiver<Option<Arc<Catalog>>>,
    /// The redrive jobs as they were last seen.
    pub jobs: watch::Receiver<Arc<Jobs>>,
    /// Takes the reports of redrive jobs.
    pub store: Store,
    /// The connected workers.
    pub workers: Workers,
    /// Bounds.
    pub settings: WatchSettings,
    /// Metrics.
    pub metrics: Metrics,
    /// Ends the streams.
    pub stop: CancellationToken,
}

/// Frames to a worker, or the status that ends its stream.
pub type Answers = mpsc::Receiver<Result<proto::WatchRoutesResponse, Status>>;

/// Serves a stream until the worker leaves, errs, or the process stops.
#[must_use]
pub fn serve(watching: Watching, frames: Streaming<proto::WatchRoutesRequest>) -> Answers {
    let (answers, answered) = mpsc::channel(watching.settings.frames_queued_max);
    tokio::spawn(async move {
        if let Err(status) = session(watching, frames, &answers).await {
            // A worker that takes no frames does not get this one either.
            drop(answers.try_send(Err(status)));
        }
    });
    answered
}

type Sender = mpsc::Sender<Result<proto::WatchRoutesResponse, Status>>;

async fn session(
    mut watching: Watching,
    mut frames: Streaming<proto::WatchRoutesRequest>,
    answers: &Sender,
) -> Result<(), Status> {
    let Some(hello) = hello(&watching, &mut frames).await? else { return Ok(()) };
    let present = watching.catalog.borrow_and_update().clone();
    let Some(catalog) = present else {
        return Err(Status::unavailable("the route table was not read from the database yet; try again"));
    };
    let (commands, told) = mpsc::channel(COMMANDS_QUEUED_MAX);
    let connection = watching.workers.connect(&hello.worker_id, commands.clone());
    let connection = connection.map_err(|error| Status::resource_exhausted(error.to_string()))?;
    let _counted = Counted::new(&watching);
    info!(worker = %connection.worker_id(), version = hello.version, "a worker has connected");
    let table = catalog.table();
    send(answers, Answer::Table((&table).into())).await?;
    let jobs = HandedOut::new(Arc::clone(&watching.jobs.borrow_and_update()));
    let reporter = Reporter::start(watching.store.clone(), hello.worker_id, commands);
    let mut following =
        Following { sent: table, catalog, behind: false, jobs, commands: told, command: None, reporter };
    let ended = following.run(&mut watching, &mut frames, answers, &connection).await;
    match &ended {
        Ok(()) => info!(worker = %connection.worker_id(), "a worker has left"),
        Err(status) => {
            info!(worker = %connection.worker_id(), reason = status.message(), "a worker's stream has ended")
        }
    }
    ended
}

/// The first frame; `None` when the worker leaves without one.
async fn hello(
    watching: &Watching,
    frames: &mut Streaming<proto::WatchRoutesRequest>,
) -> Result<Option<proto::WatchHello>, Status> {
    let first = tokio::select! {
        biased;
        () = watching.stop.cancelled() => return Err(stopping()),
        first = tokio::time::timeout(watching.settings.hello_deadline(), frames.message()) => first,
    };
    let first = first.map_err(|_| {
        let deadline = watching.settings.hello_deadline_ms;
        Status::deadline_exceeded(format!("no Hello within watch.hello_deadline_ms ({deadline} ms)"))
    })?;
    match first? {
        None => Ok(None),
        Some(proto::WatchRoutesRequest { frame: Some(Frame::Hello(hello)) }) => {
            frame::check_worker_id(&hello.worker_id)?;
            Ok(Some(hello))
        }
        Some(_) => Err(Status::invalid_argument("the first frame must be Hello")),
    }
}

/// What a worker was sent last, and what is there now.
struct Following {
    sent: RouteTable,
    catalog: Arc<Catalog>,
    /// There is something to send. While the worker is slow, further changes are gathered into it.
    behind: bool,
    jobs: HandedOut,
    commands: mpsc::Receiver<Command>,
    /// The next command to send.
    command: Option<Command>,
    reporter: Reporter,
}

impl Following {
    async fn run(
        &mut self,
        watching: &mut Watching,
        frames: &mut Streaming<proto::WatchRoutesRequest>,
        answers: &Sender,
        connection: &Connection,
    ) -> Result<(), Status> {
        loop {
            tokio::select! {
                biased; // Changes before reports, so that a talkative worker does not miss them.
                () = watching.stop.cancelled() => return Err(stopping()),
                permit = answers.reserve(), if self.has_frame() => {
                    // The receiver is gone with the call.
                    let Ok(permit) = permit else { return Ok(()) };
                    if let Some(frame) = self.next_frame(connection) {
                        permit.send(Ok(proto::WatchRoutesResponse { frame: Some(frame) }));
                    }
                }
                changed = watching.catalog.changed() => {
                    if changed.is_err() {
                        return Err(stopping());
                    }
                    let present = watching.catalog.borrow_and_update().clone();
                    if let Some(catalog) = present {
                        self.behind = catalog.version != self.sent.version;
                        self.catalog = catalog;
                    }
                }
                changed = watching.jobs.changed() => {
                    if changed.is_err() {
                        return Err(stopping());
                    }
                    self.jobs.follow(Arc::clone(&watching.jobs.borrow_and_update()));
                }
                Some(command) = self.commands.recv(), if self.command.is_none() => {
                    self.command = Some(command);
                }
                frame = frames.message() => {
                    let Some(frame) = frame.map_err(left)? else { return Ok(()) };
                    frame::take(frame, self.sent.version, &self.catalog, connection, &self.reporter)?;
                    watching.metrics.rejected_resources.set(gauge(watching.workers.refused()));
                }
            }
        }
    }

    fn has_frame(&self) -> bool {
        self.behind || self.command.is_some() || self.jobs.is_behind()
    }

    /// What the worker is told next: first the table, because jobs and commands are about its endpoints.
    fn next_frame(&mut self, connection: &Connection) -> Option<Answer> {
        if self.behind {
            let delta = self.delta();
            connection.forget(|resource| frame::changed_at(&self.catalog, resource));
            return Some(delta);
        }
        match self.command.take() {
            Some(Command::Skip { endpoint, object }) => {
                Some(Answer::SkipSegment(proto::SkipSegment { endpoint_name: endpoint, object_name: object }))
            }
            Some(Command::Ended { id, state }) => self.jobs.late(id, state).map(Answer::RedriveJob),
            None => self.jobs.next().map(Answer::RedriveJob),
        }
    }

    /// What changes from what was sent to what is there now.
    fn delta(&mut self) -> Answer {
        let table = self.catalog.table();
        let delta = self.sent.delta_to(&table);
        debug!(version = delta.version, base = delta.base_version, "a delta is sent");
        self.sent = table;
        self.behind = false;
        Answer::Delta((&delta).into())
    }
}

async fn send(answers: &Sender, frame: Answer) -> Result<(), Status> {
    let frame = proto::WatchRoutesResponse { frame: Some(frame) };
    answers.send(Ok(frame)).await.map_err(|_| Status::cancelled("the call is over"))
}

/// A call that broke off is a worker that has left.
fn left(status: Status) -> Status {
    Status::new(status.code(), format!("the stream broke off: {}", status.message()))
}

fn stopping() -> Status {
    Status::unavailable("routes-api is shutting down; connect again")
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Keeps the number of workers in the metrics.
struct Counted {
    workers: Workers,
    metrics: Metrics,
}

impl Counted {
    fn new(watching: &Watching) -> Self {
        let counted = Self { workers: watching.workers.clone(), metrics: watching.metrics.clone() };
        counted.count();
        counted
    }

    fn count(&self) {
        self.metrics.workers_connected.set(gauge(self.workers.connected()));
        self.metrics.rejected_resources.set(gauge(self.workers.refused()));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count();
    }
}

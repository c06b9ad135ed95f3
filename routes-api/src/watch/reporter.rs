//! Redrive reports of one worker on their way to the database, in their order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use twinroute_common::backoff::Backoff;
use twinroute_common::outage::Outage;

use crate::redrive::{Job, Report, State};
use crate::store::{Store, StoreError};
use crate::workers::Command;

/// Jobs of which one worker's reports wait for the database; those of one job become one.
const JOBS_WAITING_MAX: usize = 1_000;
/// Upper end of the first wait before a report is tried again.
const RETRY_WAIT_INITIAL: Duration = Duration::from_millis(100);
/// Longest wait before a report is tried again: the database's task connects again on its own.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(1);

/// Takes reports, so that the worker's stream does not wait for the database.
///
/// A report is tried until it is merged, as long as the stream lasts; what still waits at the stream's end is tried once
/// more. What is lost then is missing in the job's counts, because workers do not keep what they have reported; and what
/// was in doubt when a connection to the database broke may be counted twice.
#[derive(Debug)]
pub(super) struct Reporter {
    waiting: Arc<Waiting>,
    _over: DropGuard,
}

/// Reports that wait.
#[derive(Debug, Default)]
struct Waiting {
    reports: Mutex<VecDeque<Report>>,
    news: Notify,
    /// The stream is over.
    over: CancellationToken,
}

impl Reporter {
    /// Starts the task that merges the reports. It tells the worker by `commands` of jobs that have ended, and ends when
    /// the reporter is dropped.
    pub(super) fn start(store: Store, worker_id: String, commands: mpsc::Sender<Command>) -> Self {
        let waiting = Arc::<Waiting>::default();
        tokio::spawn(merge_all(store, worker_id, Arc::clone(&waiting), commands));
        let over = waiting.over.clone().drop_guard();
        Self { waiting, _over: over }
    }

    /// Takes a report.
    ///
    /// # Errors
    /// When there are reports of too many jobs: the stream must end.
    pub(super) fn take(&self, report: Report) -> Result<(), Status> {
        let mut reports = self.waiting.lock();
        let has_room = reports.len() < JOBS_WAITING_MAX;
        match reports.iter_mut().find(|waiting| waiting.job_id == report.job_id) {
            Some(waiting) => waiting.absorb(report),
            None if has_room => reports.push_back(report),
            None => {
                let reason =
                    format!("reports of {JOBS_WAITING_MAX} redrive jobs wait for the database already");
                return Err(Status::unavailable(format!("{reason}; connect again")));
            }
        }
        self.waiting.news.notify_one();
        Ok(())
    }
}

impl Waiting {
    /// The next report; `None` when the stream is over and none is left.
    async fn next(&self) -> Option<Report> {
        loop {
            let next = self.lock().pop_front();
            if next.is_some() || self.over.is_cancelled() {
                return next;
            }
            tokio::select! {
                () = self.news.notified() => {}
                () = self.over.cancelled() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn merge_all(store: Store, worker_id: String, waiting: Arc<Waiting>, commands: mpsc::Sender<Command>) {
    let mut outage = Outage::new("merge redrive reports", worker_id);
    while let Some(report) = waiting.next().await {
        let id = report.job_id;
        match merge(&store, Arc::new(report), &waiting, &mut outage).await {
            Ok(job) => {
                let state = job.map_or(State::Cancelled, |job| job.state);
                if state != State::Running {
                    // A worker that has left needs not be told.
                    drop(commands.send(Command::Ended { id, state }).await);
                }
            }
            Err(error) => tracing::warn!(job = %id, "a redrive report is lost: {error}"),
        }
    }
}

async fn merge(
    store: &Store,
    report: Arc<Report>,
    waiting: &Waiting,
    outage: &mut Outage,
) -> Result<Option<Job>, StoreError> {
    let mut backoff = Backoff::new(RETRY_WAIT_INITIAL, RETRY_WAIT_MAX);
    loop {
        match store.report(Arc::clone(&report)).await {
            Ok(job) => {
                outage.works();
                return Ok(job);
            }
            Err(error) if waiting.over.is_cancelled() => return Err(error),
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::watch;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::store::{JobRequest, Request};

    fn report(job: u128) -> Report {
        Report {
            job_id: Uuid::from_u128(job),
            delivered: 1,
            failed: 0,
            failures: Vec::new(),
            last_failure: None,
            finished: BTreeSet::new(),
            partition_count: 1,
            error: String::new(),
        }
    }

    /// A reporter, and what its database is asked.
    fn reporter() -> (Reporter, mpsc::Receiver<Request>, mpsc::Receiver<Command>) {
        let (requests, asked) = mpsc::channel(1);
        let store = Store::new(requests, watch::channel(None).1, watch::channel(Arc::default()).1);
        let (commands, told) = mpsc::channel(1);
        (Reporter::start(store, "worker".to_owned(), commands), asked, told)
    }

    /// Answers the next report, and gives its job.
    async fn answer(
        asked: &mut mpsc::Receiver<Request>,
        answered: Result<Option<Job>, StoreError>,
    ) -> Option<u128> {
        match asked.recv().await? {
            Request::Job(JobRequest::Report(report, answer)) => {
                drop(answer.send(answered));
                Some(report.job_id.as_u128())
            }
            _ => None,
        }
    }

    fn away() -> StoreError {
        StoreError::Unavailable("it is away".to_owned())
    }

    #[tokio::test]
    async fn a_report_is_tried_until_it_is_merged_and_the_next_one_waits_for_it() {
        let (reporter, mut asked, mut told) = reporter();
        reporter.take(report(1)).unwrap();
        reporter.take(report(2)).unwrap();
        assert_eq!(answer(&mut asked, Err(away())).await, Some(1));
        assert_eq!(answer(&mut asked, Err(away())).await, Some(1));
        assert_eq!(answer(&mut asked, Ok(None)).await, Some(1));
        assert_eq!(answer(&mut asked, Err(away())).await, Some(2));
        // Nothing is known of the first job, so the worker must let go of it.
        let ended = Command::Ended { id: Uuid::from_u128(1), state: State::Cancelled };
        assert_eq!(told.recv().await, Some(ended));
    }

    #[tokio::test]
    async fn what_waits_at_the_end_of_the_stream_is_tried_once_more() {
        let (reporter, mut asked, _told) = reporter();
        reporter.take(report(1)).unwrap();
        reporter.take(report(2)).unwrap();
        drop(reporter);
        assert_eq!(answer(&mut asked, Err(away())).await, Some(1));
        assert_eq!(answer(&mut asked, Err(away())).await, Some(2));
        assert_eq!(answer(&mut asked, Ok(None)).await, None);
    }

    #[tokio::test]
    async fn reports_of_a_job_become_one_and_those_of_too_many_end_the_stream() {
        let (reporter, _asked, _told) = reporter();
        assert!((0..10_000).all(|_| reporter.take(report(0)).is_ok()));
        let refused = (0..2_000).find_map(|job| reporter.take(report(job)).err().map(|error| (job, error)));
        let (taken, error) = refused.unwrap();
        assert_eq!((taken, error.code()), (1_000, Code::Unavailable));
    }
}

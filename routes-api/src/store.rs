//! The database of endpoints, routes and redrive jobs: one task owns the connection, everybody else asks it.

mod error;
mod job_rows;
mod jobs;
mod migrate;
mod rows;
mod session;
mod task;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

pub use error::{ChangeError, StoreError};
pub use jobs::JobDecision;
pub(crate) use jobs::JobRequest;
pub use task::{StoreParts, StoreTask};

use crate::catalog::{Catalog, Write};
use crate::redrive::Jobs;
use crate::refusal::Refusal;

/// What a change makes of the catalog that is in force when it is applied.
pub type Decision = Box<dyn FnOnce(&Catalog) -> Result<Write, Refusal> + Send>;

/// Asks the database. Clones ask the same task.
#[derive(Clone, Debug)]
pub struct Store {
    requests: mpsc::Sender<Request>,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    jobs: watch::Receiver<Arc<Jobs>>,
}

/// What the task is asked.
pub(crate) enum Request {
    /// The catalog as it is in the database now.
    Refresh(oneshot::Sender<Result<Arc<Catalog>, StoreError>>),
    /// To change it.
    Change(Decision, oneshot::Sender<Result<Arc<Catalog>, ChangeError>>),
    /// About redrive jobs.
    Job(JobRequest),
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refresh(_) => "Refresh",
            Self::Change(..) => "Change",
            Self::Job(_) => "Job",
        })
    }
}

impl Store {
    pub(crate) fn new(
        requests: mpsc::Sender<Request>,
        catalog: watch::Receiver<Option<Arc<Catalog>>>,
        jobs: watch::Receiver<Arc<Jobs>>,
    ) -> Self {
        Self { requests, catalog, jobs }
    }

    /// The catalog as it was last seen, now and whenever it changes; `None` before it was seen at all.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Catalog>>> {
        self.catalog.clone()
    }

    /// The catalog as it is in the database now.
    ///
    /// # Errors
    /// When the database is away or too many ask.
    pub async fn read(&self) -> Result<Arc<Catalog>, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(Request::Refresh(answer)).map_err(|_| StoreError::Busy)?;
        answered.await.map_err(|_| StoreError::Stopping)?
    }

    /// Changes what is stored, and gives the catalog that this made.
    ///
    /// # Errors
    /// When the decision is a refusal, the database is away, or too many ask.
    pub async fn change(
        &self,
        decision: impl FnOnce(&Catalog) -> Result<Write, Refusal> + Send + 'static,
    ) -> Result<Arc<Catalog>, ChangeError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Change(Box::new(decision), answer);
        self.requests.try_send(request).map_err(|_| StoreError::Busy)?;
        answered.await.map_err(|_| ChangeError::Store(StoreError::Stopping))?
    }
}

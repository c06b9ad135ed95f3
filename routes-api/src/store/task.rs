//! The task that owns the connection: it looks for changes, makes changes, and connects again when it must.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use twinroute_common::backoff::Backoff;
use twinroute_common::health::{Condition, Liveness};
use twinroute_common::outage::Outage;

use super::error::{ChangeError, SessionError, StoreError};
use super::session::{Changed, Content, Session};
use super::{Request, Store};
use crate::catalog::{Catalog, FileResources, Moment};
use crate::redrive::Jobs;
use crate::seal::SealingKey;
use crate::settings::{PostgresSettings, StoreSettings};

/// Upper end of the first wait before connecting again: a restarted server is soon back.
const RECONNECT_WAIT_INITIAL: Duration = Duration::from_millis(100);

/// What the task is made of.
#[derive(Debug)]
pub struct StoreParts {
    /// How to connect.
    pub config: tokio_postgres::Config,
    /// Key of stored secrets.
    pub key: Option<SealingKey>,
    /// What the bootstrap file holds.
    pub file: Option<FileResources>,
    /// Holds while the database can be used.
    pub condition: Condition,
    /// The process's sign of life.
    pub liveness: Liveness,
    /// Ends the task.
    pub stop: CancellationToken,
}

/// Owns the connection. Run it once.
#[derive(Debug)]
pub struct StoreTask {
    config: tokio_postgres::Config,
    content: Arc<Content>,
    condition: Condition,
    liveness: Liveness,
    stop: CancellationToken,
    postgres: PostgresSettings,
    store: StoreSettings,
    requests: mpsc::Receiver<Request>,
    catalog: watch::Sender<Option<Arc<Catalog>>>,
    jobs: watch::Sender<Arc<Jobs>>,
    file_loaded: Option<Moment>,
}

impl StoreTask {
    /// The task, and what asks it.
    #[must_use]
    pub fn new(parts: StoreParts, postgres: &PostgresSettings, store: &StoreSettings) -> (Self, Store) {
        let (sender, requests) = mpsc::channel(store.requests_queued_max);
        let (catalog, watched) = watch::channel(None);
        let (jobs, watched_jobs) = watch::channel(Arc::default());
        let task = Self {
            config: parts.config,
            content: Arc::new(Content { key: parts.key, file: parts.file }),
            condition: parts.condition,
            liveness: parts.liveness,
            stop: parts.stop,
            postgres: postgres.clone(),
            store: store.clone(),
            requests,
            catalog,
            jobs,
            file_loaded: None,
        };
        (task, Store::new(sender, watched, watched_jobs))
    }

    /// Serves requests until it is told to stop.
    pub async fn run(mut self) {
        let mut outage = Outage::new("use the database of endpoints and routes", place(&self.config));
        let mut backoff = Backoff::new(RECONNECT_WAIT_INITIAL, self.postgres.reconnect_wait_max());
        let mut reason = format!("connecting to {}", place(&self.config));
        loop {
            let Some(opened) = self.open(&reason).await else { return };
            let failure = match opened {
                Err(failure) => failure,
                Ok(mut session) => match self.look(&mut session).await {
                    Err(failure) => failure,
                    Ok(()) => {
                        outage.works();
                        backoff.reset();
                        self.condition.ok();
                        match self.serve(session).await {
                            Ok(()) => return,
                            Err(failure) => failure,
                        }
                    }
                },
            };
            outage.failed(&failure.reason());
            reason = format!("{}: {}", place(&self.config), failure.reason());
            self.condition.failing(reason.clone());
            let pause = tokio::time::sleep(backoff.next());
            if self.answering(&reason, pause).await.is_none() {
                return;
            }
        }
    }

    /// Connects, while requests are told why they can't be served; `None` when it is time to stop.
    async fn open(&mut self, reason: &str) -> Option<Result<Session, SessionError>> {
        let (config, content) = (self.config.clone(), Arc::clone(&self.content));
        let opening = Session::open(&config, self.postgres.answer_deadline(), &content, self.file_loaded);
        let opened = self.answering(reason, opening).await;
        if let Some(Ok(session)) = &opened {
            self.file_loaded = Some(session.file_loaded());
        }
        opened
    }

    /// Waits for something, while requests are told why they can't be served; `None` when it is time to stop.
    async fn answering<T>(&mut self, reason: &str, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut beats = tokio::time::interval(self.liveness.interval());
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                done = &mut work => return Some(done),
                Some(request) = self.requests.recv() => {
                    let unavailable = StoreError::Unavailable(reason.to_owned());
                    // Whoever asked may have gone.
                    match request {
                        Request::Refresh(answer) => drop(answer.send(Err(unavailable))),
                        Request::Change(_, answer) => drop(answer.send(Err(ChangeError::Store(unavailable)))),
                        Request::Job(request) => request.refuse(unavailable),
                    }
                }
                _ = beats.tick() => self.liveness.beat(),
            }
        }
    }

    /// Serves requests and looks for changes of others; ends well when it is time to stop.
    async fn serve(&mut self, mut session: Session) -> Result<(), SessionError> {
        let mut polls = tokio::time::interval_at(Instant::now() + self.store.poll(), self.store.poll());
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = tokio::time::interval(self.liveness.interval());
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased; // Requests before polls: each of them looks for changes too.
                () = stop.cancelled() => return Ok(()),
                _ = beats.tick() => self.liveness.beat(),
                request = self.requests.recv() => match request {
                    None => return Ok(()),
                    Some(request) => self.answer(&mut session, request).await?,
                },
                _ = polls.tick() => self.look(&mut session).await?,
            }
        }
    }

    async fn answer(&mut self, session: &mut Session, request: Request) -> Result<(), SessionError> {
        match request {
            Request::Refresh(answer) => {
                let refreshed = self.refresh(session).await;
                let told = refreshed.as_ref().map(Arc::clone);
                drop(answer.send(told.map_err(|failure| StoreError::Unavailable(failure.reason()))));
                refreshed.map(drop)
            }
            Request::Change(decision, answer) => {
                let known = self.catalog.borrow().clone();
                match session.change(known.as_ref(), &self.content, decision).await {
                    Ok(Changed::Done(catalog)) => {
                        self.publish(&catalog);
                        drop(answer.send(Ok(catalog)));
                    }
                    Ok(Changed::Refused(refusal, catalog)) => {
                        self.publish(&catalog);
                        drop(answer.send(Err(refusal.into())));
                    }
                    Err(failure) => {
                        let in_doubt = StoreError::InDoubt(failure.reason());
                        drop(answer.send(Err(in_doubt.into())));
                        return Err(failure);
                    }
                }
                Ok(())
            }
            Request::Job(request) => {
                let known = self.catalog.borrow().clone();
                request.answer(session, known.as_ref(), &self.content).await?;
                self.look(session).await
            }
        }
    }

    /// Looks for changes of the catalog, then of the jobs: an endpoint is known before its job.
    async fn look(&mut self, session: &mut Session) -> Result<(), SessionError> {
        self.refresh(session).await?;
        let known = Arc::clone(&self.jobs.borrow());
        if let Some(jobs) = session.running_jobs(&known).await? {
            self.jobs.send_replace(Arc::new(jobs));
        }
        Ok(())
    }

    async fn refresh(&mut self, session: &mut Session) -> Result<Arc<Catalog>, SessionError> {
        let known = self.catalog.borrow().clone();
        let catalog = session.refresh(known.as_ref(), &self.content).await?;
        self.publish(&catalog);
        Ok(catalog)
    }

    /// Shows the catalog to the workers' streams.
    fn publish(&self, catalog: &Arc<Catalog>) {
        self.catalog.send_if_modified(|present| {
            let changed = present.as_ref().is_none_or(|present| present.version != catalog.version);
            if changed {
                if let Some(present) = present.as_ref().filter(|present| present.version > catalog.version) {
                    warn!(
                        from = present.version,
                        to = catalog.version,
                        "the version of the route table went back"
                    );
                }
                *present = Some(Arc::clone(catalog));
            }
            changed
        });
    }
}

/// Host and port, for people.
fn place(config: &tokio_postgres::Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .zip(config.get_ports().iter().chain(std::iter::repeat(&5432)))
        .map(|(host, port)| match host {
            tokio_postgres::config::Host::Tcp(host) => format!("{host}:{port}"),
            tokio_postgres::config::Host::Unix(path) => format!("{}:{port}", path.display()),
        })
        .collect();
    hosts.join(", ")
}

//! One connection to the database, and what is done over it. Every step has a deadline; after an error it is of no use.

mod jobs;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, IsolationLevel, NoTls, Transaction};
use twinroute_common::causes::Causes;

use super::Decision;
use super::error::SessionError;
use super::migrate::migrate;
use super::rows::{load, lock_version, write};
use crate::catalog::{Catalog, FileResources, Moment};
use crate::refusal::Refusal;
use crate::seal::SealingKey;

/// What a session needs to know besides its connection.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) key: Option<SealingKey>,
    pub(super) file: Option<FileResources>,
}

/// An open connection with an up-to-date schema.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    driver: JoinHandle<()>,
    deadline: Duration,
    /// When the bootstrap file's resources came into force.
    file_loaded: Moment,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How a change ended.
#[derive(Debug)]
pub(super) enum Changed {
    /// It is committed.
    Done(Arc<Catalog>),
    /// It was refused; nothing was written. The catalog may be newer than the one before.
    Refused(Refusal, Arc<Catalog>),
}

impl Session {
    /// Connects and migrates. `loaded`: when this process brought the file's resources into force, if it did already.
    pub(super) async fn open(
        config: &tokio_postgres::Config,
        deadline: Duration,
        content: &Content,
        loaded: Option<Moment>,
    ) -> Result<Self, SessionError> {
        let (client, connection) = within(deadline, "accept a connection", config.connect(NoTls)).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("the connection to the database ended: {}", Causes(&error));
            }
        });
        // What a replica that has vanished holds locked must not stop all others until its connection is given up.
        let (idle, lock) = (deadline.as_millis(), (deadline * 4 / 5).as_millis());
        let bounds = format!("SET idle_in_transaction_session_timeout = {idle}; SET lock_timeout = {lock}");
        within(deadline, "take bounds of time", client.batch_execute(&bounds)).await?;
        let never = Moment { version: 0, time: jiff::Timestamp::UNIX_EPOCH };
        let mut session = Self { client, driver, deadline, file_loaded: loaded.unwrap_or(never) };
        let migrated = tokio::time::timeout(deadline, migrate(&mut session.client));
        let silent = SessionError::Silent { what: "bring the schema twinroute_routes up to date", deadline };
        migrated.await.map_err(|_| silent)??;
        if content.file.is_some() && loaded.is_none() {
            session.file_loaded = session.raise_version(0).await?;
        }
        Ok(session)
    }

    /// When the file's resources came into force.
    pub(super) fn file_loaded(&self) -> Moment {
        self.file_loaded
    }

    /// The catalog as it is now; `known` itself when nothing has changed.
    pub(super) async fn refresh(
        &mut self,
        known: Option<&Arc<Catalog>>,
        content: &Content,
    ) -> Result<Arc<Catalog>, SessionError> {
        let query = self.client.query_one("SELECT version FROM twinroute_routes.version", &[]);
        let row = within(self.deadline, "tell the version of the route table", query).await?;
        let version: i64 =
            row.try_get(0).map_err(|error| SessionError::Postgres("tell the version", error))?;
        let version = u64::try_from(version).unwrap_or(0);
        match known {
            Some(known) if known.version == version => return Ok(Arc::clone(known)),
            // The database went back: what the workers have must not come again under the same version.
            Some(known) if known.version > version => drop(self.raise_version(known.version).await?),
            Some(_) | None => {}
        }
        self.load(content).await.map(Arc::new)
    }

    async fn load(&mut self, content: &Content) -> Result<Catalog, SessionError> {
        let loading = async {
            let reader = self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let transaction = reader.read_only(true).start().await;
            let transaction = transaction.map_err(|error| SessionError::Postgres("begin to read", error))?;
            load(&transaction, content.key.as_ref()).await
        };
        let silent = SessionError::Silent { what: "read endpoints and routes", deadline: self.deadline };
        let stored = tokio::time::timeout(self.deadline, loading).await.map_err(|_| silent)??;
        Ok(Catalog::new(stored, content.file.as_ref(), self.file_loaded))
    }

    /// Makes a new version above `floor` without any change.
    async fn raise_version(&mut self, floor: u64) -> Result<Moment, SessionError> {
        let raising = async {
            let transaction = self.client.transaction().await?;
            let (_, mut moment) = lock_version(&transaction).await?;
            moment.version = moment.version.max(floor + 1);
            let version = i64::try_from(moment.version).unwrap_or(i64::MAX);
            transaction.execute("UPDATE twinroute_routes.version SET version = $1", &[&version]).await?;
            transaction.commit().await?;
            Ok(moment)
        };
        within(self.deadline, "raise the version of the route table", raising).await
    }

    /// Decides under the lock of the version, and writes what was decided. All changes of all replicas go one by one.
    pub(super) async fn change(
        &mut self,
        known: Option<&Arc<Catalog>>,
        content: &Content,
        decision: Decision,
    ) -> Result<Changed, SessionError> {
        let deadline = self.deadline;
        bounded(deadline, "make the change", self.change_unbounded(known, content, decision)).await
    }

    async fn change_unbounded(
        &mut self,
        known: Option<&Arc<Catalog>>,
        content: &Content,
        decision: Decision,
    ) -> Result<Changed, SessionError> {
        let refused = |error| SessionError::Postgres("begin a change", error);
        let transaction = self.client.transaction().await.map_err(refused)?;
        let (present, moment) = lock_version(&transaction).await.map_err(refused)?;
        let catalog = self::present(&transaction, present, known, content, self.file_loaded).await?;
        let decided = match decision(&catalog) {
            Ok(decided) => decided,
            Err(refusal) => return Ok(Changed::Refused(refusal, catalog)),
        };
        write(&transaction, &decided, moment, content.key.as_ref()).await?;
        transaction.commit().await.map_err(|error| SessionError::Postgres("commit the change", error))?;
        Ok(Changed::Done(Arc::new(catalog.with(decided, moment))))
    }
}

/// The catalog of the version `present`: the one that is known, or the one that is stored.
async fn present(
    transaction: &Transaction<'_>,
    present: u64,
    known: Option<&Arc<Catalog>>,
    content: &Content,
    file_loaded: Moment,
) -> Result<Arc<Catalog>, SessionError> {
    if let Some(known) = known.filter(|known| known.version == present) {
        return Ok(Arc::clone(known));
    }
    let stored = load(transaction, content.key.as_ref()).await?;
    Ok(Arc::new(Catalog::new(stored, content.file.as_ref(), file_loaded)))
}

/// Several statements within one deadline.
async fn bounded<T>(
    deadline: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    tokio::time::timeout(deadline, work).await.map_err(|_| SessionError::Silent { what, deadline })?
}

async fn within<T>(
    deadline: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, SessionError> {
    let answered = tokio::time::timeout(deadline, work).await;
    answered
        .map_err(|_| SessionError::Silent { what, deadline })?
        .map_err(|error| SessionError::Postgres(what, error))
}

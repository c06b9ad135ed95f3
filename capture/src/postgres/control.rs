//! The control connection: a session that holds the subscription's lock and runs capture's statements.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::connection_string::ConnectionString;
use super::server::{self, NoServer, Server, Session};

/// The server finds out within seconds that we are gone: by probes while nothing is under way, and by answers that
/// stay unacknowledged.
const NOTICE_LOSS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
                           SET tcp_user_timeout = 11000";

/// A statement that failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No server can be used.
    #[error("PostgreSQL cannot be reached")]
    Unreachable(#[from] NoServer),
    /// The connection broke, or the server refused the statement.
    #[error("PostgreSQL {what}")]
    Postgres {
        /// What was done, as in "refused: SELECT 1".
        what: String,
        /// Why it failed.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server did not answer.
    #[error("PostgreSQL did not answer within {deadline:?}: {what}")]
    Silent {
        /// What was done.
        what: String,
        /// How long was waited.
        deadline: Duration,
    },
}

impl ControlError {
    /// The role lacks a right (SQLSTATE 42501).
    #[must_use]
    pub fn is_privilege(&self) -> bool {
        self.has_state(&SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// Another session has a lock that we waited for (SQLSTATE 55P03).
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        self.has_state(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// What the statement is about does not exist, or not any more (SQLSTATE 42P01, 3F000).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.has_state(&SqlState::UNDEFINED_TABLE) || self.has_state(&SqlState::INVALID_SCHEMA_NAME)
    }

    /// Somebody else has done it meanwhile (SQLSTATE 42710).
    #[must_use]
    pub fn is_done_already(&self) -> bool {
        self.has_state(&SqlState::DUPLICATE_OBJECT)
    }

    fn has_state(&self, state: &SqlState) -> bool {
        matches!(self, Self::Postgres { source, .. } if source.code() == Some(state))
    }
}

/// A session of capture's own.
#[derive(Debug)]
pub struct Control {
    client: Client,
    driver: JoinHandle<()>,
    server: Server,
    deadline: Duration,
}

impl Control {
    /// Opens a session with the first server that fits. That server notices within seconds when this host is gone, so
    /// that its locks become free.
    ///
    /// # Errors
    /// [`ControlError`] when no server can be reached, or login fails.
    pub async fn open(
        connection_string: &ConnectionString,
        application_name: &str,
        deadline: Duration,
    ) -> Result<Self, ControlError> {
        let Session { client, driver, server } =
            server::open(connection_string, application_name, deadline).await?;
        let control = Self { client, driver, server, deadline };
        control.run(NOTICE_LOSS).await?;
        Ok(control)
    }

    /// The server that it is a session with.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How long an answer may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// [`ControlError`] naming the statements.
    pub async fn run(&self, statements: &str) -> Result<(), ControlError> {
        self.bounded(statements, self.client.batch_execute(statements)).await
    }

    /// Runs a statement, and gives the number of rows.
    ///
    /// # Errors
    /// [`ControlError`] naming the statement.
    pub async fn execute(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, ControlError> {
        self.bounded(statement, self.client.execute(statement, parameters)).await
    }

    /// Runs a query.
    ///
    /// # Errors
    /// [`ControlError`] naming the query.
    pub async fn rows(
        &self,
        query: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, ControlError> {
        self.bounded(query, self.client.query(query, parameters)).await
    }

    /// Waits until the session is lost.
    pub async fn lost(&mut self) {
        // The driver ends with the connection; that it may have panicked changes nothing.
        drop((&mut self.driver).await);
    }

    /// The session is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    async fn bounded<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ControlError> {
        match tokio::time::timeout(self.deadline, work).await {
            Ok(done) => done.map_err(|source| ControlError::Postgres {
                what: format!("refused: {}", what.split_whitespace().collect::<Vec<_>>().join(" ")),
                source,
            }),
            Err(_) => Err(ControlError::Silent { what: what.to_owned(), deadline: self.deadline }),
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Tries to take the subscription's lock for this session. Gives the holder's name when somebody else has it.
///
/// # Errors
/// [`ControlError`].
pub async fn try_lock(control: &Control, subscription: &str) -> Result<Result<(), String>, ControlError> {
    const KEY: &str = "hashtextextended('twinroute/' || $1, 0)";
    let locked = control.rows(&format!("SELECT pg_try_advisory_lock({KEY})"), &[&subscription]).await?;
    if locked.first().is_some_and(|row| row.get(0)) {
        return Ok(Ok(()));
    }
    let holder = format!(
        "SELECT coalesce(a.application_name, '') || ' from ' || coalesce(host(a.client_addr), 'this host') \
         || ', process ' || l.pid FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
         AND (l.classid::bigint << 32 | l.objid::bigint) = {KEY}"
    );
    let rows = control.rows(&holder, &[&subscription]).await?;
    Ok(Err(rows.first().map_or_else(|| "an unknown session".to_owned(), |row| row.get(0))))
}

/// How often a stream must report at least: a third of the time after which the server gives a silent receiver up.
///
/// # Errors
/// [`ControlError`].
pub async fn report_interval(control: &Control) -> Result<Duration, ControlError> {
    let query = "SELECT extract(epoch FROM current_setting('wal_sender_timeout')::interval)::float8";
    let rows = control.rows(query, &[]).await?;
    let timeout_s = rows.first().map_or(0.0, |row| row.get::<_, f64>(0));
    let third = Duration::try_from_secs_f64(timeout_s / 3.0).unwrap_or_default();
    // 0 switches the timeout off; a report every 10 s still shows where we are.
    let ten = Duration::from_secs(10);
    Ok(if third.is_zero() { ten } else { third.min(ten) })
}

//! Why the database of endpoints and routes cannot be used.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tonic::Status;
use twinroute_common::causes::Causes;

use crate::refusal::Refusal;

/// Why a request got no answer from the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is away; the reason says what, where and why.
    #[error("the database of endpoints and routes cannot be used: {0}; try again later")]
    Unavailable(String),
    /// The connection was lost while a change was being made.
    #[error(
        "the connection to the database was lost while the change was made: {0}; read it again to see whether it was"
    )]
    InDoubt(String),
    /// More requests wait than `store.requests_queued_max`.
    #[error("too many requests wait for the database (store.requests_queued_max); try again later")]
    Busy,
    /// The service is shutting down.
    #[error("routes-api is shutting down; try another one, or again later")]
    Stopping,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It must not be made.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::resource_exhausted(error.to_string()),
            StoreError::Unavailable(_) | StoreError::InDoubt(_) | StoreError::Stopping => {
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<ChangeError> for Status {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Store(error) => error.into(),
        }
    }
}

/// What went wrong at the database, inside the task.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// It cannot be reached, or refused a statement.
    #[error("PostgreSQL could not {0}")]
    Postgres(&'static str, #[source] tokio_postgres::Error),
    /// It did not answer.
    #[error("PostgreSQL did not {what} within postgres.answer_deadline_ms ({} ms)", deadline.as_millis())]
    Silent { what: &'static str, deadline: Duration },
    /// A newer routes-api was here.
    #[error(
        "its schema twinroute_routes is at migration {present}, and this routes-api knows {known}: run a newer one"
    )]
    Newer { present: i32, known: i32 },
    /// What is stored cannot be used.
    #[error("{what} `{name}` cannot be read: {reason}")]
    Unreadable { what: &'static str, name: String, reason: String },
}

impl SessionError {
    /// What went wrong, why, and what can be done, on one line.
    pub(super) fn reason(&self) -> String {
        let text = Causes(self).to_string();
        let denied = match self {
            Self::Postgres(_, source) => source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            _ => false,
        };
        if denied {
            format!(
                "{text}; run as an owner: CREATE SCHEMA IF NOT EXISTS twinroute_routes; GRANT ALL ON SCHEMA \
                 twinroute_routes TO <the role of postgres.url>;"
            )
        } else {
            text
        }
    }
}

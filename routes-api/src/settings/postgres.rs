//! Section `postgres`: where endpoints and routes are kept.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio_postgres::config::SslMode;
use twinroute_common::config::{Problem, check};
use twinroute_common::secret::{Secret, SecretError, SecretPolicy};

/// Section `postgres`: where endpoints and routes are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSettings {
    /// Connection string of the database; the password may stand in `password` instead.
    pub url: String,
    /// Password, as a value or a reference; empty to take the one of the URL.
    pub password: Secret,
    /// How long a connection attempt or a statement may take, in milliseconds.
    pub answer_deadline_ms: u64,
    /// Longest wait between two attempts to connect, in milliseconds.
    pub reconnect_wait_max_ms: u64,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            url: "postgres://postgres@127.0.0.1:5432/postgres".to_owned(),
            password: Secret::default(),
            answer_deadline_ms: 5_000,
            reconnect_wait_max_ms: 5_000,
        }
    }
}

/// Why there is no connection string.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionStringError {
    /// `postgres.url` does not parse.
    #[error("postgres.url is no connection string of PostgreSQL")]
    Url(#[source] tokio_postgres::Error),
    /// `postgres.password` cannot be resolved.
    #[error("postgres.password has no value")]
    Password(#[source] SecretError),
}

impl PostgresSettings {
    /// `answer_deadline_ms`.
    #[must_use]
    pub fn answer_deadline(&self) -> Duration {
        Duration::from_millis(self.answer_deadline_ms)
    }

    /// `reconnect_wait_max_ms`.
    #[must_use]
    pub fn reconnect_wait_max(&self) -> Duration {
        Duration::from_millis(self.reconnect_wait_max_ms)
    }

    /// What is needed to connect.
    ///
    /// # Errors
    /// When the URL does not parse, or the password's reference leads nowhere.
    pub fn connection(&self, policy: &SecretPolicy) -> Result<tokio_postgres::Config, ConnectionStringError> {
        let mut config: tokio_postgres::Config = self.url.parse().map_err(ConnectionStringError::Url)?;
        if !self.password.is_empty() {
            let password = policy.resolve(&self.password).map_err(ConnectionStringError::Password)?;
            config.password(password.expose_secret());
        }
        config.application_name("twinroute-routes-api").connect_timeout(self.answer_deadline());
        Ok(config)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let milliseconds = 100..=3_600_000;
        let url = check::url("postgres.url", &self.url, &["postgres", "postgresql"]).or_else(|| {
            match self.url.parse::<tokio_postgres::Config>() {
                Err(error) => {
                    let reason =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    Some(Problem::new("postgres.url", format!("is no connection string: {reason}")))
                }
                Ok(config) if config.get_ssl_mode() == SslMode::Require => {
                    let message =
                        "has sslmode=require, which routes-api cannot do; take a network that is trusted";
                    Some(Problem::new("postgres.url", message))
                }
                Ok(_) => None,
            }
        });
        [
            url,
            check::range("postgres.answer_deadline_ms", &self.answer_deadline_ms, &milliseconds),
            check::range("postgres.reconnect_wait_max_ms", &self.reconnect_wait_max_ms, &milliseconds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

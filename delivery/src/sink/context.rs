//! What a sink needs besides its endpoint's options.

use std::sync::Arc;

use secrecy::SecretString;
use twinroute_common::causes::Causes;
use twinroute_common::secret::{Secret, SecretPolicy};

use super::SinkError;
use crate::config::sinks::SinkLimits;

/// What a sink needs besides its endpoint's options.
#[derive(Clone, Debug)]
pub struct SinkContext {
    /// Names the worker; no two that run at a time have the same.
    pub worker_id: String,
    /// Limits, from the worker's configuration.
    pub limits: Arc<SinkLimits>,
    /// Which secrets may be given by reference.
    pub secrets: Arc<SecretPolicy>,
}

impl SinkContext {
    /// The secret's value.
    ///
    /// # Errors
    /// `SECRET_NOT_RESOLVED` when it is a reference that leads nowhere or is not allowed.
    pub(crate) fn secret(&self, secret: &Secret) -> Result<SecretString, SinkError> {
        self.secrets
            .resolve(secret)
            .map_err(|error| SinkError::about_connection("SECRET_NOT_RESOLVED", Causes(&error).to_string()))
    }
}

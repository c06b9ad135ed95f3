//! Section `secrets`: how secrets are kept, and what references may name.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use twinroute_common::config::Problem;
use twinroute_common::secret::{Secret, SecretPolicy};

use crate::seal::{KeyError, SealingKey};

/// Section `secrets`: how secrets are kept, and what references may name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsSettings {
    /// The key that stored secrets are encrypted with: 32 bytes in base64, as a value or a reference; empty for none.
    pub key: Secret,
    /// `env:NAME` in this file is resolved only if NAME begins with this.
    pub env_prefix: String,
    /// `file:PATH` in this file is resolved only beneath this directory.
    pub directory: PathBuf,
}

impl Default for SecretsSettings {
    fn default() -> Self {
        let SecretPolicy { env_prefix, directory } = SecretPolicy::default();
        Self { key: Secret::default(), env_prefix, directory }
    }
}

impl SecretsSettings {
    /// What references in the configuration may name. References in endpoints are the workers' to resolve.
    #[must_use]
    pub fn policy(&self) -> SecretPolicy {
        SecretPolicy { env_prefix: self.env_prefix.clone(), directory: self.directory.clone() }
    }

    /// The key; `None` when none is configured.
    ///
    /// # Errors
    /// When its reference leads nowhere, or it is not 32 bytes in base64.
    pub fn sealing_key(&self) -> Result<Option<SealingKey>, KeyError> {
        if self.key.is_empty() {
            return Ok(None);
        }
        let text = self.policy().resolve(&self.key).map_err(KeyError::Reference)?;
        SealingKey::from_base64(&text).map(Some)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.policy().problems();
        if let Err(error) = self.sealing_key() {
            let message = twinroute_common::causes::Causes(&error).to_string();
            problems.push(Problem::new("secrets.key", message));
        }
        problems
    }
}

//! Limits of access tokens.

use serde::{Deserialize, Serialize};

use twinroute_common::config::{Problem, check::range};

/// Limits of access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityLimits {
    /// How long a token server may take for one answer, in milliseconds. Default 30,000: managed identities
    /// are slow in their first minute.
    pub token_deadline_ms: u64,
    /// Ends of host names to which tokens of the worker's own Azure identity may go. Default: the public clouds'
    /// Event Hubs and Data Explorer. Whoever may write endpoints must not be able to have a token sent to a server of
    /// their own.
    pub azure_host_suffixes: Vec<String>,
}

impl Default for IdentityLimits {
    fn default() -> Self {
        let suffixes = [
            ".servicebus.windows.net",
            ".servicebus.usgovcloudapi.net",
            ".servicebus.chinacloudapi.cn",
            ".kusto.windows.net",
            ".kusto.usgovcloudapi.net",
            ".kusto.chinacloudapi.cn",
            ".kusto.fabric.microsoft.com",
        ];
        Self { token_deadline_ms: 30_000, azure_host_suffixes: suffixes.map(str::to_owned).into() }
    }
}

impl IdentityLimits {
    /// What does not work.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let deadline = range("sink.identity.token_deadline_ms", &self.token_deadline_ms, &(10..=600_000));
        let whole_name = self.azure_host_suffixes.iter().find(|suffix| !suffix.starts_with('.'));
        let suffix = whole_name.map(|suffix| {
            let message = format!("{suffix} does not start with a dot, so other domains could end with it");
            Problem::new("sink.identity.azure_host_suffixes", message)
        });
        deadline.into_iter().chain(suffix).collect()
    }
}

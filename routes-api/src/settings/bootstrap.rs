//! Section `bootstrap`: endpoints and routes from a file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use twinroute_common::config::Problem;

use crate::bootstrap;

/// Section `bootstrap`: endpoints and routes from a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapSettings {
    /// File in the form of the AgeDigitalTwins documentation; `null` for none.
    pub file: Option<PathBuf>,
}

impl BootstrapSettings {
    /// The file is read too, so that `--check` finds its mistakes.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let Some(file) = &self.file else { return Vec::new() };
        let mistakes = bootstrap::load(file).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| Problem::new("bootstrap.file", mistake.to_string())).collect()
    }
}

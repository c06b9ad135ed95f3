//! What all scenarios need: one runtime that outlives each of them, deadlines, folders.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;
use twinroute_tests::checkout;

/// How long an event may take to arrive, and any other small thing to happen, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a scenario on the one runtime of this process: what scenarios share lives on it.
pub(crate) fn run(scenario: impl Future<Output = Result<()>>) -> Result<()> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().ok());
    runtime.as_ref().context("there is no runtime")?.block_on(scenario)
}

/// The folder of one scenario or stack.
pub(crate) fn dir(name: &str) -> Result<PathBuf> {
    checkout::fresh_run_dir(&format!("scenarios/{name}"))
}

//! Each real server of the harness is started, written to and read from once.

mod azurite;
mod kafka;
mod kusto;
mod mqtt;
mod postgres;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use twinroute_tests::checkout;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// The folder of one test.
fn dir(test: &str) -> Result<PathBuf> {
    checkout::fresh_run_dir(&format!("servers/{test}"))
}

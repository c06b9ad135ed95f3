//! The factory that the project's generator changes, and its database as this machine reaches it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use twinroute_tests::{checkout, servers::postgres, twins::ledger, wait};

use crate::project::Project;

/// The file with the password of the project's database.
const PASSWORD_FILE: &str = "deploy/compose/postgres-password.txt";

/// How long some hundred changes may take: there are some thirty in a second.
const CHANGES_DEADLINE: Duration = Duration::from_secs(60);

/// The password of the database.
pub(crate) fn password() -> Result<String> {
    let file = checkout::root().join(PASSWORD_FILE);
    let password = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(password.trim_end().to_owned())
}

/// How to connect to the database.
pub(crate) fn database(project: &Project) -> Result<String> {
    let (port, password) = (project.port("POSTGRES_PORT")?, password()?);
    Ok(format!("host=127.0.0.1 port={port} user=postgres dbname=postgres password='{password}'"))
}

/// Waits until so many changes more are committed.
pub(crate) async fn goes_on(project: &Project, changes: usize) -> Result<()> {
    let client = postgres::connect(&database(project)?).await?;
    let mut before = None;
    wait::until(CHANGES_DEADLINE, "changes to be committed", async || {
        // The generator makes the ledger when it comes.
        let count = ledger::count(&client).await.context("there is no ledger")?;
        let since = count.saturating_sub(*before.get_or_insert(count));
        ensure!(since >= changes, "{since} of {changes}");
        Ok(())
    })
    .await
}
